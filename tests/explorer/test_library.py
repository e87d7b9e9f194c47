"""What may be looked at: only what lies under the given paths."""

import json

import numpy as np
import pytest
from explorer_cells import fit, recording, run_folder, write_csv

import ephysfit as ef
from ephysfit.errors import EphysfitError, FitError, RecordingError
from ephysfit.explorer.fit_files import read_saved_fits
from ephysfit.explorer.library import Library


def test_recording_and_fit_in_memory_are_one_cell():
    library = Library.of(recording(), fit())
    assert [c.name for c in library.cells] == ["known"]
    assert len(library.cells[0].fits) == 1


def test_folder_of_fits_and_a_recording(tmp_path):
    run_folder(tmp_path / "run")
    data = tmp_path / "data"
    data.mkdir()
    write_csv(data / "known.csv", recording())
    library = Library.of(tmp_path / "run", data)
    assert [(c.name, len(c.fits)) for c in library.cells] == [("known", 2)]
    assert library.cells[0].fits[0].scores == {"gamma_over_R_4": 0.7}
    assert library.open(library.cells[0].fits[0]).model == "ALIF"


def test_tables_that_collect_made_are_no_recordings(tmp_path):
    run_folder(tmp_path / "run")
    (tmp_path / "run" / "tables").mkdir()
    (tmp_path / "run" / "tables" / "fits.csv").write_text("cell,rate_error\nknown,0.1\n")
    before = [c.name for c in Library.of(tmp_path / "run").cells]
    assert before == ["known"]


def test_fit_without_its_recording_says_what_to_give(tmp_path):
    path = fit().save(tmp_path / "fit.json")
    with pytest.raises(RecordingError, match=r"known\.npz .* give it too"):
        _ = Library.of(path).cells[0].recording


@pytest.mark.parametrize("text", ["{}", "not json", "[1, 2]"])
def test_a_file_that_is_no_fit_is_named(tmp_path, text):
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(FitError, match=r"other\.json is not a fit"):
        Library.of(path)


def test_missing_and_empty(tmp_path):
    with pytest.raises(RecordingError, match="no such file or folder"):
        Library.of(tmp_path / "nothing.nwb")
    with pytest.raises(RecordingError, match="no recording"):
        Library.of(tmp_path)


def test_links_that_lead_out_of_a_folder_are_not_followed(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    write_csv(outside / "secret.csv", recording())
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "link.csv").symlink_to(outside / "secret.csv")
    (inside / "folder").symlink_to(outside)
    write_csv(inside / "own.csv", recording())
    assert [c.name for c in Library.of(inside).cells] == ["own"]


def test_a_fit_cannot_make_a_python_file_run_that_was_not_given(tmp_path):
    code = tmp_path / "elsewhere" / "mine.py"
    code.parent.mkdir()
    code.write_text("raise SystemExit('this ran')")
    content = fit().to_dict()
    content["provenance"]["source"] = f"{code}:Mine"
    path = tmp_path / "given" / "fit.json"
    path.parent.mkdir()
    path.write_text(json.dumps(content))
    library = Library.of(path)
    with pytest.raises(EphysfitError, match="give that file too"):
        library.open(library.cells[0].fits[0])


def write_npz(path, known):
    trains = known.spike_times
    np.savez(
        path, current_pA=np.stack([s.current for s in known]), dt_ms=known.dt, spike_times_ms=np.concatenate(trains),
        spike_trial=np.repeat(np.arange(len(trains)), [len(t) for t in trains]),
    )  # fmt: skip


def test_a_run_of_a_batch_is_read_with_what_failed_in_it(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    write_npz(data / "good.npz", recording())
    (data / "bad.csv").write_text("time_ms,current_pA\n0,1\n1,2\n")
    ef.fit_many([data / "good.npz", data / "bad.csv"], "LIF", folder=tmp_path / "run", workers=1)
    library = Library.of(tmp_path / "run", data)
    ended = {saved.cell: saved for _, saved in library.fits}
    assert (ended["good"].status, ended["bad"].status) == ("done", "failed")
    assert "gamma_4" in ended["good"].scores
    assert library.open(ended["good"]).model == "LIF"
    assert [c.files[0].name for c in library.cells if c.fits] == ["bad.csv", "good.npz"]
    with pytest.raises(FitError, match="bad, LIF: failed"):
        library.open(ended["bad"])


def test_what_cannot_be_read_in_a_folder_is_skipped_and_named(tmp_path):
    run_folder(tmp_path)
    write_csv(tmp_path / "known.csv", recording())
    (tmp_path / "half.json").write_text('{"model": "LIF", "param')
    (tmp_path / "other.json").write_text('{"anything": 1}')
    library = Library.of(tmp_path)
    assert [c.name for c in library.cells] == ["known"]
    assert [name for name, _ in library.skipped] == ["half.json"]
    assert "cut short" in library.skipped[0][1]


def test_a_folder_with_nothing_but_a_broken_file_names_it(tmp_path):
    (tmp_path / "half.json").write_text("{")
    with pytest.raises(RecordingError, match=r"half\.json was skipped"):
        Library.of(tmp_path)


def test_the_score_of_a_fit_is_that_of_its_noise_free_run_as_on_the_tile(tmp_path):
    """Noisy runs and the consensus have a value of that name too, and stand later in the file."""
    content = {
        "task": {"cell": {"files": []}}, "status": "done", "cell": "known", "model": "LIF", "fit": fit().to_dict(),
        "scores": {
            readout: [{"name": "gamma_over_R_4", "value": value}]
            for readout, value in (("causal run", 0.8), ("consensus", 0.9), ("noisy runs", 0.5))
        },
        "cards": {"cell": {"measures": {"tau": {"value": 20.0}}}, "model": {"measures": {"tau": {"value": 22.0}}}},
    }  # fmt: skip
    path = tmp_path / "LIF.json"
    path.write_text(json.dumps(content))
    (saved,) = read_saved_fits(path)
    assert saved.scores == {"gamma_over_R_4": 0.8, "consensus_over_R_4": 0.9}
    frame = pytest.importorskip("ephysfit.explorer.run_table").make_run_frame([saved])
    assert frame.loc[0, "membrane time constant, ms"] == 20.0
    assert frame.loc[0, "membrane time constant of the model, ms"] == 22.0
    assert "capacitance, pF" not in frame.columns
