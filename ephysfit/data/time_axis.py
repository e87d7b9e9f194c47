"""Which axis of an array is time: (trial, time) is wanted, (time, trial) is what Matlab users keep.

A time axis, or whatever else has one entry a trial or one a sample, tells. Where nothing does, the voltage is looked
at, which is smooth along time and not from trial to trial, and sweeps too short to be sweeps are refused.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from ephysfit.errors import RecordingError

Array = npt.NDArray[np.float64]

#: more trials than samples and shorter than this, ms: no sweep
SHORT = 5.0
#: an axis is time where neighbours differ by less than this part of what they differ along the other axis
SMOOTHER = 0.5
#: samples needed on both axes to tell by smoothness
ENOUGH = 8
#: lines, and samples of each, that are looked at
LINES, LENGTH = 64, 4096


def flatten_single_trial(array: Array) -> Array:
    """An array of one trial, kept as a row or a column, as (time,).

    Examples
    --------
    >>> [flatten_single_trial(np.zeros(shape)).shape for shape in ((5, 1), (1, 5), (2, 5))]
    [(5,), (5,), (2, 5)]
    """
    return array.ravel() if array.ndim == 2 and 1 in array.shape else array


def orient_arrays(
    values: Mapping[str, Array], dt: float | None, time_axis: int | None = None
) -> tuple[dict[str, Array], str]:
    """Current, voltage and time as (time,) or (trial, time), and what was turned, in words.

    Parameters
    ----------
    values
        Arrays by quantity: `current`, and where there are `voltage`, `time`, `trial`, `spike_times`.
    dt
        Sampling step, ms, where it is known.
    time_axis
        The axis of 2-D arrays that is time, where the caller says it.

    Raises
    ------
    RecordingError
        If arrays do not fit each other, or are as likely (time, trial) and nothing tells.

    Examples
    --------
    >>> turned, said = orient_arrays({"current": np.zeros((60, 3)), "time": np.arange(60.0)}, None)
    >>> turned["current"].shape, said
    ((3, 60), 'current of shape (60, 3) read as (time, trial): there are 60 times')
    """
    if time_axis not in (None, 0, 1, -1):
        raise RecordingError(f"time_axis={time_axis!r}: 0 for arrays (time, trial), 1 for (trial, time)")
    for quantity in ("current", "voltage"):
        if quantity in values and (values[quantity].ndim not in (1, 2) or not values[quantity].size):
            raise RecordingError(
                f"{quantity} of shape {values[quantity].shape}; (time,) or (trial, time) wanted, not empty"
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


def _find_time_axis(values: Mapping[str, Array]) -> tuple[int | None, str]:
    """The axis that is time by whatever has one entry a sample or one a trial, and why; None where nothing tells."""
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


def _find_axis_by_times(time: Array | None, current: Array) -> int | None:
    """The axis along which a 2-D time rises, the same in every trial."""
    if time is None or time.ndim != 2 or time.shape != current.shape or min(time.shape) < 2:
        return None
    rises = [bool((np.diff(time, axis=axis) > 0).all()) for axis in (0, 1)]
    return rises.index(True) if sum(rises) == 1 else None


def _find_own_axis(array: Array, values: Mapping[str, Array], axis: int | None, requested: int | None) -> int | None:
    """The time axis of one of several arrays, which may be turned against each other where their times tell."""
    time = values.get("time")
    if requested is None and time is not None and time.ndim == 1 and array.shape.count(time.size) == 1:
        return array.shape.index(time.size)
    return axis


def _check_equal(values: Mapping[str, Array]) -> None:
    """Raise where current and voltage are of different shape, and say how they may fit."""
    current, voltage = values["current"], values.get("voltage")
    if voltage is None or voltage.shape == current.shape:
        return
    said = f"current of shape {current.shape} and voltage of shape {voltage.shape}; both are (time,) or (trial, time)"
    if voltage.shape == current.shape[::-1]:
        raise RecordingError(f"{said}: one of them is transposed, and no time axis tells which; transpose it")
    if current.ndim == 1 and voltage.ndim == 2 and current.size in voltage.shape:
        trials = voltage.size // current.size
        raise RecordingError(
            f"{said}: the current of each of the {trials} trials is wanted; if all had the same, repeat it: "
            f"np.tile(current, ({trials}, 1))"
        )
    raise RecordingError(said)


def _check_plausible(current: Array, voltage: Array | None, dt: float | None) -> None:
    """Raise where (trial, time) makes no sweeps, or the voltage is smooth along the other axis only.

    More samples than trials are taken as they are: a voltage at rest that drifts is smooth from trial to trial.
    """
    trials, samples = current.shape
    if trials < samples:
        return
    length = np.inf if dt is None else samples * dt
    smooth = find_smooth_axis(current if voltage is None else voltage)
    if trials > samples and length < SHORT:
        why = f"sweeps of {length:g} ms are none"
    elif smooth == 0:
        why = (
            f"the {'current' if voltage is None else 'voltage'} is smooth along the first axis and not along the second"
        )
    elif smooth is None and trials >= ENOUGH:
        why = "nothing tells which it is"
    else:
        return
    step = "" if dt is None else f" of {trials * dt:g} ms"
    raise RecordingError(
        f"shape {current.shape}: (trial, time) is wanted, which makes {trials} sweeps of {samples} samples; transposed "
        f"it would be {samples} sweeps{step}, and {why}. Transpose the arrays, or say which axis is time: time_axis=0 "
        "for (time, trial), time_axis=1 for (trial, time)"
    )


def find_smooth_axis(voltage: Array) -> int | None:
    """The axis along which neighbours differ much less than others do, as they do along time; None where none is.

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


def _compute_roughness(lines: Array) -> float:
    """How far neighbours differ along the last axis, as part of how far any two do; 1 where all are equal."""
    some = lines[:: max(len(lines) // LINES, 1)]
    at = np.unique(np.linspace(0, some.shape[1] - 2, min(some.shape[1] - 1, LENGTH)).astype(int))
    any_two = _compute_mean_distance(some[:, at], some[:, np.random.default_rng(0).permutation(at)])
    return _compute_mean_distance(some[:, at], some[:, at + 1]) / any_two if any_two > 0 else 1.0


def _compute_mean_distance(a: Array, b: Array) -> float:
    apart = np.abs(a - b)
    known = apart[np.isfinite(apart)]
    return float(known.mean()) if known.size else 0.0
