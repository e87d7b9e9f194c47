"""Which engine a run takes unless one is named, from measured crossovers (docs/engines.md, "Which engine")."""

from __future__ import annotations

import sys

import numpy as np

from ephysfit.neuron.declare import Neuron
from ephysfit.neuron.plan import plan

#: steps that `blocks` runs in the time a process takes to load the first compiled kernel (9 us against 0.6 s, halved)
FEW = 30_000
#: loaded with the first kernel
_KERNELS = "ephysfit.simulation.vectors"


class _Lent:
    """Steps run without kernels in this process; once they cost what loading costs, it is time to load."""

    steps = 0


def choose(neuron: type[Neuron], *, device: str = "cpu", rows: int = 1, steps: int, plain: bool = True) -> str:
    """The engine for a run.

    Parameters
    ----------
    neuron : type of Neuron
    device : str
        Where the current lies: "cpu", or what torch calls it.
    rows, steps : int
        Size of the run.
    plain : bool
        Whether a run of the neuron's own spikes and states is all that is asked: no noise, no sharpening, no margins.

    Returns
    -------
    str
        One of `simulate.ENGINES`.

    Examples
    --------
    >>> from ephysfit.models.lif import LIF
    >>> choose(LIF, steps=1_000_000), choose(LIF, device="cuda", steps=1_000_000)
    ('compiled', 'blocks')
    """
    if device != "cpu":
        return _off_the_cpu(neuron, plain)
    if plain and not _loaded() and rows * steps <= FEW - _Lent.steps and plan(neuron).affine:
        _Lent.steps += rows * steps
        return "blocks"
    return "compiled"


def _off_the_cpu(neuron: type[Neuron], plain: bool) -> str:
    if not (plain and plan(neuron).affine):
        return "sequential"
    return "decoupled" if plan(neuron).resets == () else "blocks"


def _loaded() -> bool:
    """Whether this process has kernels at hand: then they win at any size (0.5 ms a call, 1-5 ns a step)."""
    return _KERNELS in sys.modules


def device_of(stimulus: object) -> str:
    """Where a stimulus lies: of tensors their device, else the CPU."""
    first = stimulus[0] if isinstance(stimulus, (list, tuple)) and len(stimulus) else stimulus
    return str(getattr(first, "device", "cpu")) if not isinstance(first, np.ndarray) else "cpu"
