"""A table of sweeps for notebooks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ephysfit.data import stimulus_kinds
from ephysfit.data.sweep import Sweep
from ephysfit.html_tables import make_sparkline, make_table

#: a pulse moves the current by this part of the largest change, and lasts this long, ms
LEAST, SETTLED = 0.2, 2.0
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
    """Describe a current: levels and lengths of the pulses of a step, mean and standard deviation of any other, pA.

    Examples
    --------
    >>> t = np.arange(4000) * 0.1
    >>> step = np.where((t >= 200) & (t < 350), 80.0, 0.0)
    >>> describe_current(Sweep(step, 0.1, stimulus="long square"))
    '0 to 80 for 0.15 s'
    >>> describe_current(Sweep(step - 50.0 * ((t >= 10) & (t < 60)), 0.1, stimulus="long square"))
    '0 to 80 for 0.15 s, -50 for 0.05 s'
    """
    if not stimulus_kinds.is_of_kind(sweep.kind, "step") or np.ptp(sweep.current) == 0:
        return f"{sweep.current.mean():.0f} ± {sweep.current.std():.0f}"
    base, pulses = _find_pulses(sweep)
    (level, seconds), *others = sorted(pulses, key=lambda pulse: -pulse[1])
    more = [f"{other} for {length:.3g} s" for other, length in others]
    listed = more if len(more) < 2 else [f"{len(more)} shorter pulses"]
    return ", ".join([f"{base} to {level} for {seconds:.3g} s", *listed])


def _find_pulses(sweep: Sweep) -> tuple[int, list[tuple[int, float]]]:
    """Find the level between pulses, and each pulse as (level, length in s): medians, as recordings are noisy."""
    apart = np.abs(sweep.current - np.median(sweep.current[: max(1, round(SETTLED / sweep.dt))]))
    away = np.concatenate(([False], apart > LEAST * apart.max(), [False]))
    edges = np.flatnonzero(away[1:] != away[:-1]).reshape(-1, 2)
    lasting = [edge for edge in edges if (edge[1] - edge[0]) * sweep.dt >= SETTLED] or list(edges)
    base = round(float(np.median(sweep.current[~away[1:-1]])))
    return base, [(round(float(np.median(sweep.current[i:j]))), float((j - i) * sweep.dt / 1e3)) for i, j in lasting]


def _outline(sweep: Sweep, points: int = 160) -> tuple[list[float], list[float]]:
    """A current by its mean in so many parts, and the places of the spikes between 0 and 1."""
    parts = np.array_split(sweep.current, min(points, sweep.steps))
    return [float(p.mean()) for p in parts], (sweep.spike_times / sweep.duration).tolist()
