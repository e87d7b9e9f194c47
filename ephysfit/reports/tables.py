"""Make the rows of a report, shared by the page, the terminal and JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import isnan
from typing import Any

from ephysfit.fitting.fit_result import Fit
from ephysfit.fitting.stage_reports import OpenDirection
from ephysfit.metrics.jackknife import Row
from ephysfit.metrics.metric import METRICS
from ephysfit.metrics.score_result import Score
from ephysfit.neuron.declare import Parameter, flat_names
from ephysfit.neuron.functions import Bank
from ephysfit.neuron.potential_unit import PotentialUnit

#: template of the setting (window, smoothing) in the name of a score, by metric
_SETTING = {
    "gamma": "±{} ms", "reliability": "±{} ms", "gamma_over_R": "±{} ms", "md_star": "±{} ms",
    "explained_variance_ratio": "σ = {} ms", "etv": "σ = {} ms", "van_rossum": "τ = {} ms",
    "victor_purpura": "{} / ms", "latency_error": "ms",
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
    "count_error": "steps: spikes off",
    "latency_error": "steps: first spike off",
}


#: labels of a narrow table
_BRIEF = {
    "reliability": "R, own", "gamma": "Γ", "gamma_over_R": "Γ/R", "explained_variance_ratio": "explained",
    "etv": "explained", "van_rossum": "van Rossum", "victor_purpura": "Victor–P.", "isi_distance": "intervals (KS)",
}  # fmt: skip


def format_score(value: float | None, digits: int = 3) -> str:
    """Format a score with fixed digits, a dash where it is undefined.

    Examples
    --------
    >>> format_score(0.75234), format_score(float("nan"))
    ('0.752', '–')
    """
    return "–" if value is None or isnan(value) else f"{value:.{digits}f}".replace("-", "−")


def format_parameter(value: float | None, digits: int = 4) -> str:
    """Format a parameter with four significant digits, or as many as given.

    Examples
    --------
    >>> format_parameter(-53.65456), format_parameter(0.0637, 2), format_parameter(354.2, 2), format_parameter(None)
    ('−53.65', '0.064', '350', '–')
    """
    if value is None or isnan(value):
        return "–"
    text = f"{value:.{digits}g}"
    if "e+" in text and abs(value) < 1e6:  # write 3.5e+02 as 350
        text = f"{float(text):.0f}"
    return text.replace("-", "−")


def format_percent(share: float) -> str:
    """Format a fraction as percent, ``'86 %'``, a dash where it is undefined."""
    return "–" if isnan(share) else f"{100 * share:.0f} %"


@dataclass(frozen=True)
class ScoreLine:
    """One metric at one setting, for all readouts of a model.

    Attributes
    ----------
    metric, label, setting, doc, reference : str
    cells : mapping of str to Row
        The row of each readout.
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

    @property
    def brief(self) -> str:
        """Label and setting for a narrow table."""
        return f"{_BRIEF.get(self.metric, self.label)} {self.setting}".strip().replace(" = ", " ")

    def without_model(self, digits: int = 3) -> str:
        """What needs no model reaches, as text: one number, or one of each kind of readout."""
        return _list_numbers((row.baseline for row in self.cells.values()), digits)

    def ceiling(self, digits: int = 3) -> str:
        """What the cell reaches with itself, as text: one number, or one of each kind of readout."""
        return _list_numbers((row.ceiling for row in self.cells.values()), digits)


def _list_numbers(values: Iterable[float], digits: int) -> str:
    return " / ".join({format_score(v, digits): None for v in values if not isnan(v)})


def make_score_lines(scores: Mapping[str, Score]) -> list[ScoreLine]:
    """Arrange the scores of several readouts side by side, one line per metric and setting.

    Parameters
    ----------
    scores : mapping of str to Score
        By readout, as in `Evidence.scores`. The row "consensus" in the score of noisy runs is left out, because the
        consensus is a readout of its own. A line without any value (without repeats, scores relative to them are
        undefined) is left out too; the warnings of the score give the reason.

    Returns
    -------
    list of ScoreLine
    """
    merged: dict[str, dict[str, Row]] = {}
    for readout, of in scores.items():
        for row in of:
            if "consensus" not in row.name:
                merged.setdefault(row.name.replace("_runs", ""), {})[readout] = row
    known = {name: cells for name, cells in merged.items() if not all(isnan(r.value) for r in cells.values())}
    return [_make_score_line(name, cells) for name, cells in known.items()]


