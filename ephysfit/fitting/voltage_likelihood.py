"""The recorded voltage beside the spikes: which samples count in a joint likelihood, and how they err."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ephysfit.arrays import Array, Mask
from ephysfit.data.recording import Sweep
from ephysfit.errors import FitError, near
from ephysfit.fitting.stage import Problem
from ephysfit.fitting.stage_reports import VoltageReport
from ephysfit.neuron.declare import Neuron, has_potential
from ephysfit.neuron.free_parameters import FreeParameters
from ephysfit.simulation.replay import Noise, Replay, ReplaySweep

#: models of the errors of the voltage
NOISES = ("thinned", "ar")
#: share of the voltage's variance under which what a fit says in mV is a compromise
EXPLAINED = 0.9
#: fewest watched samples that carry an estimate of their noise
FEWEST = 50
#: largest correlation of neighbouring errors; the rest is a drift of the electrode, not of the membrane
LONGEST = 0.995


@dataclass(frozen=True)
class Voltage:
    """How the recorded voltage enters the likelihood.

    The replay gives the neuron's potential after the recorded spikes. The difference of the recording from it, away
    from spikes, is modelled as Gaussian noise. Errors of neighbouring samples are correlated: with a correlation r, n
    samples weigh as n (1 - r) / (1 + r) independent ones, so that a minute's 600,000 samples count as the hundreds to
    thousands they are and do not drown the spikes. Size and memory of the noise are estimated with the neuron, in
    turns. Samples are `every` ms apart, because closer ones add only white noise of the amplifier and computing time.

    Parameters
    ----------
    weight : float
        Of the voltage's log-likelihood beside that of the spikes. 1: the joint likelihood, whose standard errors hold.
    every : float
        Milliseconds from one sample to the next.
    before, after : float
        Milliseconds around each spike that are left out: the spike itself, and what follows it that no reset to one
        potential can follow.
    noise : {"thinned", "ar"}
        "thinned": as above. "ar": the likelihood of errors that forget exponentially (what a leaky membrane makes of
        white current noise). It is the sharper one for a neuron that is right. A model misses a real cell's potential
        by mV for long stretches; "ar" then trusts the changes from one sample to the next, and gives up levels and
        spikes.

    References
    ----------
    Pillow, Paninski, Uzzell, Simoncelli & Chichilnisky (2005), J. Neurosci. 25, 11003 (likelihood with membrane noise).

    Examples
    --------
    >>> import ephysfit as ef
    >>> from ephysfit.models import LIF
    >>> cell = LIF(C=120.0, g=6.0, E_L=-70.0, theta=-52.0, V_reset=-62.0, t_ref=2.0, delta=2.0)
    >>> data = ef.synthetic.recording(cell, duration=5000.0, repeats=0, dt=0.5, voltage_noise=0.5)
    >>> joint = ef.stages.Likelihood(voltage=ef.stages.Voltage())
    >>> found = ef.fit(data, "LIF", [ef.stages.Passive(), joint])
    >>> abs(found.neuron.E_L + 70.0) < 1.0
    True
    """

    weight: float = 1.0
    every: float = 1.0
    before: float = 3.0
    after: float = 10.0
    noise: str = "thinned"

    def __post_init__(self) -> None:
        for name in ("weight", "every"):
            if not getattr(self, name) > 0:
                raise FitError(f"Voltage({name}={getattr(self, name):g}): give a number above 0")
        if self.noise not in NOISES:
            raise FitError(f"Voltage(noise={self.noise!r}); {near(self.noise, NOISES)}")


def require_potential(neuron: type[Neuron]) -> None:
    """Refuse a neuron whose fit cannot use a recorded voltage.

    Raises
    ------
    FitError
    """
    if not has_potential(neuron):
        raise FitError(
            f"{neuron.__name__} has no membrane potential in mV, so its fit cannot use a recorded voltage; leave "
            "the voltage out, or take a neuron that has one, such as GIF, AGIF, IGIF or ALIF"
        )


def select_voltage_samples(problem: Problem, sweeps: Sequence[ReplaySweep], how: Voltage) -> list[ReplaySweep]:
    """The sweeps of a problem with their voltage, and which of its samples count.

    Raises
    ------
    FitError
        If the neuron has no potential in mV, or no sweep has a voltage.
    """
    require_potential(problem.neuron)
    recorded = problem.recording.sweeps
    if all(s.voltage is None for s in recorded):
        raise FitError(f"{problem.recording.cell}: no sweep has a recorded voltage; fit the spikes alone")
    rows = zip(recorded, sweeps, problem.lengths, strict=True)
    return [_add_voltage(problem.dt, s, t, len(t.spikes) - n, how) for s, t, n in rows]


def _add_voltage(dt: float, sweep: Sweep, taught: ReplaySweep, first: int, how: Voltage) -> ReplaySweep:
    """`first`: the step of the replay with which the sweep begins, after its run-up."""
    if sweep.voltage is None:
        return taught
    steps, apart = len(taught.spikes), max(round(how.every / dt), 1)
    ends = _average_at_step_ends(sweep, round(dt / sweep.dt))
    voltage, good = np.full(steps, np.nan), np.zeros(steps, bool)
    known = min(len(ends), steps - first)
    voltage[first : first + known] = ends[:known]
    good[first : first + known] = _find_samples_away_from_spikes(sweep, how, dt, len(ends))[:known]
    good &= np.isfinite(voltage)
    sampled = np.zeros(steps, bool)
    sampled[::apart] = True
    watch = np.where(good & sampled, np.uint8(1), np.uint8(0))
    watch[apart:][(watch[apart:] > 0) & (watch[:-apart] > 0) & _is_unbroken(good, apart)] = 2
    return replace(taught, voltage=np.nan_to_num(voltage), compared=watch)


def _is_unbroken(good: Mask, apart: int) -> Mask:
    """Whether all steps from one sample to the one `apart` later are good: no spike lies between."""
    bad = np.cumsum(np.r_[0, ~good])
    return bad[apart + 1 :] - bad[: -apart - 1] == 0


def _average_at_step_ends(sweep: Sweep, k: int) -> Array:
    """Voltage at the end of each step of `k` samples, averaged evenly over as many about it; NaN at the borders."""
    assert sweep.voltage is not None
    n = sweep.steps // k
    window = np.full(k, 1.0 / k) if k % 2 else np.r_[0.5, np.ones(k - 1), 0.5] / k
    half = len(window) // 2
    padded = np.r_[np.full(half, np.nan), sweep.voltage, np.full(half, np.nan)]
    return np.convolve(padded, window, "valid")[k - 1 : n * k : k]


def _find_samples_away_from_spikes(sweep: Sweep, how: Voltage, dt: float, n: int) -> Mask:
    k = round(dt / sweep.dt)
    good = np.asarray(sweep.mask()[: n * k].reshape(n, k).all(axis=1))
    for t in sweep.spike_times:
        good[max(int((t - how.before) / dt), 0) : int((t + how.after) / dt) + 1] = False
    return good


def estimate_voltage_noise(
    free: FreeParameters, cell: Neuron, dt: float, sweeps: Sequence[ReplaySweep], how: Voltage
) -> Noise:
    """Size and memory of the difference between the recorded voltage and that of a cell.

    Raises
    ------
    FitError
        If too few samples count to estimate them.
    """
    before, after, every = _neighbouring_errors(free, cell, dt, sweeps, how)
    if len(every) < FEWEST:
        raise FitError(
            f"{len(every)} samples of the voltage lie away from spikes and inside the data that count; a fit of the "
            f"voltage needs {FEWEST}: fit the spikes alone, or give Voltage(before=..., after=...) that leave more"
        )
    if how.noise == "thinned":
        middle = float(np.mean(every))  # a wrong level is not memory, and will be fitted
        alike = _lag_correlation(before - middle, after - middle)
        return Noise(0.0, float(np.sqrt(np.mean(every**2))), how.weight * (1 - alike) / (1 + alike))
    keep = _lag_correlation(before, after)
    innovation = float(np.mean((after - keep * before) ** 2)) if len(after) else float(np.mean(every**2))
    return Noise(keep, float(np.sqrt(innovation / (1 - keep**2))), how.weight)


def _lag_correlation(before: Array, after: Array) -> float:
    return float(np.clip(float(before @ after) / max(float(before @ before), 1e-12), 0.0, LONGEST))


def _neighbouring_errors(
    free: FreeParameters, cell: Neuron, dt: float, sweeps: Sequence[ReplaySweep], how: Voltage
) -> tuple[Array, Array, Array]:
    """Errors and those of the samples after them, where one follows, and all errors; mV."""
    apart = max(round(how.every / dt), 1)
    found = Replay(free, cell, dt).misses(free.to_vector(cell), list(sweeps))
    parts = []
    for s, miss in zip(sweeps, found, strict=True):
        _, watch = s.compared_voltage
        used = s.use > 0
        follows = np.flatnonzero((watch == 2) & used)
        parts.append((miss[follows - apart], miss[follows], miss[(watch > 0) & used]))
    a, b, c = (np.concatenate(p) for p in zip(*parts, strict=True))
    return a, b, c


def summarize_voltage_fit(
    free: FreeParameters, cell: Neuron, dt: float, sweeps: Sequence[ReplaySweep], how: Voltage, noise: Noise
) -> VoltageReport:
    """What a fit keeps of its voltage: settings, noise, and how much of the voltage the neuron explains."""
    before, after, errors = _neighbouring_errors(free, cell, dt, sweeps, how)
    sure, first = noise.precision / noise.weight, len(errors) - len(after)
    unforetold = after - noise.keep * before
    total = sure * (unforetold @ unforetold + (1 - noise.keep**2) * (errors @ errors - after @ after))
    total -= len(errors) * np.log(sure / (2 * np.pi)) + first * np.log(1 - noise.keep**2)
    seen = np.concatenate([s.compared_voltage[0][(s.compared_voltage[1] > 0) & (s.use > 0)] for s in sweeps])
    return VoltageReport(
        settings=dict(vars(how)),
        keep=noise.keep,
        spread=noise.spread,
        weight=noise.weight,
        samples=len(errors),
        independent=len(errors) * noise.weight / how.weight * (1 - noise.keep) / (1 + noise.keep),
        log_likelihood=float(-0.5 * total),
        rms=float(np.sqrt(np.mean(errors**2))),
        explained=float(1 - np.mean(errors**2) / max(np.var(seen), 1e-12)),
    )


def warn_of_unexplained_voltage(report: VoltageReport | None) -> str:
    """A sentence where a neuron that was fitted to the voltage too leaves much of it unexplained; else ""."""
    if report is None or report.explained >= EXPLAINED:
        return ""
    return (
        f"the neuron explains {report.explained:.0%} of the variance of the voltage away from spikes and misses it by "
        f"{report.rms:.1f} mV rms: its capacitance, conductances and potentials are a compromise of spikes and "
        "voltage, not measurements; a neuron with the currents that this cell has would explain more"
    )
