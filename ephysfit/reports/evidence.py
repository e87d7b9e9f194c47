"""Gather the evidence of a report: runs of the fitted cell on the test stimuli, and their scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from ephysfit.arrays import Bool, Mask, Trace, Train, Trains
from ephysfit.card.describe import describe
from ephysfit.card.measures import Card
from ephysfit.data.readout import Readout
from ephysfit.data.recording import Recording
from ephysfit.data.repeats import Stimulus
from ephysfit.data.stimulus_kinds import is_of_kind
from ephysfit.fitting.fit_result import Fit
from ephysfit.metrics.headline_scores import NOISE_FREE
from ephysfit.metrics.matching import group_by_stimulus, list_presented, match_runs
from ephysfit.metrics.score import score
from ephysfit.metrics.score_result import Score
from ephysfit.metrics.short_pulses import PulseRates, compare_pulses, find_short_pulses
from ephysfit.metrics.step_rows import ComparedStep, compare_steps
from ephysfit.neuron.potential_unit import PotentialUnit
from ephysfit.neuron.roles import Role
from ephysfit.reports.agreement import WINDOW, Agreement, match_train
from ephysfit.reports.f_i_curve import FICurve, compute_f_i_curve, find_trained_range
from ephysfit.reports.model_card import describe_model
from ephysfit.reports.rescaling import RescaledIntervals, rescale_time
from ephysfit.simulation.simulate import Simulation

#: names of the readouts in reports, in the order in which they are shown
READOUTS: dict[str, str] = {
    Readout.THRESHOLD: "model",
    Readout.VOTE: "vote of the runs",
    Readout.CAUSAL: "noise-free run",
    Readout.CONSENSUS: "consensus",
    Readout.NOISY: "noisy runs",
}
#: length of the stretch in static figures, ms
STRETCH = 2500.0
#: a spike time counts as on a step within this part of it
SLACK = 1e-6


@dataclass(frozen=True, eq=False)
class Evidence:
    """Runs of a fitted cell on the test stimuli, with their scores.

    Attributes
    ----------
    fit : Fit
    test : Recording
        Sweeps that were not used by the fit.
    train : Recording or None
        The training sweeps, if available: the goodness of fit is then shown for them too.
    readouts : mapping of str to Simulation
        Runs on the stimuli of `test` by readout ("threshold run", or "causal run", "consensus", "noisy runs").
    scores : mapping of str to Score
        One per readout.
    described : Recording or None
        Sweeps that the cards rest on, if other than `train`: a cell's current steps need not train its model.
    """

    fit: Fit
    test: Recording
    train: Recording | None
    readouts: Mapping[str, Simulation]
    scores: Mapping[str, Score]
    described: Recording | None = None

    @property
    def fit_warnings(self) -> tuple[str, ...]:
        """Warnings of the fit; on another recording than that of the fit they name whose they are.

        A cell that drifted while it was fitted has not drifted on another day.
        """
        fitted = self.fit.provenance.recording
        if not fitted or Path(self.test.source).name == fitted:
            return tuple(self.fit.warnings)
        return tuple(f"of the fit to {fitted}, not of this recording: {said}" for said in self.fit.warnings)

    @cached_property
    def cards(self) -> tuple[Card, Card]:
        """Cards of the cell and of the model: on `described`, else the training sweeps, else the test sweeps."""
        recording = next(r for r in (self.described, self.train, self.test) if r is not None)
        return describe(recording), describe_model(self.fit, recording)

    @cached_property
    def f_i_curve(self) -> FICurve:
        """The f-I curve of cell and model."""
        return compute_f_i_curve(self.fit, self.test, self.train)

    @cached_property
    def steps(self) -> list[ComparedStep]:
        """The steps among the test stimuli, by amplitude, with the runs of `many`; empty where there are none."""
        runs = group_by_stimulus(self.readouts[self.many].spike_times, "simulated")
        scored, _ = match_runs(runs, list_presented(self.test, None), None, None)
        return sorted(compare_steps(scored, self.test, self.train), key=lambda c: c.step.amplitude)

    @property
    def plays_steps(self) -> bool:
        """Whether what was held out is current steps, so that counts and first spikes say more than coincidences."""
        return self.scores[self.many].has_steps and not self.fluctuates

    @cached_property
    def short_pulses(self) -> PulseRates | None:
        """Hits and false alarms of the runs of `many` at short pulses; None where the stimuli are not all of those."""
        onsets = [[begin for begin, _ in find_short_pulses(s.current, s.dt)] for s in self.stimuli]
        if not all(onsets):
            return None
        runs = self.readouts[self.many].spike_times
        return compare_pulses([(o, s.spike_times, r) for o, s, r in zip(onsets, self.stimuli, runs, strict=True)])

    @cached_property
    def trained_range(self) -> tuple[float, float]:
        """Range of the current that the fit has seen, pA; of the test current where the training sweeps are unknown."""
        return find_trained_range(self.train or self.test)

    @cached_property
    def rescaled(self) -> dict[str, RescaledIntervals]:
        """The time-rescaling test on the test sweeps and, where they are known, the training sweeps, by name."""
        sides = {"test": self.test, "training": self.train}
        found = {name: None if of is None else rescale_time(self.fit, of) for name, of in sides.items()}
        return {name: test for name, test in found.items() if test is not None}

    @property
    def model_axis(self) -> str:
        """Label of the axis of the model's potential; of its distance to threshold, for a neuron without one."""
        if type(self.fit.neuron).name_of(Role.POTENTIAL) is None:
            return f"to threshold ({self.unit.name})"
        return "membrane (mV)" if self.unit.name == "mV" else f"model ({self.unit.name} above rest)"

    @property
    def shares_units(self) -> bool:
        """Whether the potential of the model is in the mV of the recorded voltage: only if that fixed the scale."""
        known = self.fit.voltage is not None or bool(self.fit.membrane and self.fit.membrane.values)
        return known and type(self.fit.neuron).name_of(Role.POTENTIAL) is not None

    @property
    def unit(self) -> PotentialUnit:
        """Unit in which the potentials of the model are drawn."""
        return self.fit.potential_unit

    @property
    def single(self) -> str:
        """Readout of a single causal train: the vote or the causal run of a stochastic neuron, or the threshold run."""
        return next(r for r in NOISE_FREE if r in self.readouts)

    @property
    def many(self) -> str:
        """Readout of the model's variability: the noisy runs, or the single run of a neuron without noise."""
        return Readout.NOISY if Readout.NOISY in self.readouts else self.single

    @cached_property
    def stimuli(self) -> tuple[Stimulus, ...]:
        """Test stimuli with their repeats."""
        return self.test.stimuli()

    @cached_property
    def shown(self) -> int:
        """Index of the stimulus in figures: the one with most repeats and, among equals, most spikes."""
        weight = [(s.repeats, sum(len(t) for t in s.spike_times), -k) for k, s in enumerate(self.stimuli)]
        return weight.index(max(weight))

    @property
    def stimulus(self) -> Stimulus:
        """Stimulus in figures."""
        return self.stimuli[self.shown]

    @property
    def fluctuates(self) -> bool:
        """Whether the shown stimulus is noise, in which every spike has a current of its own before it."""
        return is_of_kind(self.stimulus.sweeps[0].kind, "noise")

    @property
    def repeats(self) -> Trains:
        """Recorded trains of the shown stimulus, ms."""
        return self.stimulus.spike_times

    def runs(self, readout: str) -> Trains:
        """Return the trains of a readout on the shown stimulus, ms."""
        return self.readouts[readout].spike_times[self.shown]

    @property
    def prediction(self) -> Train:
        """Single noise-free train on the shown stimulus, ms."""
        return self.runs(self.single)[0]

    @property
    def scored(self) -> tuple[float, float]:
        """Scored stretch (start, stop) of the shown stimulus, ms."""
        return self.scores[self.single].scored[self.shown]

    @cached_property
    def agreement(self) -> Agreement:
        """Agreement of the single train with the repeats, over the whole shown stimulus."""
        return match_train(self.repeats, self.prediction, WINDOW)

    @cached_property
    def overall(self) -> Agreement:
        """Agreement of the single train with the repeats, in the scored stretches of all stimuli."""
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
        """Return a saved trace of the noise-free run on the shown stimulus in steps of the fit, or None."""
        saved = self.noise_free_run.traces
        return saved[name][self.shown] if name in saved else None

    @property
    def noise_free_run(self) -> Simulation:
        """The run of the neuron without its noise, whose traces are drawn: a vote of noisy runs has none."""
        return next(self.readouts[name] for name in (Readout.CAUSAL, Readout.THRESHOLD) if name in self.readouts)

    def potentials(self) -> tuple[Trace, ...] | None:
        """Membrane potentials of the noise-free run on all test stimuli, in `unit`; None for a neuron without one."""
        name = type(self.fit.neuron).name_of(Role.POTENTIAL)
        return None if name is None else tuple(map(self._place, self.noise_free_run.traces[name]))

    def _place(self, potential: Trace) -> Trace:
        """A potential of the neuron in `unit`, from its origin."""
        return (potential - self.unit.origin) / self.unit.size

    def membrane(self) -> Trace | None:
        """Return the membrane potential of the noise-free run, in `unit`; None for a neuron without one."""
        name = type(self.fit.neuron).name_of(Role.POTENTIAL)
        found = None if name is None else self.trace(name)
        return None if found is None else self._place(found)

    def threshold(self) -> Trace:
        """Return the spike threshold of the noise-free run, in `unit`, (time,)."""
        v, u = self.membrane(), self.trace("margin")
        assert v is not None
        assert u is not None
        return compute_threshold(
            v, u / self.unit.size, self.noise_free_run.spike_times[self.shown][0], self.noise_free_run.dt
        )

    def distance(self) -> tuple[Trace, Trace]:
        """Return times (ms) and margin (in `unit`) of the noise-free run, (time,), without refractory steps.

        During the refractory period no spike can occur and the likelihood does not depend on the margin.
        """
        u, dt = self.trace("margin"), self.noise_free_run.dt
        assert u is not None
        held = round(float(self.fit.neuron.refractory_ms) / dt)
        at = np.floor(self.noise_free_run.spike_times[self.shown][0] / dt).astype(int)
        free = np.ones(len(u), dtype=bool)
        for k in range(1, held + 1):
            free[np.minimum(at + k, len(u) - 1)] = False
        return np.flatnonzero(free) * np.float64(dt), u[free] / self.unit.size

    @cached_property
    def stretch(self) -> tuple[float, float]:
        """Stretch in static figures, ms: its share of predicted spikes is nearest to that of the whole stimulus."""
        start, stop = self.scored
        if stop - start <= STRETCH:
            return start, stop
        starts = np.arange(start, stop - STRETCH + 1, STRETCH / 10)
        times = np.concatenate([np.empty(0), *self.repeats])
        hit = np.concatenate([np.empty(0, bool), *self.agreement.predicted])
        whole = hit.mean() if hit.size else 0.0
        best = min(starts, key=lambda s: _deviation_from_whole(times, hit, whole, s, self.repeats))
        return float(best), float(best) + STRETCH


