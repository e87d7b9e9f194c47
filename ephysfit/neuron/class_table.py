"""A neuron class, or a cell of it, as notebooks show it: its equations, and its parameters as a table."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Mapping
from html import escape
from types import MethodType
from typing import Any

from ephysfit.html_tables import make_table


class ShownInNotebooks:
    """A method ``_repr_html_`` of a class and of its instances alike: `make` is given whichever is shown."""

    def __init__(self, make: Any) -> None:
        self.make = make

    def __get__(self, instance: Any, owner: type) -> Any:
        return MethodType(self.make, owner if instance is None else instance)


def make_neuron_table(
    name: str,
    doc: str,
    parameters: Mapping[str, Any],
    states: Mapping[str, Any],
    values: Mapping[str, Any] | None,
    show_unit: Callable[[str], str] = str,
) -> str:
    """Make the page of a neuron: its equations as its documentation states them, its parameters, its states.

    Parameters
    ----------
    name, doc : str
        Name and documentation of the class; display mathematics after ``.. math::`` is shown.
    parameters, states : mapping
        As declared.
    values : mapping, optional
        Of one cell; declared starts and bounds are shown without.
    show_unit : callable
        Gives the unit to show for a declared one.

    Examples
    --------
    >>> from ephysfit.models import LIF
    >>> page = make_neuron_table("LIF", LIF.__doc__, LIF.parameters, LIF.states, None)
    >>> "leak conductance" in page, r"\\dot V" in page
    (True, True)
    """
    rows = []
    for n, p in parameters.items():
        unit = "" if p.unit == "1" else show_unit(p.unit)
        if values is None:
            rows.append([n, _short(p.starts), f"{p.low:g} to {p.high:g}", unit, p.doc])
        else:
            rows.append([n, _short(values[n]), "", unit, p.doc])
    given = [">start", "bounds"] if values is None else [">value", ""]
    notes = [f"{n} ({show_unit(s.unit)}): {s.doc}" for n, s in states.items()]
    table = make_table(name, ["parameter", *given, "unit", "meaning"], rows, notes)
    return "".join(f"<div>$${escape(m)}$$</div>" for m in find_mathematics(doc)) + table


def find_mathematics(doc: str) -> list[str]:
    """Display mathematics of a documentation string, as LaTeX.

    Examples
    --------
    >>> find_mathematics("A line.\\n\\n    .. math:: a = b\\n\\n    More.")
    ['a = b']
    """
    found = re.findall(r"^[ ]*\.\. math::(.*(?:\n(?:[ ]+\S.*|[ ]*(?=\n[ ]{5,}\S)))*)", doc or "", re.MULTILINE)
    out = []
    for part in found:
        first, _, rest = part.partition("\n")
        text = " ".join(line.strip() for line in [first, *textwrap.dedent(rest).splitlines()] if line.strip())
        out.append(rf"\begin{{aligned}}{text}\end{{aligned}}" if "&" in text or r"\\" in text else text)
    return out


def _short(value: Any) -> str:
    numbers = value if isinstance(value, list | tuple) or hasattr(value, "__iter__") else [value]
    shown = [f"{float(v):.4g}" for v in numbers]
    return ", ".join(shown)
