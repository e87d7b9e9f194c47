"""The membrane from small pulses: exponentials fitted to the mean response, without electrode and sag."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from ephysfit.arrays import Array, Float64
from ephysfit.card.measures import Measure, student
from ephysfit.card.pulses import BASELINE, Pulse
from ephysfit.card.whitening import Bins, measure_noise

#: the voltage is fitted from so long after the beginning of a pulse on, ms: by then the electrode has settled
SKIP = 0.5
#: bins of the response, spaced evenly in the logarithm of time
BINS = 90
#: time constants tried, ms; the slowest is at most this part of the pulse
FASTEST, TRIED, SLOWEST = 0.3, 36, 0.6
#: a second exponential must leave at most this part of the sum of squares, and be this part of the whole
BETTER, NOTABLE = 0.7, 0.03
#: and one is enough if it leaves only this part of the response's own sum of squares
EXACT = 1e-5
#: and what follows from both is known to this part of itself, from so many pulses
LOOSE, FEWEST = 0.4, 3
#: time constants of two exponentials are apart by this factor at least; those of membrane and sag by less
APART, SAG_APART = 2.5, 1.2
#: responses of at most this many mV are small; where there are none, the smallest is used up to so many
SMALL, LARGE = 15.0, 40.0
#: parts that are left out in turn for the standard errors, at most
PARTS = 20
#: the part of a pulse after which the voltage is steady
STEADY = 0.8
MEGOHM = 1e3

#: what the response gives
NAMES = ("input_resistance", "steady_resistance", "tau", "capacitance", "access_resistance")


class Form(StrEnum):
    """Shape of a response; the value says it in words. Each has one or two times, ms.

    A membrane whose h-current is about as fast as itself rings: its two exponentials become one damped wave.
    """

    SINGLE = "single exponential"
    DOUBLE = "double exponential"
    DAMPED = "membrane with sag"


@dataclass(frozen=True)
class Response:
    """A response to a pulse of 1 pA.

    Attributes
    ----------
    form : Form
    times : tuple of float, ms, time constants, or decay and inverse angular frequency of a wave
    weights : tuple of float, MOhm, the jump at once, then what rises with each time
    steady : float, MOhm, at the end of the pulse, without the jump
    """

    form: Form
    times: tuple[float, ...]
    weights: tuple[float, ...]
    steady: float

    @property
    def has_sag(self) -> bool:
        """Whether the response runs back."""
        return self.form is Form.DAMPED or (self.form is Form.DOUBLE and self.weights[2] < 0)

    @property
    def measures(self) -> Float64[Array, " measure"]:
        """Values of `NAMES`."""
        jump, *rising = self.weights
        if self.has_sag:
            resistance, capacitance = self._solve_sag()
            tau = resistance * capacitance / MEGOHM
        else:
            resistance, tau = sum(rising), self.times[-1]
            capacitance = MEGOHM * tau / rising[-1]
        return np.array([resistance, self.steady, tau, capacitance, jump])

    def _solve_sag(self) -> tuple[float, float]:
        """Resistance (MOhm) and capacitance (pF) of C dV/dt = -g V - w + I with tau_h dw/dt = -w + g_h V.

        The slope at once is 1 / C, the steady response 1 / (g + g_h), and the rates are the eigenvalues.
        """
        rates, rising = 1.0 / np.array(self.times), np.array(self.weights[1:])
        if self.form is Form.DAMPED:
            whole, slope = rising[0], rising @ rates
            both, product = 2 * rates[0], rates @ rates
        else:
            whole, slope = rising.sum(), rising @ rates
            both, product = rates.sum(), rates.prod()
        closing = whole / slope * product
        leak = both - closing
        return float(slope / leak) if leak > 0 else float("inf"), float(MEGOHM / slope)


def measure_membrane(pulses: Sequence[Pulse]) -> list[Measure]:
    """Measure resistances, time constant, capacitance and the access resistance left from small spike-free pulses.

    Parameters
    ----------
    pulses
        All pulses of a recording; the small hyperpolarising ones are used, or the small depolarising ones where
        there are none.

    Examples
    --------
    >>> from ephysfit.card.pulses import find_pulses
    >>> from ephysfit.data.sweep import Sweep
    >>> t = np.arange(8000) * 0.1
    >>> inside = (t >= 200) & (t < 600)
    >>> v = -70.0 - np.where(inside, 4.0 * (1 - np.exp(-(t - 200) / 20.0)), 0.0)    # 200 MOhm, 20 ms
    >>> found = measure_membrane(find_pulses([Sweep(-20.0 * inside, 0.1, v)]))
    >>> [round(m.value) for m in found]
    [200, 200, 20, 100, 0]
    """
    chosen, why = choose_small(pulses)
    if not chosen:
        return [Measure.missing(name, why) for name in NAMES]
    bins = _make_bins(chosen)
    size = np.array([p.amplitude for p in chosen])
    rows = np.array([_bin_response(p, bins) for p in chosen])
    length = min(p.duration for p in chosen)
    means = [MEGOHM * (size @ rows) / (size @ size), *_leave_out(size, rows)]
    found = _fit_means(means, bins, length)
    if not found:
        return [Measure.missing(name, "the response to small pulses is not that of a membrane") for name in NAMES]
    values = np.array([r.measures for r in found])
    kind = Form.DAMPED if found[0].has_sag else found[0].form
    how = f"{kind}, mean of {len(chosen)} pulse{'s' * (len(chosen) > 1)} of {describe_amplitudes(size)}{why}"
    measured = [_with_interval(name, values[:, k], len(chosen), how) for k, name in enumerate(NAMES)]
    if values[0, 0] <= 0 or measured[0].low == 0:
        why = f"the response to pulses of {describe_amplitudes(size)} is not above the noise"
        return [Measure.missing(name, why) for name in NAMES]
    if length < 2 * values[0, 2]:
        why = f"the pulses last {length:.0f} ms, less than two time constants of {values[0, 2]:.0f} ms"
        return [Measure.missing(name, why) for name in NAMES[:4]] + measured[4:]
    return measured


def _fit_means(means: Sequence[Array], bins: Bins, length: float) -> list[Response]:
    """Fit the mean response, first of `means`, and those with a part left out: with two times if they are determined,
    else with one; none if no form is that of a membrane.

    Which form it is shows in what the fits leave of the whole response; whitened, a slow sag would count as little as
    slow noise does.
    """
    plain = bins.unwhitened()
    whole = plain.whiten(means[0])
    single, *double = (_search(whole, plain, form, length) for form in Form)
    if single is not None and single[0] <= EXACT * float(whole @ whole):
        double = []  # what one exponential leaves of a simulated membrane is rounding, or the trace of an earlier pulse
    better = [b for b in double if b is not None and (single is None or b[0] <= BETTER * single[0])]
    for best in [*sorted(better), *([] if single is None else [single])]:
        found = [_fit_response(m, bins, best[1], best[2], length) for m in means]
        if best is single or (_is_notable(found[0]) and _is_determined(np.array([r.measures for r in found]))):
            return found
    return []


def _is_notable(response: Response) -> bool:
    """Whether neither of two exponentials is next to nothing."""
    sizes = np.abs(response.weights[1:])
    return response.form is Form.DAMPED or bool(sizes.min() >= NOTABLE * sizes.sum())


def _is_determined(values: Float64[Array, "fit measure"]) -> bool:
    """Whether resistance, time constant and capacitance vary little as parts are left out; a few pulses do not tell."""
    n = len(values) - 1
    if n < FEWEST:
        return False
    if not np.isfinite(values).all():
        return False
    errors = np.sqrt((n - 1) / n * np.sum((values[1:] - values[1:].mean(0)) ** 2, axis=0))
    checked = [NAMES.index(name) for name in ("input_resistance", "tau", "capacitance")]
    return bool(np.all(errors[checked] * student(n - 1) <= LOOSE * np.abs(values[0, checked])))


def describe_amplitudes(size: Float64[Array, " pulse"]) -> str:
    """Describe the amplitudes of pulses: one, or a range, in pA.

    Examples
    --------
    >>> describe_amplitudes(np.array([-10.1, -9.9])), describe_amplitudes(np.array([-50.0, -25.0]))
    ('-10 pA', '-50 to -25 pA')
    """
    low, high = f"{size.min():.0f}", f"{size.max():.0f}"
    return f"{low} pA" if low == high else f"{low} to {high} pA"


def choose_small(pulses: Sequence[Pulse]) -> tuple[list[Pulse], str]:
    """Choose the pulses that the passive membrane answers, with a reservation; or say why there are none."""
    if not any(p.sweep.voltage is not None for p in pulses):
        return [], "no voltage" if pulses else "no pulses of constant current"
    quiet = [p for p in pulses if np.isfinite(p.baseline) and not len(p.spikes) and _is_recorded(p)]
    if not quiet:
        return [], "no pulse without spikes in it and before it of which all samples are there"
    moved = [_find_extreme_change(p) for p in quiet]
    least, limit, note = min(moved), SMALL, ""
    if least > LARGE:
        return (
            [],
            f"every pulse without spikes moves the voltage by more than {LARGE:.0f} mV (the smallest by {least:.0f})",
        )
    if least > SMALL:
        limit, note = 1.1 * least, f"; not small: it moves the voltage by {least:.0f} mV"
    small = [p for p, size in zip(quiet, moved, strict=True) if size <= limit]
    down = [p for p in small if p.amplitude < 0]
    return (down or small), note


def _is_recorded(pulse: Pulse) -> bool:
    """Whether all of the voltage in a pulse was recorded."""
    sweep = pulse.sweep
    assert sweep.voltage is not None
    part = sweep.voltage[round(pulse.begin / sweep.dt) : round(pulse.end / sweep.dt)]
    return bool(part.size and np.isfinite(part).all())


def _find_extreme_change(pulse: Pulse, span: float = 10.0) -> float:
    """Largest change of the voltage in a pulse, mean over `span` ms, mV."""
    sweep = pulse.sweep
    assert sweep.voltage is not None
    wide = max(round(span / sweep.dt), 1)
    part = sweep.voltage[round(pulse.begin / sweep.dt) : round(pulse.end / sweep.dt)] - pulse.baseline
    n = len(part) // wide
    return float(np.abs(part[: n * wide].reshape(n, wide).mean(1)).max())


def _make_bins(pulses: Sequence[Pulse]) -> Bins:
    """Bins spaced evenly in the logarithm of time, and one before the pulse."""
    length, dt = min(p.duration for p in pulses), max(p.sweep.dt for p in pulses)
    edges = np.unique(np.round(np.geomspace(max(SKIP, dt), length - dt, BINS) / dt)) * dt
    return Bins.of(edges, measure_noise(pulses), float(np.median([min(p.lead, BASELINE) for p in pulses])), dt)


def _bin_response(pulse: Pulse, bins: Bins) -> Float64[Array, " bin"]:
    """Mean change of the voltage in each bin, mV; what is missing outside of them does not matter."""
    assert pulse.sweep.voltage is not None
    dt = pulse.sweep.dt
    first = np.maximum(np.round((pulse.begin + bins.begin) / dt).astype(int), 0)
    last = np.maximum(np.round((pulse.begin + bins.end) / dt).astype(int), first + 1)
    begin, end = int(first[0]), min(int(last[-1]), pulse.sweep.steps)
    total = np.r_[0.0, np.cumsum(pulse.sweep.voltage[begin:end] - pulse.baseline)]
    last = np.minimum(last, end)
    return (total[last - begin] - total[first - begin]) / (last - first)


def _leave_out(size: Float64[Array, " pulse"], rows: Float64[Array, "pulse bin"]) -> list[Float64[Array, " bin"]]:
    """Mean responses with each part of the pulses left out, for the jackknife."""
    parts = np.arange(len(size)) % min(len(size), PARTS)
    if len(size) < 2:
        return []
    kept = [parts != k for k in range(parts.max() + 1)]
    return [MEGOHM * (size[k] @ rows[k]) / (size[k] @ size[k]) for k in kept]


def _design(bins: Bins, form: Form, times: Sequence[float]) -> Float64[Array, "bin column"]:
    """Columns: the jump and what rises with each time, mean over each bin, whitened."""
    begin, end, widths = bins.begin[1:], bins.end[1:], bins.widths[1:]
    if form is Form.DAMPED:
        # the mean of exp(-t / s) for complex s, whose real and imaginary parts are the wave
        s = 1.0 / complex(1.0 / times[0], 1.0 / times[1])
        mean = s * (np.exp(-begin / s) - np.exp(-end / s)) / widths
        rises = [1.0 - mean.real, -mean.imag]
    else:
        rises = [1.0 - tau * (np.exp(-begin / tau) - np.exp(-end / tau)) / widths for tau in times]
    columns = np.zeros((len(bins.begin), 1 + len(rises)))  # nothing rises before the pulse
    for k, column in enumerate((1.0, *rises)):
        columns[1:, k] = column
    return bins.whiten(columns)


def _solve(white: Array, bins: Bins, form: Form, times: Sequence[float]) -> tuple[Float64[Array, " column"], float]:
    """Weights of the columns in a whitened response, and the sum of squares left."""
    x = _design(bins, form, times)
    found: Float64[Array, " column"] = np.linalg.lstsq(x, white, rcond=None)[0].astype(np.float64)
    rest = white - x @ found
    return found, float(rest @ rest)


def _search(white: Array, bins: Bins, form: Form, length: float) -> tuple[float, Form, tuple[float, ...]] | None:
    """Best times of a form for a whitened response: sum of squares left, form, times; None if none is a membrane's."""
    tried = np.geomspace(FASTEST, SLOWEST * length, TRIED).tolist()
    pairs: list[tuple[float, ...]] = [(a, b) for a in tried[::2] for b in tried[::2]]
    candidates: list[tuple[float, ...]] = [(t,) for t in tried] if form is Form.SINGLE else pairs
    sound = []
    for times in candidates:
        if form is Form.DOUBLE and times[-1] < SAG_APART * times[0]:
            continue
        weights, left = _solve(white, bins, form, times)
        if _is_membrane(weights, form, times):
            sound.append((left, times))
    if not sound:
        return None
    left, times = _refine(white, bins, form, min(sound)[1])
    return left, form, times


