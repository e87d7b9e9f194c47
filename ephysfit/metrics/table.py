"""A score as a fixed-width table."""

from __future__ import annotations

from math import isnan
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ephysfit.metrics.bench import Row
    from ephysfit.metrics.score import Score

HEAD = ("score", "value", "±se", "cell's own", "best", "")
WIDTHS = (26, 8, 7, 11, 6, 0)


def _number(value: float, digits: int = 3) -> str:
    return "–" if isnan(value) else f"{value:.{digits}f}"


def _count(n: int, thing: str) -> str:
    return f"{n} {thing}" if n == 1 else f"{n} {thing}s"


def _span(values: tuple[int, ...], thing: str) -> str:
    low, high = min(values), max(values)
    return _count(low, thing) if low == high else f"{low} to {high} {thing}s"


def _line(cells: tuple[str, ...]) -> str:
    first, *rest = (
        f"{c:<{w}}" if k in (0, 5) else f"{c:>{w}}" for k, (c, w) in enumerate(zip(cells, WIDTHS, strict=True))
    )
    return "  ".join([first, *rest]).rstrip()


def _row(row: Row) -> str:
    error = "" if isnan(row.error) else _number(row.error)
    own = "" if isnan(row.ceiling) else _number(row.ceiling)
    return _line((row.name, _number(row.value), error, own, f"{row.best:g}", row.note))


def _title(score: Score) -> str:
    kind = "noisy runs" if score.stochastic else "deterministic run"
    counts = ", ".join([
        _count(len(score.scored), "stimulus") if len(score.scored) == 1 else f"{len(score.scored)} stimuli",
        _span(score.n_repeats, "repeat"),
        _span(score.n_runs, "run"),
    ])  # fmt: skip
    return f"{score.cell + ': ' if score.cell else ''}{kind}; {counts}"


def _windows(score: Score) -> str:
    start, stop = score.scored[0]
    same = all(w == score.scored[0] for w in score.scored)
    where = f"{start:g}–{stop:g} ms" if same else f"{start:g}–{stop:g} ms of the first stimulus"
    return f"scored {where} ({score.skipped})"


def render(score: Score) -> str:
    """The table that `print(score)` shows."""
    gap = score["rate_error"]
    relation = "" if isnan(gap) else f" ({gap:+.1%})"
    rates = f"rate {score.rate_data_hz:.2f} Hz recorded, {score.rate_model_hz:.2f} Hz model{relation}"
    body = [_row(r) for r in score.rows if r.name != "rate_error"]
    notes = [f"! {w}" for w in score.warnings]
    head = _line(HEAD)
    return "\n".join([_title(score), _windows(score), rates, head, "─" * len(head), *body, *notes])
