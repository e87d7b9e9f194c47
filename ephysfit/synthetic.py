"""Recordings whose answer is known: noise currents, cells drawn from the declared ranges, and their responses."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from scipy.signal import lfilter

from ephysfit.arrays import Trace
from ephysfit.data.recording import Recording, Sweep
from ephysfit.errors import NeuronError, SimulationError
from ephysfit.neuron.affine import operators
from ephysfit.neuron.declare import Neuron, Parameter, flatten, pack_state
from ephysfit.neuron.roles import Role
from ephysfit.neuron.step_kinds import is_affine
from ephysfit.simulation.simulate import simulate

#: draws that may be refused in a row before giving up
PATIENCE = 500
#: largest input that is tried to make a cell fire, pA
STRONGEST = 1e6


def noise_current(duration: float, dt: float, mean: float, std: float, tau: float = 3.0, seed: int = 0) -> Trace:
    """Ornstein-Uhlenbeck current, stationary from its first sample, by the exact update.

    Parameters
    ----------
    duration, dt : float
        ms.
    mean, std : float
        pA.
    tau : float
        Correlation time, ms; 0 for white noise.
    seed : int

    Returns
    -------
    ndarray, (time,)
        pA.

    Raises
    ------
    SimulationError
        If a duration, a step, `std` or `tau` is out of range.

    Examples
    --------
    >>> current = noise_current(60_000.0, 0.1, mean=100.0, std=50.0, tau=3.0, seed=1)
    >>> len(current), round(current.mean()), round(current.std())
    (600000, 99, 50)
    """
    if not (dt > 0 and duration >= dt):
        raise SimulationError(f"duration {duration} ms and dt {dt} ms: both must be positive, duration at least dt")
    if not (std >= 0 and tau >= 0 and np.isfinite([mean, std, tau]).all()):
        raise SimulationError(
            f"mean {mean} pA, std {std} pA, tau {tau} ms: all must be finite, std and tau not negative"
        )
    steps = round(duration / dt)
    keep = np.exp(-dt / tau) if tau > 0 else 0.0
    kicks = np.random.default_rng(seed).standard_normal(steps)
    kicks[1:] *= np.sqrt(1 - keep**2)
    return mean + std * lfilter([1.0], [1.0, -keep], kicks)


def draw(neuron: type[Neuron], n: int, seed: int = 0, spread: float = 0.4) -> tuple[Neuron, ...]:
    """Cells drawn about the declared starts, by the declared widths, inside the bounds.

    A value that would leave its bounds is put back to its start, and a draw that could not be a cell is drawn again:
    one above threshold at rest or right after a spike, or one whose potential would grow without input.

    Parameters
    ----------
    neuron : type[Neuron]
    n : int
    seed : int
    spread : float
        Fraction of the declared (prior) width that a parameter varies by, on its linear or logarithmic axis.

    Returns
    -------
    tuple of Neuron
        One-cell instances of plain numbers.

    Examples
    --------
    >>> from ephysfit.models.lif import LIF
    >>> cells = draw(LIF, 3, seed=1)
    >>> all(cell.V_reset < cell.theta for cell in cells), len({cell.C for cell in cells})
    (True, 3)
    """
    found: list[Neuron] = []
    candidates = _draw_candidates(neuron, np.random.default_rng(seed), spread)
    refused = 0
    while len(found) < n:
        cell = next(candidates)
        if _is_viable(cell):
            found.append(cell)
            refused = 0
            continue
        refused += 1
        if refused == PATIENCE:
            raise NeuronError(
                f"{neuron.__name__}: {PATIENCE} draws in a row were above threshold at rest or after a spike, or grew "
                f"without input; give its parameters starts inside the range of real cells, or a smaller spread"
            )
    return tuple(found)


def _draw_candidates(neuron: type[Neuron], rng: np.random.Generator, spread: float) -> Iterator[Neuron]:
    while True:
        drawn = {
            name: tuple(_vary_start(p, start, rng.standard_normal(), spread) for start in p.starts)
            for name, p in neuron.parameters.items()
        }
        yield neuron(**{name: v if len(v) > 1 else v[0] for name, v in drawn.items()})


def _vary_start(p: Parameter, start: float, deviate: float, spread: float) -> float:
    """A value `deviate` widths from the start on the parameter's axis; the start itself if that is out of bounds."""
    low, high = p.ends
    y = p.to_axis(start) + spread * p.prior_width * deviate
    return p.from_axis(y) if low < y < high else start


def _is_viable(cell: Neuron) -> bool:
    kind = type(cell)
    rest = {n: float(getattr(cell, r)) if isinstance(r, str) else float(r) for n, r in kind.rests().items()}
    x = pack_state(kind, rest)
    jumped = cell.jump(x)
    after = pack_state(kind, {**rest, **flatten({k: kind.states[k] for k in jumped}, jumped)})
    if not (float(cell.margin(x)) < 0 and float(cell.margin(after)) < 0):
        return False
    return not is_affine(kind) or _decays_without_input(cell)


def _decays_without_input(cell: Neuron) -> bool:
    step = operators(cell, 1.0).free[:, :-1, :-1]
    return float(torch.linalg.eigvals(step).abs().max()) <= 1.0 + 1e-9