def _make_score_line(name: str, cells: Mapping[str, Row]) -> ScoreLine:
    first = next(iter(cells.values()))
    metric = METRICS[first.metric]
    setting = _SETTING.get(first.metric, "").format(name.rpartition("_")[2])
    label = _LABEL.get(first.metric, first.metric.replace("_", " "))
    return ScoreLine(
        first.metric, label, setting, metric.doc, metric.reference, cells, first.best, metric.higher_is_better
    )


@dataclass(frozen=True)
class FittedNumber:
    """One fitted number.

    Attributes
    ----------
    name : str
        Flat name.
    value : float
    standard_error : float or None
        None where it is unknown.
    at_bound : str
        "low" or "high" where the value lies on that bound, otherwise "".
    place : float
        Position between the bounds, 0 to 1, on the axis of the fit.
    interval : str
        Interval as text; "" where it is unknown.
    span : (float, float) or None
        Ends of the interval on the same axis as `place`.
    """

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
    values: tuple[FittedNumber, ...]


def make_parameter_lines(fit: Fit) -> list[ParameterLine]:
    """Make one line per declared parameter: fitted, then measured, then pinned ones.

    Potentials, and what is per potential, are in the unit that the fit determines (`Fit.potential_unit`).
    """
    cls = type(fit.neuron)
    scale = fit.potential_unit
    rows = {r["name"]: r for r in fit.parameters()}
    lines = []
    for name, p in cls.parameters.items():
        place = name in cls.places()
        values = tuple(_make_fitted_number(p, rows[flat], scale, place) for flat in flat_names({name: p}))
        kind = "fitted" if rows[values[0].name]["fitted"] else "measured"
        lines.append(_make_line(name, p, kind, values, scale, place))
    lines.sort(key=lambda line: line.kind != "fitted")
    return lines + [line for name in cls.pinned if (line := _make_pinned_line(fit, name, scale))]


def _make_line(
    name: str, p: Parameter, kind: str, values: tuple[FittedNumber, ...], scale: PotentialUnit, place: bool
) -> ParameterLine:
    low, high = (scale.convert(v, p.unit, place) for v in (p.low, p.high))
    return ParameterLine(name, scale.rename(p.unit), p.doc, low, high, p.logarithmic, kind, values)


def _make_fitted_number(p: Parameter, row: Mapping[str, Any], scale: PotentialUnit, place: bool) -> FittedNumber:
    value, error = scale.convert(row["value"], p.unit, place), row["standard_error"]
    error = None if error is None else scale.convert(error, p.unit)
    ends = row.get("interval")
    if ends is None:
        return FittedNumber(row["name"], value, error, row["at_bound"], p.fraction(row["value"]))
    low, high = ends
    span = (0.0 if low is None else p.fraction(low), 1.0 if high is None else p.fraction(high))
    text = format_interval(*(None if v is None else scale.convert(v, p.unit, place) for v in ends))
    estimate = row.get("estimate")
    outside = (low is not None and row["value"] < low) or (high is not None and row["value"] > high)
    if estimate is not None and outside and not row["at_bound"]:
        # a later stage moved the fit off the top of the likelihood
        text += f" about {format_parameter(scale.convert(estimate, p.unit, place))}"
    return FittedNumber(row["name"], value, error, row["at_bound"], p.fraction(row["value"]), text, span)


def format_interval(low: float | None, high: float | None) -> str:
    """Format an interval; an end that the data do not determine is open.

    Examples
    --------
    >>> format_interval(4.7, 5.3912), format_interval(-0.0821, None), format_interval(None, None)
    ('4.7 to 5.39', '−0.0821 to its bound', 'open both ways')
    """
    if low is None and high is None:
        return "open both ways"
    begin, end = ("its bound" if value is None else format_parameter(value, 3) for value in (low, high))
    return f"{begin} to {end}"


def make_interval_rows(fit: Fit, end: str) -> list[dict[str, str]]:
    """Make text rows of the fitted parameters, one per number, for the terminal; `end` heads the intervals."""
    held = fit.intervals.held if fit.intervals else ()
    rows = []
    for line in make_parameter_lines(fit):
        if line.kind == "fitted":
            for v in line.values:
                note = "held: the mV scale" if v.name in held else f"on its {v.at_bound} bound" if v.at_bound else ""
                error = "" if v.standard_error is None else format_parameter(v.standard_error, 2)
                rows.append({"parameter": v.name, "value": format_parameter(v.value), "± s.e.": error, end: v.interval,
                             "unit": line.unit, "": note})  # fmt: skip
    return rows


