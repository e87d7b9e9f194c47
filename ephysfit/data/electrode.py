"""The electrode in the recorded voltage: active electrode compensation, and an estimate of the bridge balance."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import scipy  # loads its parts when they are first used

from ephysfit.arrays import Array, Float64, Int64, Integers
from ephysfit.data.recording import Recording, Sweep
from ephysfit.errors import RecordingError

#: mV/pA to MOhm
MEGOHM = 1e3
#: time constants that a membrane may have, ms: the filter behind the electrode's is a sum of these
MEMBRANES = np.geomspace(3.0, 500.0, 25)
#: parts of the recording between which the resistance is compared, for its standard error
PARTS = 5
#: a series resistance below this is as good as a bridge gets, and as much as a dendrite imitates, MOhm
OFF = 8.0
#: length of the blocks in which the bridge is estimated, and of what counts as an instantaneous response, ms
BLOCK, FAST = 3.0, 1.0
#: fewest blocks for it, and least noise in them as a share of the range of the current
FEWEST_BLOCKS, LEAST_NOISE = 200, 0.01
#: samples in which a noise current changes, at least
NOISY = 0.2
#: rows of the regression held in memory at a time
ROWS = 20_000


#: normal equations: Gram matrix and right-hand side
Normal = tuple[Float64[Array, "unknown unknown"], Float64[Array, " unknown"]]


@dataclass(frozen=True, eq=False)
class Electrode:
    """Filter by which electrode and amplifier add to the membrane potential: V = V_m + sum over lags of K I.

    Attributes
    ----------
    dt : float
        Step, ms.
    kernel : ndarray, (lag,)
        Response to a current of one sample, mV/pA, from lag 0.
    resistance, error : float
        Sum of the kernel and its standard error, MOhm.
    whole : ndarray, (bin,)
        Response to a current of one sample (mV/pA) over `lags`: electrode and membrane together, as measured.
    lags : ndarray, (bin,)
        Middles of the lags of `whole`, ms.
    membrane : ndarray, (bin,)
        The membrane's part of `whole`.
    """

    dt: float
    kernel: Float64[Array, " lag"]
    resistance: float
    error: float
    whole: Float64[Array, " bin"]
    lags: Float64[Array, " bin"]
    membrane: Float64[Array, " bin"]

    def __repr__(self) -> str:
        return f"Electrode({self.resistance:.1f} ± {self.error:.1f} MOhm over {len(self.kernel) * self.dt:g} ms)"

    def voltage(self, current: Float64[Array, " time"]) -> Float64[Array, " time"]:
        """Voltage across the electrode, mV, shape (time,), for a current in pA, shape (time,).

        The current before the sweep is taken to be that of its first sample.
        """
        first = current[0]
        added: Float64[Array, " time"] = scipy.signal.fftconvolve(current - first, self.kernel)[: len(current)]
        added += first * self.kernel.sum()
        return added


def measure_electrode(
    aec: Recording, *, support: float = 3.0, length: float = 150.0, quiet: float | None = None
) -> Electrode:
    """Measure the filter of the electrode from a recording of small noise that evokes no spike.

    The filter from current to recorded voltage is found by regression. Its slow part is the membrane: a sum of
    decaying exponentials fitted to lags past `support` and extrapolated to lag 0. The remainder is the electrode.

    Parameters
    ----------
    aec : Recording
        Some seconds of broad-band current, too small for spikes (Pozzorini et al. 2015 inject 10 s).
    support : float
        Longest memory of the electrode, ms.
    length : float
        Length of the whole filter, ms.
    quiet : float, optional
        Milliseconds left out after the start of each sweep; `length` unless given.

    Raises
    ------
    RecordingError
        If there is no voltage, there are spikes, or the current does not vary from sample to sample.

    Returns
    -------
    Electrode
        Its filter, resistance and standard error.

    References
    ----------
    Brette et al. 2008, Neuron 59:379; Pozzorini et al. 2015, PLoS Comput. Biol. 11:e1004275.
    """
    _check_usable(aec, length)
    dt = aec.dt
    edges = _make_lag_bins(dt, support, length)
    parts = [_sum_normal_equations(s, edges, length if quiet is None else quiet) for s in _cut_parts(aec)]
    whole = _solve_filter(parts, len(edges) - 1)
    lags = (edges[:-1] + edges[1:] - 1) / 2 * dt
    membrane = _fit_membrane(whole, lags, np.diff(edges) * dt, support)
    fine = round(support / dt)
    kernel = (whole - membrane)[:fine]
    each = [_find_resistance([p], edges, lags, dt, support) for p in parts]
    error = float(np.std(each, ddof=1) / np.sqrt(len(each))) if len(each) > 1 else float("nan")
    return Electrode(dt, kernel, MEGOHM * float(kernel.sum()), error, whole, lags, membrane)


def compensate_electrode(recording: Recording, aec: Recording | Electrode) -> Recording:
    """Subtract the voltage across the electrode from a recording (active electrode compensation).

    Spike times stay as they are.

    Parameters
    ----------
    recording : Recording
        The recording to compensate.
    aec : Recording or Electrode
        A recording of small noise made for this purpose with the same electrode, or the electrode measured from it.

    Returns
    -------
    Recording
        The recording with compensated voltages; `facts` states the resistance.

    Raises
    ------
    RecordingError
        If there is no voltage, or the two are sampled at different steps.

    Examples
    --------
    >>> import numpy as np
    >>> current = 20.0 * np.random.default_rng(0).standard_normal(40000)
    >>> probe = Recording.of(current, 0.1, 0.03 * current - 70.0, spike_times=[])
    >>> electrode = measure_electrode(probe)
    >>> round(electrode.resistance), float(np.ptp(compensate_electrode(probe, electrode)[0].voltage)) < 1e-6
    (30, True)
    """
    electrode = aec if isinstance(aec, Electrode) else measure_electrode(aec)
    if abs(recording.dt - electrode.dt) > 1e-9:
        raise RecordingError(
            f"{recording.cell}: sampled at {recording.dt:g} ms, the recording of the electrode at {electrode.dt:g} ms; "
            "compensation needs both at one step"
        )
    if not any(s.voltage is not None for s in recording.sweeps):
        raise RecordingError(f"{recording.cell}: no voltage to compensate; spikes need no compensation")
    done = f"voltage compensated for an electrode of {electrode.resistance:.1f} MOhm"
    sweeps = [
        s if s.voltage is None else replace(s, voltage=s.voltage - electrode.voltage(s.current)) for s in recording
    ]
    facts = {**recording.facts, "electrode_compensation": done}
    return replace(recording, sweeps=tuple(sweeps), facts=facts)


@dataclass(frozen=True)
class Bridge:
    """The series resistance that the bridge left in a voltage.

    Attributes
    ----------
    resistance, error : float
        MOhm, with standard error; NaN if the recording does not allow an estimate.
    range : float
        pA between the 0.5 and 99.5 % quantiles of the current.
    """

    resistance: float
    error: float
    range: float

    @property
    def shift(self) -> float:
        """Error of the voltage over the range of the current, mV."""
        return self.resistance * self.range / MEGOHM

    @property
    def off(self) -> bool:
        """Whether the resistance is large and certain enough to matter."""
        return abs(self.resistance) > max(3 * self.error, OFF) and abs(self.shift) > 1.0

    def warning(self) -> str:
        """A sentence if the bridge was not balanced, else an empty string."""
        if not self.off:
            return ""
        way = "not compensated for" if self.resistance > 0 else "compensated too much for, by"
        return (
            f"the recorded voltage is {way} a series resistance of {abs(self.resistance):.0f} ± {self.error:.1g} MOhm: "
            f"it is off by up to {abs(self.shift):.0f} mV over the range of the current, and so are the parameters "
            "that a fit derives from it (V_reset, theta); give the recording of the electrode (--aec FILE, "
            "ef.compensate_electrode) or correct the bridge"
        )


def measure_bridge(recording: Recording, *, block: float = BLOCK, before: float = 3.0, after: float = 50.0) -> Bridge:
    """Estimate the series resistance left in the voltage, away from spikes, where the current is broad-band noise.

    The voltage at the end of a block is regressed on that at its beginning, on the current of the block's last ms and
    of the ms before it (in narrow bins: the electrode) and on the mean current between (the membrane). The effect of
    the last ms of current beyond the response of the membrane is attributed to the electrode.

    Parameters
    ----------
    recording : Recording
        The recording, with its spikes.
    block : float
        Length of a block, ms: long compared with the electrode, short compared with the membrane.
    before, after : float
        Milliseconds left out about each spike.

    Returns
    -------
    Bridge
        Its resistance is NaN without voltage, with steps of current or too little noise in it, or at too coarse a
        sampling.

    Notes
    -----
    A dendrite charges fast too and resembles a few MOhm of series resistance.
    """
    everything = np.concatenate([s.current for s in recording.sweeps])
    spread = float(np.subtract(*np.quantile(everything, [0.995, 0.005])))
    parts = [
        _cut_blocks(s, block, before, after)
        for s in recording.sweeps
        if s.voltage is not None and _find_changing_fraction(s) > NOISY
    ]
    parts = [p for p in parts if len(p[1])]
    if not parts or sum(len(y) for _, y in parts) < FEWEST_BLOCKS:
        return Bridge(float("nan"), float("nan"), spread)
    x, y = np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])
    if float(np.std(x[:, 1] - x[:, -2])) < LEAST_NOISE * spread:
        return Bridge(float("nan"), float("nan"), spread)
    each = [
        _find_fast_response(a, b, block)
        for a, b in zip(np.array_split(x, PARTS), np.array_split(y, PARTS), strict=True)
    ]
    return Bridge(
        MEGOHM * _find_fast_response(x, y, block), MEGOHM * float(np.std(each, ddof=1) / np.sqrt(PARTS)), spread
    )


def _cut_blocks(
    sweep: Sweep, block: float, before: float, after: float
) -> tuple[Float64[Array, "block column"], Float64[Array, " block"]]:
    """Rows of the regression: voltage before, mean currents in the bins of the last ms, in those of the ms before the
    block, between, and 1; and the voltage at the end."""
    k, wide = round(block / sweep.dt), max(round(0.2 / sweep.dt), 1)
    bins = round(FAST / (wide * sweep.dt))
    if bins < 1 or k < 2 * bins * wide:
        return np.zeros((0, 3)), np.zeros(0)
    n = sweep.steps // k
    assert sweep.voltage is not None
    voltage, current = (a[: n * k].reshape(n, k) for a in (sweep.voltage, sweep.current))
    away = sweep.mask()[: n * k].reshape(n, k).all(1) & np.isfinite(voltage[:, -1])
    for t in sweep.spike_times:
        away[max(int((t - before) / (k * sweep.dt)), 0) : int((t + after) / (k * sweep.dt)) + 1] = False
    use = away[:-1] & away[1:]
    last = current[:, k - bins * wide :].reshape(n, bins, wide).mean(2)
    between = current[1:, : k - bins * wide].mean(1)
    rows = np.column_stack([voltage[:-1, -1], last[1:], last[:-1], between, np.ones(n - 1)])
    return rows[use], voltage[1:, -1][use]


def _find_fast_response(x: Float64[Array, "block column"], y: Float64[Array, " block"], block: float) -> float:
    """Response to the last ms of current beyond that of the membrane, mV/pA."""
    found = np.linalg.lstsq(x, y, rcond=None)[0]
    bins = (x.shape[1] - 3) // 2
    return float(found[1 : 1 + bins].sum() - found[-2] * FAST / (block - FAST))


def _find_changing_fraction(sweep: Sweep) -> float:
    """Fraction of samples in which the current changes."""
    return float(np.mean(np.diff(sweep.current) != 0)) if sweep.steps > 1 else 0.0


def _check_usable(aec: Recording, length: float) -> None:
    for s in aec.sweeps:
        if s.voltage is None or not np.isfinite(s.voltage).all():
            raise RecordingError(f"{aec.cell}, sweep {s.name!r}: the electrode is measured in the voltage, all of it")
        if len(s.valid_spikes):
            raise RecordingError(
                f"{aec.cell}, sweep {s.name!r}: {len(s.valid_spikes)} spikes; the electrode is measured with a current "
                "too small for spikes (the recording of a few seconds that was made for it)"
            )
        if s.duration < 10 * length:
            raise RecordingError(
                f"{aec.cell}, sweep {s.name!r}: {s.duration:g} ms; a filter of {length:g} ms needs ten times that"
            )
        moving = _find_changing_fraction(s)
        if moving < NOISY:
            raise RecordingError(
                f"{aec.cell}, sweep {s.name!r}: the current changes in {moving:.0%} of its samples; a filter "
                "as fast as an electrode's is measured with noise, not with steps"
            )


def _cut_parts(recording: Recording) -> list[Sweep]:
    """Cut a recording into parts of about equal length, for the standard error."""
    count = max(PARTS // len(recording), 1)
    out = []
    for s in recording.sweeps:
        ends = np.linspace(0, s.duration, count + 1)
        out += [s.cut(a, b) for a, b in pairwise(ends)]
    return out


def _make_lag_bins(dt: float, support: float, length: float) -> Int64[Integers, " edge"]:
    """Bounds of lag bins in samples: every sample up to the support, then ever wider."""
    fine = round(support / dt)
    wide = np.geomspace(fine, length / dt, 40)
    return np.unique(np.r_[np.arange(fine), np.round(wide)].astype(np.int64))


def _sum_normal_equations(sweep: Sweep, edges: Int64[Integers, " edge"], quiet: float) -> Normal:
    """Normal equations of the voltage on the current in lag bins, a constant and a slow change."""
    assert sweep.voltage is not None
    gram, right = np.zeros((len(edges) + 2, len(edges) + 2)), np.zeros(len(edges) + 2)
    total = np.r_[0.0, np.cumsum(sweep.current - sweep.current.mean())]
    first = max(round(quiet / sweep.dt), int(edges[-1]))
    for t in _iterate_chunks(first, sweep.steps):
        bins = [total[t + 1 - a] - total[t + 1 - b] for a, b in pairwise(edges)]
        x = np.column_stack([*bins, np.ones(len(t)), t / sweep.steps, (t / sweep.steps) ** 2])
        gram += x.T @ x
        right += x.T @ sweep.voltage[t]
    return gram, right


def _iterate_chunks(first: int, stop: int) -> Iterator[Int64[Integers, " _"]]:
    for a in range(first, stop, ROWS):
        yield np.arange(a, min(a + ROWS, stop))


def _solve_filter(parts: list[Normal], bins: int) -> Float64[Array, " bin"]:
    """The filter by least squares over all parts, each with its own constant and change."""
    n, k = bins, len(parts)
    gram, right = np.zeros((n + 3 * k, n + 3 * k)), np.zeros(n + 3 * k)
    for j, (g, r) in enumerate(parts):
        own = np.r_[np.arange(n), n + 3 * j + np.arange(3)]
        gram[np.ix_(own, own)] += g
        right[own] += r
    scale = 1 / np.sqrt(np.maximum(np.diag(gram), 1e-300))
    found: Float64[Array, " unknown"] = (
        np.linalg.lstsq(gram * np.outer(scale, scale), right * scale, rcond=1e-12)[0] * scale
    )
    return found[:n]


def _fit_membrane(
    whole: Float64[Array, " bin"], lags: Float64[Array, " bin"], widths: Float64[Array, " bin"], support: float
) -> Float64[Array, " bin"]:
    """Fit non-negative decaying exponentials to the lags past the support, and evaluate them at all lags."""
    late = lags > support
    weight = np.sqrt(widths)
    shapes = np.exp(-lags[:, None] / MEMBRANES)
    amounts, _ = scipy.optimize.nnls(shapes[late] * weight[late, None], whole[late] * weight[late])
    fitted: Float64[Array, " bin"] = shapes @ amounts
    return fitted


def _find_resistance(
    parts: list[Normal], edges: Int64[Integers, " edge"], lags: Float64[Array, " bin"], dt: float, support: float
) -> float:
    whole = _solve_filter(parts, len(edges) - 1)
    return MEGOHM * float((whole - _fit_membrane(whole, lags, np.diff(edges) * dt, support))[lags < support].sum())
