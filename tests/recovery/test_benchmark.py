"""benchmarks/accuracy.py: it resumes, a failure is a row, tables land between their marks."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import accuracy

from ephysfit.errors import FitError

ROW = {
    "stochastic": True, "R": 0.8, "causal": 0.5, "consensus": 0.6, "md_star_4": 0.61, "md_star_8": 0.7, "ev_10": 0.8,
    "ev_15": 0.9, "rate_error": -0.125, "seconds": 12.0, "cpu_seconds": 3.4,
}  # fmt: skip


@pytest.fixture
def measured(monkeypatch):
    """Measurements that are made up, and a list of what was asked for."""
    asked = []

    def measure(cell, model, train, test):
        asked.append((cell, model))
        if model == "GIF":
            raise FitError("nothing to fit")
        return {"cell": cell, "model": model, **ROW}

    monkeypatch.setattr(accuracy, "measure", measure)
    monkeypatch.setattr(accuracy, "cells", lambda: {"DRN164": (None, None), "DRN158": (None, None)})
    return asked


def test_what_is_done_is_not_run_again(measured, tmp_path):
    accuracy.run(tmp_path, ("DRN164",), ["LIF", "GIF"], again=False)
    accuracy.run(tmp_path, accuracy.CELLS, ["LIF", "GIF"], again=False)
    assert measured == [("DRN164", "LIF"), ("DRN164", "GIF"), ("DRN158", "LIF"), ("DRN158", "GIF")]
    accuracy.run(tmp_path, ("DRN158",), ["LIF"], again=True)
    assert measured[-1] == ("DRN158", "LIF")
    assert len(measured) == 5


def test_a_failure_is_a_row_and_no_mean(measured, tmp_path):
    accuracy.run(tmp_path, accuracy.CELLS, ["LIF", "GIF"], again=False)
    rows = accuracy.stored(tmp_path)
    table = accuracy.lines(rows)
    assert [line[0] for line in table] == ["LIF", "LIF", "GIF", "GIF"]
    assert table[0] == ("LIF", "DRN164", "0.50", "0.60", "0.61", "0.70", "0.80", "0.90", "-12 %", "12", "3")
    assert table[-1][2] == "FitError: nothing to fit"
    assert [m[:3] for m in accuracy.means(rows)] == [("LIF", "2", "0.50")]


def test_what_a_term_bought_is_the_difference_to_the_neuron_below(measured, tmp_path):
    accuracy.run(tmp_path, accuracy.CELLS, ["LIF", "ALIF", "GIF", "AGIF"], again=False)
    rows = accuracy.stored(tmp_path)
    for row in rows:
        row |= {"train_nll": 4.0}
        if row["model"] == "ALIF":
            row |= {"md_star_8": 0.8 if row["cell"] == "DRN164" else 0.6, "consensus": None, "train_nll": 3.5}
    (line,) = accuracy.bought(rows)  # GIF failed, so nothing is said of AGIF
    assert line == (
        "ALIF", "LIF", "+2", "2", "+0.00", "–", "+0.00", "+0.00", "+0.00", "-0.500", "1 of 2",
    )  # fmt: skip
    assert len(line) == len(accuracy.BOUGHT_HEAD)


def test_every_neuron_of_one_input_is_asked_for_and_typos_are_named():
    assert {"LIF", "ALIF", "AIGIF", "MAT"} <= set(accuracy.fittable())
    assert accuracy._names("ALIF,LIF") == ["ALIF", "LIF"]
    with pytest.raises(SystemExit, match="did you mean AIGIF"):
        accuracy._names("AIGFI")


def test_tables_land_between_their_marks():
    text = "a\n<!-- means -->\nold\n<!-- /means -->\nb\n"
    assert accuracy._between(text, "means", "new") == "a\n<!-- means -->\nnew\n<!-- /means -->\nb\n"
    with pytest.raises(SystemExit, match="has no marks"):
        accuracy._between(text, "cells", "new")


def test_the_page_has_a_place_for_every_table_and_holds_what_was_measured():
    docs = accuracy.ROOT / "docs"
    page = (docs / "accuracy.md").read_text(encoding="utf-8")
    for name in ("means", "ladder", "cells", "peers", "recovery", "protocols"):
        assert accuracy._between(page, name, "x") != page or f"<!-- {name} -->\nx\n" in page
    known = json.loads((docs / "accuracy.json").read_text(encoding="utf-8"))
    for line in accuracy.lines(known["accuracy"]):
        assert "| " + " | ".join(line) + " |" in page, line
    for line in accuracy.bought(known["accuracy"]):
        assert "| " + " | ".join(line) + " |" in page, line
    assert accuracy.peers() in page


def test_the_published_recipe_runs_the_cell_that_it_reports():
    """Its spikes in raw per-step numbers are those of the neuron in pA that is scored, once the start is forgotten.

    Their run starts at 0, which is not the rest of a cell with a bias.
    """
    import block_alif
    import numpy as np
    import torch

    from ephysfit.simulation.simulate import simulate

    current = 60.0 + 80.0 * np.repeat(np.random.default_rng(0).standard_normal(150), 20)
    raw = {"beta": 0.995, "p": 0.998, "w": 3.0, "bias": 0.0003, "b": 0.15}
    largest = float(current.max())
    tensors = {k: torch.tensor(v, dtype=torch.float64) for k, v in raw.items()}
    spikes = block_alif.run(tensors, torch.from_numpy(current / (100 * largest))[None])[0].numpy()
    with pytest.warns(UserWarning, match="its bounds"):
        done = simulate(block_alif.physical(raw, largest), current, dt=block_alif.DT)
    assert spikes.sum() > 3
    found, wanted = np.flatnonzero(spikes), (done.spike_times[0][0] / block_alif.DT).astype(int)
    np.testing.assert_array_equal(found[found > 600], wanted[wanted > 600])


def test_what_was_not_run_again_stays_on_the_page(measured, monkeypatch, tmp_path):
    (tmp_path / "docs").mkdir()
    marks = "".join(f"<!-- {n} -->\n<!-- /{n} -->\n" for n in ("means", "cells", "peers", "recovery", "ladder"))
    (tmp_path / "docs" / "accuracy.md").write_text(marks, encoding="utf-8")
    (tmp_path / "README.md").write_text("<!-- scores --><!-- /scores -->", encoding="utf-8")
    old = {"cell": "DRN162", "model": "LIF", **ROW, "md_star_8": 0.11}
    (tmp_path / "docs" / "accuracy.json").write_text(json.dumps({"accuracy": [old], "recovery": None, "more": 1}))
    monkeypatch.setattr(accuracy, "ROOT", tmp_path)
    accuracy.run(tmp_path / "build", ("DRN164",), ["LIF"], again=False)
    accuracy.write(tmp_path / "build")
    known = json.loads((tmp_path / "docs" / "accuracy.json").read_text(encoding="utf-8"))
    assert [r["cell"] for r in known["accuracy"]] == ["DRN164", "DRN162"]
    assert known["more"] == 1
    assert "0.11" in (tmp_path / "docs" / "accuracy.md").read_text(encoding="utf-8")
