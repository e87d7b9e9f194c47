"""Tables and small drawings for notebooks, as HTML that needs no style sheet and no script."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

#: colours that read on light and dark pages alike
LINE, MARK, NOTE = "#7a7a7a", "#c44e52", "#a06000"
#: rows of a table that are shown
MOST = 30


def make_table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]], notes: Iterable[str] = ()) -> str:
    """Make a table with a title and notes; cells are text, which is escaped unless it begins with ``<svg``.

    Parameters
    ----------
    title : str
    head : sequence of str
        A name that begins with ``>`` marks a column of numbers, aligned on the right.
    rows : sequence of sequence of str
    notes : iterable of str
        Sentences below the table.

    Examples
    --------
    >>> make_table("cell", ["name", ">value"], [["a", "1"]]).count("<td")
    2
    """
    right = [name.startswith(">") for name in head]
    align = lambda k: f' style="text-align:{"right" if right[k] else "left"};padding:0 .6em"'  # noqa: E731
    top = "".join(f"<th{align(k)}>{escape(name.removeprefix('>'))}</th>" for k, name in enumerate(head))
    body = "".join(
        "<tr>" + "".join(f"<td{align(k)}>{_show(cell)}</td>" for k, cell in enumerate(row)) + "</tr>"
        for row in rows[:MOST]
    )
    more = [f"… {len(rows) - MOST} more rows"] if len(rows) > MOST else []
    below = "".join(f'<div style="color:{NOTE}">{escape(note)}</div>' for note in [*more, *notes])
    return f"<div><b>{escape(title)}</b><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>{below}</div>"


def _show(cell: str) -> str:
    return cell if cell.startswith("<svg") else escape(cell)


def make_sparkline(values: Sequence[float], marks: Sequence[float] = (), width: int = 160, height: int = 24) -> str:
    """Draw values as a line, with ticks at `marks`, which lie between 0 and 1.

    Examples
    --------
    >>> make_sparkline([0.0, 1.0, 0.0], [0.5]).startswith("<svg")
    True
    """
    low, high = min(values, default=0.0), max(values, default=0.0)
    scale = (height - 9) / (high - low) if high > low else 0.0
    last = max(len(values) - 1, 1)
    points = " ".join(f"{k / last * width:.1f},{height - 1 - (v - low) * scale:.1f}" for k, v in enumerate(values))
    ticks = "".join(f'<path d="M{m * width:.1f} 0v6" stroke="{MARK}"/>' for m in marks)
    return (
        f'<svg width="{width}" height="{height}" role="img" aria-label="current and spikes">'
        f'<polyline points="{points}" fill="none" stroke="{LINE}"/>{ticks}</svg>'
    )
