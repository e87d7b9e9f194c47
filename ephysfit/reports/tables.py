"""The rows of a report, made once for the page, the terminal and JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isnan
from typing import Any

from ephysfit.fitting.fit_result import Fit
from ephysfit.fitting.stage_reports import OpenDirection
from ephysfit.metrics.jackknife import Row
from ephysfit.metrics.metric import METRICS
from ephysfit.metrics.score import Score
from ephysfit.neuron.declare import Parameter, flat_names
from ephysfit.neuron.functions import Bank

#: what the number behind a score's name is, by metric: a template of its setting
_SETTING = {
    "gamma": "±{} ms", "reliability": "±{} ms", "gamma_over_R": "±{} ms", "md_star": "±{} ms",
    "explained_variance_ratio": "σ = {} ms", "etv": "σ = {} ms", "van_rossum": "τ = {} ms",
    "victor_purpura": "{} / ms",
}  # fmt: skip
_LABEL = {
    "reliability": "R, the cell with itself",
    "gamma": "Γ, coincidence",
    "gamma_over_R": "Γ/R, of the cell's own",
    "md_star": "Md*",
    "explained_variance_ratio": "explained variance",
    "etv": "explained variance",
    "van_rossum": "van Rossum distance",
    "victor_purpura": "Victor–Purpura distance",
    "isi_distance": "interval distance (KS)",
    "rate_error": "rate error",
}


def number(value: float | None, digits: int = 3) -> str:
    """A score as text: fixed digits, a dash where it is undefined.

    Examples
    --------
    >>> number(0.75234), number(float("nan"))
    ('0.752', '–')
    """
    return "–" if value is None or isnan(value) else f"{value:.{digits}f}".replace("-", "−")


def amount(value: float | None, digits: int = 4) -> str:
    """A parameter as text: four significant digits, or as many as said.

    Examples
    --------
    >>> amount(-53.65456), amount(0.0637, 2), amount(354.2, 2), amount(None)
    ('−53.65', '0.064', '350', '–')
    """
    if value is None or isnan(value):
        return "–"
    text = f"{value:.{digits}g}"
    if "e+" in text and abs(value) < 1e6:  # 3.5e+02 is 350 to everybody
        text = f"{float(text):.0f}"
    return text.replace("-", "−")


def percent(share: float) -> str:
    """A share as text: ``'86 %'``, a dash where it is undefined."""
    return "–" if isnan(share) else f"{100 * share:.0f} %"


@dataclass(frozen=True)
class ScoreLine:
    """One metric at one setting, for all readouts of a model.

    Attributes
    ----------
    metric, label, setting, doc, reference : str
    cells : mapping of str to Row
        The line of each readout's score.
    best : float
        The value of a perfect match.
    higher_is_better : bool or None
    """

    metric: str
    label: str
    setting: str
    doc: str
    reference: str
    cells: Mapping[str, Row]
    best: float
    higher_is_better: bool | None


def score_lines(scores: Mapping[str, Score]) -> list[ScoreLine]:
    """The scores of several readouts beside each other, one line a metric and setting.

    Parameters
    ----------
    scores : mapping of str to Score
        By readout, as in `Evidence.scores`. The line "consensus" inside the score of noisy runs is left out: the
        consensus is a readout of its own. A line that no readout has a value on (no repeats, so nothing relative to
        them) is left out too: the score's warnings say why.
    """
    merged: dict[str, dict[str, Row]] = {}
    for readout, of in scores.items():
        for row in of:
            if "consensus" not in row.name:
                merged.setdefault(row.name.replace("_runs", ""), {})[readout] = row
    known = {name: cells for name, cells in merged.items() if not all(isnan(r.value) for r in cells.values())}
    return [_line(name, cells) for name, cells in known.items()]


def _line(name: str, cells: Mapping[str, Row]) -> ScoreLine:
    first = next(iter(cells.values()))
    metric = METRICS[first.metric]
    setting = _SETTING.get(first.metric, "").format(name.rpartition("_")[2])
    label = _LABEL.get(first.metric, first.metric.replace("_", " "))
    return ScoreLine(
        first.metric, label, setting, metric.doc, metric.reference, cells, first.best, metric.higher_is_better
    )


@dataclass(frozen=True)
class Value:
    """One fitted number: flat name, value, standard error (None unless known), the bound it sits on ("" if none),
    where it lies between its bounds, 0 to 1, on the axis the fit used; its interval as text ("" unless known), and
    where that begins and ends on the same axis."""

    name: str
    value: float
    standard_error: float | None
    at_bound: str
    place: float
    interval: str = ""
    span: tuple[float, float] | None = None


@dataclass(frozen=True)
class ParameterLine:
    """One declared parameter with its value or, for a bank, values; `kind` is "fitted", "measured" or "fixed"."""

    name: str
    unit: str
    meaning: str
    low: float
    high: float
    logarithmic: bool
    kind: str
    values: tuple[Value, ...]


def parameter_lines(fit: Fit) -> list[ParameterLine]:
    """One line a declared parameter: fitted ones, then what was measured, then what the model pins."""
    cls = type(fit.neuron)
    rows = {r["name"]: r for r in fit.parameters()}
    lines = []
    for name, p in cls.parameters.items():
        values = tuple(_value(p, rows[flat]) for flat in flat_names({name: p}))
        kind = "measured" if p.measured else "fitted"
        lines.append(ParameterLine(name, p.unit, p.doc, p.low, p.high, p.logarithmic, kind, values))
    lines.sort(key=lambda line: line.kind != "fitted")
    return lines + [line for name in cls.pinned if (line := _pinned(fit, name))]


def _value(p: Parameter, row: Mapping[str, Any]) -> Value:
    ends = row.get("interval")
    if ends is None:
        return Value(row["name"], row["value"], row["standard_error"], row["at_bound"], p.fraction(row["value"]))
    low, high = ends
    span = (0.0 if low is None else p.fraction(low), 1.0 if high is None else p.fraction(high))
    text = interval_text(low, high)
    return Value(
        row["name"], row["value"], row["standard_error"], row["at_bound"], p.fraction(row["value"]), text, span
    )


def interval_text(low: float | None, high: float | None) -> str:
    """An interval as text; an end that the data do not set is said to be open.

    Examples
    --------
    >>> interval_text(4.7, 5.3912), interval_text(-0.0821, None), interval_text(None, None)
    ('4.7 to 5.39', '−0.0821 to its bound', 'open both ways')
    """
    if low is None and high is None:
        return "open both ways"
    return f"{'its bound' if low is None else amount(low, 3)} to {'its bound' if high is None else amount(high, 3)}"


def interval_rows(fit: Fit, end: str) -> list[dict[str, str]]:
    """Fitted parameters with their intervals, one text row a number, for the terminal; `end` heads the intervals."""
    held = fit.intervals.held if fit.intervals else ()
    rows = []
    for line in parameter_lines(fit):
        if line.kind == "fitted":
            for v in line.values:
                note = "held: the mV scale" if v.name in held else f"on its {v.at_bound} bound" if v.at_bound else ""
                error = "" if v.standard_error is None else amount(v.standard_error, 2)
                rows.append({"parameter": v.name, "value": amount(v.value), "± s.e.": error, end: v.interval,
                             "unit": line.unit, "": note})  # fmt: skip
    return rows


@dataclass(frozen=True)
class DerivedLine:
    """A quantity that the spikes determine whatever the mV scale: what it is, how it is read off, value, interval."""

    name: str
    meaning: str
    unit: str
    text: str
    interval: str


def derived_lines(fit: Fit) -> list[DerivedLine]:
    """What the intervals of a fit say of quantities that do not depend on the mV scale."""
    return [
        DerivedLine(d.name, d.meaning, "" if d.unit == "1" else d.unit, amount(d.value), interval_text(d.low, d.high))
        for d in (fit.intervals.derived if fit.intervals else ())
    ]  # fmt: skip


def open_lines(fit: Fit) -> list[str]:
    """What the data leave open, in sentences."""
    found = fit.intervals
    if found is None:
        return []
    lines = [s[0].upper() + s[1:] + "." for s in [found.scale, *found.notes] if s]
    directions = [_direction(d) for d in found.open]
    if directions:
        lines.append(
            "Not told apart by these spikes (the prior decides, and predictions hardly change): "
            + "; ".join(directions) + "."
        )  # fmt: skip
    return lines


def _direction(found: OpenDirection) -> str:
    known = "not at all" if found.errors is None else f"to ± {amount(found.errors, 2)} prior widths"
    return f"{found.text} (known {known})"


def _pinned(fit: Fit, name: str) -> ParameterLine | None:
    """The line of a pinned parameter, as declared by the model it is pinned in."""
    owner: Any = type(fit.neuron)
    while owner is not None and name not in owner.parameters:
        owner = owner.base
    if owner is None:
        return None
    p, held = owner.parameters[name], getattr(fit.neuron, name)
    numbers = [float(v) for v in held] if isinstance(held, Bank) else [float(held)]
    values = tuple(Value(f, v, None, "", p.fraction(v)) for f, v in zip(flat_names({name: p}), numbers, strict=True))
    return ParameterLine(name, p.unit, p.doc, p.low, p.high, p.logarithmic, "fixed", values)


@dataclass(frozen=True)
class StageLine:
    """One stage of a fit: how it ended, its losses per spike, and how long it took."""

    stage: str
    status: str
    sentence: str
    train: float
    validation: float
    seconds: float


def stage_lines(fit: Fit) -> list[StageLine]:
    """The history of a fit, one line a stage."""
    return [
        StageLine(e.stage, e.status.name.lower().replace("_", " "), e.status.value, e.train, e.validation, e.seconds)
        for e in fit.history
    ]


def provenance_lines(fit: Fit) -> list[tuple[str, str]]:
    """What made this fit, as (name, text)."""
    known = fit.provenance.to_dict()
    stages = known.pop("stages", [])
    if not any((known.get("split") or {}).values()):
        known.pop("split", None)  # nobody asked for one: the sweeps are named
    lines = [(k.replace("_", " "), _text(v)) for k, v in known.items() if v not in ("", None)]
    return [*lines, *((f"stage {s.get('stage', '?')}", _text(_without(s, "stage"))) for s in stages)]


def _without(settings: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {k: v for k, v in settings.items() if k != name}


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        inner = lambda v: f"({_text(v)})" if isinstance(v, Mapping) and v else _text(v)  # noqa: E731
        return ", ".join(f"{k.replace('_', ' ')} = {inner(v)}" for k, v in value.items()) or "–"
    if isinstance(value, list | tuple):
        return ", ".join(_text(v) for v in value) or "–"
    if value is None or isinstance(value, bool):
        return {None: "–", True: "yes", False: "no"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)


def unit_text(unit: str) -> str:
    """A unit as people write it: powers raised, nothing for a pure number."""
    return "" if unit == "1" else unit.replace("**2", "²").replace("**3", "³")
