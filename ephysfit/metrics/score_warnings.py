"""Warnings that belong to a score: too few spikes, repeats that are copies, runs that do not describe the cell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ephysfit.arrays import Trains
from ephysfit.data.cell_names import list_file_stems, may_be_one_cell
from ephysfit.metrics.jackknife import Row
from ephysfit.metrics.matching import Scored
from ephysfit.metrics.score_rows import MIN_RUNS
from ephysfit.metrics.stationarity import warn_of_drift

#: recorded spikes in the scored stretch below which scores are mostly luck, and R below which a ratio to it is
MIN_SPIKES, MIN_RELIABILITY = 20, 0.2
#: spikes from which repeats that are equal to the last digit are copies of one another, not repeats
COPIES = 5
#: factor between the rates of model and cell from which it is worth a warning
OFF = 2.0
#: ms; no neuron spikes twice within this, and the part of all spikes from which that is no chance
TWICE, OFTEN = 0.3, 0.05
#: how far above chance an Md* must be to say something of spike times
ABOVE = 0.03
#: part of the time that windows cover from which Γ is ill-conditioned
COVERED = 0.8


def warn_of_identity(simulated: Any, recorded: Any) -> Iterator[str]:
    """Warn where the fit is of another cell than the recording, by their names; and pass on notes of the simulation."""
    fitted, cell = tuple(getattr(simulated, "cells", ())), str(getattr(recorded, "cell", ""))
    if not may_be_one_cell(fitted, (cell, *list_file_stems(str(getattr(recorded, "source", ""))))):
        yield (
            f"the fit is of {fitted[0]!r} and is scored on {cell!r}, another cell by its name: the score says how like "
            "the two cells are, not how good the fit is (nothing to heed where both names are of one cell)"
        )
    yield from getattr(simulated, "notes", ())


def warn_of_data(stimuli: Sequence[Scored], rows: Sequence[Row], window: float) -> Iterator[str]:
    """Warn of recorded repeats that are too few, too silent, copied or not stationary.

    Parameters
    ----------
    stimuli : sequence of Scored
    rows : sequence of Row
        Lines of the score.
    window : float
        The first window of the score, ms.
    """
    repeats = [len(s.data) for s in stimuli]
    spikes = sum(t.size for s in stimuli for t in s.data)
    if max(repeats) < 2:
        yield (
            "no stimulus has two repeats, so there is no reliability and no score relative to it; record repeats of "
            "one stimulus"
        )
    elif min(repeats) < 2:
        yield f"{sum(r < 2 for r in repeats)} of {len(repeats)} stimuli have one repeat, so no score relative to R"
    if spikes == 0:
        yield (
            "no recorded spike is scored: the cell is silent in the scored stretch, and scores of spike timing are "
            "meaningless"
        )
    elif spikes < MIN_SPIKES:
        yield f"only {spikes} recorded spikes are scored; below {MIN_SPIKES} the scores are mostly luck"
    for s in stimuli:
        copies = _count_copies(s.data)
        if copies > 1:
            yield (
                f"{s.name}: {copies} of {len(s.data)} repeats are identical to the last digit, so they are copies, "
                "not repeats: R and standard errors are meaningless"
            )
    twice = sum(int(np.count_nonzero(np.diff(t) < TWICE)) for s in stimuli for t in s.data)
    if twice > OFTEN * spikes:
        yield f"{twice} of {spikes} recorded spikes follow another within {TWICE:g} ms: were spikes detected twice?"
    yield from warn_of_drift(stimuli, window)
    for r in rows:
        wide = (
            2 * float(r.name.rpartition("_")[2]) * _fastest_rate(stimuli) >= COVERED
            if r.metric == "reliability"
            else True
        )
        if not wide and r.value < MIN_RELIABILITY:
            yield f"{r.name} = {r.value:.2f}: the cell hardly repeats itself at this window; ratios to R are unstable"


def warn_of_chance(rows: Sequence[Row]) -> Iterator[str]:
    """Warn of an Md* that trains at the recorded rate reach too, with spikes anywhere."""
    for r in rows:
        if r.metric == "md_star" and r.value - r.baseline < max(2 * np.nan_to_num(r.error), ABOVE):
            yield (
                f"{r.name} = {r.value:.2f}, and spikes at random at the recorded rate reach {r.baseline:.2f}: the "
                "model has the rate of the cell at best, not its spike times"
            )


def warn_of_model(stimuli: Sequence[Scored], stochastic: bool, windows: Sequence[float], dt: float) -> Iterator[str]:
    """Warn of model runs that are silent, too few, at the wrong rate, or too dense or coarse for the windows (ms)."""
    runs = min(len(s.runs) for s in stimuli)
    if not any(t.size for s in stimuli for t in s.runs):
        yield "the model never spikes in the scored stretch"
    yield from _warn_of_rate(stimuli)
    if stochastic and runs < MIN_RUNS:
        yield f"only {runs} noisy runs; use at least {MIN_RUNS} (100 to 500 for a stable Md*)"
    if not stochastic and any(not are_identical(s.runs) for s in stimuli):
        yield "runs differ though the model is called deterministic; pass stochastic=True if it has noise"
    fastest = _fastest_rate(stimuli)
    for w in windows:
        if 2 * w * fastest >= 1:
            yield f"gamma is undefined at +-{w:g} ms for trains of {fastest * 1e3:.0f} Hz: windows cover all time"
        elif 2 * w * fastest >= COVERED:
            yield (
                f"windows of +-{w:g} ms about spikes at {fastest * 1e3:.0f} Hz cover {2 * w * fastest:.0%} of "
                "the time: R and gamma are then small differences divided by the little that is left, and unreliable"
            )
    if dt > min(windows) / 2:
        yield f"the simulation steps by {dt:g} ms, coarse for a window of +-{min(windows):g} ms"


def _fastest_rate(stimuli: Sequence[Scored]) -> float:
    """Rate of the fastest train, recorded or of the model, spikes per ms."""
    return max(t.size / s.duration for s in stimuli for t in [*s.runs, *s.data])


def _warn_of_rate(stimuli: Sequence[Scored]) -> Iterator[str]:
    """Warn where the model fires at a very different rate from the cell."""
    cell = sum(np.mean([t.size for t in s.data]) for s in stimuli)
    model = sum(np.mean([t.size for t in s.runs]) for s in stimuli)
    if cell > 0 and model > 0 and max(cell, model) >= OFF * min(cell, model) and max(cell, model) >= MIN_SPIKES:
        more = f"{model / cell:.1f} times" if model > cell else f"only {model / cell:.0%} of"
        yield f"the model fires {more} what the cell fires in the scored stretch: it does not describe the cell"


def _count_copies(trains: Trains) -> int:
    """Count the repeats that equal another one, spike by spike."""
    trains_as_bytes = [t.tobytes() for t in trains if t.size >= COPIES]
    return sum(trains_as_bytes.count(t) > 1 for t in trains_as_bytes)


def are_identical(runs: Trains) -> bool:
    """Whether all runs hold the same spikes."""
    return all(np.array_equal(run, runs[0]) for run in runs)
