"""Small cells for the tests of the page: a known neuron, its recording, a fit of it."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np

from ephysfit.data.recording import Recording
from ephysfit.fitting.fit_result import Fit
from ephysfit.fitting.provenance import Provenance
from ephysfit.models import find
from ephysfit.neuron.declare import Neuron
from ephysfit.simulation.simulate import simulate

DT = 0.5


def truth(model: str = "LIF") -> Neuron:
    """A cell that spikes at some 10 Hz to the current of `recording`."""
    return find(model).start()


@cache
def recording(cell: str = "known") -> Recording:
    """6 s of training noise and three noisy repeats of another noise, 4 s, of a LIF neuron."""
    rng = np.random.default_rng(3)
    slow = np.convolve(rng.standard_normal(20_000), np.ones(20) / 20**0.5, "same")
    train, test = 120 + 120 * slow[:12_000], 120 + 120 * slow[12_000:]
    currents = [train, test, test, test]
    trains = [
        simulate(truth(), [c], dt=DT, noise="escape", runs=1, seed=k).spike_times[0][0] for k, c in enumerate(currents)
    ]
    whole = [c[:8000] for c in currents]
    return Recording.of(np.stack(whole), DT, spike_times=[t[t < 4000.0] for t in trains], cell=cell)


def fit(model: str = "LIF", cell: str = "known") -> Fit:
    """A fit as it is saved, of start values."""
    made = Provenance(recording="known.npz", sweeps=(recording(cell)[0].name,))
    return Fit(find(model).start(), cell, DT, provenance=made)


def write_csv(path: Path, cell: Recording) -> Path:
    """One sweep of a recording as a table that the table reader takes."""
    sweep = cell[0]
    kernel = np.exp(-np.arange(0.0, 100.0, sweep.dt) / 20.0)
    v = -65.0 + np.convolve(sweep.current, 0.05 * kernel / kernel.sum())[: sweep.steps]  # 50 MOhm, 20 ms
    v[np.floor(sweep.spike_times / sweep.dt).astype(int)] = 30.0
    rows = [f"{k * sweep.dt},{i},{u}" for k, (i, u) in enumerate(zip(sweep.current, v, strict=True))]
    path.write_text("time_ms,current_pA,voltage_mV\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return path


def run_folder(folder: Path) -> Path:
    """A folder as `ephysfit fit -o` leaves it, for two models of one cell."""
    for model, value in (("LIF", 0.4), ("ALIF", 0.7)):
        fit(model).save(folder / f"known_{model}" / "fit.json")
        row = {"name": "gamma_over_R_4", "value": value}
        scores = {"cell": "known", "readouts": {"causal_run": {"rows": [row]}}}
        (folder / f"known_{model}" / "scores.json").write_text(json.dumps(scores), encoding="utf-8")
    return folder
