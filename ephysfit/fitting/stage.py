"""Stages of a fit, the problem they work on, and the estimates that pass from one to the next."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from ephysfit.arrays import Array, Mask
from ephysfit.data.holding_current import SKIP, find_holding_current, find_unsettled_time, make_run_up
from ephysfit.data.recording import Recording
from ephysfit.data.trials import Trials
from ephysfit.errors import FitError
from ephysfit.fitting.prior import Prior
from ephysfit.fitting.stage_reports import HeldMembrane, Reports
from ephysfit.neuron.declare import Neuron, scalar_values
from ephysfit.neuron.free_parameters import FreeParameters
from ephysfit.neuron.roles import Role
from ephysfit.simulation.replay import ReplaySweep

#: fewer recorded spikes than this carry no fit
MINIMUM_SPIKES = 5


class Status(StrEnum):
    """How a stage ended; the value is a sentence for the user."""

    CONVERGED = "converged: no step improved the fit any more"
    STEPS_USED = "used all its steps; more may improve the fit a little"
    DIVERGED = "left the range of finite numbers; the estimate before it was kept"
    AT_BOUND = "converged with parameters on their bounds; these are not determined by the data"
    TOO_FEW_SPIKES = f"the training data hold fewer than {MINIMUM_SPIKES} spikes; the start values were kept"
    MISSES = "ended where free runs do not fire as the training data: the fit does not describe the cell"
    NOT_NEEDED = "had nothing to do for this neuron or this recording"


@dataclass(frozen=True)
class Estimate:
    """A neuron with what a stage learned about it.

    Attributes
    ----------
    neuron : Neuron
        One cell, plain floats.
    stage : str
    status : Status
    train, validation : float
        Loss on training and validation blocks (negative log-likelihood per spike, nats, for a stochastic neuron);
        NaN where it was not computed.
    seconds : float
    reports : Reports
        What the stage found beside the neuron, and, on the way to the next stage, what those before it found.
    others : tuple of Neuron
        Further places that a stage reached; a later one may begin where they are better by its own measure. They are
        not saved.
    """

    neuron: Neuron
    stage: str = "start"
    status: Status = Status.NOT_NEEDED
    train: float = np.nan
    validation: float = np.nan
    seconds: float = 0.0
    reports: Reports = field(default_factory=Reports)
    others: tuple[Neuron, ...] = ()

    def with_(self, **changes: Any) -> Estimate:
        """A copy with some fields changed."""
        return replace(self, **changes)


#: called with the name of the running stage and the fraction of it that is done. Where it has a method
#: ``show_estimate(stage, neuron, loss)``, a stage also passes it the current estimate, so that a fit can be displayed
#: while it converges; `neuron` is None where only the loss is known
Progress = Callable[[str, float], None]


def ignore_progress(stage: str, fraction: float) -> None:
    """The default progress: it displays nothing."""


@dataclass(frozen=True, eq=False)
class Problem:
    """What is to be fitted: training data on a grid, which samples train and which validate, and a seed.

    Parameters
    ----------
    recording : Recording
        Training data of one cell. The test data never come near a problem.
    neuron : type[Neuron]
    dt : float
        Step in ms.
    skip : float
        Milliseconds at the start of a long sweep that are simulated but not counted (the initial state is unknown);
        `ephysfit.data.holding_current.find_unsettled_time` says what shorter ones lose.
    validation : float
        Fraction of the counted samples held out in blocks for early stopping and choice.
    extra_starts : tuple of Neuron
        Places where a fit may begin beside the declared ones: fits of simpler neurons, lifted (`fitting.warm_starts`).
    priors : tuple of Prior
        Of populations, by neuron; the one of this neuron takes the place of the declared starts and widths.
    membrane : HeldMembrane, optional
        What no stage moves.
    assume_steps : bool
        Whether likelihoods assume steps of current beside noise that leaves the answer to a steady current open
        (`ephysfit.fitting.assumed_steps`).
    """

    recording: Recording
    neuron: type[Neuron]
    dt: float
    skip: float = SKIP
    validation: float = 0.15
    blocks: int = 4
    seed: int = 0
    progress: Progress = ignore_progress
    extra_starts: tuple[Neuron, ...] = ()
    priors: tuple[Prior, ...] = ()
    membrane: HeldMembrane | None = None
    assume_steps: bool = True

    @property
    def held(self) -> dict[str, float]:
        """Parameters of this neuron that no stage moves, with their values."""
        known = {} if self.membrane is None else self.membrane.values
        return {n: v for n, v in known.items() if n in self.neuron.parameters}

    def free(self, names: Sequence[str] | None = None, *, smooth_only: bool = False) -> FreeParameters:
        """Coordinates of the named parameters, or of all that are not measured, without those that are held."""
        asked = FreeParameters.of(self.neuron, names, smooth_only=smooth_only)
        return FreeParameters(self.neuron, tuple(n for n in asked.names if n not in self.held))

    def hold(self, cell: Neuron) -> Neuron:
        """A cell of this neuron with what is held put in."""
        return cell.replace(**self.held)

    @property
    def prior(self) -> Prior | None:
        """The population's prior of this neuron, if there is one."""
        return next((p for p in self.priors if p.fits(self.neuron)), None)

    @cached_property
    def trials(self) -> Trials:
        """The training data on the grid of the fit."""
        return Trials.of(self.recording, self.dt)

    @cached_property
    def counted(self) -> tuple[Mask, ...]:
        """Per sweep the samples that count at all: valid, and past what is unsettled of a sweep's start."""
        out = []
        for row, current, n in zip(self.trials.valid[0], self.trials.current[0], self.lengths, strict=True):
            mask = row.copy()
            held = find_holding_current(current[:n], self.dt) is not None
            mask[: round(find_unsettled_time(float(mask.sum()) * self.dt, held, self.skip) / self.dt)] = False
            out.append(mask)
        return tuple(out)

    def run_up(self, k: int) -> Array:
        """Current to run up on before sweep k, pA: what `Fit.simulate` and the likelihood run up on too."""
        return make_run_up(self.trials.current[0, k][: self.lengths[k]], self.dt)

    @cached_property
    def held_out(self) -> tuple[Mask, ...]:
        """Per sweep the samples of the validation blocks, spread evenly; the last block ends the recording."""
        out = []
        for mask in self.counted:
            chosen = np.zeros_like(mask)
            where = np.flatnonzero(mask)
            if where.size and self.validation > 0:
                period = where.size / self.blocks
                for k in range(self.blocks):
                    stop = round((k + 1) * period)
                    chosen[where[round(stop - self.validation * period) : stop]] = True
            out.append(chosen)
        return tuple(out)

    @cached_property
    def train(self) -> list[ReplaySweep]:
        """Sweeps with the validation blocks left out of the likelihood (they are still replayed)."""
        return self._make_sweeps([m & ~h for m, h in zip(self.counted, self.held_out, strict=True)])

    @cached_property
    def validate(self) -> list[ReplaySweep]:
        """Sweeps where only the validation blocks count."""
        return self._make_sweeps([m & h for m, h in zip(self.counted, self.held_out, strict=True)])

    @cached_property
    def everything(self) -> list[ReplaySweep]:
        """Sweeps where all counted samples count: for the last refit, once choices are made."""
        return self._make_sweeps(list(self.counted))

    def _make_sweeps(self, masks: list[Mask]) -> list[ReplaySweep]:
        current, spikes = self.trials.current[0], self.trials.spikes[0]
        rows = zip(current, spikes, masks, self.lengths, strict=True)
        return [self._add_run_up(i[:n], s[:n], m[:n]) for i, s, m, n in rows]

    @cached_property
    def lengths(self) -> tuple[int, ...]:
        """Per sweep the steps up to its last usable sample; what follows pads it to the longest sweep."""
        return tuple(int(np.flatnonzero(v)[-1]) + 1 if v.any() else 1 for v in self.trials.valid[0])

    def _add_run_up(self, current: npt.NDArray, spikes: npt.NDArray, mask: npt.NDArray) -> ReplaySweep:
        """A sweep with its holding level before it, replayed but not counted: the neuron begins where the cell did."""
        before = make_run_up(current, self.dt)
        silent = np.zeros(len(before), np.uint8)
        return ReplaySweep(
            np.ascontiguousarray(np.r_[before, current][:, None]),
            np.r_[silent, spikes.astype(np.uint8)],
            np.r_[silent, mask.astype(np.uint8)],
        )

    @property
    def n_spikes(self) -> int:
        """Recorded spikes in the samples that count."""
        return sum(t.n_spikes for t in self.everything)

    def report_progress(
        self, stage: str, fraction: float, loss: float, neuron: Callable[[], Neuron] | None = None
    ) -> None:
        """Report the fraction of a stage that is done and, where it is displayed, the loss and the current neuron."""
        self.progress(stage, fraction)
        show = getattr(self.progress, "show_estimate", None)
        if show is not None:
            show(stage, neuron() if neuron is not None else None, loss)

    def start(self) -> Neuron:
        """The declared start, with what is measured put in."""
        return start_from_measurements(self)

    def rng(self, *salt: int) -> np.random.Generator:
        """A generator that depends on the seed and on the caller."""
        return np.random.default_rng([self.seed, *salt])


