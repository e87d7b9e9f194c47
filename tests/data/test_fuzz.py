"""Mutated files: one clear RecordingError or a sane recording, soon, whatever byte is wrong."""

import io
import time
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nwb_files import Lab, amps, volts
from places import piece

from ephysfit.data import hdf5_probe
from ephysfit.data.loading import load
from ephysfit.errors import RecordingError

#: seconds within which a damaged small file must be answered, on a busy machine
SOON = 40.0


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """Some damage makes libhdf5 loop; the helper need not be waited for as long as a user's slow disk deserves."""
    monkeypatch.setattr(hdf5_probe, "PATIENCE", 8.0)


def nwb(folder):
    lab = Lab(folder / "source.nwb")
    for k in range(2):
        response = lab.response(f"v{k}", volts(400, (20.0,)), sweep_number=k, start=float(k))
        lab.row(response, lab.stimulus(f"i{k}", amps(400), sweep_number=k, start=float(k)))
    return lab.save().read_bytes()


def packed(save):
    buffer = io.BytesIO()
    save(buffer, current_pA=np.arange(50.0), dt_ms=0.1, voltage_mV=np.full(50, -65.0))
    return buffer.getvalue()


def mat(buffer, **arrays):
    from scipy.io import savemat

    savemat(buffer, arrays)


CSV = "time_ms,current_pA,voltage_mV\n" + "".join(f"{k / 10:.1f},{k},-65\n" for k in range(100))
#: source bytes, how many of them to damage (headers), mutations
KINDS = {
    "nwb": (nwb, None, 150),
    "abf": (lambda _: piece("steps_axon").read_bytes(), 8192, 40),
    "abf recorded": (lambda _: piece("electrode").read_bytes(), 8192, 20),
    "npz": (lambda _: packed(np.savez), None, 100),
    "mat": (lambda _: packed(mat), None, 4),
    "csv": (lambda _: CSV.encode(), None, 100),
}


def mutations(source, span, count, seed):
    rng = np.random.default_rng(seed)
    for _ in range(count):
        data = bytearray(source)
        for _ in range(rng.integers(1, 8)):
            data[rng.integers(0, span or len(data))] = rng.integers(0, 256)
        yield bytes(data[: rng.integers(1, len(data))] if rng.random() < 0.1 else data)


def answer(path):
    """What a load gives: a recording that holds together, or None where it is refused."""
    begin = time.perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of parsers fed with rubbish
            recording = load(path)
    except RecordingError as error:
        recording, said = None, str(error)
    assert recording is not None or path.name in said
    assert time.perf_counter() - begin < SOON
    return recording


def sane(recording):
    for sweep in recording:
        assert np.isfinite(sweep.current).all()
        assert sweep.dt > 0
        assert sweep.voltage is None or sweep.voltage.shape == sweep.current.shape
        assert np.all(np.diff(sweep.spike_times) >= 0)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_flipped_bytes_and_cuts(tmp_path, kind):
    make, span, count = KINDS[kind]
    source = make(tmp_path)
    path = tmp_path / f"fuzzed.{kind.split()[0]}"
    path.write_bytes(source)
    sane(answer(path))
    refused = 0
    for data in mutations(source, span, count, seed=2024):
        path.write_bytes(data)
        recording = answer(path)
        refused += recording is None
        if recording is not None:
            sane(recording)
        assert path.read_bytes() == data
    assert refused > 0


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=200))
def test_any_text_is_refused_or_read(tmp_path, text):
    path = tmp_path / "any.csv"
    path.write_text(text, encoding="utf-8", newline="")
    recording = answer(path)
    if recording is not None:
        sane(recording)


numbers = st.one_of(st.floats(-1e3, 1e3), st.sampled_from([np.nan, np.inf, -np.inf, 1e300]))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=30), numbers, st.lists(numbers, max_size=5))
def test_any_numbers_are_refused_or_read(tmp_path, rows, dt, spikes):
    current, voltage = np.array(rows).T
    np.savez(tmp_path / "any.npz", current_pA=current, voltage_mV=voltage, dt_ms=dt)
    recording = answer(tmp_path / "any.npz")
    if recording is not None:
        sane(recording)
        assert dt > 0
    np.savez(tmp_path / "any.npz", current_pA=current, spike_times_ms=np.array(spikes), dt_ms=dt)
    recording = answer(tmp_path / "any.npz")
    if recording is not None:
        sane(recording)
