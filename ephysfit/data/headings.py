"""Names and units of the columns of a text table, from the lines above its numbers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ephysfit.data.columns import FACTORS, find_bracketed_unit
from ephysfit.errors import RecordingError

#: lines above the numbers that are looked at for names and units
ABOVE = 6
#: units of any quantity
UNITS = {unit for known in FACTORS.values() for unit in known}
#: what stands in a line of units for a column that has none
NO_UNIT = {"", "-", "1", "*", "a.u.", "#", "n/a"}
#: names of a last column that rows may leave away
REMARKS = {"comment", "comments", "note", "notes", "remark", "remarks", "marker", "event", "events"}
_MARK = re.compile(r"^\s*(?:#|%|//)+\s*")
_RULE = re.compile(r"[\s\-=_+|.;,*]+")


@dataclass(frozen=True)
class Heading:
    """Names of the columns of a text table.

    Attributes
    ----------
    names : tuple of str
        Names, with units; empty if there are none.
    found_in : str
        Where they were found, in words.
    lines : tuple of str
        The lines they were found in.
    step : float or None
        Sampling step, ms, if the lines give one.
    """

    names: tuple[str, ...] = ()
    found_in: str = ""
    lines: tuple[str, ...] = ()
    step: float | None = None


def read_heading(
    above: Sequence[str], separator: str, columns: int, numeric: Sequence[int], given: Sequence[str] | None = None
) -> Heading:
    """Read the names and units of the columns of a table from the lines above its numbers.

    Parameters
    ----------
    above
        The lines above the numbers.
    separator, columns
        Separator and number of cells of the rows.
    numeric
        Positions of the columns of numbers, without labels of rows.
    given
        Names to use instead.

    Raises
    ------
    RecordingError
        If the names given are for another number of columns.

    Examples
    --------
    >>> read_heading(["cell 7", "Time,Vm", "(s),(mV)", ""], ",", 2, (0, 1)).names
    ('Time (s)', 'Vm (mV)')
    """
    if given is not None:
        if len(given) not in (columns, len(numeric)):
            raise RecordingError(f"names= has {len(given)} names, and rows have {columns} cells: give one for each")
        return Heading(_make_unique(_spread_names(list(given), columns, numeric)), "names as names= gives them")
    if found := _read_labchart(above, columns):
        return found
    fitting, units = _find_fitting_lines(above, separator, columns, numeric)
    if not fitting and units is None:
        return Heading()
    named = next(((k, cells) for k, cells in fitting if units is None or k < units[0]), None)
    named = named or next(iter(fitting), None)
    if named is None and units is not None and not _are_surely_units(units[1]):
        return Heading()
    names = [""] * columns if named is None else named[1]
    if units is not None:
        names = [_append_unit(name, unit) for name, unit in zip(names, units[1], strict=True)]
    said = [] if named is None else [f"names in line {named[0] + 1}"]
    said += [] if units is None else [f"units in line {units[0] + 1}"]
    return Heading(_make_unique(names), ", ".join(said), () if named is None else (above[named[0]].strip(),))


def split_cells(line: str, separator: str) -> list[str]:
    """Split a line at its separators, except at those inside quotes.

    Examples
    --------
    >>> split_cells('"a;b";c', ";")
    ['"a;b"', 'c']
    """
    parts: list[str] = []
    for part in line.split(separator):
        if parts and parts[-1].count('"') % 2:
            parts[-1] += separator + part
        else:
            parts.append(part)
    return parts


def _find_fitting_lines(
    above: Sequence[str], separator: str, columns: int, numeric: Sequence[int]
) -> tuple[list[tuple[int, list[str]]], tuple[int, list[str]] | None]:
    """Find the lines above the numbers that have a cell per column, nearest first, and the line of units."""
    fitting: list[tuple[int, list[str]]] = []
    units = None
    for k in [k for k in range(len(above) - 1, -1, -1) if above[k].strip() and not _RULE.fullmatch(above[k])][:ABOVE]:
        cells = _split_names(above[k], separator, columns, numeric)
        if cells is None and not _MARK.match(above[k]):
            break
        if cells is None:
            continue
        if units is None and _are_units(cells):
            units = k, [cell if cell not in NO_UNIT else "" for cell in cells]
        else:
            fitting.append((k, cells))
    fitting.sort(key=lambda found: bool(_MARK.match(above[found[0]])))  # names in a comment only where no others are
    return fitting, units


def _split_names(line: str, separator: str, columns: int, numeric: Sequence[int]) -> list[str] | None:
    """Split a line of names, however it is written, over the columns; None if their number differs."""
    text = _MARK.sub("", line)
    for cells in _list_ways_to_cut(text, separator):
        kept = [cell.strip().strip('"').strip() for cell in cells]
        while kept and len(kept) > columns and not kept[-1]:
            kept.pop()
        if len(kept) == columns and any(kept) and not (columns == 1 and re.search(r"[,;\t]", kept[0])):
            return kept
        trimmed = [cell for cell in kept if cell]
        if _may_spread(trimmed, columns, numeric):
            return _spread_names(trimmed, columns, numeric)
        if len(trimmed) == columns + 1 and trimmed[-1].lower() in REMARKS:
            return trimmed[:columns]
        if len(kept) < columns and _are_units(kept):
            return kept + [""] * (columns - len(kept))
    return None


def _may_spread(cells: list[str], columns: int, numeric: Sequence[int]) -> bool:
    """Whether the names belong to some columns only: words follow the numbers, or row names of R precede them."""
    if len(cells) != len(numeric) or len(cells) == columns:
        return False
    behind = list(numeric) == list(range(len(cells)))
    before = len(cells) == columns - 1 and list(numeric) == list(range(1, columns))
    return behind or before


def _spread_names(cells: list[str], columns: int, numeric: Sequence[int]) -> list[str]:
    if len(cells) == columns:
        return cells
    names = [""] * columns
    for j, cell in zip(numeric, cells, strict=True):
        names[j] = cell
    return names


def _list_ways_to_cut(text: str, separator: str) -> list[list[str]]:
    """List ways to cut a line of names: like the rows, at wide gaps, after brackets, at any other separator."""
    ways = []
    if separator != " ":
        ways.append(split_cells(text, separator))
    if separator in " \t":
        ways.append(re.split(r"\t|\s{2,}", text.strip()))
        ways.append(re.findall(r'"[^"]*"|[^\s(\[]+\s*(?:\([^)]*\)|\[[^\]]*\])|\S+', text))
        ways.append(text.split())
    ways += [text.split(other) for other in ("\t", ";", ",") if other != separator]
    return ways


def _are_units(cells: Sequence[str]) -> bool:
    bare = [_strip_brackets(cell) for cell in cells]
    return any(cell in UNITS for cell in bare) and all(cell in UNITS or cell in NO_UNIT for cell in bare)


def _are_surely_units(cells: Sequence[str]) -> bool:
    """Whether units without names are certainly units: V, A and s may also be names."""
    return any(len(_strip_brackets(cell)) > 1 or cell != _strip_brackets(cell) for cell in cells)


def _strip_brackets(cell: str) -> str:
    return cell.strip("()[] ")


def _append_unit(name: str, unit: str) -> str:
    unit = _strip_brackets(unit)
    return name if not unit or find_bracketed_unit(name) == unit else f"{name} ({unit})".strip()


def _make_unique(names: Sequence[str]) -> tuple[str, ...]:
    """Number the names that several columns share."""
    seen: Counter[str] = Counter()
    out = []
    for name in names:
        clean = " ".join(name.split())
        seen[clean] += 1
        out.append(clean if seen[clean] == 1 or not clean else f"{clean} #{seen[clean]}")
    return tuple(out)


def _read_labchart(above: Sequence[str], columns: int) -> Heading | None:
    """Names of a LabChart export: lines `Interval=`, `ChannelTitle=`, `Range=`, `UnitName=`; a first column more than
    there are titles is the time, in seconds."""
    said = {}
    for line in above:
        key, *cells = line.rstrip("\t\r ").split("\t")
        if key.rstrip().endswith("="):
            said[key.strip().rstrip("=")] = [cell.strip() for cell in cells]
    titles = said.get("ChannelTitle", [])
    if not titles or len(titles) > columns:
        return None
    units = [
        next((u for key in ("UnitName", "Range") if (u := _find_last_word(said.get(key, []), k)) not in NO_UNIT), "")
        for k in range(len(titles))
    ]
    named = [_append_unit(title, unit) for title, unit in zip(titles, units, strict=True)]
    names = [*(["Time [s]"] if len(titles) < columns else []), *named]
    value, unit = [*(said.get("Interval") or [""])[0].split(), "", ""][:2]
    step = float(value) * FACTORS["dt"][unit] if re.fullmatch(r"[\d.]+", value) and unit in FACTORS["dt"] else None
    return Heading(_make_unique(names + [""] * (columns - len(names))), "names, units and step as LabChart writes them",
                   ("ChannelTitle=",), step)  # fmt: skip


def _find_last_word(cells: Sequence[str], k: int) -> str:
    return (cells[k].split() or [""])[-1] if k < len(cells) else ""


def refuse_other_count(above: Sequence[str], columns: int) -> None:
    """Raise an error if the line above comma-separated numbers names more or fewer columns than the rows have cells.

    Raises
    ------
    RecordingError
        Because commas may then mark decimals as well.
    """
    near = next((line for line in reversed(above) if line.strip()), "")
    cells = split_cells(_MARK.sub("", near), ",")
    named = len([cell for cell in cells if cell.strip()])
    if 2 <= named != columns:
        raise RecordingError(
            f"{named} names over rows of {columns} cells: if commas mark decimals as well as cells, save the table "
            "with another separator; else give names= for all columns, or skip= to pass over that line"
        )