class Need(StrEnum):
    """What a stage may need of a neuron and its training data."""

    SPIKES = f"at least {MINIMUM_SPIKES} spikes in the training data"
    HAZARD = "a neuron with a hazard"
    REFRACTORY_PERIOD = "a refractory period among the parameters"
    SOFTNESS = "a softness of the threshold among the parameters"

    def unmet(self, problem: Problem) -> bool:
        """Whether a problem lacks it."""
        neuron = problem.neuron
        match self:
            case Need.SPIKES:
                return problem.n_spikes < MINIMUM_SPIKES
            case Need.HAZARD:
                return not neuron.stochastic()
            case Need.REFRACTORY_PERIOD:
                return neuron.free_name_of(Role.REFRACTORY) is None
            case Need.SOFTNESS:
                return neuron.free_name_of(Role.SOFTNESS) is None


class Stage:
    """A way to a better estimate: a frozen record of settings, called as ``stage(problem, estimate)``.

    A subclass declares its `name` and its `needs`, and improves an estimate in `improve`. Calling a stage does the rest
    in the same way for all: it refuses where a need is not met, times, names the estimate, and falls back to the one
    before where `improve` left the range of finite numbers.

    Attributes
    ----------
    name : str
        In histories and progress. "" for a stage made of stages: the estimate keeps the name of the one it came from.
    needs : tuple of Need
        What `improve` needs to be called; what a neuron may lack comes before what the data may lack.

    Examples
    --------
    >>> @dataclass(frozen=True)
    ... class Stiffen(Stage):
    ...     name = "stiffen"
    ...     needs = (Need.HAZARD, Need.SPIKES)
    ...     factor: float = 0.5
    ...
    ...     def improve(self, problem, estimate):
    ...         neuron = estimate.neuron.replace(delta=self.factor * estimate.neuron.delta)
    ...         return estimate.with_(neuron=neuron, status=Status.CONVERGED)
    """

    name: ClassVar[str] = ""
    needs: ClassVar[tuple[Need, ...]] = ()

    def improve(self, problem: Problem, estimate: Estimate) -> Estimate:
        """A better estimate, with its status and what the stage has to report.

        Parameters
        ----------
        problem : Problem
        estimate : Estimate
            Of the stage before, with the reports of all before it.
        """
        raise NotImplementedError(f"{type(self).__name__} is a stage without improve(self, problem, estimate)")

    def __call__(self, problem: Problem, estimate: Estimate) -> Estimate:
        begin = time.perf_counter()
        if self.name:
            problem.progress(self.name, 0.0)
        unmet = next((need for need in self.needs if need.unmet(problem)), None)
        if unmet is not None:
            status = Status.TOO_FEW_SPIKES if unmet is Need.SPIKES else Status.NOT_NEEDED
            found = estimate.with_(status=status)
        else:
            found = self.improve(problem, estimate)
            if not np.isfinite(list(scalar_values(found.neuron).values())).all():
                found = estimate.with_(stage=found.stage, status=Status.DIVERGED)
        name = self.name or found.stage
        new = found.reports.without(estimate.reports)
        return found.with_(stage=name, seconds=time.perf_counter() - begin, reports=new)


def start_from_measurements(problem: Problem) -> Neuron:
    """The start of a fit: declared starts, `measured` parameters read off the training current."""
    return problem.hold(problem.neuron.start().replace(**measure_operating_point(problem)))


def measure_operating_point(problem: Problem) -> dict[str, float]:
    """What a neuron's `measured` parameters are in the training data, by name.

    Raises
    ------
    FitError
        If no sample counts, or the current never changes.
    """
    current = np.concatenate([c[m] for c, m in zip(problem.trials.current[0], problem.counted, strict=True)])
    if current.size == 0:
        raise FitError(
            f"{problem.recording.cell}: no sample of the training data counts; "
            f"check the valid intervals and the skip of {problem.skip:g} ms"
        )
    known = {"current mean": float(current.mean()), "current std": float(current.std())}
    values = {n: known[p.measured] for n, p in problem.neuron.parameters.items() if p.measured}
    if values and known["current std"] == 0:
        raise FitError(
            f"{problem.recording.cell}: the training current is constant ({current[0]:g} pA); "
            "a fit needs a current that varies"
        )
    return values
