"""An ensemble of fits of one cell, each to all training data except its own fold; their runs are pooled.

One fit is overconfident about the data it was fitted to. Fits to overlapping parts of the same data agree where the
data decide and differ where they do not, and a pool of their noisy runs spreads accordingly. Each member may carry a
residual network (`residual`); it stays only if it predicts blocks that its member was not fitted to.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ephysfit.arrays import Array, Mask, Train
from ephysfit.errors import FitError
from ephysfit.fitting.folds import Fold
from ephysfit.fitting.members import simulate_members
from ephysfit.fitting.residual import Residual, can_have_residual, compute_margin, find_barred_steps, replay_features
from ephysfit.fitting.stage import Estimate, Problem
from ephysfit.fitting.stage_reports import EnsembleReport, Reports
from ephysfit.fitting.stages.likelihood import Likelihood
from ephysfit.fitting.stages.vote_readout import VoteReadout
from ephysfit.neuron.declare import Neuron
from ephysfit.neuron.free_parameters import FreeParameters
from ephysfit.simulation.replay import Replay, ReplaySweep

#: rates that a held-out bin is judged with, per ms: a surprise counts, but does not outweigh all else
LOWEST, HIGHEST = 1e-4, 5.0


@dataclass(frozen=True)
class Ensemble:
    """How an ensemble is made.

    Parameters
    ----------
    folds : int
        Members.
    block_ms : float
        Length of the blocks that folds are made of, ms.
    residual : Residual or None
        How the network of a member is trained; None for none.
    vote : VoteReadout
        How the causal readout of the pooled runs is chosen.
    """

    folds: int = 5
    block_ms: float = 2000.0
    residual: Residual | None = field(default_factory=Residual)
    vote: VoteReadout = field(default_factory=VoteReadout)

    def __post_init__(self) -> None:
        if self.folds < 2:
            raise FitError(
                f"Ensemble(folds={self.folds}): each member is fitted without its own fold; give 2 folds or more"
            )
        if not self.block_ms > 0:
            raise FitError(f"Ensemble(block_ms={self.block_ms:g}): a block lasts longer than 0 ms")

    def fit(
        self, problem: Problem, plain: Neuron, prior: float = Likelihood.prior
    ) -> tuple[tuple[Neuron, ...], Reports]:
        """Fit the members, each from the fit to all of the data.

        Parameters
        ----------
        problem : Problem
        plain : Neuron
            The fit to all of the training data.
        prior : float
            Weight of the prior that it was made with, per spike.

        Returns
        -------
        members : tuple of Neuron
        reports : Reports
            An `EnsembleReport`, and the `VoteRule` of the pooled runs.
        """
        begin = time.perf_counter()
        bare: list[Neuron] = []
        rich: list[Neuron] = []
        losses: list[tuple[float, float, float]] = []
        for k in range(self.folds):
            problem.progress("ensemble", k / (self.folds + 1))
            fold = Fold.of(problem, k, self.folds, self.block_ms)
            if not sum(s.n_spikes for s in fold.train):
                continue
            cell = Likelihood(starts=1, held_out=True, prior=prior)(fold, Estimate(plain)).neuron
            bare.append(cell)
            if self.residual is not None and can_have_residual(type(cell)):
                rich.append(replace(self.residual, seed=problem.seed + k).fit(fold, cell, fold.train))
            losses.append((
                bounded_loss(cell, fold.validate, problem.dt),
                residual_loss(rich[-1], fold.validate, problem.dt) if rich else float("nan"),
                _uninformed_loss(fold),
            ))  # fmt: skip
        scored = np.array(losses)
        keep = bool(rich) and float(np.nanmean(scored[:, 1])) < float(np.nanmean(scored[:, 0]))
        members = tuple(rich if keep else bare)
        problem.progress("ensemble", self.folds / (self.folds + 1))

        def run(current: Array, runs: int, seed: int) -> list[Train]:
            done = simulate_members(members, current, dt=problem.dt, runs=runs, seed=seed)
            return list(done.spike_times[0])

        rule = self.vote.choose_rule(problem, run)
        report = EnsembleReport(
            folds=self.folds,
            block_ms=self.block_ms,
            held_out=tuple(scored[:, 0].tolist()),
            held_out_residual=tuple(scored[:, 1].tolist()) if rich else (),
            uninformed=tuple(scored[:, 2].tolist()),
            with_residual=keep,
            seconds=time.perf_counter() - begin,
        )
        return members, Reports(report, rule)


def bounded_loss(cell: Neuron, sweeps: Sequence[ReplaySweep], dt: float) -> float:
    """Negative log-likelihood per spike of the bins that count, nats, with the rate kept between two bounds.

    Without bounds a single bin in which the model is certain and wrong decides the mean. NaN where no spike counts.
    """
    free = FreeParameters.of(type(cell), ())
    replayed = Replay(free, cell, dt).rates(free.to_vector(cell), list(sweeps))
    return mean_loss(cell, sweeps, [log_rate for _, log_rate in replayed], dt)


def residual_loss(cell: Neuron, sweeps: Sequence[ReplaySweep], dt: float) -> float:
    """`bounded_loss` of a `ResidualAIGIF`, for which no kernel of a likelihood need be compiled."""
    margins = [compute_margin(cell, *replay_features(cell, s, dt)) for s in sweeps]
    return mean_loss(cell, sweeps, [-np.logaddexp(0.0, -u) for u in margins], dt)


def mean_loss(cell: Neuron, sweeps: Sequence[ReplaySweep], log_rates: Sequence[Array], dt: float) -> float:
    """`bounded_loss` of given log rates (per ms), an array (time,) for each sweep."""
    total = 0.0
    for sweep, log_rate in zip(sweeps, log_rates, strict=True):
        expected = (np.exp(np.minimum(log_rate, np.log(HIGHEST))) + LOWEST) * dt
        total += _loss_of_expected(expected, sweep, find_barred_steps(sweep, cell, dt))
    count = sum(s.n_spikes for s in sweeps)
    return total / count if count else float("nan")


def _loss_of_expected(expected: Array, sweep: ReplaySweep, barred: Mask) -> float:
    spikes = sweep.spikes > 0
    lost = np.where(spikes, -np.log(-np.expm1(-expected)), np.where(barred, 0.0, expected))
    return float((lost * sweep.use).sum())


def _uninformed_loss(fold: Fold) -> float:
    """The loss on a fold of the constant rate of the other folds."""
    bins = sum(float(np.sum(s.use)) for s in fold.train)
    rate = sum(s.n_spikes for s in fold.train) / max(bins, 1.0)
    no_bars = [np.zeros(len(s.spikes), dtype=bool) for s in fold.validate]
    total = sum(
        _loss_of_expected(np.full(len(s.spikes), rate), s, b) for s, b in zip(fold.validate, no_bars, strict=True)
    )
    count = sum(s.n_spikes for s in fold.validate)
    return total / count if count else float("nan")
