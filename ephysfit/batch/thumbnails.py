"""Thumbnails of fitted cells: some traces and spike trains of cell and model, small enough to lie in every result.

A thumbnail holds numbers, not a drawing, so that the page of a run draws it in its own colours and nothing that a
result holds can become markup. Bytes are written in base64: a trace of 120 columns takes 320 characters.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ephysfit.arrays import Trace, Train
from ephysfit.card.pulses import Pulse, find_pulses
from ephysfit.data.recording import Recording
from ephysfit.reports.evidence import Evidence
from ephysfit.reports.model_card import simulate_sweeps

#: columns of a trace; each has the lowest and the highest sample of its time
COLUMNS = 120
#: levels of a byte: a potential or a time lies in 0 to LEVELS; GAP marks a column without samples
LEVELS, GAP = 254, 255
#: most sweeps of steps, and most repeats of a noise
SWEEPS, REPEATS = 3, 6
#: time shown before and after a pulse, as a part of its length
AROUND = 0.2

CELL, MODEL = "cell", "model"


def make_thumbnail(evidence: Evidence) -> dict[str, Any]:
    """Make the thumbnail of a fit: its steps where there are pulses of several amplitudes, otherwise its test stimulus.

    Parameters
    ----------
    evidence : Evidence
        Of the fit.

    Returns
    -------
    dict
        Plain values for JSON: ``kind`` ("steps" or "noise"), ``caption``, ``range_mV`` (lowest and highest potential,
        None without a voltage), ``traces`` (whose, and `encode_trace`) and ``trains`` (whose, and `encode_train`). The
        model's potential is drawn only where it is on the cell's mV scale, that is, where the voltage was fitted too.
    """
    sides = ((evidence.test, "held out"), (evidence.train, "training"), (evidence.described, "not used by the fit"))
    for recording, role in sides:
        chosen = [] if recording is None else choose_pulses(recording)
        if len(chosen) > 1:
            return _draw_steps(evidence, chosen, role)
    return _draw_stimulus(evidence)


def choose_pulses(recording: Recording) -> list[Pulse]:
    """Choose pulses to show: the most hyperpolarising, the smallest that fires, the largest that fires.

    Parameters
    ----------
    recording : Recording
        Sweeps with or without pulses of constant current.

    Returns
    -------
    list of Pulse
        At most three, of different amplitudes, in their order; one or none where there are no steps.
    """
    pulses = sorted(find_pulses(recording.sweeps), key=lambda p: p.amplitude)
    firing = [p for p in pulses if p.amplitude > 0 and len(p.spikes)]
    wanted = [*pulses[:1], *firing[:1], *firing[-1:]] if firing else [*pulses[:1], *pulses[-1:]]
    found: list[Pulse] = []
    for pulse in wanted:
        if all(abs(pulse.amplitude - p.amplitude) > 1.0 for p in found):
            found.append(pulse)
    return found[:SWEEPS]


class _Shown(NamedTuple):
    """What is drawn of one sweep: whose it is, its potential (mV) and spikes (ms), and the stretch (ms)."""

    whose: str
    voltage: Trace | None
    dt: float
    train: Train
    span: tuple[float, float]

    def cut_voltage(self) -> Trace:
        """Potential in the stretch, mV; what lies outside the sweep is NaN."""
        assert self.voltage is not None
        first, last = (round(t / self.dt) for t in self.span)
        before, after = max(-first, 0), max(last - len(self.voltage), 0)
        inside = np.asarray(self.voltage[max(first, 0) : max(last, 0)], dtype=np.float64)
        return np.pad(inside, (before, after), constant_values=np.nan)


def _draw_steps(evidence: Evidence, pulses: Sequence[Pulse], role: str) -> dict[str, Any]:
    recorded = [p.sweep for p in pulses]
    shown = [
        _Shown(who, s.voltage, s.dt, s.spike_times, (p.begin - AROUND * p.duration, p.end + AROUND * p.duration))
        for who, sweeps in ((CELL, recorded), (MODEL, simulate_sweeps(evidence.fit, recorded)))
        for p, s in zip(pulses, sweeps, strict=True)
    ]
    amplitudes = ", ".join(f"{p.amplitude:.0f}" for p in pulses).replace("-", "−")
    return _assemble(evidence, "steps", f"steps of {amplitudes} pA, {role}", shown)


def _draw_stimulus(evidence: Evidence) -> dict[str, Any]:
    stimulus, span, dt = evidence.stimulus, evidence.stretch, evidence.readouts[evidence.single].dt
    shown = [_Shown(CELL, s.voltage, s.dt, s.spike_times, span) for s in stimulus.sweeps[:REPEATS]]
    shown.append(_Shown(MODEL, evidence.membrane(), dt, evidence.prediction, span))
    repeats = f", {stimulus.repeats} repeats" if stimulus.repeats > 1 else ""
    return _assemble(evidence, "noise", f"{(span[1] - span[0]) / 1e3:.1f} s of the test stimulus{repeats}", shown)


def _assemble(evidence: Evidence, kind: str, caption: str, shown: Sequence[_Shown]) -> dict[str, Any]:
    """Encode potentials on one scale, and the trains below them."""
    cell = [s for s in shown if s.whose == CELL and s.voltage is not None]
    model = [s for s in shown if s.whose == MODEL and s.voltage is not None and evidence.shares_units]
    # repeats of one noise cover each other: the first stands for all
    drawn = [(s.whose, s.cut_voltage()) for s in (*(cell[:1] if kind == "noise" else cell), *model)]
    known = np.concatenate([np.empty(0), *(v[np.isfinite(v)] for _, v in drawn)])
    limits = (float(known.min()), float(known.max())) if known.size else None
    return {
        "kind": kind, "caption": caption, "range_mV": None if limits is None else [round(x, 1) for x in limits],
        "traces": [[whose, encode_trace(v, limits)] for whose, v in drawn if limits],
        "trains": [[s.whose, encode_train(s.train, s.span)] for s in shown],
    }  # fmt: skip


def encode_trace(values: Trace, limits: tuple[float, float]) -> str:
    """Encode a trace as the lowest and highest sample of each of `COLUMNS` columns, one byte each.

    Parameters
    ----------
    values : (time,) array, mV
        At least two samples.
    limits : (float, float), mV
        Lowest and highest potential of the scale.

    Examples
    --------
    >>> made = base64.b64decode(encode_trace(np.linspace(-70.0, 30.0, 1200), (-70.0, 30.0)))
    >>> len(made), made[0], made[-1]
    (240, 0, 254)
    """
    low, high = limits
    edges = np.linspace(0, len(values), COLUMNS + 1).astype(int)
    out = np.full((COLUMNS, 2), GAP, dtype=np.uint8)
    for k, (a, b) in enumerate(zip(edges[:-1], np.maximum(edges[1:], edges[:-1] + 1), strict=True)):
        part = values[a:b]
        part = part[np.isfinite(part)]
        if part.size:
            share = (np.array([part.min(), part.max()]) - low) / max(high - low, 1e-9)
            out[k] = np.clip(np.round(LEVELS * share), 0, LEVELS)
    return base64.b64encode(out.tobytes()).decode()


def encode_train(train: Train, span: tuple[float, float]) -> str:
    """Encode the spikes in a stretch, one byte each: 0 at its beginning, `LEVELS` at its end.

    Examples
    --------
    >>> list(base64.b64decode(encode_train(np.array([10.0, 60.0, 500.0]), (10.0, 110.0))))
    [0, 127]
    """
    start, stop = span
    inside = np.asarray(train)[(np.asarray(train) >= start) & (np.asarray(train) < stop)]
    places = np.unique(np.floor((inside - start) / (stop - start) * LEVELS).astype(np.uint8))
    return base64.b64encode(places.tobytes()).decode()


def is_thumbnail(found: object) -> bool:
    """Whether a value of a result is a thumbnail that a page can draw."""
    if not isinstance(found, Mapping) or not isinstance(found.get("caption"), str):
        return False
    pairs = [*found.get("traces", ()), *found.get("trains", ())]
    return all(len(p) == 2 and p[0] in (CELL, MODEL) and isinstance(p[1], str) for p in pairs)
