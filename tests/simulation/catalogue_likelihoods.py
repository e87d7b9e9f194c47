"""The likelihood's kernels against the definition, for neurons of the catalogue: prints errors as JSON.

Run by test_replay with numba's compiler off, as `catalogue_gradients` is. The reference shares nothing with kernels
but the declaration: margins of the sequential run with the spikes forced, and torch's derivatives of them.
"""

from __future__ import annotations

import json
import sys

import numpy as np
import torch
from catalogue_gradients import beginning

from ephysfit.kernels.likelihood_writer import FAINT
from ephysfit.kernels.slot_writer import HIGHEST
from ephysfit.models import catalogue
from ephysfit.neuron.free_parameters import FreeParameters
from ephysfit.neuron.stepping import step
from ephysfit.simulation.engines.sequential import sequential
from ephysfit.simulation.replay import Replay, ReplaySweep

STEPS, DT = 120, 0.2
SPIKES = (15, 40, 44, 45, 90)


def sweep(inputs, gain, seed=0):
    raster = np.zeros(STEPS, np.uint8)
    raster[list(SPIKES)] = 1
    rng = np.random.default_rng(seed)
    return ReplaySweep(gain * (90.0 + 60.0 * rng.standard_normal((STEPS, inputs))), raster, rng.integers(0, 3, STEPS))


def log_rates(free, base, z, taught):
    """Log hazard (per ms) of every step by the definition, and its derivatives, (step, free coordinate).

    Of a copy of the cell for every step, so that one pass back gives all rows.
    """
    values = torch.from_numpy(np.stack(list(free.values(z).values())))
    copies = values.expand(STEPS, -1).clone().requires_grad_()
    cells = free.put(dict(zip(free.names, copies.unbind(-1), strict=True)), base)
    current, steps = torch.from_numpy(taught.current), torch.arange(STEPS)
    drive = current[None, None] if current.shape[1] > 1 else current[None, None, :, 0]
    forced = torch.from_numpy(taught.spikes.astype(bool)).expand(STEPS, 1, STEPS)
    _, _, margins = sequential(cells, drive.expand(STEPS, *drive.shape[1:]), DT, forced=forced)
    rates = torch.log(cells.hazard(margins[steps, 0, steps]))
    (slopes,) = torch.autograd.grad(rates.sum(), copies)
    return rates.detach(), slopes * torch.from_numpy(free.slopes(z))


def capped(rates, slopes):
    """As a likelihood counts: log hazards above `HIGHEST` are that, and pull on nothing."""
    return rates.clamp(max=HIGHEST), torch.where((rates < HIGHEST)[:, None], slopes, 0.0)


def lively(free, base, z, inputs):
    """A current under which rates are neither capped nor all nothing, with the rates and their slopes."""
    for gain in (1.0, 2.0, 0.3, 0.1, 5.0, 20.0, 1e-2, 1e-3):
        taught = sweep(inputs, gain)
        rates, slopes = log_rates(free, base, z, taught)
        if rates.max() < 10.0 and rates.median() > -12.0:
            break
    return taught, rates, slopes


def errors(neuron):
    """Of the value (relative), of gradient and information on the scale of their largest, or diagonal, entries."""
    base, free = beginning(neuron), FreeParameters.of(neuron, smooth_only=True)
    if "t_ref" in neuron.parameters:
        base = base.replace(t_ref=0.4)
    if "I_0" in neuron.parameters:
        base = base.replace(I_0=90.0, I_s=60.0)
    z = free.to_vector(base)
    taught, *made = lively(free, base, z, len(step(neuron).inputs))
    rates, slopes = capped(*made)
    held = np.zeros(STEPS, bool)
    for n in SPIKES:
        held[n + 1 : n + 1 + round(float(getattr(base, "t_ref", 0.0)) / DT)] = True
    counts = torch.from_numpy(taught.use * ~held).double()
    r, spike = torch.exp(rates) * DT, torch.from_numpy(taught.spikes.astype(bool))
    value = float((counts * torch.where(spike, torch.log(-torch.expm1(-r)), -r)).sum())
    counts = torch.where(rates < HIGHEST, counts, 0.0)
    pull = counts * torch.where(spike, r / torch.expm1(r), -r)
    weight = counts * r**2 / torch.expm1(r)
    weight = torch.where(weight > FAINT, weight, 0.0)
    gradient, information = (pull @ slopes).numpy(), (slopes.T @ (weight[:, None] * slopes)).numpy()
    replay = Replay(free, base, DT)
    found = replay.information(z, [taught])
    # a coordinate that the data all but say nothing on is the difference of larger numbers: a floor for its scale
    told = np.maximum(np.diag(information), 1e-6 * np.diag(information).max())
    scale = np.sqrt(np.outer(told, told))
    return {
        "rates": [float(rates.min()), float(rates.max())],
        "moved": int((gradient != 0).sum()),
        "value": max(abs(v / value - 1) for v in (replay.value(z, [taught]), found.value)),
        "gradient": float(np.abs(found.gradient - gradient).max() / np.abs(gradient).max()),
        "information": float(np.abs((found.fisher - information) / scale).max()),
    }


def main(names):
    known = catalogue()
    np.seterr(all="ignore")
    print(json.dumps({n: errors(known[n]) for n in names if known[n].stochastic()}))


if __name__ == "__main__":
    main(sys.argv[1:] or list(catalogue()))
