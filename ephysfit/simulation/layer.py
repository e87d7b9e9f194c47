"""Any neuron as a torch layer: populations of fitted cells, and the papers' network blocks, from one declaration."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ephysfit.deprecation import deprecated
from ephysfit.errors import SimulationError, near
from ephysfit.neuron.affine import tensors
from ephysfit.neuron.declare import Neuron, cellwise, flatten, unflatten
from ephysfit.neuron.free_parameters import FreeParameters
from ephysfit.neuron.plan import plan
from ephysfit.neuron.step_kinds import refractory_steps
from ephysfit.simulation.engines.affine_blocks import Start
from ephysfit.simulation.layer_engines import refuse_engine, refuse_returns, run_steps
from ephysfit.simulation.surrogate import Surrogate

#: what spikes of one refractory period and a step (batch, cell, time) send to the next one, pA
Lateral = nn.Module | Tensor | bool
#: a function of named parameters and a step `dt` (ms) that makes cells, as those of `ephysfit.models.published`
Make = Callable[..., Neuron]


class NeuronLayer(nn.Module):
    """Cells side by side: currents in, spikes out, parameters learnable.

    Made by `layer`. `cells` reads the values as they stand. Everything runs in float64 (the kernels in `dtype`),
    whatever the precision of input and output; parameters cast to half precision are kept in float32.
    """

    recurrent: nn.Module | None

    def __init__(
        self,
        base: Neuron,
        dt: float,
        surrogate: Surrogate,
        *,
        detach: bool = False,
        engine: str = "compiled",
        recurrent: Lateral = False,
        returns: tuple[str, ...] = ("spikes",),
        dtype: torch.dtype = torch.float64,
    ) -> None:
        super().__init__()
        if dtype not in (torch.float32, torch.float64):
            raise SimulationError(f"dtype = {dtype!r}: kernels run in torch.float32 or torch.float64")
        refuse_engine(type(base), engine, detach, surrogate)
        refuse_returns(type(base), returns)
        self.dt, self.surrogate, self.detach, self.engine = float(dt), surrogate, detach, engine
        self.returns, self.dtype = returns, dtype
        self.neuron_class, self.n = type(base), cellwise(base)
        self.leap = int(refractory_steps(base, dt).min()) + 1
        self.recurrent = _lateral(recurrent, self.n)

    def cells(self) -> Neuron:
        """The cells as they stand, parameters over the axis `cell`, with gradients."""
        raise NotImplementedError

    def learnt(self) -> tuple[str, ...]:
        """Names of what learns in the cells."""
        raise NotImplementedError

    def forward(self, current: Tensor, start: Start | None = None) -> Any:
        """Run the cells.

        Parameters
        ----------
        current : Tensor, (..., cell, time) or (..., cell, time, input)
            pA; any batch axes, none as well; an axis `cell` of length 1 is the same for all.
        start : Start, optional
            Where to begin: the ``"end"`` of the run before. Rest unless given.

        Returns
        -------
        Tensor, or a tuple in the order of `returns`
            ``"spikes"`` of 0 and 1, ``"margin"`` (mV) and states, each (..., cell, time); ``"end"``, a `Start`.

        Raises
        ------
        SimulationError
            If the axes do not fit the layer, the current is not finite, `start` is of another run's size, or a
            transform of torch.func is at work.
        """
        by_cell = self._arrange(current)
        self._refuse_start(start, by_cell.shape[1])
        batch, steps = current.shape[: -3 if len(self.neuron_class.inputs) > 1 else -2], by_cell.shape[2]
        if by_cell.shape[1] == 0 or steps == 0:
            found = self._nothing(by_cell, start)
        elif self.recurrent is None:
            found = self._run(self.cells(), by_cell, start)
        else:
            found = self._run_recurrent(by_cell, start)
        made = tuple(v if name == "end" else self._shape(v, batch, current) for name, v in found.items())
        return made[0] if self.returns == ("spikes",) else made

    def _arrange(self, current: Tensor) -> Tensor:
        """The current as (cell, trial, time, input)."""
        if not isinstance(current, Tensor) or current.is_complex():
            given = current.dtype if isinstance(current, Tensor) else type(current).__name__
            raise SimulationError(
                f"current is {given}; a layer takes a tensor of real numbers: torch.as_tensor(current)"
            )
        if _transformed(current):
            raise SimulationError(
                "layers run no transforms of torch.func (vmap, grad, jacrev): their kernels are opaque to them; use "
                "batch axes instead of vmap and torch.autograd.grad instead of grad"
            )
        inputs = len(self.neuron_class.inputs)
        full = current[..., None] if inputs == 1 else current
        if full.dim() < 3 or full.shape[-1] != inputs or full.shape[-3] not in (1, self.n):
            raise SimulationError(
                f"current of shape {tuple(current.shape)}: this layer of {self.n} {self.neuron_class.__name__} takes "
                f"(..., {self.n}, time{'' if inputs == 1 else f', {inputs}'}), with any batch axes before"
            )
        if not full.is_floating_point():
            full = full.to(torch.get_default_dtype())
        # a sum is finite where all are, and costs less than to ask each
        if not full.is_meta and not bool(torch.isfinite(full.detach().sum())):
            bad = int((~torch.isfinite(full)).sum())
            if bad:
                raise SimulationError(
                    f"current: {bad} of {full.numel()} samples are not finite; cut the sweep to where the stimulus is "
                    "known"
                )
        trials = full.shape[:-3].numel()
        rows = full.reshape(trials, *full.shape[-3:]).transpose(0, 1)
        wide = self.dtype if self.dtype == full.dtype else torch.float64
        return rows.expand(self.n, *rows.shape[1:]).to(wide)

    def _refuse_start(self, start: Start | None, trials: int) -> None:
        """Refuse a start that is not one of these cells in as many trials."""
        if start is None:
            return
        if not isinstance(start, Start):
            raise SimulationError(f"start = {start!r:.60}: give the 'end' that a run before returned")
        expected, found = (self.n, trials, len(plan(self.neuron_class).states)), tuple(start.states.shape)
        if found != expected:
            raise SimulationError(
                f"start is of (cells, trials, states) = {found}, and this run of {self.neuron_class.__name__} of "
                f"{expected}; give the end of a run of the same layer and batch"
            )

    def _shape(self, value: Tensor, batch: torch.Size, like: Tensor) -> Tensor:
        """(cell, trial, time) as the caller gave it."""
        kind = like.dtype if like.is_floating_point() else torch.get_default_dtype()
        return value.transpose(0, 1).reshape(*batch, self.n, value.shape[-1]).to(kind)

    def _run(self, cells: Neuron, current: Tensor, start: Start | None, ends: bool = False) -> dict[str, Any]:
        """One piece, by the names of `returns`."""
        traces = bool({*self.returns} - {"spikes", "end"})
        spikes, margins, states, end = run_steps(
            self.engine, cells, current, self.dt, start, surrogate=self.surrogate, detach=self.detach,
            dtype=self.dtype, traces=traces, ends=ends or "end" in self.returns,
        )  # fmt: skip
        known: dict[str, Any] = {"spikes": spikes, "margin": margins, "end": end}
        if states is not None:
            known.update(zip(plan(self.neuron_class).states, states.unbind(-1), strict=True))
        return {**{name: known[name] for name in self.returns}, **({"end": end, "spikes": spikes} if ends else {})}

    def _run_recurrent(self, current: Tensor, start: Start | None) -> dict[str, Any]:
        """Pieces of a refractory period and a step: what a piece spikes is the next one's input, so each is exact."""
        assert self.recurrent is not None
        cells, found = self.cells(), []
        sent = (
            start.recent
            if isinstance(start, LayerEnd)
            else current.new_zeros(current.shape[1], self.n, self.leap, dtype=torch.float64)
        )
        for piece in current.split(self.leap, 2):
            arriving = self.recurrent(sent)[..., : piece.shape[2]].transpose(0, 1)
            driven = torch.cat([piece[..., :1] + arriving[..., None].to(piece.dtype), piece[..., 1:]], -1)
            found.append(self._run(cells, driven, start, ends=True))
            spikes, start = found[-1]["spikes"], found[-1]["end"]
            passed_on = (spikes.detach() if self.detach else spikes).transpose(0, 1).to(torch.float64)
            sent = torch.cat([sent, passed_on], -1)[..., -self.leap :]
        assert start is not None
        parts: dict[str, Any] = {"end": LayerEnd(start.states, start.hold, sent)}
        return {n: parts[n] if n == "end" else torch.cat([f[n] for f in found], -1) for n in self.returns}

    def _nothing(self, current: Tensor, start: Start | None) -> dict[str, Any]:
        """What no step or no trial gives: empty traces, and the end is the start."""
        empty = current[..., 0] * 0
        if "end" not in self.returns:
            return dict.fromkeys(self.returns, empty)
        if start is None:
            raise SimulationError(
                "a run of no steps or no trials ends nowhere: give start=, or leave 'end' out of returns"
            )
        return {name: start if name == "end" else empty for name in self.returns}

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> NeuronLayer:
        """Casts and moves; half precision would move every spike, so numbers stay in float32 there."""

        def careful(value: Tensor) -> Tensor:
            cast = fn(value)
            return value.to(cast.device, torch.float32) if cast.dtype in (torch.float16, torch.bfloat16) else cast

        super()._apply(careful, recurse)
        return self

    def extra_repr(self) -> str:
        learns = ", ".join(self.learnt()) or "nothing"
        return f"{self.neuron_class.__name__}, n={self.n}, dt={self.dt} ms, engine={self.engine!r}, learns {learns}"


