"""NWB over the network: the recording that is on disk, only the sweeps asked for fetched, else one clear error."""

import json

import numpy as np
import pytest
from nwb_files import Lab, amps, volts
from web import serving

from ephysfit.data import remote
from ephysfit.data.contents import contents
from ephysfit.data.loading import info, load
from ephysfit.errors import RecordingError

pytest.importorskip("requests")

SWEEPS, SAMPLES = 12, 200_000


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """40 MB of twelve sweeps of 20 s, uncompressed."""
    lab = Lab(tmp_path_factory.mktemp("remote") / "cell.nwb")
    noise = np.random.default_rng(0).standard_normal(SAMPLES) * 1e-4
    for k in range(SWEEPS):
        what = "C1NSSEED_1_DA_0" if k % 4 == 0 else "C1LSCOARSE_DA_0"
        v = volts(SAMPLES, (50.0, 150.0 + k)) + noise
        lab.response(f"v{k:02d}", v, sweep_number=k, start=30.0 * k, stimulus_description=what)
        current = amps(SAMPLES, 10.0 * k + 10)
        lab.stimulus(f"i{k:02d}", current, sweep_number=k, start=30.0 * k, stimulus_description=what)
    return lab.save()


@pytest.fixture
def site(path):
    with serving({"/d/cell.nwb": path.read_bytes()}) as site:
        yield site


def same(a, b):
    assert (len(a), a.cell) == (len(b), b.cell)
    for ours, theirs in zip(a, b, strict=True):
        assert (ours.name, ours.start, ours.stimulus) == (theirs.name, theirs.start, theirs.stimulus)
        np.testing.assert_array_equal(ours.current, theirs.current)
        np.testing.assert_array_equal(ours.voltage, theirs.voltage)
        np.testing.assert_array_equal(ours.spike_times, theirs.spike_times)


def test_one_sweep_is_fetched_and_equals_that_on_disk(site, path):
    whole = path.stat().st_size
    same(load(f"{site.root}/d/cell.nwb", sweeps=["v05"]), load(path, sweeps=["v05"]))
    samples = 2 * 8 * SAMPLES
    assert samples < site.sent < samples + 2.5e6 < whole / 4  # its samples, the headers, some read-ahead


def test_headers_are_listed_with_few_bytes_and_kinds_chosen(site, path):
    found = contents(f"{site.root}/d/cell.nwb")
    assert site.sent < 2.2e6  # also whether any dataset has its samples from elsewhere
    assert [h.kind for h in found][:5] == ["noise", "long_square", "long_square", "long_square", "noise"]
    assert [h.duration_ms for h in found] == [20_000.0] * SWEEPS
    noise = load(f"{site.root}/d/cell.nwb", kind="noise")
    assert [s.name for s in noise] == ["v00", "v04", "v08"]
    assert site.sent < path.stat().st_size / 2
    same(found.select(kind="noise").load(), load(path, kind="noise"))


def test_errors_name_the_address_and_the_reason(site, path):
    with pytest.raises(RecordingError, match=r"gone\.nwb: cannot be fetched: .*404.*no such file"):
        load(f"{site.root}/d/gone.nwb")
    assert not info(f"{site.root}/d/cell.nwb", electrode="nope").usable
    with (
        serving({"/a.nwb": b"x" * 5000, "/b.nwb": path.read_bytes()[:50_000]}) as other,
        pytest.raises(RecordingError, match="only NWB"),
    ):
        load(f"{other.root}/a.nwb")
    with (
        serving({"/b.nwb": path.read_bytes()[:50_000]}) as other,
        pytest.raises(RecordingError, match=r"b\.nwb"),
    ):
        load(f"{other.root}/b.nwb")
    with pytest.raises(RecordingError, match=r"127\.0\.0\.1:9 does not answer"):
        load("http://127.0.0.1:9/x.nwb")


def test_an_asset_of_the_archive(site, monkeypatch):
    """The archive's own interface, played by the local server: find the asset, follow to its bytes."""
    answer = {"results": [{"path": "sub-1/x.nwb_old", "asset_id": "no"}, {"path": "sub-1/x.nwb", "asset_id": "a1"}]}
    site.pages["/api/dandisets/000020/versions/draft/assets/"] = json.dumps(answer).encode()
    site.pages["/api/assets/a1/download/"] = f"{site.root}/d/cell.nwb"
    monkeypatch.setattr(remote, "DANDI", f"{site.root}/api")
    recording = load("dandi://000020/sub-1/x.nwb", sweeps=[0])
    assert (recording[0].name, recording.source) == ("v00", "x.nwb")
    with pytest.raises(RecordingError, match=r"no such asset; paths that begin so: sub-1/x\.nwb_old"):
        load("dandi://000020/sub-1/y.nwb")
    with pytest.raises(RecordingError, match=r"dandi://000099/sub-1/y\.nwb: cannot be fetched: .*404"):
        load("dandi://000099/sub-1/y.nwb")


@pytest.mark.parametrize("address", ["http://h/a b.nwb", "s3://bucket/k/c.nwb", "dandi://000020@0.1/sub/x.nwb"])
def test_addresses_are_told_from_paths(address):
    assert remote.is_remote(address)
    assert remote.Remote(address).suffix == ".nwb"
    assert not remote.is_remote("data/cell.nwb")
