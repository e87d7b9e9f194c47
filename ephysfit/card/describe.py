"""describe(): the card of a recorded cell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from ephysfit.card.firing import measure_firing
from ephysfit.card.measures import Card, Measure, student, summarise
from ephysfit.card.pulses import Pulse, find_pulses
from ephysfit.card.spike_shape import measure_spikes
from ephysfit.card.step_response import NAMES, measure_membrane, measure_sag
from ephysfit.data.electrode import measure_bridge
from ephysfit.data.membrane import Membrane, Rows, prepare_regression, regress_membrane
from ephysfit.data.recording import Recording, check_recording
from ephysfit.data.stimulus_kinds import is_of_kind
from ephysfit.data.sweep import Sweep
from ephysfit.metrics.stationarity import means_of_outer_thirds
from ephysfit.system import one_blas_thread

#: parts of the time that are left out in turn, for the intervals of a regression
PARTS = 10
#: a baseline that moves by more, mV, is no resting potential; half of it is worth a warning
DRIFT = 10.0
NO_NOISE = "no noise"
#: holding currents smaller than this, pA, need no correction
SMALL = 2.0


@one_blas_thread()
def describe(recording: Recording) -> Card:
    """Measure what physiologists report of a cell: passive membrane, threshold, spikes, firing, stability.

    Pulses of constant current give all of it; from noise come the membrane (by regression between spikes), the spikes
    and their regularity. What a protocol does not hold is missing, with the reason.

    Parameters
    ----------
    recording : Recording
        One cell. Spike times alone give rheobase, latency, f-I slope, adaptation and regularity.

    Returns
    -------
    Card
        One `Measure` per entry of `ephysfit.card.measures.DEFINITIONS`.

    Raises
    ------
    RecordingError
        If it is given something else than a recording.

    Examples
    --------
    >>> import ephysfit as ef
    >>> t = np.arange(8000) * 0.1
    >>> inside = (t >= 200) & (t < 600)
    >>> v = -70.0 - np.where(inside, 4.0 * (1 - np.exp(-(t - 200) / 20.0)), 0.0)
    >>> card = ef.describe(ef.Recording.of(-20.0 * inside, 0.1, v))
    >>> round(card["tau"].value, 1), round(card["capacitance"].value), card["threshold"].why_missing
    (20.0, 100, 'no spikes')
    """
    check_recording(recording, "describe")
    pulses = find_pulses(recording.sweeps)
    found = [
        *measure_potentials(recording.sweeps, pulses),
        *measure_spikes(recording.sweeps, pulses),
        *measure_firing(recording.sweeps, pulses),
    ]
    return Card.of(recording.cell, recording.source, found, warn_of_drift(found))


def measure_potentials(sweeps: Sequence[Sweep], pulses: Sequence[Pulse]) -> list[Measure]:
    """Measure what the voltage between spikes gives: membrane, rest, sag, drift."""
    if all(s.voltage is None for s in sweeps):
        names = ("rest", "holding_potential", *NAMES, "sag_ratio", "drift")
        return [Measure.missing(name, "no voltage, spike times only") for name in names]
    passive = {m.name: m for m in measure_membrane(pulses)}
    drift = _measure_drift(sweeps, pulses)
    noise = None
    if passive["tau"].value is None:
        noise = _measure_noise(sweeps)
        reason = passive["tau"].why_missing
        passive |= {
            name: _join_reasons(m, reason)
            for name, m in noise.items()
            if name in passive and passive[name].value is None
        }
    holding = _measure_holding(pulses)
    rest = _measure_rest(pulses, passive["input_resistance"])
    if rest.value is None and noise is not None:
        rest = _join_reasons(noise["rest"], rest.why_missing)
    if drift.value is not None and abs(drift.value) > DRIFT:
        why = f"the baseline drifted by {drift.value:.0f} mV over the recording, so that there is no one potential"
        rest = Measure.missing("rest", why)
        holding = Measure.missing("holding_potential", why)
    return [rest, holding, *(passive[name] for name in NAMES), measure_sag(pulses), drift]


def _join_reasons(m: Measure, reason: str) -> Measure:
    """A measure of the noise; where that has none either, with both reasons."""
    if m.value is not None or not m.why_missing:
        return m
    return Measure.missing(m.name, reason if m.why_missing == NO_NOISE else f"{reason}; {m.why_missing}")


def _measure_holding(pulses: Sequence[Pulse]) -> Measure:
    known = [p for p in pulses if np.isfinite(p.baseline)]
    current = float(np.median([p.holding for p in known])) if known else 0.0
    why = "no stretch without spikes before a pulse" if pulses else "no pulses of constant current"
    return summarise("holding_potential", _mean_by_sweep(known), f"before pulses, at {current:.1f} pA", why)


def _mean_by_sweep(pulses: Sequence[Pulse]) -> list[float]:
    """Potential before the pulses, one per sweep, mV."""
    by_sweep: dict[int, list[float]] = {}
    for p in pulses:
        by_sweep.setdefault(p.position, []).append(p.baseline)
    return [float(np.mean(values)) for values in by_sweep.values()]


def _measure_rest(pulses: Sequence[Pulse], resistance: Measure) -> Measure:
    held = _measure_holding(pulses)
    if held.value is None:
        return Measure.missing("rest", held.why_missing)
    current = float(np.median([p.holding for p in pulses if np.isfinite(p.baseline)]))
    if abs(current) < SMALL:
        return Measure("rest", held.value, held.low, held.high, held.sweeps, f"before pulses, at {current:.1f} pA")
    if resistance.value is None:
        return Measure.missing("rest", f"the cell was held at {current:.0f} pA and its resistance is unknown")
    shift = resistance.value * current / 1e3
    value = held.value - shift
    error = 0.0 if resistance.high is None else abs((resistance.high - resistance.value) * current / 1e3)
    if held.low is None:
        low = high = None
    else:
        half = float(np.hypot(held.value - held.low, error))
        low, high = value - half, value + half
    how = f"{held.value:.1f} mV at {current:.0f} pA, less the {shift:.1f} mV of the holding current"
    return Measure("rest", value, low, high, held.sweeps, how)


def _measure_noise(sweeps: Sequence[Sweep]) -> dict[str, Measure]:
    """The membrane by regression between spikes of noise."""
    names = ("rest", *NAMES)
    noisy = [s for s in sweeps if s.voltage is not None and is_of_kind(s.kind, "noise")]
    if not noisy:
        return {name: Measure.missing(name, NO_NOISE) for name in names}
    access = _measure_access(noisy)
    noisy = _take_off(noisy, access)
    rows = [part for s in noisy for part in _cut_rows(prepare_regression(s), max(PARTS // len(noisy), 1))]
    whole = regress_membrane(rows)
    if whole is None:
        why = "between the spikes of noise the voltage does not follow the current as a membrane does"
        return {name: Measure.missing(name, why) for name in names}
    each = [m for k in range(len(rows)) if (m := regress_membrane(rows[:k] + rows[k + 1 :])) is not None]
    how = "regression of dV/dt on V and I between spikes of noise"
    how += "" if access.value is None else ", the voltage across the electrode taken off"
    found = {
        n: _with_interval(n, whole, each, len(noisy), how) for n in ("rest", "input_resistance", "tau", "capacitance")
    }
    same = found["input_resistance"]
    found["steady_resistance"] = Measure(
        "steady_resistance", same.value, same.low, same.high, same.sweeps, f"{how}; a regression has one resistance"
    )
    return found | {"access_resistance": access}


def _take_off(sweeps: Sequence[Sweep], access: Measure) -> list[Sweep]:
    """Subtract the voltage across an access resistance: 12 MOhm left in made 200 MOhm come back as 157 (tests/card)."""
    r = 0.0 if access.value is None else access.value / 1e3
    return [s if s.voltage is None else replace(s, voltage=s.voltage - r * s.current) for s in sweeps]


def _cut_rows(rows: Rows, count: int) -> list[Rows]:
    return list(zip(np.array_split(rows[0], count), np.array_split(rows[1], count), strict=True))


def _read_membrane(name: str, m: Membrane) -> float:
    return {"rest": m.rest, "input_resistance": m.resistance, "tau": m.tau, "capacitance": m.capacitance}[name]


def _with_interval(name: str, whole: Membrane, each: Sequence[Membrane], sweeps: int, how: str) -> Measure:
    """The value of all parts, with the jackknife interval of those with one left out."""
    value, others = _read_membrane(name, whole), np.array([_read_membrane(name, m) for m in each])
    n = len(others)
    if n < 3:
        return Measure(name, value, None, None, sweeps, how)
    half = float(np.sqrt((n - 1) / n * np.sum((others - others.mean()) ** 2))) * student(n - 1)
    return Measure(name, value, value - half, value + half, sweeps, how)


def _measure_access(noisy: Sequence[Sweep]) -> Measure:
    found = measure_bridge(Recording(tuple(noisy)))
    if not np.isfinite(found.resistance):
        why = "the noise is too slow, too small or too coarsely sampled to tell electrode from membrane"
        return Measure.missing("access_resistance", why)
    half = found.error * student(4)
    how = "response to the last ms of noise beyond that of the membrane; a dendrite adds a few MOhm"
    return Measure(
        "access_resistance", found.resistance, found.resistance - half, found.resistance + half, len(noisy), how
    )


def _measure_drift(sweeps: Sequence[Sweep], pulses: Sequence[Pulse]) -> Measure:
    known = [p for p in pulses if np.isfinite(p.baseline)]
    levels = np.array(_mean_by_sweep(known))
    held = [p.holding for p in known]
    if len(levels) >= 3 and np.ptp(held) > SMALL:
        return Measure.missing("drift", f"the holding current changed by {np.ptp(held):.0f} pA between sweeps")
    if len(levels) >= 3:
        first, last = means_of_outer_thirds(levels)
        n = max(len(levels) // 3, 1)
        how = f"baselines of the last {n} sweeps minus those of the first {n}"
        if n < 2:
            return Measure("drift", last - first, None, None, len(levels), how)
        spread = (levels[:n].var(ddof=1) + levels[-n:].var(ddof=1)) / n
        half = float(np.sqrt(spread)) * student(2 * n - 2)
        return Measure("drift", last - first, last - first - half, last - first + half, len(levels), how)
    parts = list(_regress_in_time(sweeps))
    if len(parts) < 2:
        why = "fewer than three sweeps with a baseline, and no noise to follow it by"
        return Measure.missing("drift", why)
    how = "E_L of the last third of the noise minus that of the first"
    return Measure("drift", parts[-1].rest - parts[0].rest, None, None, len(sweeps), how)


def _regress_in_time(sweeps: Sequence[Sweep]) -> Iterator[Membrane]:
    """Membranes of the first and the last third of the noise."""
    noisy = [s for s in sweeps if s.voltage is not None and is_of_kind(s.kind, "noise")]
    rows = [part for s in noisy for part in _cut_rows(prepare_regression(s), 3 if len(noisy) < 3 else 1)]
    third = len(rows) // 3
    for some in (rows[:third], rows[len(rows) - third :]) if third else ():
        found = regress_membrane(some)
        if found is not None:
            yield found


def warn_of_drift(measures: Sequence[Measure]) -> list[str]:
    """Warn where the baseline among these measures moved by half of what makes a resting potential meaningless."""
    return [
        f"the potential drifted by {m.value:.1f} mV over the recording: values that rest on its sweeps are of a "
        "cell that changed; leave the late sweeps out (--sweeps)"
        for m in measures
        if m.name == "drift" and m.value is not None and abs(m.value) > DRIFT / 2
    ]
