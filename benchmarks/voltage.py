"""Does the recorded voltage help to predict spikes? Fits with and without it, on training files alone.

    python benchmarks/voltage.py            # four cells x GIF, AGIF, ALIF, IGIF
    python benchmarks/voltage.py --quick    # GIF alone

Each neuron is fitted to the first 40 s of a 60 s training file, by its spikes alone and jointly with the voltage, as it
was recorded and with the electrode taken out (measured on the cell's own aec file); judged on the last 20 s:
negative log-likelihood per spike (nats), mean coincidence factor of 40 free noisy runs and the recorded train (8 ms),
and what the replayed potential misses the compensated voltage by away from spikes (rms, mV). No test file is opened.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from held_out import DT, UNTIL, agreement, cells, fitted, judged, loss

import ephysfit as ef
from ephysfit.fitting.stage import Problem, Stage
from ephysfit.fitting.voltage_likelihood import Voltage, select_voltage_samples
from ephysfit.neuron.declare import Neuron
from ephysfit.neuron.free_parameters import FreeParameters
from ephysfit.simulation.replay import Replay

KINDS = ("GIF", "AGIF", "ALIF", "IGIF")
#: name of a row: likelihood stages, and whether the electrode is taken out
WAYS = {
    "spikes alone": ((ef.stages.Likelihood(),), True),
    "voltage as recorded": ((ef.stages.Likelihood(voltage=Voltage()),), False),
    "voltage": ((ef.stages.Likelihood(voltage=Voltage()),), True),
    "voltage, errors AR(1)": ((ef.stages.Likelihood(voltage=Voltage(noise="ar")),), True),
    "voltage, then spikes alone": ((ef.stages.Likelihood(voltage=Voltage()), ef.stages.Likelihood()), True),
}


def missed(recording: ef.Recording, cell: Neuron) -> float:
    """Rms of recorded less replayed potential over the judged stretch, mV."""
    problem = Problem(recording, type(cell), DT)
    sweeps = select_voltage_samples(problem, judged(problem, UNTIL, recording.duration), Voltage())
    free = FreeParameters.of(type(cell), smooth_only=True)
    (errors,) = Replay(free, cell, DT).misses(free.to_vector(cell), sweeps)
    return float(np.sqrt(np.nanmean(errors[sweeps[0].use > 0] ** 2)))


def row(
    raw: ef.Recording, clean: ef.Recording, kind: type[Neuron], stages: tuple[Stage, ...], compensated: bool
) -> list[float]:
    """Held-out loss, agreement, rms of the voltage, and CPU seconds."""
    begin = time.process_time()
    fit = fitted(clean if compensated else raw, kind, (ef.stages.Passive(), *stages))
    spent = time.process_time() - begin
    return [loss(clean, fit.neuron), agreement(clean, fit), missed(clean, fit.neuron), spent]


def pair(path: Path) -> tuple[ef.Recording, ef.Recording]:
    """A training file as recorded and with its electrode taken out."""
    raw = ef.load(path)
    return raw, ef.compensate_electrode(raw, ef.load(path.with_name(path.name.replace("training", "aec"))))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="GIF alone")
    quick = parser.parse_args().quick
    print("| neuron | fitted to | cell | loss | agreement | voltage, mV | CPU s |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name in KINDS[: 1 if quick else None]:
        kind, found = ef.models.find(name), {way: [] for way in WAYS}
        for cell, path in cells():
            raw, clean = pair(path)
            for way, settings in WAYS.items():
                numbers = row(raw, clean, kind, *settings)
                found[way].append(numbers)
                print(line(name, way, cell, numbers), flush=True)
        for way, rows in found.items():
            print(line(name, way, "median", list(np.median(rows, axis=0))), flush=True)


def line(name: str, way: str, cell: str, numbers: list[float]) -> str:
    loss_, agreed, rms, seconds = numbers
    return f"| {name} | {way} | {cell} | {loss_:.3f} | {agreed:.3f} | {rms:.2f} | {seconds:.1f} |"


if __name__ == "__main__":
    main()
