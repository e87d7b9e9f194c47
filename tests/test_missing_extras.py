"""Without an optional package every verb ends in a sentence that says how to install it, never in a traceback."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
#: what each extra is imported as
MODULES = {
    "abf": ["pyabf"], "igor": ["igor2"], "nix": ["nixio"], "search": ["cma"], "report": ["bokeh"],
    "store": ["pyarrow", "duckdb"], "batch": ["pebble", "distributed"], "slurm": ["dask_jobqueue", "submitit"],
    "explore": ["panel"], "dandi": ["requests"], "features": ["efel"], "export": ["nir"],
}  # fmt: skip

#: runs verbs where modules cannot be imported; prints exit code, output and traceback of each
VERBS = """
import builtins, contextlib, io, json, sys, traceback
blocked, verbs = json.loads(sys.argv[1]), json.loads(sys.argv[2])


class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in blocked:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


sys.meta_path.insert(0, Block())
from ephysfit.cli import main

found = []
for verb in verbs:
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        try:
            main(verb)
        except SystemExit as end:
            code = end.code or 0
        except BaseException:
            traceback.print_exc()
            code = "broken"
    found.append([code, out.getvalue()])
print(json.dumps(found))
"""


def run(blocked, verbs, where):
    """(exit code, text) of each verb."""
    environment = {**os.environ, "COLUMNS": "400"}
    done = subprocess.run(
        [sys.executable, "-c", VERBS, json.dumps(blocked), json.dumps(verbs)],
        capture_output=True, text=True, cwd=where, env=environment, timeout=500,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return [(code, " ".join(text.split())) for code, text in json.loads(done.stdout.splitlines()[-1])]


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A recording, a fit of it, a run with one result, an Igor wave, and names of files of other formats."""
    import numpy as np

    import ephysfit as ef
    from ephysfit import synthetic
    from ephysfit.batch.cell_files import find_cells
    from ephysfit.batch.store import Store
    from ephysfit.batch.task import Settings, make_tasks
    from ephysfit.fitting.stages import CausalReadout, Likelihood, Passive
    from ephysfit.models import LIF

    folder = tmp_path_factory.mktemp("work")
    cell = LIF(C=100.0, g=5.0, E_L=-70.0, theta=-50.0, V_reset=-65.0, t_ref=2.0, delta=2.0)
    whole = synthetic.recording(cell, duration=4000.0, test_duration=2000.0, repeats=3, dt=0.5, rate=14.0, seed=1)
    steps = len(whole[0].current)
    columns = np.column_stack([np.arange(steps) * 0.5, whole[0].voltage, whole[0].current])
    np.savetxt(folder / "cell.csv", columns, delimiter=",", header="time (ms),voltage (mV),current (pA)", comments="")
    (folder / "cell.parquet").write_bytes(b"PAR1")
    (folder / "cell.nix").write_bytes(b"x")
    shutil.copy(ROOT / "tests/data/waves/ad0_cell.ibw", folder)
    shutil.copy(ROOT / "tests/data/waves/ad1_cell.ibw", folder)
    stages = (
        Passive(),
        Likelihood(starts=1, steps=4, first=0),
        CausalReadout(betas=(1.0,), offsets=(0.0, 0.0, 1), runs=4),
    )
    fit = ef.fit(whole.split()[0], "LIF", stages)
    fit.save(folder / "fit.json")
    ef.Fit(cell.replace(t_ref=0.0), "leaky", 0.5).save(folder / "leaky.json")
    store, (task,) = Store(folder / "run"), make_tasks(find_cells([str(folder / "cell.csv")]), ["LIF"], Settings())
    store.plan([task])
    store.write(task, task.key(), {"status": "done", "fit": fit.to_dict(), "scores": {}, "sizes": {}})
    return folder


