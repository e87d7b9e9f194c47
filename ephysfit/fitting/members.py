"""Runs of an ensemble: noisy runs of its members, pooled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ephysfit.data.holding_current import LEAD
from ephysfit.neuron.declare import Neuron
from ephysfit.simulation.simulate import Simulation, simulate

#: apart so that no two members share their draws
_APART = 104_729


def simulate_members(
    members: Sequence[Neuron], stimulus: Any, *, dt: float, runs: int, seed: int, save: Sequence[str] = ()
) -> Simulation:
    """Noisy runs of the members on one or several stimuli, pooled.

    Parameters
    ----------
    members : sequence of Neuron
    stimulus : Recording, array or list of arrays
        Injected current, pA, as `ephysfit.simulate` takes it.
    dt : float
        Step, ms.
    runs : int
        In all. They are taken from the members in turn, so that any first few of them are a mixture.
    seed : int
    save : sequence of str
        States to keep of the first run.

    Returns
    -------
    Simulation
    """
    kept = members[: min(len(members), runs)]
    each = -(-runs // len(kept))
    done = [
        simulate(member, stimulus, dt=dt, runs=each, noise="escape", seed=seed + _APART * k, settle=LEAD,
                 save=save if k == 0 else ())
        for k, member in enumerate(kept)
    ]  # fmt: skip
    pooled = tuple(
        tuple(done[r % len(kept)].spike_times[s][r // len(kept)] for r in range(runs))
        for s in range(len(done[0].spike_times))
    )
    return replace(done[0], spike_times=pooled)
