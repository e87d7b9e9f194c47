"""Any neuron as a torch layer: populations of fitted cells, and the papers' network blocks, from one declaration."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from ephysfit.errors import SimulationError
from ephysfit.neuron.affine import tensors
from ephysfit.neuron.declare import Neuron, cellwise, flatten, unflatten
from ephysfit.neuron.free_parameters import FreeParameters
from ephysfit.simulation import adjoint
from ephysfit.simulation.engines.sequential import sequential
from ephysfit.simulation.surrogate import Surrogate


class NeuronLayer(nn.Module):
    """Cells side by side: currents in, spikes out, physical parameters learnable within their bounds.

    Made by `layer`. The learnable numbers are free coordinates (cell, parameter), which map into the declared bounds,
    so no optimiser step leaves them; `cells` reads the physical values.
    """

    free_values: nn.Parameter

    def __init__(
        self,
        base: Neuron,
        free: FreeParameters,
        dt: float,
        surrogate: Surrogate,
        *,
        detach: bool = False,
        compiled: bool = True,
    ) -> None:
        super().__init__()
        self.dt, self.surrogate, self.detach, self.compiled = float(dt), surrogate, detach, compiled
        self.neuron_class, self.free, self.n = type(base), free, cellwise(base)
        flat = flatten(base.parameters, tensors(base).values())
        for name, value in flat.items():
            self.register_buffer(f"fixed_{name}", value.detach().clone())
        one = [base.replace(**unflatten(base.parameters, {k: v[i] for k, v in flat.items()})) for i in range(self.n)]
        self.free_values = nn.Parameter(torch.stack([free.to_vector(cell) for cell in one]))

    def cells(self) -> Neuron:
        """The cells as they stand, parameters over the axis `cell`, with gradients."""
        fixed = {k.removeprefix("fixed_"): v for k, v in self.named_buffers()}
        names = self.neuron_class.parameters
        base = self.neuron_class(**unflatten(names, fixed))
        return self.free.to_neuron(self.free_values, base)

    def forward(self, current: Tensor) -> Tensor:
        """Spikes (batch, cell, time) of 0 and 1, for currents in pA (batch, cell, time) or (batch, cell, time, input).

        Raises
        ------
        SimulationError
            If the axis `cell` is neither the layer's size nor 1, or the number of inputs is wrong.
        """
        inputs = len(self.neuron_class.inputs)
        if current.dim() != (3 if inputs == 1 else 4) or current.shape[1] not in (1, self.n):
            raise SimulationError(
                f"current of shape {tuple(current.shape)}: this layer of {self.n} {self.neuron_class.__name__} takes "
                f"(batch, {self.n}, time{'' if inputs == 1 else f', {inputs}'})"
            )
        by_cell = current.transpose(0, 1).to(torch.float64)
        by_cell = by_cell.expand(self.n, *by_cell.shape[1:]).contiguous()
        if self.compiled:
            spikes = adjoint.run(self.cells(), by_cell, self.dt, surrogate=self.surrogate, detach=self.detach)
        else:
            spikes = sequential(self.cells(), by_cell, self.dt, surrogate=self.surrogate, detach=self.detach)[0]
        return spikes.transpose(0, 1).to(current.dtype)

    def extra_repr(self) -> str:
        return f"{self.neuron_class.__name__}, n={self.n}, dt={self.dt} ms, learns {', '.join(self.free.names)}"


def layer(
    neuron: type[Neuron] | Neuron,
    n: int | None = None,
    *,
    dt: float = 1.0,
    learn: Sequence[str] | None = None,
    spread: float = 0.0,
    seed: int = 0,
    surrogate: Surrogate | None = None,
    detach: bool = False,
    compiled: bool = True,
) -> NeuronLayer:
    """A torch module of `n` cells of one neuron, with learnable physical parameters.

    Parameters
    ----------
    neuron : type[Neuron] or Neuron
        A class (cells begin at its declared starts) or an instance: fitted cells, one or as many as it holds.
    n : int, optional
        How many cells; the number an instance holds unless given.
    dt : float
        Step, ms.
    learn : sequence of str, optional
        Parameters to learn (declared or flat names); all that a spike train depends on smoothly unless given.
    spread : float
        Standard deviation of a random shift of the learnable numbers, on their bounded (logit) axis, so that cells
        of a class begin apart.
    seed : int
        Of that shift.
    surrogate : Surrogate, optional
        Stand-in derivative of the spike.
    detach : bool
        Keep the reset out of the graph.
    compiled : bool
        Run the compiled engine and its adjoint (CPU) or the plain torch loop.

    Raises
    ------
    SimulationError
        If a class comes without `n`, or `n` does not fit the cells of an instance.

    Examples
    --------
    >>> from ephysfit.models.lif import LIF
    >>> cells = layer(LIF, 3, dt=0.5, learn=["g", "theta"], spread=0.5)
    >>> spikes = cells(torch.full((2, 3, 200), 250.0))
    >>> tuple(spikes.shape), bool(spikes.sum() > 0)
    ((2, 3, 200), True)
    >>> spikes.sum().backward()
    >>> tuple(cells.free_values.grad.shape)
    (3, 2)
    """
    base = _population(neuron, n)
    free = FreeParameters.of(type(base), learn, smooth_only=True)
    made = NeuronLayer(base, free, dt, surrogate or Surrogate(), detach=detach, compiled=compiled)
    if spread:
        draw = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            made.free_values.add_(spread * torch.randn(made.free_values.shape, generator=draw, dtype=torch.float64))
    return made


def _population(neuron: type[Neuron] | Neuron, n: int | None) -> Neuron:
    if isinstance(neuron, type):
        if n is None:
            raise SimulationError(
                f"layer({neuron.__name__}) needs the number of cells, as in layer({neuron.__name__}, 8)"
            )
        return _repeated(neuron.start(), n)
    held = cellwise(neuron)
    if n is None or n == held:
        return neuron
    if held > 1:
        raise SimulationError(f"the instance holds {held} cells, so the layer cannot have {n}; leave n out")
    return _repeated(neuron, n)


def _repeated(cell: Neuron, n: int) -> Neuron:
    one = tensors(cell)
    repeat: Callable[[Tensor], Tensor] = lambda v: v.detach().expand(n).clone()  # noqa: E731
    return cell.replace(**{k: v.map(repeat) if hasattr(v, "map") else repeat(v) for k, v in one.values().items()})
