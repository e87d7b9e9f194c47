"""The score of a simulation: numbers, windows, what is said beside them, and what is refused."""

import json
import re
import time
from dataclasses import dataclass

import numpy as np
import pytest
from metric_trains import jittered, poisson

from ephysfit.data.recording import Recording, Sweep
from ephysfit.errors import ScoreError
from ephysfit.metrics import METRICS, cut, gamma, gamma_ceiling, md_star, reliability, score


@dataclass(frozen=True)
class Simulated:
    """What `simulate` gives, as far as a score looks."""

    spike_times: tuple
    stochastic: bool
    dt: float = 0.1


@pytest.fixture(scope="module")
def cell():
    """Ten repeats of 6 s and two hundred noisy runs of the same template."""
    rng = np.random.default_rng(11)
    template = np.sort(rng.uniform(0, 6000, 60))
    return jittered(rng, template, 10, 2.0, 0.9, 6000), jittered(rng, template, 200, 3.0, 0.8, 6000), template


def test_noisy_runs_agree_with_the_scorer(scorer, cell):
    data, runs, _ = cell
    ours = score(runs, data, duration=6000.0)
    theirs = scorer.score(scorer.cut(data, 500, 6000), scorer.cut(runs, 500, 6000), 5500.0, deltas=(4, 8))
    names = {
        "R_4": "R4", "R_8": "R8", "gamma_runs_4": "gamma4", "gamma_over_R_runs_8": "gamma8_over_R",
        "md_star_4": "md4", "md_star_8": "md8", "ev_ratio_10": "ev10", "ev_ratio_15": "ev15",
    }  # fmt: skip
    assert {n: ours[n] for n in names} == pytest.approx({n: theirs[t] for n, t in names.items()}, abs=1e-9)
    assert (ours.rate_data_hz, ours.rate_model_hz) == pytest.approx((theirs["rate_data"], theirs["rate_model"]))


def test_a_deterministic_run_agrees_with_the_metrics(cell):
    data, _, template = cell
    s = score([template], data, duration=6000.0, stochastic=False)
    d, m, T = cut(data, 500.0, 6000.0), cut([template], 500.0, 6000.0), 5500.0
    assert s["gamma_4"] == pytest.approx(gamma(d, m, T))
    assert s["gamma_over_R_8"] == pytest.approx(gamma(d, m, T, window=8.0) / reliability(d, T, window=8.0))
    assert s["md_star_4"] == pytest.approx(md_star(d, m))
    assert s.row("gamma_4").ceiling == pytest.approx(gamma_ceiling(d, T))
    for name in ("van_rossum", "victor_purpura", "isi_distance", "rate_error"):
        assert s[name] == pytest.approx(METRICS[name](d, m, T))
    assert s.headline.name == "gamma_over_R_4"


def test_every_line_refers_to_a_declared_metric(cell):
    data, runs, template = cell
    for s in (score(runs, data, duration=6000.0), score([template], data, duration=6000.0)):
        assert {r.metric for r in s} <= set(METRICS)
        assert all(r.best == METRICS[r.metric].best for r in s)


def test_a_line_is_found_by_its_metric_where_it_is_the_only_one(cell):
    scored = score(cell[1], cell[0], duration=6000.0)
    assert scored.row("etv") == scored.row("ev_ratio_15")
    with pytest.raises(ScoreError, match="no line 'ETV'"):
        scored["ETV"]


def test_noisy_and_deterministic_gamma_never_share_a_name(cell):
    data, runs, template = cell
    noisy, single = score(runs, data, duration=6000.0), score([template], data, duration=6000.0)
    shared = {r.name for r in noisy} & {r.name for r in single}
    assert not any(name.startswith("gamma") for name in shared)
    with pytest.raises(ScoreError, match="noisy runs"):
        noisy["gamma_over_R"]
    with pytest.raises(ScoreError, match="did you mean md_star_4"):
        noisy["md_star4"]
    assert noisy["gamma_over_R_consensus_4"] > noisy["gamma_over_R_runs_4"]


@pytest.mark.parametrize(("duration", "start"), [(10_000.0, 500.0), (5000.0, 500.0), (4000.0, 200.0), (1000.0, 50.0)])
def test_the_default_window_leaves_out_the_beginning(duration, start):
    train = np.linspace(0, duration - 1, 40)
    s = score([train], [train, train], duration=duration)
    assert s.scored == ((start, duration),)
    assert "left out" in s.skipped
    assert score([train], [train, train], duration=duration, start=0.0, stop=500.0).scored == ((0.0, 500.0),)


def test_spikes_outside_the_window_do_not_count(cell):
    data, _, template = cell
    early = np.concatenate([np.arange(0, 499.0, 7.0), template[template >= 500]])
    kept, extra = (score([t], data, duration=6000.0, stochastic=False) for t in (template, early))
    assert [r.value for r in kept] == [r.value for r in extra]


