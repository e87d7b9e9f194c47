"""Fit a database of cells: `fit_many`, the batch run from Python."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ephysfit.batch.cell_files import find_cells
from ephysfit.batch.collect import fits, saved_fits
from ephysfit.batch.executors import make_executor as executor_by_name
from ephysfit.batch.run import ProgressListener, run
from ephysfit.batch.task import Settings, make_tasks
from ephysfit.deprecation import deprecated
from ephysfit.errors import BatchError
from ephysfit.models import catalogue, find

if TYPE_CHECKING:
    from pandas import DataFrame


def fit_many(
    sources: str | PathLike[str] | Sequence[str | PathLike[str]],
    model: str | Sequence[str] = "auto",
    *,
    folder: str | PathLike[str],
    executor: str = "local",
    workers: int = 0,
    timeout: float | None = None,
    memory: float | None = None,
    force: bool = False,
    retry_failed: bool = False,
    dt: float | None = None,
    seed: int = 0,
    runs: int = 200,
    reports: bool = False,
    prior: str | PathLike[str] | None = None,
    effort: str = "fast",
    objective: str | None = None,
    progress: ProgressListener | None = None,
    **options: Any,
) -> DataFrame:
    """Fit every cell of a database with one or several models; resume a run that was stopped.

    Parameters
    ----------
    sources : path or sequence of paths
        Files, folders, patterns, manifests; see `ephysfit.batch.cell_files.find_cells`.
    model : str or sequence of str
        "auto", names of the catalogue, ``"file.py:Name"``, or "all".
    folder : path
        Folder of the run.
    executor : str
        "local", "dask", "submitit" or "slurm".
    workers : int
        Number of processes; 0: one per core.
    timeout : float, optional
        Time limit of a task, s.
    memory : float, optional
        Memory limit of a worker, GiB.
    force, retry_failed : bool
        Whether to repeat all tasks, or those that failed.
    dt : float, optional
        Step of the fits, ms; chosen from the recording unless given.
    seed : int
        Random seed of each fit.
    runs : int
        Noisy runs that are scored.
    reports : bool
        Whether to write a report page for each fit.
    prior : path, optional
        Folder of a finished run: each cell is then fitted with the population prior of the cells of that run
        (`ephysfit.population_prior`).
    effort : {"fast", "best"}
        Of each fit (`ephysfit.fit`).
    objective : {"physiology", "prediction"}, optional
        Of each fit (`ephysfit.fit`).
    progress : callable, optional
        Called with a `RunProgress` when the run begins and after each task.
    **options
        Options of the executor.

    Returns
    -------
    DataFrame
        One row per task, as of `ephysfit.batch.collect.fits`; the row of a failed task holds the reason.

    Raises
    ------
    BatchError
        If no task can be started. A task that fails raises nothing: it is a row of the table.

    Examples
    --------
    >>> table = fit_many("cells/*.nwb", "AIGIF", folder="run")  # doctest: +SKIP
    >>> table.groupby("model")["md_star_8"].median()  # doctest: +SKIP
    """
    if "watch" in options:
        deprecated("fit_many(watch=)", "fit_many(progress=)", "0.2.0")
        progress = options.pop("watch")
    models = expand_model_names(model)
    known = save_prior_of_run(prior, Path(folder), models) if prior is not None else ""
    tasks = make_tasks(find_cells(sources), models, Settings(dt, seed, runs, reports, known, effort, objective))
    how = executor_by_name(executor, Path(folder), workers=workers, timeout=timeout, memory=memory, **options)
    run(Path(folder), tasks, executor=how, force=force, retry_failed=retry_failed, progress=progress)
    return fits(folder)


def expand_model_names(model: str | Sequence[str]) -> tuple[str, ...]:
    """Return the names of models; "all" stands for every neuron of the catalogue with the current as only input."""
    names = [model] if isinstance(model, str) else list(model)
    if not names:
        raise BatchError('no model was given; give "auto", the name of a model, or "all"')
    out: dict[str, None] = {}
    for name in names:
        if name == "all":
            out.update({n: None for n, kind in catalogue().items() if set(kind.inputs) == {"I"}})
        elif name == "auto" or ".py" in name:
            out[name] = None
        else:
            out[find(name).__name__] = None
    return tuple(out)


def save_prior_of_run(run: str | PathLike[str], folder: Path, models: Sequence[str] = ()) -> str:
    """Write the population priors of a finished run into the folder of another run, and return the file.

    Parameters
    ----------
    run : path
        Folder of the finished run.
    folder : path
        Folder of the new run.
    models : sequence of str
        Models of the new run: Python files among them may declare the neurons of the fits.

    Raises
    ------
    BatchError
        If `run` is not the folder of a run.
    FitError
        If it holds too few fits of any one neuron.
    """
    from ephysfit.fitting import population_prior, prior  # numba: only where there is a prior

    own = [find(name) for name in models if ".py" in name]
    return str(
        prior.save_priors(folder / "prior.json", population_prior.population_priors(saved_fits(run, own))).resolve()
    )
