"""A fitted cell as one of NeuroML's own cells, where it is one: a NeuroML document, and a LEMS file that runs it.

Rules and names are those of ``Cells.xml`` of the NeuroML 2 core types, which jNeuroML runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from ephysfit.fitting.model_import import nest_rules as rules
from ephysfit.models.adex import AdEx
from ephysfit.models.adlif import AdLIF
from ephysfit.models.afterspike import LIFASC
from ephysfit.models.glif import GLIF5
from ephysfit.models.izhikevich import Izhikevich
from ephysfit.models.lif import LIF
from ephysfit.neuron.functions import elements
from ephysfit.reports.export.exported import ExportedCell, describe_population
from ephysfit.reports.export.neuroml import STEP
from ephysfit.reports.export.own import (
    OWN,
    NotOneError,
    OwnForm,
    OwnForms,
    OwnNeuron,
    Written,
    describe_difference,
    require_fine_step,
    require_reset_below,
    require_steep,
)
from ephysfit.reports.export.quoting import UnquotedText, make_identifier
from ephysfit.reports.export.templates import fill_template

#: how many slope factors above the threshold an exponential current takes over that must never be heard: there it is
#: e^-40 of g Delta_T, less than rounding takes from the other currents
_NEVER = 40.0
#: what a GLIF or a LIF_ASC has beside a membrane that resets to a value, by our names
_MORE = {
    "f_v": "the reset keeps a share of the potential", "d_theta": "a spike raises the threshold",
    "a_v": "the threshold follows the voltage", "dI": "a spike opens currents", "b": "a spike opens currents",
}  # fmt: skip
#: in what spikes of a cell of NeuroML may part from ours
_HELD = "it is held at its reset for a step of LEMS, and the cell is not"
_NO_LIMIT = f"the upstroke of NeuroML has no limit, that of the cell rises at most at {rules.STEEP:g} mV/ms"


@dataclass(frozen=True)
class Quantity:
    """A parameter of a cell of NeuroML: its unit, and the parameter of ours that it is; none where it takes a rule."""

    unit: str
    ours: str | None = None


_C = Quantity("pF", "C")
_IAF = {
    "leakReversal": Quantity("mV", "E_L"), "thresh": Quantity("mV", "theta"), "reset": Quantity("mV"), "C": _C,
    "leakConductance": Quantity("nS", "g"),
}  # fmt: skip
#: parameters of each cell in the order of the documentation of NeuroML
PARAMETERS: Mapping[str, Mapping[str, Quantity]] = MappingProxyType({
    "iafCell": _IAF,
    "iafRefCell": {**_IAF, "refract": Quantity("ms")},
    "adExIaFCell": {
        "C": _C, "gL": Quantity("nS", "g"), "EL": Quantity("mV", "E_L"), "reset": Quantity("mV", "V_reset"),
        "VT": Quantity("mV"), "thresh": Quantity("mV"), "delT": Quantity("mV"), "tauw": Quantity("ms", "tau_w"),
        "refract": Quantity("ms"), "a": Quantity("nS", "a"), "b": Quantity("pA", "b"),
    },
    "izhikevich2007Cell": {
        "C": _C, "v0": Quantity("mV", "V_r"), "k": Quantity("nS_per_mV", "k"), "vr": Quantity("mV", "V_r"),
        "vt": Quantity("mV", "V_t"), "vpeak": Quantity("mV", "V_peak"), "a": Quantity("per_ms", "a"),
        "b": Quantity("nS", "b"), "c": Quantity("mV", "c"), "d": Quantity("pA", "d"),
    },
})  # fmt: skip


def write_own_cell(cell: ExportedCell, form: str = OWN) -> dict[str, str]:
    """Write a NeuroML document (``.nml``), and ``_run.xml``, which runs its cell on a step of current.

    Examples
    --------
    >>> from ephysfit.fitting.fit_result import Fit
    >>> from ephysfit.reports.export.exported import read_fit
    >>> neuron = LIF(C=100.0, g=5.0, E_L=-70.0, theta=-50.0, V_reset=-65.0, t_ref=2.0, delta=2.0)
    >>> document = write_own_cell(read_fit(Fit(neuron, "demo", 0.1), "threshold"))[".nml"]
    >>> '<iafRefCell id="lif_demo" leakReversal="-70.0mV" thresh="-50.0mV" reset="-65.0mV" C="100.0pF"' in document
    True
    """
    own = NEUROML_OWN.find(cell, form)
    kind = make_identifier(f"{cell.fit.model}_{cell.fit.cell}")
    shared = {"about": cell.about, "id": kind.lower()}
    values = [(n, f"{v!r}{PARAMETERS[own.model][n].unit}") for n, v in own.values.items()]
    differs = UnquotedText(own.differs)
    return {
        ".nml": fill_template("own_cell.xml.j2", **shared, kind=kind, model=own.model, values=values, differs=differs),
        "_run.xml": fill_template("run.xml.j2", **shared, dt=min(cell.dt, STEP)),
    }


def write_own_cells(
    cells: Sequence[ExportedCell], found: Sequence[OwnNeuron]
) -> tuple[dict[str, str], dict[str, list[Any]]]:
    """Write the loader (``.py``) of cells that are all found to be one of NeuroML's, and columns of its CSV file."""
    model = NEUROML_OWN.require_one(cells, found).model
    units = {n: q.unit for n, q in PARAMETERS[model].items()}
    loader = fill_template(
        "neuroml_population.py.j2", about=describe_population(cells), kind=model, count=len(cells),
        dt=cells[0].dt, step=min(cells[0].dt, STEP), units=units, own=True,
        differs=UnquotedText(describe_difference(found)),
    )  # fmt: skip
    return {".py": loader}, {n: [own.values[n] for own in found] for n in units}


