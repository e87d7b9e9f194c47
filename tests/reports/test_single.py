"""Single figures: every kind draws, saves as each format, and says so where there is nothing to show."""

from __future__ import annotations

import re

import numpy as np
import pytest

from ephysfit.cli.verbs import plot as verb
from ephysfit.errors import ScoreError
from ephysfit.reports.evidence import gather_evidence
from ephysfit.reports.figures.single import FORMATS, KINDS, draw_figure, save_figure
from ephysfit.reports.interactive import DRAWN, SPIKES, _first_runs


@pytest.fixture(scope="module")
def evidence(fit, test_recording):
    return gather_evidence(fit, test_recording, runs=20)


def test_help_names_every_kind_and_format():
    assert set(verb.KINDS) == set(KINDS)
    assert verb.FORMATS == FORMATS


@pytest.mark.parametrize("kind", [k for k in KINDS if k not in ("stimuli", "steps", "traces")])
def test_every_kind_draws(evidence, kind, tmp_path):
    path = save_figure(draw_figure(evidence, kind), tmp_path / "deep" / f"{kind}.svg")
    assert len(re.findall(r"<path", path.read_text())) > 2


def test_one_stimulus_has_no_figure_of_all_stimuli(evidence):
    with pytest.raises(ScoreError, match="nothing to show as 'stimuli'"):
        draw_figure(evidence, "stimuli")


@pytest.mark.parametrize("kind", ["steps", "traces"])
def test_noise_has_no_figures_of_steps_and_says_why(evidence, kind):
    with pytest.raises(ScoreError, match="no current steps"):
        draw_figure(evidence, kind)


def test_a_stretch_bounds_the_time_axis(evidence):
    (ax,) = draw_figure(evidence, "raster", (1000.0, 1500.0)).axes
    assert ax.get_xlim() == (1000.0, 1500.0)


@pytest.mark.parametrize(("ending", "magic"), [(".png", b"\x89PNG"), (".pdf", b"%PDF"), (".svg", b"<?xml")])
def test_formats(evidence, ending, magic, tmp_path):
    assert save_figure(draw_figure(evidence, "intervals"), tmp_path / f"f{ending}").read_bytes().startswith(magic)


def test_unknown_kind_and_format_name_the_known(evidence, tmp_path):
    with pytest.raises(ScoreError, match="did you mean raster"):
        draw_figure(evidence, "rasters")
    with pytest.raises(ScoreError, match=r"none of \.png, \.pdf, \.svg"):
        save_figure(draw_figure(evidence, "current"), tmp_path / "f.jpeg")


@pytest.mark.parametrize(("text", "span"), [("500-3000", (500.0, 3000.0)), (None, None)])
def test_stretch_from_text(text, span):
    assert verb.parse_stretch(text) == span


def test_long_records_show_fewer_runs():
    short, long = np.arange(100.0), np.arange(SPIKES * 0.4)
    assert len(_first_runs([short] * 50)) == DRAWN
    assert len(_first_runs([long] * 50)) == 2
    assert len(_first_runs([np.arange(2.0 * SPIKES)])) == 1
