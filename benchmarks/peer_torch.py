"""LIF by a torch library, step by step, own input, dense dL/ds, float32. Run by `engines.py --peers`.

python benchmarks/peer_torch.py {snntorch,norse,spikingjelly} ROWS STEPS    # in an environment that has them
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from peer_cell import DECAY, GAIN, THRESHOLD, WIDTH, asked, current, tell, timed, weights

Run = Callable[[torch.Tensor], torch.Tensor]


class Triangle(torch.autograd.Function):
    """1 where the margin is reached, with a triangle as its derivative."""

    @staticmethod
    def forward(ctx, u):
        ctx.save_for_backward(u)
        return (u >= 0).to(u.dtype)

    @staticmethod
    def backward(ctx, grad):
        (u,) = ctx.saved_tensors
        return grad * torch.relu(1 - u.abs() / WIDTH) / WIDTH


def snntorch(rows: int) -> Run:
    """`Leaky` in a loop over time; it resets in the step after the spike."""
    import snntorch

    cell = snntorch.Leaky(beta=DECAY, threshold=THRESHOLD, reset_mechanism="zero", spike_grad=Triangle.apply)

    def run(drive: torch.Tensor) -> torch.Tensor:
        mem, out = torch.zeros(rows), []
        for x in drive:
            spike, mem = cell(x, mem)
            out.append(spike)
        return torch.stack(out)

    return run


def norse(rows: int) -> Run:
    """`lif_box_feed_forward_step`: LIF without a synapse."""
    from norse.torch.functional.lif_box import LIFBoxFeedForwardState, LIFBoxParameters, lif_box_feed_forward_step

    rate = 1 - DECAY
    p = LIFBoxParameters(
        tau_mem_inv=torch.tensor(rate), v_leak=torch.tensor(0.0), v_th=torch.tensor(THRESHOLD),
        v_reset=torch.tensor(0.0), method="super", alpha=torch.tensor(100.0),
    )  # fmt: skip

    def run(drive: torch.Tensor) -> torch.Tensor:
        state, out = LIFBoxFeedForwardState(v=torch.zeros(rows)), []
        for x in drive / rate:
            spike, state = lif_box_feed_forward_step(x, state, p, dt=1.0)
            out.append(spike)
        return torch.stack(out)

    return run


def spikingjelly(rows: int) -> Run:
    """`LIFNode` over many steps."""
    from spikingjelly.activation_based import functional, neuron

    cell = neuron.LIFNode(
        tau=1 / (1 - DECAY), decay_input=False, v_threshold=THRESHOLD, v_reset=0.0, step_mode="m",
        surrogate_function=Triangle.apply,
    )  # fmt: skip

    def run(drive: torch.Tensor) -> torch.Tensor:
        functional.reset_net(cell)
        return cell(drive)

    return run


def main(peer: str, rows: int, steps: int) -> None:
    """Print spikes, forward and forward + gradient."""
    torch.set_num_threads(1)
    run = {"snntorch": snntorch, "norse": norse, "spikingjelly": spikingjelly}[peer](rows)
    drive = torch.from_numpy(GAIN * current(rows, steps).T).contiguous()
    weight = torch.from_numpy(weights(rows, steps).T).contiguous()

    def forward() -> torch.Tensor:
        with torch.no_grad():
            return run(drive)

    def both() -> None:
        scale = torch.ones((), requires_grad=True)
        (run(drive * scale) * weight).sum().backward()

    tell(rows, steps, int(forward().sum()), timed(forward), timed(both))


if __name__ == "__main__":
    main(*asked())
