"""Which kernels a simulation, a fit or a gradient of a neuron calls first, and their compilation ahead of time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from ephysfit.errors import SimulationError, near
from ephysfit.kernels.background_build import Build, Order, build
from ephysfit.kernels.generate import order
from ephysfit.kernels.tiles import lanes_for
from ephysfit.kernels.variant import Variant
from ephysfit.neuron.declare import Neuron
from ephysfit.neuron.free_parameters import FreeParameters
from ephysfit.neuron.numeric_coefficients import NumericCoefficients
from ephysfit.neuron.plan import plan
from ephysfit.simulation import replay

#: purposes that kernels can be compiled for, and what each needs
PURPOSES = {
    "fit": "maximum likelihood and noisy runs",
    "simulation": "runs without noise",
    "search": "noisy runs of many candidates, float32",
    "gradient": "the van Rossum loss with its gradient, float32",
}


def orders(
    neuron: type[Neuron], purposes: Iterable[str] = ("fit", "simulation"), held: Sequence[str] = ()
) -> list[Order]:
    """Kernels that a purpose needs.

    Parameters
    ----------
    neuron : type of Neuron
    purposes : iterable of str
        Of `PURPOSES`.
    held : sequence of str
        Parameters (flat names) that the fit does not move.

    Examples
    --------
    >>> from ephysfit.models.lif import LIF
    >>> [o.function for o in orders(LIF, ["simulation"])]
    ['forward']
    """
    made: dict[str, Callable[[type[Neuron]], list[Order]]] = {
        "fit": _fit,
        "simulation": _simulation,
        "search": _search,
        "gradient": _gradient,
    }
    out: list[Order] = []
    for purpose in purposes:
        if purpose not in made:
            raise SimulationError(f"purpose {purpose!r} is unknown; {near(purpose, made)}")
        out += _fit(neuron, held) if purpose == "fit" else made[purpose](neuron)
    return out


def start(*neurons: type[Neuron], purposes: Iterable[str] = ("fit",), held: Sequence[str] = ()) -> Build:
    """Compile in the background what is not on disk; returns at once.

    Parameters
    ----------
    *neurons : type of Neuron
    purposes : iterable of str
        Of `PURPOSES`.
    held : sequence of str
        Parameters (flat names) that the fit does not move.
    """
    asked = tuple(purposes)
    return build(o for n in neurons for o in orders(n, asked, held))


def start_noisy_runs(neuron: type[Neuron]) -> Build:
    """Compile in the background what noisy runs need, for a neuron that is never fitted by its likelihood."""
    return build([_forward(neuron, "drawn")])


def start_replay(neuron: type[Neuron]) -> Build:
    """Compile in the background what a replay of recorded spikes needs when it saves all states and the margin."""
    return build([_forward(neuron, "forced", rows=1, save=(*range(len(plan(neuron).states)), -1))])


def warm_up(
    *neurons: type[Neuron],
    purposes: Iterable[str] = tuple(PURPOSES),
    progress: Callable[[int, int], Any] = lambda done, of: None,
) -> float:
    """Compile all kernels that the first fit, simulation and gradient of these neurons need; return the time taken, s.

    Parameters
    ----------
    *neurons : type of Neuron
    purposes : iterable of str
        Of `PURPOSES`.
    progress : callable
        Called with the numbers of kernels that are ready and that are needed.

    Examples
    --------
    >>> from ephysfit.models.lif import LIF
    >>> first = warm_up(LIF, purposes=["simulation"])
    >>> warm_up(LIF, purposes=["simulation"]) < 1.0
    True
    """
    began = time.perf_counter()
    asked = tuple(purposes)
    under_way = start(*neurons, purposes=asked)
    for neuron in neurons if "fit" in asked else ():
        _compile_coefficients(neuron)
    while not under_way.wait(0.2):
        progress(under_way.done, len(under_way.orders))
    progress(under_way.done, len(under_way.orders))
    return time.perf_counter() - began


def _compile_coefficients(neuron: type[Neuron]) -> None:
    """Compute coefficients and slopes once: the exponentials of matrices are compiled for all neurons together."""
    free, cell = FreeParameters.of(neuron, smooth_only=True), neuron.start()
    step, z = NumericCoefficients(free, cell, 0.1), free.to_vector(cell)
    step.values(z)
    step.slopes(z)


def _forward(neuron: type[Neuron], spikes: str, element: str = "float64", rows: int = 1000, **options: Any) -> Order:
    lanes = lanes_for(element, rows)
    return order(neuron, "forward", Variant(element=element, lanes=lanes, shared=True, spikes=spikes, **options))


def _fit(neuron: type[Neuron], held: Sequence[str] = ()) -> list[Order]:
    if not neuron.stochastic():
        return [_forward(neuron, "own")]
    early = FreeParameters.of(neuron, [n for n, p in neuron.parameters.items() if p.early], smooth_only=True).names
    every = FreeParameters.of(neuron, smooth_only=True).names
    moved = [tuple(n for n in names if n not in held) for names in ([n for n in early if n in every], every)]
    groups = [g for g in dict.fromkeys(moved) if g]
    return [*replay.orders(neuron, groups), _forward(neuron, "drawn")]


def _simulation(neuron: type[Neuron]) -> list[Order]:
    return [_forward(neuron, "own", rows=1)]


def _search(neuron: type[Neuron]) -> list[Order]:
    return [_forward(neuron, "drawn", np.dtype(np.float32).name)] if neuron.stochastic() else []


def _gradient(neuron: type[Neuron]) -> list[Order]:
    element = np.dtype(np.float32).name
    variant = Variant(element=element, lanes=lanes_for(element, 1000), shared=True, trace=True)
    return [
        _forward(neuron, "own", element, trace=True, keep=True),
        order(neuron, "reverse", Variant(**{**vars(variant), "source": "trace"})),
    ]
