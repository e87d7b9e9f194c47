"""Layout of text tables of any program: first row of numbers, separator, decimal mark and names of the columns.

The layout is inferred from the lines alone, without assumptions on the program, and is described in one line
(`Layout`). A table that can be read in two ways is refused, and the error states both.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ephysfit.data.headings import Heading, read_heading, refuse_other_count, split_cells
from ephysfit.errors import RecordingError, some

#: separators of cells, in order of preference where a line can be read in several ways; a blank means any white space
SEPARATORS = ("\t", ";", ",", "|", " ")
SPOKEN = {"\t": "tabs", ";": "semicolons", ",": "commas", "|": "bars", " ": "spaces"}
#: lines examined for separator and decimal mark, evenly over the file
SAMPLE = 300
#: consecutive rows of numbers that mark the beginning of the table
FIRST_ROWS = 3
COMMENTS = ("#", "%", "//")
#: cells that mark a missing number
MISSING = ("", "nan", "NaN", "NAN", "-nan", "NA", "N/A", "n/a", "#N/A", "null", "NULL", "None", "none", "--")
_EXPONENT = r"(?:[eE][-+]?\d+)?"
NUMBER = {
    mark: re.compile(
        rf"[-+]?(?:\d+(?:{re.escape(mark)}\d{digits})?|{re.escape(mark)}\d+){_EXPONENT}|[-+]?(?:inf|Inf|INF)"
    )
    for mark, digits in ((".", "*"), (",", "+"))
}
#: cells of a column of words that are numbers cut at the wrong places
_BROKEN = re.compile(r"[-+]?\d[\d.]*,[\d.,]*(?:[eE][-+]?\d+)?")
#: 1.234,5 or 1,234.5
_MIXED = re.compile(r"\d\.\d{3},\d|\d,\d{3}\.\d")
#: 1,234 or 12.345.678: groups of three behind a first one
_GROUPED = r"(?<![\d{0}])[-+]?[1-9]\d{{0,2}}(?:{0}\d{{3}})+(?![\d{0}])"


@dataclass(frozen=True)
class Layout:
    """The layout of a text table.

    Parameters
    ----------
    separator, decimal
        Separator of cells (a blank means any white space), and decimal mark.
    columns
        Number of cells in a row.
    numeric
        Positions of the columns that hold numbers; the others hold words.
    first
        Position of the first row of numbers among the lines, counted from 0.
    heading
        Names of the columns, and the lines they were found in.
    empty
        Positions of the columns that are empty in the lines examined.
    """

    separator: str
    decimal: str
    columns: int
    numeric: tuple[int, ...]
    first: int
    heading: Heading
    empty: tuple[int, ...] = ()

    def __str__(self) -> str:
        named = self.heading.found_in or "no names"
        mark = ", decimal comma" if self.decimal == "," else ""
        return f"{SPOKEN[self.separator]} between cells{mark}, {named}, numbers from line {self.first + 1}"

    def is_row(self, cells: Sequence[str]) -> bool:
        """Whether the cells of a line are a row of this table."""
        return len(cells) == self.columns and _holds_numbers(cells, self.numeric, self.decimal)


def find_layout(
    lines: Sequence[str],
    separator: str | None = None,
    decimal: str | None = None,
    names: Sequence[str] | None = None,
    trust_first: bool = False,
) -> Layout:
    """Find the layout of a text table.

    Parameters
    ----------
    lines
        Lines of the file, without their ends.
    separator, decimal, names
        As given by the user; None infers them.
    trust_first
        Whether a first line 0, 1, 2 ... is a row of numbers, rather than the names that pandas gives to columns.

    Raises
    ------
    RecordingError
        If the lines hold no table, or can be read in two ways.

    Examples
    --------
    >>> found = find_layout(["sep=;", "Zeit;Strom", "[ms];[pA]", "0,0;1,5", "0,1;2,5"])
    >>> print(found)
    semicolons between cells, decimal comma, names in line 2, units in line 3, numbers from line 4
    >>> found.heading.names
    ('Zeit (ms)', 'Strom (pA)')
    """
    told = re.fullmatch(r"sep=(.)", lines[0].strip("\ufeff\"' \r")) if lines else None
    separator = separator or (told[1] if told else None)
    body = [k for k, line in enumerate(lines) if line.strip() and not is_comment(line) and not (told and k == 0)]
    if not body:
        raise RecordingError("no line of numbers in it: it is empty but for comments")
    sample = [lines[body[k * len(body) // SAMPLE]] for k in range(SAMPLE)] if len(body) > SAMPLE else [
        lines[k] for k in body
    ]  # fmt: skip
    readings = [r for r in _list_readings(sample, separator, decimal) if r.score > 0]
    if not readings:
        raise RecordingError(
            f"{_explain_no_table(lines, body)}: give separator=, decimal=, or skip= for lines before it"
        )
    best = max(r.score for r in readings)
    layouts = [_lay_out(lines, body, r, names) for r in readings if r.score > best - 1e-9]
    layout = _choose_layout(layouts, lines, names)
    if not trust_first:
        _refuse_numbers_above(lines, layout)
    if not layout.heading.lines and not trust_first:
        _refuse_counting(lines[layout.first], layout)
    if decimal is None:
        _refuse_thousands(lines[layout.first :], layout)
    return layout


def is_comment(line: str) -> bool:
    """Whether a line is a comment as a whole; a # inside a line is none."""
    return (line.lstrip() if line[:1].isspace() else line).startswith(COMMENTS)


