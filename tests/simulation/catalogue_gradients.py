"""Adjoint against autograd through the definition for neurons of the catalogue: prints errors as JSON.

Run by test_catalogue_gradients with numba's compiler off, where a kernel's text is plain Python: what is generated for
a neuron is checked without seconds of compilation each (compiled kernels are checked there too, as a slow test).
"""

from __future__ import annotations

import json
import sys

import numpy as np
import torch
from compiled_cases import noise

from ephysfit.models import catalogue
from ephysfit.neuron.affine import tensors
from ephysfit.neuron.declare import declared, flatten, unflatten
from ephysfit.neuron.stepping import step
from ephysfit.simulation import adjoint
from ephysfit.simulation.engines.sequential import sequential
from ephysfit.simulation.surrogate import Surrogate

STEPS, DT = 80, 0.2


def driven(cell, inputs):
    """A current that makes the cell spike a few times, and the spikes."""
    base = noise((1, 1, inputs, STEPS), 3, mean=150.0, std=400.0).swapaxes(2, 3).copy()
    for gain in (0.3, 0.6, 1.0, 1.7, 3.0, 10.0, 30.0, 100.0, 300.0, 1e-2, 1e-3):
        current = torch.tensor(gain * base if inputs > 1 else gain * base[..., 0])
        spikes, _, _ = sequential(cell, current, DT)
        if 2 <= int(spikes.sum()) <= STEPS // 3:
            break
    return current, int(spikes.sum())


def beginning(neuron):
    """The declared start; a filter bank that starts at zero, deaf to its input, is opened a little."""
    start = neuron.start()
    if neuron.__name__ != "BankGIF":
        return start
    flat = flatten(neuron.parameters, tensors(start).values())
    return neuron(**unflatten(neuron.parameters, {k: v + 2.0 * (k[:2] == "R_") for k, v in flat.items()}))


def errors(neuron, surrogate):
    """Largest error of any derivative, on the scale of the largest derivative of its kind; in the graph, detached."""
    start = beginning(neuron)
    with torch.no_grad():
        current, spikes = driven(start, len(step(neuron).inputs))
    weights = torch.tensor(np.random.default_rng(2).normal(size=(1, 1, STEPS)))
    out = {"spikes": spikes}
    for detach in (False, True):
        found = []
        for run in (sequential, adjoint.run):
            flat = {k: v.clone() for k, v in flatten(neuron.parameters, tensors(start).values()).items()}
            moved = [v.requires_grad_() for k, v in flat.items() if declared(neuron)[k].smooth]
            given = current.clone().requires_grad_()
            result = run(neuron(**unflatten(neuron.parameters, flat)), given, DT, surrogate=surrogate, detach=detach)
            made = result[0] if isinstance(result, tuple) else result
            gradients = torch.autograd.grad((weights * made).sum(), [*moved, given], allow_unused=True)
            found.append([made.detach(), *(torch.zeros(1) if g is None else g for g in gradients)])
        (truth, *theirs), (raster, *ours) = found
        assert torch.equal(truth, raster), neuron.__name__
        scaled = [float((a - b).abs().max()) / (float(b.abs().max()) or 1.0) for a, b in zip(ours, theirs, strict=True)]
        out["detached" if detach else "in graph"] = max(scaled)
        out["moved"] = sum(bool(b.abs().max() > 0) for b in theirs)
    return out


def main(names):
    known = catalogue()
    np.seterr(all="ignore")
    print(json.dumps({n: errors(known[n], Surrogate(40.0)) for n in names}))


if __name__ == "__main__":
    main(sys.argv[1:] or list(catalogue()))
