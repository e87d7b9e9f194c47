"""The first screen says what suits the protocol, and refuses what the data do not hold."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ephysfit.data.recording import Recording
from ephysfit.fitting.stage_reports import CausalRun, HeldMembrane, Reports
from ephysfit.metrics.short_pulses import compare_pulses, find_short_pulses
from ephysfit.models.lif import LIF
from ephysfit.reports.evidence import Evidence, gather_evidence
from ephysfit.reports.figures.plots import PLOTS
from ephysfit.reports.headline import write_headline
from ephysfit.reports.page import render_page
from ephysfit.reports.rescaling import RescaledIntervals, describe_rescaling
from ephysfit.reports.step_table import make_step_lines
from ephysfit.reports.step_traces import compute_step_traces
from ephysfit.reports.verdict import write_answers
from ephysfit.simulation.simulate import simulate
from tests.reports.conftest import DT, by_hand, cell, recorded
from tests.reports.page_reading import Page


def record_steps(levels: list[float], voltage: bool = True, seed: int = 4) -> Recording:
    """Steps of 1 s, answered by the known cell with its noise."""
    current = np.zeros((len(levels), 3000))
    current[:, 500:2500] = np.array(levels)[:, None]
    done = simulate(cell(), list(current), dt=DT, runs=1, noise="escape", seed=seed, save=("V",))
    v = np.stack(done.traces["V"]) if voltage else None
    return Recording.of(current, DT, voltage=v, spike_times=[runs[0] for runs in done.spike_times], cell="known")


@pytest.fixture(scope="module")
def stepped() -> Evidence:
    train, test = record_steps([40.0, 120.0, 180.0, 240.0]), record_steps([90.0, 150.0, 210.0], seed=5)
    return gather_evidence(by_hand(cell(), CausalRun((2.0, -1.0))), test, train, runs=40)


def answer(evidence: Evidence) -> str:
    return dict(write_answers(evidence))["Can I use it?"]


def test_steps_are_judged_by_counts_against_a_line(stepped: Evidence) -> None:
    tiles = [t.name for t in write_headline(stepped).tiles]
    assert tiles == ["rate in Hz", "spikes off, a step", "ms off, first spike"]
    row = stepped.scores[stepped.many].row("count_error")
    closer = "closer than a straight line" if row.value <= row.baseline else "a straight line is closer"
    assert closer in answer(stepped)
    assert "a line between neighbouring amplitudes" in dict(write_answers(stepped))["Compared with what?"]


def test_the_table_of_steps_is_what_the_score_averages(stepped: Evidence) -> None:
    lines = make_step_lines(stepped)
    assert [line.amplitude for line in lines] == [90.0, 150.0, 210.0]
    score = stepped.scores[stepped.many]
    off = [abs(line.model.count - line.cell.count) for line in lines]
    straight = [abs(line.line.count - line.cell.count) for line in lines]
    assert np.mean(off) == pytest.approx(score["count_error"])
    assert np.mean(straight) == pytest.approx(score.row("count_error").baseline)
    first = [line for line in lines if not np.isnan(line.cell.latency)]
    by_hand_ms = [
        t[t >= 250.0][0] - 250.0 for t in (c.scored.data[0] + c.scored.start for c in stepped.steps) if len(t)
    ]
    assert [line.cell.latency for line in first] == pytest.approx(by_hand_ms)


def test_noise_with_repeats_is_judged_by_spike_times(test_recording: Recording) -> None:
    evidence = gather_evidence(by_hand(cell(), CausalRun((2.0, -1.0))), test_recording, runs=40)
    assert {"Γ/R, ±4 ms", "Md*, ±8 ms"} <= {t.name for t in write_headline(evidence).tiles}
    assert "of what one train could" in answer(evidence)
    assert "Not for potentials" in answer(evidence)


def test_noise_without_repeats_is_judged_by_its_rate(train_recording: Recording) -> None:
    said = answer(gather_evidence(by_hand(cell()), train_recording, runs=20))
    assert said.startswith("For rates, yes")
    assert "Spike times cannot be judged" in said


def test_a_silent_cell_and_a_silent_model(test_recording: Recording) -> None:
    quiet = Recording.of(np.zeros((3, 4000)), DT, spike_times=[[], [], []])
    assert answer(gather_evidence(by_hand(cell()), quiet, runs=20)).startswith("That cannot be said")
    silent = by_hand(LIF.start().replace(theta=19.0))
    assert answer(gather_evidence(silent, test_recording, runs=20)).startswith("No: it stays silent")


def test_short_pulses_are_judged_by_hits_and_false_alarms() -> None:
    current = np.zeros((2, 4000))
    for k in range(4):
        current[:, 400 + 800 * k : 410 + 800 * k] = [[2500.0], [150.0]]
    trains = [[204.0, 604.0, 1004.0], []]  # the cell misses one of the large pulses
    evidence = gather_evidence(by_hand(cell()), Recording.of(current, DT, spike_times=trains), runs=40)
    found = evidence.short_pulses
    assert found is not None
    assert (found.answered, found.silent) == (3, 5)
    tiles = {t.name: t.value for t in write_headline(evidence).tiles}
    assert tiles["hit rate"] == f"{100 * found.hits:.0f} %"
    runs = evidence.runs(evidence.many)
    assert found.hits == pytest.approx(
        np.mean([[((r >= a) & (r < a + 50)).any() for a in (200, 600, 1000)] for r in runs])
    )
    assert "short pulses" in answer(evidence)
    assert not find_short_pulses(np.repeat([0.0, 90.0], 2000), DT)


def test_pulses_against_a_count_by_hand() -> None:
    found = compare_pulses([([10.0, 60.0], [np.array([12.0])], [np.array([61.0]), np.array([11.0, 200.0])])])
    assert (found.hits, found.false_alarms) == (0.5, 0.5)


@pytest.mark.parametrize(
    ("quantiles", "words"),
    [
        (lambda u: u**2, "fewer spikes"),
        (lambda u: np.sqrt(u), "more spikes"),
        (lambda u: 0.5 + 0.5 * (2 * u - 1) ** 3, "more regular"),
        (lambda u: 0.5 + 0.5 * np.sign(2 * u - 1) * np.abs(2 * u - 1) ** 0.3, "more variable"),
    ],
)  # fmt: skip
def test_a_failed_test_of_the_hazard_is_put_in_words(quantiles, words) -> None:
    u = (np.arange(200) + 0.5) / 200
    assert words in describe_rescaling({"test": RescaledIntervals(quantiles(u), 0.3, 0.1)})


def test_a_passed_test_is_no_failure() -> None:
    u = (np.arange(200) + 0.5) / 200
    said = describe_rescaling({"test": RescaledIntervals(u, 0.01, 0.1)})
    assert "passed" in said
    assert "failed" not in said


def test_every_figure_of_steps_is_drawn_and_the_page_holds_them(stepped: Evidence) -> None:
    for name in ("steps", "traces", "f-i", "spikes"):
        assert not isinstance(PLOTS[name].draw(stepped), str), name
    page = Page(render_page(stepped))
    assert {"figure-steps", "figure-traces", "figure-f-i", "figure-spikes"} <= set(page.ids)
    assert "does not fluctuate" in str(PLOTS["misses"].draw(stepped))


def test_what_is_missing_says_why() -> None:
    blind = gather_evidence(by_hand(cell()), record_steps([90.0, 150.0], voltage=False), runs=20)
    for name in ("traces", "spikes"):
        assert "no voltage" in str(PLOTS[name].draw(blind))
    one = gather_evidence(by_hand(cell()), record_steps([150.0]), runs=20)
    assert "two amplitudes" in str(PLOTS["steps"].draw(one))
    assert "one amplitude" in one.f_i_curve.note
    noise = gather_evidence(by_hand(cell()), recorded(cell(), 3.0, 1, seed=8), runs=20)
    assert "no current steps" in str(PLOTS["steps"].draw(noise))
    assert all(why in Page(render_page(noise)).text for why in ("The test sweeps hold no current steps.",))


def test_recorded_and_model_voltage_share_an_axis_only_in_the_same_units(stepped: Evidence) -> None:
    apart = PLOTS["traces"].draw(stepped)
    assert len(apart.axes) == 6
    assert apart.axes[3].get_ylabel() == "model (θ above rest)"
    held = Reports(HeldMembrane("physiology", values={"C": cell().C}))
    fit = replace(stepped.fit, reports=stepped.fit.reports | held)
    joined = PLOTS["traces"].draw(replace(stepped, fit=fit))
    assert len(joined.axes) == 3
    assert joined.axes[0].get_ylabel() == "membrane (mV)"


def test_threshold_of_the_integrator_is_its_constant(stepped: Evidence) -> None:
    traces = compute_step_traces(stepped)
    assert len(traces) == 3
    for trace in traces:
        np.testing.assert_allclose(trace.threshold, 1.0, atol=1e-6)  # in distances from rest to threshold
