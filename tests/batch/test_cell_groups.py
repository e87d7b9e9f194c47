"""Which files are one cell: names of a lab, and what a manifest of them says."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest
from batch_cells import ephysfit
from places import piece

from ephysfit.batch.cell_files import find_cells, find_cells_and_rest
from ephysfit.batch.fit_task import attempt_task
from ephysfit.batch.manifest import write_manifest
from ephysfit.batch.store import Store
from ephysfit.batch.task import Settings, make_tasks
from ephysfit.errors import BatchError


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    return folder


def listed(source):
    return {c.name: [f.name for f in c.files] for c in find_cells(source)}


def test_a_folder_of_training_test_steps_and_electrode_is_one_cell(tmp_path):
    names = "DRN1_5ht_training.abf", "DRN1_5ht_test.abf", "DRN1_5ht_aec.abf", "current_steps.abf"
    (cell,) = find_cells(touch(tmp_path, *(f"raphe/{n}" for n in names)))
    assert cell.name == "raphe"
    assert [f.name for f in cell.files] == ["DRN1_5ht_training.abf", "current_steps.abf", "DRN1_5ht_test.abf"]
    assert (cell.train, cell.test) == ("DRN1_5ht_training", "DRN1_5ht_test")
    assert cell.electrode is not None
    assert cell.electrode.name == "DRN1_5ht_aec.abf"


def test_two_cells_in_one_folder_stay_two(tmp_path):
    touch(tmp_path, "c1_train.abf", "c1_test.abf", "c2_train.abf", "c2_test.abf", "steps.abf")
    assert listed(tmp_path) == {
        "c1": ["c1_train.abf", "c1_test.abf"], "c2": ["c2_train.abf", "c2_test.abf"], "steps": ["steps.abf"],
    }  # fmt: skip


@pytest.mark.parametrize(
    "names",
    [
        ("2024_03_12_0007.abf", "2024_03_12_0009.abf"),
        ("cell_1.nwb", "cell_2.nwb"),
        ("alpha.nwb", "beta.nwb"),
        ("sub-1_icephys.nwb", "sub-2_icephys.nwb"),
    ],
)
def test_names_that_do_not_say_what_a_file_holds_join_nothing(tmp_path, names):
    assert [len(files) for files in listed(touch(tmp_path, *names)).values()] == [1, 1]


def test_nameless_files_are_the_cell_of_their_folder(tmp_path):
    assert listed(touch(tmp_path, "mouse3/training.abf", "mouse3/test_2.abf")) == {
        "mouse3": ["training.abf", "test_2.abf"]
    }


def test_files_given_one_by_one_are_grouped_as_those_of_a_folder(tmp_path):
    touch(tmp_path, "c1_train.abf", "c1_test.abf", "c2.nwb")
    assert listed([tmp_path / n for n in ("c1_train.abf", "c1_test.abf", "c2.nwb")]) == listed(tmp_path)
    assert listed(f"{tmp_path}/*.*") == listed(tmp_path)


def test_an_electrode_recording_is_no_cell(tmp_path):
    touch(tmp_path, "c1.nwb", "lone_aec.abf")
    cells, rest = find_cells_and_rest(tmp_path)
    assert [c.name for c in cells] == ["c1"]
    assert [f.name for f in rest] == ["lone_aec.abf"]
    with pytest.raises(BatchError, match="only recordings of an electrode"):
        find_cells(tmp_path / "lone_aec.abf")


def test_a_manifest_gives_the_same_cells_back(tmp_path):
    touch(tmp_path / "data", "a/x_train.abf", "a/x_test.abf", "a/x_aec.abf", 'b/odd "name" µ.nwb')
    (tmp_path / "own.toml").write_text(
        '[[cell]]\nfile = "data/b/odd \\"name\\" µ.nwb"\ncell = "odd"\ntest = "0.2"\nmodel = "ALIF"\n'
        "[cell.option]\njunction_potential = 14.0\nsweeps = [0, 1]\n[cell.option.spikes]\nheight = 12.0\n"
    )
    cells = (*find_cells(tmp_path / "data" / "a"), *find_cells(tmp_path / "own.toml"))
    (tmp_path / "run").mkdir()
    written = write_manifest(cells, tmp_path / "run" / "cells.toml")
    assert find_cells(written) == tuple(sorted(cells, key=lambda c: c.name))
    assert str(tmp_path) not in written.read_text(encoding="utf-8").split("[[cell]]", 1)[1]


def test_the_own_manifest_of_a_run_removes_cells_without_a_result_only(tmp_path):
    data = touch(tmp_path / "data", "a.nwb", "b.nwb", "c.nwb")
    store = Store(tmp_path / "run")
    tasks = make_tasks(find_cells(data), ["LIF"], Settings())
    store.plan(tasks)
    store.write(tasks[1], "key", {"status": "failed", "reason": "as a test"})
    store.plan(tasks[:1], whole=True)
    assert [t.cell.name for t in store.tasks()] == ["a", "b"]
    store.plan(tasks[2:])
    assert [t.cell.name for t in store.tasks()] == ["a", "b", "c"]


def test_the_key_knows_the_electrode_by_its_content(tmp_path):
    touch(tmp_path, "x_train.abf", "x_test.abf", "x_aec.abf")
    (task,) = make_tasks(find_cells(tmp_path), ["LIF"], Settings())
    before = task.key()
    (tmp_path / "x_aec.abf").write_bytes(b"other")
    assert task.key() != before
    (tmp_path / "x_aec.abf").unlink()
    (bare,) = make_tasks(find_cells(tmp_path), ["LIF"], Settings())
    assert "electrode" not in bare.cell.to_dict()
    assert bare.cell == type(bare.cell).from_dict(bare.cell.to_dict())


def test_the_plan_prints_the_groups_and_goes_on_from_the_edited_manifest(tmp_path):
    data = touch(tmp_path / "data", "a/c1_training.abf", "a/c1_test.abf", "a/c1_aec.abf", "b/c2.nwb", "lone_aec.abf")
    run = tmp_path / "run"
    planned = ephysfit("batch", data, "-m", "LIF", "-o", run, "--plan")
    out, err = planned.communicate(timeout=120)
    assert planned.returncode == 0
    for word in ("c1_training.abf", "c1_test.abf", "c1_aec.abf", "cells.toml -m LIF"):
        assert word in out
    assert "of no cell, because they record the electrode alone: lone_aec.abf" in err
    manifest = run / "cells.toml"
    text = manifest.read_text(encoding="utf-8")
    manifest.write_text(text[: text.index("[[cell]]", text.index("[[cell]]") + 1)], encoding="utf-8")
    again = ephysfit("batch", manifest, "-m", "LIF", "-o", run, "--plan")
    again.communicate(timeout=120)
    assert again.returncode == 0
    assert [t.cell.name for t in Store(run).tasks()] == ["a"]


def fit_pieces(folder, electrode):
    """The result of a cell of real pieces: training, test and a file that is named as its electrode's."""
    folder.mkdir()
    for name, source in (("training", "noise_training"), ("test", "noise_test"), ("aec", electrode)):
        shutil.copy(piece(source), folder / f"c1_{name}.abf")
    (task,) = make_tasks(find_cells(folder), ["LIF"], Settings(runs=2))
    return task, attempt_task(task)


def test_the_voltage_across_the_electrode_is_removed(tmp_path, capsys):
    task, removed = fit_pieces(tmp_path / "a", "electrode")
    said = capsys.readouterr().out
    resistance = float(said.split("electrode of ")[1].split(" MOhm")[0])
    kept = attempt_task(replace(task, cell=replace(task.cell, electrode=None)))
    left = [r["cards"]["cell"]["measures"]["access_resistance"]["value"] for r in (removed, kept)]
    assert left[1] - left[0] == pytest.approx(resistance, abs=3.0)
    assert (removed["status"], removed["sizes"]["repeats"]) == ("done", 3)


def test_an_electrode_that_cannot_be_measured_says_what_to_change(tmp_path):
    _, result = fit_pieces(tmp_path / "a", "steps_recorded")
    assert result["status"] == "failed"
    assert "delete the line `electrode` of the cell in the manifest" in result["reason"]
