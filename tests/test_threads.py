"""A fit knows its recording however many threads run: batch, collect, score, explore and report, each under another."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ephysfit.synthetic import noise_current

DT = 0.1


def drawn(current: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The voltage of a leaky membrane that spikes, mV, with the noise of an amplifier, and the spikes' times, ms."""
    rng = np.random.default_rng(seed)
    shape = np.concatenate([np.linspace(-45, 30, 5), np.linspace(30, -62, 12)])
    voltage, v, k, times = np.empty(len(current)), -70.0, 0, []
    while k < len(current):
        v += DT / 20 * (-70 - v + 0.1 * current[k]) + 0.1 * rng.normal()
        if v > -48:
            times.append(k * DT)
            stop = min(k + len(shape), len(current))
            voltage[k:stop] = shape[: stop - k]
            k, v = stop, -62.0
            continue
        voltage[k] = v
        k += 1
    return voltage + rng.normal(0, 0.15, len(current)), np.array(times)


@pytest.fixture(scope="module")
def cell(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording whose spikes are to be detected: 8 s to fit, three repeats of 4 s, which pads to one table."""
    path = tmp_path_factory.mktemp("threads") / "cell7.npz"
    train, repeat = noise_current(4000, DT, 250, 150, 5.0, 1), noise_current(4000, DT, 250, 150, 5.0, 2)
    currents = [train, noise_current(4000, DT, 250, 150, 5.0, 3), repeat, repeat, repeat]
    voltages = [drawn(c, k)[0] for k, c in enumerate(currents)]
    np.savez(path, current_pA=np.stack(currents), voltage_mV=np.stack(voltages), dt_ms=DT)
    return path


def ephysfit(threads: int, *arguments: object) -> str:
    """What the command says under this number of threads; it must succeed."""
    return python(threads, "-m", "ephysfit", *arguments)


def python(threads: int, *arguments: object) -> str:
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    env = {**os.environ, **dict.fromkeys(names, str(threads)), "PYTHONWARNINGS": "ignore"}
    done = subprocess.run([sys.executable, *map(str, arguments)], capture_output=True, text=True, env=env, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def shown(threads: int, run: Path, cell: Path) -> str:
    """The model of the first fit that the explorer has for the cell, and how often it spikes; without a browser."""
    code = (
        "import sys\n"
        "from ephysfit.explorer.session import Session\n"
        "from ephysfit.explorer.library import Library\n"
        "session = Session(Library.of(*sys.argv[1:]))\n"
        "session.choose_cell(0)\n"
        "response = session.compute_response()\n"
        "print(session.shown[0].fit.model, response.train.size)"
    )
    return python(threads, "-c", code, run, cell).strip()


@pytest.mark.slow
def test_batch_collect_score_explore_and_report_under_other_numbers_of_threads(cell, tmp_path):
    run = tmp_path / "run"
    ephysfit(2, "batch", cell.parent, "-o", run, "--model", "LIF", "--workers", "1", "--runs", "20", "--reports")
    ephysfit(4, "collect", run)
    (result,) = (run / "results").rglob("*.json")
    saved = json.loads(result.read_text(encoding="utf-8"))
    assert saved["status"] == "done"
    assert saved["fit"]["provenance"]["spikes"] > 50
    scores = [
        json.loads(ephysfit(n, "score", result, cell, "--runs", "20", "--json"))["readouts"]["causal_run"]
        for n in (1, 4)
    ]
    rows = [{r["name"]: r["value"] for r in s["rows"] if r["value"] is not None} for s in scores]
    assert rows[0] == pytest.approx(rows[1])
    assert all(s["n_repeats"] == [3] for s in scores), "the sweeps that trained are not scored"
    assert not any("another cell" in w for s in scores for w in s["warnings"])
    assert shown(4, run, cell) == shown(1, run, cell)
    ephysfit(4, "intervals", result, cell)
    ephysfit(1, "report", result, cell, "-o", tmp_path / "report.html")
    assert (tmp_path / "report.html").stat().st_size > 10_000
