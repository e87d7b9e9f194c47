"""Neurons that a simulator has of its own: which of them a fitted cell is, or why it is none."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ephysfit.errors import ExportError
from ephysfit.neuron.declare import Neuron
from ephysfit.reports.export.exported import ExportedCell, refuse

#: name of the form: the first neuron of the simulator's own that the cell is
OWN = "own"

Written = tuple[dict[str, Any], str]


@dataclass(frozen=True)
class OwnNeuron:
    """A cell in terms of a neuron of a simulator.

    Attributes
    ----------
    model : str
        Its name there.
    values : mapping
        Its parameters, all of those that a spike depends on.
    differs : str
        In what its spikes may part from the cell's; empty where they are the same.
    """

    model: str
    values: Mapping[str, Any]
    differs: str


class NotOneError(Exception):
    """Why a cell is not the neuron in question."""


@dataclass(frozen=True)
class OwnForm:
    """A neuron of a simulator, and how a cell is written as one.

    Attributes
    ----------
    kinds : tuple of neuron classes
        Which of ours may be one; their pins too.
    spiking : tuple of str
        Conditions for a spike that it has, of `exported.SPIKING`.
    write : callable
        (neuron, cell, refractory period in ms) → parameters, and in what spikes may part; raises `NotOneError`.
    tried : bool
        Whether `OWN` tries it; the others are taken by name alone.
    """

    kinds: tuple[type[Neuron], ...]
    spiking: tuple[str, ...]
    write: Callable[[Any, ExportedCell, float], Written]
    tried: bool = True


@dataclass(frozen=True)
class OwnForms:
    """The neurons of a simulator by their names there, in the order in which they are tried.

    Attributes
    ----------
    simulator : str
        Its name in messages.
    by_name : mapping of str to OwnForm
    way_out : str
        What writes a cell that is none of them.
    """

    simulator: str
    by_name: Mapping[str, OwnForm]
    way_out: str

    @property
    def names(self) -> tuple[str, ...]:
        """What a form may be called."""
        return (OWN, *self.by_name)

    def find(self, cell: ExportedCell, form: str = OWN) -> OwnNeuron:
        """Find the neuron that a cell is.

        Parameters
        ----------
        cell : ExportedCell
        form : str
            One of `names`: `OWN` for the first that spikes exactly as the cell; or the name of one, which may then be
            one that is nearly the cell (`OwnNeuron.differs`).

        Raises
        ------
        ExportError
            If there is none; the message says why.
        """
        target = f"a neuron of {self.simulator}'s own" + (f" ({form})" if form != OWN else "")
        tried = {n: f for n, f in self.by_name.items() if (f.tried if form == OWN else n == form)}
        if cell.spiking == "causal":
            known = sorted({s for asked in tried.values() for s in asked.spiking})
            other = "which is another readout" if len(known) == 1 else "which are other readouts"
            raise refuse(
                cell, target, "none of them spikes where the integrated hazard reaches 1 (causal)",
                f"with spiking={' or '.join(map(repr, known))}, {other}, some are; {self.way_out}",
            )  # fmt: skip
        said: dict[str, str] = {}  # by reason: what two neurons lack alike is said once
        for name, asked in tried.items():
            if not isinstance(cell.fit.neuron, asked.kinds):
                continue
            if cell.spiking not in asked.spiking:
                alone = f"spikes by {' or '.join(asked.spiking)} alone, not {cell.spiking}"
                said.setdefault(alone, f"{name} {alone}")
                continue
            try:
                values, differs = asked.write(cell.fit.neuron, cell, round(cell.refractory_steps * cell.dt, 9))
            except NotOneError as reason:
                said.setdefault(str(reason), f"{name} is not quite one: {reason}")
                continue
            if form == name or not differs:
                return OwnNeuron(name, values, differs)
            said[differs] = f"it is nearly {name}, which form={name!r} writes: {differs}"
        if not said:
            known = sorted({kind.__name__ for asked in tried.values() for kind in asked.kinds})
            said[""] = f"those have the equations of {', '.join(known)} or of one of their pins"
        raise refuse(cell, target, "; ".join(said.values()), self.way_out)

    def require_one(self, cells: Sequence[ExportedCell], found: Sequence[OwnNeuron]) -> OwnNeuron:
        """Return the first of the neurons that cells are found to be, all of which must be of one model."""
        models = list(dict.fromkeys(own.model for own in found))
        if len(models) > 1:
            raise ExportError(
                f"cells of {cells[0].fit.model} are several neurons of {self.simulator}, {' and '.join(models)}: name "
                "the one that all may be by form, or export them cell by cell"
            )
        return found[0]


def describe_difference(found: Sequence[OwnNeuron]) -> str:
    """In what spikes of these neurons may part from those of the cells; empty where they are the same."""
    return next((own.differs for own in found if own.differs), "")


def require_reset_below(simulator: str, threshold: float, reset: float) -> None:
    """Check that a reset lies below the threshold."""
    if reset >= threshold:
        raise NotOneError(
            f"{simulator} needs a reset below the threshold, and {reset:g} mV is not below {threshold:g} mV"
        )


def require_steep(rise: float, simulator: str, steep: float) -> None:
    """Check that an upstroke is as good as one without a largest rate of rise (mV/ms)."""
    if rise < steep:
        raise NotOneError(
            f"its upstroke rises at most at {rise:g} mV/ms, {simulator}'s without limit; .replace(rise={steep:g}) "
            "makes it one, which is another neuron: score it first"
        )


def require_fine_step(dt: float, simulator: str, fine: float) -> None:
    """Check that the step of a neuron with an upstroke, of which its step is part, is fine (ms)."""
    if dt > fine * (1 + 1e-9):
        raise NotOneError(
            f"its step of {dt:g} ms is part of the neuron, and {simulator} integrates the upstroke finely; score it at "
            f"{fine:g} ms, then export it with dt={fine:g}"
        )
