"""Voltage of a cell at three amplitudes of current steps, with the model's noise-free run on the same sweeps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ephysfit.arrays import Trace, Train
from ephysfit.card.pulses import Pulse, find_pulses
from ephysfit.data.holding_current import LEAD
from ephysfit.data.recording import Sweep
from ephysfit.data.resampling import average_over_steps
from ephysfit.fitting.fit_result import Fit
from ephysfit.neuron.roles import Role
from ephysfit.reports.evidence import Evidence, compute_threshold
from ephysfit.simulation.simulate import simulate

#: amplitudes that are shown
SHOWN = 3
#: shown before and after a step, as a part of its length, at most so many ms
AROUND, MOST = 0.25, 200.0


@dataclass(frozen=True, eq=False)
class StepTrace:
    """One step: the recorded sweep and the model's noise-free run on it.

    Attributes
    ----------
    sweep : Sweep
    held_out : bool
    current : float, pA, during the step
    start, stop : float, ms
        The stretch that is shown.
    dt : float
        Step of the model, ms.
    potential : (time,) array or None, in `Fit.potential_unit`; None for a neuron without a membrane potential
    margin : (time,) array, in the same unit, distance to threshold
    spikes : (spike,) array, ms, of the model
    """

    sweep: Sweep
    held_out: bool
    current: float
    start: float
    stop: float
    dt: float
    potential: Trace | None
    margin: Trace
    spikes: Train

    @property
    def threshold(self) -> Trace | None:
        """The threshold: potential minus margin; at a spike that of the step before it."""
        if self.potential is None:
            return None
        return compute_threshold(self.potential, self.margin, self.spikes, self.dt)


def compute_step_traces(evidence: Evidence) -> list[StepTrace]:
    """Compute the traces of three amplitudes: the smallest, the one next to rheobase and the largest.

    Held-out sweeps are preferred for the two that fire. Empty where the recording holds no steps with a voltage.
    """
    chosen = _choose_pulses(evidence)
    return _simulate_pulses(evidence.fit, chosen) if chosen else []


def _choose_pulses(evidence: Evidence) -> list[tuple[Pulse, bool]]:
    sides = [(evidence.test, True), *([] if evidence.train is None else [(evidence.train, False)])]
    found = [(p, held) for recording, held in sides for p in find_pulses(recording.sweeps)
             if p.sweep.voltage is not None]  # fmt: skip
    if not found:
        return []
    longest = max(p.duration for p, _ in found)
    found = sorted([f for f in found if f[0].duration > 0.5 * longest], key=lambda f: f[0].amplitude)
    firing = [f for f in found if len(f[0].spikes)]
    unseen = [f for f in firing if f[1]] or firing
    wanted = [found[0], *unseen[:1], *unseen[-1:], found[-1], found[len(found) // 2]]
    chosen = list({id(p.sweep): (p, held) for p, held in wanted}.values())[:SHOWN]
    return sorted(chosen, key=lambda f: f[0].amplitude)


def _simulate_pulses(fit: Fit, chosen: Sequence[tuple[Pulse, bool]]) -> list[StepTrace]:
    potential = type(fit.neuron).name_of(Role.POTENTIAL)
    more = len(type(fit.neuron).inputs) - 1
    currents = [average_over_steps(p.sweep.current, p.sweep.dt, fit.dt) for p, _ in chosen]
    given = [c if not more else np.stack([c, *[np.zeros_like(c)] * more], -1) for c in currents]
    save = ("margin",) if potential is None else ("margin", potential)
    done = simulate(fit.neuron, given, dt=fit.dt, save=save, settle=LEAD, **fit.noise_free)
    unit = fit.potential_unit
    return [
        StepTrace(
            p.sweep, held, p.holding + p.amplitude, *_find_shown(p), fit.dt,
            None if potential is None else (done.traces[potential][k] - unit.origin) / unit.size,
            done.traces["margin"][k] / unit.size,
            done.spike_times[k][0],
        )
        for k, (p, held) in enumerate(chosen)
    ]  # fmt: skip


def _find_shown(p: Pulse) -> tuple[float, float]:
    around = min(AROUND * p.duration, MOST)
    return max(p.begin - around, 0.0), min(p.end + around, p.sweep.duration)
