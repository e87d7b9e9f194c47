"""The injected current of a HEKA sweep, rebuilt from the stimulus tree where that is exact, and refused elsewhere.

Rebuilt are constant segments whose level is a number, grows by the same amount from sweep to sweep, or is the holding
current. Levels and holding of a channel in "A" are stored in nA. Where a level counts from the holding current, that
stands in the recorded trace too, there in A: the two must agree, which checks the unit in every such file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ephysfit.arrays import Trace
from ephysfit.data.heka_tree import Node, Tree
from ephysfit.errors import StimulusError

#: sizes of the records of stimuli, channels and segments in the published format
KNOWN_SIZES = (248, 400, 80)
#: levels of a channel in "A" are in nA; holding currents of traces are in A
NA, A = 1e3, 1e12
#: an analog output
ANALOG = 1
#: how a channel expects the amplifier to be
CHANNEL_MODES = ("any mode", "voltage clamp", "current clamp", "I density")
#: what a channel's flags mean; those that a rebuilt command may have are the first two
FLAGS = {
    0: "", 1: "", 2: "plays a file of samples", 3: "is used for lock-in", 4: "is used for a wavelength",
    5: "is scaled", 6: "plays a chirp", 7: "is used for imaging",
}  # fmt: skip
SCALED, RELATIVE = 1 << 0, 1 << 1
#: kinds of segments
SEGMENTS = ("constant", "ramp", "continuous", "sine wave", "square wave", "chirp")
#: how a level or a length changes from sweep to sweep
MODES = (
    "increase", "decrease", "interleaved increase", "interleaved decrease", "alternate", "logarithmic increase",
    "logarithmic decrease", "interleaved logarithmic increase", "interleaved logarithmic decrease",
    "logarithmic alternate",
)  # fmt: skip
#: a length this near a whole number of samples is one; two holding currents this near each other, pA, are one
WHOLE, SAME = 1e-3, 1e-3
GIVE = "give command= if you have the waveform in pA"


def rebuild_command(tree: Tree | None, sweep: Mapping[str, Any], trace: Mapping[str, Any], points: int) -> Trace:
    """Rebuild the commanded current of a sweep.

    Parameters
    ----------
    tree
        Stimulus tree of the file.
    sweep
        Fields of the sweep, which say which stimulus was played, for which time.
    trace
        Fields of the recorded voltage.
    points
        Number of its samples; a sweep that was stopped has fewer than its stimulus.

    Returns
    -------
    Trace
        pA, shape (time,).

    Raises
    ------
    StimulusError
        If it is not known exactly, with the reason.
    """
    stimulus = _find_stimulus(tree, sweep)
    channel = _find_channel(stimulus, trace)
    _check_stimulus(stimulus, sweep)
    _check_channel(channel)
    dt = float(trace["step"])
    late = abs(float(trace["offset"]) + float(trace["begin"]))
    if not late <= dt / 2:
        raise StimulusError(f"the trace begins {late * 1e3:g} ms apart from its stimulus: {GIVE}")
    lengths = _count_samples(channel, dt)
    first = stimulus.children[0]
    if channel is not first and not channel.fields["own_times"] and _count_samples(first, dt) != lengths:
        raise StimulusError(f"two channels of the stimulus share their times, and these differ: {GIVE}")
    levels = _find_levels(channel, int(sweep["number"]) - 1, trace)
    if points > sum(lengths):
        raise StimulusError(
            f"the trace has {points} samples and its stimulus {sum(lengths)}; what was injected behind its end is not "
            f"known: {GIVE}"
        )
    ends = np.minimum(np.cumsum(lengths), points)
    current: Trace = np.repeat(np.array(levels), np.diff(ends, prepend=0))
    return current


def _find_stimulus(tree: Tree | None, sweep: Mapping[str, Any]) -> Node:
    if tree is None:
        raise StimulusError(f"no recorded current, and the file holds no stimulus tree (.pgf): {GIVE}")
    if tuple(tree.sizes[1:]) != KNOWN_SIZES:
        raise StimulusError(
            f"no recorded current, and the stimulus tree is of another version of Patchmaster (records of "
            f"{tree.sizes[1:]} bytes, not {KNOWN_SIZES}), whose fields are not known: {GIVE}"
        )
    number, stimuli = int(sweep["stimulus"]), tree.root.children
    if not 1 <= number <= len(stimuli):
        raise StimulusError(f"the sweep played stimulus {number}, and the file holds {len(stimuli)}: {GIVE}")
    return stimuli[number - 1]


def _commands_current(channel: Node) -> bool:
    return bool(channel.fields["kind"] == ANALOG and channel.fields["unit"] == "A")


def _find_channel(stimulus: Node, trace: Mapping[str, Any]) -> Node:
    """Find the channel of the stimulus that commanded the current of a trace: the linked one, else the only one."""
    channels, link = stimulus.children, int(trace["output"])
    amps = [channel for channel in channels if _commands_current(channel)]
    units = ", ".join(repr(c.fields["unit"]) for c in channels if c.fields["kind"] == ANALOG) or "none"
    if not amps:
        raise StimulusError(
            f"no recorded current, and no analog output of stimulus {stimulus.fields['name']!r} is in A (units: "
            f"{units}): {GIVE}"
        )
    if 1 <= link <= len(channels):
        chosen = channels[link - 1]
        if not _commands_current(chosen):
            raise StimulusError(
                f"the trace belongs to output {link} of the stimulus, which commands no current in A: {GIVE}"
            )
    elif len(amps) > 1:
        raise StimulusError(f"{len(amps)} outputs of the stimulus command a current, and the trace names none: {GIVE}")
    else:
        chosen = amps[0]
    if any(other is not chosen and other.fields["number"] == chosen.fields["number"] for other in amps):
        raise StimulusError(f"several outputs of the stimulus command a current at the same converter: {GIVE}")
    return chosen


def _check_stimulus(stimulus: Node, sweep: Mapping[str, Any]) -> None:
    """Refuse a stimulus of which parts were not stored, or that something else changed."""
    said, number = stimulus.fields, int(sweep["number"])
    if not 1 <= number <= max(said["sweeps"], 1):
        raise StimulusError(f"sweep {number} of a stimulus of {said['sweeps']} sweeps: {GIVE}")
    reasons = {
        "samples of its beginning were not stored": said["first_segment"] > 0 or said["first_time"] > 0,
        "it has scan rates of its own": said.get("scan_rates"),
        "it contains a lock-in wave": said.get("lock_in"),
        "it contains a chirp": said.get("chirp"),
        "it was expanded": said.get("expanded"),
        "it was recorded without gaps": said.get("gap_free"),
        "it was handled by another program": said.get("external"),
    }
    found = [reason for reason, holds in reasons.items() if holds]
    if found:
        raise StimulusError(f"stimulus {said['name']!r} is not rebuilt: {', '.join(found)}; {GIVE}")


def _check_channel(channel: Node) -> None:
    """Refuse an output that is not known to have commanded its segments, and nothing else."""
    said = channel.fields
    mode, flags = int(said["mode"]), int(said["flags"])
    reasons = [meaning for bit, meaning in FLAGS.items() if meaning and flags >> bit & 1]
    if flags >> len(FLAGS):
        reasons.append(f"has flags of unknown meaning ({flags:#x})")
    if not flags & SCALED:
        reasons.append("is sent to the amplifier without its stimulus scale, so that its unit is not known")
    if mode not in (0, 2):
        reasons.append(f"is meant for {CHANNEL_MODES[mode] if mode < len(CHANNEL_MODES) else f'mode {mode}'}")
    if said["sine"] or said["square"] or said["chirp"]:
        reasons.append("has a sine, square or chirp wave added")
    if said["offset"]:
        reasons.append(f"has an offset of {said['offset']:g} whose unit is not known")
    if said["keeps_last"]:
        reasons.append("may change the holding current with its last segment")
    if said["breaks"]:
        reasons.append("goes on to another segment at a threshold")
    if said["other_sweep"]:
        reasons.append("takes its levels from another sweep")
    if reasons:
        raise StimulusError(f"the output that commands the current {', '.join(reasons)}: {GIVE}")


def _count_samples(channel: Node, dt: float) -> list[int]:
    """Count the samples of each segment."""
    lengths = []
    for k, segment in enumerate(channel.children, 1):
        said = segment.fields
        if said["store"] != 1:
            raise StimulusError(f"segment {k} of the stimulus was played and not stored: {GIVE}")
        if said["time_source"] or said["time_step"] or said["time_factor"] != 1:
            raise StimulusError(
                f"segment {k} of the stimulus changes its length from sweep to sweep, or takes it from a parameter, "
                f"which is not rebuilt: {GIVE}"
            )
        samples = said["time"] / dt if dt > 0 else np.nan
        if not (0 <= samples < 2**31 and abs(samples - round(samples)) <= WHOLE):
            raise StimulusError(
                f"segment {k} of the stimulus takes {said['time'] * 1e3:g} ms, no whole number of samples of "
                f"{dt * 1e3:g} ms: {GIVE}"
            )
        lengths.append(round(samples))
    return lengths


def _find_levels(channel: Node, sweep: int, trace: Mapping[str, Any]) -> list[float]:
    """Find the level of each segment in a sweep, counted from 0, in pA."""
    levels = []
    for k, segment in enumerate(channel.children, 1):
        said = segment.fields
        kind = SEGMENTS[said["kind"]] if said["kind"] < len(SEGMENTS) else f"segment of kind {said['kind']}"
        if kind != "constant":
            raise StimulusError(f"segment {k} of the stimulus is a {kind}, which is not rebuilt: {GIVE}")
        if said["level_source"] not in (0, 1):
            raise StimulusError(f"segment {k} of the stimulus takes its level from a parameter: {GIVE}")
        if said["level_source"] == 1:
            levels.append(_find_holding(channel, trace))
            continue
        if said["level_step"] or said["level_factor"] != 1:
            mode = MODES[said["level_mode"]] if said["level_mode"] < len(MODES) else f"mode {said['level_mode']}"
            if mode != "increase" or said["level_factor"] != 1:
                raise StimulusError(
                    f"the level of segment {k} changes from sweep to sweep in a way that is not rebuilt ({mode}, "
                    f"factor {said['level_factor']:g}): {GIVE}"
                )
        level = (said["level"] + sweep * said["level_step"]) * NA
        levels.append(level + (_find_holding(channel, trace) if channel.fields["flags"] & RELATIVE else 0.0))
    return levels


def _find_holding(channel: Node, trace: Mapping[str, Any]) -> float:
    """Find the holding current, pA, in which stimulus and trace must agree."""
    commanded = float(channel.fields["holding"]) * NA
    if "holding" not in trace:
        return commanded
    recorded = float(trace["holding"]) * A
    if not abs(commanded - recorded) <= max(SAME, 1e-6 * abs(commanded)):
        raise StimulusError(
            f"the holding current is {commanded:g} pA in the stimulus and {recorded:g} pA in the trace; which one was "
            f"injected is not known: {GIVE}"
        )
    return recorded
