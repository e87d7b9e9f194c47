"""The progress of a fit, where somebody looks: a bar in a terminal or a notebook, nothing elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from ephysfit.fitting.stage import Progress, ignore_progress

#: seconds between two updates of a notebook
OFTEN = 0.1


@contextmanager
def show_progress_by_default(chosen: Progress | bool | None) -> Iterator[Progress]:
    """Give the listener of a fit: the one that was chosen, or a bar where stderr is a terminal or a notebook.

    Parameters
    ----------
    chosen : callable, bool or None
        A listener; None for the default; False for none.

    Examples
    --------
    >>> with show_progress_by_default(False) as listener:
    ...     listener("likelihood", 0.5)
    """
    if callable(chosen):
        yield chosen
    elif chosen is False or not (chosen or somebody_looks()):
        yield ignore_progress
    else:
        with _draw_bar() as listener:
            yield listener


def somebody_looks() -> bool:
    """Whether stderr is a terminal, or this runs in the kernel of a notebook."""
    return in_notebook() or (sys.stderr is not None and sys.stderr.isatty())


def in_notebook() -> bool:
    """Whether this runs in the kernel of a notebook."""
    return "ipykernel" in sys.modules and "IPython" in sys.modules


@contextmanager
def _draw_bar() -> Iterator[Progress]:
    with _draw_in_notebook() if in_notebook() else _draw_in_terminal() as listener:
        yield listener


@contextmanager
def _draw_in_terminal() -> Iterator[Progress]:
    columns = (TextColumn("{task.description:<28}"), BarColumn(), TimeElapsedColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("starting", total=1.0)
        yield lambda stage, fraction: bar.update(task, description=stage, completed=fraction)


@contextmanager
def _draw_in_notebook() -> Iterator[Progress]:
    from IPython.display import HTML, display  # there where a notebook is

    shown = display(HTML("starting"), display_id=True)  # type: ignore[no-untyped-call]
    last = time.perf_counter()

    def show(stage: str, fraction: float) -> None:
        nonlocal last
        if time.perf_counter() - last > OFTEN:
            last = time.perf_counter()
            bar = f'<progress max="1" value="{fraction:.3f}"></progress> {escape(stage)}'
            shown.update(HTML(bar))  # type: ignore[no-untyped-call]

    yield show
    shown.update(HTML(""))  # type: ignore[no-untyped-call]
