"""The contents of a file by its headers alone: sweeps are listed at once, and read when they are requested."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from ephysfit.data import access, stimulus_kinds
from ephysfit.data.header import Header
from ephysfit.data.loading import load
from ephysfit.data.recording import Recording, Sweep
from ephysfit.data.registry import find_reader, guard_reading
from ephysfit.data.source import Source, as_file
from ephysfit.errors import RecordingError, near


@dataclass(frozen=True)
class Contents:
    """The sweeps of a file, listed by their headers and not yet read.

    Parameters
    ----------
    source
        Path or address.
    format
        Name of the reader.
    headers
        One per sweep.
    options
        Options of `load` for the sweeps that are read.

    Examples
    --------
    >>> found = contents("data/DRN164.nwb")  # doctest: +SKIP
    >>> len(found), found.electrodes  # doctest: +SKIP
    (11, ('electrode',))
    >>> found.select(kind="noise").load()  # doctest: +SKIP
    >>> found[3]  # doctest: +SKIP
    """

    source: Source
    format: str
    headers: tuple[Header, ...]
    options: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.headers)

    def __iter__(self) -> Iterator[Header]:
        return iter(self.headers)

    def __repr__(self) -> str:
        usable = sum(not h.refused for h in self.headers)
        return f"Contents({str(self.source)!r}, {self.format}: {len(self)} sweeps, {usable} of current clamp)"

    @property
    def electrodes(self) -> tuple[str, ...]:
        """Electrodes that recorded in current clamp, in order; each is one cell."""
        return tuple(dict.fromkeys(h.electrode for h in self.headers if not h.refused))

    def __getitem__(self, which: int | str) -> Sweep:
        """Read one sweep, with its spikes, by position or name."""
        return self._with_headers([self._find_header(which)]).load()[0]

    def _find_header(self, which: int | str) -> Header:
        if isinstance(which, int):
            if not -len(self) <= which < len(self):
                raise RecordingError(f"{self.source}: no sweep {which}; it has {len(self)}, counted from 0")
            return self.headers[which]
        named = [h for h in self.headers if h.name == which]
        if len(named) != 1:
            more = f"{len(named)} go by it" if named else near(which, {h.name for h in self.headers})
            raise RecordingError(f"{self.source}: no single sweep is named {which!r}; {more}")
        return named[0]

    def _with_headers(self, headers: list[Header]) -> Contents:
        return replace(self, headers=tuple(headers))

    def select(self, stimulus: str | None = None, kind: str | None = None, electrode: str | None = None) -> Contents:
        """Select the sweeps that meet all conditions given.

        Parameters
        ----------
        stimulus
            Text in the stimulus name, any case.
        kind
            Kind of the stimulus by its name; see `Sweep.kind`.
        electrode
            Name of the electrode.

        Raises
        ------
        RecordingError
            If no sweep is left.
        """
        left = [
            h
            for h in self.headers
            if (stimulus is None or stimulus.lower() in h.stimulus.lower())
            and (kind is None or stimulus_kinds.is_of_kind(h.kind, kind))
            and (electrode is None or h.electrode == electrode)
        ]
        if not left:
            asked = {"stimulus": stimulus, "kind": kind, "electrode": electrode}
            listed = ", ".join(f"{name} {value!r}" for name, value in asked.items() if value is not None)
            known = sorted({f"{h.stimulus} ({h.kind or 'no kind'}) on {h.electrode or 'no electrode'}" for h in self})
            raise RecordingError(f"{self.source}: no sweep has {listed}; there are {'; '.join(known[:12])}")
        return self._with_headers(left)

    def load(self, **options: Any) -> Recording:
        """Load these sweeps as a recording; samples of other sweeps are not read.

        Parameters
        ----------
        **options
            Options of `ephysfit.load`.
        """
        electrodes = tuple(dict.fromkeys(h.electrode for h in self.headers))
        if len(electrodes) > 1:
            raise RecordingError(f"{self.source}: sweeps of {len(electrodes)} electrodes; select(electrode=...) first")
        chosen: dict[str, Any] = {"electrode": electrodes[0]} if electrodes and electrodes[0] else {}
        return load(self.source, sweeps=[h.position for h in self.headers], **{**chosen, **self.options, **options})


def contents(source: Source, **options: Any) -> Contents:
    """List the sweeps of a file by their headers: 500 sweeps of an NWB file take about a second.

    Parameters
    ----------
    source
        Path or address.
    **options
        Options of `load`, used for the sweeps that are read later.

    Raises
    ------
    RecordingError
        If the file cannot be read. A format without separate headers is read as a whole.
    """
    with access.use_access(access.choose_access(options.get("allow_links"), options.get("timeout"))):
        file = as_file(source)
        reader = find_reader(file)
        if reader.contents is not None:
            listed = reader.contents
            return Contents(source, reader.name, guard_reading(reader, file, lambda: listed(file)), options)
    found = load(source, **options)
    headers = [
        Header(s.name, s.stimulus, k, "", found.cell, s.start, s.duration, s.dt) for k, s in enumerate(found.sweeps)
    ]
    headers += [Header(r.name, position=len(headers), refused=r.reason) for r in found.rejected]
    return Contents(source, reader.name, tuple(headers), options)
