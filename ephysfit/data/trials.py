"""Trials: recordings on one grid, as arrays whose axes are always `cell trial time`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Shaped
from numpy.typing import NDArray

from ephysfit.arrays import Array, Bool, Float64, Mask, Trace, Train
from ephysfit.data.recording import Recording, Sweep, check_step
from ephysfit.errors import RecordingError

#: a step is a multiple of the recorded step up to this part
MULTIPLE = 1e-6
#: a spike this close before the border of two steps, in steps, was meant to lie on it
ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class Trials:
    """One or many cells on one grid.

    Parameters
    ----------
    current
        pA, float64, shape (cell, trial, time); the mean over each step. 0 in the padding, where `valid` is False.
    spikes
        Step n holds the spikes nearest to its end, from (n + 1/2) dt to (n + 3/2) dt, because a neuron's state after
        step n, of which hazard and jump are computed, is that at (n + 1) dt. Rounded down instead, spikes would lie
        half a step before the state on average, which a fit takes for a slower membrane. Of a train given in whole
        samples the middles of the samples count. bool, shape (cell, trial, time).
    valid
        False in padding and in intervals that must not be used; bool, shape (cell, trial, time).
    voltage
        mV, the mean over each step, NaN where unknown, shape (cell, trial, time); None where no sweep has one.
    dt
        Step, ms.
    spike_times
        The exact trains, ms, as spike_times[cell][trial].
    names
        Names of the cells.

    Examples
    --------
    >>> import numpy as np
    >>> from ephysfit.data.recording import Recording
    >>> recording = Recording.of(np.arange(6.0), dt=0.1, spike_times=[0.25])
    >>> trials = Trials.of(recording, dt=0.2)
    >>> trials.current.tolist(), trials.spikes.astype(int).tolist()
    ([[[0.5, 2.5, 4.5]]], [[[1, 0, 0]]])
    """

    current: Float64[Array, "cell trial time"]
    spikes: Bool[Mask, "cell trial time"]
    valid: Bool[Mask, "cell trial time"]
    voltage: Float64[Array, "cell trial time"] | None
    dt: float
    spike_times: tuple[tuple[Train, ...], ...]
    names: tuple[str, ...] = ()

    @classmethod
    def of(cls, recordings: Recording | Sequence[Recording], dt: float | None = None) -> Trials:
        """Put recordings on one grid.

        Parameters
        ----------
        recordings
            One cell or several; sweeps become trials, shorter ones and missing trials are padded.
        dt
            Step, ms: an integer multiple of every recorded step. None: the recorded step, which all must then share.

        Raises
        ------
        RecordingError
            If `dt` is not a multiple of a recorded step, or the recorded steps differ and none is given.
        """
        cells = (recordings,) if isinstance(recordings, Recording) else tuple(recordings)
        if not cells:
            raise RecordingError("no recordings; give at least one")
        step = _find_common_step(cells) if dt is None else check_step(dt, "Trials")
        grids = [[_Grid.of(sweep, step) for sweep in cell.sweeps] for cell in cells]
        shape = len(cells), max(map(len, grids)), max(len(g.current) for row in grids for g in row)
        has_voltage = any(g.voltage is not None for row in grids for g in row)
        return cls(
            current=_stack_padded(shape, [[g.current for g in row] for row in grids], 0.0),
            spikes=_stack_padded(shape, [[g.spikes for g in row] for row in grids], False),
            valid=_stack_padded(shape, [[g.valid for g in row] for row in grids], False),
            voltage=_stack_padded(shape, [[g.voltage for g in row] for row in grids], np.nan) if has_voltage else None,
            dt=step,
            spike_times=tuple(tuple(sweep.spike_times for sweep in cell.sweeps) for cell in cells),
            names=tuple(cell.cell for cell in cells),
        )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of cells, trials and time steps."""
        cells, trials, steps = self.current.shape
        return cells, trials, steps


