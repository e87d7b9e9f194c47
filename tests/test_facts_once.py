"""What is decided in one place stays there: a second copy fails here."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import ephysfit
from ephysfit.data.readout import Readout
from ephysfit.metrics import headline_scores
from ephysfit.metrics.score import score

ROOT = Path(ephysfit.__file__).parent


def modules() -> Iterator[tuple[str, str]]:
    """(path within the package, text) of every module."""
    for path in sorted(ROOT.rglob("*.py")):
        yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("fact", "pattern", "homes"),
    [
        ("the nearest names", r"get_close_matches\(", {"errors.py"}),
        ("None for what is not finite in JSON", r"isfinite\(value\) else (?:None|value)", {"files.py"}),
        ("bytes that go onto the disk", r"os\.fsync\(", {"files.py"}),
        ("taking the place of a file", r"\b(?:beside|partial|temporary)\.replace\(|os\.replace\(", {
            "files.py", "disk_cache.py", "data/nwb_write.py"}),
        ("panels of bokeh", r"from bokeh\.plotting|import gridplot|glyph\.tags =", {"reports/bokeh_panels.py"}),
        ("labels of headline scores", r"\"(?:Md\*, ±8 ms|Γ/R, ±4 ms|Γ, ±4 ms)\"", {"metrics/headline_scores.py"}),
    ],
)  # fmt: skip
def test_stands_in_one_place(fact: str, pattern: str, homes: set[str]) -> None:
    found = {path for path, text in modules() if re.search(pattern, text)}
    assert found == homes, fact


@pytest.mark.parametrize("home", ["files.py", "disk_cache.py", "data/nwb_write.py"])
def test_what_takes_the_place_of_a_file_is_on_the_disk_before(home: str) -> None:
    text = (ROOT / home).read_text(encoding="utf-8")
    assert re.search(r"flush_to_disk\(\w+\)\n(?:.*\n){0,3}? +\w+\.replace\(\w+\)", text)


def test_readouts_are_written_out_nowhere_else() -> None:
    """As texts of code, not of docstrings: where they are an enumeration already."""
    several_words = {r.value for r in Readout if " " in r}
    held = {"data/readout.py", "fitting/stage_reports.py", "simulation/simulate.py"}
    found = set()
    for path, text in modules():
        tree = ast.parse(text)
        prose = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Expr)}
        texts = {n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and id(n) not in prose}
        labels = {"noisy runs"} if path == "reports/evidence.py" else set()  # how that readout is called on a page
        found |= {path} if (several_words - labels) & texts else set()
    assert found == held


def test_readouts_are_those_that_files_carry() -> None:
    assert [str(r) for r in Readout] == ["threshold run", "causal run", "causal vote", "consensus", "noisy runs"]


@pytest.mark.parametrize("stochastic", [False, True])
def test_the_score_that_leads_is_the_headline_of_a_score(stochastic: bool) -> None:
    repeats = [[600.0, 1500.0, 2500.0], [602.0, 1501.0, 2700.0], [601.0, 1503.0, 2502.0]]
    found = score(repeats[:2] if stochastic else repeats[:1], repeats, duration=6000.0, stochastic=stochastic)
    assert headline_scores.choose_headline(stochastic).name.startswith(found.headline.name.rpartition("_")[0])
