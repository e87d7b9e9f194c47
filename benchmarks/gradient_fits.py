"""Which slope of a spike makes a gradient fit predict? Judged on stretches of training files it was not fitted to.

    python benchmarks/gradient_fits.py                               # every slope, small neurons, four training files
    python benchmarks/gradient_fits.py --ways survival,none --neurons ALIF --cells DRN162 --seeds 0
    python benchmarks/gradient_fits.py --table                       # run nothing, show what is done
    python benchmarks/gradient_fits.py --write                       # the table between its marks in docs/accuracy.md

As `benchmarks/search.py`: the likelihood fit of the first 40 s, then the gradient stage in each of the ways, judged on
the last 20 s. No test file is opened. `--neurons AIGIF --ways "none,likelihood ratio" --results build/gradient_aigif`
asks the same of the richest neuron.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from search import Nothing, command

from ephysfit.fitting.free_run.losses import Coincidence
from ephysfit.fitting.stage import Stage
from ephysfit.fitting.stages import Gradient, NoisyGradient, Search

NEURONS = ("LIF", "ALIF", "AdLIF")
#: name, and what follows the likelihood
WAYS: dict[str, Stage] = {
    "none": Nothing(),
    "likelihood ratio": NoisyGradient(),
    "likelihood ratio half as long": NoisyGradient(steps=40),
    "survival": NoisyGradient(slope="survival"),
    "in graph": NoisyGradient(slope="in graph"),
    "detached": NoisyGradient(slope="detached"),
    "likelihood ratio Md*": NoisyGradient(loss=Coincidence()),
    "threshold run van Rossum": Gradient(steps=60),
    "search": Search(),
}

if __name__ == "__main__":
    command(__doc__, WAYS, "gradient_fits", NEURONS, "gradients")
