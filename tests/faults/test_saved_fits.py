"""A fit file of anybody: it is a fit, or it is refused in a sentence; nothing that it names is run."""

import copy
import json
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ephysfit.batch.store import Store
from ephysfit.batch.task import Settings, Task
from ephysfit.cli import main
from ephysfit.data.recording import Recording
from ephysfit.errors import BatchError, EphysfitError, FitError
from ephysfit.fitting.fit import fit
from ephysfit.fitting.fit_result import Fit
from ephysfit.fitting.provenance import hash_source
from ephysfit.models.alif import ALIF

EVIL = "open({mark!r}, 'w').write('ran')\nfrom ephysfit.models import ALIF\nX = ALIF.pin('X', t_ref=2.0)\n"


@pytest.fixture(scope="module")
def saved():
    """A real fit as its file holds it."""
    rng = np.random.default_rng(0)
    current = np.convolve(rng.normal(0, 300, 4000), np.ones(20) / 20, "same")
    return fit(Recording.of(current, 0.5, spike_times=np.arange(40.0, 1990.0, 50.0)), ALIF, ()).to_dict()


@pytest.fixture
def evil(tmp_path):
    """A Python file that leaves a mark where it runs, and the mark."""
    mark = tmp_path / "elsewhere" / "mark"
    mark.parent.mkdir()
    path = mark.with_name("evil.py")
    path.write_text(EVIL.format(mark=str(mark)))
    return path, mark


def naming(saved, spec, field):
    out = copy.deepcopy(saved)
    if field == "model":
        out["model"] = spec
    else:
        out["provenance"]["source"] = spec
    return out


@pytest.mark.parametrize("field", ["model", "source"])
def test_a_fit_runs_no_file_that_it_names(saved, evil, tmp_path, field, capsys):
    path, mark = evil
    kept = tmp_path / "fit.json"
    kept.write_text(json.dumps(naming(saved, f"{path}:X", field)))
    with pytest.raises(FitError, match="not in the catalogue" if field == "model" else "never run by itself"):
        Fit.load(kept)
    with pytest.raises(SystemExit) as end:
        main(["export", str(kept), "--to", "json"])
    assert end.value.code == 1
    assert not mark.exists()
    if field == "source":
        with pytest.raises(FitError, match="does not say what its neuron's file held"):
            Fit.load(kept, trust=True)
        assert not mark.exists()


def test_a_file_is_trusted_by_an_explicit_yes_and_its_hash(saved, evil, tmp_path):
    path, mark = evil
    kept = tmp_path / "fit.json"
    whole = naming(saved, "", "source")
    whole["parameters"] = {k: v for k, v in whole["parameters"].items() if k != "t_ref"}
    whole["model"], whole["provenance"] = (
        "X",
        {
            **whole["provenance"],
            "source": f"{path}:X",
            "source_sha256": hash_source(f"{path}:X"),
        },
    )
    kept.write_text(json.dumps(whole))
    with pytest.raises(FitError, match="never run by itself"):
        Fit.load(kept)
    assert not mark.exists()
    assert Fit.load(kept, trust=True).model == "X"
    assert mark.exists()
    mark.unlink()
    path.write_text(path.read_text() + "# changed\n")
    with pytest.raises(FitError, match="is not the file it was when the cell was fitted"):
        Fit.load(kept, trust=True)
    assert not mark.exists()


def test_a_run_that_is_gone_on_with_runs_no_file_that_it_names(evil, tmp_path, capsys):
    path, mark = evil
    from ephysfit.batch.cell_files import Cell

    run = tmp_path / "run"
    Store(run).plan([Task(Cell("c", (tmp_path / "c.nwb",)), f"{path}:X", Settings())])
    with pytest.raises(SystemExit) as end:
        main(["batch", "-o", str(run)])
    assert end.value.code == 1
    assert "are not executed unless you name them" in " ".join(capsys.readouterr().err.split())
    assert not mark.exists()


@pytest.mark.parametrize("name", ["../../out", "/tmp/out"])
def test_a_run_writes_nothing_outside_its_folder(name, tmp_path):
    from ephysfit.batch.cell_files import Cell

    with pytest.raises(BatchError, match="outside the run's folder"):
        Store(tmp_path).result_path(Task(Cell(name, (tmp_path / "c.nwb",)), "LIF", Settings()))


def places(value, at=()):
    """Every place in a tree of JSON."""
    yield at
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in list(inner)[:12]:
        yield from places(one, (*at, key))


WRONG = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 10**30), st.floats(allow_nan=False), st.text(max_size=8),
    st.lists(st.integers(), max_size=3), st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)  # fmt: skip


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_stands_anywhere_is_a_fit_or_a_sentence(saved, tmp_path, data):
    whole = copy.deepcopy(saved)
    spots = [p for p in places(whole) if p]
    at = data.draw(st.sampled_from(spots))
    owner = whole
    for key in at[:-1]:
        owner = owner[key]
    if data.draw(st.booleans()):
        owner[at[-1]] = data.draw(WRONG)
    elif isinstance(owner, dict):
        del owner[at[-1]]
    path = tmp_path / "fit.json"
    path.write_text(json.dumps(whole))
    said = ""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            loaded = Fit.load(path)
            loaded.to_dict()
            loaded.simulate(np.full(200, 50.0), runs=2)
        except EphysfitError as error:
            said = str(error)
    assert "\n" not in said
    assert len(said) < 1500


@pytest.mark.parametrize(
    ("text", "says"),
    [("[" * 100_000, "nested too deep|is not a fit"), ('{"a":' * 50_000 + "1" + "}" * 50_000, "nested too deep"),
     ('{"model": 1, "model": 2}', "occurs in it twice"), ('{"dt_ms": NaN}', "NaN is not a JSON number"),
     ('{"format": 99}', "format 99 by a later ephysfit"), ("3", "holds a int"), ("", "is not a fit")],
)  # fmt: skip
def test_odd_files_are_refused_in_a_sentence(text, says, tmp_path):
    path = tmp_path / "fit.json"
    path.write_text(text)
    with pytest.raises(FitError, match=says):
        Fit.load(path)
