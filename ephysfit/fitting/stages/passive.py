"""What can be read off the recording before any fit: membrane, resting potential, threshold, reset, refractoriness."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ephysfit.arrays import Array
from ephysfit.data.membrane import AFTER, BEFORE, STEP, prepare_regression, regress_membrane
from ephysfit.data.recording import Sweep
from ephysfit.fitting.stage import Estimate, Problem, Stage, Status
from ephysfit.fitting.stage_reports import PassiveReport, Reports
from ephysfit.neuron.roles import Role

#: what a recorded voltage, or a convention where there is none, gives a membrane
MEMBRANE = (Role.CAPACITANCE, Role.LEAK, Role.REST, Role.THRESHOLD, Role.RESET)


@dataclass(frozen=True)
class Passive(Stage):
    """Estimate what has a role in the neuron: capacitance, leak, rest, threshold, reset, refractory period.

    With a voltage: C, g and E_L by regression of dV/dt on V and I away from spikes (Badel et al. 2008,
    J. Neurophysiol. 99, 656-666), theta as the mean voltage at spike onset, V_reset as the mean voltage when the
    refractory period ends. Without: a membrane of 20 ms whose threshold the mean current nearly reaches, 20 mV above
    rest; spikes alone do not fix the mV scale, and the estimate says so.

    Parameters
    ----------
    step : float
        Step of the regression, ms: long against electrode artefacts, short against the membrane.
    before, after : float
        Milliseconds around each spike that are left out.
    t_ref : bool
        Whether to set the refractory period from the shortest intervals.
    """

    name: ClassVar[str] = "passive"
    step: float = STEP
    before: float = BEFORE
    after: float = AFTER
    t_ref: bool = True

    def improve(self, problem: Problem, estimate: Estimate) -> Estimate:
        found: dict[Role, float] = {}
        neuron = problem.neuron
        if self.t_ref and neuron.free_name_of(Role.REFRACTORY):
            found[Role.REFRACTORY] = self._estimate_refractory_period(problem)
        voltage = any(s.voltage is not None for s in problem.recording.sweeps)
        if any(map(neuron.free_name_of, MEMBRANE)) and neuron.name_of(Role.POTENTIAL):
            refractory = found.get(Role.REFRACTORY, float(estimate.neuron.value_of(Role.REFRACTORY, 2.0)))
            found |= self._measure_membrane(problem, refractory) if voltage else self._assume_membrane(problem)
        kept = {}
        for role, value in found.items():
            name = neuron.free_name_of(role)
            if name is not None and np.isfinite(value):
                kept[name] = float(np.clip(value, neuron.parameters[name].low, neuron.parameters[name].high))
        status = Status.CONVERGED if kept else Status.NOT_NEEDED
        cell = problem.hold(estimate.neuron.replace(**kept))
        return estimate.with_(neuron=cell, status=status, reports=Reports(PassiveReport(kept, voltage)))

    def _estimate_refractory_period(self, problem: Problem) -> float:
        """Just under the shortest intervals, in whole steps, 0.5 to 4 ms."""
        intervals = np.concatenate([np.diff(s.spike_times) for s in problem.recording.sweeps] or [np.empty(0)])
        shortest = float(np.quantile(intervals, 0.002)) if intervals.size else 4.0
        return max(round(min(0.8 * shortest, 4.0) / problem.dt), 1) * problem.dt

    def _assume_membrane(self, problem: Problem) -> dict[Role, float]:
        current = np.concatenate([c[m] for c, m in zip(problem.trials.current[0], problem.counted, strict=True)])
        rheobase = max(abs(float(current.mean())) + 0.5 * float(current.std()), 5.0)
        g = rheobase / 20.0
        return {
            Role.LEAK: g, Role.CAPACITANCE: 20.0 * g, Role.REST: -65.0, Role.THRESHOLD: -45.0, Role.RESET: -60.0,
        }  # fmt: skip

    def _measure_membrane(self, problem: Problem, refractory: float) -> dict[Role, float]:
        rows, onset, reset = [], [], []
        for sweep in problem.recording.sweeps:
            if sweep.voltage is None:
                continue
            rows.append(prepare_regression(sweep, self.step, self.before, self.after))
            # a sample before the spike's own, also where samples are coarse
            onset.append(_sample_voltage(sweep, sweep.spike_times - max(0.2, 1.2 * sweep.dt)))
            reset.append(_sample_voltage(sweep, sweep.spike_times + refractory))
        membrane = regress_membrane(rows, self.step)
        found = {} if membrane is None else {
            Role.LEAK: membrane.conductance, Role.CAPACITANCE: membrane.capacitance, Role.REST: membrane.rest,
        }  # fmt: skip
        theta = _median_or_default(np.concatenate(onset))
        found[Role.THRESHOLD] = theta
        found[Role.RESET] = min(_median_or_default(np.concatenate(reset)), theta - 2.0)
        return found


def _sample_voltage(sweep: Sweep, times: Any) -> Array:
    assert sweep.voltage is not None
    index = np.round(np.asarray(times) / sweep.dt).astype(int)
    return sweep.voltage[index[(index >= 0) & (index < sweep.steps)]]


def _median_or_default(values: Array) -> float:
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if finite.size else -45.0
