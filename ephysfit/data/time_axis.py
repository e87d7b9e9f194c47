"""Finding the time axis of an array: (trial, time) is needed, but Matlab users often store (time, trial).

The axis follows from an array of times, or from anything else with one entry per trial or per sample. Otherwise the
voltage decides, which is smooth along time but not from trial to trial; implausibly short sweeps are refused.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ephysfit.arrays import Array, Float64
from ephysfit.errors import RecordingError

#: samples, (time,) or (trial, time), or whatever shape a file holds
Samples = Float64[Array, "..."]

#: more trials than samples and shorter than this, ms: no sweep
SHORT = 5.0
#: an axis is time where neighbours differ by less than this part of what they differ along the other axis
SMOOTHER = 0.5
#: samples needed on both axes to decide by smoothness
ENOUGH = 8
#: lines, and samples of each, that are examined
LINES, LENGTH = 64, 4096


def flatten_single_trial(array: Float64[Array, "..."]) -> Float64[Array, "..."]:
    """Flatten an array of one trial, stored as a row or a column, to shape (time,); leave others as they are.

    Examples
    --------
    >>> [flatten_single_trial(np.zeros(shape)).shape for shape in ((5, 1), (1, 5), (2, 5))]
    [(5,), (5,), (2, 5)]
    """
    return array.ravel() if array.ndim == 2 and 1 in array.shape else array


def orient_arrays(
    values: Mapping[str, Samples], dt: float | None, time_axis: int | None = None
) -> tuple[dict[str, Samples], str]:
    """Orient current, voltage and time as (time,) or (trial, time).

    Parameters
    ----------
    values
        Arrays by quantity: `current`, and where there are `voltage`, `time`, `trial`, `spike_times`.
    dt
        Sampling step, ms, if it is known.
    time_axis
        The time axis of 2-D arrays, if the caller gives it.

    Returns
    -------
    arrays
        The arrays, oriented.
    note
        A sentence on the arrays that were transposed; empty if none was.

    Raises
    ------
    RecordingError
        If arrays do not fit each other, or may as well be (time, trial).

    Examples
    --------
    >>> arrays, note = orient_arrays({"current": np.zeros((60, 3)), "time": np.arange(60.0)}, None)
    >>> arrays["current"].shape, note
    ((3, 60), 'current of shape (60, 3) read as (time, trial): there are 60 times')
    """
    if time_axis not in (None, 0, 1, -1):
        raise RecordingError(f"time_axis={time_axis!r}: 0 for arrays (time, trial), 1 for (trial, time)")
    for quantity in ("current", "voltage"):
        if quantity in values and (values[quantity].ndim not in (1, 2) or not values[quantity].size):
            raise RecordingError(
                f"{quantity} of shape {values[quantity].shape}; (time,) or (trial, time) is needed, not empty"
            )
    out = {q: flatten_single_trial(v) if q in ("current", "voltage", "time") else v for q, v in values.items()}
    axis, why = time_axis, "time_axis= says so"
    if axis is None:
        axis, why = _find_time_axis(out)
    turned = []
    for quantity in ("current", "voltage"):
        if quantity in out and out[quantity].ndim == 2:
            own = _find_own_axis(out[quantity], out, axis, time_axis)
            if own == 0:
                turned.append(f"{quantity} of shape {out[quantity].shape} read as (time, trial): {why}")
                out[quantity] = out[quantity].T
    if out.get("time", np.empty(0)).ndim == 2 and axis == 0:
        out["time"] = out["time"].T
    _check_equal(out)
    if axis is None and out["current"].ndim == 2:
        _check_plausible(out["current"], out.get("voltage"), dt)
    return out, "; ".join(turned)


def _find_time_axis(values: Mapping[str, Samples]) -> tuple[int | None, str]:
    """Find the time axis by anything with one entry per sample or per trial, with the reason; None if undecided."""
    current = values["current"] if values["current"].ndim == 2 else values.get("voltage", values["current"])
    if current.ndim != 2 or current.shape[0] == current.shape[1]:
        return _find_axis_by_times(values.get("time"), current), "times rise along it"
    votes: dict[int, str] = {}
    if (axis := _find_axis_by_times(values.get("time"), current)) is not None:
        votes[axis] = "times rise along it"
    samples, trials = values.get("time"), [values.get("trial"), values.get("spike_times")]
    if samples is not None and samples.ndim == 1 and samples.size in current.shape:
        votes[current.shape.index(samples.size)] = f"there are {samples.size} times"
    for one, what in zip(trials, ("trial numbers", "spike trains"), strict=True):
        if one is not None and one.ndim == (1 if what == "trial numbers" else 2) and len(one) in current.shape:
            votes.setdefault(1 - current.shape.index(len(one)), f"there are {len(one)} {what}")
    if len(votes) > 1:
        raise RecordingError(
            f"current of shape {current.shape}: {votes[0]}, so it is (time, trial), and {votes[1]}, so it is (trial, "
            "time): give time_axis="
        )
    return next(iter(votes.items()), (None, ""))


def _find_axis_by_times(time: Samples | None, current: Float64[Array, "..."]) -> int | None:
    """Find the axis along which 2-D times rise in every trial."""
    if time is None or time.ndim != 2 or time.shape != current.shape or min(time.shape) < 2:
        return None
    rises = [bool((np.diff(time, axis=axis) > 0).all()) for axis in (0, 1)]
    return rises.index(True) if sum(rises) == 1 else None


def _find_own_axis(
    array: Float64[Array, "..."], values: Mapping[str, Samples], axis: int | None, requested: int | None
) -> int | None:
    """Find the time axis of one of several arrays, which may differ if their times decide."""
    time = values.get("time")
    if requested is None and time is not None and time.ndim == 1 and array.shape.count(time.size) == 1:
        return array.shape.index(time.size)
    return axis


def _check_equal(values: Mapping[str, Samples]) -> None:
    """Raise an error if current and voltage differ in shape; it suggests how they may fit."""
    current, voltage = values["current"], values.get("voltage")
    if voltage is None or voltage.shape == current.shape:
        return
    said = f"current of shape {current.shape} and voltage of shape {voltage.shape}; both are (time,) or (trial, time)"
    if voltage.shape == current.shape[::-1]:
        raise RecordingError(f"{said}: one of them is transposed, and no time axis decides which; transpose it")
    if current.ndim == 1 and voltage.ndim == 2 and current.size in voltage.shape:
        trials = voltage.size // current.size
        raise RecordingError(
            f"{said}: the current of each of the {trials} trials is needed; if all had the same, repeat it: "
            f"np.tile(current, ({trials}, 1))"
        )
    raise RecordingError(said)


def _check_plausible(
    current: Float64[Array, "trial time"], voltage: Float64[Array, "trial time"] | None, dt: float | None
) -> None:
    """Raise an error if (trial, time) gives implausible sweeps, or the voltage is smooth along the other axis only.

    More samples than trials are taken as they are: a voltage at rest that drifts is smooth from trial to trial.
    """
    trials, samples = current.shape
    if trials < samples:
        return
    length = np.inf if dt is None else samples * dt
    smooth = find_smooth_axis(current if voltage is None else voltage)
    if trials > samples and length < SHORT:
        why = f"sweeps of {length:g} ms are implausible"
    elif smooth == 0:
        why = (
            f"the {'current' if voltage is None else 'voltage'} is smooth along the first axis and not along the second"
        )
    elif smooth is None and trials >= ENOUGH:
        why = "nothing decides which it is"
    else:
        return
    step = "" if dt is None else f" of {trials * dt:g} ms"
    raise RecordingError(
        f"shape {current.shape}: (trial, time) is needed, which makes {trials} sweeps of {samples} samples; transposed "
        f"it would be {samples} sweeps{step}, and {why}. Transpose the arrays, or say which axis is time: time_axis=0 "
        "for (time, trial), time_axis=1 for (trial, time)"
    )


def find_smooth_axis(voltage: Float64[Array, "first second"]) -> int | None:
    """Find the axis along which neighbours differ much less than other samples, as along time; None if there is none.

    Examples
    --------
    >>> t = np.linspace(0, 9, 300)
    >>> trials = np.stack([np.sin(t + phase) for phase in (0, 4, 1, 5, 2, 7, 3, 9)])
    >>> find_smooth_axis(trials), find_smooth_axis(trials.T)
    (1, 0)
    """
    if min(voltage.shape) < 2 or max(voltage.shape) < ENOUGH:
        return None
    rough = [_compute_roughness(np.moveaxis(voltage, axis, -1)) for axis in (0, 1)]
    for axis in (0, 1):
        if rough[axis] < SMOOTHER * rough[1 - axis]:
            return axis
    return None


def _compute_roughness(lines: Float64[Array, "line sample"]) -> float:
    """Compute the difference of neighbours along the last axis relative to that of any two; 1 if all are equal."""
    some = lines[:: max(len(lines) // LINES, 1)]
    at = np.unique(np.linspace(0, some.shape[1] - 2, min(some.shape[1] - 1, LENGTH)).astype(int))
    any_two = _compute_mean_distance(some[:, at], some[:, np.random.default_rng(0).permutation(at)])
    return _compute_mean_distance(some[:, at], some[:, at + 1]) / any_two if any_two > 0 else 1.0


def _compute_mean_distance(a: Float64[Array, "line sample"], b: Float64[Array, "line sample"]) -> float:
    apart = np.abs(a - b)
    known = apart[np.isfinite(apart)]
    return float(known.mean()) if known.size else 0.0
