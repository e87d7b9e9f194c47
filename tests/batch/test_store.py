"""Keys follow what a result depends on; claims are exclusive; a file is whole or not there."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from ephysfit.batch.cell_files import Cell
from ephysfit.batch.executors import _record_lost_task
from ephysfit.batch.job import Job
from ephysfit.batch.run import find_open_jobs
from ephysfit.batch.store import Store, read_json, read_order, write_json
from ephysfit.batch.task import Settings, Task
from ephysfit.errors import BatchError


@pytest.fixture
def task(tmp_path):
    path = tmp_path / "a.npz"
    path.write_bytes(b"recording")
    return Task(Cell("group/a", (path,)), "ALIF")


def test_the_key_follows_data_settings_and_model(task):
    key = task.key()
    assert Task.from_dict(json.loads(json.dumps(task.to_dict()))).key() == key
    assert replace(task, model="LIF").key() != key
    assert replace(task, settings=Settings(seed=1)).key() != key
    assert replace(task, cell=replace(task.cell, test="0.2")).key() != key
    assert replace(task, settings=Settings(reports=True)).key() == key
    task.cell.files[0].write_bytes(b"another recording")
    assert task.key() != key


def test_the_key_follows_the_file_of_a_user_neuron(task, tmp_path):
    source = tmp_path / "mine.py"
    source.write_text("a = 1\n")
    own = replace(task, model=f"{source}:Mine")
    key = own.key()
    source.write_text("a = 22\n")
    assert own.key() != key
    assert own.slug == "Mine"


def test_what_is_settled_is_not_done_again(task, tmp_path):
    store = Store(tmp_path / "run")
    assert [j.task for j in find_open_jobs(store, [task])] == [task]
    store.write(task, task.key(), {"status": "failed", "reason": "x"})
    assert find_open_jobs(store, [task]) == []
    assert len(find_open_jobs(store, [task], retry_failed=True)) == 1
    assert len(find_open_jobs(store, [task], force=True)) == 1
    store.write(task, "of another key", {"status": "done"})
    assert len(find_open_jobs(store, [task])) == 1


def test_a_forced_job_counts_only_what_came_after_it(task, tmp_path):
    store = Store(tmp_path / "run")
    old = store.write(task, task.key(), {"status": "done"})
    (job,) = find_open_jobs(store, [task], force=True)
    assert not job.settled(old)
    assert job.settled(store.write(task, task.key(), {"status": "done"}))
    assert Job(task, task.key()).settled(old)


def test_a_claim_is_exclusive_and_ends(task, tmp_path):
    store = Store(tmp_path)
    with store.claim(task) as mine:
        assert mine
        assert store.is_claimed(task)
        with store.claim(task) as second:
            assert not second
        assert store.is_claimed(task)
    assert not store.is_claimed(task)
    with store.claim(task) as mine:
        assert mine


def test_a_torn_file_is_no_result(task, tmp_path):
    store = Store(tmp_path)
    store.write(task, "k", {"status": "done"})
    whole = store.result_path(task).read_text()
    store.result_path(task).write_text(whole[: len(whole) // 2])
    assert store.read(task) is None


def test_a_write_that_fails_leaves_the_old_file(tmp_path):
    path = tmp_path / "x.json"
    write_json(path, {"a": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"a": float("nan")})
    assert read_json(path) == {"a": 1}


def test_plans_add_up(task, tmp_path):
    store = Store(tmp_path / "run")
    with pytest.raises(BatchError, match="not the folder of a run"):
        store.tasks()
    store.plan([task])
    store.plan([replace(task, model="LIF"), task])
    assert [t.model for t in store.tasks()] == ["ALIF", "LIF"]


def test_plans_that_are_made_at_once_lose_nothing(task, tmp_path):
    store = Store(tmp_path / "run")
    models = [f"M{k}" for k in range(24)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda m: store.plan([replace(task, model=m)]), models))
    assert sorted(t.model for t in store.tasks()) == sorted(models)


def test_an_order_says_what_is_too_old(task, tmp_path):
    store = Store(tmp_path / "run")
    path = store.write_order([(task, 5.0), (replace(task, model="LIF"), 0.0)])
    assert [(t.model, since) for t, since in read_order(path)] == [("ALIF", 5.0), ("LIF", 0.0)]
    path.unlink()
    with pytest.raises(BatchError, match="no readable list of tasks"):
        read_order(path)


def test_a_claim_and_a_cell_of_its_name_do_not_meet(task, tmp_path):
    store, below = Store(tmp_path), replace(task, cell=replace(task.cell, name="group/a/ALIF"))
    with store.claim(task) as mine, store.claim(below) as second:
        assert mine
        assert second


def test_a_fit_that_is_there_survives_a_worker_that_dies(task, tmp_path):
    store = Store(tmp_path / "run")
    kept = store.write(task, task.key(), {"status": "done"})
    (job,) = find_open_jobs(store, [task], force=True)
    outcome = _record_lost_task(job, store.folder, "crashed", "its process died", 0.0)
    assert (outcome.status, "kept" in outcome.reason) == ("crashed", True)
    assert store.read(task) == kept
