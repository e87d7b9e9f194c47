"""What a reader of a score should be warned of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ephysfit.data.cell_names import list_file_stems, may_be_one_cell
from ephysfit.metrics.jackknife import Row
from ephysfit.metrics.matching import Scored
from ephysfit.metrics.score_rows import MIN_RUNS
from ephysfit.metrics.stationarity import stationarity_warnings
from ephysfit.metrics.weights import Array

#: recorded spikes in the scored stretch below which scores are mostly luck, and R below which a ratio to it is
MIN_SPIKES, MIN_RELIABILITY = 20, 0.2
#: spikes from which repeats that are equal to the last digit are copies of one another, not repeats
COPIES = 5
#: factor between the rates of model and cell that is worth a word
OFF = 2.0
#: ms; no neuron spikes twice within this, and the part of all spikes from which that is no chance
TWICE, OFTEN = 0.3, 0.05
#: part of the time that windows cover from which Γ is ill-conditioned
COVERED = 0.8


def identity_warnings(simulated: Any, recorded: Any) -> Iterator[str]:
    """Whether the model is of the cell that it is scored on, as far as names tell, and notes of the simulation."""
    fitted, cell = tuple(getattr(simulated, "cells", ())), str(getattr(recorded, "cell", ""))
    if not may_be_one_cell(fitted, (cell, *list_file_stems(str(getattr(recorded, "source", ""))))):
        yield (
            f"the fit is of {fitted[0]!r} and is scored on {cell!r}, another cell by its name: the score says how like "
            "the two cells are, not how good the fit is (nothing to heed where both names are of one cell)"
        )
    yield from getattr(simulated, "notes", ())


def data_warnings(stimuli: Sequence[Scored], rows: Sequence[Row], window: float) -> Iterator[str]:
    """What the recorded repeats say of themselves; `window` is the first of the score, ms."""
    repeats = [len(s.data) for s in stimuli]
    spikes = sum(t.size for s in stimuli for t in s.data)
    if max(repeats) < 2:
        yield "no stimulus has two repeats: no reliability, so no score relative to it; record repeats of one stimulus"
    elif min(repeats) < 2:
        yield f"{sum(r < 2 for r in repeats)} of {len(repeats)} stimuli have one repeat, so no score relative to R"
    if spikes == 0:
        yield "only 0 recorded spikes are scored: the cell is silent there, and no score of timing means anything"
    elif spikes < MIN_SPIKES:
        yield f"only {spikes} recorded spikes are scored; below {MIN_SPIKES} the scores are mostly luck"
    for s in stimuli:
        copies = _copies(s.data)
        if copies > 1:
            yield (
                f"{s.name}: {copies} of {len(s.data)} repeats are equal to the last digit, so they are copies and no "
                "repeats: R and standard errors say nothing"
            )
    twice = sum(int(np.count_nonzero(np.diff(t) < TWICE)) for s in stimuli for t in s.data)
    if twice > OFTEN * spikes:
        yield f"{twice} of {spikes} recorded spikes come less than {TWICE:g} ms after another: are spikes there twice?"
    yield from stationarity_warnings(stimuli, window)
    for r in rows:
        wide = (
            2 * float(r.name.rpartition("_")[2]) * _fastest(stimuli) >= COVERED if r.metric == "reliability" else True
        )
        if not wide and r.value < MIN_RELIABILITY:
            yield f"{r.name} = {r.value:.2f}: the cell hardly repeats itself at this window, ratios to it are unstable"


def model_warnings(stimuli: Sequence[Scored], stochastic: bool, windows: Sequence[float], dt: float) -> Iterator[str]:
    runs = min(len(s.runs) for s in stimuli)
    if not any(t.size for s in stimuli for t in s.runs):
        yield "the model never spikes in the scored stretch"
    yield from _rate(stimuli)
    if stochastic and runs < MIN_RUNS:
        yield f"only {runs} noisy runs; take {MIN_RUNS} at least (100 to 500 for a stable Md*)"
    if not stochastic and any(not alike(s.runs) for s in stimuli):
        yield "runs differ though the model is called deterministic; pass stochastic=True if it has noise"
    fastest = _fastest(stimuli)
    for w in windows:
        if 2 * w * fastest >= 1:
            yield f"gamma is undefined at +-{w:g} ms for trains of {fastest * 1e3:.0f} Hz: windows cover all time"
        elif 2 * w * fastest >= COVERED:
            yield (
                f"windows of +-{w:g} ms about spikes at {fastest * 1e3:.0f} Hz cover {2 * w * fastest:.0%} of "
                "the time: R and gamma there are small differences divided by what is left, and may be anything"
            )
    if dt > min(windows) / 2:
        yield f"the simulation steps by {dt:g} ms, coarse for a window of +-{min(windows):g} ms"


def _fastest(stimuli: Sequence[Scored]) -> float:
    """Rate of the fastest train, recorded or of the model, spikes a ms."""
    return max(t.size / s.duration for s in stimuli for t in [*s.runs, *s.data])


def _rate(stimuli: Sequence[Scored]) -> Iterator[str]:
    """Whether the model fires at quite another rate than the cell."""
    cell = sum(np.mean([t.size for t in s.data]) for s in stimuli)
    model = sum(np.mean([t.size for t in s.runs]) for s in stimuli)
    if cell > 0 and model > 0 and max(cell, model) >= OFF * min(cell, model) and max(cell, model) >= MIN_SPIKES:
        more = f"{model / cell:.1f} times" if model > cell else f"only {model / cell:.0%} of"
        yield f"the model fires {more} what the cell fires in the scored stretch: it does not describe the cell there"


def _copies(trains: Sequence[Array]) -> int:
    """Repeats that have an equal among the others, spike by spike."""
    seen = [t.tobytes() for t in trains if t.size >= COPIES]
    return sum(seen.count(t) > 1 for t in seen)


def alike(runs: Sequence[Array]) -> bool:
    return all(np.array_equal(run, runs[0]) for run in runs)
