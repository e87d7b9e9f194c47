"""Scores of every readout of a fitted cell, shown the same way by `fit` and `score`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import isnan
from typing import Any

from ephysfit.cli.output import paragraph, say, table
from ephysfit.data.recording import Recording
from ephysfit.fitting.fit_result import Fit
from ephysfit.metrics.jackknife import Row
from ephysfit.reports.evidence import Evidence
from ephysfit.reports.evidence import gather as run
from ephysfit.reports.headline import headline
from ephysfit.reports.tables import ScoreLine, score_lines


def gather(
    fit: Fit, test: Recording, train: Recording | None, *, runs: int, seed: int = 1, dt: float | None = None
) -> Evidence:
    """Runs of the fitted cell on the test stimuli with their scores, in steps of `dt` ms (of the fit unless given)."""
    return run(replace(fit, dt=dt or fit.dt), test, train, runs=runs, seed=seed)


def to_dict(evidence: Evidence) -> dict[str, Any]:
    """The scores as plain values, by readout."""
    return {
        "cell": evidence.fit.cell,
        "model": evidence.fit.model,
        "readouts": {name.replace(" ", "_"): s.to_dict() for name, s in evidence.scores.items()},
    }


def show(evidence: Evidence) -> None:
    """What the numbers say in two sentences, the table, and what to know before trusting it."""
    paragraph(headline(evidence).sentence)
    readouts = tuple(evidence.scores)
    rows = [_row(line, readouts) for line in score_lines(evidence.scores)]
    table(rows, right=(*readouts, "cell's own", "best"))
    first = next(iter(evidence.scores.values()))
    say(f"± standard error over repeats. Scored {_span(first.scored)}: {first.skipped}.")
    for warning in _warnings(evidence):
        paragraph(warning, "! ")


def _row(line: ScoreLine, readouts: tuple[str, ...]) -> dict[str, str]:
    score = f"{line.label}, {line.setting}".rstrip(", ")
    if line.metric == "reliability":
        return {"score": score, **dict.fromkeys(readouts, ""), "cell's own": _value(next(iter(line.cells.values())))}
    values = {name: _value(line.cells[name]) if name in line.cells else "" for name in readouts}
    tops = {f"{r.ceiling:.3f}": None for r in line.cells.values() if not isnan(r.ceiling)}
    return {"score": score, **values, "cell's own": " / ".join(tops), "best": f"{line.best:g}"}


def _value(row: Row) -> str:
    if isnan(row.value):
        return "–"
    return f"{row.value:.3f}" if isnan(row.error) else f"{row.value:.3f} ± {row.error:.3f}"


def _span(scored: tuple[tuple[float, float], ...]) -> str:
    (start, stop), *others = dict.fromkeys(scored)
    return f"{start:g} to {stop:g} ms" + (f" of the first of {len(scored)} stimuli" if others else "")


def _warnings(evidence: Evidence) -> Iterator[str]:
    """Each caution once: of the fit, then of the scores."""
    yield from dict.fromkeys([*evidence.fit.warnings, *(w for s in evidence.scores.values() for w in s.warnings)])
