"""Saved fits: every format that was ever written is read, and what is written comes back as it was."""

import json
import re
import warnings
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

import ephysfit as ef
from ephysfit.errors import FitError
from ephysfit.fitting.saved_fit import FORMAT
from ephysfit.fitting.stage_reports import (
    CausalRun,
    PassiveReport,
    RefractoryReport,
    Report,
    Reports,
    SearchReport,
    SoftnessReport,
    UnknownReport,
)

SAVED = Path(__file__).parent / "saved"
#: fits that version 0.1 saved, of short synthetic cells
FILES = sorted(SAVED.glob("format_1_*.json"))


def same(one, other):
    """Whether two trees of JSON hold the same; an entry without a value is no entry."""
    if isinstance(one, dict) and isinstance(other, dict):
        full = [{k: v for k, v in d.items() if v is not None} for d in (one, other)]
        return set(full[0]) == set(full[1]) and all(same(full[0][k], full[1][k]) for k in full[0])
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_a_fit_of_format_1_is_read_whole(path):
    kept, fit = json.loads(path.read_text()), ef.Fit.load(path)
    assert kept["format"] == 1
    assert {p["name"]: p["value"] for p in fit.parameters()} == kept["parameters"]
    assert [(e.stage, e.status.name) for e in fit.history] == [(h["stage"], h["status"]) for h in kept["history"]]
    with pytest.warns(DeprecationWarning, match=r"use fit\.likelihood, fit\.voltage"):
        assert same(fit.details, kept["details"])
    made = fit.provenance.to_dict()
    assert same(made, {k: v for k, v in kept["provenance"].items() if v not in ("", None)})


def test_reports_of_stages_of_format_1_find_their_places():
    gradient, searched = (ef.Fit.load(SAVED / f"format_1_{name}.json") for name in ("gradient", "searched"))
    kinds = [set(e.reports) for e in gradient.history[:5]]
    assert kinds == [
        {"passive"},
        {"likelihood"},
        {"search"},
        {"search", "causal run"},
        {"likelihood", "refractory period"},
    ]
    assert sum(p.share for p in gradient.report(RefractoryReport).t_ref_profile) == pytest.approx(1.0)
    assert gradient.history[2].reports.of(SearchReport).slope == "likelihood ratio"
    assert searched.report(SoftnessReport).grid[0] == 0.5
    assert searched.report(CausalRun).sharpen is None
    assert searched.sharpen is None
    assert not searched.noise_free
    assert searched.report(PassiveReport).from_voltage


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_a_fit_of_format_1_is_saved_as_one_of_today_and_read_again(path, tmp_path):
    fit = ef.Fit.load(path)
    again = ef.Fit.load(fit.save(tmp_path / "fit.json"))
    assert fit.to_dict()["format"] == FORMAT == 3
    assert again.to_dict() == fit.to_dict()
    assert again.report(PassiveReport) == fit.report(PassiveReport)


def test_intervals_of_a_fit_of_format_1_go_on_from_its_likelihood():
    fit = ef.Fit.load(SAVED / "format_1_auto.json")
    assert fit.intervals.method == "fisher"
    assert fit.selection.candidates[0].model == "BankGIF"
    assert np.isnan(fit.selection.candidates[0].gain)
    row = next(p for p in fit.parameters() if p["name"] == "R_1")
    low, high = row["interval"]
    assert low < row["value"] < high
    assert row["standard_error"] == fit.intervals.standard_errors["R_1"]


def test_a_fit_from_plain_values_is_the_fit():
    fit = ef.Fit.load(SAVED / "format_1_voltage.json")
    assert ef.Fit.from_dict(fit.to_dict()).to_dict() == fit.to_dict()
    with pytest.raises(FitError, match=r"the third is not a fit saved by ephysfit: it holds a list"):
        ef.Fit.from_dict([1], name="the third")


def test_a_fit_of_format_2_keeps_the_equations_it_was_fitted_with():
    """AIGIF's rate got a ceiling with format 3: an earlier fit runs as it ran, under the name of its equations."""
    path = SAVED / "format_2_aigif.json"
    kept, fit = json.loads(path.read_text()), ef.Fit.load(path)
    assert (kept["format"], kept["model"]) == (2, "AIGIF")
    assert fit.model == "UnboundedAIGIF"
    assert float(fit.neuron.hazard(2.0)) == pytest.approx(np.exp(2.0))
    assert {p["name"]: p["value"] for p in fit.parameters()} == kept["parameters"]
    assert "its rate had no ceiling" in fit.warnings[-1]
    again = ef.Fit.from_dict(fit.to_dict())
    assert again.to_dict() == fit.to_dict()
    assert again.model == "UnboundedAIGIF"
    assert not again.members


def test_a_later_format_is_refused():
    later = {**ef.Fit.load(FILES[0]).to_dict(), "format": FORMAT + 1}
    with pytest.raises(FitError, match="written in format 4 by a later ephysfit; this version reads formats up to 3"):
        ef.Fit.from_dict(later)


def test_a_report_of_an_unknown_kind_is_kept():
    fit = ef.Fit.load(FILES[0])
    whole = fit.to_dict()
    whole["reports"]["of a stage of my own"] = {"value": [1.0, None]}
    again = ef.Fit.from_dict(whole)
    assert again.reports["of a stage of my own"] == UnknownReport("of a stage of my own", {"value": [1.0, None]})
    assert again.to_dict() == whole


@pytest.mark.parametrize("kind", Report.__subclasses__(), ids=lambda k: k.__name__)
def test_every_report_says_what_its_fields_are(kind):
    _, heading, section = kind.__doc__.partition("    Attributes\n    ----------\n")
    described = {n for line in re.findall(r"^    (\w[\w, ]*) :", section, re.M) for n in line.split(", ")}
    assert heading
    assert {f.name for f in fields(kind)} == described


def test_later_reports_take_the_place_of_earlier_ones():
    one, two = Reports(CausalRun((1.0, 0.0)), SearchReport(loss="a")), Reports(CausalRun(None))
    assert (one | two).of(CausalRun).sharpen is None
    assert (one | two).of(SearchReport) is one.of(SearchReport)
    assert list((one | two).without(one)) == ["causal run"]


def test_nothing_of_this_version_warns():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ef.Fit.load(FILES[0]).parameters()
