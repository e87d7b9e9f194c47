"""Headers of sweeps, which readers list without reading samples."""

from __future__ import annotations

from dataclasses import dataclass

from ephysfit.data import stimulus_kinds


@dataclass(frozen=True)
class Header:
    """The header of one sweep.

    Parameters
    ----------
    name, stimulus
        As in the file.
    position
        Position among the sweeps of its electrode, counted from 0, as ``load(sweeps=...)`` takes it.
    electrode, cell
        Names; empty if the format has none.
    start_ms, duration_ms, dt_ms
        Start in the session, length and sampling step, ms; None if the header does not give them.
    refused
        Why the sweep cannot be used, as far as the header shows; empty otherwise.
    """

    name: str
    stimulus: str = ""
    position: int = 0
    electrode: str = ""
    cell: str = ""
    start_ms: float | None = None
    duration_ms: float | None = None
    dt_ms: float | None = None
    refused: str = ""

    @property
    def kind(self) -> str:
        """Kind of the stimulus by its name; empty if the name gives none."""
        return stimulus_kinds.find_kind_by_name(self.stimulus)
