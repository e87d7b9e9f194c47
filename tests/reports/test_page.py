"""The page: valid, self-contained, its numbers those of Score and Fit, for every kind of neuron and recording."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

import ephysfit
from ephysfit.card.describe import describe
from ephysfit.card.measures import format_number
from ephysfit.data.recording import Recording
from ephysfit.fitting.fit_result import Fit
from ephysfit.metrics.score import score
from ephysfit.models import catalogue
from ephysfit.models.aigif import AIGIF
from ephysfit.models.lif import LIF
from ephysfit.reports.model_card import describe_model
from ephysfit.reports.report import report
from ephysfit.reports.tables import format_parameter, format_score
from tests.reports.conftest import DT, BareQuadratic, by_hand, cell, recorded
from tests.reports.page_reading import Page

LIMIT = 3_000_000
#: one neuron a file of `models`, the fullest: each costs a compilation
FAMILIES = ("MultiALIF", "AdLIF", "LIFASC", "RefractoryCurrentLIF", "ResonateFire", "CSiLIF", "STCLIF", "GLIF5",
            "FreeAGIF", "MATV", "AdEx", "Izhikevich")  # fmt: skip
REPOSITORY = Path(ephysfit.__file__).parents[1]


def read(path: Path) -> Page:
    text = path.read_text(encoding="utf-8")
    assert len(text.encode()) < LIMIT
    page = Page(text)
    assert not page.fetched
    assert not page.style_fetches()
    assert len(page.ids) == len(set(page.ids))
    assert path.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    assert "nan" not in re.findall(r"\w+", page.text.lower())
    return page


@pytest.fixture(scope="module")
def written(fit: Fit, test_recording: Recording, train_recording: Recording, tmp_path_factory) -> Path:  # type: ignore[no-untyped-def]
    return report(fit, test_recording, tmp_path_factory.mktemp("r") / "deep" / "known.html", train=train_recording)


def test_page_is_one_valid_file_that_fetches_nothing(written: Path) -> None:
    page = read(written)
    anchors = set(re.findall(r'href="#([^"]+)"', written.read_text(encoding="utf-8")))
    assert anchors <= set(page.ids)
    assert sorted(p.name for p in written.parent.iterdir()) == ["known.html", "known.png"]


def test_numbers_on_the_page_are_those_of_the_score(written: Path, fit: Fit, test_recording: Recording) -> None:
    page, done = read(written), fit.simulate(test_recording)
    runs = {"noisy runs": done, **{c.readout: c for c in done.companions.values()}}
    cells = " | ".join(page.cells)
    for name, run in runs.items():
        own = score(run, test_recording)
        assert page.data()["scores"][name] == json.loads(json.dumps(own.to_dict()))
        for row in own:
            if "consensus" not in row.name and not np.isnan(row.value):
                assert format_score(row.value, 2 if abs(row.value) >= 10 else 3) in cells, row


def test_numbers_on_the_page_are_those_of_the_fit(written: Path, fit: Fit) -> None:
    page = read(written)
    assert page.data()["fit"] == json.loads(json.dumps(fit.to_dict()))
    unit, places = fit.potential_unit, type(fit.neuron).places()
    for row in fit.parameters():
        shown = unit.convert(row["value"], row["unit"], row["name"] in places)
        assert any(format_parameter(shown) in c for c in page.cells), row
    assert any(f"±{format_parameter(unit.convert(1.25, 'pF'), 2)}" in c for c in page.cells)


def test_the_card_of_the_cell_stands_on_the_page(written: Path, fit: Fit, train_recording: Recording) -> None:
    text, data = written.read_text(encoding="utf-8"), read(written).data()
    found = describe(train_recording)["isi_cv"]
    assert found.value is not None
    assert f'<th scope="row">{found.label}</th><td class="num">{format_number(found.value)}</td>' in text
    assert data["cards"]["cell"]["measures"]["isi_cv"]["value"] == pytest.approx(found.value)
    own = describe_model(fit, train_recording)["isi_cv"].value
    assert data["cards"]["model"]["measures"]["isi_cv"]["value"] == pytest.approx(own)
    assert "rheobase (no pulses of constant current)" in text


def test_text_of_others_is_escaped(written: Path) -> None:
    assert "a warning <b>with markup</b>" in read(written).text
    assert "<b>with markup</b>" not in written.read_text(encoding="utf-8")


def test_without_bokeh_the_figure_takes_the_place_of_the_view(
    fit: Fit, test_recording: Recording, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "bokeh", None)
    path = report(fit, test_recording, tmp_path / "plain.html")
    page, text = read(path), path.read_text(encoding="utf-8")
    assert "Bokeh" not in text
    assert "figure-overview" in page.ids
    assert 'class="on-paper"' not in text
    assert len(text) < 700_000


def test_spikes_without_voltage(fit: Fit, tmp_path: Path) -> None:
    read(report(fit, recorded(cell(), 4.0, 3, seed=21, voltage=False), tmp_path / "r.html"))


def test_no_repeats(fit: Fit, tmp_path: Path) -> None:
    page = read(report(fit, recorded(cell(), 4.0, 1, seed=22), tmp_path / "r.html"))
    assert "no stimulus has two repeats" in page.text


def test_a_model_that_never_spikes(test_recording: Recording, tmp_path: Path) -> None:
    page = read(report(by_hand(LIF.start().replace(theta=19.0)), test_recording, tmp_path / "r.html"))
    assert "stays silent" in page.text
    assert "never spikes" in page.text


def test_a_cell_that_never_spikes(fit: Fit, tmp_path: Path) -> None:
    quiet = Recording.of(np.zeros((3, 4000)), DT, spike_times=[[], [], []])
    read(report(fit, quiet, tmp_path / "r.html"))


def test_several_stimuli_of_different_length(fit: Fit, tmp_path: Path) -> None:
    current = [np.full(n, level) for n, level in ((2000, 60.0), (3000, 120.0), (2500, 180.0))]
    sweeps = [s for k, i in enumerate(current)
              for s in Recording.of(i, DT, spike_times=[300.0 + 40 * k, 700.0]).sweeps]  # fmt: skip
    page = read(report(fit, Recording(tuple(sweeps), cell="steps"), tmp_path / "r.html"))
    assert "figure-stimuli" in page.ids
    assert "3 stimuli" in page.text


def test_a_deterministic_neuron(test_recording: Recording, tmp_path: Path) -> None:
    page = read(report(by_hand(BareQuadratic.start()), test_recording, tmp_path / "r.html"))
    assert list(page.data()["scores"]) == ["threshold run"]
    assert "spike rate per ms" not in page.text


def test_a_fit_saved_and_loaded_reports_the_same(fit: Fit, test_recording: Recording, tmp_path: Path) -> None:
    again = Fit.load(fit.save(tmp_path / "fit.json"))
    one = read(report(fit, test_recording, tmp_path / "one.html")).data()
    two = read(report(again, test_recording, tmp_path / "two.html")).data()
    assert one["scores"] == two["scores"]


def test_a_neuron_of_filter_banks(tmp_path: Path) -> None:
    page = read(report(by_hand(AIGIF.start()), recorded(cell(), 4.0, 3, seed=23), tmp_path / "r.html"))
    assert "standardised current, filtered" in page.text


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_of_the_catalogue(name: str, tmp_path: Path) -> None:
    read(report(by_hand(catalogue()[name].start()), recorded(cell(), 3.0, 3, seed=24), tmp_path / "r.html"))


@pytest.mark.slow
def test_a_real_cell(tmp_path: Path) -> None:
    train, test = ephysfit.load(REPOSITORY / "data" / "DRN158.nwb").split()
    fit = ephysfit.fit(train, "ALIF")
    page = read(report(fit, test, tmp_path / "cell.html", train=train))
    found = page.data()["scores"]["causal run"]["rows"]
    own = score(fit.simulate(test).companions["causal"], test)
    assert {r["name"]: r["value"] for r in found} == pytest.approx({r.name: r.value for r in own}, nan_ok=True)


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("chromium"), reason="needs chromium")
def test_a_browser_draws_the_view_without_complaint(written: Path) -> None:
    with tempfile.TemporaryDirectory() as home:
        # fmt: off
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                 "--disable-background-networking", "--disable-component-update", "--disable-sync",
                 "--enable-logging=stderr", "--v=0", f"--user-data-dir={home}", "--virtual-time-budget=6000"]
        done = subprocess.run(["chromium", *flags, "--dump-dom", written.as_uri()], capture_output=True, text=True,
                              timeout=120, check=True)
        # fmt: on
    # bokeh draws inside shadow roots, which the dump leaves out; it says when it is done
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    assert [line for line in console if "document idle" in line], done.stderr
    assert not [line for line in console if "error" in line.lower()], console
