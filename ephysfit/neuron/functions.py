"""The functions an equation may use, each right for every reading: numbers, tensors, symbols, dimensions and banks.

Arithmetic needs nothing special; `exp`, `softplus` and the like dispatch on the type of their argument. Symbols keep
`softplus`, `sigmoid` and `phi1` as functions of their own, so that printed kernels use forms that neither
overflow nor lose digits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np

from ephysfit.torch_on_use import torch


class Bank(tuple[Any, ...]):
    """Several values under one name (an axis of time constants, say); arithmetic is elementwise.

    Examples
    --------
    >>> (2 * Bank((1.0, 3.0)) + 1).sum()
    10.0
    """

    __slots__ = ()
    __array_ufunc__ = None  # numpy scalars must leave arithmetic to the bank

    def _elementwise(self, other: Any, op: Callable[[Any, Any], Any]) -> Bank:
        if isinstance(other, Bank):
            if len(other) != len(self):
                raise ValueError(f"banks of {len(self)} and {len(other)} elements do not combine; give them one length")
            return Bank(op(a, b) for a, b in zip(self, other, strict=True))
        return Bank(op(a, other) for a in self)

    def __add__(self, o: Any) -> Bank:
        return self._elementwise(o, lambda a, b: a + b)

    def __radd__(self, o: Any) -> Bank:
        return self._elementwise(o, lambda a, b: b + a)

    def __sub__(self, o: Any) -> Bank:
        return self._elementwise(o, lambda a, b: a - b)

    def __rsub__(self, o: Any) -> Bank:
        return self._elementwise(o, lambda a, b: b - a)

    def __mul__(self, o: Any) -> Bank:
        return self._elementwise(o, lambda a, b: a * b)

    def __rmul__(self, o: Any) -> Bank:
        return self._elementwise(o, lambda a, b: b * a)

    def __truediv__(self, o: Any) -> Bank:
        return self._elementwise(o, lambda a, b: a / b)

    def __rtruediv__(self, o: Any) -> Bank:
        return self._elementwise(o, lambda a, b: b / a)

    def __neg__(self) -> Bank:
        return Bank(-a for a in self)

    def map(self, function: Callable[[Any], Any]) -> Bank:
        """A bank of the function's value for each element."""
        return Bank(function(a) for a in self)

    def sum(self) -> Any:
        """The sum of the elements."""
        total = self[0]
        for value in self[1:]:
            total = total + value
        return total


def elements(value: Any) -> Iterator[Any]:
    """The scalars of a value: itself, or the elements of a bank."""
    if isinstance(value, Bank):
        yield from value
    else:
        yield value


def _kind(x: Any) -> str:
    if isinstance(x, Bank):
        return "bank"
    if hasattr(x, "powers"):
        return "dimension"
    if hasattr(x, "free_symbols"):
        return "symbol"
    if hasattr(x, "detach"):
        return "tensor"
    return "number"


@cache
def symbolic(name: str) -> Any:
    """The sympy function of that name (ours are classes with a derivative and a LaTeX form)."""
    # equations of numbers need neither sympy nor torch, whose imports take a second
    import sympy

    from ephysfit.neuron import symbolic_functions

    return getattr(symbolic_functions, name, None) or getattr(sympy, name)


def _tensor_function(name: str) -> Callable[[Any], Any]:
    if name == "softplus":
        return lambda x: torch.nn.functional.softplus(x, threshold=36.0)
    if name == "phi1":
        return _tensor_phi1
    return {"sigmoid": torch.sigmoid, "exp": torch.exp, "log": torch.log, "tanh": torch.tanh, "sqrt": torch.sqrt,
            "cos": torch.cos, "sin": torch.sin}[name]  # fmt: skip


def _tensor_phi1(z: Any) -> Any:
    small = z.abs() < 1e-5
    safe = torch.where(small, torch.ones_like(z), z)
    return torch.where(small, 1 + z / 2 + z * z / 6, torch.expm1(safe) / safe)


def _number_softplus(x: Any) -> Any:
    return np.logaddexp(0.0, x)


def _number_sigmoid(x: Any) -> Any:
    small = np.exp(-np.abs(x))  # never overflows, and far below zero the value itself
    return np.where(np.asarray(x) >= 0, 1.0, small) / (1.0 + small)


def _number_phi1(z: Any) -> Any:
    if np.ndim(z):
        return array_phi1(z)
    return 1 + z / 2 + z * z / 6 if abs(z) < 1e-5 else math.expm1(z) / z


def array_sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x)) of real numbers, or of complex ones whose imaginary part is a slope."""
    value = _number_sigmoid(np.real(x))
    return value + 1j * np.imag(x) * value * (1 - value) if np.iscomplexobj(x) else value


def array_softplus(x: Any) -> Any:
    """ln(1 + exp(x)) of real numbers, or of complex ones whose imaginary part is a slope."""
    value = _number_softplus(np.real(x))
    return value + 1j * np.imag(x) * _number_sigmoid(np.real(x)) if np.iscomplexobj(x) else value


def array_phi1(z: Any) -> Any:
    """(exp(z) - 1) / z of real numbers, or of complex ones whose imaginary part is a slope."""
    z = np.asarray(z)
    small = np.abs(z) < 1e-5
    safe = np.where(small, 1.0, z)
    return np.where(small, 1 + z / 2 + z * z / 6, np.expm1(safe) / safe)


_NUMBER: dict[str, Callable[[Any], Any]] = {
    "exp": np.exp, "log": np.log, "tanh": np.tanh, "sqrt": np.sqrt, "cos": np.cos, "sin": np.sin,
    "softplus": array_softplus, "sigmoid": array_sigmoid, "phi1": _number_phi1,
}  # fmt: skip


def _apply(name: str, x: Any) -> Any:
    kind = _kind(x)
    if kind == "bank":
        return x.map(lambda a: _apply(name, a))
    if kind == "dimension":
        return x.through(name)
    if kind == "symbol":
        return symbolic(name)(x)
    if kind == "tensor":
        return _tensor_function(name)(x)
    return _NUMBER[name](x)


def exp(x: Any) -> Any:
    """e to the power of x; x without unit."""
    return _apply("exp", x)


def log(x: Any) -> Any:
    """Natural logarithm of x; x without unit."""
    return _apply("log", x)


def sqrt(x: Any) -> Any:
    """Square root of x."""
    return _apply("sqrt", x)


def tanh(x: Any) -> Any:
    """Hyperbolic tangent of x; x without unit."""
    return _apply("tanh", x)


def cos(x: Any) -> Any:
    """Cosine of x; x without unit."""
    return _apply("cos", x)


def sin(x: Any) -> Any:
    """Sine of x; x without unit."""
    return _apply("sin", x)


def softplus(x: Any) -> Any:
    """log(1 + exp(x)), without overflow; x without unit."""
    return _apply("softplus", x)


def sigmoid(x: Any) -> Any:
    """1/(1 + exp(-x)), without overflow; x without unit."""
    return _apply("sigmoid", x)


def phi1(x: Any) -> Any:
    """(exp(x) - 1)/x, exact also near 0; x without unit."""
    return _apply("phi1", x)
