"""Igor binary waves: voltage and current lie in a file each, and only the lab's naming says which belong together.

So the pair is given, never guessed: ``load("cell_v.ibw", current="cell_i.ibw")``, or for files of one naming scheme
``load(["ad0_1.ibw", "ad0_2.ibw"], current=("ad0", "ad1"))``.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ephysfit import units
from ephysfit.data.building import Choice, aligned, build, onto
from ephysfit.data.recording import Recording, Rejected, Sweep, check_step
from ephysfit.errors import RecordingError, StimulusError, near, needed

NAME = "Igor wave"
#: versions of the format, little and big endian
MAGIC = {bytes(pair) for v in (1, 2, 3, 5) for pair in ((v, 0), (0, v))}


def recognises(path: Path) -> bool:
    """Suffix ``.ibw`` and the version number of a binary wave."""
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
    """The sweeps of a voltage wave and its current wave: one, or one a column of two-dimensional waves.

    Parameters
    ----------
    path
        The voltage wave.
    choice
        Sweeps to read.
    current
        The current wave: its path, from the folder of the voltage wave; or two texts, of which the first is replaced by
        the second in the voltage wave's name.
    voltage_unit, current_unit
        Where the waves name none.
    """
    volts = _wave(path)
    if volts.unit in units.TO_PA:
        raise StimulusError(f"a current (in {volts.unit}): give the voltage wave, and this one as current=")
    amps = _wave(_partner(path, current))
    mv = volts.values * _factor(volts, voltage_unit, units.TO_MV, "voltage")
    pa = amps.values * _factor(amps, current_unit, units.TO_PA, "current")
    if mv.shape[1] != pa.shape[1]:
        raise StimulusError(f"{mv.shape[1]} sweeps of voltage and {pa.shape[1]} of current ({amps.name})")
    names = [path.stem] if mv.shape[1] == 1 else [f"{path.stem}_{k:03d}" for k in range(mv.shape[1])]
    (choice := choice or Choice()).check(names, [""])
    sweeps, rejected = [], []
    for k, name in enumerate(names):
        if choice.takes(k, name, ""):
            try:
                sweeps.append(_sweep(mv[:, k], volts, pa[:, k], amps, name))
            except RecordingError as error:
                rejected.append(Rejected(name, str(error)))
    facts = {"current wave": amps.name}
    return Recording(tuple(sweeps), cell=path.stem, source=path.name, rejected=tuple(rejected), facts=facts)


@dataclass(frozen=True, eq=False)
class Wave:
    """A wave: its values (time, sweep), unit, step and start, ms."""

    name: str
    values: npt.NDArray[np.float64]
    unit: str
    dt: float
    start: float


def _partner(path: Path, current: str | Path | Sequence[str] | None) -> Path:
    """The file of the current wave."""
    if current is None:
        beside = [p.name for p in sorted(path.parent.glob("*.ibw")) if p != path]
        more = f"; waves beside it: {', '.join(beside[:6])}" if beside else ""
        raise StimulusError(f"a voltage wave: which wave is its current is not in the file; give current={more}")
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


def _wave(path: Path) -> Wave:
    needed("igor2", "igor", f"{path.name}: a wave of Igor", RecordingError)
    from igor2 import binarywave

    logging.getLogger("igor2").setLevel(logging.CRITICAL)  # it logs whole waves that it cannot read
    wave = binarywave.load(str(path))["wave"]
    header, values = wave["wave_header"], np.asarray(wave["wData"], dtype=np.float64)
    if values.ndim not in (1, 2) or not values.size:
        raise RecordingError(f"wave {path.name} of shape {values.shape}; (time,) or (time, sweep) wanted, not empty")
    second = _text(header["dimUnits"][0] if "dimUnits" in header else header["xUnits"]) or "s"
    if second not in units.TO_MS:
        raise RecordingError(f"wave {path.name}: its first axis is in {second!r}, not a time")
    step, start = (header["sfA"][0], header["sfB"][0]) if "sfA" in header else (header["hsA"], header["hsB"])
    dt = check_step(float(step) * units.TO_MS[second], f"wave {path.name}")
    unit = _text(header["dataUnits"])
    return Wave(path.name, values.reshape(len(values), -1), unit, dt, float(start) * units.TO_MS[second])


def _text(letters: Any) -> str:
    """A short text that Igor keeps letter by letter."""
    return b"".join(np.atleast_1d(letters).ravel().tolist()).split(b"\0")[0].decode("utf-8").strip()


def _factor(wave: Wave, given: str | None, known: dict[str, float], what: str) -> float:
    unit = given if not wave.unit and given is not None else wave.unit
    if unit not in known:
        said = "names no unit" if not unit else f"is in {unit!r}"
        raise RecordingError(f"{what} wave {wave.name} {said}; a unit of {what} wanted ({', '.join(known)}): "
                             f"give {what}_unit= where it names none")  # fmt: skip
    return known[unit]


def _sweep(mv: npt.NDArray[np.float64], volts: Wave, pa: npt.NDArray[np.float64], amps: Wave, name: str) -> Sweep:
    current, voltage, note = aligned(onto(pa, amps.dt, volts.dt), amps.start, mv, volts.start, volts.dt)
    sweep = build(current, voltage, volts.dt, name, start=volts.start)
    return replace(sweep, warnings=(*sweep.warnings, note)) if note else sweep
