"""Collect the results of a run in tables (fits, scores, parameters, cards), Parquet and CSV; query them in SQL."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ephysfit.batch.schema import TABLES, VERSION, Column
from ephysfit.batch.store import Store
from ephysfit.card.measures import divide_values
from ephysfit.data.readout import Readout
from ephysfit.errors import BatchError, needed
from ephysfit.files import make_printable, replacing
from ephysfit.fitting.format_1 import find_standard_errors
from ephysfit.metrics.headline_scores import AGREEMENT, COINCIDENCE, MANY, NOISE_FREE, RATIO, find_saved_value
from ephysfit.metrics.score_warnings import MIN_RELIABILITY

if TYPE_CHECKING:
    from pandas import DataFrame

    from ephysfit.fitting.fit_result import Fit
    from ephysfit.neuron.declare import Neuron

Row = dict[str, Any]
Folder = str | PathLike[str]
#: column: its score, and the readouts in which that score is looked up
_HEADLINES: Mapping[str, tuple[str, tuple[Readout, ...]]] = {
    "reliability_4": ("R_4", (Readout.NOISY, *NOISE_FREE)),
    RATIO.name: (RATIO.name, RATIO.readouts),
    "consensus_over_R_4": (RATIO.name, (Readout.CONSENSUS,)),
    "md_star_4": ("md_star_4", MANY),
    AGREEMENT.name: (AGREEMENT.name, AGREEMENT.readouts),
    COINCIDENCE.name: (COINCIDENCE.name, COINCIDENCE.readouts),
    "ev_ratio_10": ("ev_ratio_10", MANY),
    "rate_error": ("rate_error", MANY),
}


def read_results(folder: Folder) -> Iterator[Row]:
    """Yield the result of every finished task of a run, in the order of the tasks."""
    store = Store(Path(folder))
    for task in store.tasks():
        result = store.read(task)
        if result is not None:
            yield result


def saved_fits(folder: Folder, own: Sequence[type[Neuron]] = ()) -> Iterator[Fit]:
    """Load the fits of all tasks of a run that succeeded.

    Parameters
    ----------
    folder : path
        Folder of the run.
    own : sequence of type[Neuron]
        Neurons that are not in the catalogue: a Python file named in a run is not executed.

    Yields
    ------
    Fit

    Raises
    ------
    BatchError
        If the folder is not that of a run.
    """
    from ephysfit.fitting.fit_result import Fit  # numba: tables do without it

    store, known = Store(Path(folder)), {kind.__name__: kind for kind in own}
    for task in store.tasks():
        result = store.read(task)
        if result is not None and isinstance(result.get("fit"), dict):
            yield Fit.load(store.result_path(task), known.get(result["fit"].get("model")))


def fits(folder: Folder) -> DataFrame:
    """Return one row per finished task, with the columns of `ephysfit.batch.schema.FITS`."""
    return read_tables(folder)["fits"]


def read_tables(folder: Folder) -> dict[str, DataFrame]:
    """Return all tables of a run by name, with the columns of `ephysfit.batch.schema.TABLES`.

    Raises
    ------
    BatchError
        If the folder is not that of a run.
    """
    return make_tables(read_results(folder))


def make_tables(results: Iterable[Mapping[str, Any]]) -> dict[str, DataFrame]:
    """Make all tables of the results of tasks, as `read_results` yields them."""
    rows: dict[str, list[Row]] = {name: [] for name in TABLES}
    for r in results:
        rows["fits"].append(_fit_row(r))
        rows["scores"] += _score_rows(r)
        rows["parameters"] += _parameter_rows(r)
        rows["cards"] += _card_rows(r)
    return {name: _make_frame(TABLES[name], rows[name]) for name in TABLES}


def collect(folder: Folder, *, csv: bool = True) -> dict[str, Path]:
    """Write the tables of a run into its folder.

    Parameters
    ----------
    folder : path
        Folder of a run, finished or not.
    csv : bool
        Whether to write CSV files too.

    Returns
    -------
    dict of str to Path
        The Parquet file of each table.
    """
    needed("pyarrow", "store", "a table in Parquet", BatchError)
    written = {}
    for name, table in read_tables(folder).items():
        path = Path(folder) / "tables" / f"{name}.parquet"
        with replacing(path) as beside:
            table.to_parquet(beside, index=False)
        if csv:
            with replacing(path.with_suffix(".csv")) as beside:
                table.to_csv(beside, index=False)
        written[name] = path
    return written


def query(folder: Folder, sql: str) -> DataFrame:
    """Query the tables ``fits``, ``scores``, ``parameters`` and ``cards`` of a run in SQL (DuckDB).

    Parameters
    ----------
    folder : path
        Folder of a run, finished or not.
    sql : str
        A select statement.

    Returns
    -------
    DataFrame

    Raises
    ------
    BatchError
        If the folder is not that of a run, or the SQL is invalid.

    Examples
    --------
    >>> query("run", "select model, median(md_star_8) from fits group by model")  # doctest: +SKIP
    """
    needed("duckdb", "store", "a query in SQL", BatchError)
    import duckdb

    with duckdb.connect(config={"enable_external_access": "false"}) as base:
        for name, table in read_tables(folder).items():
            base.register(name, table)
        try:
            return base.sql(sql).df()
        except duckdb.Error as e:
            columns = "; ".join(f"{n}: {', '.join(c.name for c in t)}" for n, t in TABLES.items())
            raise BatchError(f"{e} (tables and their columns: {columns})") from None
        except AttributeError:
            raise BatchError(f"{sql!r} gives no table; write a select") from None


def _make_frame(columns: Iterable[Column], rows: list[Row]) -> DataFrame:
    import pandas as pd  # a third of a second: only where there is a table

    kinds = {"text": "string", "number": "float64", "count": "Int64", "flag": "boolean"}
    return pd.DataFrame(
        {c.name: pd.Series([_printable_value(r.get(c.name)) for r in rows], dtype=kinds[c.kind]) for c in columns}
    )  # fmt: skip


def _printable_value(value: Any) -> Any:
    """Escape the undecodable bytes of a file name, which tables cannot hold."""
    return make_printable(value) if isinstance(value, str) else value


def _fit_row(r: Mapping[str, Any]) -> Row:
    fit, task = r.get("fit") or {}, r["task"]
    provenance = fit.get("provenance", {})
    return {
        **{k: r.get(k) for k in ("cell", "model", "status", "reason", "seconds", "cpu_seconds", "memory_mb", "finished",
                                 "host", "key")},
        **r.get("sizes", {}),
        **list_headline_scores(r.get("scores") or {}),
        "fitted": fit.get("model"),
        "ended": fit.get("status"),
        "nll": fit.get("loss"),
        "warnings": "\n".join(fit.get("warnings", ())) if fit else None,
        "version": provenance.get("version"),
        "files": "; ".join(Path(f).name for f in task["cell"]["files"]),
        "data_sha256": provenance.get("data_sha256"),
        "seed": task["settings"]["seed"],
        "schema": VERSION,
    }  # fmt: skip


def list_headline_scores(scores: Mapping[str, Any]) -> Row:
    """Headline scores by column; ratios to a reliability below `MIN_RELIABILITY` are meaningless and left out."""
    out = {column: find_saved_value(scores, where, name) for column, (name, where) in _HEADLINES.items()}
    reliability = out["reliability_4"]
    if reliability is not None and reliability < MIN_RELIABILITY:
        out |= {name: None for name in _HEADLINES if name.endswith("_over_R_4")}
    return out


def _score_rows(r: Mapping[str, Any]) -> list[Row]:
    wanted = [c.name for c in TABLES["scores"] if c.name not in ("cell", "model", "readout")]
    return [
        {"cell": r["cell"], "model": r["model"], "readout": readout, **{k: row.get(k) for k in wanted}}
        for readout, rows in (r.get("scores") or {}).items()
        for row in rows
    ]


def _parameter_rows(r: Mapping[str, Any]) -> list[Row]:
    fit = r.get("fit") or {}
    errors = find_standard_errors(fit)
    return [
        {"cell": r["cell"], "model": r["model"], "fitted": fit["model"], "name": n, "value": v,
         "unit": fit["units"].get(n), "standard_error": errors.get(n)}
        for n, v in fit.get("parameters", {}).items()
    ]  # fmt: skip


def _card_rows(r: Mapping[str, Any]) -> list[Row]:
    """The measures of the cell with those of its model; none in a run of a version that measured no cells."""
    cards = r.get("cards") or {}
    models = cards.get("model", {}).get("measures", {})
    return [
        {"cell": r["cell"], "model": r["model"], "fitted": (r.get("fit") or {}).get("model"), "name": name,
         **{k: m.get(k) for k in ("unit", "value", "low", "high", "sweeps", "how", "why_missing")},
         "model_value": models.get(name, {}).get("value"),
         "ratio": divide_values(name, m.get("value"), models.get(name, {}).get("value"))}
        for name, m in cards.get("cell", {}).get("measures", {}).items()
    ]  # fmt: skip
