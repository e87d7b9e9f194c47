"""Preparing what a reader found for a fit: spikes, test pulses, leaking currents, junction potential, quality."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ephysfit.arrays import Trace
from ephysfit.data import seal_pulses, stimulus_kinds
from ephysfit.data.assemble import Choice
from ephysfit.data.clamp_mode import drop_voltage_clamp
from ephysfit.data.depolarisation_block import refuse_blocked, warn_of_blocks
from ephysfit.data.leaks import Leak, find_leaks, find_spike_samples, find_step_levels
from ephysfit.data.padding import remove_padding
from ephysfit.data.quality import check_recording
from ephysfit.data.recording import Recording, Rejected, Sweep
from ephysfit.data.registry import find_reader, read_file
from ephysfit.data.request import Request
from ephysfit.data.rules import Removed
from ephysfit.data.sides import Sides, cut_to_training_part, find_sides
from ephysfit.data.source import File
from ephysfit.errors import RecordingError

#: option by which a reader returns the commanded current although another was recorded
COMMAND = "use_command"


def prepare_recording(found: Recording, request: Request, file: File | None) -> Recording:
    """Prepare a recording: each step is documented in the notes and warnings of the sweeps.

    Parameters
    ----------
    found
        The recording as read, with spikes not detected yet.
    request
        The options of `load`.
    file
        File from which a commanded current can be read; None for objects in memory.
    """
    recording = _select_kind(found, request.choice.kind)
    if request.padding == "cut":
        recording = remove_padding(recording)
    if request.clamp is None:
        recording = drop_voltage_clamp(recording, find_sides(recording, request.train, request.test))
    recording = add_spikes(recording, request.spikes, bool((request.options or {}).get("planned")))
    leaks = _find_leaks_by_side(recording, find_sides(recording, request.train, request.test))
    if leaks and request.leak != "keep":
        recording, leaks = _replace_leaks(recording, leaks, request, file), {}
    if request.test_pulse == "mask":
        sides = find_sides(recording, request.train, request.test)
        recording = seal_pulses.mask_test_pulses(recording, sides)
    handle = refuse_blocked if request.block == "refuse" else warn_of_blocks
    recording = handle(recording, find_sides(recording, request.train, request.test))
    recording = _subtract_junction_potential(recording, request.junction_potential)
    asked = {
        "spikes": request.spikes if isinstance(request.spikes, str) else dict(request.spikes),
        "test_pulse": request.test_pulse,
        "leak": request.leak,
        "padding": request.padding,
        "clamp": request.clamp,
        "block": request.block,
        "junction_potential_mV": request.junction_potential,
    }
    return check_recording(replace(recording, loaded={**recording.loaded, **asked}), leaks)


def _find_leaks_by_side(recording: Recording, sides: Sides) -> dict[int, Leak]:
    """Find the leaking sweeps of each side by itself; of sweeps whose end is the test, by what comes before it."""
    found: dict[int, Leak] = {}
    for side in sides.both:
        judged = find_leaks(cut_to_training_part([recording.sweeps[k] for k in side], sides))
        found |= {side[k]: leak for k, leak in judged.items()}
    return dict(sorted(found.items()))


def _select_kind(recording: Recording, kind: str | None) -> Recording:
    """Select the sweeps of a kind, judged by the waveform where the name gives no kind."""
    if kind is None or all(stimulus_kinds.is_of_kind(sweep.kind, kind) for sweep in recording.sweeps):
        return recording
    return recording.select(kind=kind)


def add_spikes(recording: Recording, spikes: str | Mapping[str, Any], planned: bool = False) -> Recording:
    """Take or detect spikes as requested of `load`; planned currents that were never injected have none.

    Parameters
    ----------
    recording
        The recording.
    spikes
        As for `load`.
    planned
        Whether currents without a response are accepted.
    """
    if planned and spikes in ("auto", "given"):
        unrecorded = [sweep.voltage is None and sweep.spike_source == "none" for sweep in recording.sweeps]
        if all(unrecorded):
            return recording
    if not isinstance(spikes, str):
        return recording.with_spikes(**spikes)
    if spikes == "detect":
        return recording.with_spikes()
    missing = [sweep for sweep in recording.sweeps if sweep.spike_source == "none"]
    if not missing:
        return recording
    if spikes == "given":
        raise RecordingError(
            f"{recording.source}: sweep {missing[0].name!r} has no spike times in the file; give spikes='detect'"
        )
    return recording.with_spikes(only="none")


def _replace_leaks(recording: Recording, leaks: Mapping[int, Leak], request: Request, file: File | None) -> Recording:
    """Replace the current of sweeps where it follows the spikes, or reject them."""
    names = [recording.sweeps[k].name for k in leaks]
    commands = _read_commands(file, request, names) if request.leak == "replace" else {}
    kept, rejected = [], list(recording.rejected)
    for k, sweep in enumerate(recording.sweeps):
        if k not in leaks:
            kept.append(sweep)
            continue
        found = _take_step_levels(sweep) if request.leak == "step" else _take_command(sweep, commands.get(sweep.name))
        if isinstance(found, Sweep):
            kept.append(replace(found, notes=(*sweep.notes, f"{leaks[k]}; {found.notes[-1]}")))
        else:
            lost = f"{len(sweep.spike_times)} spikes in {sweep.duration / 1e3:g} s are lost"
            rejected.append(Rejected(sweep.name, f"{leaks[k]}; {found} ({lost})"))
    return replace(recording, sweeps=tuple(kept), rejected=tuple(rejected))


def _take_command(sweep: Sweep, command: Sweep | str | None) -> Sweep | str:
    """Take the command in place of a recorded current, shifted by the recorded holding current; or explain why not."""
    if not isinstance(command, Sweep) or command.steps != sweep.steps:
        why = command if isinstance(command, str) else "the file holds no commanded current to take instead"
        ways = "leak='keep' takes it all the same"
        if find_step_levels(sweep.current, sweep.dt, find_spike_samples(sweep)) is not None:
            ways = f"leak='step' takes the levels of its steps instead, {ways}"
        return f"{why}; {ways}"
    holding = float(np.median(sweep.current - command.current))
    note = f"the commanded current is taken instead, with the recorded offset of {holding:.1f} pA"
    return _replace_current(sweep, command.current + holding, note)


def _take_step_levels(sweep: Sweep) -> Sweep | str:
    """Take the levels of a current in steps in place of it; or explain why not."""
    levels = find_step_levels(sweep.current, sweep.dt, find_spike_samples(sweep))
    if levels is None:
        return "leak='step' takes the levels of steps, and this current does not move in steps"
    return _replace_current(sweep, levels, "the levels of its steps are taken instead")


def _replace_current(sweep: Sweep, current: Trace, note: str) -> Sweep:
    took = Removed("leak", int(np.count_nonzero(current != sweep.current)), "samples")
    return replace(sweep, current=current, notes=(*sweep.notes, note), removed=(*sweep.removed, took))


def _read_commands(file: File | None, request: Request, names: list[str]) -> dict[str, Sweep | str]:
    """Read the commanded current of each sweep, cut like the sweep itself, or explain why there is none."""
    if file is None or COMMAND not in find_reader(file).options:
        return {}
    try:
        found = read_file(file, Choice(tuple(names)), {**(request.options or {}), COMMAND: True})
        found = remove_padding(found) if request.padding == "cut" else found
    except RecordingError as error:
        return dict.fromkeys(names, str(error))
    return {sweep.name: sweep for sweep in found.sweeps}


def _subtract_junction_potential(recording: Recording, potential: float | None) -> Recording:
    """Subtract the liquid junction potential from the voltages, if one is given."""
    if not potential:
        return recording
    note = f"liquid junction potential of {potential:g} mV taken off"
    sweeps = [
        s if s.voltage is None else replace(s, voltage=s.voltage - potential, notes=(*s.notes, note))
        for s in recording.sweeps
    ]
    electrode = {**recording.electrode, "liquid_junction_potential_mV": float(potential)}
    return replace(recording, sweeps=tuple(sweeps), electrode=electrode)
