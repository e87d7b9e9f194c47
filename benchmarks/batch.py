"""A database overnight, measured: synthetic cells as NWB, fitted by `ephysfit batch`; cost, memory, 100,000 cells.

    python benchmarks/batch.py [--cells 1000] [--model GIF] [--workers 2] [--folder DIR]

Cells are ALIF neurons drawn about the declared starts, recorded for 60 s with escape noise (42 s to fit, 3 x 6 s of
another noise to test), whatever model is fitted. The files are made once and kept in --folder (default: a folder of
the system's temporary one); the run goes on where it was stopped. CPU time is that of the workers, so it holds on a
machine that has other work; wall time does not.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import psutil

TRAIN, TEST, REPEATS = 42_000.0, 6_000.0, 3
#: recorded step, ms
DT = 0.1
#: spikes per second that the noise is set for
RATE = 8.0
#: seconds between two looks at the workers
LOOK = 1.0
#: the database a cluster is asked for
MANY = 100_000


def database(folder: Path, cells: int) -> None:
    """Write the cells that are not there yet."""
    from ephysfit.models import ALIF
    from ephysfit.synthetic import draw

    folder.mkdir(parents=True, exist_ok=True)
    missing = [k for k in range(cells) if not _file(folder, k).exists()]
    if not missing:
        return
    known = draw(ALIF, cells, seed=1, spread=0.2)
    for done, k in enumerate(missing):
        _write(_file(folder, k), known[k], k)
        if (done + 1) % 50 == 0:
            print(f"made {done + 1} of {len(missing)} files", flush=True)


def _file(folder: Path, k: int) -> Path:
    return folder / f"{k // 100:03d}" / f"cell_{k:05d}.nwb"


def _write(path: Path, cell: Any, seed: int) -> None:
    """One cell as NWB 2: current-clamp series with their stimuli, sampled as an amplifier would."""
    from pynwb import NWBHDF5IO, H5DataIO, NWBFile
    from pynwb.icephys import CurrentClampSeries, CurrentClampStimulusSeries

    from ephysfit.synthetic import recording

    made = recording(
        cell, duration=TRAIN, test_duration=TEST, repeats=REPEATS, dt=DT, rate=RATE, noise="escape", seed=seed
    )
    start = datetime(2026, 1, 1, tzinfo=UTC)
    nwb = NWBFile(session_description="synthetic cell", identifier=path.stem, session_start_time=start)
    device = nwb.create_device(name="amplifier")
    electrode = nwb.create_icephys_electrode(name="electrode", device=device, description="pipette")
    begin = 0.0
    for number, sweep in enumerate(made):
        assert sweep.voltage is not None
        trace = _shaped(sweep.voltage, sweep.spike_times)
        common = {"electrode": electrode, "gain": 1.0, "rate": 1e3 / DT, "starting_time": begin,
                  "stimulus_description": sweep.stimulus}  # fmt: skip
        volt, ampere = ((x * f).astype(np.float32) for x, f in ((trace, 1e-3), (sweep.current, 1e-12)))
        response = CurrentClampSeries(name=f"response {number}", data=H5DataIO(volt, compression="gzip"), **common)
        stimulus = CurrentClampStimulusSeries(
            name=f"stimulus {number}", data=H5DataIO(ampere, compression="gzip"), **common
        )
        nwb.add_intracellular_recording(electrode=electrode, response=response, stimulus=stimulus)
        begin += sweep.duration / 1e3 + 1.0
    path.parent.mkdir(exist_ok=True)
    partial = path.with_name(f"{path.stem}.{os.getpid()}.nwb")
    with warnings.catch_warnings(), NWBHDF5IO(partial, "w") as io:
        warnings.simplefilter("ignore")
        io.write(nwb)
    partial.replace(path)


def _shaped(voltage: np.ndarray, spikes: np.ndarray) -> np.ndarray:
    """The trace (mV) with a spike of 1 ms where the point neuron has none: detectors look for its shape."""
    steps = round(1.0 / DT)
    rise = np.concatenate([np.linspace(0.0, 1.0, steps // 2), np.linspace(1.0, 0.0, steps - steps // 2 + 1)[1:]])
    out = voltage.copy()
    for at in (spikes / DT).astype(int):
        here = slice(at, min(at + steps, len(out)))
        foot = voltage[max(at - 1, 0)]
        out[here] = foot + (20.0 - foot) * rise[: here.stop - here.start]
    return out


@dataclass(frozen=True)
class Watched:
    """What was seen of a run from outside.

    Attributes
    ----------
    wall, cpu : float
        Seconds: of the clock, and of all its processes together, the runner among them.
    idle : float
        Share of the machine's processor time that nobody used.
    memory : dict
        Per worker its resident memory (MB) at every look.
    """

    wall: float
    cpu: float
    idle: float
    memory: dict[int, list[float]]


def fitted(source: Path, run: Path, model: str, workers: int, timeout: float, options: Sequence[str] = ()) -> Watched:
    """Run `ephysfit batch` and watch it."""
    command = [sys.executable, "-m", "ephysfit", "batch", str(source), "--model", model, "--output", str(run),
               "--workers", str(workers), "--timeout", f"{timeout:g}", *options]  # fmt: skip
    began, seen, before = time.perf_counter(), defaultdict[int, list[float]](list), _spent()
    machine = psutil.cpu_times()
    with subprocess.Popen(command) as process:
        while process.poll() is None:
            for pid, mb in _memory(process.pid):
                seen[pid].append(mb)
            time.sleep(LOOK)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)}: exit code {process.returncode}")
    after = psutil.cpu_times()
    idle = (after.idle - machine.idle) / max(sum(after) - sum(machine), 1e-9)
    return Watched(time.perf_counter() - began, _spent() - before, idle, seen)


def _spent() -> float:
    """CPU seconds of all processes that this one started and that have ended, and of theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _memory(pid: int) -> Iterator[tuple[int, float]]:
    try:
        for child in psutil.Process(pid).children(recursive=True):
            if "resource_tracker" not in " ".join(child.cmdline()):
                yield child.pid, child.memory_info().rss / 2**20
    except psutil.NoSuchProcess:
        return


