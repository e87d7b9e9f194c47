"""The card beside eFEL and ipfx, on every recording of current steps at hand, and what the definitions are.

    python benchmarks/card.py                   # print the tables, some seconds
    python benchmarks/card.py --write           # put them into docs/card.md
    python benchmarks/card.py --pulses FILE     # write the pulses for benchmarks/card_ipfx.py, which says how
    python benchmarks/card.py --ipfx FILE       # the table of ipfx too, from what card_ipfx.py wrote

eFEL (`pip install 'ephysfit[features]'`) measures each pulse that the card uses, with its own spikes (peaks above -20
mV), its own threshold (dV/dt above 10 mV/ms) and its defaults, but for spikes outside the pulse, which are left out
(`strict_stiminterval`), and the first interval, which counts as in ours (`ignore_first_ISI` off). The mean over the
same pulses stands beside ours. What the two define differently is named in docs/card.md, next to the formula.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import efel
import numpy as np

import ephysfit as ef
from ephysfit.card.firing import ENOUGH, choose_usual
from ephysfit.card.measures import DEFINITIONS, format_number
from ephysfit.card.pulses import Pulse, find_pulses
from ephysfit.card.spike_shape import choose_spikes
from ephysfit.card.step_response import choose_small
from ephysfit.data.recording import Recording
from ephysfit.errors import EphysfitError
from ephysfit.files import write_text

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared" / "data"
PAGE = ROOT / "docs" / "card.md"
#: measure of the card: feature of eFEL, and the pulses that it is read from
FEATURES = {
    "holding_potential": ("voltage_base", "all"),
    "steady_resistance": ("ohmic_input_resistance_vb_ssse", "small"),
    "tau": ("time_constant", "small"),
    "sag_ratio": ("sag_ratio1", "deepest"),
    "threshold": ("AP_begin_voltage", "spikes"),
    "spike_height": ("AP_amplitude", "spikes"),
    "spike_width": ("AP_duration_half_width", "spikes"),
    "ahp_depth": ("fast_AHP", "spikes"),
    "ahp_time": ("AHP_time_from_peak", "spikes"),
    "first_spike_latency": ("time_to_first_spike", "smallest"),
    "max_rate": ("mean_frequency", "fastest"),
    "adaptation_index": ("adaptation_index2", "trains"),
    "isi_cv": ("ISI_CV", "trains"),
}


def recordings() -> Iterator[tuple[str, Recording]]:
    """Recordings of steps, by name."""
    for path in [*sorted((SHARED / "abf").glob("*.abf")), *sorted((SHARED / "raphe").glob("*/current_steps.abf")),
                 *sorted((SHARED / "nwb").glob("*.nwb"))]:  # fmt: skip
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = ef.load(path)
        except EphysfitError:
            continue
        if find_pulses(found.sweeps):
            yield path.parent.name if path.stem == "current_steps" else path.stem, found


def choose(recording: Recording) -> dict[str, list[Pulse]]:
    """The pulses that each measure of the card is read from."""
    pulses = find_pulses(recording.sweeps)
    up = choose_usual(pulses)
    firing = [p for p in up if len(p.spikes)]
    smallest = min((p.amplitude for p in firing), default=0.0)
    fastest = max((p.rate for p in firing), default=0.0)
    spiking = {(id(c.sweep), c.end) for c in choose_spikes(recording.sweeps, pulses)[0]}
    down = [p for p in pulses if p.amplitude < 0 and np.isfinite(p.baseline)]
    lowest = {
        id(p): float(np.nanmin(p.sweep.voltage[round(p.begin / p.sweep.dt) : round(p.end / p.sweep.dt)])) for p in down
    }
    nearest = min(down, key=lambda p: abs(lowest[id(p)] + 100.0), default=None)
    return {
        "all": [p for p in pulses if np.isfinite(p.baseline)],
        "small": choose_small(pulses)[0],
        "deepest": [p for p in down if nearest and abs(p.amplitude / nearest.amplitude - 1.0) <= 0.05],
        "spikes": [p for p in pulses if (id(p.sweep), p.end) in spiking],
        "smallest": [p for p in firing if p.amplitude - smallest < 1.5],
        "fastest": [p for p in firing if p.rate == fastest],
        "trains": [p for p in pulses if len(p.spikes) >= ENOUGH and p.amplitude > 0],
    }  # fmt: skip


def read_feature(pulses: Sequence[Pulse], feature: str) -> float:
    """A feature of eFEL, mean over pulses of its first value in each."""
    efel.reset()
    efel.set_setting("strict_stiminterval", True)
    efel.set_setting("ignore_first_ISI", False)
    traces = [
        {"T": p.sweep.times, "V": p.sweep.voltage, "stim_start": [p.begin], "stim_end": [p.end],
         "stimulus_current": [p.amplitude / 1e3]}
        for p in pulses
    ]  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = efel.get_feature_values(traces, [feature])
    values = [float(f[feature][0]) for f in found if f[feature] is not None and len(f[feature])]
    return float(np.mean(values)) if values else float("nan")


def compare() -> str:
    """Ours and eFEL's, a row per measure and a column per recording."""
    found = list(recordings())
    rows = [f"| measure (eFEL feature) | {' | '.join(name for name, _ in found)} |", f"|---|{'---:|' * len(found)}"]
    cards = [ef.describe(recording) for _, recording in found]
    pulses = [choose(recording) for _, recording in found]
    for name, (feature, which) in FEATURES.items():
        cells = []
        for card, chosen in zip(cards, pulses, strict=True):
            ours, theirs = card[name].value, read_feature(chosen[which], feature)
            cells.append(f"{_show(ours)} · {_show(theirs)}")
        d = DEFINITIONS[name]
        rows.append(f"| {d.label}{f', {d.unit}' if d.unit else ''} (`{feature}`) | {' | '.join(cells)} |")
    return "\n".join(rows)


