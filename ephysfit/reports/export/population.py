"""The fitted cells of a batch run for another simulator: one model and a table of parameters for each neuron class."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ephysfit.errors import ExportError
from ephysfit.files import make_printable, write_text
from ephysfit.fitting.fit_result import Fit
from ephysfit.reports.export.brian2 import write_brian2_population
from ephysfit.reports.export.exported import ExportedCell, read_fit
from ephysfit.reports.export.mathtext import PYTHON
from ephysfit.reports.export.python import write_python
from ephysfit.reports.export.quoting import make_identifier

#: targets of whole runs, and why the others are not
TARGETS = ("brian2", "python")
REFUSED: Mapping[str, str] = {
    "nest": "a NESTML model holds the numbers of one cell; export cell by cell, or take brian2",
    "neuroml": "a LEMS file holds one cell; export cell by cell, or take brian2",
    "nir": "its graph holds one plain LIF; export cell by cell, or take brian2",
    "json": "the results of a run are JSON already, and `ephysfit collect` makes tables of them",
}


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
    to : {"brian2", "python"}
    folder : path
        Is made.
    spiking, dt, form : optional
        As of `export`.

    Returns
    -------
    dict of Path to int
        The scripts, with how many cells each holds; the CSV file of each has its name.

    Raises
    ------
    ExportError
        If the target takes no populations, there is no fit, or a neuron has several inputs.

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
        raise ExportError(f"there is no export of a whole run to {to!r}; take {' or '.join(TARGETS)}")
    cells = [read_fit(fit if dt is None else replace(fit, dt=dt), spiking) for fit in fits]
    if not cells:
        raise ExportError("no fit to export: every task of the run failed or is unfinished; see ephysfit status")
    written = {}
    for name, group in group_cells(cells).items():
        script, columns = write_population(group, to, form)
        path = Path(folder) / f"{name}.py"
        write_text(path.with_suffix(".csv"), write_table(group, columns))
        written[write_text(path, script)] = len(group)
    return written


def group_cells(cells: Sequence[ExportedCell]) -> dict[str, list[ExportedCell]]:
    """Group cells that one model can run: of one neuron class, one way of spiking and one step; by the file's name."""
    keys = [(cell.neuron, cell.spiking, cell.dt) for cell in cells]
    kinds = Counter(neuron.__name__ for neuron, _, _ in set(keys))
    groups: dict[str, list[ExportedCell]] = {}
    for cell, (neuron, spiking, dt) in zip(cells, keys, strict=True):
        alone = kinds[neuron.__name__] == 1
        name = neuron.__name__ if alone else f"{neuron.__name__}_{spiking}_{dt:g}ms".replace(".", "p")
        groups.setdefault(make_identifier(name), []).append(cell)
    return groups


def write_population(cells: Sequence[ExportedCell], to: str, form: str) -> tuple[str, dict[str, list[float]]]:
    """Write the script of a group and the columns of its table."""
    first = cells[0]
    if len(first.equations.inputs) > 1:
        raise ExportError(
            f"{first.fit.model} has {len(first.equations.inputs)} inputs, and the cells of a population get one "
            "current; export cell by cell"
        )
    if to == "brian2":
        return write_brian2_population(cells, form)
    if form != "auto":
        raise ExportError(f"form {form!r} is for brian2 only; {to} has one form")
    columns = {PYTHON.name_of(c.name): [cell.values[c.name] for cell in cells] for c in first.constants}
    for k, name in enumerate(("sharpen_slope", "sharpen_offset")):
        columns[name] = [cell.sharpen[k] for cell in cells]
    return write_python(first, population=len(cells)), columns


def write_table(cells: Sequence[ExportedCell], columns: Mapping[str, Sequence[float]]) -> str:
    """Write the CSV file of a group: the name of each cell, and its numbers to the last digit."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["cell", *columns])
    for name, *values in zip(name_cells(cells), *columns.values(), strict=True):
        table.writerow([name, *(repr(float(v)) for v in values)])
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