class PhysicalLayer(NeuronLayer):
    """Cells whose physical parameters learn within their bounds.

    The learnable numbers are free coordinates (cell, parameter), which map into the declared bounds, so no optimiser
    step leaves them.
    """

    free_values: nn.Parameter
    constant: Tensor

    def __init__(self, base: Neuron, free: FreeParameters, *given: Any, fitted: bool = True, **options: Any) -> None:
        super().__init__(base, *given, **options)
        self.free = free
        flat = flatten(base.parameters, tensors(base).values())
        for name, value in flat.items():
            self.register_buffer(f"fixed_{name}", value.detach().clone())
        one = [base.replace(**unflatten(base.parameters, {k: v[i] for k, v in flat.items()})) for i in range(self.n)]
        self.free_values = nn.Parameter(torch.from_numpy(np.stack([free.to_vector(cell) for cell in one])))
        shape = self.n, len(free.names)
        moved = np.stack([free.is_moved(cell) for cell in one]) if fitted else np.zeros(shape, bool)
        self.register_buffer("constant", torch.from_numpy(moved))
        self._warn_of_constants(flat)

    def cells(self) -> Neuron:
        fixed = {k.removeprefix("fixed_"): v for k, v in self.named_buffers() if k.startswith("fixed_")}
        base = self.neuron_class(**unflatten(self.neuron_class.parameters, fixed))
        values = self.free.values(self.free_values.to(torch.float64))
        learnt = {
            name: torch.where(self.constant[:, k], fixed[name].to(torch.float64), values[name])
            for k, name in enumerate(self.free.names)
        }
        return self.free.put(learnt, base)

    def learnt(self) -> tuple[str, ...]:
        return tuple(self.free.names)

    def _warn_of_constants(self, flat: dict[str, Tensor]) -> None:
        held = []
        for k, (name, p) in enumerate(zip(self.free.names, self.free.parameters, strict=True)):
            if bool(self.constant[:, k].any()):
                value = float(flat[name][self.constant[:, k]][0])
                held.append(f"{name} = {value:g} (bounds {p.low:g} to {p.high:g} {p.unit})")
        if held:
            warnings.warn(
                f"{self.neuron_class.__name__}: {'; '.join(held)}: on a bound or beyond it in "
                f"{int(self.constant.any(1).sum())} of {self.n} cells, so kept as given and not learnt there; move it "
                "inside with .replace(...), or name what to learn with learn=[...]",
                UserWarning,
                stacklevel=4,
            )

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *rest: Any) -> None:
        state_dict.setdefault(f"{prefix}constant", torch.zeros_like(self.constant))  # files from before 0.2 have none
        super()._load_from_state_dict(state_dict, prefix, *rest)


