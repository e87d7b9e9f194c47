"""Scores of every readout of a fitted cell, printed by `fit` and `score`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import isnan
from typing import Any

from ephysfit.cli.output import print_paragraph, print_table
from ephysfit.cli.shell_words import translate_hints
from ephysfit.data.recording import Recording
from ephysfit.fitting.fit_result import Fit
from ephysfit.metrics.jackknife import Row
from ephysfit.reports.evidence import Evidence
from ephysfit.reports.evidence import gather_evidence as run
from ephysfit.reports.headline import write_headline
from ephysfit.reports.tables import ScoreLine, make_score_lines


def run_and_score(
    fit: Fit, test: Recording, train: Recording | None, *, runs: int, seed: int = 1, dt: float | None = None
) -> Evidence:
    """Run the fitted cell on the test stimuli in steps of `dt` ms (of the fit unless given), and score the runs."""
    return run(replace(fit, dt=dt or fit.dt), test, train, runs=runs, seed=seed)


def to_dict(evidence: Evidence) -> dict[str, Any]:
    """Return the scores as plain values, by readout."""
    return {
        "cell": evidence.fit.cell,
        "model": evidence.fit.model,
        "readouts": {name.replace(" ", "_"): s.to_dict() for name, s in evidence.scores.items()},
    }


def print_scores(evidence: Evidence, full: bool = False) -> None:
    """Print the headline, the table of scores and the warnings.

    Parameters
    ----------
    evidence : Evidence
    full : bool
        All readouts with three digits, in a table of up to 130 columns; else the noise-free run that is quoted and the
        noisy runs, which fit into 80.
    """
    print_paragraph(write_headline(evidence).sentence)
    chosen = (evidence.single, evidence.many)
    readouts = tuple(r for r in evidence.scores if full or r in chosen)
    digits = 3 if full else 2
    rows = [_make_row(line, readouts, digits) for line in make_score_lines(evidence.scores)]
    if not full:
        rows = [{k: v for k, v in row.items() if k != "best"} for row in rows]
    print_table(rows, right=(*readouts, "no model", "cell's own", "best"))
    first = next(iter(evidence.scores.values()))
    if any(row["no model"] for row in rows):
        print_paragraph(
            "no model: what spikes at random at the recorded rate reach, or a line between neighbouring steps. Two "
            "values are those of single trains and of noisy runs."
        )
    if not full and len(readouts) < len(evidence.scores):
        print_paragraph("--full shows all readouts: " + ", ".join(evidence.scores) + ".")
    print_paragraph(f"± standard error over repeats. Scored {_describe_scored(first.scored)}: {first.skipped}.")
    for warning in _list_warnings(evidence):
        print_paragraph(translate_hints(warning), "! ")


def _make_row(line: ScoreLine, readouts: tuple[str, ...], digits: int) -> dict[str, str]:
    write = lambda row: _format_value(row, digits)  # noqa: E731
    score = line.brief if digits < 3 else f"{line.label}, {line.setting}".rstrip(", ")
    if line.metric == "reliability":
        own = write(next(iter(line.cells.values())))
        return {"score": score, **dict.fromkeys(readouts, ""), "no model": "", "cell's own": own}
    values = {name: write(line.cells[name]) if name in line.cells else "" for name in readouts}
    return {"score": score, **values, "no model": line.without_model(digits), "cell's own": line.ceiling(digits),
            "best": f"{line.best:g}"}  # fmt: skip


def _format_value(row: Row, digits: int) -> str:
    if isnan(row.value):
        return "–"
    value = f"{row.value:.{digits}f}"
    return value if isnan(row.error) else f"{value} ± {row.error:.{digits}f}"


def _describe_scored(scored: tuple[tuple[float, float], ...]) -> str:
    (start, stop), *others = dict.fromkeys(scored)
    return f"{start:g} to {stop:g} ms" + (f" of the first of {len(scored)} stimuli" if others else "")


def _list_warnings(evidence: Evidence) -> Iterator[str]:
    """List the warnings of the fit and of the scores, each once."""
    yield from dict.fromkeys([*evidence.fit_warnings, *(w for s in evidence.scores.values() for w in s.warnings)])
