"""Pages of the site that are made: of the verbs, of the figures, of the neurons' behaviour."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from ephysfit.cli.commands import VERBS
from ephysfit.models import catalogue
from ephysfit.reports.figures.single import KINDS

DOCS = Path(__file__).parents[1] / "docs"
#: most bytes of a picture of the gallery
LARGEST = 60_000


def borrow(monkeypatch: pytest.MonkeyPatch, folder: Path, name: str) -> Iterator[ModuleType]:
    """A script of a folder as a module, forgotten afterwards with the scripts beside it that it imports."""
    monkeypatch.syspath_prepend(str(folder))
    known = set(sys.modules)
    yield importlib.import_module(name)
    for new in set(sys.modules) - known:
        if Path(getattr(sys.modules[new], "__file__", None) or "/").parent == folder:
            del sys.modules[new]


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[ModuleType]:
    """A module of docs/."""
    yield from borrow(monkeypatch, DOCS, request.param)


@pytest.fixture
def release_check(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    yield from borrow(monkeypatch, DOCS.parent / "benchmarks", "release_check")


@pytest.mark.parametrize("module", ["make_commands"], indirect=True)
def test_every_verb_has_its_section_with_all_options_and_examples(module: ModuleType) -> None:
    page = module.write_page()
    for verb in VERBS:
        section = page.split(f"\n### {verb}\n")[1].split("\n### ")[0]
        assert f"ephysfit {verb} " in section
        assert "--help" in section
    assert (
        "| `--model, -m` | NAME | auto, a name of `ephysfit models`, or my_file.py:MyNeuron. Default: auto. |" in page
    )
    assert "<bool>" not in page


#: files that pages tell a reader to write, or that stand elsewhere
NOT_OURS = {"tests/test_reader.py", "ephysfit/stimulus_kinds.toml", "ephysfit/ephysfit/blob/main/SECURITY.md"}


def test_every_file_that_pages_name_is_there() -> None:
    """By its path from the root, or within the package."""
    named = re.compile(
        r"(?:tests|benchmarks|ephysfit|notebooks|data|docs)/[\w/.-]+\.(?:py|ipynb|nwb|abf|md|json|toml)\b"
    )
    pages = [*DOCS.glob("*.md"), *DOCS.glob("*/*.md"), *(DOCS.parent / n for n in ("README.md", "CONTRIBUTING.md"))]
    found = {(page.name, name) for page in pages for name in named.findall(page.read_text(encoding="utf-8"))}
    assert len(found) > 50
    homes = (DOCS.parent, DOCS.parent / "ephysfit")
    assert {f for f in found if f[1] not in NOT_OURS and not any((home / f[1]).exists() for home in homes)} == set()


@pytest.mark.parametrize("module", ["make_gallery"], indirect=True)
def test_the_gallery_shows_every_kind_of_figure(module: ModuleType) -> None:
    assert (DOCS / "gallery.md").read_text(encoding="utf-8") == module.write_page()
    for kind in (*KINDS, "sweeps"):
        picture = DOCS / "pictures" / "gallery" / f"{kind}.png"
        assert 1000 < picture.stat().st_size < LARGEST, kind


@pytest.mark.parametrize("module", ["make_behaviour"], indirect=True)
def test_every_neuron_gets_a_picture_of_its_behaviour(module: ModuleType, tmp_path: Path) -> None:
    text = "\n".join(p.read_text(encoding="utf-8") for p in (DOCS / "models").glob("*.md"))
    shown = module.insert(text, "../_static")
    for name in catalogue():
        assert shown.count(f"(../_static/behaviour/{name}.png)") == 1, name
    module.draw(catalogue()["LIF"], tmp_path / "LIF.png")
    assert (tmp_path / "LIF.png").read_bytes().startswith(b"\x89PNG")
    spikes, _ = module.run(catalogue()["LIF"], 1.5 * module.find_rheobase(catalogue()["LIF"]) * module.STEP[None])
    assert spikes.sum() > 5


def test_numbers_of_texts_are_those_that_were_measured(
    monkeypatch: pytest.MonkeyPatch, release_check: ModuleType
) -> None:
    assert release_check.find_stale_texts() == []
    printed = release_check.read_printed()
    assert len({numbers["gamma_over_R_4"] for numbers in printed.values()}) == 1, printed
    monkeypatch.setitem(release_check.accuracy.__dict__, "why", lambda rows: "another sentence")
    assert any("'why'" in place for place in release_check.find_stale_texts())
