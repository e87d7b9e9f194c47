"""HEKA Patchmaster: a bundle (.dat), or samples beside their .pul and .pgf trees.

The current is a recorded trace in A, else the command of the stimulus tree where it is rebuilt exactly. A group of the
pulse tree is one cell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ephysfit import units
from ephysfit.arrays import Trace
from ephysfit.data import heka_tree
from ephysfit.data.assemble import SAME_RATE, Choice, build
from ephysfit.data.clamp_mode import CLAMP
from ephysfit.data.header import Header
from ephysfit.data.heka_stimulus import CHANNEL_MODES, rebuild_command
from ephysfit.data.heka_tree import CLIPPED, LEAK, VIRTUAL, Bundle, Node
from ephysfit.data.recording import Recording, Rejected, Sweep
from ephysfit.errors import RecordingError, StimulusError, near, some

NAME = "HEKA Patchmaster"
#: recording modes of a trace; all that are known but current clamp hold the voltage
MODES = ("inside-out", "on-cell", "outside-out", "whole-cell", "current clamp", "voltage clamp")
CURRENT_CLAMP = "current clamp"
#: units of samples: scales lead to volts and amperes, whatever prefix is shown
VOLTS, AMPS = "V", "A"
#: where the current came from, as a fact of the recording
SOURCES = {
    "given": "given as command=",
    "recorded": "a recorded trace",
    "rebuilt": "the command, rebuilt from the stimulus tree",
}


@dataclass(frozen=True)
class Played:
    """One sweep in the pulse tree.

    Attributes
    ----------
    name : str
        Numbers of its group, series and sweep, counted from 1, as Patchmaster writes them.
    stimulus : str
        Name of its stimulus, or of its series.
    node : Node
        Its record, above those of its traces.
    start : float
        Start, ms since the first sweep of the file.
    """

    name: str
    stimulus: str
    node: Node
    start: float


def recognises(path: Path) -> bool:
    """Whether a file begins with the signature of a bundle, or of samples whose trees lie beside."""
    return heka_tree.is_heka(path)


def read(
    path: Path,
    *,
    choice: Choice | None = None,
    group: str | int | None = None,
    voltage_channel: int | None = None,
    current_channel: int | None = None,
    command: npt.ArrayLike | None = None,
    use_command: bool = False,
    clamp: str | None = None,
) -> Recording:
    """Read the sweeps of one group of a Patchmaster recording.

    Parameters
    ----------
    path
        The file.
    choice
        Sweeps to read.
    group
        Label of the group, or its position counted from 0, where several hold current clamp: a group is one cell.
    voltage_channel, current_channel
        Positions among the traces of a sweep, counted from 0, where several are in V or in A.
    command
        The injected current, pA, shape (time,) or (sweep, time), if the file does not hold it but you know it.
    use_command
        Take the commanded current, rebuilt from the stimulus tree, even if a current was recorded.
    clamp
        ``"current"`` if this was current clamp whatever the file states.
    """
    choice = choice or Choice()
    bundle = heka_tree.open_bundle(path)
    groups = _list_sweeps(bundle)
    chosen = _choose_group(bundle, groups, group)
    played = groups[chosen]
    choice.check([one.name for one in played], [one.stimulus for one in played])
    taken = [(k, one) for k, one in enumerate(played) if choice.takes(k, one.name, one.stimulus)]
    _check_amount(bundle, [one for _, one in taken])
    rows = None if command is None else np.atleast_2d(np.asarray(command, dtype=np.float64))
    if rows is not None and len(rows) not in (1, len(played)):
        raise StimulusError(f"command: {len(rows)} rows for {len(played)} sweeps; give one, or one per sweep")
    sweeps, rejected, sources, modes = [], [], set(), set()
    for k, one in taken:
        try:
            volts = _find_trace(one, VOLTS, voltage_channel, "voltage")
            mode = _find_mode(bundle, one, volts)
            if clamp is None and rows is None:
                _check_mode(mode, volts)
            row = None if rows is None else rows[k if len(rows) > 1 else 0]
            sweep, source = _read_sweep(bundle, one, volts, row, current_channel, use_command)
        except RecordingError as error:
            rejected.append(Rejected(one.name, str(error)))
            continue
        sweeps.append(sweep)
        sources.add(SOURCES[source])
        modes.add(mode)
    facts = _read_facts(bundle, bundle.pulse.root.children[chosen])
    facts |= {"current": ", ".join(sorted(sources))} if sources else {}
    facts |= {CLAMP: "current clamp: recording mode of every trace"} if modes == {CURRENT_CLAMP} else {}
    cell = _name_cell(bundle, groups, chosen)
    return Recording(tuple(sweeps), cell=cell, source=path.name, rejected=tuple(rejected), facts=facts)


def contents(path: Path) -> tuple[Header, ...]:
    """List the sweeps of all groups by their records, without reading samples."""
    bundle = heka_tree.open_bundle(path)
    groups = _list_sweeps(bundle)
    return tuple(
        _make_header(bundle, one, position, _name_cell(bundle, groups, k))
        for k, played in groups.items()
        for position, one in enumerate(played)
    )


def _make_header(bundle: Bundle, one: Played, position: int, cell: str) -> Header:
    duration = step = None
    try:
        volts = _find_trace(one, VOLTS, None, "voltage")
        step = float(volts["step"]) * 1e3
        duration = volts["points"] * step
        _check_mode(_find_mode(bundle, one, volts), volts)
        refused = ""
    except RecordingError as error:
        refused = str(error)
    return Header(one.name, one.stimulus, position, "", cell, one.start, duration, step, refused)


def _list_sweeps(bundle: Bundle) -> dict[int, list[Played]]:
    """List the sweeps of each group, by the position of the group; groups without sweeps are left out."""
    nodes = bundle.pulse.root.children
    times = [sweep.fields["time"] for group in nodes for series in group.children for sweep in series.children]
    first = min((time for time in times if np.isfinite(time)), default=0.0)
    found = {
        k: [
            Played(
                f"Sweep_{k + 1}_{j + 1}_{i + 1}",
                _name_stimulus(bundle, sweep, series),
                sweep,
                (sweep.fields["time"] - first) * 1e3 if np.isfinite(sweep.fields["time"]) else 0.0,
            )
            for j, series in enumerate(group.children)
            for i, sweep in enumerate(series.children)
        ]
        for k, group in enumerate(nodes)
    }
    if not any(found.values()):
        raise RecordingError("holds no sweeps")
    return {k: played for k, played in found.items() if played}


def _name_stimulus(bundle: Bundle, sweep: Node, series: Node) -> str:
    stimuli = bundle.stimulus.root.children if bundle.stimulus else ()
    number = sweep.fields["stimulus"]
    name = stimuli[number - 1].fields["name"] if 1 <= number <= len(stimuli) else ""
    return str(name or series.fields["label"])


def _choose_group(bundle: Bundle, groups: Mapping[int, Sequence[Played]], wanted: str | int | None) -> int:
    labels = {k: str(bundle.pulse.root.children[k].fields["label"]) for k in groups}
    if wanted is None:
        usable = [k for k, played in groups.items() if any(_may_be_current_clamp(bundle, one) for one in played)]
        usable = usable or list(groups)
        if len(usable) > 1:
            listed = some([f"{k}: {labels[k]!r} ({len(groups[k])} sweeps)" for k in usable])
            raise RecordingError(
                f"{len(usable)} groups hold sweeps ({listed}), and a recording is of one cell: give group="
            )
        return usable[0]
    if isinstance(wanted, int) and wanted in groups:
        return wanted
    named = [k for k, label in labels.items() if label == wanted]
    if len(named) > 1:
        raise RecordingError(f"{len(named)} groups are called {wanted!r}: give group= by position, one of {named}")
    if not named:
        raise RecordingError(f"no group {wanted!r} with sweeps; {near(str(wanted), labels.values())}")
    return named[0]


def _may_be_current_clamp(bundle: Bundle, one: Played) -> bool:
    """Whether any voltage of a sweep was recorded in current clamp, or in a mode that is not stored."""
    fields = (trace.fields for trace in one.node.children)
    return any(said["unit"] == VOLTS and _find_mode(bundle, one, said) in ("", CURRENT_CLAMP) for said in fields)


def _name_cell(bundle: Bundle, groups: Mapping[int, object], chosen: int) -> str:
    label = bundle.pulse.root.children[chosen].fields["label"] or str(chosen)
    return f"{bundle.path.stem}_{label}" if len(groups) > 1 else bundle.path.stem


def _check_amount(bundle: Bundle, taken: Sequence[Played]) -> None:
    """Refuse traces that overlap so much that they could not have been stored: no amount of memory would do."""
    claimed = sum(heka_tree.count_bytes(trace.fields) for one in taken for trace in one.node.children)
    if claimed > bundle.end:
        raise RecordingError(f"damaged: its traces claim {claimed} bytes of samples, and there are {bundle.end}")


def _list_traces(one: Played) -> str:
    return some(
        [f"{k}: {t.fields['label']!r} in {t.fields['unit'] or 'no unit'}" for k, t in enumerate(one.node.children)]
    )


def _list_fitting(one: Played, unit: str) -> list[int]:
    """List the positions of the traces in a unit that were sampled: not computed, nor those of leak pulses."""
    traces = enumerate(trace.fields for trace in one.node.children)
    return [k for k, said in traces if said["unit"] == unit and not said["kind"] & (LEAK | VIRTUAL)]


def _find_trace(one: Played, unit: str, wanted: int | None, what: str) -> Mapping[str, Any]:
    """Find the only trace in a unit, or check the one requested."""
    fitting = _list_fitting(one, unit)
    if wanted is not None and wanted not in fitting:
        raise RecordingError(f"{what}_channel={wanted}: not a sampled trace in {unit}; traces: {_list_traces(one)}")
    if not fitting:
        raise RecordingError(f"no sampled trace is in {unit}; traces: {_list_traces(one) or 'none'}")
    if wanted is None and len(fitting) > 1:
        raise RecordingError(f"{len(fitting)} traces in {unit} ({_list_traces(one)}): give {what}_channel=")
    return one.node.children[fitting[0] if wanted is None else wanted].fields


def _find_mode(bundle: Bundle, one: Played, trace: Mapping[str, Any]) -> str:
    """Find what was clamped: the mode of the trace, else that for which its stimulus is meant, else nothing."""
    mode = int(trace["mode"])
    if mode < len(MODES):
        return MODES[mode]
    stimuli = bundle.stimulus.root.children if bundle.stimulus else ()
    number, link = one.node.fields["stimulus"], trace["output"]
    channels = stimuli[number - 1].children if 1 <= number <= len(stimuli) else ()
    meant = channels[link - 1].fields["mode"] if 1 <= link <= len(channels) else 0
    return CHANNEL_MODES[meant] if meant in (1, 2) else ""


def _check_mode(mode: str, trace: Mapping[str, Any]) -> None:
    if mode and mode != CURRENT_CLAMP:
        clamp = "" if mode == "voltage clamp" else ", which is voltage clamp"
        raise RecordingError(
            f"trace {trace['label']!r} was recorded in mode {mode!r}{clamp}; if it is current clamp all the same, give "
            "clamp='current'"
        )


def _read_sweep(
    bundle: Bundle,
    one: Played,
    volts: Mapping[str, Any],
    given: Trace | None,
    current_channel: int | None,
    use_command: bool,
) -> tuple[Sweep, str]:
    """Read a sweep; also return where its current came from."""
    for trace in one.node.children:
        _check_processing(trace.fields)
    if volts["step_unit"] not in units.TO_MS:
        raise RecordingError(f"trace {volts['label']!r} is sampled along {volts['step_unit'] or 'no unit'!r}, not time")
    amps = None
    if given is None and not use_command and (current_channel is not None or _list_fitting(one, AMPS)):
        amps = _find_trace(one, AMPS, current_channel, "current")
    voltage = heka_tree.read_samples(bundle, volts) * units.TO_MV[VOLTS]
    if given is not None:
        current, source = given, "given"
    elif amps is not None:
        _check_same_clock(volts, amps)
        current, source = heka_tree.read_samples(bundle, amps) * units.TO_PA[AMPS], "recorded"
    else:
        current, source = rebuild_command(bundle.stimulus, one.node.fields, volts, len(voltage)), "rebuilt"
    dt = float(volts["step"]) * units.TO_MS[volts["step_unit"]]
    sweep = build(current, voltage, dt, one.name, one.stimulus, one.start)
    if any(trace.fields["kind"] & CLIPPED for trace in one.node.children):
        sweep = replace(sweep, warnings=(*sweep.warnings, "the amplifier was clipping in this sweep"))
    return sweep, source


def _check_processing(trace: Mapping[str, Any]) -> None:
    """Refuse traces that are not what the cell did in one sweep."""
    if trace["averages"] > 1:
        raise RecordingError(
            f"trace {trace['label']!r} is the mean of {trace['averages']} sweeps, which no single run fits"
        )
    if trace["leaks"] > 0:
        raise RecordingError(
            f"trace {trace['label']!r} had {trace['leaks']} leak sweeps subtracted: it is not the recorded potential"
        )


def _check_same_clock(volts: Mapping[str, Any], amps: Mapping[str, Any]) -> None:
    """Refuse a current that was not sampled with the voltage."""
    same = abs(volts["step"] - amps["step"]) <= SAME_RATE * abs(volts["step"])
    late = abs(volts["offset"] + volts["begin"] - amps["offset"] - amps["begin"]) > abs(volts["step"]) / 2
    if not same or late or volts["step_unit"] != amps["step_unit"]:
        raise StimulusError(
            f"traces {volts['label']!r} and {amps['label']!r} were sampled at different times (every {volts['step']:g} "
            f"and {amps['step']:g} {volts['step_unit']}): give use_command=True, or command="
        )


def _read_facts(bundle: Bundle, group: Node) -> dict[str, str]:
    root = bundle.pulse.root.fields
    series = dict.fromkeys(str(one.fields["label"]) for one in group.children)
    facts = {
        "format": f"HEKA {bundle.version}",
        "recorded": heka_tree.describe_time(root.get("start", np.nan)),
        "group": str(group.fields["label"]),
        "series": some(series),
    }
    return {name: value for name, value in facts.items() if value}
