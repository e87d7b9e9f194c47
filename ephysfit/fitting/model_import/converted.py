"""What an importer makes of another program's model, and the discrete rules of others in terms of our exact steps."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from ephysfit.errors import NeuronError
from ephysfit.neuron.declare import Neuron
from ephysfit.neuron.functions import phi1
from ephysfit.neuron.roles import Role


@dataclass(frozen=True)
class Converted:
    """A model of another program as one of our neurons.

    Attributes
    ----------
    neuron : Neuron
    dt : float
        Step at which its spikes are those of its origin, ms.
    origin : str
        Program and model.
    stochastic : bool
        Whether the origin draws its spikes at random. Where it does not, the noise-free run is the threshold run.
    notes : tuple of str
        What was converted, left out or assumed.
    """

    neuron: Neuron
    dt: float
    origin: str
    stochastic: bool
    notes: tuple[str, ...]


def add_softness(kind: type[Neuron], values: dict[str, Any], notes: list[str]) -> Neuron:
    """Make a cell of a neuron whose origin spikes at a sharp threshold, with the least softness that a fit allows."""
    name = kind.free_name_of(Role.SOFTNESS) or "delta"
    least = kind.parameters[name].low
    notes.append(
        f"the origin spikes at a sharp threshold: its run here is the noise-free one, and noisy runs have the least "
        f"softness that a fit allows ({name} = {least:g} mV)"
    )
    return kind(**values, **{name: least})


def find_exact_capacitance(C: float, g: float, dt: float) -> float:
    """The capacitance with which an exact step equals a forward Euler step.

    A step :math:`V + (I - g (V - E)) dt / C` keeps the share :math:`1 - g\\,dt/C` of the potential and moves to the
    same steady state, as an exact step with :math:`C' = -g\\,dt / \\ln(1 - g\\,dt/C)` does.

    Parameters
    ----------
    C, g : float
        Capacitance of the Euler rule, pF, and leak conductance, nS.
    dt : float
        Step, ms.

    Examples
    --------
    >>> exact = find_exact_capacitance(100.0, 5.0, 0.05)
    >>> round(exact, 3), abs(math.exp(-5.0 * 0.05 / exact) - (1 - 5.0 * 0.05 / 100.0)) < 1e-15
    (99.875, True)
    """
    kept = 1.0 - g * dt / C
    if not 0.0 < kept < 1.0:
        raise NeuronError(
            f"C = {C:g} pF and a leak of {g:g} nS give a time constant of {C / g:g} ms, which forward Euler steps of "
            f"{dt:g} ms cannot follow: take a smaller step"
        )
    return -g * dt / math.log(kept)


def scale_held_current(tau_m: float, tau: float, dt: float) -> float:
    """By how much an exponential current must be larger where it decays during a step, to act as one that is held.

    Other programs take a spike-triggered current at the beginning of a step and hold it; here it decays within the
    step.

    Parameters
    ----------
    tau_m, tau : float
        Time constants of membrane and current, ms.
    dt : float
        Step, ms.

    Examples
    --------
    >>> round(scale_held_current(20.0, 5.0, 0.1), 4)
    1.01
    """
    kept = math.exp(-dt / tau_m)
    return (1.0 - kept) * tau_m / (dt * kept * float(phi1(dt / tau_m - dt / tau)))