def compute_threshold(potential: Trace, margin: Trace, spikes: Train, dt: float) -> Trace:
    """Compute the spike threshold, mV: the potential minus the distance to threshold.

    At a spike the margin is the one before it and the potential the one after it, so these steps repeat the value
    before.

    Examples
    --------
    >>> compute_threshold(np.array([-60.0, -52.0, -65.0]), np.array([-10.0, -2.0, 0.5]), np.array([0.2]), 0.1).tolist()
    [-50.0, -50.0, -50.0]
    """
    out = potential - margin
    at = np.floor(spikes / dt + SLACK).astype(int)
    out[at] = out[np.maximum(at - 1, 0)]
    return out


def _deviation_from_whole(times: Train, hit: Bool[Mask, " _"], whole: float, start: float, repeats: Trains) -> float:
    """Deviation of a stretch from the whole stimulus in the share of predicted spikes and in rate."""
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
        Seed of the escape noise.

    Returns
    -------
    Evidence
    """
    potential = type(fit.neuron).name_of(Role.POTENTIAL)
    save = ("margin",) if potential is None else ("margin", potential)
    done = fit.simulate(test, runs=runs, seed=seed, save=save)
    found = {done.readout: done, **{c.readout: c for c in done.companions.values()}}
    readouts = {name: found[name] for name in READOUTS if name in found}
    return Evidence(fit, test, train, readouts, {n: score(r, test, train=train) for n, r in readouts.items()})