#: measure of the card: how ipfx calls it, and the pulses that it is read from
IPFX = {
    "holding_potential": ("v_baseline", "all"),
    "input_resistance": ("input_resistance", "hyperpolarising"),
    "tau": ("tau", "hyperpolarising"),
    "sag_ratio": ("sag", "deepest"),
    "threshold": ("threshold_v", "spikes"),
    "spike_height": ("peak_v - threshold_v", "spikes"),
    "spike_width": ("width", "spikes"),
    "ahp_depth": ("threshold_v - trough_v", "spikes"),
    "ahp_time": ("trough_t - peak_t", "spikes"),
    "first_spike_latency": ("latency", "smallest"),
    "max_rate": ("avg_rate", "fastest"),
    "adaptation_index": ("adapt", "trains"),
    "isi_cv": ("isi_cv", "trains"),
}


def write_pulses(path: Path) -> None:
    """Write the pulses of every measure for ipfx: current, voltage and step, with an index in JSON."""
    arrays: dict[str, Any] = {}
    index = []
    for k, (name, recording) in enumerate(recordings()):
        groups = choose(recording)
        groups["hyperpolarising"] = [p for p in groups["small"] if p.amplitude < 0]
        for measure, (_, which) in IPFX.items():
            pulses = []
            for p in groups[which]:
                if p.sweep.voltage is None:
                    continue
                key = f"r{k}_{p.position}"
                arrays |= {f"{key}_v": np.float32(p.sweep.voltage), f"{key}_i": np.float32(p.sweep.current),
                           f"{key}_dt": p.sweep.dt}  # fmt: skip
                pulses.append({"key": key, "start": p.begin / 1e3, "end": p.end / 1e3, "holding": p.holding})
            index.append({"recording": name, "measure": measure, "pulses": pulses})
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, index=json.dumps(index), **arrays)


def compare_with_ipfx(path: Path) -> str:
    """Ours and ipfx's, a row per measure and a column per recording."""
    theirs = json.loads(path.read_text(encoding="utf-8"))
    found = list(recordings())
    cards = {name: ef.describe(recording) for name, recording in found}
    rows = [f"| measure (ipfx feature) | {' | '.join(cards)} |", f"|---|{'---:|' * len(cards)}"]
    for measure, (feature, _) in IPFX.items():
        cells = [f"{_show(card[measure].value)} · {_show(theirs[name][measure])}" for name, card in cards.items()]
        d = DEFINITIONS[measure]
        rows.append(f"| {d.label}{f', {d.unit}' if d.unit else ''} (`{feature}`) | {' | '.join(cells)} |")
    return "\n".join(rows)


def _show(value: float | None) -> str:
    return "–" if value is None or not np.isfinite(value) else format_number(value)


def list_definitions() -> str:
    """Every measure: name in the JSON, unit, formula, source, how its interval is made."""
    rows = ["| measure | name | unit | formula | defined so by | 95 % interval |", "|---|---|---|---|---|---|"]
    rows += [
        f"| {d.label} | `{name}` | {d.unit or '1'} | {d.formula} | {d.source} | {d.interval} |"
        for name, d in DEFINITIONS.items()
    ]
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="put the tables into docs/card.md")
    parser.add_argument("--pulses", type=Path, metavar="FILE", help="write the pulses for benchmarks/card_ipfx.py")
    parser.add_argument("--ipfx", type=Path, metavar="FILE", help="what benchmarks/card_ipfx.py made of them")
    given = parser.parse_args()
    if given.pulses is not None:
        write_pulses(given.pulses)
        return
    tables = {"definitions": list_definitions(), "efel": compare()}
    if given.ipfx is not None:
        tables["ipfx"] = compare_with_ipfx(given.ipfx)
    print("\n\n".join(tables.values()))
    if given.write:
        text = PAGE.read_text(encoding="utf-8")
        for name, table in tables.items():
            before, _, rest = text.partition(f"<!-- {name} -->")
            text = f"{before}<!-- {name} -->\n{table}\n<!-- /{name} -->{rest.partition(f'<!-- /{name} -->')[2]}"
        write_text(PAGE, text)


if __name__ == "__main__":
    main()