def _refine(white: Array, bins: Bins, form: Form, times: tuple[float, ...]) -> tuple[float, tuple[float, ...]]:
    """Descend from times by ever smaller factors."""
    best, factor = _solve(white, bins, form, times)[1], 1.25
    while factor > 1.0005:
        moved = False
        for k in range(len(times)):
            for f in (factor, 1 / factor):
                new = (*times[:k], times[k] * f, *times[k + 1 :])
                weights, left = _solve(white, bins, form, new)
                if left < best and new[0] >= FASTEST / 2 and _is_membrane(weights, form, new):
                    best, times, moved = left, new, True
        factor = factor if moved else float(np.sqrt(factor))
    return best, times


def _is_membrane(weights: Float64[Array, " column"], form: Form, times: Sequence[float]) -> bool:
    """Whether a response is a membrane's: it moves with the pulse at once and ends so, two exponentials of one sign
    are well apart."""
    if form is Form.SINGLE:
        return bool(weights[1] > 0)
    if form is Form.DAMPED:
        return bool(weights[1] > 0 and weights[1] / times[0] + weights[2] / times[1] > 0)
    apart = APART if weights[2] > 0 else SAG_APART
    return bool(weights[1] > 0 and weights[2] > -weights[1] and times[1] >= apart * times[0])


