"""The frequency at which a cell responds best: from a neuron's parameters, and from a recording."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from ephysfit.errors import NeuronError, RecordingError
from ephysfit.neuron.declare import Neuron, cellwise, scalar_values
from ephysfit.neuron.functions import sigmoid, softplus

_Floats: TypeAlias = npt.NDArray[np.float64]
_BAND_HZ = (0.05, 500.0)


class Resonance(NamedTuple):
    """Where the impedance peaks and by how much.

    Attributes
    ----------
    f_hz : float
        Frequency of the largest impedance; 0 if it falls from the lowest frequency on (no resonance).
    quality : float
        Impedance there over impedance at the lowest frequency; 1 without resonance.
    """

    f_hz: float
    quality: float


def impedance(neuron: Neuron, f_hz: Any, current: float = 0.0) -> Any:
    """Complex impedance (GOhm, that is mV/pA) of the subthreshold neuron, linearised where it settles at `current`.

    Parameters
    ----------
    neuron : Neuron
        One cell.
    f_hz : array_like, (frequency,)
    current : float
        Holding current, pA.

    Returns
    -------
    ndarray of complex, (frequency,)

    Raises
    ------
    NeuronError
        If the instance holds several cells, has no state ``V``, or has no steady state at that current.

    Examples
    --------
    >>> from ephysfit.models.lif import LIF
    >>> round(float(abs(impedance(LIF.start(), [1e-6])[0])), 6)   # 1 / 5 nS
    0.2
    """
    a, b, v = _linearised(neuron, current)
    s = 2j * np.pi * np.atleast_1d(np.asarray(f_hz, dtype=np.float64)) / 1e3
    response = np.linalg.solve(s[:, None, None] * np.eye(len(b)) - a, np.broadcast_to(b[:, None], (len(s), len(b), 1)))
    return response[:, v, 0]


def resonance(neuron: Neuron, current: float = 0.0) -> Resonance:
    """Resonance frequency and quality of a neuron, from its parameters.

    Linear neurons have one answer; in others it depends on the holding `current` (pA), as it does in cells.

    Examples
    --------
    >>> from ephysfit.models.adlif import AdLIF
    >>> cell = AdLIF.start().replace(C=150.0, g=10.0, a=10.0, tau_w=100.0)
    >>> f_hz, quality = resonance(cell)
    >>> round(f_hz, 2), round(quality, 2)
    (5.31, 1.81)
    """
    from scipy.optimize import minimize_scalar  # the catalogue is listed without SciPy and SymPy

    grid = np.geomspace(*_BAND_HZ, 800)
    size = np.abs(impedance(neuron, grid, current))
    still = abs(impedance(neuron, [0.0], current)[0])
    k = int(np.argmax(size))
    if size[k] <= still * (1 + 1e-9) or k == 0:
        return Resonance(0.0, 1.0)
    low, high = np.log(grid[max(k - 1, 0)]), np.log(grid[min(k + 1, len(grid) - 1)])
    best = minimize_scalar(lambda y: -abs(impedance(neuron, [np.exp(y)], current)[0]), bounds=(low, high))
    return Resonance(float(np.exp(best.x)), float(-best.fun / still))


def measured_impedance(
    current: Any, voltage: Any, dt: float, low_hz: float = 0.5, high_hz: float = 50.0, bands: int = 24
) -> tuple[_Floats, Any]:
    """Impedance of a recorded cell in logarithmic bands, from a chirp or noise below threshold.

    Cross-spectrum over power of the current, each summed over a band, so that one sweep is enough.

    Parameters
    ----------
    current, voltage : array_like, (time,)
        pA and mV of one sweep or stretch without spikes.
    dt : float
        Sampling interval, ms.
    low_hz, high_hz : float
        Where the stimulus has power.
    bands : int
        How many bands; those in which the current has (almost) no power come back as NaN.

    Returns
    -------
    f_hz : ndarray, (band,)
    impedance : ndarray of complex, (band,), GOhm

    Raises
    ------
    RecordingError
        If the arrays differ in length, hold NaN, or are shorter than two periods of `low_hz`.
    """
    i, v = np.asarray(current, dtype=np.float64), np.asarray(voltage, dtype=np.float64)
    _refuse_unusable(i, v, dt, low_hz, high_hz)
    f = np.fft.rfftfreq(len(i), dt / 1e3)
    x, y = np.fft.rfft(i - i.mean()), np.fft.rfft(v - v.mean())
    edges = np.geomspace(low_hz, high_hz, bands + 1)
    band = np.digitize(f, edges) - 1
    inside = (band >= 0) & (band < bands)
    power = np.bincount(band[inside], np.abs(x[inside]) ** 2, bands)
    cross = (y * x.conj())[inside]
    total = np.bincount(band[inside], cross.real, bands) + 1j * np.bincount(band[inside], cross.imag, bands)
    used = power > 1e-6 * power.max()
    z = np.full(bands, np.nan + 0j)
    z[used] = total[used] / power[used]
    return np.sqrt(edges[:-1] * edges[1:]), z


def measured_resonance(
    current: Any, voltage: Any, dt: float, low_hz: float = 0.5, high_hz: float = 50.0, bands: int = 24
) -> Resonance:
    """Resonance of a recorded cell from a chirp or noise below threshold; arguments as for `measured_impedance`.

    The peak is refined by a parabola through the best band and its neighbours on a logarithmic axis.
    """
    f, z = measured_impedance(current, voltage, dt, low_hz, high_hz, bands)
    kept = ~np.isnan(z)
    f, size = np.log(f[kept]), np.abs(z[kept])
    k = int(np.argmax(size))
    if k in (0, len(size) - 1):
        return Resonance(0.0, 1.0) if k == 0 else Resonance(float(np.exp(f[k])), float(size[k] / size[0]))
    c2, c1, c0 = np.polyfit(f[k - 1 : k + 2] - f[k], size[k - 1 : k + 2], 2)
    shift = -c1 / (2 * c2) if c2 < 0 else 0.0
    return Resonance(float(np.exp(f[k] + shift)), float((c0 + c1 * shift + c2 * shift**2) / size[0]))


def _refuse_unusable(i: _Floats, v: _Floats, dt: float, low_hz: float, high_hz: float) -> None:
    if i.shape != v.shape or i.ndim != 1:
        raise RecordingError(f"current {i.shape} and voltage {v.shape} must be two equally long rows of samples")
    if not (np.isfinite(i).all() and np.isfinite(v).all()):
        raise RecordingError("current or voltage holds NaN; pass a stretch without gaps")
    seconds = len(i) * dt / 1e3
    if seconds * low_hz < 2:
        raise RecordingError(f"{seconds:.3g} s do not hold two periods of low_hz = {low_hz} Hz; raise low_hz")
    if not 0 < low_hz < high_hz < 500.0 / dt:
        raise RecordingError(f"band {low_hz}-{high_hz} Hz must rise and end below half the sampling rate")


def _linearised(neuron: Neuron, current: float) -> tuple[_Floats, _Floats, int]:
    """Jacobian (state, state), drive (state,) per pA, and the index of V, where the neuron settles at `current`."""
    import sympy  # the catalogue is listed without SciPy and SymPy
    from scipy.optimize import root

    from ephysfit.neuron.symbols import equations, symbol

    cls = type(neuron)
    eq = equations(cls)
    if cellwise(neuron) != 1 or "V" not in eq.states:
        raise NeuronError(f"{cls.__name__}: impedance is for one cell with a state V; pass one cell at a time")
    put = {symbol(k): v for k, v in scalar_values(neuron).items()}
    x, i = [symbol(n) for n in eq.states], symbol(next(iter(eq.inputs)))
    put |= {symbol(n): 0.0 for n in eq.inputs[1:]}
    flow = sympy.Matrix([eq.flow[n] for n in eq.states]).subs(put)
    modules = [{"softplus": softplus, "sigmoid": sigmoid}, "numpy"]
    move, slope, drive = (sympy.lambdify([x, i], m, modules) for m in (flow, flow.jacobian(x), flow.diff(i)))
    rest = [float(eq.rest[n].subs(put)) for n in eq.states]
    settled = root(lambda y: np.ravel(move(y, current)), rest, jac=lambda y: slope(y, current))
    if not settled.success:
        raise NeuronError(f"{cls.__name__} has no steady state at {current} pA; use a smaller holding current")
    a = np.asarray(slope(settled.x, current), dtype=np.float64)
    return a, np.ravel(np.asarray(drive(settled.x, current), dtype=np.float64)), eq.states.index("V")