BATCH = ["batch", "cell.csv", "--model", "LIF", "-o", "again", "-j", "1"]
FIT = ["fit", "--model", "LIF", "-o", "none"]
#: package, extra, a verb that needs it
NEEDED = [
    ("igor2", "igor", [*FIT, "ad0_cell.ibw", "--option", "current=ad1_cell.ibw"]),
    ("nixio", "nix", [*FIT, "cell.nix"]),
    ("pyarrow", "store", [*FIT, "cell.parquet"]),
    ("pyarrow", "store", ["collect", "run"]),
    ("duckdb", "store", ["query", "run", "select * from fits"]),
    ("pebble", "batch", BATCH),
    ("distributed", "batch", [*BATCH, "--executor", "dask"]),
    ("submitit", "slurm", [*BATCH, "--executor", "slurm"]),
    ("submitit", "slurm", [*BATCH, "--executor", "submitit"]),
    ("panel", "explore", ["explore", "fit.json", "cell.csv", "--no-browser"]),
    ("bokeh", "explore", ["explore", "fit.json", "cell.csv", "--no-browser"]),
    ("requests", "dandi", [*FIT, "https://localhost/cell.nwb"]),
    ("nir", "export", ["export", "leaky.json", "--to", "nir", "--spiking", "threshold", "-o", "cell.nir"]),
]
#: verbs that refuse this fit or this run for reasons of their own
REFUSED = [["intervals", "fit.json", "cell.csv"], ["population", "run"], ["write", "fit.json", "cell.csv"]]
#: verbs that need none of them
OTHERS = [
    ["info", "cell.csv"], ["inspect", "cell.csv", "-o", "page.png"], ["models"], ["status", "run"],
    ["simulate", "fit.json", "cell.csv"], ["score", "fit.json", "cell.csv"],
    ["plot", "fit.json", "cell.csv", "-o", "raster.png"],
    ["report", "fit.json", "cell.csv", "-o", "report.html"], ["export", "fit.json", "--to", "python", "-o", "cell.py"],
    ["warm-up", "LIF"], ["fit", "cell.csv", "--model", "LIF", "-o", "out"],
]  # fmt: skip


def test_every_extra_is_among_them():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert set(MODULES) == set(extras) - {"test", "docs", "dev", "all"}


def check(code, text):
    assert code in (0, 1, 2), text
    assert "Traceback" not in text
    assert "Error: " not in text


def test_a_missing_package_is_named_with_the_extra_that_brings_it(work):
    every = sorted({m for modules in MODULES.values() for m in modules})
    ends = run(every, [verb for _, _, verb in NEEDED if verb[0] != "explore"], work)
    for (module, extra, verb), (code, text) in zip([n for n in NEEDED if n[2][0] != "explore"], ends, strict=True):
        check(code, text)
        assert code == 1, verb
        assert f"needs the package {module}" in text
        assert f"pip install 'ephysfit[{extra}]'" in text


@pytest.mark.parametrize("module", ["panel", "bokeh", "pyarrow"])
def test_each_alone_is_named_too(work, module):
    """With all blocked at once only the first that a verb needs is met."""
    mine = [n for n in NEEDED if n[0] == module]
    for (_, extra, _), (code, text) in zip(mine, run([module], [v for _, _, v in mine], work), strict=True):
        check(code, text)
        assert code == 1
        assert f"pip install 'ephysfit[{extra}]'" in text


@pytest.mark.slow
def test_verbs_that_need_none_work_without_any(work):
    every = sorted({m for modules in MODULES.values() for m in modules})
    for verb, (code, text) in zip(OTHERS, run(every, OTHERS, work), strict=True):
        check(code, f"{verb}: {text}")
        assert code == 0, f"{verb}: {text}"
    assert "ephysfit[report]" in (work / "report.html").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("module", sorted({m for modules in MODULES.values() for m in modules}))
def test_each_verb_without_each_package(work, module, tmp_path):
    where = shutil.copytree(work, tmp_path / "work")
    cheap = [v for v in OTHERS if v[0] not in ("fit", "intervals", "warm-up")]
    harmless = [verb for m, _, verb in NEEDED if verb[0] not in ("batch", "explore", "fit") and m != "requests"]
    for code, text in run([module], [*cheap, *REFUSED, *harmless], where):
        check(code, text)


def test_the_sentence_for_axon_files(monkeypatch, tmp_path):
    from ephysfit.errors import StimulusError, needed

    monkeypatch.setitem(sys.modules, "pyabf", None)
    with pytest.raises(StimulusError, match=r"pyabf.*: pip install 'ephysfit\[abf\]'"):
        needed("pyabf", "abf", "the command", StimulusError)