def test_several_stimuli_are_averaged_by_duration():
    rng = np.random.default_rng(12)
    groups = [(T, np.sort(rng.uniform(0, T, 50))) for T in (6000.0, 12_000.0)]
    data = [jittered(rng, t, 5, 2.0, 0.9, T) for T, t in groups]
    model = [[t] for _, t in groups]
    both = score(model, data, duration=[6000.0, 12_000.0])
    each = [score(m, d, duration=T) for m, d, (T, _) in zip(model, data, groups, strict=True)]
    for name in ("gamma_over_R_4", "md_star_8", "ev_ratio_10", "van_rossum"):
        assert both[name] == pytest.approx((5500 * each[0][name] + 11_500 * each[1][name]) / 17_000)
    total = sum(t.size for d, (T, _) in zip(data, groups, strict=True) for t in cut(d, 500.0, T)) / 5
    assert both.rate_data_hz == pytest.approx(total / 17.0)
    assert both.n_repeats == (5, 5)


def recording(data, steps=6000):
    """Repeats of one noise of 6 s as a Recording, each with its own recording noise."""
    rng = np.random.default_rng(13)
    current = np.convolve(rng.normal(0, 50, steps), np.ones(20) / 20, mode="same")
    return current, Recording.of(np.stack([current] * len(data)), 1.0, spike_times=list(data), cell="c1")


def test_a_recording_and_a_simulation(cell):
    data, runs, _ = cell
    _, rec = recording(data)
    s = score(Simulated((tuple(runs),), stochastic=True), rec)
    # two spikes within one sample, here 1 ms, are one for a recording
    plain = score(runs, [sweep.spike_times for sweep in rec.sweeps], duration=6000.0)
    assert [r.value for r in s] == [r.value for r in plain]
    assert (s.cell, s.stochastic, s.n_runs) == ("c1", True, (200,))
    with pytest.raises(ScoreError, match="2 stimuli, recorded has 1"):
        score(Simulated((tuple(runs), tuple(runs)), stochastic=True), rec)


def test_repeats_that_do_not_cover_the_window_are_left_out_and_named(cell):
    data, _, template = cell
    current, rec = recording(data[:4])
    short = Sweep(current[:4000], 1.0, spike_times=data[4][data[4] < 4000])
    gap = Sweep(current, 1.0, spike_times=data[5], valid=((0.0, 2000.0), (3000.0, 6000.0)))
    whole = Recording((*rec.sweeps, short, gap))
    assert len(whole.stimuli()) == 1
    s = score([template], whole)
    assert s.n_repeats == (4,)
    assert s.scored == ((500.0, 6000.0),)
    assert any("2 of 6 repeats do not cover" in w for w in s.warnings)
    assert score([template], whole, start=100.0, stop=1900.0).n_repeats == (6,)
    with pytest.raises(ScoreError, match="ends at 6000"):
        score([template], whole, stop=7000.0)
    with pytest.raises(ScoreError, match="no repeat is valid"):
        score([template], Recording((gap,)), start=1000.0, stop=4000.0)


def test_one_repeat_has_no_reliability_and_says_so(cell):
    data, _, template = cell
    s = score([template], data[:1], duration=6000.0)
    for name in ("R_4", "gamma_over_R_4", "md_star_8", "ev_ratio_10"):
        assert np.isnan(s[name])
    assert np.isfinite(s["gamma_4"])
    assert any("no stimulus has two repeats" in w for w in s.warnings)
    assert all(np.isnan(r.error) for r in s)


def test_a_stimulus_without_repeats_does_not_spoil_those_with(cell):
    data, _, template = cell
    s = score([[template], [template]], [data, data[:1]], duration=6000.0)
    assert s["gamma_over_R_4"] == pytest.approx(score([template], data, duration=6000.0)["gamma_over_R_4"])
    assert s.row("gamma_over_R_4").n_repeats == 10
    assert any("1 of 2 stimuli have one repeat" in w for w in s.warnings)


@pytest.mark.parametrize(
    ("data", "model", "says"),
    [
        ([[], []], [[]], "never spikes"),
        ([[], []], [[600.0]], "no recorded spike is scored"),
        ([[600.0], [600.0]], [[]], "never spikes"),
        ([[600.0, 900.0], [1600.0, 2900.0]], [[600.0]], "hardly repeats itself"),
        ([np.arange(0.0, 6000, 7.0)] * 2, [np.arange(0.0, 6000, 7.0)], "gamma is undefined at \\+-4 ms"),
    ],
)
def test_poor_cases_are_scored_with_a_warning(data, model, says):
    s = score(model, data, duration=6000.0)
    assert any(re.search(says, w) for w in s.warnings)
    assert str(s)
    json.dumps(s.to_dict(), allow_nan=False)


