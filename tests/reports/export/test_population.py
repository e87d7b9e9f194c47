"""Whole runs: one script and one table for each neuron class, from which every cell spikes as it does here."""

from __future__ import annotations

import csv
import runpy
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import ephysfit as ef
from ephysfit.errors import ExportError
from ephysfit.fitting.stage_reports import CausalRun, Reports
from ephysfit.models import GLIF5, LIF, AdEx, SpatialSTC
from ephysfit.reports.export import export_texts
from ephysfit.reports.export.population import REFUSED, export_population
from tests.reports.export.cells import assert_same, reference

KINDS = (LIF, GLIF5, AdEx)


def draw_fits(count: int = 3) -> list[ef.Fit]:
    """Cells of different membranes, refractory periods and sharpened hazards."""
    rng, fits = np.random.default_rng(0), []
    for kind in KINDS:
        for k in range(count):
            neuron = kind.start()
            scaled = neuron.replace(
                C=neuron.C * rng.uniform(0.7, 1.4), g=neuron.g * rng.uniform(0.7, 1.4), t_ref=float(rng.integers(0, 6))
            )
            readout = CausalRun((rng.uniform(0.8, 2.0), rng.uniform(-1.0, 1.0)))
            fits.append(ef.Fit(scaled, f"{kind.__name__} {k}", 0.1, reports=Reports(readout)))
    return fits


def draw_current() -> np.ndarray:
    return np.repeat((200 + 120 * np.random.default_rng(0).standard_normal(60)).round(3), 100)


def test_every_cell_of_a_python_population_spikes_as_here(tmp_path: Path) -> None:
    fits, current = draw_fits(), draw_current()
    assert set(export_population(fits, "python", tmp_path).values()) == {3}
    for kind in KINDS:
        names = runpy.run_path(str(tmp_path / f"{kind.__name__}.py"))
        for fit in fits:
            if type(fit.neuron) is kind:
                assert_same(names["simulate"](current, fit.cell), reference(fit, current, "causal"), within=1e-9)


def test_the_brian2_script_reads_the_columns_that_are_there(tmp_path: Path) -> None:
    fits = draw_fits()
    for path in export_population(fits, "brian2", tmp_path):
        compile(path.read_text(), path.name, "exec")
        with path.with_suffix(".csv").open() as file:
            rows = list(csv.DictReader(file))
        assert [r["cell"] for r in rows] == [f.cell for f in fits if f.model == path.stem]
        wanted = path.read_text().partition("UNITS = {\n")[2].partition("}")[0]
        asked = [line.split('"')[1] for line in wanted.splitlines()]
        assert set(asked) <= set(rows[0])
        for row, fit in zip(rows, (f for f in fits if f.model == path.stem), strict=True):
            assert float(row["C"]) == fit.neuron.C
            assert float(row["sharpen_offset"]) == fit.sharpen[1]
            assert float(row["refractory_ms"]) == fit.neuron.t_ref


def test_cells_that_spike_otherwise_or_of_one_name_keep_apart(tmp_path: Path) -> None:
    sharp = ef.Fit(LIF.start(), "sharp", 0.1, reports=Reports(CausalRun(None)))
    soft = ef.Fit(LIF.start(), "soft", 0.1)
    written = export_population([sharp, soft, soft, replace(soft, dt=0.5)], "python", tmp_path)
    assert {p.name: n for p, n in written.items()} == {
        "LIF_threshold_0p1ms.py": 1, "LIF_causal_0p1ms.py": 2, "LIF_causal_0p5ms.py": 1,
    }  # fmt: skip
    assert "soft (2)" in (tmp_path / "LIF_causal_0p1ms.csv").read_text()


@pytest.mark.parametrize("to", [*REFUSED, "neuron"])
def test_other_targets_take_no_populations_and_say_why(to: str, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="a whole run"):
        export_population(draw_fits(1), to, tmp_path)
    assert not list(tmp_path.iterdir())


def test_two_inputs_and_no_fits_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="SpatialSTC has 2 inputs"):
        export_population([ef.Fit(SpatialSTC.start(), "cell", 0.1)], "brian2", tmp_path)
    with pytest.raises(ExportError, match="no fit to export"):
        export_population([], "brian2", tmp_path)


def test_a_sharpened_hazard_has_units_in_brian2() -> None:
    """Its offset is in mV: a bare number there is a dimension error of Brian2."""
    fit = ef.Fit(LIF.start(), "cell", 0.1, reports=Reports(CausalRun((1.5, 0.3))))
    script = export_texts(fit, "brian2")[".py"]
    assert "rate = exp(sharpen_slope*(margin - sharpen_offset)/delta) : 1" in script
    assert '"sharpen_offset": 0.3*mV' in script


def test_the_command_exports_a_run(tmp_path: Path) -> None:
    data, run = tmp_path / "cells", tmp_path / "run"
    data.mkdir()
    rng = np.random.default_rng(1)
    for k in range(2):
        cell, current = LIF.start().replace(C=80.0 + 40 * k), np.repeat(200 + 120 * rng.standard_normal(200), 20)
        runs = [ef.simulate(cell, current, dt=0.5, noise="escape", seed=seed) for seed in range(3)]
        trains = [run.spike_times[0][0] for run in runs]
        np.savez(
            data / f"cell{k}.npz", current_pA=np.stack([current] * 3), dt_ms=0.5,
            spike_trial=np.repeat(np.arange(3), [len(t) for t in trains]), spike_times_ms=np.concatenate(trains),
        )  # fmt: skip
    call = [sys.executable, "-m", "ephysfit"]
    subprocess.run(
        [*call, "batch", data, "-o", run, "--model", "LIF", "--workers", "1"], check=True, capture_output=True
    )
    done = subprocess.run([*call, "export", run, "--to", "python"], check=True, capture_output=True, text=True)
    assert "LIF.py (2 cells), LIF.csv" in " ".join(done.stdout.split())
    folder = run / "export" / "python"
    fit = ef.Fit.load(run / "results" / "cell0" / "LIF.json")
    current = np.repeat(200 + 120 * rng.standard_normal(100), 20)
    (script,) = folder.glob("*.py")
    found = runpy.run_path(str(script))["simulate"](current, fit.cell)
    spiking = "causal" if fit.noise_free else "threshold"
    assert_same(found, reference(fit, current, spiking), within=1e-9)
    done = subprocess.run([*call, "export", run, "--to", "nest"], check=True, capture_output=True, text=True)
    assert "LIF.py (2 cells), LIF.csv, LIF.nestml" in " ".join(done.stdout.split())
    assert sorted(p.name for p in (run / "export" / "nest").iterdir()) == ["LIF.csv", "LIF.nestml", "LIF.py"]
    refused = subprocess.run([*call, "export", data, "--to", "python"], check=False, capture_output=True, text=True)
    assert refused.returncode == 2
    assert "without run.json" in " ".join(refused.stderr.split())
