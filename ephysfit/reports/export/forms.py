"""The forms that an export may take, by target: how a Brian2 script is written, and neurons of a simulator's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from ephysfit.errors import ExportError, near
from ephysfit.reports.export.brian2 import FORMS as BRIAN2_FORMS
from ephysfit.reports.export.exported import ExportedCell
from ephysfit.reports.export.nest_own import NEST_OWN, write_own_neuron, write_own_population
from ephysfit.reports.export.neuroml_own import NEUROML_OWN, write_own_cell, write_own_cells
from ephysfit.reports.export.own import OwnForms, OwnNeuron

#: the form that a target has by default
AUTO = "auto"
#: what keeps the names of files of a simulator's own neurons apart from those of the default form
OWN_MARK = "_own"


@dataclass(frozen=True)
class OwnTarget:
    """Neurons of a simulator's own, and what writes one cell, and many, as one of them."""

    forms: OwnForms
    write: Callable[[ExportedCell, str], dict[str, str]]
    write_many: Callable[[Sequence[ExportedCell], Sequence[OwnNeuron]], tuple[dict[str, str], dict[str, list[Any]]]]


#: by target
OWN_TARGETS: Mapping[str, OwnTarget] = MappingProxyType({
    "nest": OwnTarget(NEST_OWN, write_own_neuron, write_own_population),
    "neuroml": OwnTarget(NEUROML_OWN, write_own_cell, write_own_cells),
})  # fmt: skip
#: forms beside `AUTO`, by target; the others have none
FORMS: Mapping[str, tuple[str, ...]] = MappingProxyType({
    "brian2": tuple(n for n in BRIAN2_FORMS if n != AUTO), **{to: own.forms.names for to, own in OWN_TARGETS.items()},
})  # fmt: skip


def check_form(to: str, form: str) -> None:
    """Check that a target has a form.

    Examples
    --------
    >>> check_form("neuroml", "iafRefCell")
    >>> check_form("json", "own")
    Traceback (most recent call last):
    ephysfit.errors.ExportError: form 'own' is for brian2, nest and neuroml only; json has one form
    """
    if form == AUTO or form in FORMS.get(to, ()):
        return
    if to not in FORMS:
        *first, last = FORMS
        raise ExportError(f"form {form!r} is for {', '.join(first)} and {last} only; {to} has one form")
    raise ExportError(f"form {form!r} is unknown to {to}; {near(form, (AUTO, *FORMS[to]))}")


def is_own(to: str, form: str) -> bool:
    """Whether an export is of a neuron of the simulator's own."""
    return to in OWN_TARGETS and form != AUTO
