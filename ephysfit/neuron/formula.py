"""Symbolic expressions as functions of tensors, with gradients, by way of Python text that can be kept."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from ephysfit.neuron.functions import _tensor_phi1, array_phi1, array_sigmoid, array_softplus
from ephysfit.torch_on_use import torch

if TYPE_CHECKING:
    import sympy
    from torch import Tensor


def _tensor(x: Any) -> Tensor:
    """A tensor as it is; a number, as pinned parameters leave behind, in full precision."""
    return x if hasattr(x, "detach") else torch.tensor(float(x), dtype=torch.float64)


@cache
def _tensor_functions() -> Mapping[str, Callable[..., Any]]:
    """What a formula may call, for tensors."""
    return {
        "exp": torch.exp, "log": torch.log, "tanh": torch.tanh, "sqrt": torch.sqrt, "cos": torch.cos, "sin": torch.sin,
        "sigmoid": lambda x: torch.sigmoid(_tensor(x)),
        "softplus": lambda x: torch.nn.functional.softplus(_tensor(x), threshold=36.0),
        "phi1": lambda z: _tensor_phi1(_tensor(z)), "dphi1": lambda z: _tensor_dphi1(_tensor(z)),
    }  # fmt: skip


#: the same for arrays of numbers, complex ones too
_ARRAY: Mapping[str, Callable[..., Any]] = {
    "exp": np.exp, "log": np.log, "tanh": np.tanh, "sqrt": np.sqrt, "cos": np.cos, "sin": np.sin,
    "sigmoid": array_sigmoid, "softplus": array_softplus, "phi1": array_phi1,
}  # fmt: skip


def formula(arguments: list[sympy.Symbol], expressions: Any) -> str:
    """Python text of a function of the arguments that returns an expression, or a list of them."""
    # only a formula that is not on disk yet needs sympy, whose import takes half a second
    import sympy

    names = {**_ARRAY, "dphi1": None}  # what they stand for is up to who makes the text a function
    return inspect.getsource(sympy.lambdify(arguments, expressions, modules=[names, "math"], cse=True))


@cache
def of_tensors(text: str) -> Callable[..., Any]:
    """A formula as a function of tensors, with gradients."""
    return _function(text, _tensor_functions())


@cache
def of_arrays(text: str) -> Callable[..., Any]:
    """A formula as a function of arrays of numbers, real or complex."""
    return _function(text, _ARRAY)


@cache
def of_numbers(text: str) -> Callable[..., Any]:
    """A formula as a function of floats."""
    return _function(text, {})


def _function(text: str, names: Mapping[str, Callable[..., Any]]) -> Callable[..., Any]:
    space: dict[str, Any] = {**vars(math), **names}
    exec(compile(text, "<formula>", "exec"), space)
    made: Callable[..., Any] = space["_lambdifygenerated"]
    return made


def torch_function(arguments: list[sympy.Symbol], expressions: Any) -> Callable[..., Any]:
    """A sympy expression (or list) as a function of tensors, with gradients."""
    return of_tensors(formula(arguments, expressions))


def _tensor_dphi1(z: Tensor) -> Tensor:
    """Derivative of phi1; a series where the quotient loses digits."""
    small = z.abs() < 1.0
    near, far = torch.where(small, z, torch.zeros_like(z)), torch.where(small, torch.ones_like(z), z)
    series = torch.zeros_like(z)
    for k in range(18, -1, -1):
        series = series * near + (k + 1) / math.factorial(k + 2)
    return torch.where(small, series, (torch.exp(far) * (far - 1) + 1) / far**2)
