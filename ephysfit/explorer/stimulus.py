"""One stimulus of one cell, prepared for repeated runs while a slider moves.

Everything that does not depend on the parameters (repeats, current on the grid of the simulation, scored window) is
prepared once, so that a response costs a run of the compiled engine and a few coincidence counts.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ephysfit.arrays import Array, Float64, Train
from ephysfit.data.holding_current import LEAD
from ephysfit.data.recording import Recording
from ephysfit.data.repeats import Stimulus
from ephysfit.metrics.coincidence import gamma, gamma_over_reliability, md_star
from ephysfit.metrics.matching import list_presented, match_runs
from ephysfit.metrics.trains import cut
from ephysfit.neuron.declare import Neuron
from ephysfit.neuron.roles import Role
from ephysfit.reports.agreement import WINDOW, Agreement, match_train
from ephysfit.simulation.simulate import drives, simulate

#: noisy runs of a stochastic neuron
RUNS = 12
#: longest stimulus, ms; longer ones are divided into parts
LONGEST = 60_000.0


@dataclass(frozen=True, eq=False)
class Response:
    """Response of a neuron to a stimulus.

    Attributes
    ----------
    neuron : Neuron
    train : (spike,) array, ms
        Train of the causal run of a stochastic neuron, otherwise of the threshold run.
    noisy : tuple of (spike,) arrays, ms
        Trains of the noisy runs.
    voltage, threshold : (time,) arrays, mV, or None where the neuron has no state V
    margin : (time,) array, mV
        Distance to threshold.
    hits : Agreement
        Agreement of the train with the repeats.
    numbers : mapping of str to float
        Scores in the scored window: "gamma_over_R_4" or (without repeats) "gamma_4", "md_star_8", "predicted", "extra",
        "rate_model_hz", "rate_data_hz". NaN where undefined.
    seconds : float
        Computing time, s.
    """

    neuron: Neuron
    train: Train
    noisy: tuple[Train, ...]
    voltage: Float64[Array, " time"] | None
    threshold: Float64[Array, " time"] | None
    margin: Float64[Array, " time"]
    hits: Agreement
    numbers: Mapping[str, float]
    seconds: float


@dataclass(frozen=True, eq=False)
class ShownStimulus:
    """A stimulus with its recorded repeats.

    Attributes
    ----------
    name : str
    sweeps : tuple of str
        Names of the repeats.
    current : (time,) or (time, input) array, pA, in steps of `dt`
    dt : float, ms
    recorded : Stimulus
        The stimulus as recorded, with its repeats.
    window : (start, stop), ms
        The scored stretch.
    """

    name: str
    sweeps: tuple[str, ...]
    current: Float64[Array, "time ..."]
    dt: float
    recorded: Stimulus
    window: tuple[float, float]

    @property
    def duration(self) -> float:
        """Length in ms."""
        return len(self.current) * self.dt

    def run(self, neuron: Neuron, sharpen: tuple[float, float] | None = (1.0, 0.0), runs: int = RUNS) -> Response:
        """Run a neuron and compare it with the repeats.

        Parameters
        ----------
        neuron : Neuron
        sharpen : (float, float) or None
            Sharpening of the causal run, as a fit found it; None: the threshold run, also of a stochastic neuron.
        runs : int
            Noisy runs of a stochastic neuron. Their noise is the same at every call, so that only the slider moves
            the spikes.

        Returns
        -------
        Response
        """
        begin = time.perf_counter()
        kind = type(neuron)
        potential = kind.name_of(Role.POTENTIAL)
        save = ("margin",) if potential is None else ("margin", potential)
        soft: dict[str, Any] = {}
        if kind.stochastic() and sharpen is not None:
            soft = {"noise": "integrated", "sharpen": sharpen}
        single = simulate(neuron, [self.current], dt=self.dt, save=save, settle=LEAD, **soft)
        train = single.spike_times[0][0]
        noisy: tuple[Train, ...] = ()
        if kind.stochastic() and runs:
            free = simulate(neuron, [self.current], dt=self.dt, noise="escape", runs=runs, seed=1, settle=LEAD)
            noisy = free.spike_times[0]
        u = single.traces["margin"][0]
        v = None if potential is None else single.traces[potential][0]
        hits = match_train(self.recorded.spike_times, train, WINDOW)
        return Response(
            neuron, train, noisy, v, None if v is None else compute_threshold(v, u, train, self.dt), u, hits,
            self.numbers(train, noisy), time.perf_counter() - begin,
        )  # fmt: skip

    def numbers(self, train: Train, noisy: tuple[Train, ...]) -> dict[str, float]:
        """Compute the scores of a run in the scored window."""
        start, stop = self.window
        data = cut(list(self.recorded.spike_times), start, stop)
        one = cut([train], start, stop)
        many = cut(list(noisy), start, stop) if noisy else one
        duration, seconds = stop - start, (stop - start) / 1e3
        hits = match_train(data, one[0], WINDOW)
        several = len(data) > 1
        first = (
            ("gamma_over_R_4", gamma_over_reliability(data, one, duration, window=4.0))
            if several
            else ("gamma_4", gamma(data, one, duration, window=4.0))
        )
        return {
            first[0]: first[1],
            "md_star_8": md_star(data, many, duration, window=8.0) if several else float("nan"),
            "predicted": hits.predicted_share,
            "extra": hits.extra_share,
            "rate_model_hz": len(one[0]) / seconds,
            "rate_data_hz": sum(map(len, data)) / len(data) / seconds,
        }


def compute_threshold(
    v: Float64[Array, " time"], u: Float64[Array, " time"], train: Train, dt: float
) -> Float64[Array, " time"]:
    """Compute the spike threshold, mV, (time,): V minus the margin.

    At a spike, the margin is the one before it and V the one after it, so these steps repeat the previous value.
    """
    out = v - u
    at = np.floor(train / dt).astype(int)
    out[at] = out[np.maximum(at - 1, 0)]
    return out


def list_stimuli(recording: Recording, dt: float) -> list[ShownStimulus]:
    """List the stimuli of a recording, long ones in parts of a minute: most repeats first, without any spike last."""
    found = [part for stimulus in recording.stimuli() for part in _split_into_parts(recording, stimulus, dt)]
    return sorted(found, key=lambda s: (-s.recorded.repeats, not any(len(t) for t in s.recorded.spike_times)))


def _split_into_parts(recording: Recording, stimulus: Stimulus, dt: float) -> list[ShownStimulus]:
    names = tuple(s.name for s in stimulus.sweeps)
    label = stimulus.name or names[0]
    if stimulus.repeats > 1:
        label = f"{label} · {stimulus.repeats} repeats"
    elif stimulus.name and stimulus.name != names[0]:
        label = f"{label} · {names[0]}"
    if stimulus.duration <= LONGEST + 1.0:
        return [_make_shown_stimulus(label, names, stimulus, dt)]
    whole = recording.select(names=names)
    out = []
    for start in np.arange(0.0, stimulus.duration - 1000.0, LONGEST):
        stop = min(start + LONGEST, stimulus.duration)
        part = whole.cut(float(start), float(stop)).stimuli()[0]
        out.append(_make_shown_stimulus(f"{label} · {start / 1e3:g}–{stop / 1e3:g} s", names, part, dt))
    return out


def _make_shown_stimulus(label: str, names: tuple[str, ...], stimulus: Stimulus, dt: float) -> ShownStimulus:
    current = drives([stimulus.current], dt, stimulus.dt)[0].current
    return ShownStimulus(label, names, current, dt, stimulus, _find_scored_window(stimulus))


def _find_scored_window(stimulus: Stimulus) -> tuple[float, float]:
    """Find the stretch that `score` would score, ms."""
    scored, _ = match_runs([[np.empty(0)]], list_presented(_SingleStimulus(stimulus), None), None, None)
    return scored[0].start, scored[0].stop


@dataclass(frozen=True)
class _SingleStimulus:
    """A single stimulus with the interface of a recording, as `presented` takes it."""

    recorded: Stimulus

    def stimuli(self) -> tuple[Stimulus, ...]:
        """Return the only stimulus."""
        return (self.recorded,)
