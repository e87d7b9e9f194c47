"""Cells of known parameters in steps of 0.05 ms, by a program that shares no line with the package.

A study of what fits recover must not draw its truths with the step and the conventions of the fit: errors that both
share would cancel. Here the printed equations of five neurons (docs/models) are integrated by the midpoint rule in
plain NumPy, all cells at once; escape noise is drawn in every fine step from the hazard at its middle. Nothing of
ephysfit is imported.

A spike happens at the end of a fine step. Its jump is made there, and held states stand still until exactly ``t_ref``
later, so that neither spike times nor refractory periods know the grid of any fit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from numpy.typing import NDArray

Values: TypeAlias = NDArray[np.float64]
#: one cell's parameters by name; of a bank an array (part,)
Cell: TypeAlias = Mapping[str, npt.ArrayLike]

#: fine step, ms
FINE = 0.05
#: largest number of spikes expected in a fine step: beyond it one is certain
MOST = 50.0
#: how far from the first guess a level is sought, as a factor
WIDEST = 8.0
#: steps whose random numbers are drawn at once
BLOCK = 4096


def _exponential(p: dict[str, Values], margin: Values) -> Values:
    return np.asarray(np.exp(np.minimum(margin / p["delta"], np.log(MOST / FINE))))


@dataclass(frozen=True)
class Equations:
    """A neuron's equations on arrays: states (state, cell), parameters (cell,) or, of a bank, (part, cell).

    `held` are the rows of states that stand still while the cell is refractory; `hazard` is spikes per ms at a margin.
    """

    rest: Callable[[dict[str, Values]], list[Values]]
    flow: Callable[[dict[str, Values], Values, Values], list[Values]]
    margin: Callable[[dict[str, Values], Values], Values]
    jump: Callable[[dict[str, Values], Values], list[Values]]
    held: tuple[int, ...]
    hazard: Callable[[dict[str, Values], Values], Values] = _exponential


def simulate(neuron: str, cells: list[Cell], current: Values, dt: float, seed: int = 0) -> list[Values]:
    """Spike times of cells with escape noise; those of a cell do not depend on the cells beside it.

    Parameters
    ----------
    neuron : str
        Of `NEURONS`.
    cells : list of mappings
        Parameters in ms, mV, pA, pF, nS.
    current : ndarray, (time, cell)
        pA, each sample held for `dt`.
    dt : float
        ms, a whole multiple of `FINE`.
    seed : int

    Returns
    -------
    list of ndarray
        ms from the start of the current, one train a cell.
    """
    if neuron not in NEURONS:
        raise ValueError(f"neuron {neuron!r} has no independent equations here; there are {', '.join(NEURONS)}")
    parts = round(dt / FINE)
    if parts < 1 or abs(parts * FINE - dt) > 1e-9:
        raise ValueError(f"dt = {dt:g} ms is not a whole multiple of {FINE:g} ms")
    if current.ndim != 2 or current.shape[1] != len(cells):
        raise ValueError(f"current of shape {current.shape} for {len(cells)} cells; give (time, cell)")
    eq, draws = NEURONS[neuron], _draw_by_cell(len(cells), seed)
    p = {name: np.stack([np.asarray(c[name], dtype=np.float64) for c in cells], -1) for name in cells[0]}
    x = np.array(eq.rest(p))
    wait = np.zeros(len(cells))  # ms until the cell is no longer refractory
    found: list[list[float]] = [[] for _ in cells]
    before = eq.margin(p, x)
    for k in range(len(current) * parts):
        drive = current[k // parts]
        # the part of this step in which held states move, and the cell may spike
        free = np.clip(FINE - wait, 0.0, FINE) if wait.any() else np.full(len(cells), FINE)
        steps = np.full(x.shape, FINE)
        steps[list(eq.held)] = free
        middle = x + 0.5 * steps * np.array(eq.flow(p, x, drive))
        x = x + steps * np.array(eq.flow(p, middle, drive))
        after = eq.margin(p, x)
        expected = free * eq.hazard(p, 0.5 * (before + after))
        wait = np.maximum(wait - FINE, 0.0)
        spiked = next(draws) < -np.expm1(-expected)
        if spiked.any():
            x = np.where(spiked, np.array(eq.jump(p, x)), x)
            wait = np.where(spiked, p["t_ref"], wait)
            for c in np.flatnonzero(spiked):
                found[c].append((k + 1) * FINE)
            after = eq.margin(p, x)
        before = after
    return [np.array(train) for train in found]


def _draw_by_cell(cells: int, seed: int) -> Iterator[Values]:
    """Uniform numbers, one a cell and step, each cell from a generator of its own."""
    streams = [np.random.default_rng([seed, c]) for c in range(cells)]
    while True:
        yield from np.stack([s.random(BLOCK) for s in streams], -1)


def find_level(
    neuron: str, cells: list[Cell], unit: Values, dt: float, rate: float, *, start: npt.ArrayLike, turns: int = 9,
    seed: int = 0,
) -> Values:  # fmt: skip
    """The level, pA, at which ``level * unit`` makes each cell fire at `rate` (spikes per second), by halving factors.

    Parameters
    ----------
    unit : ndarray, (time,)
        A current of mean 1 and standard deviation 1.
    start : array, (cell,)
        First guess, pA; the level is sought within a factor of `WIDEST` of it.
    """
    begin = np.log(np.broadcast_to(np.asarray(start, dtype=np.float64), len(cells)))
    low, high = begin - np.log(WIDEST), begin + np.log(WIDEST)
    seconds = len(unit) * dt / 1e3
    for _ in range(turns):
        middle = 0.5 * (low + high)
        trains = simulate(neuron, cells, unit[:, None] * np.exp(middle), dt, seed)
        fast = np.array([len(t) / seconds for t in trains]) >= rate
        low, high = np.where(fast, low, middle), np.where(fast, middle, high)
    return np.exp(0.5 * (low + high))


def _sigmoid(z: Values) -> Values:
    return 1.0 / (1.0 + np.exp(-np.clip(z, -700.0, 700.0)))


def _softplus(z: Values) -> Values:
    return np.logaddexp(0.0, z)


def _alif() -> Equations:
    """C V' = -g (V - E_L) + I, tau_a h' = -h; spike when V reaches theta + h."""
    return Equations(
        rest=lambda p: [p["E_L"], 0.0 * p["g"]],
        flow=lambda p, x, I: [(-p["g"] * (x[0] - p["E_L"]) + I) / p["C"], -x[1] / p["tau_a"]],
        margin=lambda p, x: x[0] - p["theta"] - x[1],
        jump=lambda p, x: [p["V_reset"], x[1] + p["d_theta"]],
        held=(0,),
    )


def _glif4() -> Equations:
    """C V' = -g (V - E_L) + I + I_1 + I_2, I_j' = -k_j I_j, theta_s' = -b_s theta_s; states V, I_1, I_2, theta_s."""
    return Equations(
        rest=lambda p: [p["E_L"], 0.0 * p["g"], 0.0 * p["g"], 0.0 * p["g"]],
        flow=lambda p, x, I: [
            (-p["g"] * (x[0] - p["E_L"]) + I + x[1] + x[2]) / p["C"],
            -p["k"][0] * x[1], -p["k"][1] * x[2], -p["b_s"] * x[3],
        ],
        margin=lambda p, x: x[0] - p["theta"] - x[3],
        jump=lambda p, x: [
            p["E_L"] + p["f_v"] * (x[0] - p["E_L"]) - p["dV"],
            x[1] + p["dI"][0], x[2] + p["dI"][1], x[3] + p["d_theta"],
        ],
        held=(0,),
    )  # fmt: skip


