"""The independent reference: the declared equations in plain floats, integrated in fine steps.

It knows no matrices, no symbols and no torch: what `sequential` and every kernel must agree with.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ephysfit.neuron.declare import Neuron, flat_names, flatten, pack_state
from ephysfit.neuron.free_parameters import as_floats

Values = dict[str, float]


@dataclass(frozen=True, eq=False)
class Trajectory:
    """The result of a plain run: spike steps, states after each step (time,) by flat name, margins before the jump."""

    spikes: tuple[int, ...]
    states: dict[str, npt.NDArray[np.float64]]
    margins: npt.NDArray[np.float64]


def integrate(
    neuron: Neuron, current: npt.ArrayLike, dt: float, *, forced: Collection[int] | None = None, substeps: int = 10
) -> Trajectory:
    """Run one cell by classical Runge-Kutta steps of ``dt / substeps``.

    Parameters
    ----------
    neuron : Neuron
        One cell.
    current : array, (time,) or (time, input)
        pA, constant over each step.
    dt : float
        Step in ms at whose ends spikes are tested.
    forced : collection of int, optional
        Steps that spike, instead of those where the margin is reached.
    substeps : int

    Examples
    --------
    >>> from ephysfit.models.lif import LIF
    >>> cell = LIF(C=100.0, g=5.0, E_L=-70.0, theta=-50.0, V_reset=-65.0, t_ref=2.0, delta=2.0)
    >>> integrate(cell, [150.0] * 400, 0.1).spikes
    (219,)
    """
    cell = as_floats(neuron)
    kind = type(cell)
    drive = np.asarray(current, dtype=np.float64).reshape(len(np.asarray(current)), -1).tolist()
    held = {n for k in kind.hold if k in kind.states for n in flat_names({k: kind.states[k]})}
    n_ref = round(float(cell.refractory_ms) / dt)
    x = compute_rest_state(cell)
    spikes: list[int] = []
    course: dict[str, list[float]] = {n: [] for n in x}
    margins: list[float] = []
    wait = 0
    for n, inputs in enumerate(drive):
        x = advance(cell, x, inputs, dt, substeps, held if wait else set())
        margins.append(float(cell.margin(pack_state(kind, x))))
        fires = n in forced if forced is not None else (margins[-1] >= 0 and not wait)
        wait = n_ref if fires else max(wait - 1, 0)
        if fires:
            spikes.append(n)
            x = apply_jump(cell, x)
        for name, value in x.items():
            course[name].append(value)
    return Trajectory(tuple(spikes), {k: np.array(v) for k, v in course.items()}, np.array(margins))


def compute_rest_state(cell: Neuron) -> Values:
    """State values a run starts from, by flat name."""
    return {n: float(getattr(cell, r) if isinstance(r, str) else r) for n, r in type(cell).rests().items()}


def compute_slopes(cell: Neuron, x: Values, inputs: list[float]) -> Values:
    """Time derivatives of the states that move, per ms, by flat name."""
    return _flat(cell, cell.flow(pack_state(type(cell), x), *inputs))


def apply_jump(cell: Neuron, x: Values) -> Values:
    """The state after a spike."""
    return {**x, **_flat(cell, cell.jump(pack_state(type(cell), x)))}


def _flat(cell: Neuron, given: dict[str, Any]) -> Values:
    flat = flatten({k: type(cell).states[k] for k in given}, given)
    return {k: float(v) for k, v in flat.items()}


def advance(cell: Neuron, x: Values, inputs: list[float], dt: float, substeps: int, held: set[str]) -> Values:
    """The state after `dt` ms of constant input, by Runge-Kutta of fourth order."""
    h = dt / substeps

    def rate(at: Values) -> Values:
        return {n: v for n, v in compute_slopes(cell, at, inputs).items() if n not in held}

    for _ in range(substeps):
        x = _runge_kutta(rate, x, h)
    return x


def _runge_kutta(rate: Callable[[Values], Values], x: Values, h: float) -> Values:
    moved = lambda k, by: {**x, **{n: x[n] + by * v for n, v in k.items()}}  # noqa: E731
    a = rate(x)
    b = rate(moved(a, h / 2))
    c = rate(moved(b, h / 2))
    d = rate(moved(c, h))
    return {**x, **{n: x[n] + h / 6 * (a[n] + 2 * b[n] + 2 * c[n] + d[n]) for n in a}}
