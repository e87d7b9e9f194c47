"""A fitted cell as exporters need it: named constants, equations, and the condition for a spike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ephysfit import __version__
from ephysfit.errors import ExportError, near
from ephysfit.fitting.fit_result import Fit
from ephysfit.neuron.declare import Neuron, Parameter, flat_names
from ephysfit.neuron.functions import elements
from ephysfit.neuron.roles import Role
from ephysfit.neuron.symbols import Equations, equations, named_equations
from ephysfit.neuron.symbols import text as equation_text
from ephysfit.reports.export.quoting import UnquotedText

#: conditions for a spike in an export: the readouts of `Fit.simulate` by a short name
SPIKING = {
    "causal": "noise-free with the fitted soft threshold: a spike when the hazard integrated since the last one is 1",
    "noisy": "stochastic, with the fitted hazard",
    "threshold": "a spike where the margin reaches 0; escape noise left out",
}


@dataclass(frozen=True)
class Constant:
    """One parameter of a cell: flat name, value, unit, meaning, bounds of the fit (None for a pinned parameter)."""

    name: str
    value: float
    unit: str
    meaning: str
    bounds: tuple[float, float] | None


@dataclass(frozen=True, eq=False)
class ExportedCell:
    """A fitted cell with its constants and equations.

    Attributes
    ----------
    fit : Fit
    spiking : str
        One of `SPIKING`.
    sharpen : (float, float)
        (beta, offset in mV) of the causal run: the hazard is taken at beta (margin - offset).
    constants : tuple of Constant
        All parameters that occur in the equations, and the refractory period.
    equations : Equations
        With pinned values as symbols (`neuron.symbols.named_equations`).
    """

    fit: Fit
    spiking: str
    sharpen: tuple[float, float]
    constants: tuple[Constant, ...]
    equations: Equations

    @property
    def neuron(self) -> type[Neuron]:
        """Class of the neuron."""
        return type(self.fit.neuron)

    @property
    def shared_name(self) -> str:
        """What cells of one model have in common, as a name: class, condition for a spike, step."""
        return f"{self.neuron.__name__}_{self.spiking}_{self.dt:g}ms".replace(".", "p")

    @property
    def dt(self) -> float:
        """Step of the fit, ms."""
        return self.fit.dt

    @property
    def refractory_steps(self) -> int:
        """Number of refractory steps after a spike."""
        return round(self.t_ref / self.dt)

    @property
    def t_ref(self) -> float:
        """Refractory period, ms; 0 where the neuron has none."""
        return float(self.fit.neuron.refractory_ms)

    @property
    def values(self) -> dict[str, float]:
        """Values of the constants by name."""
        return {c.name: c.value for c in self.constants}

    @property
    def units(self) -> dict[str, str]:
        """Units of states and inputs by flat name."""
        kind = self.neuron
        of = {n: s.unit for k, s in kind.states.items() for n in flat_names({k: s})}
        return of | {n: i.unit for n, i in kind.inputs.items()}

    @property
    def meanings(self) -> dict[str, str]:
        """Meanings of states and inputs by flat name."""
        kind = self.neuron
        of: dict[str, str] = {n: UnquotedText(s.doc) for k, s in kind.states.items() for n in flat_names({k: s})}
        return of | {n: UnquotedText(i.doc or "injected current") for n, i in kind.inputs.items()}

    @property
    def about(self) -> dict[str, Any]:
        """Header of every exported file: cell, model, source, spiking, what potentials are, equations."""
        made = self.fit.provenance
        lines = {
            "cell": self.fit.cell,
            "model": self.fit.model,
            "version": __version__,
            "date": made.date[:10],
            "recording": made.recording,
            "reference": str(getattr(self.neuron, "reference", "") or ""),
            "spiking": f"{self.spiking}: {SPIKING[self.spiking]}",
            "potentials": self.fit.describe_potentials(),
        }
        return {
            **{name: UnquotedText(text) for name, text in lines.items()},
            "dt": self.dt,
            "equations": [UnquotedText(line) for line in equation_text(self.neuron)],
        }


def read_fit(fit: Fit, spiking: str | None = None) -> ExportedCell:
    """Read a fit as exporters need it.

    Parameters
    ----------
    fit : Fit
    spiking : str, optional
        One of `SPIKING`; by default "causal" for a stochastic neuron, otherwise "threshold".

    Returns
    -------
    ExportedCell

    Raises
    ------
    ExportError
        If `spiking` is unknown, or needs a hazard that the neuron does not declare.
    """
    kind = type(fit.neuron)
    chosen = spiking or ("causal" if kind.stochastic() else "threshold")
    if chosen not in SPIKING:
        raise ExportError(f"spiking {chosen!r} is unknown; {near(chosen, SPIKING)}")
    if chosen != "threshold" and not kind.stochastic():
        raise ExportError(f"{fit.model} declares no hazard, so it cannot spike {chosen!r}; use spiking='threshold'")
    if chosen == "causal" and fit.sharpen is None:  # the fit found its plain threshold run the better causal run
        chosen = "threshold"
    sharpen = fit.sharpen if chosen == "causal" and fit.sharpen is not None else (1.0, 0.0)
    return ExportedCell(fit, chosen, sharpen, tuple(_list_constants(fit.neuron)), named_equations(kind))


def describe_population(cells: Sequence[ExportedCell]) -> dict[str, Any]:
    """Header of a file of several cells: what `ExportedCell.about` says of one."""
    potentials = list(dict.fromkeys(cell.about["potentials"] for cell in cells))
    said = potentials[0] if len(potentials) == 1 else "not the same for all cells; see their fits"
    return {
        **cells[0].about,
        "cell": f"{len(cells)} cells",
        "recording": "",
        "date": "",
        "potentials": UnquotedText(said),
    }


def _list_constants(neuron: Neuron) -> list[Constant]:
    kind = type(neuron)
    out = []
    for name in [*kind.parameters, *kind.pinned]:
        declared, free = find_declaration(kind, name), name in kind.parameters
        values = [float(v) for v in elements(getattr(neuron, name))]
        flat = list(flat_names({name: declared})) if len(values) == declared.size else [name]
        bounds = (declared.low, declared.high) if free else None
        out += [
            Constant(f, v, declared.unit, UnquotedText(declared.doc), bounds) for f, v in zip(flat, values, strict=True)
        ]
    needed = {*named_equations(kind).parameters, *equations(kind).parameters, kind.name_of(Role.REFRACTORY)}
    return [c for c in out if c.name in needed]


def find_declaration(kind: type[Neuron], name: str) -> Parameter:
    """Find the declaration of a parameter, in this neuron or in the one from which it was pinned."""
    at: type[Neuron] | None = kind
    while at is not None:
        if name in at.parameters:
            return at.parameters[name]
        at = at.base  # type: ignore[assignment]
    raise ExportError(f"{kind.__name__} pins {name!r}, which no neuron it derives from declares")


def refuse(cell: ExportedCell, target: str, reason: str, way_out: str) -> ExportError:
    """Make the error of an exporter that cannot express a neuron."""
    return ExportError(f"{cell.fit.model} cannot be exported to {target}: {reason}; {way_out}")


def select_constants(cell: ExportedCell, symbols: set[str]) -> Mapping[str, Constant]:
    """Select the constants among these names, in the order of declaration."""
    return {c.name: c for c in cell.constants if c.name in symbols}
