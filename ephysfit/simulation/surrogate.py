"""Stand-in derivatives of the spike: windows over the margin, all of unit area.

A window about as wide as the drop of the margin at a spike, with the reset in the graph, gives a gradient of the right
size at every time step; narrow windows explode and a detached reset inflates the gradient by about 1/dt (measured in
docs/engines, after reference/seed_models section 8).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from ephysfit.errors import SimulationError, near
from ephysfit.torch_on_use import torch

if TYPE_CHECKING:
    from torch import Tensor

#: window shapes of unit area over z = margin / width
WINDOWS: dict[str, Callable[[Tensor], Tensor]] = {
    "triangle": lambda z: (1 - z.abs()).clamp(min=0),
    "box": lambda z: 0.5 * (z.abs() <= 1).to(z.dtype),
    "fast_sigmoid": lambda z: 0.5 / (1 + z.abs()) ** 2,
    # hazard exp(z) times the probability of having survived it while the margin rose: the density of the crossing
    "survival": lambda z: (z - z.clamp(max=80).exp()).exp(),
}


@dataclass(frozen=True)
class Surrogate:
    """A window shape and its half width.

    Parameters
    ----------
    width : float
        Half width in mV; take about the drop of the margin at a spike.
    shape : str
        One of `WINDOWS`.
    """

    width: float = 10.0
    shape: str = "triangle"

    def __post_init__(self) -> None:
        if self.shape not in WINDOWS:
            raise SimulationError(f"surrogate shape {self.shape!r} is unknown; {near(self.shape, WINDOWS)}")
        if not self.width > 0:
            raise SimulationError(f"surrogate width {self.width} mV must be positive")

    def spike(self, u: Tensor) -> Tensor:
        """1 where the margin is reached, with the window as its derivative."""
        spikes: Tensor = _make_spike_function().apply(u, self)
        return spikes

    def slope(self, u: Tensor) -> Tensor:
        """The window itself, per mV."""
        return WINDOWS[self.shape](u / self.width) / self.width


@cache
def _make_spike_function() -> Any:
    """Make the class of the spike among torch's functions, which kernels do without."""

    class Spike(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, u: Tensor, surrogate: Surrogate) -> Tensor:
            ctx.save_for_backward(u)
            ctx.surrogate = surrogate
            return (u >= 0).to(u.dtype)

        @staticmethod
        def backward(ctx: Any, grad: Tensor) -> tuple:  # type: ignore[override]
            (u,) = ctx.saved_tensors
            return grad * ctx.surrogate.slope(u), None

    return Spike
