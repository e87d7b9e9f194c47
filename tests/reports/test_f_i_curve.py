"""The f-I curve against closed forms of the leaky integrator, and against counts by hand of recorded steps."""

from __future__ import annotations

import numpy as np
import pytest

from ephysfit.data.recording import Recording
from ephysfit.fitting.fit_result import Fit
from ephysfit.models.lif import LIF
from ephysfit.reports.evidence import gather_evidence
from ephysfit.reports.f_i_curve import Protocol, compute_f_i_curve, compute_model_rates
from ephysfit.reports.figures.f_i import draw_rates
from ephysfit.reports.figures.plots import PLOTS
from ephysfit.reports.figures.single import draw_figure
from ephysfit.reports.figures.style import make_axes, make_figure
from tests.reports.conftest import DT, by_hand, cell, recorded

QUIET = {"C": 100.0, "g": 5.0, "E_L": -70.0, "theta": -50.0, "V_reset": -65.0, "t_ref": 2.0, "delta": 0.1}
TRAINS = [[], [600.0, 1200.0], list(np.arange(505.0, 1500.0, 20.0))]
LEVELS = (-20.0, 40.0, 80.0)


def steps(levels: tuple[float, ...] = LEVELS, trains: list[list[float]] | None = None) -> Recording:
    """Steps of 1 s from 0 pA that begin at 500 ms."""
    current = np.zeros((len(levels), 4000))
    current[:, 1000:3000] = np.array(levels)[:, None]
    return Recording.of(current, DT, spike_times=TRAINS if trains is None else trains)


def test_rates_of_the_integrator_are_those_of_its_closed_form() -> None:
    levels = np.linspace(60.0, 200.0, 5)
    found = compute_model_rates(Fit(LIF(**QUIET), "c", 0.1), levels, Protocol(0.0, 2000.0, recorded=True))
    drive = levels / 5.0
    with np.errstate(divide="ignore", invalid="ignore"):
        exact = np.where(drive > 20.0, 1e3 / (2.0 + 20.0 * np.log((drive - 5.0) / (drive - 20.0))), 0.0)
    np.testing.assert_allclose(found.steady, exact, rtol=0.02, atol=0.1)  # its noise is not quite none
    np.testing.assert_allclose(found.rate, exact, rtol=0.02, atol=0.5)
    assert np.isnan(found.first[exact == 0]).all()
    np.testing.assert_allclose(found.first[exact > 0], exact[exact > 0], rtol=0.03)


def test_measured_steps_are_counted_over_their_whole_length() -> None:
    found = compute_f_i_curve(by_hand(cell()), steps(), None)
    assert found.cell.current.tolist() == [40.0, 80.0]
    assert found.cell.rate.tolist() == [2.0, 50.0]
    assert found.cell.first.tolist() == pytest.approx([1 / 0.6, 50.0])
    assert found.cell.steady.tolist() == pytest.approx([1 / 0.6, 50.0])
    assert (found.protocol.holding, found.protocol.length, found.protocol.recorded) == (0.0, 1000.0, True)


def test_rates_of_noisy_runs_are_not_whole_spikes() -> None:
    found = compute_f_i_curve(by_hand(cell()), steps((60.0, 200.0), [[], [700.0]]), None)
    m = found.model
    assert m.runs >= 24
    assert len(np.unique(np.round(m.rate % 1.0, 6))) > 5
    fires = m.rate > 1.0
    assert ((m.low <= m.rate) & (m.rate <= m.high))[fires].all()
    assert (m.high > m.low).any()


def test_held_out_steps_are_told_from_fitted_ones_and_the_range_is_that_of_training() -> None:
    train = steps((20.0, 80.0), [[], [700.0]])
    found = compute_f_i_curve(by_hand(cell()), steps((50.0, 120.0), [[], [700.0]]), train)
    assert dict(zip(found.cell.current, found.cell.held_out, strict=True)) == {
        20.0: False, 80.0: False, 50.0: True, 120.0: True,
    }  # fmt: skip
    assert found.trained == (0.0, 80.0)


def test_noise_holds_no_steps_and_the_curve_says_so() -> None:
    noise = recorded(cell(), 5.0, 1, seed=5)
    found = compute_f_i_curve(by_hand(cell()), noise, None)
    assert not found.cell.current.size
    assert "no depolarising current steps" in found.note
    current = noise.sweeps[0].current
    assert found.trained == pytest.approx((current.mean() - 2 * current.std(), current.mean() + 2 * current.std()))


def test_steps_with_depolarisation_block_are_left_out_and_counted() -> None:
    full = list(np.arange(505.0, 1500.0, 20.0))
    blocked = list(np.arange(503.0, 560.0, 8.0))
    found = compute_f_i_curve(by_hand(cell()), steps((40.0, 80.0, 160.0), [[], full, blocked]), None)
    assert found.cell.current.tolist() == [40.0, 80.0]
    assert "1 step with depolarisation block left out" in found.note


def test_one_amplitude_is_said() -> None:
    assert "one amplitude" in compute_f_i_curve(by_hand(cell()), steps((80.0,), [[700.0]]), None).note


def test_plot_and_report_draw_the_same_curve(test_recording: Recording, train_recording: Recording) -> None:
    evidence = gather_evidence(by_hand(cell()), test_recording, train_recording, runs=20)
    lines = [
        [line.get_xydata() for line in made.axes[0].get_lines()]
        for made in (draw_figure(evidence, "f-i"), PLOTS["f-i"].draw(evidence))
    ]
    assert all(np.array_equal(a, b) for a, b in zip(*lines, strict=True))


def test_what_lies_outside_training_is_shaded() -> None:
    train = steps((20.0, 80.0), [[], [700.0]])
    found = compute_f_i_curve(by_hand(cell()), steps((50.0, 160.0), [[], [700.0]]), train)
    ax = make_axes(make_figure(4, 3))
    draw_rates(ax, found)
    (shaded,) = [p for p in ax.patches if p.get_width() > 0]
    assert shaded.get_x() == 80.0
    assert {t.get_text() for t in ax.get_legend().get_texts()} >= {"cell, fitted", "cell, held out"}
