"""The published STC layer: a plain numpy transcription of its update, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ephysfit.errors import SimulationError
from ephysfit.simulation.stc_layer import STCLayer

BATCH, STEPS, CHANNELS, SIDE, GROUPS, KERNEL = 2, 12, 4, 6, 2, 3


def grouped(weight, maps):
    """Grouped convolution with zero padding, by loops: output channel o reads its own group's channels."""
    size, edge = CHANNELS // GROUPS, KERNEL // 2
    padded, out = np.pad(maps, ((0, 0), (0, 0), (edge, edge), (edge, edge))), np.zeros_like(maps)
    for o in range(CHANNELS):
        for k in range(size):
            for i in range(KERNEL):
                for j in range(KERNEL):
                    seen = padded[:, o // size * size + k, i : i + SIDE, j : j + SIDE]
                    out[:, o] += weight[o, k, i, j] * seen
    return out


def normalised(maps, scale, shift, eps=1e-5):
    rows = maps.reshape(BATCH, GROUPS, -1)
    rows = (rows - rows.mean(-1, keepdims=True)) / np.sqrt(rows.var(-1, keepdims=True) + eps)
    return rows.reshape(maps.shape) * scale[None, :, None, None] + shift[None, :, None, None]


def printed(state, x, leak):
    h, s, out = np.zeros_like(x[:, 0]), np.zeros_like(x[:, 0]), np.zeros_like(x)
    for t in range(STEPS):
        gate = {
            n: np.tanh(normalised(grouped(state[f"{n}.0.weight"], s), state[f"{n}.1.weight"], state[f"{n}.1.bias"]))
            for n in ("conv_h", "conv_v")
        }
        keep, take = (1.0, 1.0) if leak is None else (leak, 1 - leak)
        h = keep * (1 + gate["conv_h"]) * h + take * (1 + gate["conv_v"]) * x[:, t]
        s = (h >= 1).astype(float)
        h = h - s
        out[:, t] = s
    return out


def drawn(kind):
    torch.manual_seed(0)
    layer = STCLayer(CHANNELS, groups=GROUPS, kernel=KERNEL, kind=kind, detach=False).double()
    with torch.no_grad():
        for p in layer.parameters():
            p.add_(0.3 * torch.randn_like(p))
    return layer, torch.randn(BATCH, STEPS, CHANNELS, SIDE, SIDE, dtype=torch.float64) + 0.5


@pytest.mark.parametrize("kind", ["STC-LIF", "STC-PLIF"])
def test_spikes_are_those_of_the_printed_update(kind):
    layer, x = drawn(kind)
    state = {k: v.detach().numpy() for k, v in layer.state_dict().items()}
    leak = 1 / (1 + np.exp(-state["t_m"][0])) if kind == "STC-PLIF" else None
    want = printed(state, x.numpy(), leak)
    assert want.sum() > 100
    assert int((layer(x).detach().numpy() != want).sum()) == 0


def test_two_halves_are_the_whole_and_gradients_reach_the_gates():
    layer, x = drawn("STC-PLIF")
    first, end = layer(x[:, :5], final=True)
    assert torch.equal(torch.cat([first, layer(x[:, 5:], end)], 1), layer(x))
    layer(x).sum().backward()
    assert all(float(p.grad.abs().sum()) > 0 for p in layer.parameters())


def test_refusals():
    with pytest.raises(SimulationError, match="groups must divide"):
        STCLayer(6, groups=4)
    with pytest.raises(SimulationError, match="did you mean STC-LIF"):
        STCLayer(16, kind="STC-LF")
    with pytest.raises(SimulationError, match=r"takes \(batch, time, 4"):
        STCLayer(4, groups=2)(torch.zeros(2, 4, 6, 6))
    assert STCLayer(4, groups=2)(torch.zeros(2, 0, 4, 6, 6)).shape == (2, 0, 4, 6, 6)
