"""Compiled code on disk, from without: damage, no place to write, an installation that cannot be written to."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

#: a kernel of a neuron and functions of the package; says the outcome and how much was compiled
USE = """
import numpy as np
from numba.core.event import install_recorder
from ephysfit import metrics
from ephysfit.models.lif import LIF
from ephysfit.simulation.engines import compiled
with install_recorder("numba:compile") as recorder:
    run = compiled.run(LIF.start(), np.full((1, 1, 500), 400.0), 0.1)
    gamma = metrics.coincidence_factor([10.0, 20.0], [10.0], 100.0)
kept = [e for _, e in recorder.buffer if e.is_start and hasattr(e.data["dispatcher"]._cache, "_source")]
print(len(kept), run.counts.tolist() if hasattr(run, "counts") else 0, gamma)
"""


def use(cache, code=USE, **variables):
    """(kept functions compiled, outcome, lines on stderr)."""
    environment = {**os.environ, "EPHYSFIT_CACHE": str(cache), "TMPDIR": str(Path(cache).parent), **variables}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    count, outcome = done.stdout.strip().split(" ", 1)
    return int(count), outcome, [line for line in done.stderr.splitlines() if "CacheWarning" in line]


@pytest.fixture(scope="module")
def warm(tmp_path_factory):
    """A filled cache, and what was said and found."""
    cache = tmp_path_factory.mktemp("warm") / "cache"
    count, outcome, said = use(cache)
    assert count > 3
    assert said == []
    return cache, outcome


def test_the_next_process_compiles_nothing(warm):
    cache, outcome = warm
    assert use(cache) == (0, outcome, [])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("pattern", "damage"),
    [("*.nbc", b""), ("*.nbc", b"\x80\x04\x95" + bytes(200)), ("*.py", b"import nothing"), ("*.json", b'{"a": 1}')],
)
def test_damage_is_one_line_and_the_same_outcome(warm, tmp_path, pattern, damage):
    cache, outcome = shutil.copytree(warm[0], tmp_path / "cache"), warm[1]
    for path in cache.rglob(pattern):
        path.write_bytes(damage)
    count, found, said = use(cache)
    assert found == outcome
    assert (count > 3) == (pattern == "*.nbc")
    assert len(said) == 1
    assert "damaged" in said[0]
    assert use(cache) == (0, outcome, [])


@pytest.mark.slow
def test_a_cache_that_is_a_file_is_one_line_and_the_second_process_compiles_nothing(tmp_path, warm):
    (tmp_path / "cache").write_text("")
    count, outcome, said = use(tmp_path / "cache")
    assert count > 3
    assert outcome == warm[1]
    assert len(said) == 1
    assert use(tmp_path / "cache") == (0, outcome, [])


def test_numba_is_never_asked_for_a_folder(tmp_path, warm):
    """An installation and a home that cannot be written to are nothing to a function of the package."""
    deny = (
        "import numba.core.caching as c\n"
        "def deny(self): raise PermissionError(13, 'read-only')\n"
        "c._CacheLocator.ensure_cache_path = deny\n"
    )
    assert use(tmp_path / "cache", deny + USE)[1:] == (warm[1], [])


def test_no_function_of_the_package_uses_numbas_own_cache():
    package = Path(__file__).parents[2] / "ephysfit"
    assert [
        p for p in package.rglob("*.py") if "cache=True" in p.read_text(encoding="utf-8") and p.stem != "compiling"
    ] == []
