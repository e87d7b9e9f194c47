"""`ephysfit warm-up`: compile the kernels of neurons before anyone waits for them."""

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
from ephysfit.cli.output import note, say
from ephysfit.models import candidates, catalogue, find

Names = Annotated[
    list[str] | None,
    typer.Argument(metavar="MODEL", show_default=False, help="Neurons; those that `auto` tries unless named."),
]
Gradient = Annotated[bool, typer.Option("--gradient", help="Also the van Rossum loss with its gradient.")]
Everything = Annotated[bool, typer.Option("--all", help="Every neuron of the catalogue (minutes).")]


def warm_up(names: Names = None, gradient: Gradient = False, everything: Everything = False) -> None:
    """Compile what the first fit and simulation of neurons need; once per machine, then it is loaded.

    Fits compile in the background by themselves; this takes the wait away: after an installation, before a batch.

    Examples:

    ephysfit warm-up

    ephysfit warm-up AIGIF ALIF --gradient

    ephysfit warm-up my_neuron.py:MyNeuron

    EPHYSFIT_CACHE=/scratch/kernels ephysfit warm-up --all
    """
    from ephysfit.simulation.warm_up import warm_up as compile_all  # torch: once the usage is right

    chosen = [find(arguments.find_model(n)) for n in names or ()]
    neurons = chosen or (catalogue().values() if everything else candidates())
    purposes = ("fit", "simulation", *(("gradient",) if gradient else ()))
    with _bar() as told:
        seconds, count = compile_all(*neurons, purposes=purposes, progress=told), len(tuple(neurons))
    where = (
        ", ".join(str(folder) for folder in disk_cache.list_folders(disk_cache.KERNELS) if folder.is_dir())
        or "no folder"
    )
    say(f"{count} neuron{'s' * (count > 1)} ready in {seconds:.1f} s; kernels are in {where}")


@contextmanager
def _bar() -> Iterator[Callable[[int, int], None]]:
    if not sys.stderr.isatty():
        yield _lines()
        return
    columns = (TextColumn("compiling kernels"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, of: bar.update(task, completed=done, total=of)


def _lines() -> Callable[[int, int], None]:
    """Progress as lines, one whenever a kernel is ready."""
    said: set[int] = set()

    def tell(done: int, of: int) -> None:
        if of and done not in said:
            said.add(done)
            note(f"{done} of {of} kernels")

    return tell