@dataclass(frozen=True)
class DerivedLine:
    """A quantity that spikes determine independently of the mV scale: name, meaning, unit, value and interval."""

    name: str
    meaning: str
    unit: str
    text: str
    interval: str


def make_derived_lines(fit: Fit) -> list[DerivedLine]:
    """Make the lines of quantities that do not depend on the mV scale, with their intervals."""
    return [
        DerivedLine(d.name, d.meaning, "" if d.unit == "1" else d.unit, format_parameter(d.value),
                    format_interval(d.low, d.high))
        for d in (fit.intervals.derived if fit.intervals else ())
    ]  # fmt: skip


def describe_open_directions(fit: Fit) -> list[str]:
    """Describe in sentences the directions in parameter space that the data do not determine."""
    found = fit.intervals
    if found is None:
        return []
    unit = fit.potential_unit.meaning
    lines = [s[0].upper() + s[1:] + "." for s in [unit, found.scale, *found.notes] if s]
    directions = [_describe_direction(d) for d in found.open]
    if directions:
        lines.append(
            "Not distinguished by these spikes (the prior decides, and predictions hardly change): "
            + "; ".join(directions) + "."
        )  # fmt: skip
    return lines


def _describe_direction(found: OpenDirection) -> str:
    known = "not at all" if found.errors is None else f"to ± {format_parameter(found.errors, 2)} prior widths"
    return f"{found.text} (known {known})"


def _make_pinned_line(fit: Fit, name: str, scale: PotentialUnit) -> ParameterLine | None:
    """Make the line of a pinned parameter from its declaration in the model from which it was pinned."""
    owner: Any = type(fit.neuron)
    while owner is not None and name not in owner.parameters:
        owner = owner.base
    if owner is None:
        return None
    p, held = owner.parameters[name], getattr(fit.neuron, name)
    numbers = [float(v) for v in held] if isinstance(held, Bank) else [float(held)]
    place = name in owner.places()
    values = tuple(
        FittedNumber(f, scale.convert(v, p.unit, place), None, "", p.fraction(v))
        for f, v in zip(flat_names({name: p}), numbers, strict=True)
    )
    return _make_line(name, p, "fixed", values, scale, place)


@dataclass(frozen=True)
class StageLine:
    """One stage of a fit: how it ended, its losses per spike, and its duration in s."""

    stage: str
    status: str
    sentence: str
    train: float
    validation: float
    seconds: float


def make_stage_lines(fit: Fit) -> list[StageLine]:
    """Make the history of a fit, one line per stage."""
    return [
        StageLine(e.stage, e.status.name.lower().replace("_", " "), e.status.value, e.train, e.validation, e.seconds)
        for e in fit.history
    ]


def make_provenance_lines(fit: Fit) -> list[tuple[str, str]]:
    """Make the provenance of a fit as (name, text)."""
    known = fit.provenance.to_dict()
    stages = known.pop("stages", [])
    if not any((known.get("split") or {}).values()):
        known.pop("split", None)  # no split was requested: the sweeps are listed
    lines = [(k.replace("_", " "), _format_setting(v)) for k, v in known.items() if v not in ("", None)]
    return [*lines, *((f"stage {s.get('stage', '?')}", _format_setting(_drop_key(s, "stage"))) for s in stages)]


def _drop_key(settings: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {k: v for k, v in settings.items() if k != name}


def _format_setting(value: Any) -> str:
    if isinstance(value, Mapping):
        inner = lambda v: f"({_format_setting(v)})" if isinstance(v, Mapping) and v else _format_setting(v)  # noqa: E731
        return ", ".join(f"{k.replace('_', ' ')} = {inner(v)}" for k, v in value.items()) or "–"
    if isinstance(value, list | tuple):
        return ", ".join(_format_setting(v) for v in value) or "–"
    if value is None or isinstance(value, bool):
        return {None: "–", True: "yes", False: "no"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)


def format_unit(unit: str) -> str:
    """Format a unit: raised powers, nothing for a dimensionless number."""
    return "" if unit == "1" else unit.replace("**2", "²").replace("**3", "³")
