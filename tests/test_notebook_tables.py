"""What notebooks show of recordings, neurons, fits, scores and simulations, and the figures of plot()."""

from __future__ import annotations

import sys
from xml.etree import ElementTree

import numpy as np
import pytest

import ephysfit as ef
from ephysfit.data.sweep import Sweep
from ephysfit.data.sweep_table import describe_current
from ephysfit.errors import NeuronError, RecordingError, ScoreError
from ephysfit.html_tables import MOST, make_table
from ephysfit.models import AIGIF, ALIF, catalogue
from ephysfit.neuron.class_table import find_mathematics
from ephysfit.reports.figures.single import KINDS

CELL = ALIF(C=100.0, g=5.0, E_L=-70.0, theta=-52.0, d_theta=3.0, tau_a=50.0, V_reset=-62.0, t_ref=2.0, delta=1.0)


def parse(html: str) -> ElementTree.Element:
    """The tree of a piece of HTML, which is well-formed."""
    return ElementTree.fromstring(html if html.startswith("<div><b>") else f"<div>{html}</div>")


@pytest.fixture(scope="module")
def data() -> ef.Recording:
    return ef.synthetic.recording(CELL, duration=2000.0, repeats=3, dt=0.5)


@pytest.fixture(scope="module")
def fit(data: ef.Recording) -> ef.Fit:
    train, _ = data.split()
    return ef.fit(train, "ALIF", [ef.stages.Passive(), ef.stages.Likelihood(steps=5)])


def test_a_recording_shows_every_sweep_with_its_current_and_spikes(data):
    tree = parse(data._repr_html_())
    assert len(tree.findall(".//tbody/tr")) == len(data)
    assert len(tree.findall(".//svg")) == len(data)
    assert len(tree.findall(".//svg/path")) == data.n_spikes


def test_text_of_files_is_escaped():
    table = parse(make_table("a <b>", ["x"], [["<script>alert(1)</script>"]], ["<i>"]))
    assert table.find(".//script") is None
    assert table.find(".//td").text == "<script>alert(1)</script>"


def test_long_tables_say_how_much_is_left_out():
    assert "… 5 more rows" in make_table("t", ["x"], [["1"]] * (MOST + 5))


def test_a_step_is_described_by_levels_and_length_and_a_noise_by_mean_and_spread():
    t = np.arange(10_000) * 0.1
    step = np.where((t >= 100) & (t < 600), -40.0, 10.0)
    assert describe_current(Sweep(step, 0.1, stimulus="step")) == "10 to -40 for 0.5 s"
    assert describe_current(Sweep(np.full(100, 5.0), 0.1, stimulus="step")) == "5 ± 0"
    assert "±" in describe_current(Sweep(np.random.default_rng(0).normal(size=1000), 0.1, stimulus="noise"))


@pytest.mark.parametrize("name", sorted(catalogue()))
def test_every_neuron_shows_its_equations_and_parameters_as_class_and_as_cell(name):
    kind = catalogue()[name]
    page, cell = parse(kind._repr_html_()), parse(kind.start()._repr_html_())
    assert len(page.findall(".//tbody/tr")) == len(kind.parameters) == len(cell.findall(".//tbody/tr"))
    own = kind if ".. math::" in (kind.__doc__ or "") else None
    assert own is None or "$$" in kind._repr_html_()


def test_a_neuron_that_counts_in_softness_shows_no_mv():
    assert "mV" not in AIGIF._repr_html_()
    assert "mV" in ALIF._repr_html_()


def test_mathematics_of_several_lines_is_one_formula():
    doc = "Text.\n\n    .. math::\n        a &= b \\\\\n        c &= d\n\n    More text.\n"
    assert find_mathematics(doc) == [r"\begin{aligned}a &= b \\ c &= d\end{aligned}"]


def test_fit_simulation_score_and_check_show_tables(data, fit):
    _, test = data.split()
    run = fit.simulate(test, runs=20)
    assert len(parse(fit._repr_html_()).findall(".//tbody/tr")) == len(fit.parameters())
    assert "pA/θ" in fit._repr_html_()  # spikes alone fix no nS
    assert len(parse(run._repr_html_()).findall(".//tbody/tr")) == 1
    score = ef.score(run, test)
    assert len(parse(score._repr_html_()).findall(".//tbody/tr")) == len(score.rows)
    assert "keeps the contract" in ef.check_neuron(ALIF, only=["units"])._repr_html_()


def test_plot_draws_sweeps_of_a_recording(data, tmp_path):
    figure = ef.plot(data, path=tmp_path / "sweeps.png")
    assert len(figure.axes) >= 2
    assert (tmp_path / "sweeps.png").stat().st_size > 1000
    assert len(data.plot().axes) == len(figure.axes)
    with pytest.raises(ScoreError, match="page 9: the 4 sweeps fill 1 page"):
        data.plot(page=9)
    with pytest.raises(ScoreError, match="drawn as 'sweeps', not 'raster'"):
        ef.plot(data, "raster")


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_plot_draws_every_kind_or_says_why_not(data, fit, kind):
    train, test = data.split()
    refused = ""
    try:
        assert fit.plot(kind, test, train=train, runs=20).axes
    except ScoreError as e:
        refused = str(e)
    assert not refused or "nothing to show" in refused


def test_plot_says_what_it_needs(fit):
    with pytest.raises(ScoreError, match=r"fit.plot\('overview', test\)"):
        fit.plot()
    with pytest.raises(ScoreError, match="a recording or a fit, not int"):
        ef.plot(3)


def test_plot_needs_no_pyplot(data):
    before = "matplotlib.pyplot" in sys.modules
    ef.plot(data)
    assert before or "matplotlib.pyplot" not in sys.modules


def test_select_takes_names_in_a_list(data):
    names = [s.name for s in data.sweeps[:2]]
    assert [s.name for s in data.select(names)] == names
    with pytest.raises(RecordingError, match="no sweep is named"):
        data.select(["nothing"])


def test_a_neuron_without_values_says_where_the_starts_are():
    with pytest.raises(NeuronError, match=r"ALIF.start\(\) has the declared start"):
        ALIF()
