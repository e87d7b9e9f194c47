"""Tables with names and units, in every dialect."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ephysfit.data.columns import parse_column
from ephysfit.data.loading import load
from ephysfit.errors import RecordingError, StimulusError

T = np.arange(3000) * 0.1
I = 50 * np.sin(T / 5)
V = -65 + 80 * np.exp(-(((T % 100 - 50) / 0.6) ** 2))
SPIKES = [49.0, 149.0, 249.0]


def write(path, head, columns, sep=",", form="{:.4f}", comma=False):
    rows = [sep.join(form.format(x) for x in row) for row in zip(*columns, strict=True)]
    text = "\n".join(([sep.join(head)] if head else []) + [r.replace(".", ",") if comma else r for r in rows])
    path.write_text(text, encoding="utf-8")
    return path


def check(recording):
    assert recording.dt == pytest.approx(0.1, rel=1e-6)
    np.testing.assert_allclose(recording[0].current, I, atol=1e-3)
    assert recording[0].spike_times == pytest.approx(SPIKES, abs=0.5)


@pytest.mark.parametrize(
    ("head", "scale", "sep", "comma"),
    [
        (["time_ms", "current_pA", "voltage_mV"], (1, 1, 1), ",", False),
        (["t (s)", "I [nA]", "Vm (V)"], (1e-3, 1e-3, 1e-3), "\t", False),
        (["Time/ms", "Stim_nA", "V_mV"], (1, 1e-3, 1), ";", False),
        (["time_ms", "current_pA", "voltage_mV"], (1, 1, 1), ";", True),
        (["time_ms", "current_pA", "voltage_mV"], (1, 1, 1), "  ", False),
        (["\ufefftime_us", "current_uA", "voltage_uV"], (1e3, 1e-6, 1e3), ",", False),
    ],
)
def test_dialects(tmp_path, head, scale, sep, comma):
    columns = [x * s for x, s in zip((T, I, V), scale, strict=True)]
    check(load(write(tmp_path / "a.csv", head, columns, sep, "{:.9f}", comma)))


def test_comments_and_other_columns(tmp_path):
    path = write(tmp_path / "a.csv", ["animal", "time_ms", "current_pA", "voltage_mV"], [T * 0 + 3, T, I, V])
    path.write_text("# made by hand\n" + path.read_text())
    check(load(path))


def test_no_names_needs_columns_and_units(tmp_path):
    path = write(tmp_path / "plain.txt", [], [T, I, V], " ")
    with pytest.raises(StimulusError, match="no column holds a current; found '0', '1', '2'"):
        load(path)
    check(load(path, columns={"current": 1, "voltage": 2}, units={"current": "pA", "voltage": "mV"}, dt=0.1))
    with pytest.raises(RecordingError, match="no column 7"):
        load(path, columns={"current": 7}, units={"current": "pA"})
    with pytest.raises(RecordingError, match="its unit is not known"):
        load(path, columns={"current": 1, "voltage": 2}, dt=0.1)
    with pytest.raises(RecordingError, match="no quantity 'amps'"):
        load(path, columns={"amps": 1})


@pytest.mark.parametrize(
    ("head", "says"),
    [
        (["time_ms", "current", "voltage_mV"], "'current' has no unit"),
        (["time_ms", "current_mV", "voltage_mV"], "'mV' is not a unit of current"),
        (["time_ms", "current_pA", "current_nA"], "both hold a current"),
        (["time_ms", "current_pA", "volts"], "neither a voltage nor spike times"),
        (["clock", "current_pA", "voltage_mV"], "no time column"),
    ],
)
def test_names_that_do_not_say_enough_are_refused(tmp_path, head, says):
    with pytest.raises(RecordingError, match=says):
        load(write(tmp_path / "a.csv", head, [T, I, V]))


def test_irregular_time_is_refused(tmp_path):
    late = T + (T > 100) * 0.3
    with pytest.raises(RecordingError, match="time is not regular"):
        load(write(tmp_path / "a.csv", ["time_ms", "current_pA", "voltage_mV"], [late, I, V]))


def test_words_in_a_column_are_refused(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("time_ms,current_pA,voltage_mV\n0,1,2\n0.1,high,2\n")
    with pytest.raises(RecordingError, match=r"line 3 .* holds 'high' where the rows above have a number"):
        load(path)


def test_trials_in_long_form(tmp_path):
    columns = [np.repeat([4, 7], 3000), np.tile(T, 2), np.concatenate([I, 2 * I]), np.tile(V, 2)]
    recording = load(write(tmp_path / "a.csv", ["sweep", "time_ms", "current_pA", "voltage_mV"], columns))
    assert [s.name for s in recording] == ["4", "7"]
    check(recording)
    np.testing.assert_allclose(recording[1].current, 2 * I, atol=1e-3)


class TestArrays:
    def test_flat_spikes_with_their_trials(self, tmp_path):
        np.savez(
            tmp_path / "a.npz",
            current_pA=np.stack([I, I]),
            dt_ms=0.1,
            spike_trial=[0, 1, 1],
            spike_times_ms=[5.0, 9.0, 7.0],
        )
        recording = load(tmp_path / "a.npz")
        assert [s.spike_times.tolist() for s in recording] == [[5.0], [7.0, 9.0]]
        assert recording[0].spike_source == "given"
        assert recording[0].voltage is None

    def test_given_spikes_win_and_can_be_overridden(self, tmp_path):
        np.savez(tmp_path / "a.npz", current_pA=I, rate_kHz=10, voltage_mV=V, spike_times_ms=[5.0])
        assert load(tmp_path / "a.npz").n_spikes == 1
        assert load(tmp_path / "a.npz", spikes="detect").n_spikes == 3
        assert load(tmp_path / "a.npz", spikes={"height": 200}).n_spikes == 0

    def test_given_only(self, tmp_path):
        np.savez(tmp_path / "a.npz", current_pA=I, dt_ms=0.1, voltage_mV=V)
        with pytest.raises(RecordingError, match="has no spike times"):
            load(tmp_path / "a.npz", spikes="given")

    def test_spikes_without_their_trial_are_refused(self, tmp_path):
        np.savez(tmp_path / "a.npz", current_pA=np.stack([I, I]), dt_ms=0.1, spike_times_ms=[5.0])
        with pytest.raises(RecordingError, match="give spike_trial"):
            load(tmp_path / "a.npz")

    def test_spikes_in_seconds_named_ms_are_caught_when_outside(self, tmp_path):
        np.savez(tmp_path / "a.npz", current_pA=I, dt_ms=0.1, spike_times_ms=[5000.0])
        with pytest.raises(RecordingError, match="are these seconds, samples or session times"):
            load(tmp_path / "a.npz")

    @pytest.mark.parametrize("dt", [0.0, -0.1, np.nan, np.inf])
    def test_impossible_steps(self, tmp_path, dt):
        np.savez(tmp_path / "a.npz", current_pA=I, dt_ms=dt, voltage_mV=V)
        with pytest.raises(RecordingError, match="above 0"):
            load(tmp_path / "a.npz")

    def test_pickles_are_not_opened(self, tmp_path):
        np.savez(tmp_path / "a.npz", current_pA=np.array([{"x": 1}], dtype=object), dt_ms=0.1)
        with pytest.raises(RecordingError, match=r"'current_pA' holds objects .* are not opened"):
            load(tmp_path / "a.npz")

    def test_matlab(self, tmp_path):
        from scipy.io import savemat

        savemat(tmp_path / "a.mat", {"I_nA": I / 1e3, "V_mV": V, "t_ms": T, "note": "x"})
        check(load(tmp_path / "a.mat"))

    def test_parquet(self, tmp_path):
        pytest.importorskip("pyarrow")
        import pandas as pd

        pd.DataFrame({"time_ms": T, "current_pA": I, "voltage_mV": V}).to_parquet(tmp_path / "a.parquet")
        check(load(tmp_path / "a.parquet"))


@given(st.text(max_size=30))
def test_any_name_is_parsed_or_refused(name):
    try:
        column = parse_column(name)
    except RecordingError:
        return
    assert column is None or column.factor > 0


def test_a_pattern_takes_the_unit_that_its_columns_share(tmp_path):
    head = ["time_ms", "I0 (nA)", "I1 (nA)", "V0 (mV)", "V1 (mV)"]
    path = write(tmp_path / "wide.csv", head, [T, I / 1e3, I / 1e3, V, V], form="{:.7f}")
    recording = load(path, columns={"current": "I*", "voltage": "V*"})
    assert len(recording) == 2
    check(recording)
    head[2] = "I1 (pA)"
    with pytest.raises(RecordingError, match=r"different units \('nA' and 'pA'\)"):
        load(write(path, head, [T, I, I, V, V]), columns={"current": "I*", "voltage": "V*"})


def test_complex_numbers_are_no_samples_and_the_case_of_a_rate_says_nothing(tmp_path):
    path = tmp_path / "cell.npz"
    np.savez(path, current_pA=I + 0j, voltage_mV=V, sampling_rate_hz=10_000.0)
    check(load(path))
    np.savez(path, current_pA=I + 1j, voltage_mV=V, rate_KHZ=10.0)
    with pytest.raises(RecordingError, match="'current_pA' holds complex numbers"):
        load(path)
