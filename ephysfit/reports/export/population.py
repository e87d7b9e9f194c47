"""The fitted cells of a batch run for another simulator: one model and a table of parameters for each neuron class."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from ephysfit.errors import ExportError
from ephysfit.files import make_printable, replacing, write_text
from ephysfit.fitting.fit_result import Fit
from ephysfit.reports.export.brian2 import write_brian2_population
from ephysfit.reports.export.discrete import list_columns
from ephysfit.reports.export.exported import ExportedCell, read_fit
from ephysfit.reports.export.forms import OWN_MARK, OWN_TARGETS, check_form, is_own
from ephysfit.reports.export.mathtext import PYTHON
from ephysfit.reports.export.nest import write_nest_population
from ephysfit.reports.export.neuroml import write_neuroml_population
from ephysfit.reports.export.nir import compute_lif_fields, write_nir_graph, write_nir_population
from ephysfit.reports.export.python import write_python
from ephysfit.reports.export.quoting import make_identifier

#: targets of whole runs, and why the others are not
TARGETS = ("brian2", "python", "nest", "neuroml", "nir")
#: ending of the model where it is a file of its own, not part of the script
MODEL_ENDINGS: Mapping[str, str] = {"nest": ".nestml", "neuroml": ".xml", "nir": ".nir"}
REFUSED: Mapping[str, str] = {
    "json": "the results of a run are JSON already, and `ephysfit collect` makes tables of them",
}
_Found = TypeVar("_Found")
#: texts of a group by their endings, and the columns of its table
_Files = tuple[dict[str, str], dict[str, list[Any]]]


def export_population(
    fits: Iterable[Fit], to: str, folder: str | Path, *, spiking: str | None = None, dt: float | None = None,
    form: str = "auto",
) -> dict[Path, int]:  # fmt: skip
    """Export many fitted cells: for each neuron class a script with its equations and a CSV file, one row per cell.

    Cells of one class that spike in another way (``spiking``, by default as their fits chose) or were fitted with
    another step get files of their own.

    Parameters
    ----------
    fits : iterable of Fit
        Of single neurons; of an ensemble its one neuron is exported.
    to : str
        One of `TARGETS`.
    folder : path
        Is made.
    spiking, dt, form : optional
        As of `export`.

    Returns
    -------
    dict of Path to int
        The scripts, which load the cells, with how many each holds. The CSV file of each has its name, and so has the
        model where it is a file of its own (`MODEL_ENDINGS`).

    Raises
    ------
    ExportError
        If the target takes no populations, there is no fit, or the target cannot express a neuron; then no file is
        written.

    Examples
    --------
    >>> import tempfile
    >>> from ephysfit.models import LIF
    >>> fits = [Fit(LIF.start().replace(C=C), f"cell {C:g}", 0.1) for C in (80.0, 120.0)]
    >>> {path.name: count for path, count in export_population(fits, "brian2", tempfile.mkdtemp()).items()}
    {'LIF.py': 2}
    """
    if to in REFUSED:
        raise ExportError(f"a whole run is not exported to {to}: {REFUSED[to]}")
    if to not in TARGETS:
        raise ExportError(f"there is no export of a whole run to {to!r}; take {', '.join(TARGETS)}")
    cells = [read_fit(fit if dt is None else replace(fit, dt=dt), spiking) for fit in fits]
    if not cells:
        raise ExportError("no fit to export: every task of the run failed or is unfinished; see ephysfit status")
    kind = OWN_MARK if is_own(to, form) else ""
    groups = {name + kind: group for name, group in group_cells(cells).items()}
    made = {name: write_population(group, to, name, form) for name, group in groups.items()}
    written = {}
    for name, (texts, columns) in made.items():
        path, group = Path(folder) / f"{name}.py", groups[name]
        if to == "nir":
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path.with_suffix(MODEL_ENDINGS[to])) as beside:
                write_nir_graph(group, name_cells(group), columns, beside)
        write_text(path.with_suffix(".csv"), write_table(group, columns))
        for ending, text in texts.items():
            write_text(path.with_suffix(ending), text)
        written[path] = len(group)
    return written


def group_cells(cells: Sequence[ExportedCell]) -> dict[str, list[ExportedCell]]:
    """Group cells that one model can run: of one neuron class, one way of spiking and one step; by the file's name."""
    kinds = Counter(neuron.__name__ for neuron, _, _ in {(cell.neuron, cell.spiking, cell.dt) for cell in cells})
    groups: dict[str, list[ExportedCell]] = {}
    for cell in cells:
        name = cell.neuron.__name__ if kinds[cell.neuron.__name__] == 1 else cell.shared_name
        groups.setdefault(make_identifier(name), []).append(cell)
    return groups


def write_population(cells: Sequence[ExportedCell], to: str, name: str, form: str = "auto") -> _Files:
    """Write the files of a group as text, by their endings, and the columns of its table."""
    first = cells[0]
    if len(first.equations.inputs) > 1:
        raise ExportError(
            f"{first.fit.model} has {len(first.equations.inputs)} inputs, and the cells of a population get one "
            "current; export cell by cell"
        )
    check_form(to, form)
    if to == "brian2":
        script, columns = write_brian2_population(cells, form)
        return {".py": script}, columns
    if is_own(to, form):
        own = OWN_TARGETS[to]
        return own.write_many(cells, _ask_each(cells, partial(own.forms.find, form=form)))
    if to == "nir":
        return write_nir_population(cells, _ask_each(cells, compute_lif_fields))
    if to == "python":
        return {".py": write_python(first, population=len(cells))}, list_columns(cells, PYTHON)
    return write_nest_population(cells) if to == "nest" else write_neuroml_population(cells, name)


def _ask_each(cells: Sequence[ExportedCell], ask: Callable[[ExportedCell], _Found]) -> list[_Found]:
    """Ask for what each cell is in the target; a refusal names the cell."""
    found = []
    for cell, name in zip(cells, name_cells(cells), strict=True):
        try:
            found.append(ask(cell))
        except ExportError as error:
            raise ExportError(f"{name}: {error}") from None
    return found


def write_table(cells: Sequence[ExportedCell], columns: Mapping[str, Sequence[Any]]) -> str:
    """Write the CSV file of a group: the name of each cell, and its numbers to the last digit (lists as JSON)."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["cell", *columns])
    for name, *values in zip(name_cells(cells), *columns.values(), strict=True):
        table.writerow([name, *map(json.dumps, values)])
    return text.getvalue()


def name_cells(cells: Sequence[ExportedCell]) -> list[str]:
    """Names of cells, made different by a number where two are the same."""
    seen: Counter[str] = Counter()
    out = []
    for cell in cells:
        name = make_printable(cell.fit.cell)
        seen[name] += 1
        out.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return out
