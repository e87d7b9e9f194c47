"""Whole runs of a small database: results, resumption, tables, the page, and workers that break."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from batch_cells import database, ephysfit, harmful, substance

from ephysfit.batch.cell_files import find_cells
from ephysfit.batch.clusters import group_cells
from ephysfit.batch.collect import _fit_row, collect, fits, query, saved_fits
from ephysfit.batch.executors import Local
from ephysfit.batch.fit_task import attempt_task
from ephysfit.batch.run import run
from ephysfit.batch.schema import TABLES
from ephysfit.batch.status import read_status
from ephysfit.batch.store import Store
from ephysfit.batch.summary_page import read_population, write_page
from ephysfit.batch.task import Settings, make_tasks
from ephysfit.card.measures import DEFINITIONS
from ephysfit.errors import BatchError
from ephysfit.fitting.stage import Status

MODELS = ("BankGIF", "GIF")


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A run of three cells, one of them broken, with two models."""
    home = tmp_path_factory.mktemp("batch")
    cells = database(home / "cells")
    (cells / "broken.npz").write_bytes(b"PK\x03\x04 nothing more")
    tasks = make_tasks(find_cells(cells), MODELS, Settings(runs=20))
    seen = []
    progress = run(home / "run", tasks, executor=Local(2), progress=lambda t: seen.append(len(t.outcomes)))
    return home / "run", progress, seen


def test_every_task_ends_and_the_broken_one_says_why(done):
    folder, progress, seen = done
    assert progress.counts == {"done": 6, "failed": 2}
    assert seen == list(range(9))
    table = fits(folder)
    assert list(table.columns) == [c.name for c in TABLES["fits"]]
    bad = table[table["status"] != "done"]
    assert set(bad["cell"]) == {"broken"}
    assert bad["reason"].str.contains("broken.npz").all()
    good = table[table["status"] == "done"]
    assert good["md_star_8"].between(-1, 1.5).all()
    assert (good["repeats"] == 3).all()


def test_a_second_run_has_nothing_to_do(done):
    folder, *_ = done
    before = substance_of_times(folder)
    progress = run(folder, executor=Local(1))
    assert (progress.earlier, progress.outcomes) == (8, [])
    assert substance_of_times(folder) == before


def test_what_is_kept_is_counted_by_how_it_ended(done):
    folder, *_ = done
    progress = run(folder, executor=Local(1))
    assert progress.before == {"done": 6, "failed": 2}
    assert (progress.earlier_without_fit, progress.fits) == (2, 6)


def test_start_values_of_a_cell_that_hardly_spiked_are_no_fit(tmp_path):
    current = np.random.default_rng(0).normal(0.0, 20.0, (4, 4000))
    current[1:] = current[1]  # three repeats to test
    times = [[500.0, 900.0], *[[300.0, 600.0, 900.0, 1200.0, 1500.0]] * 3]
    np.savez(
        tmp_path / "quiet.npz", current_pA=current, dt_ms=0.5,
        spike_trial=np.repeat(np.arange(4), [len(t) for t in times]), spike_times_ms=np.concatenate(times),
    )  # fmt: skip
    (task,) = make_tasks(find_cells(tmp_path / "quiet.npz"), ["BankGIF"], Settings(runs=20))
    found = attempt_task(task)
    assert found["status"] == "failed"
    assert Status.TOO_FEW_SPIKES.value in found["reason"]
    assert "quiet" in found["reason"]
    assert not {"fit", "scores"} & set(found)


def substance_of_times(folder):
    return {p: p.stat().st_mtime_ns for p in (folder / "results").rglob("*.json")}


def test_tables_agree_and_answer_questions(done):
    folder, *_ = done
    written = collect(folder)
    import pandas as pd

    assert len(pd.read_parquet(written["fits"])) == 8
    assert written["scores"].with_suffix(".csv").is_file()
    best = query(
        folder, "select cell, max(md_star_8) as best from fits where status = 'done' group by cell order by cell"
    )
    assert best["cell"].tolist() == ["cell0", "cell1", "cell2"]
    units = query(folder, "select distinct unit from parameters where name = 'C'")
    assert units["unit"].tolist() == ["pF"]
    cards = query(folder, "select * from cards where cell = 'cell0' and model = 'GIF'")
    assert cards["name"].tolist() == list(DEFINITIONS)
    assert (cards["value"].isna() == (cards["why_missing"] != "")).all()
    varies = cards.set_index("name").loc["isi_cv"]
    assert varies["ratio"] == pytest.approx(varies["model_value"] / varies["value"])
    with pytest.raises(BatchError, match="tables and their columns"):
        query(folder, "select nothing from nowhere")
    with pytest.raises(BatchError, match=r"disabled|not allowed|Permission"):
        query(folder, f"select * from read_csv('{folder}/tables/fits.csv')")


