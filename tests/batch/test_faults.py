"""A run that is killed at random moments, again and again, ends with the results of one that was left in peace."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from batch_cells import database, ephysfit, substance

from ephysfit.batch.cell_files import find_cells
from ephysfit.batch.executors import Local
from ephysfit.batch.run import run
from ephysfit.batch.status import read_status
from ephysfit.batch.task import Settings, make_tasks

KILLS = 20


@pytest.mark.slow
def test_killed_twenty_times_and_the_same_at_the_end(tmp_path):
    cells = find_cells(database(tmp_path / "cells", 6))
    tasks = make_tasks(cells, ["BankGIF", "GIF"], Settings(runs=20))
    run(tmp_path / "peace", tasks, executor=Local(2))
    peaceful = substance(tmp_path / "peace")
    assert len(peaceful) == len(tasks)

    rng, folder = random.Random(1), tmp_path / "war"
    command = ["batch", tmp_path / "cells", "-m", "BankGIF", "-m", "GIF", "-o", folder, "-j", 2, "--runs", 20]
    for _ in range(KILLS):
        process = ephysfit(*command)
        time.sleep(rng.uniform(1.0, 9.0))
        _kill(process, everything=rng.random() < 0.5)
        for path in (folder / "results").rglob("*.json"):
            assert path.read_text(encoding="utf-8").endswith("}"), "a result was torn"
    last = ephysfit(*command)
    last.communicate(timeout=300)
    assert last.returncode == 0
    assert substance(folder) == peaceful
    assert read_status(folder).running == ()


def _kill(process, *, everything: bool) -> None:
    """kill -9 of the runner alone (its workers are left to themselves) or of the runner with all its workers."""
    try:
        if everything:
            os.killpg(process.pid, signal.SIGKILL)
        else:
            os.kill(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.stdout.close()
    process.stderr.close()
    process.wait()


@pytest.mark.slow
def test_a_killed_worker_loses_its_task_and_no_other(tmp_path):
    cells = database(tmp_path / "cells", 6)
    process = ephysfit("batch", cells, "-m", "AIGIF", "-o", tmp_path / "run", "-j", 2, "--runs", 20)
    killed = 0
    while process.poll() is None and killed < 2:
        if standing_running(tmp_path / "run"):
            workers = workers_of(process)
            if workers:
                workers[0].kill()
                killed += 1
        time.sleep(1.0)
    process.communicate(timeout=300)
    counts = read_status(tmp_path / "run").counts
    assert sum(counts.values()) == 6
    assert counts["crashed"] <= killed
    again = ephysfit("batch", "-o", tmp_path / "run", "-j", 2, "--retry-failed")
    again.communicate(timeout=300)
    assert read_status(tmp_path / "run").counts == {"done": 6}


@pytest.mark.slow
@pytest.mark.parametrize(("kills", "ends"), [(1, 0), (3, 1)])
def test_a_worker_killed_before_its_first_task_loses_none(tmp_path, kills, ends):
    """Each kill takes a worker of a new pool; where three pools in succession end so, the batch gives up."""
    cells = database(tmp_path / "cells", 2)
    process = ephysfit("batch", cells, "-m", "GIF", "-o", tmp_path / "run", "-j", 1, "--runs", 20)
    killed = set()
    while process.poll() is None and len(killed) < kills:
        starting = [p for p in workers_of(process) if p.pid not in killed]
        for worker in starting[:1]:  # importing takes it seconds; there is no task yet
            worker.kill()
            killed.add(worker.pid)
        time.sleep(0.1)
    _, errors = process.communicate(timeout=300)
    assert len(killed) == kills
    assert process.returncode == ends
    assert read_status(tmp_path / "run").counts == ({} if ends else {"done": 2})
    assert ("no worker process could start" in errors) == bool(ends)


@pytest.mark.slow
def test_a_task_that_hangs_does_not_outlive_its_runner():
    """Its claim would stop the next run for ever."""
    import psutil

    script = "from batch_cells import employ; employ()"
    runner = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent
    )
    worker = psutil.Process(int(runner.stdout.readline()))
    assert worker.is_running()
    runner.kill()
    runner.stdout.close()
    runner.wait()
    worker.wait(timeout=60)


def workers_of(process: subprocess.Popen[str]) -> list:
    """The worker processes of a runner that are alive, the oldest first."""
    import psutil

    out = []
    with contextlib.suppress(psutil.NoSuchProcess):
        for child in psutil.Process(process.pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                if "spawn_main" in " ".join(child.cmdline()):
                    out.append(child)
    return out


def standing_running(folder) -> tuple[str, ...]:
    return read_status(folder).running if (folder / "run.json").is_file() else ()
