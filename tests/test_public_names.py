"""The public names: one list, read by loader, type checkers and documentation; names of earlier versions still work."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
import warnings
from pathlib import Path
from types import ModuleType

import pytest

import ephysfit as ef
from ephysfit import deprecation, stages

ROOT = Path(__file__).parents[1]
STUB = ROOT / "ephysfit" / "__init__.pyi"


def imported() -> dict[str, str]:
    """Public name → module, of the stub as Python's own parser reads it."""
    nodes = [n for n in ast.parse(STUB.read_text(encoding="utf-8")).body if isinstance(n, ast.ImportFrom)]
    assert all(alias.asname == alias.name for n in nodes for alias in n.names)
    return {alias.name: n.module or "" for n in nodes for alias in n.names}


def test_loader_and_stub_agree() -> None:
    assert sorted(ef.__all__) == sorted(imported())
    for name, module in imported().items():
        served, home = getattr(ef, name), importlib.import_module(module)
        assert served is (importlib.import_module(f"{module}.{name}") if isinstance(served, ModuleType)
                          else getattr(home, name))  # fmt: skip


def test_the_documentation_has_a_page_for_each(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(ROOT / "docs")
    make_api = importlib.import_module("make_api")
    monkeypatch.setattr(make_api, "FOLDER", tmp_path)
    make_api.main()
    modules = {n for n, m in imported().items() if isinstance(getattr(ef, n), ModuleType)}
    pages = {path.stem for path in tmp_path.glob("*.md")}
    assert pages >= set(imported()) - modules
    assert pages >= {f"{imported()[n]}.{n}" for n in modules}
    index = (tmp_path / "index.md").read_text(encoding="utf-8")
    assert all(f"| [`{page}`]({page}.md) |" in index for page in pages - {"index"})


def script(folder: Path, text: str, *options: str) -> subprocess.CompletedProcess[str]:
    """A program of a user's, in a process of its own."""
    path = folder / "script.py"
    path.write_text(text, encoding="utf-8")
    return subprocess.run([sys.executable, *options, str(path)], capture_output=True, text=True, check=True)


@pytest.mark.parametrize("old", deprecation.RENAMED)
def test_a_renamed_public_name_works_and_says_its_new_one(old: str) -> None:
    new, since = deprecation.RENAMED[old]
    with pytest.warns(
        DeprecationWarning, match=f"ephysfit.{old} is called ephysfit.{new} since ephysfit {since}"
    ) as said:
        found = getattr(ef, old)
    assert found is getattr(ef, new)
    assert said[0].filename == __file__
    assert old not in ef.__all__


@pytest.mark.parametrize(("old", "new"), stages._RENAMED.items())
def test_a_renamed_stage_works_and_says_its_new_name(old: str, new: str) -> None:
    with pytest.warns(DeprecationWarning, match=f"ephysfit.stages.{old} is called ephysfit.stages.{new}") as said:
        found = getattr(stages, old)
    assert found is getattr(stages, new)
    assert said[0].filename == __file__


@pytest.mark.parametrize(("old", "new"), deprecation.MOVED.items())
def test_a_moved_module_is_found_and_says_where_it_is(monkeypatch: pytest.MonkeyPatch, old: str, new: str) -> None:
    monkeypatch.delitem(sys.modules, old, raising=False)
    with pytest.warns(DeprecationWarning, match=f"{old} is called {new}") as said:
        found = importlib.import_module(old)
    assert found is importlib.import_module(new)
    assert found.__name__ == found.__spec__.name == new
    assert said[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert importlib.import_module(old) is found


def test_a_script_is_told_once_a_line_at_its_own_lines(tmp_path: Path) -> None:
    text = (
        "import ephysfit as ef\n"
        "ef.compensate_electrode, ef.models.small_signal, ef.stages  # what they import resets who has been told\n"
        "for _ in range(3):\n"
        "    ef.compensate\n"
        "from ephysfit.fitting.stages import Readout\n"
        "from ephysfit.data import contract\n"
        "import ephysfit.models.response as response\n"
        "print(contract.ReaderContract, response.__name__)\n"
    )
    done = script(tmp_path, text)
    lines = [line.split(": ")[0] for line in done.stderr.splitlines() if "DeprecationWarning" in line]
    assert lines == [f"{tmp_path / 'script.py'}:{k}" for k in (4, 5, 6, 7)]
    assert "ephysfit.models.small_signal" in done.stdout


def test_a_module_that_never_was_is_not_found() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"ephysfit\.data\.contracts"):
        importlib.import_module("ephysfit.data.contracts")
    with pytest.raises(AttributeError, match="Barrred"):
        stages.Barrred  # noqa: B018


def test_reading_again_adds_no_second_finder() -> None:
    before = list(sys.meta_path)
    deprecation.serve_moved_modules()
    assert sys.meta_path == before
