"""The network layer of STC-LIF as published: memory and input gated by the layer's own last spikes (Wang et al. 2024).

Its gates read every neighbour's last spike, so it is no neuron that stands alone: `ephysfit.models.STCLIF` is a cell of
it, with a leak that cannot vanish. Here is the layer itself, to compare with.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ephysfit.errors import SimulationError, near
from ephysfit.simulation.surrogate import Surrogate

KINDS = ("STC-LIF", "STC-PLIF")


class STCLayer(nn.Module):
    r"""Maps of neurons whose last spikes gate what they keep and what they take in.

    .. math::
        h \leftarrow m (1 + \beta) h + n (1 + \gamma) x, \qquad s = [h \ge v_{th}], \qquad h \leftarrow h - s, \qquad
        \beta = \tanh(N(W_h * s)), \quad \gamma = \tanh(N(W_v * s))

    with grouped convolutions of the layer's spikes of the step before and a group normalisation N. STC-LIF has
    :math:`m = n = 1`; STC-PLIF learns a leak, :math:`m = \sigma(t_m)`, :math:`n = 1 - m`. Normalise the input outside.

    Parameters
    ----------
    channels : int
    groups : int
        Of convolutions and normalisation; must divide `channels` (16 as released).
    kernel : int
        Odd width of the convolutions (5 as released).
    kind : {"STC-LIF", "STC-PLIF"}
    normalise : bool
        Whether the gates are group-normalised, as released.
    v_th : float
        Threshold.
    surrogate : Surrogate, optional
        Stand-in derivative of the spike.
    detach : bool
        Keep the spikes that the gates read out of the graph, as the released default does.

    Notes
    -----
    STC-LIF has no leak and a gain of up to 2 a step: without normalised inputs it overflows within 200 steps. Names of
    parameters are those of the release (``conv_h``, ``conv_v``, ``t_m``), so its state dictionaries load with
    ``strict=False``, which leaves out the input's ``conv_x``.

    References
    ----------
    Wang et al. (2024), arXiv 2406.00405.

    Examples
    --------
    >>> maps = STCLayer(4, groups=2, kernel=3)
    >>> tuple(maps(torch.ones(2, 5, 4, 6, 6)).shape)
    (2, 5, 4, 6, 6)
    """

    def __init__(
        self,
        channels: int,
        *,
        groups: int = 16,
        kernel: int = 5,
        kind: str = "STC-LIF",
        normalise: bool = True,
        v_th: float = 1.0,
        surrogate: Surrogate | None = None,
        detach: bool = True,
    ) -> None:
        super().__init__()
        if kind not in KINDS:
            raise SimulationError(f"a layer of kind {kind!r} is unknown; {near(kind, KINDS)}")
        if channels % groups or kernel % 2 == 0:
            raise SimulationError(
                f"{channels} channels in {groups} groups with a kernel of {kernel}: groups must divide channels, and "
                "the kernel's width be odd"
            )
        self.channels, self.kind, self.v_th, self.detach = channels, kind, float(v_th), detach
        self.surrogate = surrogate or Surrogate(1.0)
        self.conv_h, self.conv_v = (_gate(channels, groups, kernel, normalise) for _ in range(2))
        if kind == "STC-PLIF":
            self.t_m = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor, start: tuple[Tensor, Tensor] | None = None, *, final: bool = False) -> Tensor | tuple:
        """Spikes (batch, time, channel, height, width) of 0 and 1, for input of the same shape.

        Parameters
        ----------
        x : Tensor, (batch, time, channel, height, width)
        start : (Tensor, Tensor), optional
            Potential and spikes (batch, channel, height, width) at the end of the run before; zeros unless given.
        final : bool
            Return ``(spikes, end)``, the end being the start of the next run.

        Raises
        ------
        SimulationError
            If the shape is another.
        """
        if x.dim() != 5 or x.shape[2] != self.channels:
            raise SimulationError(
                f"input of shape {tuple(x.shape)}: this layer takes (batch, time, {self.channels}, height, width)"
            )
        h, s = start or (torch.zeros_like(x[:, 0]), torch.zeros_like(x[:, 0])) if x.shape[1] else (x.sum(1), x.sum(1))
        spikes = []
        for now in x.unbind(1):
            keep, take = self.gates(s)
            h = keep * h + take * now
            s = self.surrogate.spike(h - self.v_th)
            h = h - s
            spikes.append(s)
        out = torch.stack(spikes, 1) if spikes else x
        return (out, (h, s)) if final else out

    def gates(self, spikes: Tensor) -> tuple[Tensor, Tensor]:
        """What multiplies memory and input after these spikes (batch, channel, height, width)."""
        seen = spikes.detach() if self.detach else spikes
        keep, take = 1 + torch.tanh(self.conv_h(seen)), 1 + torch.tanh(self.conv_v(seen))
        if self.kind == "STC-PLIF":
            leak = torch.sigmoid(self.t_m)
            return leak * keep, (1 - leak) * take
        return keep, take


def _gate(channels: int, groups: int, kernel: int, normalise: bool) -> nn.Sequential:
    mix = nn.Conv2d(channels, channels, kernel, padding=kernel // 2, bias=False, groups=groups)
    return nn.Sequential(mix, nn.GroupNorm(groups, channels)) if normalise else nn.Sequential(mix)