class PublishedLayer(NeuronLayer):
    """Cells that a function makes anew at every call from its own parameters, which learn as they are.

    Nothing bounds them but the function: decays of `make_block_alif` are clamped as released, log rates need no bound.
    """

    def __init__(
        self, make: Make, values: Mapping[str, Any], learn: Sequence[str] | None, dt: float, *given: Any, **options: Any
    ) -> None:
        tensors_by_name = _published_values(make, values)
        unknown = [name for name in learn or () if name not in values]
        if unknown:
            raise SimulationError(
                f"learn names {unknown[0]!r}, which is none of the parameters given; {near(unknown[0], values)}"
            )
        super().__init__(make(**tensors_by_name, dt=dt), dt, *given, **options)
        self.make = make
        self.published = nn.ParameterDict(
            {k: nn.Parameter(v, requires_grad=learn is None or k in learn) for k, v in tensors_by_name.items()}
        )

    def cells(self) -> Neuron:
        return self.make(**{k: v.to(torch.float64) for k, v in self.published.items()}, dt=self.dt)

    def learnt(self) -> tuple[str, ...]:
        return tuple(k for k, v in self.published.items() if v.requires_grad)


def _published_values(make: Make, values: Mapping[str, Any]) -> dict[str, Tensor]:
    """The parameters as tensors of their own; what the function does not take, or lacks, is named."""
    takes = {k: p for k, p in inspect.signature(make).parameters.items() if k != "dt"}
    if not any(p.kind is p.VAR_KEYWORD for p in takes.values()):
        unknown = [name for name in values if name not in takes]
        lacking = [k for k, p in takes.items() if p.default is p.empty and k not in values]
        if unknown:
            raise SimulationError(
                f"parameters hold {unknown[0]!r}, which {_name(make)} does not take; it takes {', '.join(takes)}"
            )
        if lacking:
            raise SimulationError(
                f"parameters hold no {', '.join(lacking)}, which {_name(make)} needs; give them, one value per cell"
            )
    found = {k: torch.as_tensor(v).detach().to(torch.float64).clone() for k, v in values.items()}
    sizes = {k: tuple(v.shape) for k, v in found.items() if v.dim()}
    if len(set(sizes.values())) > 1 or any(len(size) > 1 for size in sizes.values()):
        raise SimulationError(f"parameters of shapes {sizes}: give a number or one value per cell, (cell,), for each")
    return found


