"""Output of the commands: tables and JSON on stdout; progress, notes and errors on stderr."""

from __future__ import annotations

import io
import shutil
import sys
import textwrap
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar
from rich.table import Table

from ephysfit.files import to_json

if TYPE_CHECKING:
    from ephysfit.fitting.stage import Progress

#: largest width of messages, columns
WIDTH = 100
#: smallest width of messages, columns
NARROWEST = 30
#: control characters as text, but for line ends and tabs
_CONTROLS = {c: f"\\x{c:02x}" for c in (*range(32), *range(127, 160)) if chr(c) not in "\n\t"}
#: start of the command, s
_BEGIN = time.perf_counter()
#: width where stdout is a file or a pipe, so that tables are not folded
UNLIMITED = 10_000


def strip_controls(text: str) -> str:
    r"""Escape control characters, which a name in a file could send to the terminal, except line ends and tabs.

    Examples
    --------
    >>> strip_controls("cell\x1b[31m\x07")
    'cell\\x1b[31m\\x07'
    """
    return text.translate(_CONTROLS)


def print_line(text: str = "") -> None:
    """Print a line of output."""
    sys.stdout.write(strip_controls(text) + "\n")


def print_note(text: str) -> None:
    """Print a note on stderr."""
    sys.stderr.write(strip_controls(text) + "\n")


def text_width(stream: TextIO | None = None) -> int:
    """Width of text, columns: that of the terminal within limits; of stdout unless another stream is given."""
    if not (stream or sys.stdout).isatty():
        return WIDTH
    return max(min(WIDTH, shutil.get_terminal_size((WIDTH, 24)).columns), NARROWEST)


def replace_unprintable() -> None:
    """Print characters that a terminal cannot show as escapes instead of raising an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def shorten_warnings() -> None:
    """Show Python warnings as one sentence, without the line of code."""
    warnings.formatwarning = lambda message, *_args, **_options: f"warning: {strip_controls(str(message))}\n"


def print_paragraph(text: str, first: str = "") -> None:
    """Print sentences, wrapped to the terminal."""
    width = text_width()
    print_line(
        textwrap.fill(text, width, initial_indent=first, subsequent_indent=" " * len(first), break_long_words=False)
    )


def print_files(paths: Sequence[str]) -> None:
    """Print which files were written: in one line where the terminal holds it, else one below the other."""
    line = "written: " + "  ".join(paths)
    print_line(line if len(line) <= text_width() else "written: " + f"\n{' ' * 9}".join(paths))


def print_error(message: str) -> None:
    """Print an error, wrapped in one block."""
    width = text_width(sys.stderr)
    print_note(
        textwrap.fill(message, width, initial_indent="error: ", subsequent_indent="       ", break_long_words=False)
    )


def print_json(value: Any) -> None:
    """Print a value as JSON; non-finite numbers become null."""
    print_line(to_json(value))


def print_table(rows: Sequence[Mapping[str, Any]], title: str = "", right: Sequence[str] = ()) -> None:
    """Print rows as a table without empty columns; columns named in `right` are right-aligned."""
    keys = dict.fromkeys(key for row in rows for key in row)
    shown = [key for key in keys if any(str(row.get(key, "")) for row in rows)]
    out = Table(title=title or None, title_justify="left", box=SIMPLE_HEAD, pad_edge=False, title_style="bold")
    for key in shown:
        out.add_column(key, justify="right" if key in right else "left", overflow="fold")
    for row in rows:
        out.add_row(*(escape_markup(row.get(key, "")) for key in shown))
    Console(file=sys.stdout, width=None if sys.stdout.isatty() else UNLIMITED, highlight=False).print(out)


def escape_markup(value: Any) -> str:
    """Escape text so that rich prints it literally."""
    return escape(strip_controls(str(value)))


@contextmanager
def show_progress() -> Iterator[Progress]:
    """Show progress of ``fit(progress=...)``: a bar where stderr is a terminal, otherwise one line per stage."""
    if not sys.stderr.isatty():
        yield _make_line_progress()
        return
    columns = (SpinnerColumn(), TextColumn("{task.description:<26}"), BarColumn(), TimeElapsedColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("reading", total=None)

        def show(stage: str, fraction: float) -> None:
            bar.update(task, description=stage, completed=fraction, total=1.0)

        yield show


def _make_line_progress() -> Progress:
    """Make a listener that prints each stage once, with the time since the command began."""
    shown = set[str]()

    def show(stage: str, fraction: float) -> None:
        if stage not in shown:
            shown.add(stage)
            print_note(f"{time.perf_counter() - _BEGIN:6.1f} s  {stage}")

    return show
