"""Everything a report shows, gathered once: runs of the fitted cell on the test stimuli, and their scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ephysfit.arrays import Trace, Train, Trains
from ephysfit.data.readout import Readout
from ephysfit.data.recording import Recording
from ephysfit.data.repeats import Stimulus
from ephysfit.fitting.fit_result import Fit
from ephysfit.metrics.score import Score, score
from ephysfit.neuron.roles import Role
from ephysfit.reports.agreement import WINDOW, Agreement, Mask, match_train
from ephysfit.simulation.simulate import Simulation

#: how the readouts of a model are called in reports, in the order in which they are shown
READOUTS: dict[str, str] = {
    Readout.THRESHOLD: "model",
    Readout.CAUSAL: "noise-free run",
    Readout.CONSENSUS: "consensus",
    Readout.NOISY: "noisy runs",
}
#: length of the stretch that static figures show, ms
STRETCH = 2500.0


@dataclass(frozen=True, eq=False)
class Evidence:
    """What a report shows.

    Attributes
    ----------
    fit : Fit
    test : Recording
        Never seen by the fit.
    train : Recording or None
        What was fitted, where it is at hand: the goodness of fit is then shown on it too.
    readouts : mapping of str to Simulation
        Runs on the stimuli of `test` by readout ("threshold run", or "causal run", "consensus", "noisy runs").
    scores : mapping of str to Score
        One a readout.
    """

    fit: Fit
    test: Recording
    train: Recording | None
    readouts: Mapping[str, Simulation]
    scores: Mapping[str, Score]

    @property
    def single(self) -> str:
        """The readout a network would use: the causal run of a stochastic neuron, else the threshold run."""
        return Readout.CAUSAL if Readout.CAUSAL in self.readouts else next(iter(self.readouts))

    @property
    def many(self) -> str:
        """The readout that stands for the model's variability: noisy runs, else the one run there is."""
        return Readout.NOISY if Readout.NOISY in self.readouts else self.single

    @cached_property
    def stimuli(self) -> tuple[Stimulus, ...]:
        return self.test.stimuli()

    @cached_property
    def shown(self) -> int:
        """The stimulus that figures show: the one of most repeats, and among those of most spikes."""
        weight = [(s.repeats, sum(len(t) for t in s.spike_times), -k) for k, s in enumerate(self.stimuli)]
        return weight.index(max(weight))

    @property
    def stimulus(self) -> Stimulus:
        return self.stimuli[self.shown]

    @property
    def repeats(self) -> Trains:
        """Recorded trains of the shown stimulus, ms."""
        return self.stimulus.spike_times

    def runs(self, readout: str) -> Trains:
        """Trains of a readout on the shown stimulus, ms."""
        return self.readouts[readout].spike_times[self.shown]

    @property
    def prediction(self) -> Train:
        """The single noise-free train on the shown stimulus, ms."""
        return self.runs(self.single)[0]

    @property
    def scored(self) -> tuple[float, float]:
        """The scored stretch of the shown stimulus, ms."""
        return self.scores[self.single].scored[self.shown]

    @cached_property
    def agreement(self) -> Agreement:
        """The single train against the repeats of the shown stimulus, all of it."""
        return match_train(self.repeats, self.prediction, WINDOW)

    @cached_property
    def overall(self) -> Agreement:
        """The single train against the repeats in the scored stretches of all stimuli."""
        predicted: list[Mask] = []
        shared: list[Mask] = []
        spans = self.scores[self.single].scored
        for stimulus, (train, *_), span in zip(
            self.stimuli, self.readouts[self.single].spike_times, spans, strict=True
        ):
            a = match_train([_cut_train(t, span) for t in stimulus.spike_times], _cut_train(train, span), WINDOW)
            predicted += a.predicted
            shared.append(a.shared)
        return Agreement(tuple(predicted), np.concatenate(shared), WINDOW)

    def trace(self, name: str) -> Trace | None:
        """A saved trace of the single run on the shown stimulus in steps of the fit, or None."""
        saved = self.readouts[self.single].traces
        return saved[name][self.shown] if name in saved else None

    def membrane(self) -> Trace | None:
        """The membrane potential of the single run, mV; None for a neuron without one."""
        name = type(self.fit.neuron).name_of(Role.POTENTIAL)
        return None if name is None else self.trace(name)

    def threshold(self) -> Trace:
        """Where the membrane of the single run would spike, mV, (time,): V less the margin.

        The margin is that before a spike and V that after it, so spike steps repeat the value before them.
        """
        v, u = self.membrane(), self.trace("margin")
        assert v is not None
        assert u is not None
        out = v - u
        at = np.floor(self.prediction / self.readouts[self.single].dt).astype(int)
        out[at] = out[np.maximum(at - 1, 0)]
        return out

    def distance(self) -> tuple[Trace, Trace]:
        """Times (ms) and distance to threshold (mV) of the single run, (time,), refractory steps left out: there the
        margin has no meaning, because nothing can happen and no likelihood sees it."""
        u, dt = self.trace("margin"), self.readouts[self.single].dt
        assert u is not None
        held = round(float(self.fit.neuron.refractory_ms) / dt)
        at = np.floor(self.prediction / dt).astype(int)
        free = np.ones(len(u), dtype=bool)
        for k in range(1, held + 1):
            free[np.minimum(at + k, len(u) - 1)] = False
        return np.flatnonzero(free) * np.float64(dt), u[free]

    @cached_property
    def stretch(self) -> tuple[float, float]:
        """The stretch that static figures show: its share of predicted spikes is nearest to that of the whole."""
        start, stop = self.scored
        if stop - start <= STRETCH:
            return start, stop
        starts = np.arange(start, stop - STRETCH + 1, STRETCH / 10)
        times = np.concatenate([np.empty(0), *self.repeats])
        hit = np.concatenate([np.empty(0, bool), *self.agreement.predicted])
        whole = hit.mean() if hit.size else 0.0
        best = min(starts, key=lambda s: _deviation_from_whole(times, hit, whole, s, self.repeats))
        return float(best), float(best) + STRETCH


def _deviation_from_whole(times: Trace, hit: Trace, whole: float, start: float, repeats: Trains) -> float:
    """How far a stretch is from the whole in predicted spikes and in rate."""
    inside = (times >= start) & (times < start + STRETCH)
    if not inside.any():
        return np.inf
    span = max((float(r[-1]) for r in repeats if len(r)), default=STRETCH)
    usual = len(times) * STRETCH / max(span, STRETCH)
    return abs(float(hit[inside].mean()) - whole) + 0.3 * abs(inside.sum() - usual) / max(usual, 1.0)


def _cut_train(train: Train, span: tuple[float, float]) -> Train:
    return train[(train >= span[0]) & (train < span[1])]


def gather_evidence(
    fit: Fit, test: Recording, train: Recording | None = None, *, runs: int = 200, seed: int = 1
) -> Evidence:
    """Run the fitted cell on the test stimuli and score every readout.

    Parameters
    ----------
    fit : Fit
    test : Recording
    train : Recording, optional
    runs : int
        Noisy runs of a stochastic neuron.
    seed : int
        Of the escape noise.

    Returns
    -------
    Evidence
    """
    potential = type(fit.neuron).name_of(Role.POTENTIAL)
    save = ("margin",) if potential is None else ("margin", potential)
    done = fit.simulate(test, runs=runs, seed=seed, save=save)
    found = {done.readout: done, **{c.readout: c for c in done.companions.values()}}
    readouts = {name: found[name] for name in READOUTS if name in found}
    return Evidence(fit, test, train, readouts, {n: score(r, test) for n, r in readouts.items()})
