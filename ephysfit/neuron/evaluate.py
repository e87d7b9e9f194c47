"""Symbolic expressions as functions of tensors, with gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sympy
import torch
from torch import Tensor

from ephysfit.neuron.functions import _tensor_phi1


def torch_function(arguments: list[sympy.Symbol], expressions: Any) -> Callable[..., Any]:
    """A sympy expression (or list) as a function of tensors, with gradients."""
    names = {
        "exp": torch.exp, "log": torch.log, "tanh": torch.tanh, "sqrt": torch.sqrt, "cos": torch.cos, "sin": torch.sin,
        "sigmoid": torch.sigmoid, "softplus": lambda x: torch.nn.functional.softplus(x, threshold=36.0),
        "phi1": lambda z: _tensor_phi1(torch.as_tensor(z)), "dphi1": lambda z: _tensor_dphi1(torch.as_tensor(z)),
    }  # fmt: skip
    return sympy.lambdify(arguments, expressions, modules=[names, "math"], cse=True)


def _tensor_dphi1(z: Tensor) -> Tensor:
    """Derivative of phi1; a series where the quotient loses digits."""
    small = z.abs() < 1e-2
    safe = torch.where(small, torch.ones_like(z), z)
    series = 0.5 + z / 3 + z**2 / 8 + z**3 / 30 + z**4 / 144 + z**5 / 840
    return torch.where(small, series, (torch.expm1(safe) * (safe - 1) + safe) / safe**2)
