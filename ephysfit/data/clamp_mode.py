"""Current clamp or voltage clamp, inferred from the traces where the format does not record it.

A membrane potential cannot jump, because the capacitance integrates the current. A "voltage" that jumps between
constant levels while the "current" is noisy is therefore a command, and the current is the response. Readers of formats
that record the mode put it into the facts of the recording, under `CLAMP`, and nothing is inferred.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ephysfit.arrays import Trace
from ephysfit.data.recording import Recording, Rejected, Sweep
from ephysfit.data.sides import Sides

#: name of the fact that states what was clamped, and how that is known
CLAMP = "clamp"
#: smallest jump of a command that counts, mV, and in standard deviations of the voltage's noise
JUMP, ABOVE_NOISE = 3.0, 12.0
#: a jump is over within this, and a level is held for at least that, ms
EDGE, HELD = 0.3, 1.0
#: what steps leave unexplained of the voltage: parts of the largest jump, and of the noise
EXACT, NOISY, NOISE = 1e-4, 0.02, 3.0
#: in a noisy voltage, the current overshoots at so many of the jumps, by so many standard deviations of its noise and
#: this part of its change, as the charging of a membrane does
MOST, OVERSHOOT, ABOVE = 0.6, 6.0, 0.3
#: a current that moves by so much, pA, as means over this time, ms, moves a cell by more than over this, GOhm
UNMOVED, SLOW, STIFF = 100.0, 20.0, 1e-3
#: a recorded current differs from the sample before at least so often
CHANGING = 0.05
#: samples needed for a decision
ENOUGH = 100


@dataclass(frozen=True)
class Steps:
    """A voltage described as steps.

    Attributes
    ----------
    edges : tuple of (int, int)
        Jumps: the last sample before and the first one after.
    levels : tuple of float
        Levels between the jumps, mV.
    exact : bool
        Whether the levels explain the voltage without any noise.
    """

    edges: tuple[tuple[int, int], ...]
    levels: tuple[float, ...]
    exact: bool


def drop_voltage_clamp(recording: Recording, sides: Sides | None = None) -> Recording:
    """Reject the sweeps that look like voltage clamp, if the format does not record what was clamped.

    Parameters
    ----------
    recording
        The recording as read from its file.
    sides
        Sweeps that train and that test; a flat training sweep is not judged by a test sweep.

    Raises
    ------
    NothingUsableError
        If no sweep is left.
    """
    if CLAMP in recording.facts or all(sweep.voltage is None for sweep in recording.sweeps):
        return recording
    found: dict[int, str] = {}
    for side in (sides or Sides(tuple(range(len(recording))))).both:
        judged = find_voltage_clamp(tuple(recording.sweeps[k] for k in side))
        found |= {side[k]: said for k, said in judged.items()}
    kept = tuple(sweep for k, sweep in enumerate(recording.sweeps) if k not in found)
    rejected = tuple(Rejected(recording.sweeps[k].name, said) for k, said in found.items())
    facts = {**recording.facts, CLAMP: "current clamp judged by the traces; the file does not record the mode"}
    return replace(recording, sweeps=kept, rejected=(*recording.rejected, *rejected), facts=facts)


def find_voltage_clamp(sweeps: tuple[Sweep, ...]) -> dict[int, str]:
    """Find the sweeps whose voltage was imposed: position to the reason.

    A sweep in which nothing happens cannot be judged by itself; it is treated like the others of the recording.
    """
    found = {k: said for k, sweep in enumerate(sweeps) if (said := explain_voltage_clamp(sweep))}
    if not found:
        return {}
    flat = [
        k
        for k, s in enumerate(sweeps)
        if k not in found
        and s.voltage is not None
        and _estimate_noise(s.current)
        and not np.ptp(s.voltage[np.isfinite(s.voltage)])
    ]
    return found | {k: f"its voltage is flat, and in others of the file {next(iter(found.values()))}" for k in flat}


def explain_voltage_clamp(sweep: Sweep) -> str:
    """Explain in a sentence why a sweep looks like voltage clamp; empty if it does not.

    Examples
    --------
    >>> rng, command = np.random.default_rng(0), np.repeat([-70.0, -40.0, -70.0], 1000)
    >>> explain_voltage_clamp(Sweep(2 * (command + 70) + rng.normal(size=3000), 0.1, command))[:60]
    'the voltage goes in jumps between levels that it holds exact'
    """
    if sweep.voltage is None or sweep.steps < ENOUGH or not _is_recorded(sweep.current):
        return ""
    voltage, current = sweep.voltage, sweep.current
    finite = np.isfinite(voltage)
    if not finite.all():
        voltage, current = voltage[finite], current[finite]
    if len(voltage) < ENOUGH:
        return ""
    moved, answered = _measure_slow_range(current, sweep.dt), _measure_slow_range(voltage, sweep.dt)
    if moved > UNMOVED and answered < STIFF * moved and sweep.spike_source == "none":
        how = "exactly " if not np.ptp(voltage) else ""
        return _add_way_out(
            f"the voltage stays at {how}{np.median(voltage):.1f} mV while the current moves by {moved:.0f} pA"
        )
    steps = find_voltage_steps(voltage, sweep.dt)
    if steps is None or _is_staircase(steps):
        return ""
    listed = ", ".join(f"{level:g}" for level in list(dict.fromkeys(round(v, 1) for v in steps.levels))[:4])
    if steps.exact:
        return _add_way_out(
            f"the voltage goes in jumps between levels that it holds exactly ({listed} mV), the current is noisy"
        )
    if _current_overshoots(steps, current, sweep.dt):
        return _add_way_out(
            f"the voltage jumps between {listed} mV faster than a membrane charges, the current overshoots"
        )
    return ""


def _add_way_out(observation: str) -> str:
    return f"{observation}: this looks like voltage clamp; if it is current clamp, give clamp='current'"


def find_voltage_steps(voltage: Trace, dt: float) -> Steps | None:
    """Describe a voltage as jumps between levels; None unless they explain all of it but noise."""
    noise = _estimate_noise(voltage)
    width = max(round(EDGE / dt), 1)
    least = max(JUMP, ABOVE_NOISE * noise)
    moving = np.flatnonzero(np.abs(voltage[width:] - voltage[:-width]) >= least)
    if not moving.size:
        return None
    groups = np.split(moving, np.flatnonzero(np.diff(moving) > 1) + 1)
    edges = [(int(g[0]), int(g[-1]) + width) for g in groups]
    bounds = [0, *(side for edge in edges for side in (edge[0] + 1, edge[1])), len(voltage)]
    spans = list(zip(bounds[::2], bounds[1::2], strict=True))
    held = max(round(HELD / dt), 3)
    if any(stop - start < held for start, stop in spans[1:-1]) or any(b - a > 3 * width for a, b in edges):
        return None
    levels = [float(np.median(voltage[start:stop])) if stop > start else float(voltage[start]) for start, stop in spans]
    left = np.concatenate([voltage[start:stop] - level for (start, stop), level in zip(spans, levels, strict=True)])
    largest = float(np.abs(np.diff(levels)).max())
    if largest < least:
        return None
    exact = bool(np.abs(left).max() <= EXACT * largest)
    explained = exact or float(np.sqrt(np.mean(left**2))) <= max(NOISY * largest, NOISE * noise)
    return Steps(tuple(edges), tuple(levels), exact) if explained else None


def _is_staircase(steps: Steps) -> bool:
    """Whether the jumps are those of a coarse converter, one step after the other in the same direction."""
    jumps = np.round(np.diff(steps.levels), 6)
    return len(jumps) > 2 and float(np.mean(np.isclose(jumps[1:], jumps[:-1]))) >= 0.5


def _current_overshoots(steps: Steps, current: Trace, dt: float) -> bool:
    """Whether the current overshoots at the jumps of the voltage, in their direction."""
    noise, span = _estimate_noise(current), max(round(HELD / dt), 3)
    overshoots = []
    for (before, after), jump in zip(steps.edges, np.diff(steps.levels), strict=True):
        late = current[after + 3 * span : after + 5 * span]
        if not late.size or before < span:
            continue
        settled, rest = float(np.median(late)), float(np.median(current[before - span : before]))
        near = np.sign(jump) * (current[before : after + span] - settled)
        overshoots.append(float(near.max()) > max(OVERSHOOT * noise, ABOVE * abs(settled - rest)))
    return bool(overshoots) and float(np.mean(overshoots)) >= MOST


def _is_recorded(current: Trace) -> bool:
    """Whether a current is recorded, and not a command of few levels."""
    return float(np.mean(np.diff(current) != 0)) > CHANGING


def _measure_slow_range(trace: Trace, dt: float) -> float:
    """How far a trace moves slowly, in its unit."""
    width = max(round(SLOW / dt), 1)
    count = len(trace) // width
    return float(np.ptp(trace[: count * width].reshape(count, width).mean(axis=1))) if count > 1 else 0.0


def _estimate_noise(trace: Trace) -> float:
    """Standard deviation of the noise; 0 where most samples equal the one before."""
    steps = np.diff(trace[np.isfinite(trace)])
    return 1.4826 * float(np.median(np.abs(steps))) / np.sqrt(2.0) if steps.size else 0.0
