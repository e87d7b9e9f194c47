"""The compiled engine: any declared neuron as a generated kernel, rows in SIMD tiles, spikes as events.

A kernel is generated from the same symbolic step as the sequential definition, compiled on first use and kept on disk.
Rows that share a current share a tile, so 500 noisy runs of one stimulus read one array once per 16 rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ephysfit.errors import SimulationError, near
from ephysfit.neuron.declare import Neuron
from ephysfit.neuron.plan import plan
from ephysfit.simulation.engines import long_record
from ephysfit.simulation.engines.kernel_call import KernelCall, KernelResult, Sharpen, raster
from ephysfit.simulation.surrogate import Surrogate

#: a single row of more steps saves its states on plain numbers: a tile would hold as many copies as it has lanes
LONG = 1_000_000


@dataclass(frozen=True, eq=False)
class Run:
    """What an engine of events returns.

    Attributes
    ----------
    shape : (cell, trial)
    steps : int
    begin, at : ndarray of int
        Row r (= cell * trials + trial) spiked in steps ``at[begin[r]:begin[r + 1]]``.
    final : ndarray, (cell, trial, state)
        State after the last step.
    traces : mapping of name to ndarray, (cell, trial, time)
        States after each step, jump included, and ``"margin"`` (mV, before the jump), as requested by `save`.
    """

    shape: tuple[int, int]
    steps: int
    begin: np.ndarray
    at: np.ndarray
    final: np.ndarray
    traces: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def events(self) -> list[np.ndarray]:
        """Steps of the spikes, one array per row."""
        return np.split(self.at, self.begin[1:-1])

    @property
    def counts(self) -> np.ndarray:
        """Number of spikes, (cell, trial)."""
        return np.diff(self.begin).reshape(self.shape)

    def spike_times(self, dt: float) -> list[np.ndarray]:
        """Spike times in ms, one array per row; a spike of step n is at ``(n + 0.5) dt``."""
        return [(e + 0.5) * dt for e in self.events]

    def raster(self) -> np.ndarray:
        """Zeros and ones, (cell, trial, time)."""
        return raster(self.begin, self.at, self.steps).reshape(*self.shape, self.steps)


def run(
    neuron: Neuron,
    current: Any,
    dt: float,
    *,
    thresholds: Any = None,
    forced: Any = None,
    sharpen: Sharpen = (1.0, 0.0),
    dtype: Any = np.float64,
    save: Sequence[str] = (),
    coefs: np.ndarray | None = None,
) -> Run:
    """Run one or many cells with the compiled kernel; spike for spike as `sequential` in float64.

    Parameters
    ----------
    neuron : Neuron
        Parameters are numbers or tensors over the axis `cell`.
    current : ndarray or Tensor, (cell, trial, time) or (cell, trial, time, input)
        pA, constant over each step. Axes `cell` and `trial` of length 1 broadcast against the neuron's cells and the
        trials of `thresholds` or `forced`, without a copy.
    dt : float
        Step in ms.
    thresholds : ndarray or Tensor, (cell, trial, count), optional
        Escape noise: spike k happens when the hazard integrated since the last spike reaches ``thresholds[..., k]``.
    forced : raster (cell, trial, time) or nested lists ``forced[cell][trial]`` of steps, optional
        Recorded spikes to replay instead of the neuron's own.
    sharpen : (float, float) or two arrays (trial,)
        ``(beta, offset)``: the hazard of ``beta * (u - offset)`` is integrated instead of that of u (mV).
    dtype : float32 or float64
    save : sequence of str
        States to return at every step, and ``"margin"``.
    coefs : ndarray, (cell, coefficient), optional
        `coefficients` of these cells at this step, where they are known already.

    Raises
    ------
    SimulationError
        If axes do not fit, the current is not finite, or a name in `save` is unknown.

    Examples
    --------
    >>> from ephysfit.models.lif import LIF
    >>> cell = LIF(C=100.0, g=5.0, E_L=-70.0, theta=-50.0, V_reset=-65.0, t_ref=2.0, delta=2.0)
    >>> out = run(cell, np.full((1, 1, 1000), 150.0), 0.1)
    >>> out.spike_times(0.1)[0].round(2).tolist()
    [21.95, 42.35, 62.75, 83.15]
    """
    given: dict[str, Any] = {"thresholds": thresholds, "forced": forced, "dtype": dtype, "coefs": coefs}
    problem = Problem.of(neuron, current, dt, **given)
    if save and problem.layout.real.sum() == 1 and problem.steps > LONG:
        problem = Problem.of(neuron, current, dt, lanes=1, **given)
    names = plan(type(neuron)).states
    for name in save:
        if name not in (*names, "margin"):
            raise SimulationError(
                f"{type(neuron).__name__} has no state {name!r} to save; {near(name, [*names, 'margin'])}"
            )
    saved = tuple(-1 if name == "margin" else names.index(name) for name in save)
    result = problem.forward(save=saved, sharpen=sharpen)
    result.refuse_bad_input()
    traces = {n: problem.layout.scatter_traces(result.saved[:, k]) for k, n in enumerate(save)}
    return Run(
        shape=(problem.layout.cells, problem.layout.trials),
        steps=problem.steps,
        begin=result.begin,
        at=result.at,
        final=np.moveaxis(problem.layout.scatter(result.final[: problem.states]), 0, -1),
        traces=traces,
    )


@dataclass(frozen=True, eq=False)
class Problem(KernelCall):
    """A kernel call that takes one long record in stretches, side by side, where that is worthwhile (`chunks`)."""

    def forward(
        self,
        *,
        save: tuple[int, ...] = (),
        keep: bool = False,
        tau: float | None = None,
        sharpen: Sharpen = (1.0, 0.0),
        escape: bool = False,
    ) -> KernelResult:
        """Run; with `tau` (ms) also the van Rossum trace against the lists, or the log-likelihood of forced spikes."""
        if not save and long_record.is_worthwhile(self):
            return long_record.forward(self, keep=keep, tau=tau)
        return self.run(save=save, keep=keep, tau=tau, sharpen=sharpen, escape=escape)

    def reverse(
        self,
        result: KernelResult,
        *,
        source: str,
        surrogate: Surrogate,
        detach: bool,
        tau: float | None,
        dense: Any,
        drive: bool,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Derivatives of a kept run with respect to coefficients (coefficient, cell, trial) and current (by lane).

        `dense` is dL/ds or dL/du, (cell, trial, time), for those sources.
        """
        how: dict[str, Any] = {"source": source, "surrogate": surrogate, "detach": detach, "tau": tau, "drive": drive}
        if result.parts:
            return long_record.reverse(result, dense=dense, **how)
        gradient, driven, _ = self.run_back(result, dense=dense, **how)
        return self.layout.scatter(gradient), driven
