"""What a reader of a score should be warned of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ephysfit.metrics.bench import Row
from ephysfit.metrics.rows import MIN_RUNS
from ephysfit.metrics.stimuli import Scored
from ephysfit.metrics.weights import Array

#: recorded spikes in the scored stretch below which scores are mostly luck, and R below which a ratio to it is
MIN_SPIKES, MIN_RELIABILITY = 20, 0.2


def data_warnings(stimuli: Sequence[Scored], rows: Sequence[Row]) -> Iterator[str]:
    repeats = [len(s.data) for s in stimuli]
    spikes = sum(t.size for s in stimuli for t in s.data)
    if max(repeats) < 2:
        yield "no stimulus has two repeats: no reliability, so no score relative to it; record repeats of one stimulus"
    elif min(repeats) < 2:
        yield f"{sum(r < 2 for r in repeats)} of {len(repeats)} stimuli have one repeat, so no score relative to R"
    if spikes < MIN_SPIKES:
        yield f"only {spikes} recorded spikes are scored; below {MIN_SPIKES} the scores are mostly luck"
    for r in rows:
        if r.metric == "reliability" and r.value < MIN_RELIABILITY:
            yield f"{r.name} = {r.value:.2f}: the cell hardly repeats itself at this window, ratios to it are unstable"


def model_warnings(stimuli: Sequence[Scored], stochastic: bool, windows: Sequence[float], dt: float) -> Iterator[str]:
    runs = min(len(s.runs) for s in stimuli)
    if not any(t.size for s in stimuli for t in s.runs):
        yield "the model never spikes in the scored stretch"
    if stochastic and runs < MIN_RUNS:
        yield f"only {runs} noisy runs; take {MIN_RUNS} at least (100 to 500 for a stable Md*)"
    if not stochastic and any(not alike(s.runs) for s in stimuli):
        yield "runs differ though the model is called deterministic; pass stochastic=True if it has noise"
    fastest = max(t.size / s.duration for s in stimuli for t in [*s.runs, *s.data])
    for w in windows:
        if 2 * w * fastest >= 1:
            yield f"gamma is undefined at +-{w:g} ms for trains of {fastest * 1e3:.0f} Hz: windows cover all time"
    if dt > min(windows) / 2:
        yield f"the simulation steps by {dt:g} ms, coarse for a window of +-{min(windows):g} ms"


def alike(runs: Sequence[Array]) -> bool:
    return all(np.array_equal(run, runs[0]) for run in runs)