def _fill(model: str, neuron: Any, **ruled: float) -> dict[str, float]:
    """All parameters of a cell: those that are ours under another name, and those that take a rule."""
    quantities = PARAMETERS[model].items()
    return {n: float(ruled[n] if q.ours is None else getattr(neuron, q.ours)) for n, q in quantities}


def _keep_held(held: float) -> float:
    """Refractory period, ms: a hair less, so that rounding never adds a step."""
    return max(round(held - 1e-6, 9), 0.0)


def _find_reset(neuron: Any) -> float:
    """Potential after a spike of a neuron that has no more than a leaky membrane; refuse one that has."""
    for name, what in _MORE.items():
        value = getattr(neuron, name, 0.0)
        if any(float(v) != 0.0 for v in elements(value)):
            raise NotOneError(f"{what} ({name} = {value!r}), and NeuroML's cell has a leaky membrane alone")
    return float(neuron.E_L - neuron.dV) if isinstance(neuron, GLIF5) else float(neuron.V_reset)


def _write_iaf(neuron: Any, cell: ExportedCell, held: float) -> Written:
    values = _fill_leaky("iafCell", neuron)
    if held > 0:
        raise NotOneError(f"it has no refractory period, and the cell's is {held:g} ms")
    return values, ""


def _write_iaf_held(neuron: Any, cell: ExportedCell, held: float) -> Written:
    return _fill_leaky("iafRefCell", neuron, refract=_keep_held(held)), "" if held > 0 else _HELD


def _fill_leaky(model: str, neuron: Any, **ruled: float) -> dict[str, float]:
    values = _fill(model, neuron, reset=_find_reset(neuron), **ruled)
    require_reset_below("NeuroML", values["thresh"], values["reset"])
    return values


def _write_adex(neuron: Any, cell: ExportedCell, held: float) -> Written:
    short = "" if held > 0 else _HELD
    if isinstance(neuron, AdLIF):
        never = float(neuron.theta) + _NEVER  # at a slope factor of 1 mV
        ruled, differs = {"VT": never, "thresh": float(neuron.theta), "delT": 1.0}, short
    else:
        require_steep(float(neuron.rise), "NeuroML", rules.STEEP)
        require_fine_step(cell.dt, "NeuroML", rules.FINE)
        ruled = {"VT": float(neuron.V_T), "thresh": float(neuron.V_peak), "delT": float(neuron.Delta_T)}
        differs = "; ".join(filter(None, (_NO_LIMIT, short)))
    values = _fill("adExIaFCell", neuron, **ruled, refract=_keep_held(held))
    require_reset_below("NeuroML", values["thresh"], values["reset"])
    return values, differs


def _write_izhikevich(neuron: Any, cell: ExportedCell, held: float) -> Written:
    if held > 0:
        raise NotOneError(f"it has no refractory period, and the cell's is {held:g} ms: fit it with t_ref pinned to 0")
    require_fine_step(cell.dt, "NeuroML", rules.FINE)
    values = _fill("izhikevich2007Cell", neuron)
    require_reset_below("NeuroML", values["vpeak"], values["c"])
    return values, ""


_LEAKY = (LIF, GLIF5, LIFASC)
#: cells of NeuroML that a cell may be; iafTauCell and iafTauRefCell hear no current, so that nothing drives them
NEUROML_OWN = OwnForms(
    "NeuroML", MappingProxyType({
        "iafRefCell": OwnForm(_LEAKY, ("threshold",), _write_iaf_held),
        "iafCell": OwnForm(_LEAKY, ("threshold",), _write_iaf),
        "adExIaFCell": OwnForm((AdEx, AdLIF), ("threshold",), _write_adex),
        "izhikevich2007Cell": OwnForm((Izhikevich,), ("threshold",), _write_izhikevich),
    }),
    "take --to neuroml without a form, which writes any neuron of one input as a component type of its own",
)  # fmt: skip
