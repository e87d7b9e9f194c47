"""Igor binary waves: voltage and current are stored in separate files, and only the lab's naming relates them.

So the pair is given, never guessed: ``load("cell_v.ibw", current="cell_i.ibw")``, or for files of one naming scheme
``load(["ad0_1.ibw", "ad0_2.ibw"], current=("ad0", "ad1"))``.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import numpy as np

from ephysfit import units
from ephysfit.arrays import Array, Float64
from ephysfit.data.assemble import Choice, align_traces, build, change_step
from ephysfit.data.recording import Recording, Rejected, Sweep, check_step
from ephysfit.errors import RecordingError, StimulusError, near, needed, some

NAME = "Igor wave"
#: waves beside a voltage wave that are opened to find the likely current
LOOKED_AT = 8
#: what the parser raises on waves that it cannot read
DAMAGED = (OSError, LookupError, ValueError, TypeError, AttributeError, ArithmeticError, UnicodeError)
#: versions of the format, little and big endian
MAGIC = {bytes(pair) for v in (1, 2, 3, 5) for pair in ((v, 0), (0, v))}


def recognises(path: Path) -> bool:
    """Whether a file has the suffix ``.ibw`` and the version number of a binary wave."""
    if path.suffix.lower() != ".ibw":
        return False
    with path.open("rb") as file:
        return file.read(2) in MAGIC


def read(
    path: Path,
    *,
    choice: Choice | None = None,
    current: str | Path | Sequence[str] | None = None,
    voltage_unit: str | None = None,
    current_unit: str | None = None,
) -> Recording:
    """Read the sweeps of a voltage wave and its current wave: one, or one per column of two-dimensional waves.

    Parameters
    ----------
    path
        The voltage wave.
    choice
        Sweeps to read.
    current
        Path of the current wave, relative to the folder of the voltage wave; or two texts (also one text with a comma
        between them), of which the first is replaced by the second in the name of the voltage wave.
    voltage_unit, current_unit
        Units, if the waves do not give them.
    """
    volts = _read_wave(path)
    if volts.unit in units.TO_PA:
        raise StimulusError(f"a current (in {volts.unit}): give the voltage wave, and this one as current=")
    amps = _read_wave(_find_current_wave(path, current))
    mv = volts.values * _find_factor(volts, voltage_unit, units.TO_MV, "voltage")
    pa = amps.values * _find_factor(amps, current_unit, units.TO_PA, "current")
    if mv.shape[1] != pa.shape[1]:
        raise StimulusError(f"{mv.shape[1]} sweeps of voltage and {pa.shape[1]} of current ({amps.name})")
    names = [path.stem] if mv.shape[1] == 1 else [f"{path.stem}_{k:03d}" for k in range(mv.shape[1])]
    (choice := choice or Choice()).check(names, [""])
    sweeps, rejected = [], []
    for k, name in enumerate(names):
        if choice.takes(k, name, ""):
            try:
                sweeps.append(_make_sweep(mv[:, k], volts, pa[:, k], amps, name))
            except RecordingError as error:
                rejected.append(Rejected(name, str(error)))
    facts = {"current wave": amps.name}
    return Recording(tuple(sweeps), cell=path.stem, source=path.name, rejected=tuple(rejected), facts=facts)


@dataclass(frozen=True, eq=False)
class Wave:
    """A wave: its values, shape (time, sweep), their unit, and step and start, ms."""

    name: str
    values: Float64[Array, "time sweep"]
    unit: str
    dt: float
    start: float


def _find_current_wave(path: Path, current: str | Path | Sequence[str] | None) -> Path:
    """Find the file of the current wave."""
    if current is None:
        raise StimulusError(
            f"a voltage wave: which wave is its current is not in the file; {_suggest_current_wave(path)}"
        )
    if isinstance(current, str) and "," in current and not (path.parent / current).is_file():
        current = tuple(part.strip() for part in current.split(","))
    if isinstance(current, str | Path):
        partner = path.parent / current
    else:
        old, new = current if len(current) == 2 else (None, None)
        if not isinstance(old, str) or not isinstance(new, str) or old not in path.name:
            raise StimulusError(f"current={current!r}: give two texts, the first part of the name {path.name!r}")
        partner = path.with_name(path.name.replace(old, new))
    if not partner.is_file():
        hint = near(partner.name, {p.name for p in partner.parent.glob("*.ibw")})
        raise StimulusError(f"no current wave {partner.name}; {hint}")
    if partner == path:
        raise StimulusError("the current wave is the voltage wave itself")
    return partner


def _suggest_current_wave(path: Path) -> str:
    """Suggest how to give the current wave, the likeliest first: in a unit of current, and nearest by name."""
    beside = [p for p in path.parent.glob("*.ibw") if p != path]
    if not beside:
        return "give current=, and the wave's file: there is no other .ibw beside it"
    near = sorted(beside, key=lambda p: (-SequenceMatcher(None, p.stem, path.stem).ratio(), p.name))
    near = [*sorted(near[:LOOKED_AT], key=lambda p: not _is_current_wave(p)), *near[LOOKED_AT:]]
    first, old, new = near[0], *_find_difference(path.stem, near[0].stem)
    pair = (
        f", or for all waves named so current=({old!r}, {new!r}) (on the shell -O current={old},{new})" if old else ""
    )
    more = f"; waves beside it: {some([p.name for p in near], 6)}" if len(near) > 1 else ""
    return f"give current={first.name!r}{pair}{more}"


def _is_current_wave(path: Path) -> bool:
    try:
        return _read_wave(path).unit in units.TO_PA
    except (*DAMAGED, RecordingError):
        return False


def _find_difference(a: str, b: str) -> tuple[str, str]:
    """Find the texts in which two names differ; empty if they differ in several places."""
    blocks = SequenceMatcher(None, a, b, autojunk=False).get_opcodes()
    changed = [(a[i:j], b[k:m], a[:i]) for tag, i, j, k, m in blocks if tag != "equal"]
    if len(changed) != 1:
        return "", ""
    old, new, before = changed[0]
    lead = (re.search(r"[A-Za-z]*$", before) or [""])[0]
    return lead + old, lead + new


def _read_wave(path: Path) -> Wave:
    needed("igor2", "igor", f"{path.name}: a wave of Igor", RecordingError)
    from igor2 import binarywave

    logging.getLogger("igor2").setLevel(logging.CRITICAL)  # it logs entire waves that it cannot read
    wave = binarywave.load(str(path))["wave"]
    if not is_signal(wave["wData"]):
        raise RecordingError(f"wave {path.name} holds text, no samples: it is no signal")
    header, values = wave["wave_header"], np.asarray(wave["wData"], dtype=np.float64)
    if values.ndim not in (1, 2) or not values.size:
        raise RecordingError(f"wave {path.name} of shape {values.shape}; (time,) or (time, sweep) is needed, not empty")
    second = _decode_text(header["dimUnits"][0] if "dimUnits" in header else header["xUnits"]) or "s"
    if second not in units.TO_MS:
        raise RecordingError(f"wave {path.name}: its first axis is in {second!r}, not a time")
    step, start = (header["sfA"][0], header["sfB"][0]) if "sfA" in header else (header["hsA"], header["hsB"])
    dt = check_step(float(step) * units.TO_MS[second], f"wave {path.name}")
    unit = _decode_text(header["dataUnits"])
    return Wave(path.name, values.reshape(len(values), -1), unit, dt, float(start) * units.TO_MS[second])


def is_signal(values: Any) -> bool:
    """Whether a wave holds real numbers: text waves and complex ones are no signals."""
    return np.asarray(values).dtype.kind in "fiu"


def _decode_text(letters: Any) -> str:
    """Decode a short text that Igor stores letter by letter."""
    return b"".join(np.atleast_1d(letters).ravel().tolist()).split(b"\0")[0].decode("utf-8").strip()


def _find_factor(wave: Wave, given: str | None, known: dict[str, float], what: str) -> float:
    unit = given if not wave.unit and given is not None else wave.unit
    if unit not in known:
        said = "names no unit" if not unit else f"is in {unit!r}"
        raise RecordingError(f"{what} wave {wave.name} {said}; a unit of {what} wanted ({', '.join(known)}): "
                             f"give {what}_unit= where it names none")  # fmt: skip
    return known[unit]


def _make_sweep(mv: Float64[Array, " _"], volts: Wave, pa: Float64[Array, " _"], amps: Wave, name: str) -> Sweep:
    current, voltage, note = align_traces(change_step(pa, amps.dt, volts.dt), amps.start, mv, volts.start, volts.dt)
    sweep = build(current, voltage, volts.dt, name, start=volts.start)
    return replace(sweep, warnings=(*sweep.warnings, note)) if note else sweep
