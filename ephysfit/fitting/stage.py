"""What flows between stages: a problem, and estimates of a neuron with what is known of them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ephysfit.data.holding_current import SKIP, holding, lead, unsettled
from ephysfit.data.recording import Recording
from ephysfit.data.trials import Trials
from ephysfit.errors import FitError
from ephysfit.fitting.prior import Prior
from ephysfit.neuron.declare import Neuron
from ephysfit.simulation.replay import Taught

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
    details : dict
        What the stage wants to report: curves, numbers, warnings.
    """

    neuron: Neuron
    stage: str = "start"
    status: Status = Status.NOT_NEEDED
    train: float = np.nan
    validation: float = np.nan
    seconds: float = 0.0
    details: dict[str, Any] = field(default_factory=dict)

    def with_(self, **changes: Any) -> Estimate:
        """A copy with some fields changed."""
        return replace(self, **changes)


#: told (stage name, fraction done). Where it has a method ``watch(stage, neuron, loss)``, a stage also tells it where
#: it stands, so that a fit can be looked at while it converges; `neuron` is None where only the loss is known
Progress = Callable[[str, float], None]


def silent(stage: str, fraction: float) -> None:
    """Progress that nobody watches."""


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
        `ephysfit.data.holding_current.unsettled` says what shorter ones lose.
    validation : float
        Fraction of the counted samples held out in blocks for early stopping and choice.
    also : tuple of Neuron
        Places where a fit may begin beside the declared ones: fits of simpler neurons, lifted (`fitting.warm_starts`).
    priors : tuple of Prior
        Of populations, by neuron; the one of this neuron takes the place of the declared starts and widths.
    """

    recording: Recording
    neuron: type[Neuron]
    dt: float
    skip: float = SKIP
    validation: float = 0.15
    blocks: int = 4
    seed: int = 0
    progress: Progress = silent
    also: tuple[Neuron, ...] = ()
    priors: tuple[Prior, ...] = ()

    @property
    def prior(self) -> Prior | None:
        """The population's prior of this neuron, if there is one."""
        return next((p for p in self.priors if p.fits(self.neuron)), None)

    @cached_property
    def trials(self) -> Trials:
        return Trials.of(self.recording, self.dt)

    @cached_property
    def counted(self) -> tuple[npt.NDArray[np.bool_], ...]:
        """Per sweep the samples that count at all: valid, and past what is unsettled of a sweep's start."""
        out = []
        for row, current, n in zip(
            self.trials.valid[0].numpy(), self.trials.current[0].numpy(), self.lengths, strict=True
        ):
            mask = row.copy()
            held = holding(current[:n], self.dt) is not None
            mask[: round(unsettled(float(mask.sum()) * self.dt, held, self.skip) / self.dt)] = False
            out.append(mask)
        return tuple(out)

    def run_up(self, k: int) -> npt.NDArray[np.float64]:
        """Current to run up on before sweep k, pA: what `Fit.simulate` and the likelihood run up on too."""
        return lead(self.trials.current[0, k].numpy()[: self.lengths[k]], self.dt)

    @cached_property
    def held_out(self) -> tuple[npt.NDArray[np.bool_], ...]:
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
    def train(self) -> list[Taught]:
        """Sweeps with the validation blocks left out of the likelihood (they are still replayed)."""
        return self._taught([m & ~h for m, h in zip(self.counted, self.held_out, strict=True)])

    @cached_property
    def validate(self) -> list[Taught]:
        """Sweeps where only the validation blocks count."""
        return self._taught([m & h for m, h in zip(self.counted, self.held_out, strict=True)])

    @cached_property
    def everything(self) -> list[Taught]:
        """Sweeps where all counted samples count: for the last refit, once choices are made."""
        return self._taught(list(self.counted))

    def _taught(self, masks: list[npt.NDArray[np.bool_]]) -> list[Taught]:
        current, spikes = self.trials.current[0].numpy(), self.trials.spikes[0].numpy()
        rows = zip(current, spikes, masks, self.lengths, strict=True)
        return [self._run_up(i[:n], s[:n], m[:n]) for i, s, m, n in rows]

    @cached_property
    def lengths(self) -> tuple[int, ...]:
        """Per sweep the steps up to its last usable sample; what follows pads it to the longest sweep."""
        return tuple(int(np.flatnonzero(v)[-1]) + 1 if v.any() else 1 for v in self.trials.valid[0].numpy())

    def _run_up(self, current: npt.NDArray, spikes: npt.NDArray, mask: npt.NDArray) -> Taught:
        """A sweep with its holding level before it, replayed but not counted: the neuron begins where the cell did."""
        before = lead(current, self.dt)
        silent = np.zeros(len(before), np.uint8)
        return Taught(
            np.ascontiguousarray(np.r_[before, current][:, None]),
            np.r_[silent, spikes.astype(np.uint8)],
            np.r_[silent, mask.astype(np.uint8)],
        )

    @property
    def n_spikes(self) -> int:
        return sum(t.n_spikes for t in self.everything)

    def tell(self, stage: str, fraction: float, loss: float, neuron: Callable[[], Neuron] | None = None) -> None:
        """Progress of a stage, and for who watches where it stands: loss, and the neuron where one is at hand."""
        self.progress(stage, fraction)
        watch = getattr(self.progress, "watch", None)
        if watch is not None:
            watch(stage, neuron() if neuron is not None else None, loss)

    def start(self) -> Neuron:
        """The declared start, with what is measured put in."""
        return measured(self)

    def rng(self, *salt: int) -> np.random.Generator:
        """A generator that depends on the seed and on who asks."""
        return np.random.default_rng([self.seed, *salt])


class Stage(Protocol):
    """A frozen record of settings, called as ``stage(problem, estimate) -> estimate``."""

    def __call__(self, problem: Problem, estimate: Estimate) -> Estimate: ...


def title(stage: Stage) -> str:
    """What a stage is called while it runs: ``causal readout``."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(stage).__name__).lower()


def measured(problem: Problem) -> Neuron:
    """The start of a fit: declared starts, `measured` parameters read off the training current."""
    return problem.neuron.start().replace(**operating_point(problem))


def operating_point(problem: Problem) -> dict[str, float]:
    """What a neuron's `measured` parameters are in the training data, by name.

    Raises
    ------
    FitError
        If no sample counts, or the current never changes.
    """
    current = np.concatenate([c[m] for c, m in zip(problem.trials.current[0].numpy(), problem.counted, strict=True)])
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
