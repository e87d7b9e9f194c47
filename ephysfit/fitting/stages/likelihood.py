"""Maximum likelihood with the recorded spikes replayed, from several starts (`ephysfit.fitting.ascent` climbs)."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from ephysfit.arrays import Array
from ephysfit.errors import FitError
from ephysfit.fitting.ascent import Ascent, Posterior, ascend
from ephysfit.fitting.assumed_steps import assume_steps, holds_only_noise, make_assumed_sweeps
from ephysfit.fitting.prior import pack_symmetric
from ephysfit.fitting.stage import Estimate, Need, Problem, Stage, Status
from ephysfit.fitting.stage_reports import AssumedStep, LikelihoodReport, PriorReport, Reports, VoltageReport
from ephysfit.fitting.voltage_likelihood import (
    Voltage,
    estimate_voltage_noise,
    select_voltage_samples,
    summarize_voltage_fit,
)
from ephysfit.kernels.threads import count
from ephysfit.neuron.declare import Neuron, flatten, scalar_values
from ephysfit.neuron.free_parameters import FreeParameters, as_floats
from ephysfit.simulation.replay import Noise, Replay, ReplaySweep

#: shortest uninterrupted training data in which ``drift=None`` looks for a drift, ms
STEADY = 20000.0
#: standard errors from which a drift that ``drift=None`` found is kept
EVIDENT = 2.0
#: most rounds of neuron and voltage noise, and the change of either measure of the noise under which they stop
TURNS, SETTLED = 6, 0.02
#: first looks at starts take one part in so many of the data, where that holds so many spikes
PART, ENOUGH = 3, 60
#: random draws whose likelihood is computed for one that is climbed from
DRAWN = 3
#: draws that go on to all of the data
FURTHER = 2
#: data, ms, to which a neuron that declares where its fits begin affords one draw: more where they are shorter
AFFORDED = 40_000.0
#: how many climb to the top; a neuron that declares where its fits begin climbs from one place
FINALISTS = 2
#: correlation of two estimates above which they are named as indistinguishable
ALIKE = 0.97


@dataclass(frozen=True)
class Likelihood(Stage):
    """Fit by maximum likelihood with the recorded spikes replayed, from several starts.

    Every start climbs a little: first the parameters in which the log rate is near linear, then all. The two that got
    highest climb to the top (one, where the neuron declares `alternatives`). Starts are the estimate it was given, the
    declared alternatives, the fits of simpler neurons that the problem brings (`Problem.extra_starts`), then random
    draws about the estimate: of three times as many the most likely, climbed from on a part of the data first.

    Parameters
    ----------
    steps : int
        Most Fisher-scoring steps of the last ascent.
    starts : int
        1: the estimate alone. Else all known places, and draws.
    draws : int
        Random draws to climb from; fewer where a neuron declares alternatives and the data are long.
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
        Of random starts, in prior widths; every second one is drawn twice as far.
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
    draws: int = 4
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
        last = 1 if problem.neuron.alternatives or not self.draws else FINALISTS
        ended = [climb.climb_to_top(cell) for cell, _ in _rank(begun)[:last]]
        cell, found = max(ended, key=lambda e: e[1].value)
        free = problem.free(climb.everything)
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
            assumed=climb.assumed,
        )
        return estimate.with_(
            neuron=cell,
            status=Status.AT_BOUND if bounds and found.status is Status.CONVERGED else found.status,
            **climb.compute_losses(cell, found),
            reports=Reports(report),
            others=tuple(other for other, _ in begun) if len(begun) > 1 else estimate.others,
        )

    def _list_starts(self, problem: Problem, cell: Neuron) -> list[Neuron]:
        if self.starts == 1:
            return [cell]
        known = [
            cell,
            *(cell.replace(**_select_parameters(cell, a)) for a in problem.neuron.alternatives),
            *problem.extra_starts,
        ]
        if problem.prior is not None:
            known.append(problem.prior.cell(cell))
        if not (self.names or problem.held):
            return known
        # a start is another cell's or neuron's, and says nothing of what this climb does not move
        moved = problem.free(self.names or None)
        return [_take_from_start(moved, start, cell) for start in known]

    def _draw_starts(self, climb: _LikelihoodClimb, cell: Neuron) -> list[Neuron]:
        """The most likely of many random draws about the estimate, near and far in turn."""
        problem, rng = climb.problem, climb.problem.rng(1)
        loose = [n for n, p in problem.neuron.parameters.items() if not (p.early or p.measured) and p.smooth]
        free = problem.free(loose or None, smooth_only=True)
        drawn = []
        draws = self.draws
        if problem.neuron.alternatives:
            counted = problem.dt * sum(float((s.use > 0).sum()) for s in problem.everything)
            draws = min(draws, int(AFFORDED / counted))
        for k in range(DRAWN * draws):
            z = free.drawn(cell, self.spread * (1 + k % 2), rng)
            drawn.append(as_floats(free.to_neuron(z, cell)))
        return sorted(drawn, key=climb.value, reverse=True)[:draws]

    def _climb_from_starts(self, climb: _LikelihoodClimb, starts: list[Neuron]) -> list[tuple[Neuron, Ascent]]:
        """Short ascents of all starts; draws are first looked at on a part of the data."""
        if self.starts == 1:
            return [self._climb_a_little(climb, starts[0])]
        part = climb.on_part()
        for names in filter(None, (climb.early, climb.everything)):
            climb(starts[0], names, 1)  # compiles the kernels once, before threads would each do it
        drawn = self._draw_starts(part, starts[0])
        with ThreadPoolExecutor(count()) as pool:
            # on the threads a run may use: kernels release the interpreter's lock
            begun = list(pool.map(lambda cell: self._climb_a_little(climb, cell), starts))
            looked = _rank(list(pool.map(lambda cell: self._climb_a_little(part, cell), drawn)))[:FURTHER]
            return begun + list(pool.map(lambda b: climb(b[0], climb.everything, self.trial), looked))

    def _climb_a_little(self, climb: _LikelihoodClimb, cell: Neuron) -> tuple[Neuron, Ascent]:
        if climb.early and self.first:
            cell, _ = climb(cell, climb.early, self.first)
        return climb(cell, climb.everything, self.trial)