def split_line(line: str, separator: str) -> list[str]:
    """Split a line into cells, without quotes and blanks around them.

    Examples
    --------
    >>> split_line(' "Time (s)"; "Vm; mV" ;', ";"), split_line("0  1.5\\t2", " ")
    (['Time (s)', 'Vm; mV', ''], ['0', '1.5', '2'])
    """
    if separator == " ":
        parts = re.findall(r'"[^"]*"|\S+', line) if '"' in line else line.split()
    else:
        parts = split_cells(line, separator)
    return [part.strip().strip('"').strip() for part in parts]


def is_number(cell: str, decimal: str) -> bool:
    """Whether a cell is a number with this decimal mark."""
    return NUMBER[decimal].fullmatch(cell) is not None


@dataclass(frozen=True)
class _Reading:
    separator: str
    decimal: str
    columns: int
    numeric: tuple[int, ...]
    score: float
    empty: tuple[int, ...] = ()


def _list_readings(sample: list[str], separator: str | None, decimal: str | None) -> list[_Reading]:
    """List the ways to read the lines, each with the fraction of the cells that become numbers."""
    found = []
    for between in (separator,) if separator else SEPARATORS:
        rows = [split_line(line, between) for line in sample]
        for mark in (decimal,) if decimal else ".,":
            if between == mark == "," and not any('"' in line for line in sample):
                continue
            found.append(_rate_reading(rows, between, mark))
    return found


def _rate_reading(rows: list[list[str]], separator: str, decimal: str) -> _Reading:
    kinds = [[is_number(c, decimal) for c in cells] for cells in rows]
    widths = Counter(len(kind) for kind in kinds if any(kind))
    if not widths:
        return _Reading(separator, decimal, 0, (), 0.0)
    n = widths.most_common(1)[0][0]
    of_width = [(cells, kind) for cells, kind in zip(rows, kinds, strict=True) if len(kind) == n and any(kind)]
    numeric = []
    for j in range(n):
        numbers = sum(kind[j] for _, kind in of_width)
        words = sum(not kind[j] and cells[j] not in MISSING for cells, kind in of_width)
        if numbers and numbers >= words:
            numeric.append(j)
        elif any(_BROKEN.fullmatch(cells[j]) for cells, _ in of_width):
            return _Reading(separator, decimal, n, (), 0.0)
    fits = sum(_holds_numbers(cells, numeric, decimal) for cells, _ in of_width)
    empty = tuple(j for j in range(n) if all(cells[j] in MISSING for cells, _ in of_width))
    score = fits / len(rows) * len(numeric) / max(n - len(empty), 1)
    return _Reading(separator, decimal, n, tuple(numeric), score if numeric else 0.0, empty)


def _holds_numbers(cells: Sequence[str], numeric: Sequence[int], decimal: str) -> bool:
    """Whether these columns of a row hold numbers or nothing, and at least one a number."""
    number = [NUMBER[decimal].fullmatch(cells[j]) is not None for j in numeric]
    return any(number) and all(n or cells[j] in MISSING for n, j in zip(number, numeric, strict=True))


def _lay_out(lines: Sequence[str], body: list[int], reading: _Reading, names: Sequence[str] | None) -> Layout | str:
    """Find the layout that follows from a reading, or explain why there is none."""
    first = _find_first_row(lines, body, reading)
    if first is None:
        return "no rows of numbers that follow each other"
    numeric = reading.numeric[1:] if _is_labelled(lines[first]) else reading.numeric
    try:
        found = read_heading(lines[:first], reading.separator, reading.columns, numeric, names)
        if not found.names and reading.separator == "," and not any("." in line for line in lines[first:]):
            refuse_other_count(lines[:first], reading.columns)
    except RecordingError as error:
        return str(error)
    return Layout(reading.separator, reading.decimal, reading.columns, reading.numeric, first, found, reading.empty)


def _is_labelled(row: str) -> bool:
    """Whether a row begins with a quoted number, as R labels rows."""
    return re.match(r'\s*"\d+"', row) is not None and row.count('"') == 2


def _find_first_row(lines: Sequence[str], body: list[int], reading: _Reading) -> int | None:
    """Find the first of several consecutive rows of numbers; a single line of numbers before the names is ignored."""
    run: list[int] = []
    longest: list[int] = []
    for k in body:
        cells = split_line(lines[k], reading.separator)
        fits = len(cells) == reading.columns and _holds_numbers(cells, reading.numeric, reading.decimal)
        run = [*run, k] if fits else []
        longest = max(longest, run, key=len)
        if len(longest) == FIRST_ROWS:
            break
    return longest[0] if longest else None


