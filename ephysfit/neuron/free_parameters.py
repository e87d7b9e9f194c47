"""Bounded parameters and the free vector an optimiser moves.

Each scalar parameter x in [low, high] (or its logarithm, where it counts in ratios) is a sigmoid of a free number, so
that no step leaves the bounds and no gradient dies on a clamp.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ephysfit.arrays import Array, Mask
from ephysfit.errors import NeuronError, near
from ephysfit.neuron.declare import Neuron, Parameter, declared, flat_names, flatten, unflatten
from ephysfit.neuron.functions import array_sigmoid, sigmoid
from ephysfit.torch_on_use import torch

#: how near to a bound (as a fraction of the distance between them) a value counts as on it
ON_BOUND = 2e-3
_INSIDE = 1e-4


@dataclass(frozen=True)
class FreeParameters:
    """The free coordinates of some scalar parameters of a neuron class; the others stay as they are.

    Parameters
    ----------
    neuron : type[Neuron]
    names : tuple of str
        Flat names (``R_1``, ``R_2`` for a bank) of the parameters to move.

    Examples
    --------
    >>> from ephysfit.models.lif import LIF
    >>> free = FreeParameters.of(LIF, ["C", "g"])
    >>> z = free.to_vector(LIF.start())
    >>> round(float(free.to_neuron(z, LIF.start()).C), 6)
    100.0
    """

    neuron: type[Neuron]
    names: tuple[str, ...]

    @classmethod
    def of(
        cls, neuron: type[Neuron], names: Sequence[str] | None = None, *, smooth_only: bool = False
    ) -> FreeParameters:
        """Coordinates of the named parameters (declared or flat names), or of all that are not measured."""
        by_flat = declared(neuron)
        if names is None:
            chosen = [n for n, p in by_flat.items() if not p.measured and (p.smooth or not smooth_only)]
            return cls(neuron, tuple(chosen))
        chosen = []
        for name in names:
            group = list(flat_names({name: neuron.parameters[name]})) if name in neuron.parameters else [name]
            for flat in group:
                if flat not in by_flat:
                    raise NeuronError(f"{neuron.__name__} has no free parameter {flat!r}; {near(flat, by_flat)}")
            chosen += group
        return cls(neuron, tuple(chosen))

    @cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        by_flat = declared(self.neuron)
        return tuple(by_flat[n] for n in self.names)

    @cached_property
    def ends(self) -> tuple[Array, Array]:
        """Bounds on the (log) axis, (parameter,) each."""
        ends = np.array([p.ends for p in self.parameters], dtype=np.float64).reshape(-1, 2)
        return ends[:, 0], ends[:, 1]

    @cached_property
    def _log(self) -> Mask:
        """Which axes are logarithmic."""
        return np.array([p.logarithmic for p in self.parameters], dtype=bool)

    @cached_property
    def widths(self) -> Array:
        """Scale of the prior of each parameter on its (log) axis."""
        return np.array([p.prior_width for p in self.parameters], dtype=np.float64)

    def axis(self, z: Any) -> Any:
        """Parameters on their (log) axis, from free coordinates (..., parameter), an array or a tensor."""
        low, high = (_as_kind_of(z, end) for end in self.ends)
        return low + (high - low) * sigmoid(z)

    def axis_slopes(self, z: Any) -> Any:
        """Derivative of `axis` by each coordinate, (..., parameter)."""
        low, high = (_as_kind_of(z, end) for end in self.ends)
        part = sigmoid(z)
        return (high - low) * part * (1 - part)

    def place(self, neuron: Neuron) -> Array:
        """A one-cell instance on the (log) axis, (parameter,)."""
        flat = flatten(neuron.parameters, neuron.values())
        pairs = zip(self.names, self.parameters, strict=True)
        return np.array([p.to_axis(max(float(flat[n]), p.low)) for n, p in pairs], dtype=np.float64)

    def to_vector(self, neuron: Neuron) -> Array:
        """Free coordinates (parameter,) of a one-cell instance; values on a bound are moved just inside."""
        return self.inside(self.place(neuron))

    def is_moved(self, neuron: Neuron) -> Mask:
        """Which values of a one-cell instance `to_vector` moves off a bound or in from beyond it, (parameter,)."""
        low, high = self.ends
        flat = flatten(neuron.parameters, neuron.values())
        below = np.array([float(flat[n]) < p.low for n, p in zip(self.names, self.parameters, strict=True)], dtype=bool)
        part = (self.place(neuron) - low) / (high - low)
        return below | (part < _INSIDE) | (part > 1 - _INSIDE)

    def inside(self, place: Array) -> Array:
        """Free coordinates of places on the (log) axis; what is on a bound or beyond it is moved just inside."""
        low, high = self.ends
        return _logit(((place - low) / (high - low)).clip(_INSIDE, 1 - _INSIDE))

    def values(self, z: Any) -> dict[str, Any]:
        """Parameter values by flat name from free coordinates (..., parameter), an array or a tensor."""
        if not hasattr(z, "detach"):
            x, _ = self.numbers(z)
            return {n: x[..., i] for i, n in enumerate(self.names)}
        y, ratio = self.axis(z), _as_kind_of(z, self._log)
        moved = torch.where(ratio, torch.exp(torch.where(ratio, y, 0.0)), y)
        return {n: moved[..., i] for i, n in enumerate(self.names)}

    def numbers(self, z: Array) -> tuple[Array, Array]:
        """Parameter values and their derivatives by their own free coordinates, (..., parameter) each."""
        low, high = self.ends
        part = array_sigmoid(z)
        y, steepness = low + (high - low) * part, (high - low) * part * (1 - part)
        x = np.where(self._log, np.exp(np.where(self._log, y, 0.0)), y)
        return x, np.where(self._log, x, 1.0) * steepness

    def slopes(self, z: Array) -> Array:
        """Derivative of each parameter's value by its own free coordinate, (parameter,)."""
        return self.numbers(z)[1]

    def to_neuron(self, z: Any, base: Neuron) -> Neuron:
        """An instance with the moved parameters put into `base`; of a tensor, with gradients to it."""
        return self.put(self.values(z), base)

    def put(self, values: Mapping[str, Any], base: Neuron) -> Neuron:
        """`base` with the parameters of these flat names replaced."""
        flat = {**flatten(base.parameters, base.values()), **values}
        return base.replace(**unflatten(base.parameters, flat))

    def drawn(self, neuron: Neuron, spread: float, rng: Any) -> Array:
        """Free coordinates drawn about an instance, `spread` prior widths wide, kept well inside the bounds."""
        low, high = self.ends
        scatter = rng.normal(size=len(self.names)) * spread * self.widths
        return _logit(((self.place(neuron) + scatter - low) / (high - low)).clip(0.01, 0.99))

    def on_bound(self, neuron: Neuron) -> tuple[tuple[str, str], ...]:
        """Names and sides of the parameters that sit on a bound."""
        flat = flatten(neuron.parameters, neuron.values())
        out = []
        for n, p in zip(self.names, self.parameters, strict=True):
            place = p.fraction(float(flat[n]))
            if place < ON_BOUND or place > 1 - ON_BOUND:
                out.append((n, "low" if place < 0.5 else "high"))
        return tuple(out)


def as_floats(neuron: Neuron) -> Neuron:
    """The same one cell with plain floats."""
    flat = flatten(neuron.parameters, neuron.values())
    numbers = {k: float(v.detach() if hasattr(v, "detach") else v) for k, v in flat.items()}
    return neuron.replace(**unflatten(neuron.parameters, numbers))


def _logit(part: Array) -> Array:
    return np.log(part) - np.log1p(-part)


def _as_kind_of(z: Any, values: Any) -> Any:
    """Values as a tensor where the coordinates are one, on their device."""
    return torch.from_numpy(values).to(z.device) if hasattr(z, "detach") else values
