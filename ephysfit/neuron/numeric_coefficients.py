"""The numbers of a discrete step in numpy: of a cell with their slopes, which a fit asks for some hundred times, and of
many cells.

`coefficients` gives the same by torch, with graphs. Of one cell, torch's calls take ten times what the arithmetic
takes, and of many its exponential of full matrices takes twenty times that of `matrix_exponential`. Slopes are by
complex steps (Squire and Trapp 1998, SIAM Review 40, 110): a parameter is moved by an imaginary amount too small to
change any real digit, and what is imaginary in a coefficient is its slope, without a difference in which digits could
be lost. Formulas must be analytic, as the functions of the language are.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np

from ephysfit.arrays import Array, Float64, Integers, Mask
from ephysfit.neuron.declare import Neuron, cellwise, flatten
from ephysfit.neuron.formula import of_arrays
from ephysfit.neuron.free_parameters import FreeParameters
from ephysfit.neuron.matrix_exponential import Pattern
from ephysfit.neuron.plan import plan

#: the imaginary step
STEP = 1e-30


class NumericCoefficients:
    """Coefficients of one cell as functions of its free coordinates.

    Parameters
    ----------
    free : FreeParameters
        What is varied.
    base : Neuron
        Values of all other parameters, of one cell and as numbers.
    dt : float
        Step, ms.

    Examples
    --------
    >>> from ephysfit.models import LIF
    >>> cell = LIF(C=100.0, g=5.0, E_L=-70.0, theta=-50.0, V_reset=-65.0, t_ref=2.0, delta=2.0)
    >>> free = FreeParameters.of(LIF, ("theta",))
    >>> step = NumericCoefficients(free, cell, 0.1)
    >>> z = free.to_vector(cell)
    >>> names = list(plan(LIF).coefs)
    >>> float(step.values(z)[names.index("free_0_0")])   # exp(-dt g / C) - 1
    -0.004987520807317687
    """

    def __init__(self, free: FreeParameters, base: Neuron, dt: float) -> None:
        self.free, self.dt, self.plan = free, dt, plan(free.neuron)
        flat = flatten(base.parameters, base.values())
        self._base = np.array([float(flat[n]) for n in self.plan.parameters])
        self._at = np.array([self.plan.parameters.index(n) for n in free.names], dtype=int)

    def values(self, z: Array) -> Array:
        """Coefficients at free coordinates (parameter,), (coefficient,)."""
        x, _ = self.free.numbers(z)
        p = self._base.copy()
        p[self._at] = x
        return _evaluate(self.free.neuron, p[:, None], self.dt, np.zeros(1, dtype=bool))[:, 0]

    def slopes(self, z: Array) -> Array:
        """Derivatives of the coefficients by the free coordinates, (coefficient, parameter)."""
        x, steepness = self.free.numbers(z)
        p = np.repeat(self._base[:, None], len(x), axis=1).astype(complex)
        p[self._at] = x[:, None]
        p[self._at, np.arange(len(x))] += 1j * STEP
        return _evaluate(self.free.neuron, p, self.dt, self._shared).imag / STEP * steepness

    @cached_property
    def _shared(self) -> Mask:
        """Of each free parameter, whether it leaves the matrices of an affine neuron as they are."""
        return np.array([n not in self.plan.moving for n in self.free.names], dtype=bool)


def compute_coefficients(neuron: Neuron, dt: float) -> Float64[Array, "cell coefficient"]:
    """Coefficients of one or many cells, for what needs no gradient.

    Parameters
    ----------
    neuron : Neuron
        Parameters are numbers or tensors over the axis `cell`.
    dt : float
        Step, ms.

    Examples
    --------
    >>> from ephysfit.models import LIF
    >>> cell = LIF(C=100.0, g=5.0, E_L=-70.0, theta=-50.0, V_reset=-65.0, t_ref=2.0, delta=2.0)
    >>> compute_coefficients(cell, 0.1)[0, list(plan(LIF).coefs).index("free_0_0")]   # exp(-dt g / C) - 1
    np.float64(-0.004987520807317687)
    """
    kind, cells = type(neuron), cellwise(neuron)
    flat = flatten(neuron.parameters, neuron.values())
    given = [as_numbers(flat[n]).reshape(-1) for n in plan(kind).parameters]
    values = np.stack([np.broadcast_to(v, cells) for v in given]) if given else np.empty((0, cells))
    with np.errstate(all="ignore"):  # a cell beyond all bounds is refused where it is run, not where it is read
        return _evaluate(kind, values, dt, np.zeros(cells, dtype=bool)).T


@dataclass(frozen=True, eq=False)
class _Step:
    """One exact step, free or held: the matrix, and which coefficients are entries of its exponential.

    Parameters
    ----------
    pattern : Pattern
    places : ndarray of int
        The places of the flow that are not held, as numbered in the plan.
    coefs, entries : ndarray of int
        Coefficient `coefs[k]` is entry `entries[k]` of the pattern.
    """

    pattern: Pattern
    places: Integers
    coefs: Integers
    entries: Integers


@cache
def _find_steps(neuron: type[Neuron]) -> tuple[_Step, ...]:
    """The exact steps of an affine neuron; a coefficient that none of them holds is zero."""
    p = plan(neuron)
    out = []
    for name in ("free", "held"):
        stays = [name == "held" and state in p.held for state in p.states]
        flow = sorted((i, j, k) for k, (what, i, j) in enumerate(p.places) if what == "flow" and not stays[i])
        pattern = Pattern.of(len(p.states), tuple((i, j) for i, j, _ in flow))
        read = []
        for k, (_, operator, i, j) in enumerate(p.entries):
            entry = pattern.entry(i, len(p.states) + 1 + j if operator.endswith("drive") else j)
            if operator.startswith("held") == (name == "held") and entry >= 0:
                read.append((k, entry))
        coefs, entries = np.array(read, dtype=np.int64).reshape(-1, 2).T
        out.append(_Step(pattern, np.array([k for *_, k in flow], dtype=np.int64), coefs, entries))
    return tuple(out)


def _evaluate(neuron: type[Neuron], values: Array, dt: float, shared: Mask) -> Array:
    """Coefficients (coefficient, row) of rows of parameters (parameter, row), real or complex.

    Rows that move a parameter of the matrices take an exponential each, and all others one together: `shared`.
    """
    p, rows = plan(neuron), values.shape[1]
    out = np.zeros((len(p.coefs), rows), dtype=values.dtype)
    if p.entries:
        first = np.flatnonzero(shared)[:1]
        if first.size:
            _fill_entries(neuron, values[:, first], dt, out, slice(None))
        if not shared.all():
            _fill_entries(neuron, values[:, ~shared], dt, out, ~shared)
    if p.gathered:
        for k, value in enumerate(of_arrays(p.values)(*values, dt)):
            out[len(p.entries) + k] = value
    return out


def _fill_entries(neuron: type[Neuron], values: Array, dt: float, out: Array, rows: Mask | slice) -> None:
    """Write the entries of the exact step of an affine neuron; those on the diagonal less one."""
    read = of_arrays(plan(neuron).matrices)(*values)
    for step in _find_steps(neuron):
        flow = np.empty((len(step.places), values.shape[1]), dtype=values.dtype)
        for place, k in zip(flow, step.places, strict=True):
            place[:] = read[k]
        out[step.coefs[:, None], np.arange(out.shape[1])[rows]] = step.pattern.exponentiate(flow * dt)[step.entries]


def as_numbers(z: Any) -> Array:
    """An array of what is a number, an array or a tensor."""
    return np.asarray(z.detach().cpu() if hasattr(z, "detach") else z, dtype=np.float64)
