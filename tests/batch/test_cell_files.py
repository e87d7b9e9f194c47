"""Which cells a batch finds, and what it says of sources it cannot take."""

from __future__ import annotations

import pytest

from ephysfit.batch.cell_files import Cell, find_cells
from ephysfit.batch.task import Settings, make_tasks
from ephysfit.errors import BatchError


@pytest.fixture
def tree(tmp_path):
    for name in ("sub-1/sub-1_icephys.nwb", "sub-2/sub-2_icephys.nwb", "notes.txt", "two/a.abf"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    return tmp_path


def test_a_folder_is_searched_to_the_bottom(tree):
    assert [c.name for c in find_cells(tree)] == ["sub-1/sub-1_icephys", "sub-2/sub-2_icephys", "two/a"]


def test_patterns_and_files(tree):
    assert [c.name for c in find_cells([f"{tree}/sub-*/*.nwb", tree / "two" / "a.abf"])] == [
        "a", "sub-1_icephys", "sub-2_icephys"
    ]  # fmt: skip


def test_a_csv_manifest(tree):
    path = tree / "cells.csv"
    path.write_text("cell,file,test,model,option.kind\none,sub-1/sub-1_icephys.nwb; two/a.abf,0.25,ALIF,noise\n")
    (cell,) = find_cells(path)
    assert (cell.name, cell.test, cell.model, dict(cell.options)) == ("one", "0.25", "ALIF", {"kind": "noise"})
    assert [f.name for f in cell.files] == ["sub-1_icephys.nwb", "a.abf"]


def test_a_toml_manifest(tree):
    path = tree / "cells.toml"
    path.write_text('[[cell]]\nfile = ["two/a.abf"]\ntrain = ["x", "y"]\n[cell.option]\njunction_potential = 14.0\n')
    (cell,) = find_cells(path)
    assert (cell.name, cell.train, dict(cell.options)) == ("a", "x,y", {"junction_potential": 14.0})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("file,spiks\na.abf,x\n", "unknown column 'spiks'; did you mean spikes"),
        ("cell,file\none,\n", "column file is empty"),
        ("cell,file\n", "a header and no cell"),
        ("cell,file\none,a.abf\none,b.abf\n", "2 cells are called 'one'"),
    ],
)
def test_manifests_that_are_refused(tmp_path, text, says):
    path = tmp_path / "m.csv"
    path.write_text(text)
    with pytest.raises(BatchError, match=says):
        find_cells(path)


def test_sources_that_are_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(BatchError, match="no recording in this folder"):
        find_cells(tmp_path / "empty")
    with pytest.raises(BatchError, match="no such file or folder"):
        find_cells(tmp_path / "nowhere" / "*.nwb")
    with pytest.raises(BatchError, match="no source was given"):
        find_cells([])
    (tmp_path / "bad.toml").write_text("cell = [")
    with pytest.raises(BatchError, match="not a manifest"):
        find_cells(tmp_path / "bad.toml")


@pytest.mark.parametrize("name", ["../../elsewhere", "/tmp/elsewhere", "a//b", "a/."])
def test_a_name_cannot_leave_the_folder_of_the_run(tmp_path, name):
    path = tmp_path / "m.csv"
    path.write_text(f"cell,file\n{name},a.abf\n")
    with pytest.raises(BatchError, match="names become folders of the run"):
        find_cells(path)


def test_two_models_of_one_name_are_refused(tmp_path):
    cells = (Cell("one", (tmp_path / "a.abf",)),)
    with pytest.raises(BatchError, match="have the same name, so their results would"):
        make_tasks(cells, ["LIF", "mine.py:LIF"], Settings())
    assert [t.model for t in make_tasks(cells, ["LIF", "ALIF", "LIF"], Settings())] == ["LIF", "ALIF"]


def test_a_folder_holds_recordings_beside_what_a_batch_made_of_them(tmp_path):
    """The page and a batch find the same: no manifest, and no table of a run that lies in the same folder."""
    from ephysfit.explorer.library import Library

    for name in ("a.csv", "b.nix", "run/tables/fits.parquet", "run/results/a.json", "notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("{}" if name.endswith("json") else "t,I,V\n0,1,2\n", encoding="utf-8")
    (tmp_path / "cells.csv").write_text("cell,file\na,a.csv\n", encoding="utf-8")
    assert [c.name for c in find_cells(tmp_path)] == ["a", "b"]
    assert [c.name for c in Library.of(tmp_path).cells] == ["a", "b"]
