"""Did the current drive the cell? A current that never changes, or that the voltage contradicts, cannot be fitted.

Recordings of spontaneous or light-driven spikes, with an unconnected stimulus channel or with the current of another
sweep all load, but a model fitted to them predicts nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ephysfit.arrays import Array, Bool, Float64, Mask, Trace
from ephysfit.data.recording import Recording
from ephysfit.data.stimulus_kinds import QUIET
from ephysfit.data.sweep import Sweep

#: current and voltage are compared in bins of this length, ms: the voltage with the means of the last so many bins
BIN, SPANS = 5.0, (1, 2, 4, 8, 16, 32)
#: bins needed for an estimate
ENOUGH = 20
#: an input resistance below this belongs to no neuron, GOhm (2 MOhm: the lowest of giant cells is above it)
LEAST = 0.002
#: a response is missed where a cell of this resistance, GOhm, would have shown one so many times as large as the rest
TYPICAL, PLAIN = 0.02, 5.0
#: standard errors of a resistance
SURE = 4.0
#: noise of a recording reaches no further than so many of its standard deviations
NOISE_REACH = 20.0


@dataclass(frozen=True)
class Resistance:
    """Input resistance estimated from one sweep.

    Attributes
    ----------
    value, error : float
        Steady response of the voltage to the current and its standard error, GOhm.
    measurable : bool
        Whether the current varies enough, against the rest of the voltage, to show a response.
    """

    value: float
    error: float
    measurable: bool


def estimate_input_resistance(sweep: Sweep) -> Resistance:
    """Estimate how far the voltage follows the current, whatever the membrane time constant.

    Medians of the voltage over 5 ms, which no spike moves, are regressed on the mean currents of the last 5 to 160 ms
    and a line in time; the standard error allows for correlated residuals.

    Parameters
    ----------
    sweep
        The sweep; without a voltage the resistance is not measurable.

    Examples
    --------
    >>> current = np.repeat([0.0, -100.0, 0.0, 50.0, 0.0], 2000)
    >>> cell = Sweep(current, 0.1, voltage=-70 + 0.1 * current + np.random.default_rng(0).normal(0, 0.1, current.size))
    >>> round(estimate_input_resistance(cell).value, 2), estimate_input_resistance(cell).measurable
    (0.1, True)
    """
    per = max(round(BIN / sweep.dt), 1)
    n = sweep.steps // per
    first = min(SPANS[-1], n // 2)
    if sweep.voltage is None or n - first < ENOUGH:
        return Resistance(0.0, np.inf, False)
    current = sweep.current[: n * per].reshape(n, per).mean(axis=1)
    voltage = np.median(sweep.voltage[: n * per].reshape(n, per), axis=1)[first:]
    total = np.concatenate([[0.0], np.cumsum(current)])
    at = np.arange(first, n)
    means = [(total[at + 1] - total[at + 1 - span]) / span for span in SPANS if span <= first + 1]
    drift = np.stack([np.ones(at.size), np.linspace(-1, 1, at.size)], axis=1)
    kept = np.flatnonzero(np.isfinite(voltage) & _find_usable_bins(sweep, per, n)[first:])
    return _regress_voltage(drift[kept], np.stack(means, axis=1)[kept], voltage[kept])


def _find_usable_bins(sweep: Sweep, per: int, n: int) -> Bool[Mask, " bin"]:
    mask: Bool[Mask, " bin"] = np.all(sweep.mask()[: n * per].reshape(n, per), axis=1)
    return mask


def _regress_voltage(
    drift: Float64[Array, "bin trend"], currents: Float64[Array, "bin span"], voltage: Float64[Array, " bin"]
) -> Resistance:
    """Sum the weights of the currents, GOhm, with the standard error of the sum."""
    if len(voltage) < ENOUGH:
        return Resistance(0.0, np.inf, False)
    steady = currents - drift @ np.linalg.lstsq(drift, currents, rcond=None)[0]
    reach = float(np.ptp(steady[:, 0]))  # a ramp cannot be distinguished from a drift of the resting potential
    design = np.concatenate([drift, currents], axis=1)
    weights, *_ = np.linalg.lstsq(design, voltage, rcond=1e-8)
    rest = voltage - design @ weights
    sd = float(np.std(rest))
    follows = float(np.clip(rest[1:] @ rest[:-1] / max(rest @ rest, 1e-300), 0.0, 0.95))
    inflation = (1 + follows) / (1 - follows)
    total = np.r_[np.zeros(drift.shape[1]), np.ones(currents.shape[1])]
    error = np.sqrt(max(total @ np.linalg.pinv(design.T @ design, rcond=1e-8) @ total, 0.0) * inflation) * sd
    measurable = TYPICAL * reach >= max(PLAIN * sd, 1e-6) and SURE * error < TYPICAL
    return Resistance(float(total @ weights), float(error), bool(measurable))


def find_contradiction(sweep: Sweep) -> str:
    """Explain how the voltage contradicts the current; empty if it follows it, or if that cannot be determined."""
    seen = estimate_input_resistance(sweep)
    if not seen.measurable:
        return ""
    reach = f"{np.min(sweep.current):.0f} to {np.max(sweep.current):.0f} pA"
    if seen.value + SURE * seen.error < -LEAST:
        return (
            f"the voltage falls where the current rises ({1e3 * seen.value:.0f} MOhm): the sign of one of them is "
            "inverted, or the current is that of another sweep"
        )
    if seen.value + SURE * seen.error < LEAST:
        return (
            f"the voltage does not follow the current ({reach}; input resistance {1e3 * seen.value:.1f} ± "
            f"{1e3 * seen.error:.1f} MOhm): it was not injected into this cell, or is that of another sweep"
        )
    return ""


def explain_undriven(recording: Recording) -> str:
    """Explain why no neuron can be fitted to a recording; empty if one can.

    Examples
    --------
    >>> explain_undriven(Recording.of(np.zeros((3, 5000)), 0.1, spike_times=[[10.0], [], [20.0]]))
    'the current is 0 pA throughout: nothing was injected, so that whatever made the cell fire is not in the recording'
    """
    levels = np.concatenate([[float(s.current.min()), float(s.current.max())] for s in recording.sweeps])
    if not np.ptp(levels):
        fired = "whatever made the cell fire is not in the recording"
        cause = fired if recording.n_spikes else "there is no answer to fit, nor a spike"
        if levels[0]:
            return f"the current is {levels[0]:g} pA throughout: it never changes, so that {cause}"
        return f"the current is 0 pA throughout: nothing was injected, so that {cause}"
    if _is_only_noise(recording):
        largest = max(float(np.std(s.current)) for s in recording.sweeps)
        return (
            f"the current is the noise of its recording (at most {largest:.2g} pA in standard deviation about one "
            "level), which the voltage does not follow: nothing was injected"
        )
    driven = [s for s in recording.sweeps if np.ptp(s.current)]
    against = [s for s in driven if find_contradiction(s)]
    if against and sum(s.duration for s in against) > sum(s.duration for s in driven) / 2:
        return f"{len(against)} of {len(driven)} sweeps with a stimulus contradict it: {find_contradiction(against[0])}"
    return ""


def _is_only_noise(recording: Recording) -> bool:
    """Whether no sweep holds more than recording noise about one common level, none of it followed by the voltage."""
    if max(float(np.ptp(s.current)) for s in recording.sweeps) > NOISE_REACH * QUIET:
        return False
    sds = [float(np.std(s.current)) for s in recording.sweeps]
    medians = [float(np.median(s.current)) for s in recording.sweeps]
    white = all(abs(_compute_autocorrelation(s.current)) < 0.5 for s in recording.sweeps)
    if max(sds) > QUIET or np.ptp(medians) > QUIET or not white:
        return False
    seen = [estimate_input_resistance(s) for s in recording.sweeps if s.voltage is not None]
    return bool(seen) and not any(r.value > SURE * r.error for r in seen)


def _compute_autocorrelation(current: Trace) -> float:
    """Correlation of a current with itself one sample later: a stimulus is slower than the noise of an amplifier."""
    x = current - current.mean()
    return float(x[1:] @ x[:-1] / max(x @ x, 1e-300))
