r"""One gradient for every neuron: once the spikes are known, the run backward is a linear recurrence.

With :math:`y` the state after a step's flow, :math:`u(y)` its margin, :math:`j(y)` the jump, :math:`s` the spike and
:math:`\sigma'` the surrogate window, the derivative :math:`\ell` of the loss with respect to the state goes back over a
step as

.. math::
    \mu = \sigma'(u) \left[\partial_s L + \ell^\top (j(y) - y)\right], \qquad
    \ell \leftarrow F^\top \left[(s J + (1 - s) 1)^\top \ell + \mu \, \partial_y u \right],

with :math:`F, J` the Jacobians of flow and jump by sympy (the term in :math:`\ell` of :math:`\mu` is the reset in the
graph; ``detach`` leaves it out, which is the gradient published by Taylor, King & Harper 2023). Forward runs keep the
state every 128 steps; the reverse kernel runs each stretch again, so memory does not grow with time times states. The
result is the derivative with respect to the step's coefficients, which torch takes back to physical parameters.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ephysfit.errors import SimulationError
from ephysfit.kernels.tiles import Lists
from ephysfit.neuron.coefficients import coefficients
from ephysfit.neuron.declare import Neuron
from ephysfit.simulation.adjoint_nodes import Carried, Escape, Margins, Replayed, Spikes, VanRossum
from ephysfit.simulation.engines.affine_blocks import Start
from ephysfit.simulation.surrogate import Surrogate


def run(
    neuron: Neuron,
    current: Tensor,
    dt: float,
    *,
    surrogate: Surrogate | None = None,
    detach: bool = False,
    dtype: torch.dtype = torch.float64,
) -> Tensor:
    """Spikes of one or many cells with a gradient to parameters and current, for any loss of the spikes.

    Parameters
    ----------
    neuron : Neuron
        Parameters are numbers or tensors over the axis `cell`.
    current : Tensor, (cell, trial, time) or (cell, trial, time, input)
        pA; axes of length 1 broadcast.
    dt : float
        Step in ms.
    surrogate : Surrogate, optional
        Stand-in derivative of the spike.
    detach : bool
        Keep the reset out of the graph.
    dtype : torch.float64 or torch.float32
        Precision of the run.

    Returns
    -------
    Tensor, (cell, trial, time)
        Ones where a spike falls.

    Examples
    --------
    >>> from ephysfit.models.lif import LIF
    >>> g = torch.tensor(5.0, dtype=torch.float64, requires_grad=True)
    >>> cell = LIF(C=100.0, g=g, E_L=-70.0, theta=-50.0, V_reset=-65.0, t_ref=2.0, delta=2.0)
    >>> spikes = run(cell, torch.full((1, 1, 1000), 150.0, dtype=torch.float64), 0.1)
    >>> spikes.sum().backward()
    >>> int(spikes.sum()), bool(g.grad < 0)   # a leakier cell fires less
    (4, True)
    """
    settings = (surrogate or Surrogate(), detach, dtype)
    return Spikes.apply(coefficients(neuron, dt), torch.as_tensor(current), neuron, dt, settings)


def run_from(
    neuron: Neuron,
    current: Tensor,
    dt: float,
    start: Start | None = None,
    *,
    surrogate: Surrogate | None = None,
    detach: bool = False,
    dtype: torch.dtype = torch.float64,
) -> tuple[Tensor, Start]:
    """As `run`, from a given state, and where the run ends: two halves are the whole, gradients included.

    Parameters
    ----------
    neuron, current, dt, surrogate, detach, dtype
        As in `run`; the axes of `current` are those of the run.
    start : Start, optional
        Rest unless given. Its states may carry a gradient.

    Returns
    -------
    spikes : Tensor, (cell, trial, time)
    end : Start

    Examples
    --------
    >>> from ephysfit.models.lif import LIF
    >>> current = torch.full((1, 1, 1000), 150.0, dtype=torch.float64)
    >>> first, end = run_from(LIF.start(), current[..., :300], 0.1)
    >>> second, _ = run_from(LIF.start(), current[..., 300:], 0.1, end)
    >>> bool((torch.cat([first, second], -1) == run(LIF.start(), current, 0.1)).all())
    True
    """
    settings = (surrogate or Surrogate(), detach, dtype)
    given = (None, None) if start is None else (start.states, start.hold)
    spikes, states, hold = Carried.apply(
        coefficients(neuron, dt), torch.as_tensor(current), *given, neuron, dt, settings
    )
    return spikes, Start(states, hold)


def margins(neuron: Neuron, current: Tensor, dt: float, forced: Any, *, dtype: torch.dtype = torch.float64) -> Tensor:
    """Margins (mV) of a neuron that replays recorded spikes, with a gradient: what a likelihood is made of.

    Parameters
    ----------
    neuron, current, dt, dtype
        As in `run`.
    forced : raster (cell, trial, time) or nested lists ``forced[cell][trial]`` of steps

    Returns
    -------
    Tensor, (cell, trial, time)
        Before the jump of each step; defined also while refractory.
    """
    return Margins.apply(coefficients(neuron, dt), torch.as_tensor(current), neuron, dt, (forced, dtype))


def van_rossum_loss(
    neuron: Neuron,
    current: Tensor,
    target_events: Any,
    dt: float,
    tau: float,
    surrogate: Surrogate | None = None,
    detach: bool = False,
    *,
    dtype: torch.dtype = torch.float64,
) -> Tensor:
    r"""Squared van Rossum distance to recorded spikes, inside the kernel: no raster is ever built.

    .. math:: D^2 = \frac{1}{\tau} \int_0^T e(t)^2 dt, \qquad \dot e = -\frac{e}{\tau} + \sum \delta - \sum \delta^*

    taken exactly for spikes on the grid, up to the end of the record, so one lone spike far from its end counts 1/2.

    Parameters
    ----------
    neuron, current, dt, surrogate, detach, dtype
        As in `run`.
    target_events : raster (cell, trial, time), nested lists ``[cell][trial]`` of step numbers, or Lists
        Recorded spikes; axes of length 1 broadcast.
    tau : float
        ms.

    Returns
    -------
    Tensor, (cell,)
        Summed over trials.

    References
    ----------
    van Rossum (2001), Neural Computation 13, 751-763.
    """
    if not tau > 0:
        raise SimulationError(f"tau {tau} ms of the van Rossum distance must be positive")
    current = torch.as_tensor(current)
    lists = target_events if isinstance(target_events, Lists) else Lists.of(target_events, current.shape[2])
    settings = (lists, float(tau), surrogate or Surrogate(), detach, dtype)
    return VanRossum.apply(coefficients(neuron, dt), current, neuron, dt, settings)


def escape_loss(
    neuron: Neuron, current: Tensor, forced: Any, dt: float, *, dtype: torch.dtype = torch.float64
) -> Tensor:
    r"""Negative log-likelihood of recorded spikes under escape noise, inside the kernel, for all rows at once.

    The recorded spikes run through the neuron; a bin that holds a spike counts :math:`-\log(1 - e^{-r})`, any other
    :math:`r` = hazard times dt, and none counts while refractory: `replay.Replay.value` for many cells and trials.

    Parameters
    ----------
    neuron, current, dt, dtype
        As in `run`; the neuron declares a hazard.
    forced : raster (cell, trial, time) or nested lists ``forced[cell][trial]`` of steps
        Axes of length 1 broadcast.

    Returns
    -------
    Tensor, (cell,)
        Nats, summed over trials.

    Raises
    ------
    SimulationError
        If the neuron declares no hazard, or axes do not fit.

    References
    ----------
    Paninski (2004), Network 15, 243-262.

    Examples
    --------
    >>> from ephysfit.models.lif import LIF
    >>> theta = torch.tensor([-50.0, -45.0], dtype=torch.float64, requires_grad=True)
    >>> cell = LIF(C=100.0, g=5.0, E_L=-70.0, theta=theta, V_reset=-65.0, t_ref=2.0, delta=2.0)
    >>> loss = escape_loss(cell, torch.full((1, 1, 1000), 80.0, dtype=torch.float64), [[[400, 800]]], 0.1)
    >>> loss.sum().backward()
    >>> bool(loss[0] < loss[1]), theta.grad.shape
    (True, torch.Size([2]))
    """
    return Escape.apply(coefficients(neuron, dt), torch.as_tensor(current), neuron, dt, (forced, dtype))


def replayed(
    neuron: Neuron,
    current: Tensor,
    forced: Any,
    asked: np.ndarray,
    dt: float,
    surrogate: Surrogate | None = None,
    detach: bool = False,
    *,
    dtype: torch.dtype = torch.float64,
) -> Tensor:
    """Sum of `asked` over given spikes, with the gradient that these spikes' surrogates have: for noisy runs.

    A noisy run is drawn first, by `compiled.run` with thresholds; its spikes are then replayed here, so that the states
    are those of the run, and `asked` is the derivative of any loss with respect to each spike.

    Parameters
    ----------
    neuron, current, dt, surrogate, detach, dtype
        As in `run`.
    forced : raster (cell, trial, time), nested lists ``forced[cell][trial]`` of steps, or Lists
        The spikes to replay.
    asked : ndarray, (cell, trial, time)
        dL/ds at every step.

    Returns
    -------
    Tensor, (cell,)
        Summed over trials.
    """
    current = torch.as_tensor(current)
    lists = forced if isinstance(forced, Lists) else Lists.of(forced, current.shape[2])
    settings = (lists, asked, surrogate or Surrogate(), detach, dtype)
    return Replayed.apply(coefficients(neuron, dt), current, neuron, dt, settings)
