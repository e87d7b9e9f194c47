"""Maximum likelihood with the recorded spikes replayed, from several starts (`ephysfit.fitting.ascent` climbs)."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch

from ephysfit.arrays import Array
from ephysfit.errors import FitError
from ephysfit.fitting.ascent import Ascent, Posterior, ascend
from ephysfit.fitting.prior import pack_symmetric
from ephysfit.fitting.stage import Estimate, Need, Problem, Stage, Status
from ephysfit.fitting.stage_reports import LikelihoodReport, PriorReport, Reports, VoltageReport
from ephysfit.fitting.voltage_likelihood import (
    Voltage,
    estimate_voltage_noise,
    select_voltage_samples,
    summarize_voltage_fit,
)
from ephysfit.kernels.threads import count
from ephysfit.neuron.declare import Neuron, scalar_values
from ephysfit.neuron.free_parameters import FreeParameters, as_floats
from ephysfit.simulation.replay import Noise, Replay, ReplaySweep

#: shortest uninterrupted training data in which ``drift=None`` looks for a drift, ms
STEADY = 20000.0
#: standard errors from which a drift that ``drift=None`` found is kept
EVIDENT = 2.0
#: most rounds of neuron and voltage noise, and the change of either measure of the noise under which they stop
TURNS, SETTLED = 6, 0.02
#: correlation of two estimates above which they are named as indistinguishable
ALIKE = 0.97


@dataclass(frozen=True)
class Likelihood(Stage):
    """Fit by maximum likelihood with the recorded spikes replayed, from several starts.

    Every start climbs a little: first the parameters in which the log rate is near linear, then all. The start that
    got highest climbs to the top. Starts are the estimate it was given, the neuron's declared `alternatives`, the
    fits of simpler neurons that the problem brings (`Problem.extra_starts`), then random draws about the estimate.

    Parameters
    ----------
    steps : int
        Most Fisher-scoring steps of the last ascent.
    starts : int
        1: the estimate alone. Else all known places; a neuron that declares no alternatives also tries ``starts - 1``
        random draws.
    first, trial : int
        Steps of each start: of the near-linear parameters, then of all.
    prior : float
        Weight of the declared prior per recorded spike; that of a population (`Problem.priors`) counts as it is.
    tolerance : float
        Stop when three steps in a row gain less, in nats.
    names : tuple of str
        Parameters to move; all smooth ones unless given.
    drift : int or None
        Pieces of a slow drift of the log rate over the training data, zero at its end: what is fitted is then the
        cell as it was last. 0 for none. None: one where the training data are a single sweep of 20 s or more (in a
        series of steps order and amplitude are confounded), kept if it is two standard errors from 0. A neuron
        that fits badly takes its own misfit for a drift, so none is modelled by default; a fit warns where a cell
        drifts.
    recent : float or None
        Half-life of the data's weight, ms: a spike or silence so long before the end of the training data counts half
        as much in the likelihood. For cells that change; costs precision where they do not. None: all count alike.
    spread : float
        Of random starts, in prior widths.
    held_out : bool
        Leave the validation blocks out of the likelihood, so that `Estimate.validation` is that of data that were not
        fitted.
    voltage : Voltage, optional
        Also fit the recorded voltage away from spikes. Spikes alone leave the mV scale open; with the voltage
        capacitance, conductances and potentials have values. Losses remain those of the spikes.
    """

    name: ClassVar[str] = "likelihood"
    needs: ClassVar[tuple[Need, ...]] = (Need.HAZARD, Need.SPIKES)
    steps: int = 120
    starts: int = 3
    first: int = 6
    trial: int = 8
    prior: float = 1e-3
    tolerance: float = 0.05
    names: tuple[str, ...] = ()
    drift: int | None = 0
    recent: float | None = None
    spread: float = 0.7
    held_out: bool = False
    voltage: Voltage | None = None

    def __post_init__(self) -> None:
        if self.recent is not None and not self.recent > 0:
            raise FitError(f"Likelihood(recent={self.recent:g}): a half-life is a time above 0 ms")

    def improve(self, problem: Problem, estimate: Estimate) -> Estimate:
        climb = _LikelihoodClimb(self, problem, estimate.neuron)
        begun = self._climb_from_starts(climb, self._list_starts(problem, estimate.neuron))
        cell, _ = max(begun, key=lambda b: b[1].value)
        cell, found = climb.climb_to_top(cell)
        free = FreeParameters.of(problem.neuron, climb.everything)
        bounds = free.on_bound(cell)
        spread, correlated = standard_errors_of(free, found)
        report = LikelihoodReport(
            top=scalar_values(cell),
            prior=climb.report_prior(),
            standard_errors=spread,
            correlated=correlated,
            starts=tuple(-a.value / problem.n_spikes for _, a in begun),
            drift=tuple(found.z[len(free.names) :].tolist()),
            recent=self.recent,
            voltage=climb.report_voltage(cell),
            seen=found.target.expand_data_likelihood(found.z, found.information),
            curves=tuple(tuple(-v / problem.n_spikes for v in a.values) for a in (*(a for _, a in begun), found)),
            at_bound=tuple(bounds),
            steps=len(found.values) - 1,
        )
        return estimate.with_(
            neuron=cell,
            status=Status.AT_BOUND if bounds and found.status is Status.CONVERGED else found.status,
            **climb.compute_losses(cell, found),
            reports=Reports(report),
        )

    def _list_starts(self, problem: Problem, cell: Neuron) -> list[Neuron]:
        if self.starts == 1:
            return [cell]
        known = [
            cell,
            *(cell.replace(**_select_parameters(cell, a)) for a in problem.neuron.alternatives),
            *problem.extra_starts,
        ]
        rng = problem.rng(1)
        loose = [n for n, p in problem.neuron.parameters.items() if not (p.early or p.measured) and p.smooth]
        free = FreeParameters.of(problem.neuron, loose or None, smooth_only=True)
        draws = 0 if problem.neuron.alternatives else self.starts - 1
        if problem.prior is not None:
            known.append(problem.prior.cell(cell))
        return known + [as_floats(free.to_neuron(free.drawn(cell, self.spread, rng), cell)) for _ in range(draws)]

    def _climb_from_starts(self, climb: _LikelihoodClimb, starts: list[Neuron]) -> list[tuple[Neuron, Ascent]]:
        """Short ascents of all starts, on the threads a run may use (kernels release the interpreter's lock)."""

        def short(cell: Neuron) -> tuple[Neuron, Ascent]:
            if climb.early:
                cell, _ = climb(cell, climb.early, self.first)
            return climb(cell, climb.everything, self.trial)

        if len(starts) == 1:
            return [short(starts[0])]
        for names in filter(None, (climb.early, climb.everything)):
            climb(starts[0], names, 1)  # compiles the kernels once, before threads would each do it
        with ThreadPoolExecutor(count()) as pool:
            return list(pool.map(short, starts))


class _LikelihoodClimb:
    """Ascents of one problem: which parameters, which data, which prior."""

    def __init__(self, stage: Likelihood, problem: Problem, centre: Neuron) -> None:
        self.stage, self.problem = stage, problem
        self.centre = centre if problem.prior is None else problem.prior.cell(centre)
        self.everything = FreeParameters.of(problem.neuron, stage.names or None, smooth_only=True).names
        early = [n for n, p in problem.neuron.parameters.items() if p.early]
        self.early = (
            tuple(n for n in FreeParameters.of(problem.neuron, early, smooth_only=True).names if n in self.everything)
            if early
            else ()
        )
        data = weight_by_recency(problem.train if stage.held_out else problem.everything, stage.recent, problem.dt)
        unasked = int(len(data) == 1 and data[0].use.sum() * problem.dt >= STEADY)
        self.pieces = unasked if stage.drift is None else stage.drift
        self.sweeps = [replace(t, slow=drift_ramps(len(t.spikes), self.pieces)) for t in data]
        self.noise: Noise | None = None
        if stage.voltage is not None:
            self.sweeps = select_voltage_samples(problem, self.sweeps, stage.voltage)
            self.noise = self._estimate_noise(centre)
        self.n_spikes = max(sum(t.n_spikes for t in data), 1)

    def _estimate_noise(self, cell: Neuron) -> Noise:
        assert self.stage.voltage is not None
        free = FreeParameters.of(self.problem.neuron, self.everything)
        return estimate_voltage_noise(free, cell, self.problem.dt, self.sweeps, self.stage.voltage)

    def report_prior(self) -> PriorReport:
        """The prior as a fit keeps it."""
        kept = PriorReport(self.stage.prior, scalar_values(self.centre), self.everything)
        known = self.problem.prior
        if known is None:
            return kept
        return replace(kept, cells=known.cells, precision=pack_symmetric(known.precision(self.everything)))

    def report_voltage(self, cell: Neuron) -> VoltageReport | None:
        """The report on the voltage, where that was fitted too."""
        if self.noise is None or self.stage.voltage is None:
            return None
        free = FreeParameters.of(self.problem.neuron, self.everything)
        return summarize_voltage_fit(free, cell, self.problem.dt, self.sweeps, self.stage.voltage, self.noise)

    def climb_to_top(self, cell: Neuron) -> tuple[Neuron, Ascent]:
        """The last ascent; with a voltage again and again, until its noise, estimated in between, stays."""
        there, found = self._climb_with_drift(cell)
        for _ in range(TURNS if self.noise else 0):
            before, after = self.noise, self._estimate_noise(there)
            assert before is not None
            self.noise = after
            there, found = self._climb_with_drift(there)
            pairs = ((after.spread, before.spread), (1 - after.keep, 1 - before.keep), (after.weight, before.weight))
            if max(abs(np.log(a / b)) for a, b in pairs) < SETTLED:
                break
        return there, found

    def _climb_with_drift(self, cell: Neuron) -> tuple[Neuron, Ascent]:
        """An ascent to the top, with the drift; without it where ``drift=None`` and the data show none."""
        there, found = self(cell, self.everything, self.stage.steps, self.pieces)
        if not self.pieces or self.stage.drift is not None:
            return there, found
        weights = found.z[-self.pieces :].numpy()
        spread = np.sqrt(np.clip(np.diag(np.linalg.pinv(found.information.fisher, hermitian=True)), 0, None))
        if np.isfinite(found.value) and (np.abs(weights) > EVIDENT * spread[-self.pieces :]).any():
            return there, found
        return self(there, self.everything, self.stage.steps)

    def __call__(self, cell: Neuron, names: tuple[str, ...], steps: int, pieces: int = 0) -> tuple[Neuron, Ascent]:
        free = FreeParameters.of(self.problem.neuron, names)
        replay = Replay(free, cell, self.problem.dt, self.noise)
        known = self.problem.prior
        sure = None if known is None else known.precision(names)
        target = Posterior(replay, self.sweeps, self.stage.prior, free.place(self.centre), pieces, precision=sure)

        def report(fraction: float, z: torch.Tensor, value: float) -> None:
            here = lambda: as_floats(free.to_neuron(target.split_coordinates(z)[0], cell))  # noqa: E731
            self.problem.report_progress(self.stage.name, fraction, -value / self.n_spikes, here)

        start = target.append_zero_drift(free.to_vector(cell))
        found = ascend(target, start, steps=steps, tolerance=self.stage.tolerance, bounded=len(names), report=report)
        return as_floats(free.to_neuron(target.split_coordinates(found.z)[0], cell)), found

    def compute_losses(self, cell: Neuron, found: Ascent) -> dict[str, float]:
        """Negative log-likelihood per spike, on all that was fitted and on its validation blocks."""
        free = FreeParameters.of(self.problem.neuron, self.everything)
        replay, z = Replay(free, cell, self.problem.dt), found.z[: len(free.names)]
        drift = found.z[len(free.names) :].numpy()
        validate = [replace(v, slow=s.slow) for v, s in zip(self.problem.validate, self.sweeps, strict=True)]
        count = max(sum(v.n_spikes for v in validate), 1)
        return {
            "train": -replay.value(z, self.sweeps, drift) / self.n_spikes,
            "validation": -replay.value(z, validate, drift) / count,
        }


def drift_ramps(steps: int, pieces: int) -> Array | None:
    """Ramps that end at 0, one per piece of the sweep, (time, piece): their weights are the changes over each piece."""
    if not pieces:
        return None
    place = np.linspace(0.0, pieces, steps)[:, None]
    return np.ascontiguousarray(np.clip(place - np.arange(pieces), 0.0, 1.0) - 1.0)


def weight_by_recency(sweeps: Sequence[ReplaySweep], half_life: float | None, dt: float) -> list[ReplaySweep]:
    """The sweeps, taken one after the other, with weights that halve over `half_life` ms back from the last sample."""
    if half_life is None:
        return list(sweeps)
    out: list[ReplaySweep] = []
    after = 0.0  # ms of counted data after a sweep
    for s in reversed(sweeps):
        left = after + dt * (np.cumsum(s.use[::-1])[::-1] - s.use)
        out.append(replace(s, use=s.use * 0.5 ** (left / half_life)))
        after += dt * float(s.use.sum())
    return out[::-1]


def standard_errors_of(
    free: FreeParameters, found: Ascent
) -> tuple[dict[str, float], tuple[tuple[str, str, float], ...]]:
    """Standard errors from the Fisher information (prior included) and pairs of parameters it cannot tell apart."""
    n = len(free.names)
    with np.errstate(invalid="ignore"):
        covariance = np.linalg.pinv(found.information.fisher, hermitian=True)[:n, :n]
        spread = np.sqrt(np.clip(np.diag(covariance), 0, None))
        correlation = covariance / np.maximum(np.outer(spread, spread), 1e-300)
    z = found.z[:n].detach()
    slopes = free.slopes(z).numpy()
    pairs = np.argwhere(np.triu(np.abs(correlation) > ALIKE, 1))
    return (
        {name: float(s) for name, s in zip(free.names, np.abs(slopes) * spread, strict=True)},
        tuple((free.names[i], free.names[j], float(correlation[i, j])) for i, j in pairs),
    )


def _select_parameters(cell: Neuron, values: Any) -> dict[str, Any]:
    """The part of an alternative start that is free in this neuron."""
    return {k: v for k, v in values.items() if k in type(cell).parameters}
