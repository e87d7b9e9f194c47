"""Spike detection against eFEL, on every current-clamp file at hand, as recorded and made hard.

    python benchmarks/spikes.py [FILE ...]

Without files: those of ../shared/data where it lies beside the checkout, else the shipped cells. Each sweep is searched
by `find_spikes` and by eFEL (peaks above its threshold, -20 mV as it comes); peaks within 2 ms are one spike. The lag
is that of eFEL's onsets (AP_begin_time) behind ours. *shrunken* is the same voltage, 35 % of it around -50 mV: a cell
seen through a bad electrode, peaking below -10 mV; the truth is then what each found in the voltage as recorded.
Seconds are CPU time of this process.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ephysfit.data.loading import load
from ephysfit.data.recording import Sweep
from ephysfit.data.spikes import find_spikes
from ephysfit.errors import RecordingError

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared" / "data"
#: spikes this near are the same, ms
SAME = 2.0
SMALL, AROUND = 0.35, -50.0


def ours(sweep: Sweep, voltage: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Peaks and onsets, ms."""
    found = find_spikes(voltage, sweep.dt, current=sweep.current)
    return found.peak_times, found.times


def theirs(sweep: Sweep, voltage: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Peaks and onsets by eFEL, ms; it does not give an onset for every peak."""
    import efel

    trace = {"T": sweep.times, "V": voltage, "stim_start": [0.0], "stim_end": [sweep.duration]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (found,) = efel.get_feature_values([trace], ["peak_time", "AP_begin_time"])
    peaks, onsets = (np.asarray([] if v is None else v) for v in (found["peak_time"], found["AP_begin_time"]))
    return peaks, onsets


@dataclass
class Count:
    """What two lists of spikes share."""

    both: int = 0
    first: int = 0
    second: int = 0
    lags: list[float] = field(default_factory=list)

    def add(self, a: np.ndarray, b: np.ndarray) -> None:
        pairs = match(a, b)
        self.both += len(pairs)
        self.first += len(a) - len(pairs)
        self.second += len(b) - len(pairs)


def match(a: np.ndarray, b: np.ndarray) -> list[tuple[int, int]]:
    """Pairs of spikes within `SAME`, each used once, in order of time."""
    pairs, j = [], 0
    for i, t in enumerate(a):
        while j < len(b) and b[j] < t - SAME:
            j += 1
        if j < len(b) and abs(b[j] - t) <= SAME:
            pairs.append((i, j))
            j += 1
    return pairs


@dataclass
class Line:
    """One file: ours against eFEL, and both on the shrunken voltage against the voltage as recorded."""

    name: str
    sweeps: int = 0
    agree: Count = field(default_factory=Count)
    small_ours: Count = field(default_factory=Count)
    small_efel: Count = field(default_factory=Count)
    seconds: list[float] = field(default_factory=lambda: [0.0, 0.0])


def compared(path: Path) -> Line:
    """The comparison on one file."""
    line = Line(f"{path.parent.name}/{path.name}")
    for sweep in load(path):
        if sweep.voltage is None:
            continue
        line.sweeps += 1
        small = AROUND + SMALL * (sweep.voltage - AROUND)
        a, begins = _timed(line, 0, ours, sweep, sweep.voltage)
        b, starts = _timed(line, 1, theirs, sweep, sweep.voltage)
        line.agree.add(a, b)
        line.agree.lags += [float(starts[j] - begins[i]) for i, j in match(begins, starts)]
        line.small_ours.add(a, ours(sweep, small)[0])
        line.small_efel.add(b, theirs(sweep, small)[0])
    return line


def _timed(line: Line, k: int, find: Callable[..., Any], *arguments: object) -> Any:
    begin = time.process_time()
    found = find(*arguments)
    line.seconds[k] += time.process_time() - begin
    return found


def files() -> list[Path]:
    """Every current-clamp file at hand."""
    shared = [p for kind in ("*.abf", "*.nwb") for p in sorted(SHARED.rglob(kind))] if SHARED.is_dir() else []
    return shared or sorted((ROOT / "data").glob("*.nwb"))


def main(paths: list[Path]) -> None:
    above = f"{'spikes found by':^27}  {'eFEL onset':>16}   {'shrunken: lost + made up':^24}  {'CPU s':^13}"
    below = f"{'later by, ms':>16}   {'ours':>16} {'eFEL':>7}  {'ours':>7} {'eFEL':>5}"
    print(f"{'':46} {'':6} {above}\n{'file':46} sweeps   both only ours  only eFEL  {below}")
    total, small_ours, small_efel = Count(), [0, 0], [0, 0]
    for path in paths:
        try:
            line = compared(path)
        except RecordingError as error:
            print(f"{path.parent.name}/{path.name}: refused ({str(error)[:80]}...)")
            continue
        a, so, se = line.agree, line.small_ours, line.small_efel
        lag = f"{np.median(a.lags):+.2f} ± {np.std(a.lags):.2f}" if a.lags else "-"
        print(
            f"{line.name[-46:]:46} {line.sweeps:6} {a.both:6} {a.first:9} {a.second:10}  {lag:>16}   "
            f"{so.first + so.second:16} {se.first + se.second:7}  {line.seconds[0]:7.2f} {line.seconds[1]:5.2f}"
        )
        total.both, total.first, total.second = total.both + a.both, total.first + a.first, total.second + a.second
        small_ours = [small_ours[0] + so.first, small_ours[1] + so.second]
        small_efel = [small_efel[0] + se.first, small_efel[1] + se.second]
    print(f"all: {total.both} spikes in both, {total.first} only ours, {total.second} only eFEL; shrunken: ours loses "
          f"{small_ours[0]} and invents {small_ours[1]}, eFEL at its own threshold loses {small_efel[0]} and invents "
          f"{small_efel[1]}")  # fmt: skip


if __name__ == "__main__":
    main([Path(p) for p in sys.argv[1:]] or files())
