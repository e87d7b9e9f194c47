"""What can be read off the recording before any fit: membrane, resting potential, threshold, reset, refractoriness."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ephysfit.arrays import Array
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
    step: float = 1.0
    before: float = 3.0
    after: float = 25.0
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
        cell = estimate.neuron.replace(**kept)
        return estimate.with_(neuron=cell, status=status, reports=Reports(PassiveReport(kept, voltage)))

    def _estimate_refractory_period(self, problem: Problem) -> float:
        """Just under the shortest intervals, in whole steps, 0.5 to 4 ms."""
        intervals = np.concatenate([np.diff(s.spike_times) for s in problem.recording.sweeps] or [np.empty(0)])
        shortest = float(np.quantile(intervals, 0.002)) if intervals.size else 4.0
        return max(round(min(0.8 * shortest, 4.0) / problem.dt), 1) * problem.dt

    def _assume_membrane(self, problem: Problem) -> dict[Role, float]:
        current = np.concatenate(
            [c[m] for c, m in zip(problem.trials.current[0].numpy(), problem.counted, strict=True)]
        )
        rheobase = max(abs(float(current.mean())) + 0.5 * float(current.std()), 5.0)
        g = rheobase / 20.0
        return {
            Role.LEAK: g, Role.CAPACITANCE: 20.0 * g, Role.REST: -65.0, Role.THRESHOLD: -45.0, Role.RESET: -60.0,
        }  # fmt: skip

    def _measure_membrane(self, problem: Problem, refractory: float) -> dict[Role, float]:
        rows, change, onset, reset = [], [], [], []
        for sweep in problem.recording.sweeps:
            if sweep.voltage is None:
                continue
            x, y = self._prepare_regression(sweep)
            rows.append(x)
            change.append(y)
            # a sample before the spike's own, also where samples are coarse
            onset.append(_sample_voltage(sweep, sweep.spike_times - max(0.2, 1.2 * sweep.dt)))
            reset.append(_sample_voltage(sweep, sweep.spike_times + refractory))
        found = _regress_membrane(np.concatenate(rows), np.concatenate(change), self.step)
        theta = _median_or_default(np.concatenate(onset))
        found[Role.THRESHOLD] = theta
        found[Role.RESET] = min(_median_or_default(np.concatenate(reset)), theta - 2.0)
        return found

    def _prepare_regression(self, sweep: Sweep) -> tuple[Array, Array]:
        k = max(round(self.step / sweep.dt), 1)
        n = sweep.steps // k
        assert sweep.voltage is not None
        voltage = sweep.voltage[: n * k].reshape(n, k).mean(1)
        away = sweep.mask()[: n * k].reshape(n, k).all(1) & np.isfinite(voltage)
        for t in sweep.spike_times:
            away[max(int((t - self.before) / self.step), 0) : int((t + self.after) / self.step) + 1] = False
        use = away[:-1] & away[1:]
        design = np.column_stack([voltage[:-1], _mean_current_between(sweep.current, n, k), np.ones(n - 1)])[use]
        return design, (voltage[1:] - voltage[:-1])[use]


def _mean_current_between(current: Array, n: int, k: int) -> Array:
    """Mean current that takes the mean voltage of a block of k samples to that of the next, (n - 1,).

    A sample of voltage is taken after the step its sample of current drives, so what lies between a sample and the one
    k later is the mean of the k currents that follow it; this is averaged over the block. Half the sum of both
    blocks' means, the obvious choice, made C 13 % too small at steps of 0.5 ms.
    """
    total = np.cumsum(current[: n * k])
    following = (total[k:] - total[:-k]) / k
    return following.reshape(n - 1, k).mean(1)


def _regress_membrane(design: Array, change: Array, step: float) -> dict[Role, float]:
    """C, g, E_L of dV = -(1 - e) (V - E_L) + (1 - e) I / g, with e = exp(-step g / C); empty where it fails."""
    if len(change) < 200:
        return {}
    (slope, gain, offset), *_ = np.linalg.lstsq(design, change, rcond=None)
    if not (-0.95 < slope < -1e-4 and gain > 0):
        return {}
    decay = -float(slope)
    g = decay / float(gain)
    tau = -step / np.log1p(-decay)
    return {Role.LEAK: g, Role.CAPACITANCE: float(tau) * g, Role.REST: float(offset) / decay}


def _sample_voltage(sweep: Sweep, times: Any) -> Array:
    assert sweep.voltage is not None
    index = np.round(np.asarray(times) / sweep.dt).astype(int)
    return sweep.voltage[index[(index >= 0) & (index < sweep.steps)]]


def _median_or_default(values: Array) -> float:
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if finite.size else -45.0
