"""How fast files open, against pynwb on the same files in the same run.

    python benchmarks/loading.py [--sweeps 500] [--samples 20000]
    python benchmarks/loading.py --hour [--minutes 60]

Writes an NWB file of so many current-clamp sweeps (with sweep numbers and no tables, as MIES writes them) in a folder
of its own, then measures CPU time of this process, the best of three: everything imported, the file in the page cache.
The sweep read lazily is compared with pynwb's.

--hour: what happens at the door (spikes, leak, sanity) to one sweep of that length at 0.1 ms, the training minute of
DRN164 over and over: CPU seconds, and the largest memory as a multiple of the record's (its current and voltage). A
quarter of the length stands beside it, to show that time goes with length.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from ephysfit.data import nwb_index
from ephysfit.data.contents import contents
from ephysfit.data.leaks import find_leaks
from ephysfit.data.loading import load
from ephysfit.data.quality import check_recording
from ephysfit.data.recording import Recording

RATE = 20_000.0


def written(path: Path, sweeps: int, samples: int) -> Path:
    """The file, by pynwb."""
    from pynwb import NWBHDF5IO, NWBFile
    from pynwb.icephys import CurrentClampSeries, CurrentClampStimulusSeries

    nwb = NWBFile(session_description="benchmark", identifier="x", session_start_time=datetime(2024, 1, 1, tzinfo=UTC))
    device = nwb.create_device(name="amplifier")
    electrode = nwb.create_icephys_electrode(name="0", device=device, description="pipette")
    rng, names = np.random.default_rng(0), ("C1LSCOARSE_DA_0", "C1NSSEED_1_DA_0", "C1RP25PR1S_DA_0")
    for k in range(sweeps):
        fields = {"electrode": electrode, "gain": 1.0, "rate": RATE, "starting_time": 15.0 * k,
                  "sweep_number": np.uint64(k), "stimulus_description": names[k % 3]}  # fmt: skip
        voltage = (-0.065 + 1e-4 * rng.standard_normal(samples)).astype(np.float32)
        current = (1e-12 * rng.standard_normal(samples)).astype(np.float32)
        nwb.add_acquisition(CurrentClampSeries(name=f"data_{k:05d}_AD0", data=voltage, **fields))
        nwb.add_stimulus(CurrentClampStimulusSeries(name=f"data_{k:05d}_DA0", data=current, **fields))
    with warnings.catch_warnings(), NWBHDF5IO(str(path), "w") as io:
        warnings.simplefilter("ignore")
        io.write(nwb)
    return path


def best(work: Callable[[], Any], before: Callable[[], Any] = lambda: None, times: int = 3) -> tuple[float, Any]:
    """CPU seconds of the quickest of a few runs, and what it gave."""
    seconds, value = [], None
    for _ in range(times):
        before()
        begin = time.process_time()
        value = work()
        seconds.append(time.process_time() - begin)
    return min(seconds), value


def with_pynwb(path: Path, name: str | None = None) -> Any:
    from pynwb import NWBHDF5IO

    with warnings.catch_warnings(), NWBHDF5IO(str(path), "r") as io:
        warnings.simplefilter("ignore")
        nwb = io.read()
        return len(nwb.acquisition) if name is None else nwb.acquisition[name].get_data_in_units() * 1e3


def measured(path: Path, sweeps: int) -> None:
    """The table."""
    name = f"data_{sweeps // 2:05d}_AD0"
    forget = nwb_index._INDICES.clear
    rows = {
        "pynwb: open": best(lambda: with_pynwb(path), times=1),
        "pynwb: open, one sweep": best(lambda: with_pynwb(path, name), times=1),
        "contents(path)": best(lambda: contents(path), forget),
        "load(path, sweeps=[one])": best(lambda: load(path, sweeps=[name]), forget),
        "... another of the same file": best(lambda: load(path, sweeps=[name])),
        "load(path, kind='noise'), a third": best(lambda: load(path, kind="noise"), forget, 1),
        "load(path), everything": best(lambda: load(path), forget, 1),
    }
    base = rows["pynwb: open"][0]
    print(
        f"{sweeps} sweeps, {path.stat().st_size / 1e6:.0f} MB; CPU seconds, best of three (pynwb and whole loads: one)"
    )
    for label, (seconds, _) in rows.items():
        print(f"  {label:36} {seconds:8.3f} s   {base / seconds:8.1f} x as fast as pynwb opens")
    ours, theirs = rows["load(path, sweeps=[one])"][1][0].voltage, rows["pynwb: open, one sweep"][1]
    assert np.allclose(ours, theirs), "the sweep read lazily differs from pynwb's"


def at_the_door(minutes: int) -> None:
    """CPU seconds and memory of each step on one long sweep, and the seconds on a quarter of it."""
    quarter, _ = _steps(max(minutes // 4, 1))
    whole, peak = _steps(minutes)
    print(f"one sweep of {minutes} min at 0.1 ms; CPU seconds ({minutes} min / {max(minutes // 4, 1)} min)")
    for label, seconds in whole.items():
        print(f"  {label:10} {seconds:8.1f} / {quarter[label]:.1f} s")
    print(
        f"  {'all':10} {sum(whole.values()):8.1f} / {sum(quarter.values()):.1f} s; {peak:.1f} times the record's memory"
    )


def _steps(minutes: int) -> tuple[dict[str, float], float]:
    minute = load(Path(__file__).parents[1] / "data" / "DRN164.nwb", sweeps=[0])[0]
    sweep = replace(minute, current=np.tile(minute.current, minutes), voltage=np.tile(minute.voltage, minutes),
                    spike_times=np.empty(0), spike_source="none")  # fmt: skip
    record = sweep.current.nbytes + sweep.voltage.nbytes
    before = _peak()
    recording, seconds = Recording((sweep,)), {}
    for label, work in (
        ("spikes", lambda r: r.with_spikes()),
        ("leak", lambda r: (find_leaks(r.sweeps), r)[1]),
        ("sanity", lambda r: check_recording(r)),
    ):
        begin = time.process_time()
        recording = work(recording)
        seconds[label] = time.process_time() - begin
    return seconds, 1 + (_peak() - before) / record


def _peak() -> float:
    """Most memory of this process so far, bytes."""
    return 1024.0 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sweeps", type=int, default=500)
    parser.add_argument("--samples", type=int, default=20_000)
    parser.add_argument("--hour", action="store_true")
    parser.add_argument("--minutes", type=int, default=60)
    chosen = parser.parse_args()
    if chosen.hour:
        at_the_door(chosen.minutes)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = written(Path(folder) / "many.nwb", chosen.sweeps, chosen.samples)
        with_pynwb(path)  # imports
        measured(path, chosen.sweeps)


if __name__ == "__main__":
    main()
