"""How sure a fit is of its parameters: standard errors, intervals, and what the data leave open."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ephysfit.data.recording import Recording
from ephysfit.errors import FitError, near
from ephysfit.fitting.chain import one_thread
from ephysfit.fitting.fit_result import Fit
from ephysfit.fitting.stage import Progress, ignore_progress
from ephysfit.fitting.stage_reports import Derived, Ends, IntervalsReport, Reports
from ephysfit.fitting.uncertainty.bootstrap import bootstrap_parameters, count_blocks
from ephysfit.fitting.uncertainty.derived_intervals import (
    derive_answers,
    derive_intervals,
    find_reach,
    list_answers,
)
from ephysfit.fitting.uncertainty.identifiability import describe_scale, find_open_directions, find_readings
from ephysfit.fitting.uncertainty.likelihood_surface import Peak, Surface, find_values_at
from ephysfit.fitting.uncertainty.profile import EDGE, compute_profile
from ephysfit.fitting.uncertainty.simulated_trains import Refit, refit_simulated_trains
from ephysfit.neuron.declare import unflatten
from ephysfit.neuron.free_parameters import FreeParameters
from ephysfit.neuron.roles import Role
from ephysfit.system import one_blas_thread

#: ways to compute intervals
METHODS = ("fisher", "profile", "bootstrap")
#: simulated trains that are refitted unless the caller says how many
TRAINS = 20
#: fewest blocks a bootstrap may draw from
FEWEST = 8


@one_blas_thread()
def intervals(
    fit: Fit,
    recording: Recording,
    how: str = "profile",
    *,
    level: float = 0.95,
    names: Sequence[str] | None = None,
    draws: int = 200,
    block: float = 1000.0,
    trains: int | None = None,
    seed: int = 0,
    workers: int | None = None,
    progress: Progress = ignore_progress,
) -> Fit:
    """The same fit with an interval for every parameter, and what the data leave open in words.

    Parameters
    ----------
    fit : Fit
        Of a neuron with a hazard.
    recording : Recording
        What it was fitted to.
    how : {"fisher", "profile", "bootstrap"}
        "fisher": the curvature at the top, in a fraction of a second. "profile": each parameter is pushed out, all
        others following, until the log-likelihood has dropped by half the chi-square quantile; follows bends that the
        curvature does not see, and says where a bound comes first. "bootstrap": stretches of the recording are drawn
        again with replacement and the fit climbed again; also covers what the model gets wrong.
    level : float
        Coverage, 0 to 1.
    names : sequence of str, optional
        Parameters (or banks) to profile; all unless given.
    draws : int
        Resampled data sets of the bootstrap.
    block : float
        Length of the blocks of the bootstrap, ms: long against the memory of the cell.
    trains : int, optional
        For a neuron without a membrane to read, trains that the fit fires on the recorded stimulus and that are fitted
        again: the bias of these fits is taken off the intervals of the answers, and their spread counts, as does that
        of a jackknife over parts of the recording. 20 unless given, none with "fisher" or where the voltage was fitted.
    seed : int
        Seed of the bootstrap and of the trains.
    workers : int, optional
        Threads; as many as cores unless given.
    progress : callable
        Called with the method, such as "profile", and the fraction of it that is done.

    Returns
    -------
    Fit
        With `Fit.intervals`, which `Fit.parameters` and the report show.

    Raises
    ------
    FitError
        If the neuron has no likelihood, the recording is another one, or a setting is out of range.

    Notes
    -----
    Intervals are of the penalised likelihood about its top, which `Fit.intervals.estimates` holds and every interval
    contains; a fit that a later stage moved out of one says so. "profile" and "bootstrap" count the refractory period
    in: an interval, and the standard errors then, are over all refractory periods that are likely; "fisher" holds it.
    For spikes alone the place and size of the mV scale are open: E_L and theta are then held, named, and get no
    interval. What spikes determine all the same (`Fit.intervals.derived`) has one: time constants, rheobase and ratios
    of a membrane. Filter banks (AIGIF and its kin) determine no parameter by itself; theirs are answers, by what factor
    a spike and a small pulse change the rate some ms later, on the recorded stimulus.

    References
    ----------
    Venzon & Moolgavkar 1988, Appl. Statist. 37:87 (profile); Künsch 1989, Ann. Statist. 17:1217 (blocks); Davison &
    Hinkley 1997, Bootstrap Methods and their Application (simulated trains).

    Examples
    --------
    >>> import ephysfit as ef
    >>> from ephysfit.models import LIF
    >>> cell = LIF(C=100.0, g=5.0, E_L=-65.0, theta=-50.0, V_reset=-60.0, t_ref=2.0, delta=2.0)
    >>> data = ef.synthetic.recording(cell, duration=5000.0, repeats=0, dt=0.5)
    >>> sure = intervals(ef.fit(data, "LIF", [ef.stages.Likelihood()]), data, "fisher")
    >>> low, high = sure.intervals.parameters["g"]
    >>> bool(low < sure.neuron.g < high)
    True

    What is known of filter banks, answers only where ten seconds or more were recorded:

    >>> data = ef.synthetic.recording(cell, duration=12000.0, repeats=0, dt=0.5)
    >>> glm = ef.fit(data, "BankGIF", [ef.stages.Passive(), ef.stages.Likelihood(starts=1)])
    >>> names = [d.name for d in intervals(glm, data, "fisher").intervals.derived]
    >>> names[1], names[-1]
    ('sum(R tau_K)/sum(R)', 'rate 40 ms after a small pulse began')
    """
    if how not in METHODS:
        raise FitError(f"intervals by {how!r}; {near(how, METHODS)}")
    if not 0.5 <= level < 1:
        raise FitError(f"level = {level:g}: the coverage of an interval lies between 0.5 and 1, such as 0.95")
    if trains is not None and (not isinstance(trains, int | np.integer) or trains < 0 or trains == 1):
        raise FitError(f"trains = {trains!r}: a bias and a spread take 2 simulated trains or more; 0 does without them")
    begin = time.perf_counter()
    with one_thread():
        surface = Surface.of(fit, recording)
        simulated = _choose_trains(surface, how, trains)
        method = _IntervalMethod(how, level, draws, block, simulated, seed, workers or os.cpu_count() or 1, progress)
        chosen = _choose_names(surface, names)
        tops = method.find_peaks(surface)
        peaks, better = _separate_preferred_peak(tops)
        found = method.compute(surface, peaks, chosen)
    found = replace(
        found,
        seconds=time.perf_counter() - begin,
        standard_errors=compute_standard_errors(surface, peaks),
        scale=describe_scale(surface),
        estimates={n: v for n, v in find_values_at(surface, peaks[0], peaks[0].q).items() if n in found.parameters},
        held=tuple(surface.held),
        open=tuple(find_open_directions(surface)),
        notes=(*_describe_offsets(fit, found, peaks[0], better), *_describe_trains(found), *_describe_searched(fit)),
    )
    return replace(fit, reports=fit.reports | Reports(found))


def _separate_preferred_peak(tops: tuple[Peak, ...]) -> tuple[tuple[Peak, ...], Peak | None]:
    """The tops to use, and one at a refractory period that would be preferred if there is."""
    better = tops[-1] if len(tops) == 2 and tops[-1].value > tops[0].value else None
    return (tops[:1], better) if better else (tops, None)


def _choose_trains(surface: Surface, how: str, trains: int | None) -> int:
    """How many simulated trains to refit: none where there is nothing to take a bias off, or a voltage to simulate."""
    if surface.voltage is not None or not list_answers(surface):
        return 0
    return (0 if how == "fisher" else TRAINS) if trains is None else trains


def _choose_names(surface: Surface, names: Sequence[str] | None) -> tuple[str, ...]:
    """Flat names to give intervals: those requested, or all that are not held."""
    asked = surface.free.names if names is None else FreeParameters.of(surface.problem.neuron, names).names
    return tuple(n for n in asked if n in surface.free.names and n not in surface.held)


@dataclass(frozen=True)
class _IntervalMethod:
    """One way to compute intervals, and its settings."""

    how: str
    level: float
    draws: int
    block: float
    trains: int
    seed: int
    workers: int
    progress: Progress

    def find_peaks(self, surface: Surface) -> tuple[Peak, ...]:
        if self.how == "fisher":
            return (surface.top(),)
        return surface.peaks(lambda f: self.progress("top of the likelihood", f))

    def compute(self, surface: Surface, peaks: tuple[Peak, ...], names: tuple[str, ...]) -> IntervalsReport:
        """Intervals of the parameters and of what is derived from them."""
        report: Callable[[float], None] = lambda f: self.progress(self.how, f)  # noqa: E731
        report(0.0)
        refits = self._refit_trains(surface, peaks[0])
        found = self._compute_with_refits(surface, peaks, names, report, refits)
        return replace(found, trains=len(refits) or None)

    def _refit_trains(self, surface: Surface, peak: Peak) -> list[Refit]:
        if not self.trains:
            return []
        report: Callable[[float], None] = lambda f: self.progress("simulated trains", f)  # noqa: E731
        return refit_simulated_trains(surface, peak, self.trains, self.seed, report, self.workers)

    def _compute_with_refits(
        self, surface: Surface, peaks: tuple[Peak, ...], names: tuple[str, ...], report: Callable[[float], None],
        refits: list[Refit],
    ) -> IntervalsReport:  # fmt: skip
        if self.how == "bootstrap":
            return self._compute_by_bootstrap(surface, peaks, names, report, refits)
        if self.how == "fisher":
            by_curvature = {n: _curvature_interval(surface, peaks[0], n, self.level) for n in names}
            derived = derive_intervals(surface, peaks, by_curvature, self.level, refits)
            return IntervalsReport(self.how, self.level, parameters=by_curvature, derived=derived)
        best = peaks[0].value
        likely = _select_peaks(tuple(p for p in peaks if p.value > best - _log_likelihood_drop(self.level)))
        ends = compute_profile(surface, likely, best, self.level, names, report, self.workers)
        at = lambda n, side: None if side.at_bound else _value_at_coordinate(surface, n, side.z)  # noqa: E731
        found: dict[str, Ends] = {n: (at(n, low), at(n, high)) for n, (low, high) in ends.items()}
        derived = derive_intervals(surface, peaks, found, self.level, refits)
        parameters = found | _refractory_interval(surface, peaks, self.level)
        return IntervalsReport(self.how, self.level, parameters=parameters, derived=derived)

    def _compute_by_bootstrap(
        self, surface: Surface, peaks: tuple[Peak, ...], names: tuple[str, ...], report: Callable[[float], None],
        refits: list[Refit],
    ) -> IntervalsReport:  # fmt: skip
        available = count_blocks(surface, self.block)
        if self.draws < 20 or available < FEWEST:
            raise FitError(
                f"bootstrap of {self.draws} draws from {available} blocks of {self.block:g} ms: give "
                f"20 draws or more and {FEWEST} blocks or more (shorter blocks, more data, or how='profile')"
            )
        best = peaks[0].value
        likely = _select_peaks(tuple(p for p in peaks if p.value > best - _log_likelihood_drop(self.level)))
        drawn = bootstrap_parameters(surface, likely, self.draws, self.block, self.seed, report, self.workers)
        kind = surface.problem.neuron
        cells = [kind(**unflatten(kind.parameters, d)) for d in drawn]
        tail = [(1 - self.level) / 2, (1 + self.level) / 2]

        def interval(values: list[float], estimate: float) -> tuple[float, float]:
            low, high = np.quantile(values, tail)  # of a biased estimate all draws may lie on one side of it
            return min(float(low), estimate), max(float(high), estimate)

        derived = []
        for name, unit, meaning, read in find_readings(surface):
            values = [float(read(c)) for c in cells]
            value, error = float(read(peaks[0].neuron)), float(np.std(values, ddof=1))
            low, high = interval(values, value)
            derived.append(Derived(name, unit, meaning, value, low, high, error))
        derived += derive_answers(surface, peaks, self.level, refits)
        top = find_values_at(surface, peaks[0], peaks[0].q)
        shown = (*names, *_profiled_period(surface, peaks))
        return IntervalsReport(
            self.how,
            self.level,
            parameters={n: interval([d[n] for d in drawn], top[n]) for n in shown},
            derived=tuple(derived),
            spread={n: float(np.std([d[n] for d in drawn], ddof=1)) for n in names},
            draws=self.draws,
            block_ms=self.block,
        )


def compute_standard_errors(surface: Surface, peaks: tuple[Peak, ...]) -> dict[str, float]:
    """Standard errors from the Fisher information, the uncertainty of the refractory period counted in.

    Each refractory period weighs what its top is worth; a parameter's variance is the mean of its variances plus the
    variance of its means.
    """
    weights = np.exp([p.value - peaks[0].value for p in peaks])
    weights /= weights.sum()
    n = len(surface.free.names)
    values, spreads = [], []
    for p in peaks:
        at = find_values_at(surface, p, p.q)
        slopes = surface.free.slopes(p.q[:n])
        values.append([at[k] for k in surface.free.names])
        spreads.append(slopes**2 * np.clip(np.diag(p.covariance), 0, None))
    centre = weights @ np.array(values)
    variance = weights @ (np.array(spreads) + (np.array(values) - centre) ** 2)
    none = {*surface.held, *(name for name, _ in surface.free.on_bound(peaks[0].neuron))}  # no curvature on a bound
    return {k: float(np.sqrt(v)) for k, v in zip(surface.free.names, variance, strict=True) if k not in none}


def _select_peaks(peaks: tuple[Peak, ...]) -> tuple[Peak, ...]:
    """The best top, the shortest and the longest refractory period, and one between: more tell little more."""
    spread = sorted(peaks, key=lambda p: p.t_ref)
    chosen = (peaks[0], spread[0], spread[-1], spread[len(spread) // 2])
    return tuple({id(p): p for p in chosen}.values())


def _log_likelihood_drop(level: float) -> float:
    """Drop of the log-likelihood at the end of an interval, nats."""
    return find_reach(level) ** 2 / 2


def _value_at_coordinate(surface: Surface, name: str, z: float) -> float:
    q = np.zeros(len(surface.free.names))
    q[surface.free.names.index(name)] = z
    return float(surface.free.values(q)[name])


def _curvature_interval(surface: Surface, peak: Peak, name: str, level: float) -> Ends:
    """Ends that lie the quantile's number of standard errors away on the free axis; None beyond the bounds."""
    k = surface.free.names.index(name)
    reach = find_reach(level) * np.sqrt(max(float(peak.covariance[k, k]), 0.0))
    if any(n == name for n, _ in surface.free.on_bound(peak.neuron)):
        return None, None
    ends = (float(peak.q[k]) - reach, float(peak.q[k]) + reach)
    low, high = (None if abs(z) > EDGE else _value_at_coordinate(surface, name, z) for z in ends)
    return low, high


