"""The package as a whole: it imports lightly, its names exist, its wheel is complete, the README's example runs."""

from __future__ import annotations

import re
import subprocess
import sys
import time
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

import ephysfit as ef
from ephysfit.cli.commands import VERBS

ROOT = Path(__file__).parents[1]
HEAVY = ("torch", "elephant", "pynwb", "neo", "h5py", "pandas", "scipy", "numba", "sympy", "matplotlib", "bokeh")


def python(code: str) -> str:
    """What a fresh interpreter prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    return done.stdout.strip()


def test_import_loads_nothing_heavy() -> None:
    found = python(f"import sys, ephysfit; print([m for m in {HEAVY!r} if m in sys.modules])")
    assert found == "[]"


#: verbs whose help loads numba or scipy with the tables of runs and cards (.3 to .8 s of CPU time)
SLOWER = ("batch", "status", "collect", "query", "info", "describe")


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], *([verb, "--help"] for verb in VERBS if verb not in SLOWER)], ids=" ".join
)
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    code = f"""
import sys
from ephysfit.cli import main
try:
    main({arguments!r})
except SystemExit as end:
    print("exit", end.code, [m for m in {HEAVY!r} if m in sys.modules])
"""
    assert python(code).endswith("exit 0 []")


#: what no verb loads that reads a recording and neither draws nor writes NWB
UNUSED = {"elephant", "pynwb", "neo", "pandas", "sklearn", "matplotlib", "bokeh"}


@pytest.mark.parametrize(
    ("words", "unused"),
    [
        ("models", {*HEAVY, "sklearn"}),
        ("info data/DRN164.nwb", {*UNUSED, "torch", "numba", "sympy"}),
        ("describe data/DRN164.nwb", {*UNUSED, "torch", "sympy"}),
        ("simulate FIT data/DRN164.nwb -o OUT.csv", {*UNUSED, "torch"}),
        ("score FIT data/DRN164.nwb", {*UNUSED, "torch"}),
        ("inspect data/DRN164.nwb -o OUT.png", {*UNUSED, "torch", "numba", "sympy"} - {"matplotlib"}),
        ("report FIT data/DRN164.nwb -o OUT.html", {*UNUSED, "torch", "sympy"} - {"matplotlib"}),
        ("fit data/DRN164.nwb --model LIF -o OUT", {*UNUSED, "torch", "sympy"} - {"matplotlib"}),
    ],
)
def test_verbs_load_what_they_use(words: str, unused: set[str], tmp_path: Path) -> None:
    ef.Fit(ef.models.LIF.start(), "cell", 0.5).save(tmp_path / "fit.json")
    given = words.replace("FIT", str(tmp_path / "fit.json")).replace("OUT", str(tmp_path / "out")).split()
    if "OUT" in words or "FIT" in words:  # what sympy and bokeh made is on disk from then on
        python(f"from ephysfit.cli import main; main({given!r})")
    code = f"""
import sys
from ephysfit.cli import main
try:
    main({given!r})
except SystemExit as end:
    print("exit", end.code, sorted(m for m in {sorted(unused)!r} if m in sys.modules))
"""
    assert python(code).endswith("exit 0 []")


def test_import_takes_less_than_a_third_of_a_second() -> None:
    seconds = [
        float(python("import time; t = time.perf_counter(); import ephysfit; print(time.perf_counter() - t)"))
        for _ in range(3)
    ]
    assert min(seconds) < 0.3


def test_a_misspelt_public_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="laod"):
        ef.laod  # noqa: B018


@pytest.mark.parametrize("name", ef.__all__)
def test_every_public_name_exists_and_says_what_it_is(name: str) -> None:
    thing = getattr(ef, name)
    assert (thing.__doc__ or "").strip()
    assert name in dir(ef)


def test_version_is_the_installed_one_and_the_changelog_knows_it() -> None:
    assert version("ephysfit") == ef.__version__
    headings = re.findall(r"^## \[?([^\]\s]+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert ef.__version__ in headings or "Unreleased" in headings
    assert f"version: {ef.__version__}" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")


def test_wheel_holds_every_file_of_the_package(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("ephysfit/")}
    tracked = subprocess.run(["git", "ls-files", "ephysfit"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert set(tracked.stdout.split()) <= packed
    assert "ephysfit/cli/app.py" in packed


def test_readme_example_runs_and_scores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first Python block of the README, line for line, on the shipped recording."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").symlink_to(ROOT / "data")
    names: dict[str, object] = {}
    begin = time.perf_counter()
    exec(blocks[0], names)  # (our own file)
    assert time.perf_counter() - begin < 120
    written = list(tmp_path.rglob("*.html"))
    assert written
    assert written[0].stat().st_size > 10_000


@pytest.mark.parametrize("source", sorted((ROOT / "notebooks").glob("*.py")), ids=lambda p: p.stem)
def test_executed_notebooks_are_those_of_their_sources(source: Path) -> None:
    import jupytext

    written, executed = (jupytext.read(p) for p in (source, source.with_suffix(".ipynb")))
    assert [c.source for c in executed.cells] == [c.source for c in written.cells]
    code = [c for c in executed.cells if c.cell_type == "code"]
    assert [c.execution_count for c in code] == list(range(1, len(code) + 1)), "make executed"
    assert not [o for c in code for o in c.outputs if o.output_type == "error"]


def test_the_lowest_versions_tested_are_those_declared():
    """`make lowest` installs constraints-lowest.txt; torch is held at the tested version, see there."""
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    tried = ("abf", "igor", "nix", "search", "report", "store", "export")
    asked = [*project["dependencies"], *(r for extra in tried for r in project["optional-dependencies"][extra])]
    asked += [r for r in project["optional-dependencies"]["batch"] if r.startswith("pebble")]
    floors = dict(r.split(">=") for r in asked)
    lines = (ROOT / "constraints-lowest.txt").read_text(encoding="utf-8").splitlines()
    tested = dict(line.split("==") for line in lines if not line.startswith("#"))
    assert set(tested) == set(floors)
    numbers = {name: [int(n) for n in v.split(".")] for name, v in floors.items()}
    for name, v in tested.items():
        found = [int(n) for n in v.split(".")]
        whole = numbers[name] + [0] * (len(found) - len(numbers[name]))
        assert found == whole or name == "torch", name


def test_ci_workflows_and_hooks_call_what_make_calls():
    """`.ci/run` has the list of targets: the workflow runs each of them, and the hooks are those of `make lint`."""
    targets = set(re.findall(r"^make (\w+)", (ROOT / ".ci" / "run").read_text(encoding="utf-8"), re.MULTILINE))
    workflow = (ROOT / ".github" / "workflows" / "tests.yml").read_text(encoding="utf-8")
    assert set(re.findall(r"run: make (\w+)", workflow)) == targets
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert targets <= set(re.findall(r"^(\w+):", makefile, re.MULTILINE))
    (recipe,) = re.findall(r"^lint:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    hooks = re.findall(r"entry: (.*)", (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    assert hooks == [line.strip().replace("$(BIN)", ".venv/bin") for line in recipe.splitlines()]


def test_files_that_contributing_points_to_exist():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = re.findall(r"`((?:ephysfit|tests|benchmarks|docs)/[\w/.]+)`|\]\(([\w/.]+)\)", text)
    assert len(named) > 20
    for place in (a or b for a, b in named):
        assert (ROOT / place).exists(), place
