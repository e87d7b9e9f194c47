"""Text of a kernel of a neuron, from the pieces of its step: the templates filled for one variant."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ephysfit.kernels.forward_writer import write_forward, write_tangent
from ephysfit.kernels.likelihood_writer import write_information, write_likelihood
from ephysfit.kernels.reverse_writer import write_reverse
from ephysfit.kernels.slot_writer import SlotWriter
from ephysfit.kernels.step_algebra import pieces

if TYPE_CHECKING:
    from ephysfit.kernels.variant import Variant
    from ephysfit.neuron.declare import Neuron

_WRITERS = {
    "forward": write_forward,
    "reverse": write_reverse,
    "tangent": write_tangent,
    "likelihood": write_likelihood,
    "information": write_information,
}


def write_kernel(neuron: type[Neuron], kernel: str, variant: Variant) -> str:
    """The body of a kernel and the constants before it (`signature.KERNELS` names the kernels)."""
    p = pieces(neuron)
    sizes = f"INPUTS, STATES, COEFS = {p.inputs}, {len(p.states)}, {p.coefs}"
    return sizes + "\n" + _WRITERS[kernel](SlotWriter(p, variant)) + "\n"