def _name(make: Make) -> str:
    return getattr(getattr(make, "func", make), "__name__", repr(make))


@dataclass(frozen=True, eq=False)
class LayerEnd(Start):
    """Where a recurrent layer ends: states, refractory steps left, and the spikes that are still under way.

    Attributes
    ----------
    recent : Tensor, (batch, cell, step)
        Spikes of the last refractory period and a step, which reach the cells in the next one.
    """

    recent: Tensor

    def detach(self) -> LayerEnd:
        return LayerEnd(self.states.detach(), self.hold, self.recent.detach())


class _Weights(nn.Module):
    """Current per spike from every cell to every cell, pA."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, spikes: Tensor) -> Tensor:
        return torch.einsum("ij,bjt->bit", self.weight.to(spikes.dtype), spikes)


def _lateral(given: Lateral, n: int) -> nn.Module | None:
    if isinstance(given, nn.Module):
        return given
    if isinstance(given, Tensor):
        if tuple(given.shape) != (n, n):
            raise SimulationError(
                f"recurrent weights of shape {tuple(given.shape)}: {n} cells take ({n}, {n}), from column to row, in pA"
            )
        return _Weights(given.detach().clone().to(torch.float64))
    if not isinstance(given, bool):
        raise SimulationError(f"recurrent = {given!r:.60}: give True, weights ({n}, {n}) in pA, or a module")
    return _Weights(torch.zeros(n, n, dtype=torch.float64)) if given else None


def _transformed(value: Tensor) -> bool:
    """Whether a transform of torch.func is at work; torch has no public way to ask."""
    functorch = getattr(torch._C, "_functorch", None)
    ask = getattr(functorch, "is_functorch_wrapped_tensor", None)
    return bool(ask is not None and ask(value))


def layer(
    neuron: type[Neuron] | Neuron | Make,
    n: int | None = None,
    *,
    parameters: Mapping[str, Any] | None = None,
    dt: float = 1.0,
    learn: Sequence[str] | None = None,
    spread: float = 0.0,
    seed: int = 0,
    surrogate: Surrogate | None = None,
    detach: bool = False,
    engine: str = "compiled",
    recurrent: Lateral = False,
    returns: Sequence[str] = ("spikes",),
    dtype: torch.dtype = torch.float64,
    compiled: bool | None = None,
) -> NeuronLayer:
    """A torch module of `n` cells of one neuron, with learnable physical parameters.

    Parameters
    ----------
    neuron : type[Neuron], Neuron or function
        A class (cells begin at its declared starts, just inside the bounds) or an instance: fitted cells, one or as
        many as it holds. Fitted values on a bound or beyond it are kept as they are, with a warning.
        A function that makes cells from `parameters` and `dt`, as ``models.published.make_silif``: then these
        parameters learn, in the papers' own units and without bounds of ours.
    n : int, optional
        How many cells; the number an instance holds unless given.
    parameters : mapping of str to Tensor (cell,) or float
        What a function as `neuron` makes the cells from; a single number is shared by all cells.
    dt : float
        Step, ms.
    learn : sequence of str, optional
        Parameters to learn (declared or flat names, or names of `parameters`); unless given, all that a spike train
        depends on smoothly, and all of `parameters`.
    spread : float
        Standard deviation of a random shift of the learnable numbers, on their bounded (logit) axis, so that cells
        of a class begin apart.
    seed : int
        Of that shift.
    surrogate : Surrogate, optional
        Stand-in derivative of the spike; half width 10 mV unless given, 1 with `parameters`, whose thresholds are 1.
    detach : bool
        Keep resets and recurrent spikes out of the graph, as "blocks", "pmbc" and "decoupled" must.
    engine : {"compiled", "sequential", "blocks", "pmbc", "decoupled"}
        Kernels and their adjoint (on a CPU; elsewhere the definition), the definition as a torch loop, or one of the
        papers' parallel algorithms; all give the same spikes.
    recurrent : bool, Tensor (cell, cell) or torch module
        Connections from the layer to itself, with a delay of the refractory period and one step: weights in pA per
        spike from column to row (True: zeros, to learn), or a module that turns spikes (batch, cell, time) into
        currents (pA) of the same shape, as a group convolution over neighbours does.
    returns : sequence of str
        What a call gives: "spikes", "margin" (mV), names of states, "end" (the start of the next call).
    dtype : torch.float64 or torch.float32
        Precision of the kernels.
    compiled : bool, optional
        Former name of ``engine``: True was "compiled", False "sequential".

    Raises
    ------
    SimulationError
        If a class comes without `n`, `n` does not fit the cells of an instance, a function comes without `parameters`
        or with `spread`, a number is out of range, or a name is unknown.

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
    >>> halves = layer(LIF, 3, dt=0.5, returns=("V", "end"), engine="blocks", detach=True)
    >>> potential, end = halves(torch.full((3, 100), 250.0))
    >>> potential, end = halves(torch.full((3, 100), 250.0), end)
    >>> tuple(potential.shape)
    (3, 100)
    >>> from ephysfit.models.published import draw_silif, make_silif
    >>> layer(make_silif, parameters=draw_silif(3, seed=0), dt=4.0).learnt()
    ('a', 'alpha', 'b', 'beta', 'log_dt')
    """
    if compiled is not None:
        engine = "compiled" if compiled else "sequential"
        deprecated("layer(compiled=...)", f"layer(engine={engine!r})", "0.2.0")
    if isinstance(dt, bool) or not isinstance(dt, int | float) or not 0 < dt < float("inf"):
        raise SimulationError(f"dt = {dt!r}: a step is a number of ms above 0")
    if n is not None and (isinstance(n, bool) or not isinstance(n, int) or n < 1):
        raise SimulationError(f"n = {n!r}: a layer has a whole number of cells, 1 or more")
    if not spread >= 0:
        raise SimulationError(f"spread = {spread!r}: a standard deviation is 0 or more")
    options: dict[str, Any] = {
        "detach": detach, "engine": engine, "recurrent": recurrent, "returns": tuple(returns), "dtype": dtype,
    }  # fmt: skip
    if not isinstance(neuron, type | Neuron):
        if not callable(neuron):
            raise SimulationError(
                f"neuron = {neuron!r}: a layer takes a class of the catalogue, cells, or a function that makes cells"
            )
        if parameters is None or spread:
            raise SimulationError(
                "a layer of cells that a function makes takes parameters={name: values of the cells}, and no spread: "
                "draw the values apart, as models.published.draw_silif does"
            )
        own = PublishedLayer(neuron, parameters, learn, dt, surrogate or Surrogate(1.0), **options)
        if n not in (None, own.n):
            raise SimulationError(f"the parameters are of {own.n} cells, so the layer cannot have {n}; leave n out")
        return own
    if parameters is not None:
        raise SimulationError(
            "parameters= belong to a function as neuron; set those of a neuron by .replace(name=value)"
        )
    base = _population(neuron, n)
    free = FreeParameters.of(type(base), learn, smooth_only=True)
    made = PhysicalLayer(base, free, dt, surrogate or Surrogate(), fitted=isinstance(neuron, Neuron), **options)
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