#: time constants of the two filters of IGIF, ms
IGIF_TIMES = np.array([3.0, 12.0, 50.0, 200.0, 800.0])[:, None]


def _igif() -> Equations:
    """States V, theta_V, five after-spike currents eta, five threshold parts gamma."""

    def flow(p: dict[str, Values], x: Values, I: Values) -> list[Values]:
        follow = p["k_a"] * _softplus((x[0] - p["V_i"]) / p["k_i"])
        return [
            (-p["g"] * (x[0] - p["E_L"]) - x[2:7].sum(0) + I) / p["C"],
            (follow - x[1]) / p["tau_theta"],
            *(-x[2:7] / IGIF_TIMES),
            *(-x[7:12] / IGIF_TIMES),
        ]

    return Equations(
        rest=lambda p: [p["E_L"], *[0.0 * p["g"]] * 11],
        flow=flow,
        margin=lambda p, x: x[0] - p["theta"] - x[1] - x[7:12].sum(0),
        jump=lambda p, x: [p["V_reset"], x[1], *(x[2:7] + p["eta"]), *(x[7:12] + p["gamma"])],
        held=(0,),
    )


def _adex() -> Equations:
    """States w, V. The upstroke is bounded by `rise`, and beyond V_peak neither V nor the drive of w goes on."""

    def flow(p: dict[str, Values], x: Values, I: Values) -> list[Values]:
        w, v = x
        most, slope = p["C"] * p["rise"], p["Delta_T"]
        upstroke = _sigmoid((v - p["V_T"]) / slope + np.log(p["g"] * slope / most))
        stop = _softplus((v - p["V_peak"]) / slope - 5.0)
        top = p["V_peak"] + 10.0 * slope
        heard = top - slope * _softplus((top - v) / slope)
        return [
            (p["a"] * (heard - p["E_L"]) - w) / p["tau_w"],
            (-p["g"] * (v - p["E_L"]) + most * (upstroke - stop) - w + I) / p["C"],
        ]

    return Equations(
        rest=lambda p: [0.0 * p["g"], p["E_L"]],
        flow=flow,
        margin=lambda p, x: x[1] - p["V_peak"],
        jump=lambda p, x: [x[0] + p["b"], p["V_reset"]],
        held=(1,),
    )


