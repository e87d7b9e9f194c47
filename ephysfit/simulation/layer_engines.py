"""Engines as a layer runs them: spikes, margins and states of some steps from a given state, and where they end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ephysfit.errors import SimulationError, near
from ephysfit.neuron.declare import Neuron
from ephysfit.neuron.plan import plan
from ephysfit.neuron.step_kinds import refuse_unless_affine
from ephysfit.simulation import adjoint
from ephysfit.simulation.engines.affine_blocks import Start, compute_run_end, refuse_in_graph
from ephysfit.simulation.engines.blocks import blocks
from ephysfit.simulation.engines.decoupled import decoupled
from ephysfit.simulation.engines.pmbc import pmbc
from ephysfit.simulation.engines.sequential import sequential
from ephysfit.simulation.surrogate import Surrogate

#: engines with gradients by name; all but the compiled one are torch on any device
TORCH_ENGINES: dict[str, Callable[..., Any]] = {
    "sequential": sequential, "blocks": blocks, "pmbc": pmbc, "decoupled": decoupled,
}  # fmt: skip
LAYER_ENGINES = ("compiled", *TORCH_ENGINES)


def refuse_engine(neuron: type[Neuron], engine: str, detach: bool, surrogate: Surrogate) -> None:
    """Refuse an engine that does not exist, or that has no gradient for this neuron.

    Raises
    ------
    NotAffineError, SimulationError

    Examples
    --------
    >>> from ephysfit.models.lif import LIF
    >>> refuse_engine(LIF, "compiled", False, Surrogate())
    """
    if engine not in LAYER_ENGINES:
        raise SimulationError(f"a layer has no engine {engine!r}; {near(engine, LAYER_ENGINES)}")
    if engine in ("blocks", "pmbc", "decoupled"):
        refuse_unless_affine(neuron, engine)
        refuse_in_graph(detach, surrogate, engine)


def run_steps(
    engine: str, cells: Neuron, current: Tensor, dt: float, start: Start | None, *, surrogate: Surrogate, detach: bool,
    dtype: torch.dtype, traces: bool, ends: bool,
) -> tuple[Tensor, Tensor | None, Tensor | None, Start | None]:  # fmt: skip
    """Run some steps.

    Parameters
    ----------
    engine : str
        One of `LAYER_ENGINES`.
    cells : Neuron
    current : Tensor, (cell, trial, time, input)
        pA.
    dt : float
        ms.
    start : Start or None
        Rest where None.
    surrogate, detach, dtype
        As `adjoint.run` takes them.
    traces, ends : bool
        Whether margins and states, and the end, are wanted.

    Returns
    -------
    spikes : Tensor, (cell, trial, time)
    margins : Tensor, (cell, trial, time), or None
    states : Tensor, (cell, trial, time, state), or None
    end : Start or None

    Notes
    -----
    The kernels' adjoint is the gradient by spikes and by the state at the end. Margins and states at every step come
    from the definition, and so does what is not on the CPU.
    """
    if engine == "compiled" and not traces and current.device.type == "cpu":
        how: dict[str, Any] = {"surrogate": surrogate, "detach": detach, "dtype": dtype}
        if not ends and start is None:
            return adjoint.run(cells, current, dt, **how), None, None, None
        spikes, end = adjoint.run_from(cells, current, dt, start, **how)
        return spikes, None, None, end
    run = TORCH_ENGINES["sequential" if engine == "compiled" else engine]
    spikes, states, margins = run(cells, current.to(torch.float64), dt, surrogate=surrogate, detach=detach, start=start)
    return spikes, margins, states, compute_run_end(cells, dt, spikes, states, start) if ends else None


def refuse_returns(neuron: type[Neuron], returns: tuple[str, ...]) -> None:
    """Refuse a name that a layer cannot return.

    Raises
    ------
    SimulationError

    Examples
    --------
    >>> from ephysfit.models.lif import LIF
    >>> refuse_returns(LIF, ("spikes", "V", "end"))
    """
    known = ("spikes", "margin", "end", *plan(neuron).states)
    if not returns:
        raise SimulationError(f"returns=() leaves nothing to return; give names of {', '.join(known)}")
    for name in returns:
        if name not in known:
            raise SimulationError(f"a layer of {neuron.__name__} cannot return {name!r}; {near(name, known)}")