def _find_common_step(cells: Sequence[Recording]) -> float:
    steps = sorted({round(sweep.dt, 9) for cell in cells for sweep in cell.sweeps})
    if len(steps) > 1:
        raise RecordingError(
            f"the recorded steps are {steps} ms; give dt, a multiple of each, or select the sweeps of one"
        )
    return cells[0].sweeps[0].dt


@dataclass(frozen=True, eq=False)
class _Grid:
    """One sweep in steps of `dt`."""

    current: Trace
    spikes: Bool[Mask, " time"]
    valid: Bool[Mask, " time"]
    voltage: Trace | None

    @classmethod
    def of(cls, sweep: Sweep, dt: float) -> _Grid:
        """Put a sweep on the grid."""
        k = _find_ratio(sweep, dt)
        n = sweep.steps // k
        if not n:
            raise RecordingError(
                f"sweep {sweep.name!r} lasts {sweep.duration:g} ms: shorter than one step of {dt:g} ms"
            )
        voltage = None if sweep.voltage is None else _average_blocks(sweep.voltage, n, k)
        return cls(
            _average_blocks(sweep.current, n, k),
            _make_raster(sweep.spike_times, n, dt, sweep.dt),
            np.logical_and.reduce(sweep.mask()[: n * k].reshape(n, k), axis=1),
            voltage,
        )


def _find_ratio(sweep: Sweep, dt: float) -> int:
    ratio = dt / sweep.dt
    k = round(ratio)
    if k < 1 or abs(ratio - k) > MULTIPLE * k:
        raise RecordingError(
            f"dt = {dt:g} ms is not an integer multiple of the recorded step {sweep.dt:g} ms (sweep {sweep.name!r}): "
            f"the ratio is {ratio:g}; take {max(k, 1) * sweep.dt:g} ms"
        )
    return k


def _average_blocks(samples: Trace, n: int, k: int) -> Trace:
    means: Trace = samples[: n * k].reshape(n, k).mean(axis=1)
    return samples[:n] if k == 1 else means


def find_spike_steps(train: Train, dt: float, sampled: float) -> NDArray[np.int64]:
    """Find the step of each spike: the one whose end it lies nearest to, or the first one.

    Parameters
    ----------
    train
        Spike times, ms, shape (spike,).
    dt, sampled
        Step, and sampling step of the recording, ms. Times that are all whole samples stand for the middles of these
        samples, from which a spike is half a sample away at most.

    Examples
    --------
    >>> find_spike_steps(np.array([0.1, 0.74, 0.76, 1.26]), 0.5, 0.05).tolist()
    [0, 0, 1, 2]
    >>> find_spike_steps(np.array([0.0, 0.5, 1.0]), 0.5, 0.5).tolist()
    [0, 1, 2]
    """
    samples = train / sampled
    if np.all(np.abs(samples - np.rint(samples)) < MULTIPLE):
        train = train + sampled / 2
    steps: NDArray[np.int64] = np.floor(train / dt - 0.5 + ROUNDING).astype(np.int64)
    return np.maximum(steps, 0)


def _make_raster(train: Train, n: int, dt: float, sampled: float) -> Bool[Mask, " time"]:
    raster = np.zeros(n, dtype=bool)
    steps = find_spike_steps(train[train >= 0], dt, sampled)
    raster[steps[steps < n]] = True
    return raster


#: samples of each trial of each cell; None where a trial has none
Rows = Sequence[Sequence[Trace | Bool[Mask, " _"] | None]]


def _stack_padded(shape: tuple[int, int, int], rows: Rows, fill: float | bool) -> Shaped[np.ndarray, "cell trial time"]:
    """Stack the arrays of all cells and trials, padded with `fill`."""
    array = np.full(shape, fill)
    for cell, row in enumerate(rows):
        for trial, samples in enumerate(row):
            if samples is not None:
                array[cell, trial, : len(samples)] = samples
    return array
