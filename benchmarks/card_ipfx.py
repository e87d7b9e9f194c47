"""ipfx on the pulses of the card, in an environment of its own, because ipfx pins versions that ephysfit does not.

    python benchmarks/card.py --pulses build/pulses.npz                     # in the environment of ephysfit
    python -m venv build/ipfx && build/ipfx/bin/pip install ipfx==2.1.2
    build/ipfx/bin/python benchmarks/card_ipfx.py build/pulses.npz build/ipfx.json
    python benchmarks/card.py --ipfx build/ipfx.json --write                # ipfx beside ours in docs/card.md

Every function of ipfx is called with its defaults: spikes by `SpikeFeatureExtractor` (at the first spike of a pulse),
trains by `SpikeTrainFeatureExtractor`, the membrane by `subthresh_features`. Means are over the same pulses as ours.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from ipfx import subthresh_features
from ipfx.feature_extractor import SpikeFeatureExtractor, SpikeTrainFeatureExtractor

#: Bessel filter, kHz, that ipfx applies before spikes are found, where the sampling rate allows it
FILTER = 10.0
Pulse = dict[str, Any]


def find_spikes(p: Pulse) -> Any:
    """Features of the spikes of a pulse, as a table; None where ipfx finds none."""
    rate = 1e-3 / (p["t"][1] - p["t"][0])
    low_pass = FILTER if rate > 2 * FILTER else 0.4 * rate
    found = SpikeFeatureExtractor(start=p["start"], end=p["end"], filter=low_pass).process(p["t"], p["v"], p["i"])
    return found if len(found) else None


def of_first_spike(read: Callable[[Any], float]) -> Callable[[Pulse], float]:
    """A feature of the first spike of a pulse; NaN where there is none."""

    def measure(p: Pulse) -> float:
        spikes = find_spikes(p)
        return float("nan") if spikes is None else float(read(spikes.iloc[0]))

    return measure


def of_train(name: str, factor: float = 1.0) -> Callable[[Pulse], float]:
    """A feature of the train of a pulse; NaN where ipfx has none."""

    def measure(p: Pulse) -> float:
        spikes = find_spikes(p)
        if spikes is None:
            return float("nan")
        found = SpikeTrainFeatureExtractor(p["start"], p["end"]).process(p["t"], p["v"], p["i"], spikes)
        return factor * float(found.get(name, float("nan")))

    return measure


def passive(function: Callable[..., float], factor: float = 1.0) -> Callable[[Pulse], float]:
    """A feature of the voltage below threshold."""
    return lambda p: factor * float(function(p["t"], p["v"], p["i"], p["start"], p["end"]))


def measure_baseline(p: Pulse) -> float:
    """Voltage of the 100 ms before a pulse, mV."""
    return float(subthresh_features.baseline_voltage(p["t"], p["v"], p["start"]))


def measure_resistance(p: Pulse) -> float:
    """Input resistance from one pulse and its baseline, MOhm."""
    i = p["i"] - p["holding"]
    return float(subthresh_features.input_resistance([p["t"]], [i], [p["v"]], p["start"], p["end"]))


#: measure of the card: how ipfx measures it in one pulse
FEATURES: dict[str, Callable[[Pulse], float]] = {
    "holding_potential": measure_baseline,
    "input_resistance": measure_resistance,
    "tau": passive(subthresh_features.time_constant, 1e3),
    "sag_ratio": passive(subthresh_features.sag),
    "threshold": of_first_spike(lambda s: s["threshold_v"]),
    "spike_height": of_first_spike(lambda s: s["peak_v"] - s["threshold_v"]),
    "spike_width": of_first_spike(lambda s: 1e3 * s["width"]),
    "ahp_depth": of_first_spike(lambda s: s["threshold_v"] - s["trough_v"]),
    "ahp_time": of_first_spike(lambda s: 1e3 * (s["trough_t"] - s["peak_t"])),
    "first_spike_latency": of_train("latency", 1e3),
    "max_rate": of_train("avg_rate"),
    "adaptation_index": of_train("adapt"),
    "isi_cv": of_train("isi_cv"),
}


def main(pulses: str, out: str) -> None:
    """Measure every pulse of a file, and write the means by recording and measure."""
    stored = np.load(pulses)
    found: dict[str, dict[str, float | None]] = {}
    for entry in json.loads(str(stored["index"])):
        values = []
        for p in entry["pulses"]:
            dt, v, i = (stored[f"{p['key']}_{name}"] for name in ("dt", "v", "i"))
            one = {"t": np.arange(len(v)) * float(dt) / 1e3, "v": v.astype(float), "i": i.astype(float), **p}
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    values.append(FEATURES[entry["measure"]](one))
            except Exception as error:  # ipfx raises many kinds where a feature is not there
                print(f"{entry['recording']}, {entry['measure']}: {type(error).__name__}: {error}", file=sys.stderr)
        known = [x for x in values if np.isfinite(x)]
        found.setdefault(entry["recording"], {})[entry["measure"]] = float(np.mean(known)) if known else None
    Path(out).write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:3])
