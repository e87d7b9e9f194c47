"""Score a simulation against a recording: spike-timing metrics beside the reliability of the cell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ephysfit.arrays import Array
from ephysfit.data.holding_current import SKIP, SKIP_PART
from ephysfit.data.recording import Recording
from ephysfit.errors import ScoreError
from ephysfit.metrics.jackknife import ScoredStimuli
from ephysfit.metrics.matching import Scored, group_by_stimulus, list_presented, match_runs
from ephysfit.metrics.score_result import Score
from ephysfit.metrics.score_rows import (
    compute_coincidence_rows,
    compute_distance_rows,
    compute_rate_row,
    compute_rates,
    compute_variance_row,
)
from ephysfit.metrics.score_warnings import are_identical, warn_of_chance, warn_of_data, warn_of_identity, warn_of_model
from ephysfit.metrics.step_rows import compute_step_rows
from ephysfit.metrics.trains import check_positive
from ephysfit.system import one_blas_thread


def _describe_skipped(start: float | None, stimuli: Sequence[Scored]) -> str:
    if start is not None:
        return "as asked"
    if not any(s.start for s in stimuli):
        return "nothing left out, the level the cell was held at is known"
    long = any(s.start == SKIP for s in stimuli)
    return (
        f"first {SKIP:g} ms left out, the initial state is unknown"
        if long
        else f"first {100 * SKIP_PART:g} % left out, the initial state is unknown"
    )


@one_blas_thread()
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
    train: Recording | None = None,
) -> Score:
    """Score model runs against recorded repeats of the same stimuli.

    Parameters
    ----------
    simulated : object with `spike_times` [stimulus][run], `stochastic`, `dt`; or trains, [run] or [stimulus][run], ms
    recorded : Recording, or trains, [repeat] or [stimulus][repeat], ms
    start, stop : float or None, ms
        Scored stretch of every stimulus. By default the first 500 ms of a sweep of 5 s or more, the first 5 % of a
        shorter one, are left out, because the state of the cell at the start is unknown; nothing of a shorter one that
        begins at a steady level (a step after a baseline). The end is that of the sweep.
    windows : ±Δ of Γ, R and Md*, ms
    sigmas : smoothing of the explained variance, ms
    duration : float, or one per stimulus, ms; needed when `recorded` is trains
    stochastic : bool or None; None: as `simulated` declares; bare trains count as noisy if their runs differ
    train : Recording or None
        Sweeps that the model was fitted to, if it was. Counts and first spikes of steps are then shown beside a
        straight line between their neighbouring amplitudes.

    Returns
    -------
    Score
        Several stimuli: the mean over stimuli weighted by duration (rates: total spikes by total time). Standard errors
        are a jackknife over repeats, so they say how far other repeats of this cell would move the score, not other
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
    wide = tuple(check_positive(w, "window") for w in windows)
    smooth = tuple(check_positive(s, "sigma") for s in sigmas)
    if not wide:
        raise ScoreError("no windows to score at; give at least one, in ms")
    runs = group_by_stimulus(getattr(simulated, "spike_times", simulated), "simulated")
    stimuli, notes = match_runs(runs, list_presented(recorded, duration), start, stop)
    noisy = _is_noisy(simulated, runs) if stochastic is None else bool(stochastic)
    bench = ScoredStimuli(stimuli)
    rows = [row for w in wide for row in compute_coincidence_rows(bench, w, noisy)]
    rows += [*(compute_variance_row(bench, s) for s in smooth), *compute_distance_rows(bench), compute_rate_row(bench)]
    if isinstance(recorded, Recording):
        rows += compute_step_rows(stimuli, recorded, train)
    data_hz, model_hz = compute_rates(bench, bench.once)
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
        skipped=_describe_skipped(start, stimuli),
        warnings=(
            *warn_of_identity(simulated, recorded),
            *notes,
            *warn_of_data(stimuli, rows, wide[0]),
            *warn_of_chance(rows),
            *warn_of_model(stimuli, noisy, wide, dt),
        ),
        cell=str(getattr(recorded, "cell", "")),
    )


def _is_noisy(simulated: Any, runs: Sequence[Sequence[Array]]) -> bool:
    declared = getattr(simulated, "stochastic", None)
    return any(not are_identical(group) for group in runs) if declared is None else bool(declared)
