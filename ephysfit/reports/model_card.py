"""describe_model(): the card of a fitted neuron, on the sweeps of its cell and on standard pulses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ephysfit.arrays import Array, Float64
from ephysfit.card.describe import measure_potentials, warn_of_drift
from ephysfit.card.firing import measure_firing
from ephysfit.card.measures import Card, Measure
from ephysfit.card.pulses import find_pulses
from ephysfit.card.spike_shape import measure_model_spikes
from ephysfit.data.holding_current import LEAD
from ephysfit.data.recording import Recording
from ephysfit.data.resampling import average_over_steps
from ephysfit.data.sweep import Sweep
from ephysfit.fitting.fit_result import Fit
from ephysfit.neuron.roles import Role
from ephysfit.simulation.simulate import simulate

#: a standard pulse: the time before it, its length and the time after it, ms
BEFORE, LENGTH, AFTER = 500.0, 1000.0, 300.0
#: amplitudes of standard pulses, as parts of the largest current of the recording
DOWN, UP = (-0.4, -0.2, -0.1, -0.05, -0.02, -0.01), 20
#: the largest current is this quantile, so that no artefact sets it
LARGEST = 0.995


def describe_model(fit: Fit, recording: Recording) -> Card:
    """Measure a fitted neuron as `describe` measures a cell.

    The noise-free run of the neuron takes the place of the recorded voltage, sweep by sweep. What these sweeps do not
    hold comes from standard pulses: 1 s from 0 pA, in twenty steps up to the largest current of the recording.

    Parameters
    ----------
    fit : Fit
        The fitted cell.
    recording : Recording
        The recording whose card the model's stands beside.

    Returns
    -------
    Card
        A point neuron has neither height nor width of a spike.

    Examples
    --------
    >>> import ephysfit as ef
    >>> cell = ef.models.LIF(C=100.0, g=5.0, E_L=-70.0, theta=-50.0, V_reset=-65.0, t_ref=2.0, delta=0.2)
    >>> steps = [np.repeat([0.0, a, 0.0], [2000, 6000, 2000]) for a in (-20.0, 50.0, 150.0)]
    >>> recording = ef.Recording.of(steps, 0.1, spike_times=[[], [], []])
    >>> card = ef.describe_model(ef.Fit(cell, "cell", 0.1), recording)
    >>> round(card["input_resistance"].value, -1), round(card["tau"].value), card["rheobase"].interval
    (200.0, 20, '50.0 to 150')
    """
    own = _measure_run(fit, recording.sweeps)
    extra = _measure_run(fit, make_standard_pulses(recording.sweeps, fit.dt)) if any(_is_open(m) for m in own) else []
    probed = {
        m.name: replace(m, how=f"standard pulses of 1 s from 0 pA: {m.how}") for m in extra if m.value is not None
    }
    measures = [probed.get(m.name, m) if m.value is None else m for m in own]
    return Card.of(recording.cell, f"{fit.model}, simulated", measures, [*_warn_of_scale(fit), *warn_of_drift(own)])


def _is_open(m: Measure) -> bool:
    return m.value is None and m.name not in ("spike_height", "spike_width", "drift")


def make_standard_pulses(sweeps: Sequence[Sweep], dt: float) -> list[Sweep]:
    """Make the currents of standard pulses for a cell that was recorded with these sweeps.

    Examples
    --------
    >>> made = make_standard_pulses([Sweep(np.full(100, 200.0), 0.1)], 0.1)
    >>> len(made), float(made[0].current.min()), float(made[-1].current.max())
    (26, -80.0, 200.0)
    """
    largest = max(float(np.quantile(np.abs(s.current), LARGEST)) for s in sweeps) or 100.0
    parts = [*DOWN, *((k + 1) / UP for k in range(UP))]
    shape = np.repeat([0.0, 1.0, 0.0], [round(t / dt) for t in (BEFORE, LENGTH, AFTER)])
    return [Sweep(largest * part * shape, dt, name=f"{largest * part:.0f} pA") for part in parts]


def _measure_run(fit: Fit, sweeps: Sequence[Sweep]) -> list[Measure]:
    """The measures of the noise-free run of a neuron on the currents of sweeps."""
    run = simulate_sweeps(fit, sweeps)
    pulses = find_pulses(run)
    found = [*measure_potentials(run, pulses), *measure_model_spikes(run, pulses), *measure_firing(run, pulses)]
    if type(fit.neuron).name_of(Role.POTENTIAL) is not None:
        return found
    why = f"{fit.model} has no membrane potential"
    return [Measure.missing(m.name, why) if m.why_missing.startswith("no voltage") else m for m in found]


def simulate_sweeps(fit: Fit, sweeps: Sequence[Sweep]) -> list[Sweep]:
    """Simulate the noise-free run of a fitted neuron: sweeps with its spikes, and its potential as the voltage.

    Parameters
    ----------
    fit
        The fitted cell; the run has its step.
    sweeps
        Their currents are played, each by itself: sweeps of one stimulus are not averaged.
    """
    potential = type(fit.neuron).name_of(Role.POTENTIAL)
    currents = [average_over_steps(s.current, s.dt, fit.dt) for s in sweeps]
    done = simulate(
        fit.neuron, [_pad_inputs(c, len(type(fit.neuron).inputs)) for c in currents], dt=fit.dt,
        save=() if potential is None else (potential,), settle=LEAD, **fit.noise_free,
    )  # fmt: skip
    voltages = [None] * len(sweeps) if potential is None else list(done.traces[potential])
    return [
        Sweep(c, fit.dt, v if v is not None and np.isfinite(v).any() else None, runs[0], name=s.name,
              stimulus=s.stimulus)
        for s, c, v, runs in zip(sweeps, currents, voltages, done.spike_times, strict=True)
    ]  # fmt: skip


def _pad_inputs(current: Float64[Array, " time"], inputs: int) -> Float64[Array, "time ..."]:
    return current if inputs == 1 else np.stack([current, *[np.zeros_like(current)] * (inputs - 1)], -1)


def _warn_of_scale(fit: Fit) -> list[str]:
    held = fit.membrane is not None and fit.membrane.values
    if held or fit.voltage is not None or type(fit.neuron).name_of(Role.POTENTIAL) is None:
        return []
    return [
        "the model was fitted to spikes, which fix no mV: its potentials, resistances and capacitance stand on a scale "
        "that was held (ephysfit intervals); its time constants, rheobase and rates do not depend on it"
    ]
