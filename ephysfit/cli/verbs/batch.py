"""`ephysfit batch`: fit a database; go on where it was stopped."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from ephysfit.batch.cell_files import find_cells
from ephysfit.batch.executors import make_executor as executor_by_name
from ephysfit.batch.fit_many import expand_model_names, save_prior_of_run
from ephysfit.batch.run import ProgressListener, RunProgress, run
from ephysfit.batch.store import Store
from ephysfit.batch.task import Settings, Task, make_tasks
from ephysfit.cli import arguments
from ephysfit.cli.commands import OUTPUT
from ephysfit.cli.output import print_line, print_note, print_table
from ephysfit.errors import BatchError
from ephysfit.files import split_spec

#: panels of the help
TASKS, MACHINES = "Tasks", "Machines"
#: exit codes of a run that was stopped, as shells know them: by Ctrl-C, by SIGTERM
INTERRUPTED, TERMINATED = 130, 143

Sources = Annotated[
    list[str] | None,
    typer.Argument(metavar="SOURCE...", show_default=False,
                   help="Files, folders, patterns, or a manifest (.toml, or .csv with a column `file`). "
                        "None: go on with the run in -o."),
]  # fmt: skip
Models = Annotated[
    list[str] | None,
    typer.Option("--model", "-m", metavar="NAME", show_default=False, rich_help_panel=arguments.MODEL,
                 help="auto, a name of `ephysfit models`, my_file.py:MyNeuron, or all; may be given several times. "
                      "Default: auto."),
]  # fmt: skip
RunFolder = Annotated[
    Path,
    typer.Option("--output", "-o", metavar="RUN", file_okay=False, rich_help_panel=OUTPUT,
                 help="Folder of the run."),
]  # fmt: skip
Workers = Annotated[
    int,
    typer.Option("--workers", "-j", min=0, metavar="N", rich_help_panel=MACHINES, help="Processes; 0: one a core."),
]
Timeout = Annotated[
    float | None,
    typer.Option("--timeout", min=0.1, metavar="S", show_default=False, rich_help_panel=MACHINES,
                 help="Seconds a task may take."),
]  # fmt: skip
Memory = Annotated[
    float | None,
    typer.Option("--memory", min=0.5, metavar="GIB", show_default=False, rich_help_panel=MACHINES,
                 help="GiB a worker may take."),
]  # fmt: skip
Force = Annotated[bool, typer.Option("--force", rich_help_panel=TASKS, help="Do everything again.")]
Retry = Annotated[
    bool,
    typer.Option("--retry-failed", rich_help_panel=TASKS, help="Do again what failed, crashed or took too long."),
]
Reports = Annotated[bool, typer.Option("--reports", rich_help_panel=OUTPUT, help="Write a page for each fit.")]
PriorRun = Annotated[
    Path | None,
    typer.Option("--prior", metavar="RUN", file_okay=False, exists=True, show_default=False,
                 rich_help_panel=arguments.MODEL,
                 help="Folder of a finished run, whose cells make the prior: helps where recordings are short."),
]  # fmt: skip
Name = Annotated[
    str,
    typer.Option("--executor", metavar="NAME", rich_help_panel=MACHINES,
                 help="local, dask, submitit or slurm (an array, by submitit)."),
]  # fmt: skip
Address = Annotated[
    str | None,
    typer.Option("--address", metavar="URL", show_default=False, rich_help_panel=MACHINES,
                 help="Of a dask scheduler; else one is made here."),
]  # fmt: skip
Part = Annotated[
    str | None,
    typer.Option("--part", metavar="K/N", show_default=False, rich_help_panel=TASKS,
                 help="Only the K-th of N parts: for arrays of jobs."),
]  # fmt: skip
Order = Annotated[Path | None, typer.Option("--order", hidden=True, help="Tasks that another run wrote down.")]
PlanOnly = Annotated[
    bool, typer.Option("--plan", rich_help_panel=TASKS, help="Write down what is to be done, and do nothing yet.")
]
ExecutorOption = Annotated[
    list[str] | None,
    typer.Option("--executor-option", "-X", metavar="NAME=VALUE", show_default=False, rich_help_panel=MACHINES,
                 help="Of submitit's jobs: timeout_min=600, slurm_partition=cpu ..."),
]  # fmt: skip


def batch(
    sources: Sources = None,
    model: Models = None,
    prior: PriorRun = None,
    force: Force = False,
    retry_failed: Retry = False,
    plan: PlanOnly = False,
    part: Part = None,
    order: Order = None,
    runs: arguments.RunsOption = 200,
    dt: arguments.StepOption = None,
    seed: arguments.SeedOption = 0,
    workers: Workers = 0,
    timeout: Timeout = None,
    memory: Memory = None,
    executor: Name = "local",
    address: Address = None,
    executor_option: ExecutorOption = None,
    output: RunFolder = Path("run"),
    reports: Reports = False,
) -> None:
    """Fit many cells with one or several models, each in its own process; resume what was stopped.

    What exists with the same data and settings is not done again. A cell that fails, hangs or takes its process down is
    recorded with the reason and stops nobody. Look at a run with `ephysfit status`, `collect`, `query`, `summarize`.
    Exit code 1 if not a single task of the run has a fit, else 0.

    Examples:

    ephysfit batch cells/ -o run

    ephysfit batch "dandi/sub-*/*.nwb" --model AIGIF --model ALIF --timeout 600 -o run

    ephysfit batch -o run --retry-failed

    ephysfit batch cells/ --model AIGIF --prior run -o again

    ephysfit batch cells.csv --executor slurm -X slurm_partition=cpu -X timeout_min=240 -o run
    """
    tasks = None
    if sources:
        cells = find_cells(sources)
        models = expand_model_names([arguments.find_model(m) if m != "all" else m for m in model or ["auto"]])
        known = save_prior_of_run(prior, output, models) if prior is not None else ""
        tasks = make_tasks(cells, models, Settings(dt, seed, runs, reports, known))
        print_note(f"{len(cells)} cells, {len(tasks)} tasks; results go to {output}")
    if plan:
        if tasks is None:
            raise typer.BadParameter("needs sources", param_hint="--plan")
        Store(output).plan(tasks)
        print_line(f"planned: {len(tasks)} tasks in {output / 'run.json'}; do them with: ephysfit batch -o {output}")
        return
    options = arguments.parse_options(executor_option)
    how = executor_by_name(
        executor, output, workers=workers, timeout=timeout, memory=memory, address=address, **options
    )
    if tasks is None and order is None:
        check_own_neurons(Store(output).tasks(), model or ())
    with _stop_in_order(output):
        with _show_run_progress() as watch:
            again = {"force": force, "retry_failed": retry_failed}
            tally = run(output, tasks, executor=how, part=_parse_part(part), order=order, watch=watch, **again)
        _print_summary(tally, output)


def check_own_neurons(tasks: Sequence[Task], given: Sequence[str]) -> None:
    """Raise where a run that is gone on with names a neuron's file that the caller did not name: it would be run."""
    mine = {Path(split_spec(spec)[0]).resolve() for spec in given}
    own = dict.fromkeys(t.model for t in tasks if ".py" in t.model)
    strange = [m for m in own if Path(split_spec(m)[0]).resolve() not in mine]
    if strange:
        options = " ".join(f"--model {name}" for name in strange)
        raise BatchError(
            f"the run asks for neurons of a file, and a file that a run names is not run by itself: {options} says yes"
        )