def results(run: Path) -> list[dict[str, Any]]:
    """What the tasks left, in the order in which they ended."""
    found = [json.loads(p.read_text(encoding="utf-8")) for p in (run / "results").rglob("*.json")]
    return sorted(found, key=lambda r: r["finished"])


def tell(rows: list[dict[str, Any]], watched: Watched, run: Path, cores: int) -> None:
    """The tables."""
    done = [r for r in rows if r["status"] == "done"]
    if not done:
        raise SystemExit("no cell was fitted; see the logs in the run")
    cpu = np.array([r["cpu_seconds"] for r in done])
    sizes = [p.stat().st_size for p in (run / "results").rglob("*.json")]
    score = [_score(r) for r in done]
    print(
        f"\n{len(rows)} cells: {len(done)} done, {len(rows) - len(done)} not; {watched.wall:.0f} s of this run's clock"
    )
    print(f"cores kept busy: {watched.cpu / watched.wall / cores:.1%} of {cores} by the run itself; "
          f"the machine was idle {watched.idle:.1%} of the time")  # fmt: skip
    print(f"CPU seconds a cell: median {np.median(cpu):.2f}, 95 % {np.quantile(cpu, 0.95):.2f}")
    hourly = 3600 / cpu.mean()
    print(f"throughput: {hourly:.0f} cells an hour and core")
    print(f"Md* (8 ms, noisy runs, held-out repeats): median {np.nanmedian(score):.2f}")
    _tell_memory(watched.memory)
    days = MANY / hourly / 24
    print(f"\n{MANY:,} such cells: {days:.1f} core days; on {cores} cores {days / cores:.2f} days, on 1,000 cores "
          f"{days * 24 / 1000:.1f} h")  # fmt: skip
    print(f"files: {MANY:,} results of {np.mean(sizes) / 1024:.0f} kB, {MANY * np.mean(sizes) / 2**30:.1f} GiB")
    began = time.process_time()
    results(run)
    each = (time.process_time() - began) / len(rows)
    print(f"reading them all back (at every resume, at collect): {each * 1e3:.2f} CPU ms each, {each * MANY:.0f} s")


def _score(row: dict[str, Any]) -> float:
    lines = row["scores"].get("noisy runs") or next(iter(row["scores"].values()))
    values = [line["value"] for line in lines if line["name"] == "md_star_8"]
    return np.nan if not values or values[0] is None else float(values[0])


def _tell_memory(seen: dict[int, list[float]]) -> None:
    """Whether memory grows: resident memory of each worker that lived long, by quarters of its life."""
    print("\nresident memory of workers, MB (median by quarter of its life)")
    for pid, values in seen.items():
        if len(values) >= 40:
            parts = [np.median(q) for q in np.array_split(np.array(values[len(values) // 20 :]), 4)]
            print(f"  {pid:>8}  " + "  ".join(f"{p:7.0f}" for p in parts) + f"   over {len(values) * LOOK:.0f} s")


def main() -> None:
    """Make, fit, tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=1000)
    parser.add_argument("--model", default="GIF")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--timeout", type=float, default=600.0)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "ephysfit_batch")
    parser.add_argument("--only-make", action="store_true", help="make the files and stop")
    given = parser.parse_args()
    source = given.folder / f"cells_{given.cells}"
    database(source, given.cells)
    if given.only_make:
        return
    run = given.folder / f"run_{given.model}_{given.cells}"
    watched = fitted(source, run, given.model, given.workers, given.timeout)
    tell(results(run), watched, run, given.workers)


if __name__ == "__main__":
    main()
