"""Axon ABF 1 and 2: samples through neo; a commanded waveform through pyabf, only where it is rebuilt exactly.

Channels are identified by unit, never by name, because labs rename them. A recorded current is preferred to a command.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np
import numpy.typing as npt

from ephysfit import units
from ephysfit.arrays import Trace
from ephysfit.data.assemble import Choice, build
from ephysfit.data.clamp_mode import CLAMP
from ephysfit.data.header import Header
from ephysfit.data.readers import abf_mode
from ephysfit.data.readers.abf_mode import COMMANDS, EPISODIC, Mode, Output
from ephysfit.data.recording import Recording, Rejected, Sweep
from ephysfit.errors import RecordingError, StimulusError, needed

NAME = "ABF"
MAGIC = (b"ABF ", b"ABF2")
#: ABF 2 lists its 18 sections after 76 bytes, as (block of 512 bytes, bytes an entry, entries)
SECTIONS_AT, SECTIONS = 76, 18
#: those of samples and of sweep times may be long, the others describe channels, epochs, tags ...
LONG, MOST_ENTRIES = (10, 15), 20_000
#: epoch types whose rebuilt waveform agrees with recorded ones; the others are refused
EPOCHS = {0: "off", 1: "step", 2: "ramp", 3: "pulse train"}
OTHER_EPOCHS = {4: "triangle train", 5: "cosine train", 6: "resistance test", 7: "biphasic train"}


def recognises(path: Path) -> bool:
    """Whether a file begins with the signature of ABF."""
    with path.open("rb") as file:
        return file.read(4) in MAGIC


def read(
    path: Path,
    *,
    choice: Choice | None = None,
    voltage_channel: int | None = None,
    current_channel: int | None = None,
    command: npt.ArrayLike | None = None,
    use_command: bool = False,
    clamp: str | None = None,
) -> Recording:
    """Read the sweeps of an ABF file.

    Parameters
    ----------
    path
        The file.
    choice
        Sweeps to read.
    voltage_channel, current_channel
        Positions of the channels, counted from 0, where several have a unit of voltage or of current.
    command
        The injected current, pA, shape (time,) or (sweep, time), if the file does not hold it but you know it.
    use_command
        Take the commanded current, rebuilt from the protocol, even if a current was recorded.
    clamp
        ``"current"`` if this was current clamp whatever the header states.
    """
    choice = choice or Choice()
    reader = _open_file(path)
    channels = [(str(c["units"]), str(c["name"])) for c in reader.header["signal_channels"]]
    volts = _find_channel(channels, units.TO_MV, voltage_channel, "voltage")
    amps = None if use_command else _find_channel(channels, units.TO_PA, current_channel, "current")
    mode = abf_mode.find_mode(reader._axon_info, path, (volts, amps))
    if clamp is None and command is None:
        _check_mode(mode, recorded=amps is not None)
    if volts is None:
        raise RecordingError(f"no channel has a unit of voltage; channels: {_list_channels(channels)}")
    dt = 1e3 / float(reader.get_signal_sampling_rate(stream_index=0))
    stimulus = PureWindowsPath(str(_decode_text(reader._axon_info.get("sProtocolPath")))).stem
    names = [f"sweep_{k:03d}" for k in range(reader.segment_count(0))]
    choice.check(names, [stimulus])
    current = _find_current(reader, path, amps, command)
    sweeps, rejected = [], []
    for k, name in enumerate(names):
        if choice.takes(k, name, stimulus):
            try:
                sweeps.append(_read_sweep(reader, k, volts, current, dt, name, stimulus))
            except RecordingError as error:
                rejected.append(Rejected(name, str(error)))
    return Recording(
        tuple(sweeps),
        cell=path.stem,
        source=path.name,
        rejected=tuple(rejected),
        facts=_read_facts(reader, channels) | _describe_clamp(mode),
    )


def contents(path: Path) -> tuple[Header, ...]:
    """List the sweeps by the header, without reading samples."""
    reader = _open_file(path)
    stimulus = PureWindowsPath(str(_decode_text(reader._axon_info.get("sProtocolPath")))).stem
    rate = float(reader.get_signal_sampling_rate(stream_index=0))
    dt, cell = 1e3 / rate, path.stem
    clocks = [
        (float(reader.segment_t_start(0, k)), reader.get_signal_size(0, k, 0)) for k in range(reader.segment_count(0))
    ]
    rows = [(f"sweep_{k:03d}", stimulus, k, "", cell, 1e3 * t, n * dt, dt) for k, (t, n) in enumerate(clocks)]
    return tuple(Header(*row) for row in rows)


def _open_file(path: Path) -> Any:
    from neo.rawio import AxonRawIO  # half a second, and only for this format

    _check_sections(path)
    reader = AxonRawIO(str(path))
    reader.parse_header()
    if not len(reader.header["signal_channels"]) or not reader.segment_count(0):
        raise RecordingError("holds no samples")
    return reader


def _check_sections(path: Path) -> None:
    """Refuse an ABF 2 file whose sections do not fit in it: parsers would loop over billions of entries."""
    with path.open("rb") as file:
        head = file.read(SECTIONS_AT + SECTIONS * 16)
    if not head.startswith(b"ABF2"):
        return
    there = path.stat().st_size
    for k, (block, size, count) in enumerate(struct.iter_unpack("<IIq", head[SECTIONS_AT:])):
        endless = count > 0 and (not block or not size or (k not in LONG and count > MOST_ENTRIES))
        if count < 0 or endless or block * 512 + size * count > there:
            raise RecordingError(
                f"truncated or damaged: a section of {count} x {size} bytes does not fit in {there} bytes"
            )


def _decode_text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value or "")


def _list_channels(channels: list[tuple[str, str]]) -> str:
    return ", ".join(f"{k}: {name!r} in {unit or 'no unit'}" for k, (unit, name) in enumerate(channels))


def _find_channel(
    channels: list[tuple[str, str]], known: dict[str, float], wanted: int | None, what: str
) -> int | None:
    """Find the only channel with a unit of this kind, or check the one requested."""
    fitting = [k for k, (unit, _) in enumerate(channels) if unit in known]
    if wanted is not None:
        if wanted not in fitting:
            raise RecordingError(
                f"{what}_channel={wanted}: not a channel in a unit of {what}; channels: {_list_channels(channels)}"
            )
        return wanted
    if len(fitting) > 1:
        raise RecordingError(
            f"{len(fitting)} channels in a unit of {what} ({_list_channels(channels)}): give {what}_channel="
        )
    return fitting[0] if fitting else None


def _read_signal(reader: Any, segment: int, channel: int, known: dict[str, float]) -> Trace:
    """Read one channel of one sweep, in pA or mV."""
    raw = reader.get_analogsignal_chunk(
        block_index=0, seg_index=segment, stream_index=0, channel_indexes=np.array([channel])
    )
    facts = reader.header["signal_channels"][channel]
    factor = known[str(facts["units"])]
    values: Trace = (raw[:, 0].astype(np.float64) * float(facts["gain"]) + float(facts["offset"])) * factor
    return values


def _read_sweep(
    reader: Any, k: int, volts: int, current: Callable[[int], Trace], dt: float, name: str, stimulus: str
) -> Sweep:
    sweep = build(current(k), _read_signal(reader, k, volts, units.TO_MV), dt, name, stimulus)
    return replace(sweep, start=float(reader.segment_t_start(0, k)) * 1e3)


def _find_current(reader: Any, path: Path, amps: int | None, command: npt.ArrayLike | None) -> Callable[[int], Trace]:
    """Find the source of the current of each sweep: given, recorded, or rebuilt."""
    if command is not None:
        rows = np.atleast_2d(np.asarray(command, dtype=np.float64))
        if len(rows) not in (1, reader.segment_count(0)):
            raise StimulusError(
                f"command: {len(rows)} rows for {reader.segment_count(0)} sweeps; give one, or one per sweep"
            )
        return lambda k: rows[k if len(rows) > 1 else 0]
    if amps is not None:
        return lambda k: _read_signal(reader, k, amps, units.TO_PA)
    return _rebuild_command(path)


def _rebuild_command(path: Path) -> Callable[[int], Trace]:
    """Rebuild the commanded current, pA, of each sweep from the protocol in the file."""
    info = _open_file(path)._axon_info
    output = _find_commanding_output(abf_mode.read_outputs(info, path))
    if "listDACInfo" not in info:
        raise StimulusError(
            f"no recorded current; {output} commanded one, and the command of an ABF 1 file is not rebuilt reliably: "
            "give command= if you have the waveform in pA"
        )
    needed("pyabf", "abf", "there is no recorded current, and to rebuild the command", StimulusError)
    import pyabf

    abf = pyabf.ABF(str(path), loadData=False)
    factor = units.TO_PA[output.unit]
    _check_epochs(abf, output.number)
    waveforms = pyabf.waveform.EpochTable(abf, output.number).epochWaveformsBySweep
    return lambda k: np.asarray(waveforms[k].getWaveform(), dtype=np.float64) * factor


def _find_commanding_output(outputs: tuple[Output, ...]) -> Output:
    """Find the one output that commanded a current."""
    enabled = [output for output in outputs if output.enabled]
    amps = [output for output in enabled if output.unit in units.TO_PA]
    if enabled and not amps:
        volts = any(COMMANDS.get(output.unit) == "voltage" for output in enabled)
        why = "a voltage was commanded, as in voltage clamp" if volts else "no output commands a current"
        raise StimulusError(
            f"no recorded current, and {why} ({', '.join(map(str, enabled))}): give command=, the injected current in "
            "pA, if this was current clamp"
        )
    if not amps:
        raise StimulusError(
            "no recorded current and no commanded waveform: what was injected is not known; give command= if you do"
        )
    if len(amps) > 1:
        raise StimulusError(f"{' and '.join(map(str, amps))} all command a current and none is recorded: give command=")
    return amps[0]


def _check_epochs(abf: Any, dac: int) -> None:
    """Refuse every command that pyabf is not known to rebuild exactly."""
    source = abf._dacSection.nWaveformSource[dac]
    if source == 2:
        file = _read_stimulus_file_name(abf, dac)
        raise StimulusError(
            f"the current was played from a stimulus file ({file}) that is not part of the recording, and was not "
            "recorded: it cannot be recovered; give command= if you have the waveform in pA"
        )
    if source != 1:
        raise StimulusError(f"the waveform comes from an unknown source ({source}); give command=")
    if any(abf._userListSection.nULEnable or ()):
        raise StimulusError(
            "a user list changed the waveform from sweep to sweep, which is not rebuilt reliably: give command="
        )
    if getattr(abf._protocolSection, "nAlternateDACOutputState", 0):
        raise StimulusError("outputs alternate between sweeps, which is not rebuilt reliably: give command=")
    epochs = abf._epochPerDacSection
    kinds = {k for k, number in zip(epochs.nEpochType, epochs.nDACNum, strict=False) if number == dac}
    if abf.nOperationMode != EPISODIC and kinds - {0}:
        raise StimulusError(
            "sweeps are not episodes, and the protocol holds epochs that were not played: give command="
        )
    strange = sorted(OTHER_EPOCHS.get(k, str(k)) for k in kinds - set(EPOCHS))
    if strange:
        raise StimulusError(f"the protocol holds a {', '.join(strange)}, which is not rebuilt reliably: give command=")
    rows = zip(epochs.lEpochInitDuration, epochs.lEpochDurationInc, epochs.nDACNum, strict=False)
    lengths = [(first, first + step * (abf.sweepCount - 1)) for first, step, number in rows if number == dac]
    negative = any(length < 0 for pair in lengths for length in pair)
    if negative or any(sum(ends) > abf.sweepPointCount for ends in zip(*lengths, strict=True)):
        raise StimulusError(
            "the epochs of the protocol do not fit in the sweep, which is not rebuilt reliably: give command="
        )


def _read_stimulus_file_name(abf: Any, dac: int) -> str:
    return PureWindowsPath(str(abf._stringsSection._indexedStrings[abf._dacSection.lDACFilePathIndex[dac]])).name


def _read_facts(reader: Any, channels: list[tuple[str, str]]) -> dict[str, str]:
    info = reader._axon_info
    facts = {
        "channels": _list_channels(channels),
        "recorded": str(info.get("rec_datetime", "")),
        "format": f"ABF {info['fFileVersionNumber']:.2f}",
    }
    return facts | {"protocol": _decode_text(info["sProtocolPath"])} if "sProtocolPath" in info else facts


def _check_mode(mode: Mode, recorded: bool) -> None:
    """Refuse voltage clamp, and a command that was not connected."""
    if mode.clamp == "voltage":
        raise RecordingError(
            f"the protocol commands a voltage ({mode.why}): this is voltage clamp, and the injected current followed "
            "from the cell; if it is current clamp all the same, give clamp='current'"
        )
    if mode.clamp == "zero" and not recorded:
        raise StimulusError(
            f"recorded with the current held at zero (I = 0, {mode.why}): the command was not injected; "
            "if it was, give clamp='current'"
        )


def _describe_clamp(mode: Mode) -> dict[str, str]:
    """Describe what was clamped, in words; empty if the header does not state it."""
    words = {"current": "current clamp", "zero": "current clamp with the command disconnected (I = 0)"}
    return {CLAMP: f"{words[mode.clamp]}: {mode.why}"} if mode.clamp in words else {}
