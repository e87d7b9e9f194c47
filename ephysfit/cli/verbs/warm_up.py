"""`ephysfit warm-up`: compile the kernels of neurons in advance."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from ephysfit import disk_cache
from ephysfit.cli import arguments
from ephysfit.cli.output import print_line, print_note
from ephysfit.models import candidates, catalogue, find

Names = Annotated[
    list[str] | None,
    typer.Argument(metavar="MODEL", show_default=False, help="Neurons; by default those that `auto` tries."),
]
Gradient = Annotated[bool, typer.Option("--gradient", help="Also compile the van Rossum loss and its gradient.")]
Everything = Annotated[bool, typer.Option("--all", help="Compile every neuron of the catalogue (minutes).")]


def warm_up(names: Names = None, gradient: Gradient = False, everything: Everything = False) -> None:
    """Compile the kernels of neurons ahead of the first fit and simulation, once per machine.

    Fits compile in the background; this avoids the wait, for instance after installation or before a batch.

    Examples:

    ephysfit warm-up

    ephysfit warm-up AIGIF ALIF --gradient

    ephysfit warm-up my_neuron.py:MyNeuron

    EPHYSFIT_CACHE=/scratch/kernels ephysfit warm-up --all
    """
    from ephysfit.simulation.warm_up import warm_up as compile_all  # numba: once the usage is right

    chosen = [find(arguments.find_model(n)) for n in names or ()]
    neurons = chosen or (catalogue().values() if everything else candidates())
    purposes = ("fit", "simulation", *(("gradient",) if gradient else ()))
    with _show_progress() as listener:
        seconds, count = compile_all(*neurons, purposes=purposes, progress=listener), len(tuple(neurons))
    where = (
        ", ".join(str(folder) for folder in disk_cache.list_folders(disk_cache.KERNELS) if folder.is_dir())
        or "no folder"
    )
    print_line(f"{count} neuron{'s' * (count > 1)} ready in {seconds:.1f} s; kernels are in {where}")


@contextmanager
def _show_progress() -> Iterator[Callable[[int, int], None]]:
    if not sys.stderr.isatty():
        yield _make_line_progress()
        return
    columns = (TextColumn("compiling kernels"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, of: bar.update(task, completed=done, total=of)


def _make_line_progress() -> Callable[[int, int], None]:
    """Make a listener that prints a line for every compiled kernel."""
    printed: set[int] = set()

    def show(done: int, of: int) -> None:
        if of and done not in printed:
            printed.add(done)
            print_note(f"{done} of {of} kernels")

    return show
