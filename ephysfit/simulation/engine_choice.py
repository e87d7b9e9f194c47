"""Which engine a run takes unless one is named, from measured crossovers (docs/engines.md, "Which engine")."""

from __future__ import annotations

import sys

import numpy as np

from ephysfit.neuron.declare import Neuron
from ephysfit.neuron.plan import plan

#: blocks that `blocks` runs in half the time a process takes to load the first compiled kernel (0.2 ms against 0.6 s),
#: where torch, whose loading takes longer still, is there already
FEW = 1_500
#: this module is loaded with the first kernel
_KERNELS = "ephysfit.kernels.simd"


class _Lent:
    """Blocks run without kernels in this process; once they cost what loading costs, it is time to load."""

    blocks = 0


def choose(
    neuron: type[Neuron], *, steps: int, leap: int = 1, rows: int = 1, device: str = "cpu", plain: bool = True
) -> str:
    """The engine for a run.

    Parameters
    ----------
    neuron : type of Neuron
    steps, rows : int
        Size of the run.
    leap : int
        Steps that `blocks` takes at once: the refractory period and one.
    device : str
        Device that holds the current: "cpu", or torch's name for it.
    plain : bool
        Whether only the neuron's own spikes and states are wanted: no noise, no sharpening, no margins.

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
    blocks = rows * -(-steps // leap)
    if plain and "torch" in sys.modules and not _loaded() and blocks <= FEW - _Lent.blocks and plan(neuron).affine:
        _Lent.blocks += blocks
        return "blocks"
    return "compiled"


def _off_the_cpu(neuron: type[Neuron], plain: bool) -> str:
    if not (plain and plan(neuron).affine):
        return "sequential"
    return "decoupled" if plan(neuron).resets == () else "blocks"


def _loaded() -> bool:
    """Whether this process has loaded kernels: then they win at any size (0.5 ms per call, 1-5 ns per step)."""
    return _KERNELS in sys.modules


def device_of(stimulus: object) -> str:
    """Device that holds a stimulus: that of tensors, else the CPU."""
    first = stimulus[0] if isinstance(stimulus, (list, tuple)) and len(stimulus) else stimulus
    return str(getattr(first, "device", "cpu")) if not isinstance(first, np.ndarray) else "cpu"