@pytest.mark.parametrize(("reliability", "ratio"), [(0.6, 0.9), (0.05, None)])
def test_a_ratio_to_next_to_nothing_is_left_out_of_the_headlines(reliability, ratio):
    rows = [{"name": "R_4", "value": reliability}, {"name": "gamma_over_R_4", "value": 0.9}]
    result = {"cell": "a", "model": "GIF", "task": {"cell": {"files": ["a.nwb"]}, "settings": {"seed": 0}},
              "scores": {"causal run": rows}}  # fmt: skip
    assert _fit_row(result)["gamma_over_R_4"] == ratio
    assert _fit_row(result)["reliability_4"] == reliability


def test_a_fit_of_a_run_opens_like_any_other(done):
    from ephysfit.fitting.fit_result import Fit

    folder, *_ = done
    fit = Fit.load(folder / "results" / "cell0" / "GIF.json")
    assert (fit.model, fit.cell) == ("GIF", "cell0")


def test_the_page_shows_models_failures_and_cells(done):
    folder, *_ = done
    text = write_page(folder).read_text(encoding="utf-8")
    for word in ("BankGIF", "cell2", "broken.npz", "Without a fit", "Parameters of GIF", "Models, cell by cell"):
        assert word in text
    assert "http://" not in text.replace("http://www.w3.org", "")
    assert read_population(folder).models == sorted(
        MODELS, key=lambda m: -fits(folder).query(f"model == '{m}' and status == 'done'")["md_star_8"].median()
    )


def test_the_state_of_a_run(done):
    folder, *_ = done
    now = read_status(folder)
    assert (now.total, now.left, now.running) == (8, 0, ())
    assert now.counts == {"done": 6, "failed": 2}
    assert [t for t, _ in now.failures] == ["broken BankGIF", "broken GIF"] or len(now.failures) == 2


def test_groups_are_found_where_there_are_some():
    import pandas as pd

    rng = np.random.default_rng(0)

    def table(centres):
        rows = [(f"c{k}", n, centres[k % len(centres)] + rng.normal(0, 0.3)) for k in range(40) for n in "abc"]
        return pd.DataFrame(rows, columns=["cell", "name", "value"])

    two, one = group_cells(table([0.0, 4.0])), group_cells(table([0.0]))
    assert two is not None
    assert one is not None
    assert np.unique(two.group).size == 2
    assert {two.group[two.cells.index(f"c{k}")] for k in range(0, 40, 2)} != {
        two.group[two.cells.index(f"c{k}")] for k in range(1, 40, 2)
    }
    assert group_cells(table([0.0]).head(9)) is None


@pytest.mark.slow
def test_what_breaks_a_worker_stops_nobody(tmp_path):
    cells = database(tmp_path / "cells", 2)
    models = ["BankGIF", *(harmful(tmp_path, name) for name in ("Dies", "Hangs", "Raises", "Eats"))]
    tasks = make_tasks(find_cells(cells), models, Settings(runs=20))
    progress = run(tmp_path / "run", tasks, executor=Local(2, timeout=40.0, memory=16.0))
    ends = {o.model.rpartition(":")[2]: o.status for o in progress.outcomes}
    assert ends.pop("Eats") in ("crashed", "failed")  # as the memory runs out in the file or in the worker
    assert ends == {"BankGIF": "done", "Dies": "crashed", "Hangs": "timeout", "Raises": "failed"}
    reasons = {o.model.rpartition(":")[2]: o.reason for o in progress.outcomes}
    assert "SIGABRT" in reasons["Dies"]
    assert "longer than 40 s" in reasons["Hangs"]
    assert "a bug in a user file" in reasons["Raises"]
    assert "emory" in reasons["Eats"]


@pytest.mark.slow
def test_two_runs_on_one_folder_share_the_work(tmp_path):
    cells = database(tmp_path / "cells", 4)
    both = [ephysfit("batch", cells, "-m", "BankGIF", "-m", "GIF", "-o", tmp_path / "run", "-j", 1, "--runs", 20)
            for _ in range(2)]  # fmt: skip
    for process in both:
        process.communicate(timeout=300)
        assert process.returncode == 0
    found = fits(tmp_path / "run")
    assert len(found) == 8
    assert (found["status"] == "done").all()


@pytest.mark.slow
def test_parts_by_dask_and_by_submitit_give_the_same(tmp_path):
    from ephysfit.batch.executors import make_executor

    cells = find_cells(database(tmp_path / "cells", 2))
    tasks = make_tasks(cells, ["BankGIF"], Settings(runs=20))
    found = {}
    for name in ("local", "dask", "submitit"):
        folder = tmp_path / name
        how = make_executor(name, folder, workers=1, parts=2, **({"timeout_min": 5} if name == "submitit" else {}))
        progress = run(folder, tasks, executor=how)
        assert progress.counts == {"done": 2}
        found[name] = substance(folder)
        if name == "dask":
            before = {p: p.read_text(encoding="utf-8") for p in (folder / "results").rglob("*.json")}
            assert run(folder, tasks, executor=how, force=True).counts == {"done": 2}
            assert substance(folder) == found[name]
            assert all(p.read_text(encoding="utf-8") != text for p, text in before.items())
    assert found["local"] == found["dask"] == found["submitit"]


