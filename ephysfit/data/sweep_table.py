"""A table of sweeps for notebooks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ephysfit.data import stimulus_kinds
from ephysfit.data.sweep import Sweep
from ephysfit.html_tables import make_sparkline, make_table

HEAD = ("sweep", "stimulus", "kind", ">length (s)", ">current (pA)", ">spikes", "current and spikes")


def make_sweep_table(title: str, sweeps: Sequence[Sweep], notes: Sequence[str] = ()) -> str:
    """Make the table: a row a sweep, with its current drawn small and its spikes as ticks.

    Examples
    --------
    >>> make_sweep_table("cell", [Sweep(np.zeros(100), 0.1, spike_times=np.array([5.0]))]).count("<tr>")
    2
    """
    rows = [
        [s.name, s.stimulus, s.kind, f"{s.duration / 1e3:g}", describe_current(s), str(len(s.spike_times)),
         make_sparkline(*_outline(s))]
        for s in sweeps
    ]  # fmt: skip
    spikes = sum(len(s.spike_times) for s in sweeps)
    return make_table(f"{title}: {len(sweeps)} sweeps, {spikes} spikes", HEAD, rows, notes)


def describe_current(sweep: Sweep) -> str:
    """Describe a current: levels and length of a step, mean and standard deviation of any other, pA.

    Examples
    --------
    >>> t = np.arange(4000) * 0.1
    >>> describe_current(Sweep(np.where((t >= 100) & (t < 300), 80.0, 0.0), 0.1, stimulus="long square"))
    '0 to 80 for 0.2 s'
    """
    low, high = float(sweep.current.min()), float(sweep.current.max())
    base = float(sweep.current[0])
    if not stimulus_kinds.is_of_kind(sweep.kind, "step") or low == high:
        return f"{sweep.current.mean():.0f} ± {sweep.current.std():.0f}"
    level = high if high - base >= base - low else low
    seconds = np.count_nonzero(np.abs(sweep.current - base) > 0.5 * abs(level - base)) * sweep.dt / 1e3
    return f"{base:.0f} to {level:.0f} for {seconds:.3g} s"


def _outline(sweep: Sweep, points: int = 160) -> tuple[list[float], list[float]]:
    """A current by its mean in so many parts, and the places of the spikes between 0 and 1."""
    parts = np.array_split(sweep.current, min(points, sweep.steps))
    return [float(p.mean()) for p in parts], (sweep.spike_times / sweep.duration).tolist()