@contextmanager
def _stop_in_order(output: Path) -> Iterator[None]:
    """Ctrl-C and SIGTERM (a cluster's time is up) end a run in order, and say how it goes on."""
    before = signal.signal(signal.SIGTERM, _raise_interrupt)
    try:
        yield
    except KeyboardInterrupt as stop:
        print_note(f"stopped; what is done is kept: `ephysfit batch -o {output}` goes on from there")
        raise typer.Exit(TERMINATED if stop.args else INTERRUPTED) from None
    finally:
        signal.signal(signal.SIGTERM, before)


def _raise_interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt(number)


def _parse_part(text: str | None) -> tuple[int, int]:
    if text is None:
        return 1, 1
    k, slash, n = text.partition("/")
    if not (slash and k.isdecimal() and n.isdecimal() and 1 <= int(k) <= int(n)):
        raise typer.BadParameter(f"{text!r}: give K/N, such as 3/20, with K from 1 to N", param_hint="--part")
    return int(k), int(n)


def _print_summary(tally: RunProgress, folder: Path) -> None:
    counts = ", ".join(f"{n} {status}" for status, n in sorted(tally.counts.items())) or "nothing was left to do"
    without = f" ({tally.kept_bad} of them without a fit)" if tally.kept_bad else ""
    print_line(f"{counts}; {tally.kept} kept from before{without}; {tally.seconds:.1f} s")
    bad = [o for o in tally.outcomes if o.status != "done"]
    if bad:
        print_table([{"cell": o.cell, "model": o.model, "how": o.status, "why": o.reason[:160]} for o in bad[:20]])
        more = (
            f" ({len(bad) - 20} more: ephysfit query {folder} \"select cell, reason from fits where status <> 'done'\")"
        )
        print_line(f"{len(bad)} without a fit{more if len(bad) > 20 else ''}; again with --retry-failed")
    elif tally.kept_bad:
        print_line(f"{tally.kept_bad} without a fit since before: ephysfit status {folder} says why; or --retry-failed")
    print_line(f"next: ephysfit summarize {folder}")
    if tally.total and not tally.fits:
        raise typer.Exit(1)


@contextmanager
def _show_run_progress() -> Iterator[ProgressListener]:
    """A bar with counts, median score and the time that is left; plain lines where stderr is no terminal."""
    if not sys.stderr.isatty():
        yield _LineProgress()
        return
    columns = (
        BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True)) as bar:
        shown = bar.add_task("compiling kernels", total=None)

        def watch(tally: RunProgress) -> None:
            done = tally.kept + len(tally.outcomes)
            bar.update(shown, total=tally.total, completed=done, description=_describe_progress(tally))

        yield watch


class _LineProgress:
    """A line a task, at most one a second."""

    def __init__(self) -> None:
        self.last = 0.0

    def __call__(self, tally: RunProgress) -> None:
        if tally.seconds - self.last >= 1.0 or tally.left == 0:
            self.last = tally.seconds
            left = "" if tally.remaining != tally.remaining else f", {tally.remaining:.0f} s left"
            print_note(
                f"{tally.kept + len(tally.outcomes)}/{tally.total}  {_describe_progress(tally)}  {tally.seconds:.0f} s{left}"
            )


def _describe_progress(tally: RunProgress) -> str:
    bad = len(tally.outcomes) - tally.counts["done"] + tally.kept_bad
    scores = tally.scores
    score = f"  Md* median {median(scores):.2f}, best {max(scores):.2f}" if scores else ""
    return f"{bad} without a fit{score}" if bad else f"all well{score}"
