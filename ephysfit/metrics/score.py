"""Score a simulation against a recording: spike-timing metrics beside what the cell itself reproduces."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ephysfit.errors import ScoreError, near
from ephysfit.metrics.isi import isi_distance
from ephysfit.metrics.metric import METRICS
from ephysfit.metrics.stimuli import SKIP, Scored, match, nested, presented
from ephysfit.metrics.table import render
from ephysfit.metrics.tally import Coincidences, Distances, distances
from ephysfit.metrics.trains import positive
from ephysfit.metrics.variance import Variances
from ephysfit.metrics.weights import Array, draws, mean_over, ratio

#: bootstrap over repeats; needs MIN_REPEATS of them
RESAMPLES, MIN_REPEATS = 200, 3
#: runs from which a consensus train, and an unbiased Md*, mean something
MIN_RUNS = 20
#: recorded spikes in the scored stretch below which scores are mostly luck, and R below which a ratio to it is
MIN_SPIKES, MIN_RELIABILITY = 20, 0.2
#: settings of the distances in the table
TAU, COST = 10.0, 0.1


@dataclass(frozen=True)
class Row:
    """One line of a score.

    Attributes
    ----------
    name : str, the metric and its window, such as "md_star_8"
    metric : str, name of the record in `METRICS`
    value : float, NaN where it is undefined
    error : float, bootstrap standard error over the repeats; NaN where there is none
    ceiling : float, what the cell itself reaches on this line; NaN where that makes no sense
    best : float, value of a perfect match
    n_repeats, n_runs : int, recorded repeats and model runs that entered
    note : str
    """

    name: str
    metric: str
    value: float
    error: float
    ceiling: float
    best: float
    n_repeats: int
    n_runs: int
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain values; NaN becomes None, which JSON can say."""
        return {k: _plain(v) for k, v in vars(self).items()}


@dataclass(frozen=True)
class Score:
    """Spike-timing scores of a model on a recording.

    `score["md_star_8"]` is a value, `score.row("md_star_8")` its line; a name without window means the first window.
    Printing gives a table.

    Attributes
    ----------
    rows : tuple of Row
    stochastic : bool, whether the model was run with noise; Γ of noisy and of deterministic runs never compare
    scored : tuple of (start, stop), ms, one a stimulus
    rate_data_hz, rate_model_hz : float
    n_repeats, n_runs : tuple of int, one a stimulus
    n_spikes : int, recorded spikes in the scored stretches, all repeats
    skipped : str, why the scored stretch starts where it does
    warnings : tuple of str
    cell : str
    """

    rows: tuple[Row, ...]
    stochastic: bool
    scored: tuple[tuple[float, float], ...]
    rate_data_hz: float
    rate_model_hz: float
    n_repeats: tuple[int, ...]
    n_runs: tuple[int, ...]
    n_spikes: int
    skipped: str = ""
    warnings: tuple[str, ...] = ()
    cell: str = ""

    def row(self, name: str) -> Row:
        """The line of that name; without a window, the first of that metric."""
        by_name = {r.name: r for r in self.rows}
        stems = {_stem(r.name): r for r in reversed(self.rows)}
        if name in by_name or name in stems:
            return by_name.get(name) or stems[name]
        if self.stochastic and name.startswith("gamma"):
            raise ScoreError(
                f"{name!r} is of one deterministic run, these are noisy runs; ask for gamma_over_R_runs, or simulate "
                f"without noise. {near(name, by_name)}"
            )
        raise ScoreError(f"the score has no line {name!r}; {near(name, by_name)}")

    def __getitem__(self, name: str) -> float:
        return self.row(name).value

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    @property
    def rate_error(self) -> float:
        """(model rate - recorded rate) / recorded rate."""
        return self["rate_error"]

    @property
    def headline(self) -> Row:
        """The line to quote: Γ/R of a deterministic run, Md* of noisy runs, at the first window."""
        return self.row("md_star" if self.stochastic else "gamma_over_R")

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        out = {k: _plain(v) for k, v in vars(self).items() if k != "rows"}
        return {**out, "rows": [r.to_dict() for r in self.rows]}

    def __str__(self) -> str:
        return render(self)


