"""The spike as a function of the margin whose derivative is a window (`surrogate`), for engines made of tensors."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ephysfit.simulation.surrogate import Surrogate


def spike(u: Tensor, surrogate: Surrogate) -> Tensor:
    """1 where the margin is reached, with the window as its derivative."""
    return _Spike.apply(u, surrogate)


class _Spike(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, u: Tensor, surrogate: Surrogate) -> Tensor:
        ctx.save_for_backward(u)
        ctx.surrogate = surrogate
        return (u >= 0).to(u.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple:  # type: ignore[override]
        (u,) = ctx.saved_tensors
        return grad * ctx.surrogate.slope(u), None
