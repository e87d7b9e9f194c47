"""``python -m ephysfit.explorer.fit_worker``: run one fit in a separate process, which reports line by line.

The job is read as a pickle from stdin, which only the parent process can write; progress goes to stdout as JSON lines.
A separate process keeps the sliders responsive during the fit, and can be stopped at any moment.
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


class ProgressReporter:
    """Reports the progress of a fit as JSON lines."""

    def __init__(self, out: TextIO) -> None:
        self.out = out

    def __call__(self, stage: str, fraction: float) -> None:
        self.write_line(stage=stage, fraction=round(fraction, 4))

    def show_estimate(self, stage: str, neuron: Neuron | None, loss: float) -> None:
        """Report a step of the fit: model, values by flat name, loss."""
        at = {} if neuron is None else {"model": type(neuron).__name__, "values": scalar_values(neuron)}
        self.write_line(stage=stage, loss=replace_nan(float(loss)), **at)

    def write_line(self, **content: Any) -> None:
        """Write one JSON line."""
        self.out.write(json.dumps(content) + "\n")
        self.out.flush()


def main() -> None:
    """Read the job, fit, and report the fit or the `EphysfitError`."""
    out, sys.stdout = sys.stdout, sys.stderr  # output of libraries must not mix with the lines
    job = pickle.load(sys.stdin.buffer)
    reporter = ProgressReporter(out)
    try:
        found = fit(job["recording"], job["model"], dt=job["dt"], seed=job["seed"], progress=reporter)
    except EphysfitError as error:
        reporter.write_line(error=str(error))
        return
    reporter.write_line(fit=found.to_dict())


if __name__ == "__main__":
    main()
