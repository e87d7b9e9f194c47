"""Coordinates in which a free-running stage moves: the errors of the likelihood, not the axes of the parameters."""

from __future__ import annotations

import numpy as np

from ephysfit.arrays import Array
from ephysfit.fitting.stage import Problem
from ephysfit.neuron.declare import Neuron
from ephysfit.neuron.free_parameters import FreeParameters
from ephysfit.simulation.replay import Replay

#: in free coordinates: the unit along a direction that the likelihood does not determine, along a parameter that moves
#: in steps, and along any where there is no likelihood
UNKNOWN, UNSMOOTH, PLAIN = 0.5, 0.3, 0.2


def compute_likelihood_axes(problem: Problem, free: FreeParameters, cell: Neuron) -> Array:
    """Square root of the covariance that the likelihood leaves about a cell, (free parameter, free parameter).

    A threshold moves spikes by tenths of a millivolt where a capacitance may double, and parameters that trade against
    each other move together. Steps of one length in these coordinates cost about the same likelihood in every
    direction. A neuron without a hazard keeps its axes (`parameter_axes`).

    Parameters
    ----------
    problem : Problem
    free : FreeParameters
        Parameters that move; those that are not smooth keep their axis.
    cell : Neuron
        Where the information is taken.
    """
    smooth = [n for n, p in zip(free.names, free.parameters, strict=True) if p.smooth]
    if not problem.neuron.stochastic() or not smooth:
        return parameter_axes(free)
    part = FreeParameters.of(problem.neuron, smooth)
    fisher = Replay(part, cell, problem.dt).information(part.to_vector(cell), problem.train).fisher
    known, along = np.linalg.eigh(np.nan_to_num(fisher))
    root = along / np.sqrt(np.maximum(known, 0.0) + UNKNOWN**-2) @ along.T
    out = np.eye(len(free.names)) * UNSMOOTH
    at = [free.names.index(n) for n in part.names]
    out[np.ix_(at, at)] = root
    return out


def parameter_axes(free: FreeParameters) -> Array:
    """The axes of the parameters."""
    return np.eye(len(free.names)) * PLAIN