def _plain(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return [_plain(v) for v in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _stem(name: str) -> str:
    """A line's name without its window."""
    stem, _, last = name.rpartition("_")
    return stem if last.replace(".", "").isdigit() else name


def _counts(stimuli: Sequence[Scored]) -> tuple[int, int]:
    """Repeats in all, and the fewest runs of a stimulus."""
    return sum(len(s.data) for s in stimuli), min((len(s.runs) for s in stimuli), default=0)


@dataclass(frozen=True, eq=False)
class _Bench:
    """The scored stimuli with their bootstrap weights; turns a statistic per stimulus into a line."""

    stimuli: list[Scored]
    resampled: list[Array]

    @classmethod
    def of(cls, stimuli: list[Scored], seed: int) -> _Bench:
        rng = np.random.default_rng(seed)
        return cls(stimuli, [draws(len(s.data), RESAMPLES, rng) for s in stimuli])

    @property
    def once(self) -> list[Array]:
        """Every repeat once."""
        return [np.ones(len(s.data)) for s in self.stimuli]

    def over_stimuli(self, values: Sequence[Array]) -> Array:
        """Mean over stimuli weighted by duration, stimuli where it is undefined left out."""
        table, time = np.stack(values), np.array([s.duration for s in self.stimuli])
        known = ~np.isnan(table)
        return ratio(np.tensordot(time, np.where(known, table, 0.0), 1), np.tensordot(time, known.astype(float), 1))

    def spread(self, values: Array) -> float:
        """Standard deviation over resamples; NaN when repeats are too few to resample."""
        known = values[~np.isnan(values)]
        enough = max(len(s.data) for s in self.stimuli) >= MIN_REPEATS and known.size > 1
        return float(known.std(ddof=1)) if enough else float("nan")

    def line(
        self,
        name: str,
        metric: str,
        parts: Sequence[Any],
        of: Callable[[Any, Array], Array],
        ceiling: Callable[[Any, Array], Array] | float = float("nan"),
        note: str = "",
    ) -> Row:
        """One row: the statistic `of(part, weights)` on every stimulus, its bootstrap error, and its ceiling."""
        each = [np.asarray(of(p, w)) for p, w in zip(parts, self.once, strict=True)]
        again = [np.asarray(of(p, w)) for p, w in zip(parts, self.resampled, strict=True)]
        if callable(ceiling):
            own = float(self.over_stimuli([np.asarray(ceiling(p, w)) for p, w in zip(parts, self.once, strict=True)]))
        else:
            own = ceiling
        used = [s for s, v in zip(self.stimuli, each, strict=True) if not np.isnan(v)]
        value, error = float(self.over_stimuli(each)), self.spread(self.over_stimuli(again))
        return Row(name, metric, value, error, own, METRICS[metric].best, *_counts(used), note)


def _coincidence_rows(bench: _Bench, window: float, stochastic: bool) -> list[Row]:
    consensus = stochastic and min(len(s.runs) for s in bench.stimuli) >= MIN_RUNS
    parts = [Coincidences.of(s, window, consensus) for s in bench.stimuli]
    w, C = f"{window:g}", Coincidences
    if not stochastic:
        timing = [
            bench.line(f"gamma_{w}", "gamma", parts, C.gamma, C.top),
            bench.line(f"gamma_over_R_{w}", "gamma_over_R", parts, C.gamma_over_R, C.top_over_R),
            bench.line(f"md_star_{w}", "md_star", parts, C.md_star, lambda p, _: p.md_top),
        ]
    else:
        timing = [
            bench.line(f"gamma_runs_{w}", "gamma", parts, C.gamma, C.reliability),
            bench.line(f"gamma_over_R_runs_{w}", "gamma_over_R", parts, C.gamma_over_R, 1.0),
            bench.line(f"md_star_{w}", "md_star", parts, C.md_star, 1.0),
        ]
    if consensus:
        note = "prediction that looks ahead"
        timing.append(
            bench.line(f"gamma_over_R_consensus_{w}", "gamma_over_R", parts, C.consensus_over_R, C.top_over_R, note)
        )
    return [bench.line(f"R_{w}", "reliability", parts, C.reliability, note="the cell alone"), *timing]


def _variance_row(bench: _Bench, sigma: float) -> Row:
    parts = [Variances.of(s.data, s.runs, s.duration, sigma) for s in bench.stimuli]
    several = [len(s.data) > 1 for s in bench.stimuli]
    parts_of = list(zip(parts, several, strict=True))

    def statistic(part: tuple[Variances, bool], weights: Array) -> Array:
        return part[0].ratio(weights) if part[1] else np.full(weights.shape[:-1], np.nan)

    metric = "etv" if sigma == METRICS["etv"].options["sigma"] else "explained_variance_ratio"
    return bench.line(f"ev_ratio_{sigma:g}", metric, parts_of, statistic, lambda p, _: np.asarray(p[0].ceiling()))


def _distance_rows(bench: _Bench) -> list[Row]:
    pairs = [distances(s, TAU, COST) for s in bench.stimuli]
    note = "ceiling: between two repeats"
    return [
        bench.line(f"van_rossum_{TAU:g}", "van_rossum", [p[0] for p in pairs], Distances.mean, Distances.own, note),
        bench.line(
            f"victor_purpura_{COST:g}", "victor_purpura", [p[1] for p in pairs], Distances.mean, Distances.own, note
        ),
        _interval_row(bench),
    ]


def _interval_row(bench: _Bench) -> Row:
    each = [np.asarray(isi_distance(s.data, s.runs)) for s in bench.stimuli]
    value = float(bench.over_stimuli(each))
    return Row("isi_distance", "isi_distance", value, np.nan, np.nan, 0.0, *_counts(bench.stimuli))


def _rates(bench: _Bench, weights: list[Array]) -> tuple[Array, float]:
    """Recorded and model rate in Hz over all stimuli: total spikes by total time, not a mean of rates."""
    time = sum(s.duration for s in bench.stimuli) / 1e3
    data = sum(
        mean_over(np.array([t.size for t in s.data], float), w) for s, w in zip(bench.stimuli, weights, strict=True)
    )
    model = sum(float(np.mean([t.size for t in s.runs])) for s in bench.stimuli)
    return np.asarray(data) / time, model / time


def _rate_row(bench: _Bench) -> Row:
    data, model = _rates(bench, bench.once)
    again, _ = _rates(bench, bench.resampled)
    value, error = float(ratio(model - data, data)), bench.spread(ratio(model - again, again))
    return Row("rate_error", "rate_error", value, error, np.nan, 0.0, *_counts(bench.stimuli))


def _data_warnings(stimuli: Sequence[Scored], rows: Sequence[Row]) -> Iterator[str]:
    repeats = [len(s.data) for s in stimuli]
    spikes = sum(t.size for s in stimuli for t in s.data)
    if max(repeats) < 2:
        yield "no stimulus has two repeats: no reliability, so no score relative to it; record repeats of one stimulus"
    elif min(repeats) < 2:
        yield f"{sum(r < 2 for r in repeats)} of {len(repeats)} stimuli have one repeat, so no score relative to R"
    if spikes < MIN_SPIKES:
        yield f"only {spikes} recorded spikes are scored; below {MIN_SPIKES} the scores are mostly luck"
    for r in rows:
        if r.metric == "reliability" and r.value < MIN_RELIABILITY:
            yield f"{r.name} = {r.value:.2f}: the cell hardly repeats itself at this window, ratios to it are unstable"


def _model_warnings(stimuli: Sequence[Scored], stochastic: bool, windows: Sequence[float], dt: float) -> Iterator[str]:
    runs = min(len(s.runs) for s in stimuli)
    if not any(t.size for s in stimuli for t in s.runs):
        yield "the model never spikes in the scored stretch"
    if stochastic and runs < MIN_RUNS:
        yield f"only {runs} noisy runs; take {MIN_RUNS} at least (100 to 500 for a stable Md*)"
    if not stochastic and any(not _alike(s.runs) for s in stimuli):
        yield "runs differ though the model is called deterministic; pass stochastic=True if it has noise"
    fastest = max(t.size / s.duration for s in stimuli for t in [*s.runs, *s.data])
    for w in windows:
        if 2 * w * fastest >= 1:
            yield f"gamma is undefined at +-{w:g} ms for trains of {fastest * 1e3:.0f} Hz: windows cover all time"
    if dt > min(windows) / 2:
        yield f"the simulation steps by {dt:g} ms, coarse for a window of +-{min(windows):g} ms"


def _alike(runs: Sequence[Array]) -> bool:
    return all(np.array_equal(run, runs[0]) for run in runs)


def _skipped(start: float | None, stimuli: Sequence[Scored]) -> str:
    if start is not None:
        return "as asked"
    long = any(s.start == SKIP for s in stimuli)
    return (
        f"first {SKIP:g} ms left out, the initial state is unknown"
        if long
        else "first 5 % left out, the initial state is unknown"
    )


def score(
    simulated: Any,
    recorded: Any,
    *,
    start: float | None = None,
    stop: float | None = None,
    windows: Sequence[float] = (4.0, 8.0),
    sigmas: Sequence[float] = (10.0, 15.0),
    duration: float | Sequence[float] | None = None,
    stochastic: bool | None = None,
    seed: int = 0,
) -> Score:
    """Score model runs against recorded repeats of the same stimuli.

    Parameters
    ----------
    simulated : object with `spike_times` [stimulus][run], `stochastic`, `dt`; or trains, [run] or [stimulus][run], ms
    recorded : Recording, or trains, [repeat] or [stimulus][repeat], ms
    start, stop : float or None, ms
        Scored stretch of every stimulus. By default the first 500 ms of a sweep of 5 s or more, the first 5 % of a
        shorter one, are left out, because the state of the cell at the start is unknown; the end is that of the sweep.
    windows : ±Δ of Γ, R and Md*, ms
    sigmas : smoothing of the explained variance, ms
    duration : float or one a stimulus, ms; needed when `recorded` is trains
    stochastic : bool or None; None believes `simulated`, for bare trains several differing runs mean noise
    seed : int, of the bootstrap

    Returns
    -------
    Score
        Several stimuli: the mean over stimuli weighted by duration (rates: total spikes by total time). Standard errors
        are a bootstrap over repeats, so they say how far other repeats of this cell would move the score, not other
        cells.

    Raises
    ------
    ScoreError
        Stimuli that do not match, an empty window, trains that are not sorted or not finite.

    Examples
    --------
    >>> repeats = [[600.0, 1500.0, 2500.0], [602.0, 1501.0, 2700.0], [601.0, 1503.0, 2502.0]]
    >>> s = score([[601.0, 1502.0, 2501.0]], repeats, duration=6000.0)
    >>> round(s["gamma_over_R_4"], 3), s.scored, s.stochastic
    (1.144, ((500.0, 6000.0),), False)
    """
    wide = tuple(positive(w, "window") for w in windows)
    smooth = tuple(positive(s, "sigma") for s in sigmas)
    if not wide:
        raise ScoreError("no windows to score at; give at least one, in ms")
    runs = nested(getattr(simulated, "spike_times", simulated), "simulated")
    stimuli, notes = match(runs, presented(recorded, duration), start, stop)
    noisy = _is_noisy(simulated, runs) if stochastic is None else bool(stochastic)
    bench = _Bench.of(stimuli, seed)
    rows = [row for w in wide for row in _coincidence_rows(bench, w, noisy)]
    rows += [*(_variance_row(bench, s) for s in smooth), *_distance_rows(bench), _rate_row(bench)]
    data_hz, model_hz = _rates(bench, bench.once)
    dt = float(getattr(simulated, "dt", None) or 0.0)
    return Score(
        rows=tuple(rows),
        stochastic=noisy,
        scored=tuple((s.start, s.stop) for s in stimuli),
        rate_data_hz=float(data_hz),
        rate_model_hz=model_hz,
        n_repeats=tuple(len(s.data) for s in stimuli),
        n_runs=tuple(len(s.runs) for s in stimuli),
        n_spikes=sum(t.size for s in stimuli for t in s.data),
        skipped=_skipped(start, stimuli),
        warnings=(*notes, *_data_warnings(stimuli, rows), *_model_warnings(stimuli, noisy, wide, dt)),
        cell=str(getattr(recorded, "cell", "")),
    )


def _is_noisy(simulated: Any, runs: Sequence[Sequence[Array]]) -> bool:
    declared = getattr(simulated, "stochastic", None)
    return any(not _alike(group) for group in runs) if declared is None else bool(declared)
