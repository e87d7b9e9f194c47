"""Random spike trains for the metric tests: drawn by NumPy, and Hypothesis strategies."""

from __future__ import annotations

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

DURATION = 1000.0

#: the first example compiles the kernels, so no deadline
unhurried = settings(deadline=None)

#: sorted times on a coarse grid (so that ties, exact window edges and shared times happen) or anywhere
_time = st.one_of(st.integers(0, 999).map(float), st.floats(0, 999, allow_nan=False, width=32).map(float))
train = st.lists(_time, max_size=25).map(lambda ts: np.array(sorted(ts), dtype=float))
trains = st.lists(train, min_size=1, max_size=5)


def poisson(rng, rate_hz, duration_ms, n):
    """n homogeneous Poisson trains."""
    return [np.sort(rng.uniform(0, duration_ms, rng.poisson(rate_hz * duration_ms / 1e3))) for _ in range(n)]


def jittered(rng, template, n, jitter_ms, keep, duration_ms):
    """n noisy copies of a template: spikes moved and some left out."""
    copies = [template[rng.random(template.size) < keep] for _ in range(n)]
    return [np.sort(np.clip(t + rng.normal(0, jitter_ms, t.size), 0, duration_ms - 1e-3)) for t in copies]
