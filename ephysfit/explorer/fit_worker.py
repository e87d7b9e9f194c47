"""``python -m ephysfit.explorer.fit_worker``: one fit in a process of its own, told about line by line.

A job comes pickled on stdin (from the process that started this one, and nobody else); JSON lines go out on stdout. A
process of its own leaves the sliders quick while it fits, and can be stopped at any moment.
"""

from __future__ import annotations

import json
import pickle
import sys
from typing import Any, TextIO

from ephysfit.errors import EphysfitError
from ephysfit.files import replace_nan
from ephysfit.fitting.fit import fit
from ephysfit.neuron.declare import Neuron, scalar_values


class Teller:
    """Progress of a fit as JSON lines."""

    def __init__(self, out: TextIO) -> None:
        self.out = out

    def __call__(self, stage: str, fraction: float) -> None:
        self.line(stage=stage, fraction=round(fraction, 4))

    def watch(self, stage: str, neuron: Neuron | None, loss: float) -> None:
        """Where the fit stands: model, values by flat name, loss."""
        at = {} if neuron is None else {"model": type(neuron).__name__, "values": scalar_values(neuron)}
        self.line(stage=stage, loss=replace_nan(float(loss)), **at)

    def line(self, **content: Any) -> None:
        self.out.write(json.dumps(content) + "\n")
        self.out.flush()


def main() -> None:
    """Read the job, fit, tell; an error that ephysfit raises on purpose is told too."""
    out, sys.stdout = sys.stdout, sys.stderr  # what libraries print must not mix with the lines
    job = pickle.load(sys.stdin.buffer)
    tell = Teller(out)
    try:
        found = fit(job["recording"], job["model"], dt=job["dt"], seed=job["seed"], progress=tell)
    except EphysfitError as error:
        tell.line(error=str(error))
        return
    tell.line(fit=found.to_dict())


if __name__ == "__main__":
    main()