def _choose_layout(layouts: list[Layout | str], lines: Sequence[str], names: Sequence[str] | None) -> Layout:
    """Choose the only valid layout; names decide between several."""
    sound = [layout for layout in layouts if isinstance(layout, Layout)]
    if not sound:
        raise RecordingError(next(layout for layout in layouts if isinstance(layout, str)))
    same = {(len(s.numeric), s.decimal if _has_decimal_mark(lines, s) else ".") for s in sound}
    if len(same) == 1:
        return sound[0]
    named = [s for s in sound if s.heading.names or names]
    if len({(s.columns, s.decimal) for s in named}) == 1:
        return named[0]
    kinds = [f"{s.columns} cells with a decimal {'comma' if s.decimal == ',' else 'point'}" for s in sound[:2]]
    raise RecordingError(
        f"line {sound[0].first + 1} ({_shorten(lines[sound[0].first])!r}) may be {' or '.join(kinds)}: give separator= "
        "and decimal="
    )


def _has_decimal_mark(lines: Sequence[str], layout: Layout) -> bool:
    """Whether a decimal mark occurs anywhere in the numbers."""
    return any(layout.decimal in line for line in lines[layout.first :])


def _refuse_numbers_above(lines: Sequence[str], layout: Layout) -> None:
    """Raise an error if the line above the first row holds numbers too, but another count: it may be a sample."""
    above = [k for k in range(layout.first) if lines[k].strip()]
    cells = [c for c in split_line(lines[above[-1]], layout.separator) if c] if above else []
    if cells and all(is_number(cell, ".") or is_number(cell, ",") or _BROKEN.fullmatch(cell) for cell in cells):
        k = above[-1]
        raise RecordingError(
            f"line {k + 1} ({_shorten(lines[k])!r}) holds numbers too, but is not a row of {layout.columns} as those "
            f"below it: give skip={k + 1} if it is no sample, or separator= and decimal="
        )


def _refuse_counting(line: str, layout: Layout) -> None:
    """Raise an error if the first row counts its columns, as pandas names columns that have no names."""
    cells = split_line(line, layout.separator)
    counts = [str(k) for k in range(len(cells))]
    if (cells == counts and len(cells) > 2) or (not cells[0] and cells[1:] == counts[:-1]):
        raise RecordingError(
            f"line {layout.first + 1} ({_shorten(line)!r}) counts its columns, as pandas names columns without names: "
            f"give skip={layout.first + 1} to pass over it, or skip={layout.first} if it is the first sample"
        )


def _refuse_thousands(rows: Sequence[str], layout: Layout) -> None:
    """Raise an error if every decimal mark may also separate thousands: 1,234 is 1234 or 1.234."""
    mark = layout.decimal
    other = "." if mark == "," else ","
    text = "\n".join(rows)
    if mark not in text:
        return
    plain = re.escape(mark)
    proof = (
        rf"(?<!\d)0{plain}\d|(?<!\d){plain}\d|{plain}\d{{1,2}}(?!\d)|{plain}\d{{4}}|\d{{4}}{plain}\d|\d{plain}\d+[eE]"
    )
    if re.search(proof, text):
        return
    grouped = re.search(_GROUPED.format(plain), text)
    if grouped is None or (mark == "." and not _has_whole_numbers_too(rows, layout)):
        return
    number = grouped[0]
    raise RecordingError(
        f"{number!r} may be {number.replace(mark, '')} or {number.replace(mark, '.')}, and no other number decides: "
        f"give decimal={mark!r} if {'a comma' if mark == ',' else 'a point'} marks decimals, or save the table without "
        f"separators of thousands (decimal={other!r} is refused for them)"
    )


def _has_whole_numbers_too(rows: Sequence[str], layout: Layout) -> bool:
    """Whether a column holds numbers with three decimals and numbers with none, as thousands do."""
    for j in layout.numeric:
        cells = [split_line(row, layout.separator) for row in rows if row.strip() and not is_comment(row)]
        column = [c[j] for c in cells if len(c) > j and is_number(c[j], layout.decimal)]
        grouped = [c for c in column if re.fullmatch(_GROUPED.format(r"\."), c)]
        if grouped and any(layout.decimal not in c for c in column):
            return True
    return False


def _explain_no_table(lines: Sequence[str], body: list[int]) -> str:
    shown = some((repr(_shorten(lines[k])) for k in body[:2]), longest=60)
    if len(body) == 1:
        return (
            f"no other format recognises the file, and as a table it has 1 line ({shown}); a table needs a line of "
            "column names with units, as time_ms,current_pA,voltage_mV, and rows below it"
        )
    grouped = any(_MIXED.search(lines[k]) for k in body[:SAMPLE])
    why = "; numbers with separators of thousands are not read: save it without them" if grouped else ""
    return f"text, but not a table of numbers in columns (it begins {shown}{why})"


def _shorten(line: str, most: int = 50) -> str:
    return line if len(line) <= most else f"{line[: most - 1]}…"
