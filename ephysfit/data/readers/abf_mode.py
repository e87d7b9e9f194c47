"""The clamp mode in the header of an ABF file, by the amplifier's telegraph and the units of the outputs."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ephysfit import units

#: the instrument whose mode is telegraphed (MultiClamp 700), and its modes
MULTICLAMP = 24
MODES = {0: "voltage", 1: "current", 2: "zero"}
#: outputs command epochs only where sweeps are episodes
EPISODIC = 5
#: a voltage clamp is commanded in mV; outputs in V drive lamps and valves
COMMANDS = {"mV": "voltage"} | dict.fromkeys(units.TO_PA, "current")
#: fields of ABF 1 that neo leaves out, as (byte, form)
OUTPUT_NAMES, OUTPUT_UNITS = (1306, "<" + "10s" * 4), (1346, "<" + "8s" * 4)
OLD_SOURCE, ACTIVE_OUTPUT = (1438, "<h"), (1440, "<h")
TELEGRAPH = (4512, "<16h"), (4544, "<16h"), (4768, "<16h")
#: bytes of the header of ABF 1 before it was extended
SHORT_HEADER = 2048


@dataclass(frozen=True)
class Output:
    """One output of the digitiser.

    Attributes
    ----------
    number : int
        Counted from 0.
    name, unit : str
        As in the header.
    enabled : bool
        Whether it played a waveform.
    """

    number: int
    name: str
    unit: str
    enabled: bool

    def __str__(self) -> str:
        return f"output {self.number} {self.name!r} in {self.unit or 'no unit'}"


@dataclass(frozen=True)
class Mode:
    """The clamp mode.

    Parameters
    ----------
    clamp
        ``"current"``, ``"voltage"``, ``"zero"`` (current clamp with the command disconnected), or empty if the
        header does not state it.
    why
        How that is known, in words.
    """

    clamp: str
    why: str


def read_outputs(info: Any, path: Path) -> tuple[Output, ...]:
    """Read the outputs of an ABF file.

    Parameters
    ----------
    info
        Header, as neo parses it.
    path
        The file, because neo does not parse the outputs of ABF 1.
    """
    if "listDACInfo" in info:
        return tuple(
            Output(
                k, decode_text(d.get("DACChNames")), decode_text(d.get("DACChUnits")), bool(d.get("nWaveformEnable", 0))
            )
            for k, d in enumerate(info["listDACInfo"])
        )
    head = _read_head(path)
    names, spelt = (_read_fields(head, field) for field in (OUTPUT_NAMES, OUTPUT_UNITS))
    enabled = _find_enabled_outputs(info, head)
    return tuple(
        Output(k, decode_text(name), decode_text(unit), k in enabled)
        for k, (name, unit) in enumerate(zip(names, spelt, strict=True))
    )


def find_mode(info: Any, path: Path, channels: tuple[int | None, ...]) -> Mode:
    """Find what was clamped while these channels, by position, were recorded.

    The telegraph of the amplifier for a channel takes precedence over the outputs, which may have driven another
    headstage. If the two contradict each other, the mode is unknown.

    Parameters
    ----------
    info
        Header, as neo parses it.
    path
        The file.
    channels
        Positions among the recorded channels; None for missing ones.
    """
    modes = {MODES.get(number, "") for k in channels if k is not None for number in _read_telegraph(info, path, k)} - {
        ""
    }
    played = [output for output in read_outputs(info, path) if output.enabled and output.unit in COMMANDS]
    if _read_operation_mode(info) != EPISODIC:
        played = []
    commanded = {COMMANDS[output.unit] for output in played}
    if len(modes) == 1:
        clamp = modes.pop()
        if clamp == "voltage" and commanded == {"current"}:
            return Mode("", f"the amplifier telegraphed voltage clamp, and {played[0]} commands a current")
        return Mode(clamp, "telegraphed by the amplifier")
    if len(commanded) == 1:
        return Mode(commanded.pop(), f"{played[0]} is enabled")
    if played:
        return Mode("", f"outputs command both currents and voltages ({', '.join(map(str, played))})")
    return Mode("", "no output that commands a current or a voltage is enabled")


def decode_text(value: Any) -> str:
    """Decode a text of a header, without its padding."""
    if isinstance(value, bytes):
        return value.split(b"\0")[0].decode("latin-1").strip()
    return str(value or "").strip()


def _read_operation_mode(info: Any) -> int:
    return int(info.get("protocol", info).get("nOperationMode", 0))


def _read_head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(6144)


def _read_fields(head: bytes, field: tuple[int, str]) -> tuple[Any, ...]:
    """Read the values of one field; empty if the header is too short to hold it."""
    at, form = field
    return struct.unpack_from(form, head, at) if len(head) >= at + struct.calcsize(form) else ()


def _is_extended(info: Any) -> bool:
    """Whether an ABF 1 header continues where older ones end and samples begin."""
    return int(info.get("lDataSectionPtr", 0)) * 512 > SHORT_HEADER


def _find_enabled_outputs(info: Any, head: bytes) -> set[int]:
    """Find the numbers of the outputs of an ABF 1 file that played a waveform."""
    if _is_extended(info):
        flags = zip(info.get("nWaveformEnable", ()), info.get("nWaveformSource", ()), strict=False)
        return {k for k, (on, source) in enumerate(flags) if on and source}
    source, active = _read_fields(head, OLD_SOURCE), _read_fields(head, ACTIVE_OUTPUT)
    return {int(active[0])} if source and source[0] and active else set()


def _read_telegraph(info: Any, path: Path, channel: int) -> list[int]:
    """Read the mode that a MultiClamp telegraphed for a recorded channel, if it did."""
    if "listADCInfo" in info:
        facts = info["listADCInfo"][channel]
        rows = [(facts["nTelegraphEnable"], facts["nTelegraphInstrument"], facts["nTelegraphMode"])]
    elif _is_extended(info):
        fields = [_read_fields(_read_head(path), field) for field in TELEGRAPH]
        physical = int(info["nADCSamplingSeq"][channel])
        rows = [tuple(values[physical] for values in fields)] if all(fields) and 0 <= physical < 16 else []
    else:
        rows = []
    return [int(number) for on, instrument, number in rows if on == 1 and instrument == MULTICLAMP]
