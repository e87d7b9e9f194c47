"""What the numbers of a discrete step take: of one cell, their slopes, and of thousands of cells; beside torch's.

    python benchmarks/coefficients.py
    python benchmarks/coefficients.py --neurons GIF,AIGIF --cells 4096

CPU milliseconds of the process, the least of `--repeats`, with one thread of torch.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
from accuracy import plain

from ephysfit.models import find
from ephysfit.neuron.coefficients import coefficients
from ephysfit.neuron.free_parameters import FreeParameters
from ephysfit.neuron.numeric_coefficients import NumericCoefficients, compute_coefficients

DT = 0.5
HEAD = ("neuron", "one cell", "its slopes", "one by torch", "cells", "many cells", "many by torch")


def least(function: Callable[[], object], repeats: int, calls: int) -> str:
    """Least CPU time of a call, ms, as text."""
    found = []
    for _ in range(repeats + 1):
        begun = time.process_time()
        for _ in range(calls):
            function()
        found.append((time.process_time() - begun) / calls)
    return f"{1e3 * min(found[1:]):.3f}"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--neurons", default="LIF,ALIF,GIF,BankGIF,AIGIF")
    options.add_argument("--cells", type=int, default=4096)
    options.add_argument("--repeats", type=int, default=7)
    given = options.parse_args()
    torch.set_num_threads(1)
    body = []
    for name in given.neurons.split(","):
        kind = find(name)
        free, one = FreeParameters.of(kind, smooth_only=True), kind.start()
        z, step = free.to_vector(one), NumericCoefficients(free, one, DT)
        drawn = [free.drawn(one, 0.3, np.random.default_rng(k)) for k in range(given.cells)]
        many = free.to_neuron(torch.from_numpy(np.stack(drawn)), one)
        few = [lambda s=step, z=z: s.values(z), lambda s=step, z=z: s.slopes(z), lambda c=one: coefficients(c, DT)]
        body.append((
            name, *(least(f, given.repeats, 20) for f in few), str(given.cells),
            *(least(lambda f=f, c=many: f(c, DT), given.repeats, 1) for f in (compute_coefficients, coefficients)),
        ))  # fmt: skip
    print(plain(HEAD, body))


if __name__ == "__main__":
    main()