#: time constants of the banks of AIGIF, ms
CURRENT_TIMES = np.array([1.0, 2.5, 5.0, 10.0, 20.0, 45.0, 100.0, 250.0])[:, None]
SPIKE_TIMES = np.array([4.0, 10.0, 30.0, 80.0, 200.0, 600.0, 1500.0])[:, None]


def _aigif() -> Equations:
    """States K (8), H (7), n, A, y (3)."""

    def drive(p: dict[str, Values], x: Values) -> Values:
        return np.asarray((p["R"] * x[:8]).sum(0) + (p["eta"] * x[8:15]).sum(0))

    def flow(p: dict[str, Values], x: Values, I: Values) -> list[Values]:
        v0 = drive(p, x)
        v = v0 - p["g_A"] * x[16]
        return [
            *(((I - p["I_0"]) / p["I_s"] - x[:8]) / CURRENT_TIMES),
            *(-x[8:15] / SPIKE_TIMES),
            (_sigmoid((p["v_n"] - v0) * p["k_n"]) - x[15]) / p["tau_n"],
            (_sigmoid((v0 - p["v_m"]) * p["k_m"]) * x[15] - x[16]) / p["tau_A"],
            *((_softplus((v - p["v_y"]) * p["s_y"]) / p["s_y"] - x[17:]) / p["tau_y"]),
        ]

    return Equations(
        rest=lambda p: [0.0 * p["theta"]] * 20,
        flow=flow,
        margin=lambda p, x: (
            drive(p, x) - p["g_A"] * x[16] + (p["gamma"] * x[8:15]).sum(0) - p["theta"] - (p["c"] * x[17:]).sum(0)
        ),
        jump=lambda p, x: [*x[:8], *(x[8:15] + 1.0), *x[15:]],
        held=(),
        hazard=lambda p, u: _sigmoid(u / p["delta"]),
    )


#: neurons by name
NEURONS: dict[str, Equations] = {
    "ALIF": _alif(), "GLIF4": _glif4(), "IGIF": _igif(), "AdEx": _adex(), "AIGIF": _aigif(),
}  # fmt: skip