def _fit_response(row: Array, bins: Bins, form: Form, times: tuple[float, ...], length: float) -> Response:
    """Fit the times of a form to a response, from given ones on."""
    white = bins.whiten(row)
    times = _refine(white, bins, form, times)[1]
    weights = _solve(white, bins, form, times)[0]
    late = bins.begin + bins.end >= 2 * STEADY * length
    steady = float(np.average(row[late], weights=bins.widths[late])) - float(weights[0])
    return Response(form, times, tuple(map(float, weights)), steady)


def _with_interval(name: str, values: Float64[Array, " fit"], pulses: int, how: str) -> Measure:
    """Value of the whole with the jackknife interval of the others."""
    n = len(values) - 1
    if n < 2:
        return Measure(name, values[0], None, None, pulses, how)
    error = float(np.sqrt((n - 1) / n * np.sum((values[1:] - values[1:].mean()) ** 2)))
    half = error * student(n - 1)
    return Measure(name, values[0], values[0] - half, values[0] + half, pulses, how)


def measure_sag(pulses: Sequence[Pulse], least: float = 10.0, peak: float = 5.0) -> Measure:
    """Measure the sag ratio of the pulses that hyperpolarise the cell furthest towards -100 mV.

    Parameters
    ----------
    pulses
        All pulses of a recording.
    least
        Smallest hyperpolarisation, mV.
    peak
        Length over which the minimum is averaged, ms.
    """
    if not any(p.sweep.voltage is not None for p in pulses):
        return Measure.missing("sag_ratio", "no voltage" if pulses else "no pulses of constant current")
    down = [p for p in pulses if p.amplitude < 0 and np.isfinite(p.baseline) and not len(p.spikes) and _is_recorded(p)]
    rows = [(p, *_find_trough(p, peak)) for p in down]
    deep = [(p, low, steady) for p, low, steady in rows if p.baseline - low >= least]
    if not deep:
        furthest = max((p.baseline - low for p, low, _ in rows), default=0.0)
        return Measure.missing(
            "sag_ratio", f"no pulse hyperpolarises the cell by {least:.0f} mV or more (the largest by {furthest:.0f})"
        )
    best = min(deep, key=lambda row: abs(row[1] + 100.0))
    alike = [row for row in deep if abs(row[0].amplitude - best[0].amplitude) <= 0.05 * abs(best[0].amplitude)]
    ratios = np.array([(low - steady) / (low - p.baseline) for p, low, steady in alike])
    how = f"pulses of {best[0].amplitude:.0f} pA, to {best[1]:.0f} mV"
    mean = float(ratios.mean())
    if len(ratios) < 2:
        return Measure("sag_ratio", mean, None, None, 1, how)
    half = float(ratios.std(ddof=1)) / np.sqrt(len(ratios)) * student(len(ratios) - 1)
    return Measure("sag_ratio", mean, mean - half, mean + half, len(ratios), how)


def _find_trough(pulse: Pulse, peak: float) -> tuple[float, float]:
    """Lowest potential (mean of `peak` ms) in the first half, and the steady potential in the last fifth, mV."""
    sweep = pulse.sweep
    assert sweep.voltage is not None
    first, last = round(pulse.begin / sweep.dt), round(pulse.end / sweep.dt)
    v, wide = sweep.voltage[first:last], max(round(peak / sweep.dt), 1)
    total = np.r_[0.0, np.cumsum(v)]
    means = (total[wide:] - total[:-wide]) / wide
    return float(means.min()), float(v[round(STEADY * len(v)) :].mean())
