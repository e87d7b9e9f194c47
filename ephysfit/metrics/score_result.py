"""A score: its lines by name, as plain values for JSON, and as a printed table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import isnan
from typing import Any

from ephysfit.data.readout import Readout
from ephysfit.errors import ScoreError, near
from ephysfit.files import replace_nan
from ephysfit.html_tables import make_table
from ephysfit.metrics.headline_scores import COUNT, choose_headline
from ephysfit.metrics.jackknife import Row

HEAD = ("score", "value", "±se", "no model", "cell's own", "best", "")
WIDTHS = (26, 8, 7, 9, 11, 6, 0)


@dataclass(frozen=True)
class Score:
    """Spike-timing scores of a model on a recording.

    `score["md_star_8"]` is a value, `score.row("md_star_8")` its line; a name without window means the first window.
    Printing gives a table.

    Attributes
    ----------
    rows : tuple of Row
    stochastic : bool, whether the model was run with noise; Γ of noisy and of deterministic runs never compare
    scored : tuple of (start, stop), ms, one per stimulus
    rate_data_hz, rate_model_hz : float
    n_repeats, n_runs : tuple of int, one per stimulus
    n_spikes : int, recorded spikes in the scored stretches, all repeats
    skipped : str, why the scored stretch starts where it does
    warnings : tuple of str
    cell : str
    """

    rows: tuple[Row, ...]
    stochastic: bool
    scored: tuple[tuple[float, float], ...]
    rate_data_hz: float
    rate_model_hz: float
    n_repeats: tuple[int, ...]
    n_runs: tuple[int, ...]
    n_spikes: int
    skipped: str = ""
    warnings: tuple[str, ...] = ()
    cell: str = ""

    def row(self, name: str) -> Row:
        """The line of that name; without a window, the first of that stem; else the one line of a metric ("etv")."""
        by_name = {r.name: r for r in self.rows}
        stems = {_metric_stem(r.name): r for r in reversed(self.rows)}
        if name in by_name or name in stems:
            return by_name.get(name) or stems[name]
        if self.stochastic and name.startswith("gamma"):
            raise ScoreError(
                f"{name!r} scores one deterministic run and these are noisy runs; use gamma_over_R_runs, or simulate "
                f"without noise. {near(name, by_name)}"
            )
        of_metric = [r for r in self.rows if r.metric == name]
        if len(of_metric) == 1:
            return of_metric[0]
        raise ScoreError(f"the score has no line {name!r}; {near(name, by_name)}")

    def __getitem__(self, name: str) -> float:
        return self.row(name).value

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    @property
    def rate_error(self) -> float:
        """(model rate - recorded rate) / recorded rate."""
        return self["rate_error"]

    @property
    def headline(self) -> Row:
        """The line to quote: Γ/R of a deterministic run, Md* of noisy runs, at the first window.

        Without repeats: the error of spike counts of steps, or of the rate.
        """
        return self.row(_metric_stem(choose_headline(self.stochastic, self.repeated, self.has_steps).name))

    @property
    def repeated(self) -> bool:
        """Whether any stimulus was repeated, so that the cell's own reliability is known."""
        return max(self.n_repeats) > 1

    @property
    def has_steps(self) -> bool:
        """Whether there are lines of counts and first spikes of steps."""
        return any(r.name == COUNT.name for r in self.rows)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        out = {k: replace_nan(v) for k, v in vars(self).items() if k != "rows"}
        return {**out, "rows": [r.to_dict() for r in self.rows]}

    def __str__(self) -> str:
        return format_score(self)

    def _repr_html_(self) -> str:
        """The lines as a table, for notebooks."""
        head = ["score", ">value", ">± s.e.", ">no model", ">cell's own", ">best", ""]
        blank = lambda v: "" if isnan(v) else _format_number(v)  # noqa: E731
        rows = [
            [
                r.name,
                _format_number(r.value),
                blank(r.error),
                blank(r.baseline),
                blank(r.ceiling),
                f"{r.best:g}",
                r.note,
            ]
            for r in self.rows
        ]
        return make_table(f"{_format_title(self)}; {_format_window(self)}", head, rows, self.warnings)


def _metric_stem(name: str) -> str:
    """The name of a line without its window."""
    stem, _, last = name.rpartition("_")
    return stem if last.replace(".", "").isdigit() else name


def _format_number(value: float, digits: int = 3) -> str:
    return "–" if isnan(value) else f"{value:.{digits}f}"


def _format_count(n: int, thing: str) -> str:
    return f"{n} {thing}" if n == 1 else f"{n} {thing}s"


def _format_range(values: tuple[int, ...], thing: str) -> str:
    low, high = min(values), max(values)
    return _format_count(low, thing) if low == high else f"{low} to {high} {thing}s"


def _format_line(cells: tuple[str, ...]) -> str:
    first, *rest = (
        f"{c:<{w}}" if k in (0, len(WIDTHS) - 1) else f"{c:>{w}}"
        for k, (c, w) in enumerate(zip(cells, WIDTHS, strict=True))
    )
    return "  ".join([first, *rest]).rstrip()


def _format_row(row: Row) -> str:
    error = "" if isnan(row.error) else _format_number(row.error)
    own = "" if isnan(row.ceiling) else _format_number(row.ceiling)
    free = "" if isnan(row.baseline) else _format_number(row.baseline)
    return _format_line((row.name, _format_number(row.value), error, free, own, f"{row.best:g}", row.note))


def _format_title(score: Score) -> str:
    kind = Readout.NOISY if score.stochastic else "deterministic run"
    counts = ", ".join([
        _format_count(len(score.scored), "stimulus") if len(score.scored) == 1 else f"{len(score.scored)} stimuli",
        _format_range(score.n_repeats, "repeat"),
        _format_range(score.n_runs, "run"),
    ])  # fmt: skip
    return f"{score.cell + ': ' if score.cell else ''}{kind}; {counts}"


def _format_window(score: Score) -> str:
    start, stop = score.scored[0]
    same = all(w == score.scored[0] for w in score.scored)
    where = f"{start:g}–{stop:g} ms" if same else f"{start:g}–{stop:g} ms of the first stimulus"
    return f"scored {where} ({score.skipped})"


def format_score(score: Score) -> str:
    """The table that `print(score)` shows."""
    gap = score["rate_error"]
    relation = "" if isnan(gap) else f" ({gap:+.1%})"
    rates = f"rate {score.rate_data_hz:.2f} Hz recorded, {score.rate_model_hz:.2f} Hz model{relation}"
    body = [_format_row(r) for r in score.rows if r.name != "rate_error"]
    notes = [f"! {w}" for w in score.warnings]
    head = _format_line(HEAD)
    return "\n".join([_format_title(score), _format_window(score), rates, head, "─" * len(head), *body, *notes])
