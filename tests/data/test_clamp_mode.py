"""Current clamp or voltage clamp: as the format holds it, else by the traces; honest current clamp is not refused."""

import numpy as np
import pytest
from abf1_files import abf1
from lab_files import axograph, neo_block, winwcp
from nwb_files import amps, volts
from places import SHIPPED
from test_padding import membrane, quantised, refractory, simulated_noise_then_rest

from ephysfit.data.clamp_mode import explain_voltage_clamp
from ephysfit.data.loading import load
from ephysfit.data.sweep import Sweep
from ephysfit.errors import RecordingError, StimulusError

N, DT = 6000, 0.1
RNG = np.random.default_rng(0)


def command(*levels, n=N):
    """A voltage that is held at -70 mV, steps to a level in its middle half and comes back, one row a level."""
    rows = np.full((len(levels), n), -70.0)
    rows[:, n // 4 : 3 * n // 4] = np.array(levels)[:, None]
    return rows


def answer(rows, conductance=2.0, capacitance=30.0, access=0.02, noise=2.0, seed=0):
    """Current of a leaky cell behind an access resistance (GOhm), with the charging of its capacitance, pA."""
    rng, tau = np.random.default_rng(seed), capacitance * access
    out = conductance * (rows + 70) + rng.normal(0, noise, rows.shape)
    for row, current in zip(rows, out, strict=True):
        for k in np.flatnonzero(np.diff(row)):
            t = np.arange(len(row) - k - 1) * DT
            current[k + 1 :] += (row[k + 1] - row[k]) / access * np.exp(-t / tau)
    return out


def judged(current, voltage, dt=DT):
    return explain_voltage_clamp(Sweep(current, dt, voltage, spike_source="none"))


STEPS = command(-90, -60, -40, 0)
IMPOSED = {
    "a command, leak only": (2.0 * (STEPS + 70) + RNG.normal(size=STEPS.shape), STEPS),
    "a command and capacitive transients": (answer(STEPS), STEPS),
    "a command of 16 bits": (answer(STEPS), np.round(STEPS / 0.03) * 0.03),
    "a recorded command": (answer(STEPS), STEPS + RNG.normal(0, 0.05, STEPS.shape)),
    "a good seal, no leak": (answer(STEPS, conductance=0.05), STEPS),
    "a coarse current": (np.round(answer(STEPS, noise=0.4)), STEPS),
}


@pytest.mark.parametrize("kind", IMPOSED)
def test_a_voltage_that_was_imposed_is_told(kind):
    for current, voltage in zip(*IMPOSED[kind], strict=True):
        said = judged(current, voltage)
        assert "looks like voltage clamp; if it is current clamp, give clamp='current'" in said
        assert len(said) < 250


def test_held_at_one_voltage_while_the_current_comes_and_goes():
    current = RNG.normal(0, 2, N)
    current[2000:4000] -= 300.0
    assert "stays at exactly -70.0 mV while the current moves by 30" in judged(current, np.full(N, -70.0))
    assert "stays at -70.0 mV" in judged(current, np.random.default_rng(9).normal(-70, 0.1, N))


def step(level=200.0, noise=0.0, n=N, seed=0):
    """A current step, pA."""
    current = np.random.default_rng(seed).normal(0, noise, n) if noise else np.zeros(n)
    current[n // 4 : 3 * n // 4] += level
    return current


def cell(current, noise=0.1, drop=0.0, tau=20.0, resistance=0.1, seed=1):
    """Voltage of a passive cell behind an electrode whose drop (GOhm) nobody took off, mV."""
    rng = np.random.default_rng(seed)
    return (
        membrane(current, DT, tau, resistance) + drop * current + (rng.normal(0, noise, len(current)) if noise else 0)
    )


def filtered(noise, width=20):
    return np.convolve(np.random.default_rng(6).normal(0, noise, N), np.ones(width) / width, "same")


HONEST = {
    "a noise-free simulation of a noisy current": lambda: (step(noise=20), cell(step(noise=20), 0)),
    "a noise-free simulation, current recorded with noise": lambda: (step(noise=3), cell(step(), 0)),
    "the same with a fast membrane": lambda: (step(noise=3), cell(step(), 0, tau=1.0)),
    "the same, printed with one digit": lambda: (step(noise=3), quantised(cell(step(), 0), 0.1)),
    "the same in whole mV": lambda: (step(noise=3), quantised(cell(step(), 0), 1.0)),
    "a converter of 4 mV": lambda: (step(400, 3), quantised(cell(step(400), 0), 4.0)),
    "the electrode's drop not taken off": lambda: (step(noise=1), cell(step(), drop=0.1)),
    "the drop, and a noise-free cell": lambda: (step(noise=1), cell(step(), 0, drop=0.1)),
    "a silent cell, hyperpolarised": lambda: (step(-100, 1), cell(step(-100))),
    "a leaky cell of 10 MOhm": lambda: (step(noise=1), cell(step(), resistance=0.01)),
    "a silent cell, in whole mV": lambda: (np.random.default_rng(7).normal(0, 2, N), np.full(N, -70.0)),
    "a noise-free cell at rest, no current": lambda: (np.zeros(N), np.full(N, -70.0)),
    "a command of exact steps into a resistor": lambda: (step(), cell(step(), 0, drop=0.1, resistance=0.0)),
    "a model cell that answers at once": lambda: (step(noise=1), cell(step(), 0.05, drop=0.1, resistance=0.0)),
    "a fast cell sampled every 0.5 ms": lambda: (step(noise=1), cell(step(), 0.05, tau=0.3)),
    "a simulated reset": refractory,
    "noise, then rest": simulated_noise_then_rest,
    "spikes of a noise-free simulation": lambda: (step(noise=2), volts(N, (200.0, 300.0, 400.0)) * 1e3),
    "dynamic clamp: a current that follows the voltage": lambda: dynamic_clamp(),
    "short pulses": lambda: (pulses() + filtered(5), cell(pulses(), tau=10.0)),
}  # fmt: skip


def pulses():
    current = np.zeros(N)
    for k in range(500, N, 500):
        current[k : k + 20] = 1500.0
    return current


def dynamic_clamp():
    """A conductance switched on and off by a program: the current jumps with it and then follows the voltage."""
    rng, v, voltage, current = np.random.default_rng(8), -70.0, np.empty(N), np.empty(N)
    for k in range(N):
        current[k] = (10.0 if 1500 <= k < 4500 else 0.0) * (0.0 - voltage[k - 1] if k else 0.0)
        v += DT / 20 * (-70 - v + 0.1 * current[k])
        voltage[k] = v + rng.normal(0, 0.1)
    return current, voltage


@pytest.mark.parametrize("kind", HONEST)
def test_honest_current_clamp_is_never_taken_for_voltage_clamp(kind):
    assert judged(*HONEST[kind]()) == ""


@pytest.mark.parametrize("seed", range(60))
def test_no_current_clamp_of_any_noise_tau_drop_and_converter_is_refused(seed):
    rng = np.random.default_rng(seed)
    current = step(float(rng.choice([-200, -50, 100, 400])), float(rng.choice([0.5, 2.0, 10.0])), seed=seed)
    voltage = cell(current, float(rng.choice([0.0, 0.05, 0.3])), float(rng.choice([0.0, 0.02, 0.1])),
                   float(rng.uniform(1.0, 60.0)), float(rng.uniform(0.05, 0.4)), seed)  # fmt: skip
    resolution = float(rng.choice([0.0, 0.03, 0.3, 1.0, 2.0]))
    assert judged(current, quantised(voltage, resolution) if resolution else voltage) == ""


def npz(path, current, voltage):
    np.savez(path, current_pA=current, voltage_mV=voltage, dt_ms=DT)
    return path


def test_a_table_of_voltage_clamp_is_refused_with_the_way_out(tmp_path):
    path = npz(tmp_path / "cell.npz", answer(STEPS), STEPS)
    with pytest.raises(RecordingError, match=r"looks like voltage clamp; .*clamp='current'"):
        load(path)
    kept = load(path, clamp="current")
    assert len(kept) == 4
    assert kept.loaded["clamp"] == "current"
    with pytest.raises(RecordingError, match="clamp='volts'"):
        load(path, clamp="volts")


def test_the_sweep_in_which_nothing_happens_goes_with_the_others(tmp_path):
    rows = command(-70, -40, -20)
    path = npz(tmp_path / "cell.npz", answer(rows), rows)
    with pytest.raises(RecordingError, match="0: its voltage is flat, and in others of the file"):
        load(path)


def test_neo_objects_are_looked_at_too_and_what_was_clamped_is_said():
    assert load(neo_block()).facts["clamp"] == "current clamp judged by the traces; the file does not record the mode"
    rows = command(-20)
    with pytest.raises(RecordingError, match="looks like voltage clamp"):
        load(neo_block(volt=rows[0] * 1e-3, ampere=answer(rows)[0] * 1e-12))


def test_a_format_that_neo_reads_is_looked_at_too(tmp_path, monkeypatch):
    rows = command(-20, n=2048)
    monkeypatch.setattr("lab_files.samples", lambda: (rows[0], answer(rows)[0]))
    for path in (winwcp(tmp_path / "vc.wcp"), axograph(tmp_path / "vc.axgd")):
        with pytest.raises(RecordingError, match="looks like voltage clamp"):
            load(path)
        assert load(path, clamp="current")


CHANNELS = [("IN 0", "pA", 10_000.0, answer(STEPS)), ("AO 0", "mV", 1000.0, STEPS)]
HONEST_CHANNELS = [
    ("IN 0", "mV", 1000.0, np.stack([volts() * 1e3] * 2)), ("IN 1", "pA", 1000.0, np.stack([amps() * 1e12] * 2)),
]  # fmt: skip


class TestAbf1:
    def test_outputs_in_mv_are_voltage_clamp(self, tmp_path):
        path = abf1(tmp_path / "vc.abf", CHANNELS, ["mV", "mV"])
        with pytest.raises(RecordingError, match=r"commands a voltage \(output 0 'Cmd 0' in mV.*clamp='current'"):
            load(path)
        assert len(load(path, clamp="current")) == 4

    def test_an_enabled_output_in_pa_is_current_clamp_and_nothing_is_warned_of(self, tmp_path):
        recording = load(abf1(tmp_path / "cc.abf", CHANNELS, ["pA", "mV"]))
        assert len(recording) == 4
        assert recording.warnings == ()
        assert recording.facts["clamp"] == "current clamp: output 0 'Cmd 0' in pA is enabled"

    def test_where_the_header_does_not_say_the_traces_do(self, tmp_path):
        path = abf1(tmp_path / "vc.abf", CHANNELS, ["mV", "mV"], enabled=(False, False))
        with pytest.raises(RecordingError, match="looks like voltage clamp"):
            load(path)
        honest = load(abf1(tmp_path / "cc.abf", HONEST_CHANNELS, ["mV", "mV"], enabled=(False, False)))
        assert honest.n_spikes == 4
        assert "look of the traces" in honest.facts["clamp"]

    @pytest.mark.parametrize("mode", [1, 2])
    def test_the_telegraph_of_the_amplifier_says_more_than_an_output_of_another_headstage(self, tmp_path, mode):
        recording = load(abf1(tmp_path / "cc.abf", HONEST_CHANNELS, ["mV", "mV"], telegraph=[mode, mode]))
        assert len(recording) == 2
        assert "telegraphed by the amplifier" in recording.facts["clamp"]
        assert ("I = 0" in recording.facts["clamp"]) == (mode == 2)

    def test_telegraphed_voltage_clamp_is_refused(self, tmp_path):
        path = abf1(tmp_path / "vc.abf", CHANNELS, ["mV", "mV"], enabled=(False, False), telegraph=[0, 0])
        with pytest.raises(RecordingError, match=r"voltage \(telegraphed by the amplifier\): this is voltage clamp"):
            load(path)

    def test_where_telegraph_and_outputs_contradict_each_other_the_traces_decide(self, tmp_path):
        assert len(load(abf1(tmp_path / "cc.abf", HONEST_CHANNELS, ["pA", "mV"], telegraph=[0, 0]))) == 2
        with pytest.raises(RecordingError, match="looks like voltage clamp"):
            load(abf1(tmp_path / "vc.abf", CHANNELS, ["pA", "mV"], telegraph=[0, 0]))

    def test_a_lamp_driven_in_volts_is_no_command(self, tmp_path):
        recording = load(abf1(tmp_path / "cc.abf", HONEST_CHANNELS, ["mV", "V"], enabled=(False, True)))
        assert len(recording) == 2

    @pytest.mark.parametrize(
        ("unit", "says"),
        [("pA", "output 0 'Cmd 0' in pA commanded one, and the command of an ABF 1 file is not rebuilt"),
         ("%", r"no output commands a current \(output 0 'Cmd 0' in %\)"), ("", "'Cmd 0' in no unit")],
    )  # fmt: skip
    def test_without_a_recorded_current_it_says_what_is_missing(self, tmp_path, unit, says):
        path = abf1(tmp_path / "cc.abf", HONEST_CHANNELS[:1], [unit, "mV"])
        with pytest.raises(StimulusError, match=says) as error:
            load(path)
        assert "damaged" not in str(error.value)
        assert "give command=" in str(error.value)
        assert len(load(path, command=amps() * 1e12)) == 2

    def test_an_output_in_mv_gives_a_sentence(self, tmp_path):
        path = abf1(tmp_path / "cc.abf", HONEST_CHANNELS[:1], ["mV", "mV"])
        with pytest.raises(RecordingError, match="this is voltage clamp"):
            load(path)
        with pytest.raises(StimulusError, match=r"a voltage was commanded.*in mV.*give command="):
            load(path, clamp="current")
        path = abf1(tmp_path / "both.abf", HONEST_CHANNELS, ["mV", "mV"])
        with pytest.raises(StimulusError, match="a voltage was commanded"):
            load(path, clamp="current", use_command=True)

    def test_the_command_is_not_taken_where_it_was_disconnected(self, tmp_path):
        path = abf1(tmp_path / "cc.abf", HONEST_CHANNELS[:1], ["pA", "mV"], telegraph=[2])
        with pytest.raises(StimulusError, match=r"I = 0.*not injected; .*clamp='current'"):
            load(path)


def test_shipped_recordings_say_what_was_clamped():
    assert "clamp" in load(SHIPPED / "DRN164.nwb", sweeps=[0]).facts