def _refractory_interval(surface: Surface, peaks: tuple[Peak, ...], level: float) -> dict[str, Ends]:
    """The refractory periods whose own top is within the drop of the best, shortest and longest."""
    kept = [p.t_ref for p in peaks if p.value > peaks[0].value - _log_likelihood_drop(level)]
    return {n: (min(kept), max(kept)) for n in _profiled_period(surface, peaks)}


def _profiled_period(surface: Surface, peaks: tuple[Peak, ...]) -> tuple[str, ...]:
    """The refractory period, where more than one was looked at."""
    return (surface.period,) if surface.period and len(peaks) > 1 else ()


def _describe_offsets(fit: Fit, found: IntervalsReport, best: Peak, better: Peak | None) -> tuple[str, ...]:
    """Where the fit is not the top of its likelihood, in sentences."""
    notes, period = [], type(fit.neuron).name_of(Role.REFRACTORY)
    outside = [n for n, (low, high) in found.parameters.items() if n != period and _lies_outside(fit, n, low, high)]
    if outside:
        notes.append(
            f"the fit lies outside the interval of {', '.join(outside)}: a later stage moved it away from the top of "
            f"the likelihood, to spike better on its own; the intervals are those of the likelihood"
        )
    if better is not None:
        notes.append(
            f"a refractory period of {better.t_ref:g} ms would be more likely by {better.value - best.value:.1f} nats "
            f"than the {best.t_ref:g} ms of the fit; the intervals hold it there"
        )
    return tuple(notes)


def _describe_trains(found: IntervalsReport) -> tuple[str, ...]:
    """How the answers' intervals were corrected, in a sentence; none where they were not."""
    if found.trains is None:
        return ()
    return (
        f"effects on the rate are those on the recorded stimulus; what {found.trains} fits to spikes of the fit miss "
        f"them by in the mean is taken off their intervals, and how far these fits and a jackknife scatter widens them",
    )


def _describe_searched(fit: Fit) -> tuple[str, ...]:
    """That intervals are far too narrow where the likelihood is no guide, in a sentence."""
    reason = type(fit.neuron).searched
    return (f"these intervals are far too narrow to be used: {reason}",) if reason else ()


def _lies_outside(fit: Fit, name: str, low: float | None, high: float | None) -> bool:
    row = {r["name"]: r for r in fit.parameters()}[name]
    value, slack = row["value"], 1e-6 * (row["high"] - row["low"])
    return not row["at_bound"] and (
        (low is not None and value < low - slack) or (high is not None and value > high + slack)
    )
