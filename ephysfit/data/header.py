"""One sweep by its header alone: what readers list without touching samples."""

from __future__ import annotations

from dataclasses import dataclass

from ephysfit.data import stimulus_kinds


@dataclass(frozen=True)
class Header:
    """One sweep as its header tells it.

    Parameters
    ----------
    name, stimulus
        As in the file.
    position
        Counted from 0 among the sweeps of its electrode: what ``load(sweeps=...)`` takes.
    electrode, cell
        Empty where the format has none.
    start_ms, duration_ms, dt_ms
        None where the header does not say.
    refused
        Why it cannot be used, as far as the header tells; empty otherwise.
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
        """Kind of its stimulus by name; empty where the name says none."""
        return stimulus_kinds.find_kind_by_name(self.stimulus)