def respond(
    neuron: Neuron,
    current: npt.ArrayLike,
    dt: float,
    *,
    noise: str = "escape",
    seed: int = 0,
    name: str = "",
    stimulus: str = "",
    peak: float = 20.0,
    voltage_noise: float = 0.0,
) -> Sweep:
    """The response of a cell of known parameters to a current, as a sweep of a recording.

    Parameters
    ----------
    neuron : Neuron
        One cell with one input.
    current : array, (time,)
        pA.
    dt : float
        ms.
    noise : {"escape", "none", "integrated"}
        As in `simulate`.
    seed : int
    name, stimulus : str
    peak : float
        Spikes of point neurons have no shape: the sample of a spike is set to this voltage, mV.
    voltage_noise : float
        Standard deviation of white noise added to the voltage, mV.

    Returns
    -------
    Sweep
        With voltage where the neuron has a state ``V`` in mV, else without.
    """
    kind = type(neuron)
    if len(kind.inputs) > 1:
        raise SimulationError(
            f"{kind.__name__} has inputs {', '.join(kind.inputs)}; a recording holds one current, so this neuron "
            f"cannot be recorded synthetically; use simulate() with an array (time, input)"
        )
    current = np.asarray(current, dtype=np.float64)
    potential = kind.name_of(Role.POTENTIAL)
    save = () if potential is None else (potential,)
    done = simulate(neuron, current, dt=dt, noise=noise, save=save, seed=seed)
    times = done.spike_times[0][0]
    voltage = None
    if potential is not None:
        rng = np.random.default_rng([seed, 1])
        voltage = np.array(done.traces[potential][0]) + voltage_noise * rng.standard_normal(len(current))
        voltage[(times / dt).astype(int)] = peak
    return Sweep(current, dt, voltage, times, name=name, stimulus=stimulus)


def recording(
    neuron: Neuron,
    *,
    duration: float = 60_000.0,
    test_duration: float = 10_000.0,
    repeats: int = 9,
    dt: float = 0.1,
    mean: float | None = None,
    std: float | None = None,
    tau: float = 3.0,
    rate: float = 8.0,
    noise: str = "escape",
    voltage_noise: float = 0.0,
    seed: int = 0,
) -> Recording:
    """A recording of a cell that is known: one long noise to fit, repeats of another noise to test.

    Parameters
    ----------
    neuron : Neuron
        One cell.
    duration, test_duration : float
        ms.
    repeats : int
        Of the test noise; 0 for none.
    dt : float
        ms.
    mean, std : float, optional
        Of the current, pA. If neither is given both are set to what makes the cell fire at `rate`.
    tau : float
        Correlation time of the current, ms.
    rate : float
        Spikes per second to aim for when `mean` and `std` are not given.
    noise : {"escape", "none", "integrated"}
        As in `simulate`.
    voltage_noise : float
        mV.
    seed : int

    Returns
    -------
    Recording
        Sweeps "training" and "test 1", "test 2" ...; ``facts["neuron"]`` is the answer.

    Examples
    --------
    >>> from ephysfit.models.lif import LIF
    >>> known = recording(LIF.start(), duration=2000.0, test_duration=500.0, repeats=3, mean=120.0, std=80.0)
    >>> [sweep.name for sweep in known], known.split()[1].duration
    (['training', 'test 1', 'test 2', 'test 3'], 1500.0)
    """
    if (mean is None) != (std is None):
        raise SimulationError("give both mean and std of the current (pA), or neither, to reach a rate")
    if mean is None or std is None:
        mean = std = level_for(neuron, rate, dt=dt, tau=tau, noise=noise, seed=seed)
    options = {"noise": noise, "voltage_noise": voltage_noise}
    training = noise_current(duration, dt, mean, std, tau, seed)
    sweeps = [respond(neuron, training, dt, seed=seed, name="training", stimulus="training noise", **options)]  # type: ignore[arg-type]
    if repeats:
        test = noise_current(test_duration, dt, mean, std, tau, seed + 1)
        sweeps += [
            respond(neuron, test, dt, seed=seed + k, name=f"test {k}", stimulus="test noise", **options)  # type: ignore[arg-type]
            for k in range(1, repeats + 1)
        ]
    facts = {"neuron": repr(neuron), "noise": noise, "current": f"mean {mean:.4g} pA, std {std:.4g} pA, tau {tau:g} ms"}
    return Recording(tuple(sweeps), cell=f"synthetic {type(neuron).__name__}", source="synthetic", facts=facts)


def level_for(
    neuron: Neuron, rate: float, *, dt: float = 0.1, tau: float = 3.0, noise: str = "none", seed: int = 0
) -> float:
    """The level (pA) at which noise of this mean and this standard deviation makes the cell fire at `rate` (Hz).

    Raises
    ------
    SimulationError
        If the cell does not reach the rate at any level.
    """
    unit = noise_current(20_000.0, dt, 1.0, 1.0, tau, seed)

    def fires(level: float) -> bool:
        return simulate(neuron, level * unit, dt=dt, noise=noise, seed=seed).rate_hz >= rate

    low, high = 0.0, 1.0
    while not fires(high):
        low, high = high, 2 * high
        if high > STRONGEST:
            raise SimulationError(
                f"{neuron!r} does not fire at {rate:g} Hz at any level of noise up to {STRONGEST:g} pA; "
                f"choose a lower rate, or give mean and std"
            )
    for _ in range(12):
        middle = (low + high) / 2
        low, high = (low, middle) if fires(middle) else (middle, high)
    return high
