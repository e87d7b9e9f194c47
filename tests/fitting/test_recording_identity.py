"""What a fit is of: rounding does not make another recording, another spike does, and fits saved before are known."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest
from fitting_cells import spikes_only

from ephysfit.data.recording import Recording
from ephysfit.errors import FitError
from ephysfit.fitting.fit_result import Fit
from ephysfit.fitting.provenance import Provenance
from ephysfit.fitting.recording_identity import hash_recording, list_cell_names, matches_recording
from ephysfit.fitting.uncertainty.likelihood_surface import Surface
from ephysfit.models import LIF

STEPS = (0.005, 0.0125, 0.02, 0.025, 1 / 30, 0.04, 0.05, 0.1, 0.5)


def with_times(times, dt=0.05):
    return Recording.of(np.zeros(40_000), dt, spike_times=times)


def of_bits(recording):
    """The hash as fits of earlier versions hold it."""
    digest = hashlib.sha256()
    for s in recording.sweeps:
        digest.update(np.float64(s.dt).tobytes() + s.current.tobytes() + s.spike_times.tobytes())
    return digest.hexdigest()


def test_it_follows_current_and_spikes_not_names():
    (sweep,) = spikes_only(6_000.0)
    same = Recording((replace(sweep, name="other"),), cell="x")
    moved = Recording((replace(sweep, spike_times=sweep.spike_times + 0.5),))
    louder = Recording((replace(sweep, current=sweep.current * 1.001),))
    assert hash_recording(same) == hash_recording(spikes_only(6_000.0))
    assert len({hash_recording(r) for r in (same, moved, louder)}) == 3


@pytest.mark.parametrize("step", STEPS)
def test_times_on_a_grid_of_samples_never_fall_on_an_edge(step):
    """A hash of rounded times must not flip where times are multiples of a sampling step, or half of one."""
    times = np.concatenate([np.arange(1, 20_000) * step, (np.arange(1, 20_000) + 0.5) * step])
    times = np.sort(times[times < 1999])
    for error in (1e-12, -1e-12, 1e-9, -1e-9):
        assert hash_recording(with_times(times + error)) == hash_recording(with_times(times))


def test_times_anywhere_survive_another_order_of_summation():
    rng = np.random.default_rng(0)
    for _ in range(20):
        times = np.sort(rng.uniform(1, 1999, 500))
        assert hash_recording(with_times(times + rng.normal(0, 1e-12, 500))) == hash_recording(with_times(times))


def test_a_fit_saved_with_the_hash_of_bits_still_knows_its_recording():
    recording = spikes_only(6_000.0)
    assert matches_recording(of_bits(recording), recording)
    assert matches_recording(hash_recording(recording), recording)
    assert not matches_recording(hash_recording(with_times([5.0])), recording)
    assert not matches_recording("", recording)


def test_intervals_take_the_recording_by_either_hash_and_refuse_another():
    recording = spikes_only(6_000.0)
    cell = LIF(C=80.0, g=5.0, E_L=-60.0, theta=-45.0, V_reset=-60.0, t_ref=3.0, delta=2.0)
    for known in (of_bits(recording), hash_recording(recording)):
        assert Surface.of(Fit(cell, "c", 0.5, provenance=Provenance(data_sha256=known)), recording).problem.n_spikes > 5
    with pytest.raises(FitError, match="is not what this fit was fitted to"):
        Surface.of(Fit(cell, "c", 0.5, provenance=Provenance(data_sha256="other")), recording)


def test_a_cell_goes_by_its_name_and_by_its_files():
    assert list_cell_names("alpha", "DRN164_a.abf, DRN164_b.abf") == ("alpha", "DRN164_a", "DRN164_b")
