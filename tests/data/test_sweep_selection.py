"""One grammar of sweeps, whoever asks: the command line, a manifest, a saved fit."""

import numpy as np
import pytest
import typer

from ephysfit.batch.cell_files import Cell
from ephysfit.data.recording import Recording, Sweep
from ephysfit.data.sweep_selection import divide_sweeps, find_sweeps
from ephysfit.errors import SelectionError


@pytest.fixture(scope="module")
def recording():
    noise = np.random.default_rng(0).normal(0, 50, (3, 1000))
    names = ["cell_train/0", "cell_train/1", "cell_test/0", "cell_test/1", "cell_test/2", "steps"]
    rows = [noise[0], noise[1], noise[2], noise[2], noise[2], np.repeat([0.0, 100.0], 500)]
    kinds = ["noise"] * 5 + ["long square"]
    sweeps = [
        Sweep(row, 0.5, spike_times=[100.0, 300.0], name=name, stimulus=kind)
        for row, name, kind in zip(rows, names, kinds, strict=True)
    ]
    return Recording(tuple(sweeps), cell="cell")


@pytest.mark.parametrize(
    ("text", "positions"),
    [
        ("steps", [5]),
        ("0", [0]),
        ("2-4", [2, 3, 4]),
        ("0, 2-3", [0, 2, 3]),
        ("cell_test", [2, 3, 4]),
        ("raw/cell_test.abf", [2, 3, 4]),
        ("long square", [5]),
        ("cell_t*", [0, 1, 2, 3, 4]),
        ("*/1", [1, 3]),
        ("steps,steps", [5]),
    ],
)
def test_what_a_text_names(recording, text, positions):
    assert find_sweeps(recording, text) == positions


@pytest.mark.parametrize("text", ["6", "4-", "-1", "cell_tset", ",", "1.5"])
def test_what_names_nothing_is_refused(recording, text):
    with pytest.raises(SelectionError, match=r"no sweep|names no sweep"):
        find_sweeps(recording, text)


@pytest.mark.parametrize(
    ("train", "test", "says", "side"),
    [
        ("0", "0.2", "a part of each sweep does not go with", "test"),
        ("0-1", "1-2", "'cell_train/1' would train and test", ""),
        ("*", None, "no sweep is left to test", "test"),
        (None, "*", "no sweep is left to train", "train"),
        ("nope", None, "no sweep 'nope'", "train"),
        ("", None, "'' names no sweep", "train"),
        (None, "", "'' names no sweep", "test"),
    ],
)
def test_sides_that_cannot_be(recording, train, test, says, side):
    with pytest.raises(SelectionError, match=says) as caught:
        divide_sweeps(recording, train, test)
    assert caught.value.side == side


@pytest.mark.parametrize(
    ("train", "test"),
    [("0-1", "2-4"), ("", "2-4"), ("", "0.2"), ("", "repeats"), ("cell_train", ""), ("0", "cell_test"), ("", "*/1")],
)
def test_the_command_line_and_a_manifest_divide_alike(recording, train, test, monkeypatch):
    from ephysfit.batch import fit_task
    from ephysfit.batch.task import Settings, Task
    from ephysfit.cli.sweep_options import split_recording

    seen = []

    def fit(data, *_, **__):
        seen.append([s.name for s in data.sweeps])
        raise KeyboardInterrupt

    monkeypatch.setattr(fit_task, "load", lambda *_, **__: recording)
    monkeypatch.setattr(fit_task, "fit", fit)
    with pytest.raises(KeyboardInterrupt):
        fit_task._fit_and_score(Task(Cell("cell", (), train, test), "LIF", Settings()), None)
    mine, _ = split_recording(recording, train or None, test or None)
    assert [[s.name for s in mine.sweeps]] == seen


def test_the_command_line_names_the_option(recording):
    from ephysfit.cli.sweep_options import split_recording

    with pytest.raises(typer.BadParameter) as caught:
        split_recording(recording, None, "cell_tset")
    assert caught.value.param_hint == "--test"
    assert "did you mean" in str(caught.value)
