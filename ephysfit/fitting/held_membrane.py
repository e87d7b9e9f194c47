"""The membrane that the recorded voltage shows, which a fit to the spikes holds.

Spikes alone leave the mV scale of a neuron open, and a neuron without the cell's active currents makes up for them
with a membrane that no physiologist would believe: GLIF4 of a cell of 800 MOhm and 40 ms ended at 23 MOhm and 3 ms. So
the passive membrane is measured first, by the same rules as the card of the cell, and stays.
"""

from __future__ import annotations

import numpy as np

from ephysfit.card.describe import measure_potentials
from ephysfit.card.measures import Measure
from ephysfit.card.pulses import find_pulses
from ephysfit.data.recording import Recording
from ephysfit.errors import FitError, near
from ephysfit.fitting.objective import OBJECTIVES
from ephysfit.fitting.stage_reports import Ends, HeldMembrane
from ephysfit.neuron.declare import Neuron
from ephysfit.neuron.roles import Role

#: what a membrane consists of
MEMBRANE = (Role.CAPACITANCE, Role.LEAK, Role.REST)
#: measures of the card that give it
MEASURES = ("rest", "input_resistance", "tau", "steady_resistance")
#: an interval of a resistance or a time constant that reaches further than this part of the value is no measurement
LOOSE = 0.5
#: MOhm times nS
RECIPROCAL = 1e3


def has_membrane(kind: type[Neuron]) -> bool:
    """Whether a neuron has a membrane potential, and a capacitance, leak and resting potential that are free.

    Examples
    --------
    >>> from ephysfit.models import AIGIF, ALIF
    >>> has_membrane(ALIF), has_membrane(AIGIF)
    (True, False)
    """
    return kind.name_of(Role.POTENTIAL) is not None and all(kind.free_name_of(role) is not None for role in MEMBRANE)


def measure_held_membrane(recording: Recording, kind: type[Neuron], objective: str | None = None) -> HeldMembrane:
    """Measure the membrane that a fit of this neuron holds; nothing is held where the objective is the prediction.

    Parameters
    ----------
    recording : Recording
        Training data.
    kind : type of Neuron
    objective : {"physiology", "prediction"}, optional
        None: physiology, where the neuron has a membrane and the recording shows it.

    Returns
    -------
    HeldMembrane
        With the values that are held, by parameter, or the reason why nothing is.

    Raises
    ------
    FitError
        If the objective is unknown, or is the physiology and the membrane cannot be held.

    Examples
    --------
    >>> import ephysfit as ef
    >>> from ephysfit.models import LIF
    >>> t = np.arange(8000) * 0.1
    >>> inside = (t >= 200) & (t < 600)
    >>> v = -70.0 - np.where(inside, 4.0 * (1 - np.exp(-(t - 200) / 20.0)), 0.0)
    >>> found = measure_held_membrane(ef.Recording.of(-20.0 * inside, 0.1, v), LIF)
    >>> {name: round(value) for name, value in found.values.items()}
    {'C': 100, 'g': 5, 'E_L': -70}
    """
    if objective is not None and objective not in OBJECTIVES:
        raise FitError(f"objective={objective!r} is unknown; {near(objective, OBJECTIVES)}")
    if objective == "prediction":
        return HeldMembrane("prediction", why_not="the objective is the prediction")
    found = _measure(recording, kind)
    if objective is not None and not found.values:
        raise FitError(
            f"{recording.cell}: objective='physiology' holds the membrane that the recorded voltage shows, and "
            f"{found.why_not}; objective='prediction' (--objective prediction) fits everything to the spikes"
        )
    return found


def _measure(recording: Recording, kind: type[Neuron]) -> HeldMembrane:
    if not has_membrane(kind):
        why = "in mV whose capacitance, leak and resting potential are free"
        return HeldMembrane("prediction", why_not=f"{kind.__name__} has no membrane {why}")
    pulses = find_pulses(recording.sweeps)
    measures = {m.name: m for m in measure_potentials(recording.sweeps, pulses) if m.name in MEASURES}
    if why := _find_gap(measures):
        return HeldMembrane("prediction", why_not=why)
    values = _convert_to_parameters(kind, measures)
    for name, value in values.items():
        p = kind.parameters[name]
        if not p.low <= value <= p.high:
            why = f"the measured {p.doc} of {value:.3g} {p.unit} lies outside {p.low:g} to {p.high:g}"
            return HeldMembrane("prediction", why_not=f"{why}, which {kind.__name__} declares")
    return HeldMembrane(
        "physiology",
        values=values,
        measures={m.name: _required(m) for m in measures.values()},
        intervals=_convert_intervals(kind, measures),
        how=measures["tau"].how,
    )


def _find_gap(measures: dict[str, Measure]) -> str:
    """Why these measures give no membrane; "" where they do."""
    for m in measures.values():
        if m.value is None:
            return f"it has no {m.label} ({m.why_missing})"
    for name in ("input_resistance", "tau"):
        m = measures[name]
        if m.low is not None and m.high is not None and (m.high - m.low) / 2 > LOOSE * _required(m):
            return f"its {m.label} is known only as {m.interval} {m.unit}"
    return ""


def _convert_to_parameters(kind: type[Neuron], measures: dict[str, Measure]) -> dict[str, float]:
    """Parameters of a neuron whose small pulses are answered as the cell's are."""
    rest, resistance, tau, steady = (_required(measures[name]) for name in MEASURES)
    leak = RECIPROCAL / resistance
    # what the sag takes off the resistance is a current that the voltage opens; there is none where there is no sag
    coupling = max(RECIPROCAL / steady - leak, 0.0) if "sag" in measures["tau"].how else 0.0
    known = {
        Role.CAPACITANCE: tau * leak, Role.LEAK: leak, Role.REST: rest, Role.VOLTAGE_ADAPTATION: coupling,
    }  # fmt: skip
    names = {role: kind.free_name_of(role) for role in known}
    return {name: known[role] for role, name in names.items() if name is not None}


def _convert_intervals(kind: type[Neuron], measures: dict[str, Measure]) -> dict[str, Ends]:
    """95 % intervals of the parameters, those of their measures; None where one pulse gave a value."""
    rest, resistance, tau = (measures[name] for name in MEASURES[:3])
    leak, capacity = (RECIPROCAL / _required(resistance), RECIPROCAL * _required(tau) / _required(resistance))
    out: dict[Role, Ends] = {Role.REST: (rest.low, rest.high)}
    of_resistance, of_tau = _half_width(resistance), _half_width(tau)
    if of_resistance is not None:
        out[Role.LEAK] = (leak / (1 + of_resistance), leak * (1 + of_resistance))
    if of_resistance is not None and of_tau is not None:
        both = float(np.hypot(of_resistance, of_tau))
        out[Role.CAPACITANCE] = (capacity / (1 + both), capacity * (1 + both))
    names = {role: kind.free_name_of(role) for role in out}
    return {name: out[role] for role, name in names.items() if name is not None}


def _half_width(m: Measure) -> float | None:
    """Half the interval of a measure, as a part of its value."""
    return None if m.low is None or m.high is None else (m.high - m.low) / 2 / _required(m)


def _required(m: Measure) -> float:
    assert m.value is not None
    return m.value
