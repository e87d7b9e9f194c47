"""`ephysfit batch`: fit a database of cells, and resume a stopped run."""

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

from ephysfit.batch.cell_files import Cell, find_cells_and_rest
from ephysfit.batch.executors import make_executor as executor_by_name
from ephysfit.batch.fit_many import expand_model_names, save_prior_of_run
from ephysfit.batch.manifest import write_manifest
from ephysfit.batch.run import ProgressListener, RunProgress, run
from ephysfit.batch.store import Store
from ephysfit.batch.task import Settings, Task, make_tasks
from ephysfit.cli import arguments
from ephysfit.cli.commands import OUTPUT
from ephysfit.cli.output import print_line, print_note, print_table
from ephysfit.errors import BatchError
from ephysfit.files import split_spec

#: file of a run that lists its cells, written by --plan
MANIFEST = "cells.toml"
#: panels of the help
TASKS, MACHINES = "Tasks", "Machines"
#: exit codes of a run that was stopped, as shells know them: by Ctrl-C, by SIGTERM
INTERRUPTED, TERMINATED = 130, 143

Sources = Annotated[
    list[str] | None,
    typer.Argument(metavar="SOURCE...", show_default=False,
                   help="Files, folders, patterns, or a manifest (.toml, or .csv with a column `file`). "
                        "None: resume the run in -o."),
]  # fmt: skip
Models = Annotated[
    list[str] | None,
    typer.Option("--model", "-m", metavar="NAME", show_default=False, rich_help_panel=arguments.MODEL,
                 help="auto, a name of `ephysfit models`, my_file.py:MyNeuron, or all; repeatable. "
                      "Default: auto."),
]  # fmt: skip
RunFolder = Annotated[
    Path,
    typer.Option("--output", "-o", metavar="RUN", file_okay=False, rich_help_panel=OUTPUT,
                 help="Folder of the run."),
]  # fmt: skip
Workers = Annotated[
    int,
    typer.Option(
        "--workers", "-j", min=0, metavar="N", rich_help_panel=MACHINES, help="Number of processes; 0: one per core."
    ),
]
Timeout = Annotated[
    float | None,
    typer.Option("--timeout", min=0.1, metavar="S", show_default=False, rich_help_panel=MACHINES,
                 help="Time limit of a task, s."),
]  # fmt: skip
Memory = Annotated[
    float | None,
    typer.Option("--memory", min=0.5, metavar="GIB", show_default=False, rich_help_panel=MACHINES,
                 help="Memory limit of a worker, GiB."),
]  # fmt: skip
Force = Annotated[bool, typer.Option("--force", rich_help_panel=TASKS, help="Repeat all tasks.")]
Retry = Annotated[
    bool,
    typer.Option("--retry-failed", rich_help_panel=TASKS, help="Repeat tasks that failed, crashed or timed out."),
]
Reports = Annotated[bool, typer.Option("--reports", rich_help_panel=OUTPUT, help="Write a report for each fit.")]
PriorRun = Annotated[
    Path | None,
    typer.Option("--prior", metavar="RUN", file_okay=False, exists=True, show_default=False,
                 rich_help_panel=arguments.MODEL,
                 help="Folder of a finished run whose cells form the population prior, for short recordings."),
]  # fmt: skip
Name = Annotated[
    str,
    typer.Option("--executor", metavar="NAME", rich_help_panel=MACHINES,
                 help="local, dask, submitit or slurm (an array, by submitit)."),
]  # fmt: skip
Address = Annotated[
    str | None,
    typer.Option("--address", metavar="URL", show_default=False, rich_help_panel=MACHINES,
                 help="Address of a dask scheduler; otherwise a local cluster is started."),
]  # fmt: skip
Part = Annotated[
    str | None,
    typer.Option("--part", metavar="K/N", show_default=False, rich_help_panel=TASKS,
                 help="Run only the K-th of N parts, for job arrays."),
]  # fmt: skip
Order = Annotated[Path | None, typer.Option("--order", hidden=True, help="File of tasks that another run has written.")]
PlanOnly = Annotated[
    bool,
    typer.Option(
        "--plan",
        rich_help_panel=TASKS,
        help="Print the cells with their files and write the plan of the run, without running it.",
    ),
]
ExecutorOption = Annotated[
    list[str] | None,
    typer.Option("--executor-option", "-X", metavar="NAME=VALUE", show_default=False, rich_help_panel=MACHINES,
                 help="Option of submitit's jobs: timeout_min=600, slurm_partition=cpu ..."),
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
    effort: arguments.EffortOption = "fast",
    objective: arguments.ObjectiveOption = None,
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
    """Fit many cells with one or several models, each in its own process; resume a stopped run.

    Valid results of the same data and settings are kept. A cell that fails, hangs or crashes is recorded with the
    reason and does not affect the others. Inspect a run with `ephysfit status`, `collect`, `query`, `summarize`.
    Exit code 1 if no task of the run has a fit, otherwise 0.

    Examples:

    ephysfit batch cells/ -o run

    ephysfit batch "dandi/sub-*/*.nwb" --model AIGIF --model ALIF --timeout 600 -o run

    ephysfit batch cells/ -o run --plan

    ephysfit batch -o run --retry-failed

    ephysfit batch cells/ --model AIGIF --prior run -o again

    ephysfit batch cells.csv --executor slurm -X slurm_partition=cpu -X timeout_min=240 -o run
    """
    tasks = None
    if sources:
        cells, rest = find_cells_and_rest(sources)
        models = expand_model_names([arguments.find_model(m) if m != "all" else m for m in model or ["auto"]])
        known = save_prior_of_run(prior, output, models) if prior is not None else ""
        tasks = make_tasks(cells, models, Settings(dt, seed, runs, reports, known, effort, objective))
        print_note(f"{len(cells)} cells, {len(tasks)} tasks; results go to {output}")
        if rest:
            print_note(f"of no cell, because they record the electrode alone: {', '.join(f.name for f in rest)}")
    manifest = output / MANIFEST
    own = sources is not None and [Path(s).resolve() for s in sources] == [manifest.resolve()]
    if plan:
        if tasks is None:
            raise typer.BadParameter("needs sources", param_hint="--plan")
        _write_plan(Store(output), tasks, own)
        return
    if own and tasks is not None:
        Store(output).plan(tasks, whole=True)
    options = arguments.parse_options(executor_option)
    how = executor_by_name(
        executor, output, workers=workers, timeout=timeout, memory=memory, address=address, **options
    )
    if tasks is None and reports:
        print_note("note: --reports is part of the plan; give the sources again with it to change the planned tasks")
    if tasks is None and order is None:
        check_own_neurons(Store(output).tasks(), model or ())
    with _stop_in_order(output):
        with _show_run_progress() as listener:
            again = {"force": force, "retry_failed": retry_failed}
            progress = run(output, tasks, executor=how, part=_parse_part(part), order=order, progress=listener, **again)
        _print_summary(progress, output)


def _write_plan(store: Store, tasks: Sequence[Task], own: bool) -> None:
    """Plan tasks, print the cells with their files, and write the manifest of the run."""
    store.plan(tasks, whole=own)
    cells = list({t.cell.name: t.cell for t in tasks}.values())
    print_table([_describe_files(cell) for cell in cells])
    manifest = store.folder / MANIFEST
    planned = {t.cell.name: t.cell for t in store.tasks()}
    write_manifest(planned.values(), manifest)
    print_line(f"planned: {len(tasks)} tasks in {store.folder / 'run.json'}; run them with:")
    print_line(f"  ephysfit batch -o {store.folder}")
    print_line(f"files of one cell are joined by their names; to change that, edit {manifest} and run:")
    models = "".join(f" -m {m}" for m in dict.fromkeys(t.model for t in tasks) if m != "auto")
    print_line(f"  ephysfit batch {manifest}{models} -o {store.folder}")


def _describe_files(cell: Cell) -> dict[str, str]:
    row = {"cell": cell.name, "files": "\n".join(f.name for f in cell.files)}
    row |= {"train": cell.train.replace(",", "\n") or "all others", "test": cell.test.replace(",", "\n")}
    return row | {"electrode": "–" if cell.electrode is None else cell.electrode.name}


def check_own_neurons(tasks: Sequence[Task], given: Sequence[str]) -> None:
    """Raise if a resumed run names a Python file of a neuron that the caller has not named: it would be executed."""
    mine = {Path(split_spec(spec)[0]).resolve() for spec in given}
    own = dict.fromkeys(t.model for t in tasks if ".py" in t.model)
    unnamed = [m for m in own if Path(split_spec(m)[0]).resolve() not in mine]
    if unnamed:
        options = " ".join(f"--model {name}" for name in unnamed)
        raise BatchError(
            f"the run uses neurons declared in Python files, which are not executed unless you name them: add {options}"
        )


@contextmanager
def _stop_in_order(output: Path) -> Iterator[None]:
    """End a run in order on Ctrl-C or SIGTERM (time limit of a cluster), and print how to resume it."""
    before = signal.signal(signal.SIGTERM, _raise_interrupt)
    try:
        yield
    except KeyboardInterrupt as stop:
        print_note(f"stopped; finished tasks are kept: resume with `ephysfit batch -o {output}`")
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


def _print_summary(progress: RunProgress, folder: Path) -> None:
    counts = ", ".join(f"{n} {status}" for status, n in sorted(progress.counts.items())) or "nothing was left to do"
    without = f" ({progress.earlier_without_fit} of them without a fit)" if progress.earlier_without_fit else ""
    print_line(f"{counts}; {progress.earlier} kept from before{without}; {progress.seconds:.1f} s")
    bad = [o for o in progress.outcomes if o.status != "done"]
    if bad:
        print_table([{"cell": o.cell, "model": o.model, "how": o.status, "why": o.reason[:160]} for o in bad[:20]])
        more = (
            f" ({len(bad) - 20} more: ephysfit query {folder} \"select cell, reason from fits where status <> 'done'\")"
        )
        print_line(f"{len(bad)} without a fit{more if len(bad) > 20 else ''}; again with --retry-failed")
    elif progress.earlier_without_fit:
        print_line(f"{progress.earlier_without_fit} without a fit: see ephysfit status {folder}, or --retry-failed")
    print_line(f"next: ephysfit summarize {folder}")
    if progress.total and not progress.fits:
        raise typer.Exit(1)


@contextmanager
def _show_run_progress() -> Iterator[ProgressListener]:
    """Show a bar with counts, median score and remaining time; plain lines where stderr is not a terminal."""
    if not sys.stderr.isatty():
        yield _LineProgress()
        return
    columns = (
        BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True)) as bar:
        shown = bar.add_task("compiling kernels", total=None)

        def show(progress: RunProgress) -> None:
            done = progress.earlier + len(progress.outcomes)
            bar.update(shown, total=progress.total, completed=done, description=_describe_progress(progress))

        yield show


class _LineProgress:
    """Prints progress as lines, at most one per second."""

    def __init__(self) -> None:
        self.last = 0.0

    def __call__(self, progress: RunProgress) -> None:
        if progress.seconds - self.last >= 1.0 or progress.left == 0:
            self.last = progress.seconds
            left = "" if progress.remaining != progress.remaining else f", {progress.remaining:.0f} s left"
            print_note(
                f"{progress.earlier + len(progress.outcomes)}/{progress.total}  "
                f"{_describe_progress(progress)}  {progress.seconds:.0f} s{left}"
            )


def _describe_progress(progress: RunProgress) -> str:
    bad = len(progress.outcomes) - progress.counts["done"] + progress.earlier_without_fit
    scores = progress.scores
    score = f"  Md* median {median(scores):.2f}, best {max(scores):.2f}" if scores else ""
    return f"{bad} without a fit{score}" if bad else f"all well{score}"
