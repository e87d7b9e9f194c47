"""fit_many(): a database from Python."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ephysfit.batch.cell_files import find_cells
from ephysfit.batch.collect import fits, saved_fits
from ephysfit.batch.executors import make_executor as executor_by_name
from ephysfit.batch.run import ProgressListener, RunProgress, run
from ephysfit.batch.task import Settings, make_tasks
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
    watch: ProgressListener | None = None,
    **options: Any,
) -> DataFrame:
    """Fit every cell of a database with one or several models; go on where an earlier call was stopped.

    Parameters
    ----------
    sources : path or sequence of paths
        Files, folders, patterns, manifests; see `ephysfit.batch.cell_files.find_cells`.
    model : str or sequence of str
        "auto", names of the catalogue, ``"file.py:Name"``, or "all".
    folder : path
        Of the run.
    executor : str
        "local", "dask", "submitit" or "slurm".
    workers : int
        Processes; one a core unless given.
    timeout : float, optional
        Seconds a task may take.
    memory : float, optional
        GiB a worker may take.
    force, retry_failed : bool
        Do everything again; do again what failed.
    dt, seed, runs
        Of each fit and its scores.
    reports : bool
        Write a page for each fit.
    prior : path, optional
        Folder of a finished run: each cell is then fitted with the prior that the cells of that run make, by neuron
        (`ephysfit.population_prior`).
    watch : callable, optional
        Told a `RunProgress` after each task.
    **options
        Of the executor.

    Returns
    -------
    DataFrame
        One row a task, as `ephysfit.batch.collect.fits`; failed tasks have their reason.

    Raises
    ------
    BatchError
        If nothing can be started. A task that fails is a row.

    Examples
    --------
    >>> table = fit_many("cells/*.nwb", "AIGIF", folder="run")  # doctest: +SKIP
    >>> table.groupby("model")["md_star_8"].median()  # doctest: +SKIP
    """
    models = expand_model_names(model)
    known = save_prior_of_run(prior, Path(folder), models) if prior is not None else ""
    tasks = make_tasks(find_cells(sources), models, Settings(dt, seed, runs, reports, known))
    how = executor_by_name(executor, Path(folder), workers=workers, timeout=timeout, memory=memory, **options)
    run(Path(folder), tasks, executor=how, force=force, retry_failed=retry_failed, watch=watch or _ignore_progress)
    return fits(folder)


def expand_model_names(model: str | Sequence[str]) -> tuple[str, ...]:
    """Models by name; "all" is every neuron of the catalogue that is driven by the injected current alone."""
    names = [model] if isinstance(model, str) else list(model)
    if not names:
        raise BatchError('no model was named; say "auto", a name, or "all"')
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
    """The priors of a finished run's fits, written into the folder of another run; the file.

    Parameters
    ----------
    run, folder : path
    models : sequence of str
        Of this run: files among them may declare neurons of the fits.

    Raises
    ------
    BatchError
        If the folder is no run.
    FitError
        If it holds too few fits of any one neuron.
    """
    from ephysfit.fitting import population_prior, prior  # torch: only where there is a prior

    own = [find(name) for name in models if ".py" in name]
    return str(prior.save_priors(folder / "prior.json", population_prior.priors_of(saved_fits(run, own))).resolve())


def _ignore_progress(tally: RunProgress) -> None:
    """Nobody watches."""
