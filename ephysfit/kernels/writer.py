"""Text of a kernel of a neuron, from the pieces of its step: the templates filled for one variant."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ephysfit.kernels.forward_writer import write_forward, write_tangent
from ephysfit.kernels.likelihood_writer import write_information, write_likelihood
from ephysfit.kernels.reverse_writer import write_reverse
from ephysfit.kernels.segment_information import write_segmented_information
from ephysfit.kernels.segment_writer import write_segmented
from ephysfit.kernels.slot_writer import SlotWriter
from ephysfit.kernels.step_algebra import pieces

if TYPE_CHECKING:
    from ephysfit.kernels.variant import Variant
    from ephysfit.neuron.declare import Neuron

_WRITERS: dict[str, Callable[[SlotWriter], str]] = {
    "forward": write_forward,
    "reverse": write_reverse,
    "tangent": write_tangent,
    "likelihood": lambda w: write_segmented(w) if _is_segmented(w) else write_likelihood(w),
    "information": lambda w: write_segmented_information(w) if _is_segmented(w) else write_information(w),
}


def _is_segmented(w: SlotWriter) -> bool:
    """Whether a likelihood is of spikes alone and of one cell, so that vectors may be of steps."""
    return w.v.lanes == 1 and not w.v.voltage


def write_kernel(neuron: type[Neuron], kernel: str, variant: Variant) -> str:
    """The body of a kernel and the constants before it (`signature.KERNELS` names the kernels)."""
    p = pieces(neuron)
    sizes = f"INPUTS, STATES, COEFS = {p.inputs}, {len(p.states)}, {p.coefs}"
    return sizes + "\n" + _WRITERS[kernel](SlotWriter(p, variant)) + "\n"
