"""The numbers of a discrete step of one cell and their slopes, in numpy: a fit asks for them some hundred times.

`coefficients` gives the same by torch, with graphs, for many cells at once. Of one cell, torch's calls take ten times
what the arithmetic takes. Slopes are by complex steps (Squire and Trapp 1998, SIAM Review 40, 110): a parameter is
moved by an imaginary amount too small to change any real digit, and what is imaginary in a coefficient is its slope,
without a difference in which digits could be lost. Formulas must be analytic, as the functions of the language are.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from scipy.linalg import expm

from ephysfit.arrays import Array, Mask
from ephysfit.neuron.declare import Neuron, flatten
from ephysfit.neuron.formula import of_arrays
from ephysfit.neuron.free_parameters import FreeParameters
from ephysfit.neuron.plan import Plan, plan

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
    >>> z = free.to_vector(cell).numpy()
    >>> names = list(plan(LIF).coefs)
    >>> float(step.values(z)[names.index("free_0_0")])   # exp(-dt g / C) - 1
    -0.00498752080731768
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
        return _evaluate(self.plan, p[:, None], self.dt, self._shared)[:, 0]

    def slopes(self, z: Array) -> Array:
        """Derivatives of the coefficients by the free coordinates, (coefficient, parameter)."""
        x, steepness = self.free.numbers(z)
        p = np.repeat(self._base[:, None], len(x), axis=1).astype(complex)
        p[self._at] = x[:, None]
        p[self._at, np.arange(len(x))] += 1j * STEP
        return _evaluate(self.plan, p, self.dt, self._shared).imag / STEP * steepness

    @cached_property
    def _shared(self) -> Mask:
        """Of each free parameter, whether it leaves the matrices of an affine neuron as they are."""
        return np.array([n not in self.plan.moving for n in self.free.names], dtype=bool)


def _evaluate(p: Plan, values: Array, dt: float, shared: Mask) -> Array:
    """Coefficients (coefficient, row) of rows of parameters (parameter, row), real or complex.

    Rows that move a parameter of the matrices take an exponential each, and all others one together: `shared`.
    """
    rows = values.shape[1]
    out = np.empty((len(p.coefs), rows), dtype=values.dtype)
    if p.entries:
        alone = np.flatnonzero(~shared) if rows > 1 else np.zeros(1, dtype=int)
        found = np.zeros((rows, len(p.entries)), dtype=values.dtype)
        if len(alone) < rows:
            first = np.flatnonzero(shared)[:1]
            found[:] = _entries(p, values[:, first].real, dt)
        if len(alone):
            found[alone] = _entries(p, values[:, alone], dt)
        out[: len(p.entries)] = found.T
    if p.gathered:
        for k, value in enumerate(of_arrays(p.values)(*values, dt)):
            out[len(p.entries) + k] = value
    return out


def _entries(p: Plan, values: Array, dt: float) -> Array:
    """Entries of the exact step of an affine neuron, (row, entry); those on the diagonal are given less one."""
    rows, d = values.shape[1], len(p.states)
    width = d + 1 + len(p.inputs)
    square = np.zeros((rows, width, width), dtype=values.dtype)
    for (what, i, j), value in zip(p.places, of_arrays(p.matrices)(*values), strict=True):
        if what == "flow":
            square[:, i, j] = value
    square *= dt
    stepped = {"free": _exponentiate(square)}
    if p.held:
        square[:, [n in p.held for n in p.states] + [False] * (width - d)] = 0
        stepped["held"] = _exponentiate(square)
    else:
        stepped["held"] = stepped["free"]
    out = np.empty((rows, len(p.entries)), dtype=values.dtype)
    for k, (_, operator, i, j) in enumerate(p.entries):
        whole, column = stepped["held" if operator.startswith("held") else "free"], j
        if operator.endswith("drive"):
            column = d + 1 + j
        out[:, k] = whole[:, i, column]
        if i == column:
            out[:, k] -= 1.0
    return out


def _exponentiate(a: Array) -> Array:
    """The matrix exponential of each matrix, (row, D, D), scaled and squared here.

    scipy does both by itself, but of a triangular matrix it divides differences of the exponentials by differences of
    the rates: where two rates meet nothing of an imaginary step is left, and few digits of the value.
    """
    size = float(np.abs(a).sum(-1).max(initial=0.0))
    squarings = max(int(np.ceil(np.log2(size))), 0) if size > 0 else 0
    found: Array = expm(a / 2.0**squarings)
    for _ in range(squarings):
        found = found @ found
    return found


def as_numbers(z: Any) -> Array:
    """Free coordinates as an array, from a tensor or an array."""
    return np.asarray(z.detach() if hasattr(z, "detach") else z, dtype=np.float64)
