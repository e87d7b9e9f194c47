"""The progress of a fit, where somebody looks: a bar in a terminal or a notebook, nothing elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from ephysfit.fitting.stage import Progress, ignore_progress


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
    kernel = "ipykernel" in sys.modules and "IPython" in sys.modules
    return kernel or (sys.stderr is not None and sys.stderr.isatty())


@contextmanager
def _draw_bar() -> Iterator[Progress]:
    from rich.console import Console  # only where a bar is drawn
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description:<28}"), BarColumn(), TimeElapsedColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("starting", total=1.0)
        yield lambda stage, fraction: bar.update(task, description=stage, completed=fraction)
