"""Recorded voltage about spikes: its average over all of them, and the phase plot of single ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ephysfit.arrays import Array, Float64, Trace, Train
from ephysfit.card.pulses import find_pulses
from ephysfit.card.spike_shape import choose_spikes
from ephysfit.data.found_spikes import find_shapes
from ephysfit.data.recording import Sweep
from ephysfit.reports.evidence import Evidence

#: window of the average about a spike, ms before and after
BEFORE, AFTER = 50.0, 50.0
#: window of the phase plot about the onset, ms before and after
RISE, FALL = 2.0, 6.0
#: fewest spikes of an average, and most of a phase plot
FEWEST, MOST = 3, 40


@dataclass(frozen=True, eq=False)
class TriggeredVoltage:
    """Mean voltage about spikes.

    Attributes
    ----------
    times : (time,) array, ms from the spike
    mean, error : (time,) arrays, mV
        Mean and its standard error over spikes.
    count : int
    """

    times: Float64[Array, " time"]
    mean: Float64[Array, " time"]
    error: Float64[Array, " time"]
    count: int


@dataclass(frozen=True, eq=False)
class PhasePlot:
    """Single spikes as dV/dt against V.

    Attributes
    ----------
    voltage : list of (time,) arrays, mV
    slope : list of (time,) arrays, mV/ms
    threshold : float, mV
        Mean voltage where the slope passes a tenth of its maximum; NaN where no spike shows it.
    how : str
        Which spikes.
    """

    voltage: list[Trace]
    slope: list[Trace]
    threshold: float
    how: str


def compute_triggered_voltage(sweeps: list[tuple[Trace, float, Train]]) -> TriggeredVoltage | None:
    """Compute the mean voltage about spikes.

    Parameters
    ----------
    sweeps : list of (voltage, dt, spikes)
        mV, (time,); ms; (spike,) array, ms. All at one dt.

    Returns
    -------
    TriggeredVoltage or None
        None with fewer than three spikes whose windows are recorded.

    Examples
    --------
    >>> v = np.full(4000, -60.0)
    >>> found = compute_triggered_voltage([(v, 0.1, np.array([100.0, 200.0, 300.0]))])
    >>> found.count, float(found.mean[0]), float(found.times[-1])
    (3, -60.0, 50.0)
    """
    if not sweeps:
        return None
    dt = sweeps[0][1]
    lags = np.arange(-round(BEFORE / dt), round(AFTER / dt) + 1)
    parts = [np.empty((0, len(lags)))]
    for voltage, step, spikes in sweeps:
        at = np.floor(spikes / step + 1e-6).astype(int)
        at = at[(at + lags[0] >= 0) & (at + lags[-1] < len(voltage))]
        if abs(step - dt) < 1e-9 and len(at):
            parts.append(voltage[at[:, None] + lags])
    cut = np.concatenate(parts)
    cut = cut[np.isfinite(cut).all(axis=1)]
    if len(cut) < FEWEST:
        return None
    return TriggeredVoltage(lags * np.float64(dt), cut.mean(0), cut.std(0, ddof=1) / np.sqrt(len(cut)), len(cut))


def measure_triggered_voltage(evidence: Evidence) -> tuple[TriggeredVoltage | None, TriggeredVoltage | None]:
    """Measure the mean voltage about the spikes of the test sweeps: of the cell, and of the model about its own.

    The model's is that of its noise-free run, and None where it is not in the mV of the cell.
    """
    cell = compute_triggered_voltage([(s.voltage, s.dt, s.spike_times) for s in evidence.test.sweeps
                                      if s.voltage is not None])  # fmt: skip
    potentials = evidence.potentials()
    if not evidence.shares_units or potentials is None:
        return cell, None
    run = evidence.noise_free_run
    return cell, compute_triggered_voltage(
        [(v, run.dt, trains[0]) for v, trains in zip(potentials, run.spike_times, strict=True)]
    )


def measure_phase_plot(evidence: Evidence) -> PhasePlot | str:
    """Measure dV/dt against V of the cell's spikes; the reason where there is none."""
    sweeps = [s for s in evidence.test.sweeps if s.voltage is not None]
    if not sweeps:
        return "no voltage, spike times only"
    chosen, how = choose_spikes(sweeps, find_pulses(sweeps))
    if not chosen:
        return "no spikes in the test sweeps"
    chosen = chosen[:: max(len(chosen) // MOST, 1)]
    cut = [(c.sweep, c.time) for c in chosen]
    pairs = [pair for sweep, time in cut if (pair := _cut_spike(sweep, time)) is not None]
    if not pairs:
        return "no spike is recorded whole"
    voltage, slope = zip(*pairs, strict=True)
    return PhasePlot(list(voltage), list(slope), _measure_threshold(cut), how)


def _cut_spike(sweep: Sweep, time: float) -> tuple[Trace, Trace] | None:
    assert sweep.voltage is not None
    first, last = round((time - RISE) / sweep.dt), round((time + FALL) / sweep.dt)
    if first < 1 or last + 1 >= sweep.steps:
        return None
    v = sweep.voltage[first - 1 : last + 1]
    return (v[1:-1], (v[2:] - v[:-2]) / (2 * sweep.dt)) if np.isfinite(v).all() else None


def _measure_threshold(spikes: list[tuple[Sweep, float]]) -> float:
    found = []
    for sweep, time in spikes:
        at = find_shapes(sweep)
        if len(at.times) and np.abs(at.times - time).min() < 1.0:
            found.append(float(at.threshold[int(np.argmin(np.abs(at.times - time)))]))
    return float(np.mean(found)) if found else float("nan")