class _LikelihoodClimb:
    """Ascents of one problem: which parameters, which data, which prior."""

    def __init__(self, stage: Likelihood, problem: Problem, centre: Neuron) -> None:
        self.stage, self.problem = stage, problem
        self.centre = centre if problem.prior is None else problem.hold(problem.prior.cell(centre))
        self.everything = problem.free(stage.names or None, smooth_only=True).names
        early = [n for n, p in problem.neuron.parameters.items() if p.early]
        self.early = (
            tuple(n for n in problem.free(early, smooth_only=True).names if n in self.everything) if early else ()
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
        self.assumed = self._assume_steps()

    def _assume_steps(self) -> tuple[AssumedStep, ...]:
        """Steps to assume beside the data; none where nothing is left open, or none are asked for."""
        problem = self.problem
        if not (problem.assume_steps and problem.neuron.sustained and holds_only_noise(problem.recording)):
            return ()
        run_up = problem.run_up(0)
        holding = float(run_up[0]) if len(run_up) else 0.0
        return assume_steps(self.sweeps, problem.dt, holding)

    def on_part(self) -> _LikelihoodClimb:
        """The same ascents on a part of the data, where that holds enough spikes."""
        out = copy(self)
        out.sweeps = take_part(self.sweeps)
        out.n_spikes = max(sum(t.n_spikes for t in out.sweeps), 1)
        out.assumed = ()
        return out

    def value(self, cell: Neuron) -> float:
        """The log-posterior of a cell, nats."""
        free, target = self._target(cell, self.everything)
        return target.value(free.to_vector(cell))

    def _target(self, cell: Neuron, names: tuple[str, ...], pieces: int = 0) -> tuple[FreeParameters, Posterior]:
        free = FreeParameters.of(self.problem.neuron, names)
        replay = Replay(free, cell, self.problem.dt, self.noise)
        known = self.problem.prior
        sure = None if known is None else known.precision(names)
        place = free.place(self.centre)
        assumed = make_assumed_sweeps(self.assumed, self.problem.dt, pieces)
        return free, Posterior(replay, self.sweeps, self.stage.prior, place, pieces, precision=sure, assumed=assumed)

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
        weights = found.z[-self.pieces :]
        spread = np.sqrt(np.clip(np.diag(np.linalg.pinv(found.information.fisher, hermitian=True)), 0, None))
        if np.isfinite(found.value) and (np.abs(weights) > EVIDENT * spread[-self.pieces :]).any():
            return there, found
        return self(there, self.everything, self.stage.steps)

    def __call__(self, cell: Neuron, names: tuple[str, ...], steps: int, pieces: int = 0) -> tuple[Neuron, Ascent]:
        free, target = self._target(cell, names, pieces)

        def report(fraction: float, z: Array, value: float) -> None:
            here = lambda: as_floats(free.to_neuron(target.split_coordinates(z)[0], cell))  # noqa: E731
            self.problem.report_progress(self.stage.name, fraction, -value / self.n_spikes, here)

        start = target.append_zero_drift(free.to_vector(cell))
        found = ascend(target, start, steps=steps, tolerance=self.stage.tolerance, bounded=len(names), report=report)
        return as_floats(free.to_neuron(target.split_coordinates(found.z)[0], cell)), found

    def compute_losses(self, cell: Neuron, found: Ascent) -> dict[str, float]:
        """Negative log-likelihood per spike, on all that was fitted and on its validation blocks."""
        free = FreeParameters.of(self.problem.neuron, self.everything)
        replay, z = Replay(free, cell, self.problem.dt), found.z[: len(free.names)]
        drift = found.z[len(free.names) :]
        validate = [replace(v, slow=s.slow) for v, s in zip(self.problem.validate, self.sweeps, strict=True)]
        count = max(sum(v.n_spikes for v in validate), 1)
        return {
            "train": -replay.value(z, self.sweeps, drift) / self.n_spikes,
            "validation": -replay.value(z, validate, drift) / count,
        }


def take_part(sweeps: list[ReplaySweep]) -> list[ReplaySweep]:
    """Part of the data for a first look: every `PART`-th sweep, or the beginning of a single one.

    All of them where the part would hold fewer than `ENOUGH` spikes.
    """
    many = len(sweeps) >= 2 * PART
    some = sweeps[PART // 2 :: PART] if many else [_cut(s, len(s.spikes) // PART) for s in sweeps]
    return some if sum(s.n_spikes for s in some) >= ENOUGH else sweeps


def _cut(s: ReplaySweep, n: int) -> ReplaySweep:
    """The first `n` samples of a sweep."""
    first = lambda a: None if a is None else np.ascontiguousarray(a[:n])  # noqa: E731
    return ReplaySweep(s.current[:n], s.spikes[:n], s.use[:n], first(s.slow), first(s.voltage), first(s.compared))


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
    slopes = free.slopes(found.z[:n])
    pairs = np.argwhere(np.triu(np.abs(correlation) > ALIKE, 1))
    return (
        {name: float(s) for name, s in zip(free.names, np.abs(slopes) * spread, strict=True)},
        tuple((free.names[i], free.names[j], float(correlation[i, j])) for i, j in pairs),
    )


def _rank(begun: list[tuple[Neuron, Ascent]]) -> list[tuple[Neuron, Ascent]]:
    """Ascents, the highest first."""
    return sorted(begun, key=lambda b: b[1].value, reverse=True)


def _take_from_start(free: FreeParameters, start: Neuron, cell: Neuron) -> Neuron:
    """`cell` with these parameters of a start."""
    flat = flatten(start.parameters, start.values())
    return free.put({n: flat[n] for n in free.names}, cell)


def _select_parameters(cell: Neuron, values: Any) -> dict[str, Any]:
    """The part of an alternative start that is free in this neuron."""
    return {k: v for k, v in values.items() if k in type(cell).parameters}
