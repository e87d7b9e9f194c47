"""ABF on real files: channels by unit, commands rebuilt only where exact."""

import numpy as np
import pytest
from places import ABF, SHARED, needs_shared

from ephysfit.data.loading import info, load
from ephysfit.data.readers import abf
from ephysfit.errors import RecordingError, StimulusError

pytestmark = needs_shared


def test_channels_are_told_by_unit_where_names_lie():
    """The raphe files call the voltage 'Im RIGHT' and the current 'Vm RIGHT'."""
    recording = load(SHARED / "raphe" / f"{ABF['DRN162']}_test.abf")
    assert "0: 'Im RIGHT' in mV, 1: 'Vm RIGHT' in pA" in recording.facts["channels"]
    assert -70 < np.median(recording[0].voltage) < -40
    assert 50 < recording[0].current.std() < 90
    assert [s.start for s in recording][:3] == [0, 20_000, 40_000]


def test_samples_equal_pyabf():
    """Another parser of the same bytes."""
    pyabf = pytest.importorskip("pyabf")
    path = SHARED / "raphe" / f"{ABF['DRN162']}_test.abf"
    theirs = pyabf.ABF(str(path))
    for k, sweep in enumerate(load(path)):
        for channel, ours in ((0, sweep.voltage), (1, sweep.current)):
            theirs.setSweep(k, channel=channel)
            np.testing.assert_allclose(ours, theirs.sweepY, atol=1e-3)


def test_lost_stimulus_file_is_refused_with_the_reason():
    path = SHARED / "abf" / "171116sh_0017.abf"
    with pytest.raises(StimulusError, match=r"stimulus file \(sine sweep magnitude 20.abf\).*cannot be recovered"):
        load(path)
    report = info(path)
    assert not report.usable
    assert "cannot be recovered" in report.problem


def test_a_command_the_user_knows_is_taken():
    path = SHARED / "abf" / "171116sh_0017.abf"
    sine = 20 * np.sin(np.arange(100_000) / 100)
    recording = load(path, command=sine)
    assert len(recording) == 3
    np.testing.assert_array_equal(recording[2].current, sine)
    assert recording.loaded["options"] == {"command": "array of shape (100000,)"}
    with pytest.raises(StimulusError, match="2 rows for 3 sweeps"):
        load(path, command=np.zeros((2, 100_000)))
    with pytest.raises(RecordingError, match="100000 voltage samples for 5 of current"):
        load(path, command=np.zeros(5))


@pytest.mark.parametrize(
    ("name", "first", "increment", "sweeps"),
    [
        ("171116sh_0018", -100, 25, 17),
        ("2019_07_24_0055_fsi", -100, 25, 17),
        ("18713001", None, None, 30),
        ("File_axon_5", None, None, 9),
    ],
)
def test_commanded_steps(name, first, increment, sweeps):
    recording = load(SHARED / "abf" / f"{name}.abf")
    assert len(recording) == sweeps
    currents = np.stack([s.current for s in recording])
    ladder = currents[:, currents.std(axis=0).argmax()]
    assert np.ptp(np.diff(ladder)) < 1e-6
    if first is not None:
        np.testing.assert_allclose(ladder, first + increment * np.arange(sweeps), atol=1e-6)


def test_rebuilt_command_agrees_with_a_recorded_current():
    """The raphe steps both record the current and hold the protocol: the rebuilding is measured against truth."""
    path = SHARED / "raphe" / "DRN164_5HT" / "current_steps.abf"
    rebuilt = abf._rebuilt(path)
    for k, sweep in enumerate(load(path)):
        offset = np.median(sweep.current - rebuilt(k))
        assert np.sqrt(np.mean((sweep.current - rebuilt(k) - offset) ** 2)) < 2.0  # of steps up to 200 pA


def test_channel_options_are_checked():
    path = SHARED / "raphe" / f"{ABF['DRN162']}_aec.abf"
    assert len(load(path, voltage_channel=0, current_channel=1)) == 1
    with pytest.raises(RecordingError, match="not a channel in a unit of voltage"):
        load(path, voltage_channel=1)
    with pytest.raises(RecordingError, match=r"takes no option 'volt_channel'; did you mean voltage_channel"):
        load(path, volt_channel=1)


def test_training_and_test_files_of_one_cell():
    recording = load([SHARED / "raphe" / f"{ABF['DRN162']}_{part}.abf" for part in ("training", "test")])
    train, test = recording.split()
    assert (recording.cell, train.duration, test.duration) == ("DRN162_5ht", 60_000, 100_000)


@pytest.mark.slow
def test_everything_shared_loads_or_is_refused():
    refused = []
    for path in sorted([*SHARED.rglob("*.abf"), *SHARED.rglob("*.nwb")]):
        report = info(path)
        if not report.usable:
            refused.append(path.name)
        assert all(not w for s in report.sweeps for w in s.warnings), path
    assert refused == ["171116sh_0017.abf"]
