"""Every neuron of the catalogue goes the whole way: fit, score, intervals, save, load, export, report, every figure."""

from __future__ import annotations

import warnings
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest

import ephysfit as ef
from ephysfit import synthetic
from ephysfit.data.recording import Recording
from ephysfit.errors import ExportError, FitError, SimulationError
from ephysfit.fitting.stages import CausalReadout, Likelihood, Passive, Search
from ephysfit.models import LIF, catalogue
from ephysfit.neuron.declare import scalar_values
from ephysfit.reports.evidence import gather_evidence
from ephysfit.reports.export import TARGETS
from ephysfit.reports.figures.plots import PLOTS
from ephysfit.reports.report import write_report

mpl.use("Agg")

#: one of each family, and those whose readout is their plain threshold run; the others are marked slow
QUICK = ("LIF", "AdEx", "Izhikevich", "MAT", "STCLIF")
#: several inputs, where a recording holds one
SEVERAL = tuple(name for name, kind in catalogue().items() if len(kind.inputs) > 1)
ALL = [pytest.param(n, marks=[] if n in QUICK else pytest.mark.slow) for n in catalogue() if n not in SEVERAL]


def stages(kind):
    """A chain as the default one of this neuron, with the least work that still does each stage."""
    if kind.searched or not kind.stochastic():
        return (Passive(), Search(evaluations=48, population=16, noisy=False))
    return (
        Passive(),
        Likelihood(starts=1, steps=4, first=0),
        CausalReadout(betas=(1.0, 2.0), offsets=(-1.0, 1.0, 3), runs=4),
    )


@pytest.fixture(scope="module")
def sides() -> tuple[Recording, Recording]:
    """4 s of noise to fit, three repeats of 2 s to score, of a known cell."""
    cell = LIF(C=100.0, g=5.0, E_L=-70.0, theta=-50.0, V_reset=-65.0, t_ref=2.0, delta=2.0)
    return synthetic.recording(
        cell, duration=4000.0, test_duration=2000.0, repeats=3, dt=0.5, rate=14.0, tau=8.0, seed=1
    ).split()


@pytest.mark.parametrize("name", ALL)
def test_a_neuron_goes_the_whole_way(name, sides, tmp_path):
    train, test = sides
    kind = catalogue()[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        fit = ef.fit(train, name, stages(kind))
        fit = with_intervals(fit, train)
        back = ef.Fit.load(fit.save(tmp_path / "fit.json"))
        evidence = gather_evidence(back, test, train, runs=20)
    assert scalar_values(back.neuron) == scalar_values(fit.neuron)
    for score in evidence.scores.values():
        assert np.isfinite(score.rate_model_hz)
        assert score.row("R_4").value > 0
    page = write_report(evidence, tmp_path / "report.html").read_text(encoding="utf-8")
    assert name in page
    drawn = {n: plot.draw(evidence) for n, plot in PLOTS.items()}
    assert {"overview", "statistics", "fitting", "bounds"} <= {
        n for n, f in drawn.items() if not isinstance(f, str) and f.axes
    }
    exported = {to: export(back, to, tmp_path) for to in TARGETS}
    assert {to for to, files in exported.items() if files} >= {"json", "python"}


def with_intervals(fit, train):
    """The fit with intervals by curvature; a refusal must be a sentence that says what to do."""
    try:
        return ef.intervals(fit, train, "fisher")
    except FitError as refused:
        refusal = str(refused)
    assert "declares no hazard" in refusal
    return fit


def export(fit, to, folder: Path):
    """The files of an export, or none where the target cannot say the neuron and names what can."""
    try:
        return fit.export(to, folder / f"cell_{to}")
    except ExportError as refused:
        refusal = str(refused)
    assert f"{fit.model} cannot be exported to" in refusal
    return ()


@pytest.mark.parametrize("name", SEVERAL)
def test_a_neuron_of_several_inputs_is_refused_in_a_sentence(name, sides):
    train, test = sides
    with pytest.raises((FitError, SimulationError), match=f"{name} has 2 inputs"):
        ef.fit(train, name)
    with pytest.raises(SimulationError, match=f"{name} has 2 inputs"):
        ef.Fit(catalogue()[name].start(), "c", 0.5).simulate(test, runs=2)