def test_the_script_of_a_dask_job_does_a_part(tmp_path):
    """What dask-jobqueue would hand to SLURM, without a SLURM: the script starts a worker with the asked resources."""
    pytest.importorskip("dask_jobqueue")
    from dask_jobqueue import SLURMCluster

    with SLURMCluster(cores=1, memory="4 GB", walltime="04:00:00", queue="cpu", n_workers=0) as cluster:
        script = cluster.job_script()
    assert "#SBATCH -p cpu" in script
    assert "distributed.cli.dask_worker" in script


class TestCommands:
    def test_help_has_examples(self):
        for verb in ("batch", "status", "collect", "query", "summarize"):
            done = subprocess.run([sys.executable, "-m", "ephysfit", verb, "--help"], capture_output=True, text=True)
            assert "Examples:" in done.stdout, verb

    def test_a_plan_is_done_part_by_part(self, tmp_path):
        cells = database(tmp_path / "cells", 2)
        from ephysfit.cli.app import main

        with pytest.raises(SystemExit) as end:
            main(["batch", str(cells), "-m", "BankGIF", "-o", str(tmp_path / "run"), "--plan"])
        assert end.value.code in (0, None)
        plan = json.loads((tmp_path / "run" / "run.json").read_text())
        assert [t["cell"]["name"] for t in plan["tasks"]] == ["cell0", "cell1"]
        progress = run(tmp_path / "run", executor=Local(1), part=(2, 2))
        assert [o.cell for o in progress.outcomes] == ["cell1"]

    def test_going_on_with_nothing_but_failures_is_not_well(self, tmp_path, capsys):
        from ephysfit.cli.app import main

        (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04 nothing more")
        for _ in range(2):  # at first as it fails, then as it is kept
            with pytest.raises(SystemExit) as end:
                main(["batch", str(tmp_path / "broken.npz"), "-m", "BankGIF", "-j", "1", "-o", str(tmp_path / "run")])
            assert end.value.code == 1
            told = capsys.readouterr()
            assert "all well" not in told.err
            assert "1 without a fit" in told.err
        assert "1 kept from before (1 of them without a fit)" in told.out
        assert "--retry-failed" in told.out

    def test_a_run_with_a_fit_among_failures_ends_well(self, done, capsys):
        from ephysfit.cli.app import main

        folder, *_ = done
        with pytest.raises(SystemExit) as end:
            main(["batch", "-o", str(folder)])
        assert end.value.code in (0, None)
        assert "8 kept from before (2 of them without a fit)" in " ".join(capsys.readouterr().out.split())

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            (["batch", "-o", "{run}"], "not the folder of a run"),
            (["batch", "nowhere", "-o", "{run}"], "no such file or folder"),
            (["status", "{run}"], "not the folder of a run"),
            (["summarize", "{run}"], "not the folder of a run"),
            (["batch", "-o", "{run}", "--executor", "slrum"], "did you mean slurm"),
        ],
    )
    def test_errors_are_sentences(self, tmp_path, capsys, arguments, says):
        from ephysfit.cli.app import main

        with pytest.raises(SystemExit) as end:
            main([a.format(run=tmp_path / "run") for a in arguments])
        assert end.value.code == 1
        assert says in " ".join(capsys.readouterr().err.split())


@pytest.mark.slow
def test_the_cells_of_a_run_are_the_prior_of_another(done, tmp_path):
    folder, *_ = done
    cells, again = folder.parent / "cells", tmp_path / "again"
    said = ephysfit(
        "batch", cells / "cell0.npz", "-m", "BankGIF", "--prior", folder, "-o", again, "-j", 1, "--runs", 20
    )
    assert said.wait(timeout=300) == 0, said.stderr.read()
    (fit,) = saved_fits(again)
    assert fit.provenance.prior == "Prior(BankGIF, 16 parameters, of 3 fits)"
    assert (again / "prior.json").is_file()
    (task,) = Store(again).tasks()
    before = task.key()
    assert before != replace(task, settings=replace(task.settings, prior="")).key()
    said = ephysfit("fit", cells / "cell0.npz", "-m", "BankGIF", "--prior", folder, "-o", tmp_path / "fit")
    assert said.wait(timeout=300) == 1  # its own fit is left out, and two cells are no population
    assert "found 2 of" in " ".join(said.stderr.read().split())
