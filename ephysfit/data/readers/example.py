"""A reader to copy: with this one file, ephysfit reads your lab's format like any other.

The format here is made up: a line of JSON, then the samples of current and voltage of one sweep after another, 32-bit
floats. Change what is marked with *yours*; register the file as ``docs/own_reader.md`` says; inherit the tests from
`ephysfit.data.reader_tests.ReaderContract`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from ephysfit.arrays import Array, Float64
from ephysfit.data.assemble import Choice, build
from ephysfit.data.recording import Recording, Rejected
from ephysfit.errors import RecordingError, StimulusError
from ephysfit.units import TO_MV, TO_PA

#: *yours*: name of the format in messages
NAME = "example lab"
#: *yours*: beginning of its files
MAGIC = b'{"lab": 1'


def recognises(path: Path) -> bool:
    """Whether a file is of this format, by its content and never by its suffix alone. Reads a few bytes only."""
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def read(path: Path, *, choice: Choice | None = None, gain: float = 1.0) -> Recording:
    """Read the sweeps of a file.

    Parameters
    ----------
    path
        The file; it is read and never written.
    choice
        Sweeps to read, by name, position or stimulus.
    gain
        *yours*: further keywords become options, as ``ephysfit.load(path, gain=2.0)`` and ``-O gain=2.0``.

    Raises
    ------
    RecordingError
        If the file is damaged. Other errors of a parser become one that names the file.
    StimulusError
        If the injected current is not in the file. Refuse it; never put zeros in its place.
    """
    choice = choice or Choice()
    header, samples = _parse_file(path)
    names = [str(sweep["name"]) for sweep in header["sweeps"]]
    stimuli = [str(sweep.get("stimulus", "")) for sweep in header["sweeps"]]
    choice.check(names, stimuli)
    sweeps, rejected = [], []
    for k, (name, stimulus) in enumerate(zip(names, stimuli, strict=True)):
        if choice.takes(k, name, stimulus):
            try:  # a sweep that cannot be used is listed with its reason; the others are read all the same
                current, voltage = _scale_samples(header, samples[k])
                sweeps.append(build(current, gain * voltage, 1e3 / header["rate_hz"], name, stimulus))
            except RecordingError as error:
                rejected.append(Rejected(name, str(error)))
    return Recording(tuple(sweeps), cell=path.stem, source=path.name, rejected=tuple(rejected))


def _parse_file(path: Path) -> tuple[dict[str, Any], Float64[Array, "sweep channel time"]]:
    """Read the header and the samples, shape (sweep, channel, time): *yours*."""
    head, _, body = path.read_bytes().partition(b"\n")
    header = json.loads(head)
    shape = len(header["sweeps"]), len(header["units"]), int(header["samples"])
    if len(body) != 4 * int(np.prod(shape)):
        raise RecordingError(f"{len(body)} bytes of samples for {shape} of them: the file is truncated or damaged")
    if not header["rate_hz"] > 0:
        raise RecordingError(f"sampling rate {header['rate_hz']} Hz; it is above 0")
    return header, np.frombuffer(body, dtype="<f4").reshape(shape).astype(np.float64)


def _scale_samples(
    header: dict[str, Any], samples: Float64[Array, "channel time"]
) -> tuple[Float64[Array, " time"], Float64[Array, " time"]]:
    """Scale the current to pA and the voltage to mV; channels are identified by their units."""
    amps = [k for k, unit in enumerate(header["units"]) if unit in TO_PA]
    volts = [k for k, unit in enumerate(header["units"]) if unit in TO_MV]
    if not amps:
        raise StimulusError(f"no channel in a unit of current (units: {', '.join(header['units'])})")
    if len(amps) > 1 or len(volts) != 1:
        raise RecordingError(f"one channel of current and one of voltage needed; units: {', '.join(header['units'])}")
    a, v = amps[0], volts[0]
    return samples[a] * TO_PA[header["units"][a]], samples[v] * TO_MV[header["units"][v]]
