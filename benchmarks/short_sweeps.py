"""What fits of neurons that are searched in free run take on many short sweeps: CPU seconds by number of sweeps.

    python benchmarks/short_sweeps.py                         # LIF, ALIF and AdEx, 100 and 1,000 sweeps of 100 ms
    python benchmarks/short_sweeps.py --neurons ALIF --sweeps 100
    python benchmarks/short_sweeps.py --write                 # run nothing, put the table into docs/howto/speed.md

Sweeps are noise of its own each, answered by the declared start of the neuron at a level at which it fires 20 times a
second. Each fit is made `--repeats` times and the fastest counts; kernels are compiled and modules loaded by a fit
before. Results lie in build/short_sweeps.json.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings

from accuracy import ROOT, _between, markdown, plain

import ephysfit as ef
from ephysfit.data.recording import Recording
from ephysfit.files import write_text
from ephysfit.models import find
from ephysfit.synthetic import level_for, noise_current, respond

RESULTS = ROOT / "build" / "short_sweeps.json"
PAGE = ROOT / "docs" / "howto" / "speed.md"
NEURONS, SWEEPS = "LIF,ALIF,AdEx", "100,1000"
#: of the sweeps, ms; of the cell, Hz
LENGTH, DT, RATE = 100.0, 0.1, 20.0


def record_sweeps(neuron: str, count: int) -> Recording:
    """Responses of the declared start to noise."""
    cell = find(neuron).start()
    level = level_for(cell, RATE, dt=DT, noise="escape")
    currents = [noise_current(LENGTH, DT, level, level, seed=k) for k in range(count)]
    sweeps = [respond(cell, c, DT, seed=k, name=f"sweep {k}", stimulus=f"noise {k}") for k, c in enumerate(currents)]
    return Recording(tuple(sweeps), cell=f"synthetic {neuron}")


def measure(neuron: str, count: int, repeats: int) -> dict[str, float]:
    """CPU seconds of a fit, and seconds of its stages."""
    recording, found = record_sweeps(neuron, count), []
    for _ in range(repeats):
        begun = time.process_time()
        fit = ef.fit(recording, neuron, progress=False)
        found.append({"CPU": time.process_time() - begun, **{e.stage: e.seconds for e in fit.history}})
    return min(found, key=lambda row: row["CPU"])


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--neurons", default=NEURONS)
    options.add_argument("--sweeps", default=SWEEPS)
    options.add_argument("--repeats", type=int, default=2)
    options.add_argument("--write", action="store_true", help="run nothing, write docs/howto/speed.md")
    given = options.parse_args()
    if not given.write:
        warnings.simplefilter("ignore")
        found: dict[str, dict[str, dict[str, float]]] = {}
        for neuron in given.neurons.split(","):
            ef.fit(record_sweeps(neuron, 20), neuron, progress=False)
            found[neuron] = {n: measure(neuron, int(n), given.repeats) for n in given.sweeps.split(",")}
            print(neuron, found[neuron], flush=True)
        write_text(RESULTS, json.dumps(found, indent=1) + "\n")
    found = json.loads(RESULTS.read_text(encoding="utf-8"))
    head = ("neuron", "sweeps of 100 ms", "CPU s")
    body = [(neuron, f"{int(n):,}", f"{row['CPU']:.1f}") for neuron, by in found.items() for n, row in by.items()]
    print(plain(head, body))
    if given.write:
        write_text(PAGE, _between(PAGE.read_text(encoding="utf-8"), "sweeps", markdown(head, body)))


if __name__ == "__main__":
    main()
