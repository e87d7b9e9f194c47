"""`ephysfit simulate`: run a fitted cell on currents."""

from __future__ import annotations

import csv
import json as _json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ephysfit.cli import arguments
from ephysfit.cli.commands import OUTPUT
from ephysfit.cli.currents import read_currents
from ephysfit.cli.output import print_json, print_line, print_table
from ephysfit.data.assemble import Choice
from ephysfit.data.recording import Recording
from ephysfit.files import replacing, write_text

if TYPE_CHECKING:
    from ephysfit.simulation.simulate import Simulation

#: suffixes of the formats of spike times
FORMATS = (".csv", ".json")


def check_spike_file(path: Path | None) -> Path | None:
    """Check that the suffix of a file is a known format."""
    if path is not None and path.suffix not in FORMATS:
        raise typer.BadParameter(f"{path}: ends in neither {' nor '.join(FORMATS)}")
    return path


Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE", dir_okay=False, callback=check_spike_file, show_default=False,
                 rich_help_panel=OUTPUT,
                 help="File of the spike times: .csv (one row per spike) or .json."),
]  # fmt: skip


def simulate(
    fit: arguments.FitFile,
    files: arguments.Files,
    sweeps: arguments.SweepsOption = None,
    option: arguments.ReaderOption = None,
    model: arguments.NeuronOption = None,
    trust: arguments.TrustOption = False,
    runs: arguments.RunsOption = 200,
    dt: arguments.StepOption = None,
    seed: arguments.SeedOption = 1,
    output: Output = None,
    json: arguments.JsonOption = False,
) -> None:
    """Run a fitted cell on the currents of a file, which needs no voltage and no spikes.

    Repeats of a current are simulated once. A stochastic neuron gives noisy runs, its causal run (one noise-free
    simulation) and its consensus (the best single prediction, which uses future current).

    Examples:

    ephysfit simulate fit_DRN164_auto data/DRN164.nwb -o spikes.csv

    ephysfit simulate fit.json planned_current.csv -O dt=0.1 --runs 50 --json
    """
    fitted = arguments.open_fit(fit, model, trust)
    done = fitted.simulate(_read_currents(files, sweeps, option), runs=runs, dt=dt, seed=seed)
    if output is not None:
        write_spikes(done, output)
    if json:
        print_json(to_dict(done))
        return
    print_table(
        list(_make_rows(done)),
        f"{fitted.model} of {fitted.cell}, step {done.dt:g} ms",
        ("length (s)", "runs", "rate (Hz)"),
    )
    if output is not None:
        print_line(f"written: {output}")


def _read_currents(files: list[Path], sweeps: str | None, option: list[str] | None) -> Recording:
    """Read the currents of the files without detecting spikes."""
    options = arguments.make_load_options("auto", sweeps, option)
    options.pop("spikes")
    wanted = options.pop("sweeps", None)
    choice = Choice(None if wanted is None else tuple(wanted))
    return read_currents(files, choice, options)


def list_readouts(done: Simulation) -> dict[str, Simulation]:
    """List the simulation and its companions by readout, the main one first."""
    return {done.readout: done} | {c.readout: c for c in done.companions.values()}


def _make_rows(done: Simulation) -> Iterator[dict[str, Any]]:
    for readout, run in list_readouts(done).items():
        for name, trains, duration in zip(run.names, run.spike_times, run.durations, strict=True):
            spikes = sum(len(t) for t in trains) / max(len(trains), 1)
            yield {
                "stimulus": name, "readout": readout, "length (s)": f"{duration / 1e3:g}", "runs": len(trains),
                "rate (Hz)": f"{1e3 * spikes / duration:.2f}",
            }  # fmt: skip


def to_dict(done: Simulation) -> dict[str, Any]:
    """Return the spike times in ms, by stimulus, readout and run."""
    each = {name.replace(" ", "_"): run.spike_times for name, run in list_readouts(done).items()}
    return {
        "dt_ms": done.dt,
        "stimuli": [
            {"name": name, "duration_ms": duration,
             "spike_times_ms": {r: [t.round(6).tolist() for t in trains[k]] for r, trains in each.items()}}
            for k, (name, duration) in enumerate(zip(done.names, done.durations, strict=True))
        ],
    }  # fmt: skip


def write_spikes(done: Simulation, path: Path) -> None:
    """Write the spike times to a CSV or JSON file."""
    if path.suffix == ".json":
        write_text(path, _json.dumps(to_dict(done)) + "\n")
        return
    with replacing(path) as beside, beside.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
        rows = csv.writer(file)
        rows.writerow(["stimulus", "readout", "run", "spike_time_ms"])
        for readout, run in list_readouts(done).items():
            for name, trains in zip(run.names, run.spike_times, strict=True):
                for k, train in enumerate(trains):
                    rows.writerows((name, readout, k, f"{t:.6g}" if t < 1e3 else f"{t:.3f}") for t in train)
