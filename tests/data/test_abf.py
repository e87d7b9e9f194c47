"""ABF on real files: channels by unit, commands rebuilt only where exact."""

import numpy as np
import pytest
from places import ABF, PIECES, SHARED, piece, pieces, wholes

from ephysfit.data.loading import info, load
from ephysfit.data.readers import abf
from ephysfit.errors import RecordingError, StimulusError

NOISE = [*pieces("noise_test"), *wholes(f"raphe/{ABF['DRN162']}_test.abf")]
LOST = [*pieces("lost_stimulus"), *wholes("abf/171116sh_0017.abf")]


@pytest.mark.parametrize("path", NOISE)
def test_channels_are_told_by_unit_where_names_lie(path):
    """The raphe files call the voltage 'Im RIGHT' and the current 'Vm RIGHT'."""
    recording = load(path)
    assert "0: 'Im RIGHT' in mV, 1: 'Vm RIGHT' in pA" in recording.facts["channels"]
    assert -70 < np.median(recording[0].voltage) < -40
    assert 50 < recording[0].current.std() < 90
    assert [s.start for s in recording][:3] == [0, 20_000, 40_000]


@pytest.mark.parametrize("path", NOISE)
def test_samples_equal_pyabf(path):
    """Another parser of the same bytes."""
    pyabf = pytest.importorskip("pyabf")
    theirs = pyabf.ABF(str(path))
    for k, sweep in enumerate(load(path)):
        for channel, ours in ((0, sweep.voltage), (1, sweep.current)):
            theirs.setSweep(k, channel=channel)
            np.testing.assert_allclose(ours, theirs.sweepY, atol=1e-3)


@pytest.mark.parametrize("path", LOST)
def test_lost_stimulus_file_is_refused_with_the_reason(path):
    with pytest.raises(StimulusError, match=r"stimulus file \(sine sweep magnitude 20.abf\).*cannot be recovered"):
        load(path)
    report = info(path)
    assert not report.usable
    assert "cannot be recovered" in report.problem


@pytest.mark.parametrize("path", LOST)
def test_a_command_the_user_knows_is_taken(path):
    n = 2000 if path == piece("lost_stimulus") else 100_000
    sine = 20 * np.sin(np.arange(n) / 100)
    recording = load(path, command=sine)
    assert len(recording) == 3
    np.testing.assert_array_equal(recording[2].current, sine)
    assert recording.loaded["options"] == {"command": f"array of shape ({n},)"}
    with pytest.raises(StimulusError, match="2 rows for 3 sweeps"):
        load(path, command=np.zeros((2, n)))
    with pytest.raises(RecordingError, match=f"{n} voltage samples for 5 of current"):
        load(path, command=np.zeros(5))


LADDERS = {
    "steps_pyramidal": [75, 100],
    "steps_interneuron": [25, 50],
    "steps_fine": [90, 100, 110],
    "steps_axon": [200, 250, 300],
    "171116sh_0018": range(-100, 301, 25),
    "2019_07_24_0055_fsi": range(-100, 301, 25),
}


@pytest.mark.parametrize(
    "path", [*pieces(*list(LADDERS)[:4]), *wholes("abf/171116sh_0018.abf", "abf/2019_07_24_0055_fsi.abf")]
)
def test_commanded_steps(path):
    currents = np.stack([s.current for s in load(path)])
    np.testing.assert_allclose(currents[:, currents.std(axis=0).argmax()], LADDERS[path.stem], atol=1e-6)


@pytest.mark.parametrize("path", [*pieces("steps_recorded"), *wholes("raphe/DRN164_5HT/current_steps.abf")])
def test_rebuilt_command_agrees_with_a_recorded_current(path):
    """The raphe steps both record the current and hold the protocol: the rebuilding is measured against truth."""
    rebuilt = abf._rebuild_command(path)
    recording = load(path)
    assert max(np.ptp(rebuilt(k)) for k in range(len(recording))) >= 80  # steps, not a holding level alone
    for k, sweep in enumerate(recording):
        offset = np.median(sweep.current - rebuilt(k))
        assert np.sqrt(np.mean((sweep.current - rebuilt(k) - offset) ** 2)) < 2.0  # of steps up to 200 pA


def test_channel_options_are_checked():
    path = piece("noise_training")
    assert len(load(path, voltage_channel=0, current_channel=1)) == 1
    with pytest.raises(RecordingError, match="not a channel in a unit of voltage"):
        load(path, voltage_channel=1)
    with pytest.raises(RecordingError, match=r"takes no option 'volt_channel'; did you mean voltage_channel"):
        load(path, volt_channel=1)


@pytest.mark.parametrize(
    ("files", "cell", "durations"),
    [
        ([piece("noise_training"), piece("noise_test")], "noise", (2000, 3000)),
        *(
            ([SHARED / "raphe" / f"{ABF[cell]}_{part}.abf" for part in ("training", "test")], "DRN162_5ht", (6e4, 1e5))
            for cell in ["DRN162"] * SHARED.is_dir()
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_training_and_test_files_of_one_cell(files, cell, durations):
    recording = load(files)
    train, test = recording.split()
    assert recording.cell == cell
    assert (train.duration, test.duration) == durations


REFUSED = {"171116sh_0017.abf", "lost_stimulus.abf"}
EVERYTHING = [p.name.removesuffix(".abf.xz") for p in sorted(PIECES.glob("*.abf.xz"))]
WHOLE = [str(p.relative_to(SHARED)) for p in sorted([*SHARED.rglob("*.abf"), *SHARED.rglob("*.nwb")])]


@pytest.mark.parametrize("path", [*pieces(*EVERYTHING), *wholes(*WHOLE, marks=pytest.mark.slow)])
def test_every_file_loads_or_is_refused(path):
    report = info(path)
    assert report.usable is (path.name not in REFUSED)
    assert all(not w for s in report.sweeps for w in s.warnings)