def test_warnings_of_the_simulation(cell):
    data, runs, template = cell
    assert any("only 3 noisy runs" in w for w in score(runs[:3], data, duration=6000.0).warnings)
    lying = score(Simulated((tuple(runs[:3]),), stochastic=False), data, duration=6000.0)
    assert any("runs differ" in w for w in lying.warnings)
    coarse = score(Simulated(((template,),), stochastic=False, dt=5.0), data, duration=6000.0)
    assert any("coarse" in w for w in coarse.warnings)
    assert score([template], data, duration=6000.0).warnings == ()


@pytest.mark.parametrize(
    "name", ["R_4", "gamma_4", "gamma_over_R_4", "md_star_4", "ev_ratio_10", "van_rossum", "rate_error"]
)
def test_the_standard_error_is_the_spread_over_fresh_repeats(fresh_scores, name):
    """What the jackknife says of ten repeats, against many other sets of ten of the same cell."""
    spread = np.std([s[name] for s in fresh_scores], ddof=1)
    said = np.sqrt(np.mean([s.row(name).error ** 2 for s in fresh_scores]))
    assert 0.8 < said / spread < 1.7


@pytest.fixture(scope="module")
def fresh_scores():
    """Scores of one model on sixty different sets of ten repeats of one cell."""
    rng = np.random.default_rng(14)
    template = np.sort(rng.uniform(0, 6000, 60))
    sets = [jittered(rng, template, 10, 3.0, 0.8, 6000) for _ in range(60)]
    return [score([template], data, duration=6000.0) for data in sets]


def test_errors_of_several_stimuli_add_up(cell):
    data, _, template = cell
    one = score([template], data, duration=6000.0)
    twice = score([[template], [template]], [data, data], duration=6000.0)
    for name in ("gamma_over_R_4", "md_star_8", "ev_ratio_15", "rate_error"):
        assert twice[name] == pytest.approx(one[name])
        assert twice.row(name).error == pytest.approx(one.row(name).error / np.sqrt(2), rel=0.01)
    mixed = score([[template], [template]], [data, data[:2]], duration=6000.0)
    assert np.isnan(mixed.row("gamma_4").error), "two repeats are too few to say"


def test_the_same_input_gives_the_same_score(cell):
    data, runs, _ = cell
    assert score(runs, data, duration=6000.0).to_dict() == score(runs, data, duration=6000.0).to_dict()


def test_the_printed_table_lines_up(cell):
    data, runs, _ = cell
    _, rec = recording(data)
    text = str(score(runs, rec))
    lines = text.splitlines()
    assert lines[0] == "c1: noisy runs; 1 stimulus, 10 repeats, 200 runs"
    assert lines[1].startswith("scored 500–6000 ms (first 500 ms left out")
    column = lines[3].index("value") + len("value")
    values = [line[:column].split() for line in lines[5:]]
    assert all(len(cells) == 2 and cells[1][-4] == "." for cells in values)
    assert max(map(len, lines)) <= 120


def test_to_dict_is_json_and_says_none_for_undefined(cell):
    data, _, template = cell
    said = json.loads(json.dumps(score([template], data[:1], duration=6000.0).to_dict(), allow_nan=False))
    rows = {r["name"]: r for r in said["rows"]}
    assert rows["R_4"]["value"] is None
    assert said["scored"] == [[500.0, 6000.0]]


@pytest.mark.parametrize(
    ("kwargs", "says"),
    [
        ({}, "give duration="),
        ({"duration": 100.0, "windows": ()}, "no windows"),
        ({"duration": 100.0, "windows": (0.0,)}, "window is 0"),
        ({"duration": 100.0, "start": 90.0, "stop": 50.0}, "empty"),
        ({"duration": -5.0}, "duration is -5"),
    ],
)
def test_what_is_refused(kwargs, says):
    with pytest.raises(ScoreError, match=says):
        score([[1.0]], [[1.0], [2.0]], **kwargs)


def test_far_from_zero(cell):
    data, _, template = cell
    near = score([template], data, duration=6000.0)
    far = score([template + 1e6], [t + 1e6 for t in data], duration=1e6 + 6000, start=1e6 + 500)
    for name in ("gamma_4", "md_star_4", "van_rossum", "rate_error"):
        assert far[name] == pytest.approx(near[name], abs=1e-6)


def test_it_is_fast():
    rng = np.random.default_rng(15)
    data, runs = poisson(rng, 10, 10_000, 10), poisson(rng, 10, 10_000, 500)
    score(runs, data, duration=10_000.0)
    begin = time.process_time()
    score(runs, data, duration=10_000.0)
    assert time.process_time() - begin < 1.0


def test_a_recorded_cell(repeats):
    """Nine repeats of DRN164 scored by the tenth: near the reliability that is known of it."""
    trains = [s.spike_times for s in repeats.sweeps]
    s = score([trains[0]], repeats.select(indices=range(1, 10)), stop=9500.0)
    assert s["R_4"] == pytest.approx(0.83, abs=0.01)
    assert s["gamma_over_R_4"] == pytest.approx(1.0, abs=0.05)
    assert s.row("gamma_over_R_4").ceiling > s["gamma_over_R_4"]
