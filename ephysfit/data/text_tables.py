"""Reading the numbers of a text table: every line is a row of numbers, accounted for, or refused with its number."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ephysfit.arrays import Array, Float64
from ephysfit.data.sniffing import MISSING, Layout, find_layout, is_comment, is_number, split_line
from ephysfit.data.text_encoding import decode_text
from ephysfit.errors import RecordingError

#: lines of words after the numbers that are left out and reported
FOOTER = 20
#: separators that are easier to name than to write on a shell
WORDS = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "space": " ", "bar": "|"}
#: a line that begins a block of another sweep in files of LabChart
_KEY = re.compile(r"\s*\w+=")


@dataclass(frozen=True)
class TextTable:
    """The contents of a text table.

    Parameters
    ----------
    arrays
        Name to numbers, shape (row,); a column of words becomes its first word.
    summary
        Description of the layout, in one line.
    notes
        Sentences on the lines that were left out.
    left_out
        Number of lines, or remarks after rows, left out.
    """

    arrays: dict[str, npt.NDArray[Any]]
    summary: str
    notes: tuple[str, ...] = ()
    left_out: int = 0


@dataclass
class Lines:
    """The lines of a table, sorted.

    Attributes
    ----------
    blocks : list of list of str
        Rows of numbers, by block.
    comments, remarks : int
        Number of comment lines, and of remarks after rows.
    footer : list of str
        Lines of words after the numbers.
    """

    blocks: list[list[str]] = field(default_factory=lambda: [[]])
    comments: int = 0
    remarks: int = 0
    footer: list[str] = field(default_factory=list)

    @property
    def rows(self) -> list[str]:
        """All rows of numbers."""
        return [row for block in self.blocks for row in block]

    @property
    def left_out(self) -> int:
        """Number of lines and remarks that are not read."""
        return self.comments + self.remarks + len(self.footer)


def read_text(
    path: Path,
    *,
    skip: int | None = None,
    names: Sequence[str] | None = None,
    separator: str | None = None,
    decimal: str | None = None,
    encoding: str | None = None,
) -> TextTable:
    """Read the columns of a text table.

    Parameters
    ----------
    path
        The file.
    skip
        Number of lines to skip at its beginning.
    names, separator, decimal, encoding
        As given by the user; None infers them from the lines.

    Raises
    ------
    RecordingError
        If there is no table, it can be read in two ways, or a line among the rows is not a row.
    """
    separator, decimal = _check_marks(separator, decimal)
    text, encoding = decode_text(path.read_bytes(), encoding)
    lines = text.rstrip("\0\x1a").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    passed = _check_skip(skip, lines)
    layout = find_layout(["" if k < passed else line for k, line in enumerate(lines)] if passed else lines,
                   separator, decimal, names, trust_first=skip is not None)  # fmt: skip
    columns, sorted_ = _read_numbers(lines[layout.first :], layout)
    arrays = _name_columns(columns, layout, sorted_.rows)
    notes = _list_notes(sorted_)
    if len(sorted_.blocks) > 1:
        sizes = [len(block) for block in sorted_.blocks]
        arrays.setdefault("trial", np.repeat(np.arange(len(sizes)), sizes))
        notes.append(f"its {len(sorted_.blocks)} blocks of rows, each under its own line of names, are taken as sweeps")
    if layout.heading.step is not None:
        arrays["dt_ms"] = np.array(layout.heading.step)
    size = f"{len(sorted_.rows)} rows of {layout.columns} cells"
    return TextTable(arrays, f"text in {encoding}, {layout} ({size})", tuple(notes), sorted_.left_out)


def _check_marks(separator: str | None, decimal: str | None) -> tuple[str | None, str | None]:
    """Check a separator and a decimal mark, and return them as characters."""
    between = WORDS.get(separator or "", separator)
    if between is not None and (len(between) != 1 or between.isalnum()):
        raise RecordingError(f"separator={separator!r}: give one character, or one of {', '.join(WORDS)}")
    if decimal not in (None, ".", ","):
        raise RecordingError(f"decimal={decimal!r}: give '.' or ','")
    return between, decimal


def _check_skip(skip: int | None, lines: Sequence[str]) -> int:
    if skip is None:
        return 0
    if isinstance(skip, bool) or not isinstance(skip, int) or not 0 <= skip < len(lines):
        raise RecordingError(f"skip={skip!r}: the number of lines to pass over, below the {len(lines)} of the file")
    return skip


def _read_numbers(lines: Sequence[str], layout: Layout) -> tuple[dict[int, Float64[Array, " row"]], Lines]:
    """Read the numeric columns by position: as a whole if all lines are rows, else after sorting the lines."""
    full = [line for line in lines if line and not line.isspace()]
    columns = _parse_rows(full, layout)
    sorted_ = Lines([full]) if columns is not None and _is_regular(full, columns, layout) else None
    if sorted_ is None:
        sorted_ = _sort_lines(lines, layout)
        columns = _parse_rows(sorted_.rows, layout)
    if columns is None:
        raise RecordingError("its rows cannot be read as numbers")
    return {**columns, **_read_sparse_columns(sorted_.rows, layout)}, sorted_


def _read_sparse_columns(rows: list[str], layout: Layout) -> dict[int, Float64[Array, " row"]]:
    """Read columns that are empty in the lines examined, but hold numbers elsewhere, such as a few spike times."""
    found: dict[int, Float64[Array, " row"]] = {}
    for j in layout.empty:
        columns = _parse_rows(rows, replace(layout, numeric=(j,)))
        if columns is not None and not np.isnan(columns[j]).all():
            found |= columns
    return found


def _parse_rows(rows: list[str], layout: Layout) -> dict[int, Float64[Array, " row"]] | None:
    """Parse the numeric columns; None if a cell is not a number."""
    import pandas as pd  # a third of a second, and only for text

    try:
        frame = pd.read_csv(
            io.StringIO("\n".join(rows)), sep=r"\s+" if layout.separator == " " else layout.separator,
            decimal=layout.decimal, header=None, names=list(range(layout.columns)), usecols=list(layout.numeric),
            dtype=dict.fromkeys(layout.numeric, np.float64), na_values=list(MISSING), keep_default_na=False,
            skipinitialspace=True, index_col=False, engine="c",
        )  # fmt: skip
    except (ValueError, pd.errors.ParserError):
        return None
    return {j: frame[j].to_numpy() for j in layout.numeric} if len(frame) == len(rows) else None


def _is_regular(rows: list[str], columns: dict[int, Float64[Array, " row"]], layout: Layout) -> bool:
    """Whether every row has all its cells and at least one number; False for tables with columns of words."""
    if {*layout.numeric, *layout.empty} != {*range(layout.columns)}:
        return False
    known = ~np.isnan(columns[layout.numeric[0]])
    for j in layout.numeric[1:]:
        known |= ~np.isnan(columns[j])
    if not known.all():
        return False
    if layout.separator == " ":
        return all(len(row.split()) == layout.columns for row in rows)
    wanted = layout.columns - 1
    return all(row.count(layout.separator) == wanted for row in rows)


def _sort_lines(lines: Sequence[str], layout: Layout) -> Lines:
    """Sort the lines into rows, comments, headings of blocks and words after the numbers; others are refused."""
    out = Lines()
    odd: list[tuple[int, str, list[str]]] = []
    for k, line in enumerate(lines, layout.first + 1):
        if not line.strip():
            continue
        if is_comment(line):
            out.comments += 1
            continue
        cells = split_line(line, layout.separator)
        if len(cells) == layout.columns + 1 and cells[-1].startswith("#"):
            line, cells = line[: line.rindex(layout.separator)], cells[:-1]
            out.remarks += 1
        if not layout.is_row(cells):
            odd.append((k, line, cells))
            continue
        if odd:
            _check_block(odd, layout)
            out.blocks.append([])
            odd = []
        out.blocks[-1].append(line)
    if odd and (len(odd) > FOOTER or any(_looks_like_row(cells, layout) for *_, cells in odd)):
        _refuse_lines(odd, layout)
    out.footer = [line.strip() for _, line, _ in odd]
    return out


def _check_block(odd: list[tuple[int, str, list[str]]], layout: Layout) -> None:
    """Raise an error if lines between rows are not a heading like the first one."""
    lines = [line.strip() for _, line, _ in odd]
    headed = layout.heading.lines and all(any(line.startswith(h) for line in lines) for h in layout.heading.lines)
    broken = [one for one in odd if layout.separator != " " and _looks_like_row(one[2], layout)]
    if not headed or (broken and not all(_KEY.match(line) for _, line, _ in broken)):
        _refuse_lines(odd, layout)


def _looks_like_row(cells: Sequence[str], layout: Layout) -> bool:
    """Whether a line that is not a row begins with a number, as a damaged row does."""
    return bool(cells) and re.match(r"[-+]?[.,]?\d", cells[0]) is not None


def _refuse_lines(odd: list[tuple[int, str, list[str]]], layout: Layout) -> None:
    k, line, cells = odd[0]
    more = f"; {len(odd) - 1} more such lines follow" if len(odd) > 1 else ""
    if len(cells) != layout.columns:
        why = f"has {len(cells)} cell{'s' * (len(cells) != 1)} where the rows above have {layout.columns}"
    else:
        j = next((j for j in layout.numeric if not layout.is_row(_replace_other_cells(cells, j, layout))), 0)
        why = f"holds {cells[j][:40]!r} where the rows above have a number"
        if re.fullmatch(r"[-+]?\d{1,3}([.,' ]\d{3})+([.,]\d+)?", cells[j]):
            why += " (separators of thousands are not read: save it without them)"
    raise RecordingError(
        f"line {k} ({line.strip()[:50]!r}) {why}{more}: mend or delete it; skip= passes over first lines"
    )


def _replace_other_cells(cells: Sequence[str], j: int, layout: Layout) -> list[str]:
    """Replace all cells of a line but one by numbers."""
    return [cell if k == j else "0" for k, cell in enumerate(cells)] if cells[j] not in MISSING else ["0"] * len(cells)


def _name_columns(
    columns: dict[int, Float64[Array, " row"]], layout: Layout, rows: Sequence[str]
) -> dict[str, npt.NDArray[Any]]:
    """Name the columns, by position if they have no name; nameless empty columns at the end are dropped."""
    names = list(layout.heading.names or map(str, range(layout.columns)))
    nameless = [not layout.heading.names or not name for name in names]
    while names and nameless[len(names) - 1] and _is_empty(columns, len(names) - 1, layout, rows):
        names.pop()
    arrays: dict[str, npt.NDArray[Any]] = {}
    for j, name in enumerate(names):
        values = columns[j] if j in columns else np.array([_find_first_word(j, layout, rows)], dtype=object)
        stem = re.sub(r" #\d+$", "", name)
        if name != stem and stem in arrays and np.array_equal(arrays[stem], values, equal_nan=True):
            name = f"column {j}, equal to an earlier one"  # the time of each trace, as Patchmaster writes it
        arrays[name or f"column {j}"] = values
    return arrays


def _is_empty(columns: dict[int, Float64[Array, " row"]], j: int, layout: Layout, rows: Sequence[str]) -> bool:
    if j in columns:
        return bool(np.isnan(columns[j]).all())
    return all(split_line(row, layout.separator)[j] in MISSING for row in rows)


def _find_first_word(j: int, layout: Layout, rows: Sequence[str]) -> str:
    """Find the first word in a column of words."""
    for row in rows:
        cell = split_line(row, layout.separator)[j]
        if cell not in MISSING and not is_number(cell, layout.decimal):
            return f"{cell[:40]!r}"
    return "it is empty"


def _list_notes(sorted_: Lines) -> list[str]:
    notes = []
    if sorted_.comments:
        notes.append(f"{_format_count(sorted_.comments, 'comment line')} among the numbers left out")
    if sorted_.remarks:
        notes.append(f"{_format_count(sorted_.remarks, 'remark')} behind rows left out")
    if sorted_.footer:
        shown = sorted_.footer[0][:40]
        notes.append(
            f"{_format_count(len(sorted_.footer), 'line')} of words behind the numbers left out, the first {shown!r}"
        )
    return notes


def _format_count(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"
