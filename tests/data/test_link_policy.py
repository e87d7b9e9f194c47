"""HDF5 that leads to other files: from its folder it is read, from elsewhere refused by name, unless it is allowed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from nwb_files import Lab, amps, volts
from test_other_formats import allen
from web import serving

from ephysfit.data import access, hdf5_probe
from ephysfit.data.contents import contents
from ephysfit.data.loading import info, load
from ephysfit.errors import RecordingError

N = 2000
TIME = np.arange(N) * 0.1


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where the files are; the secrets lie elsewhere, and so do we."""
    for name in ("given", "elsewhere", "here"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "given"


def nwb(path):
    lab = Lab(path)
    lab.response("v", volts(N))
    lab.stimulus("i", amps(N))
    return lab.save(), "/acquisition/v/data"


def allen_nwb(path):
    return allen(path, "1.1"), "/acquisition/timeseries/Sweep_4/data"


def mat73(path):
    with h5py.File(path, "w", userblock_size=512) as file:
        file["time_ms"], file["current_pA"], file["voltage_mV"] = TIME, amps(N) * 1e12, volts(N) * 1e3
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM")
    return path, "/voltage_mV"


def nix(path):
    pytest.importorskip("nixio")
    import neo
    import quantities as pq

    segment = neo.Segment(name="one")
    for values, unit in ((volts(N) * 1e3, pq.mV), (amps(N) * 1e12, pq.pA)):
        segment.analogsignals.append(neo.AnalogSignal(values, unit, sampling_rate=10 * pq.kHz))
    block = neo.Block()
    block.segments.append(segment)
    io = neo.io.NixIO(str(path), "ow")
    io.write_block(block)
    io.close()
    found = []
    with h5py.File(path) as file:
        file.visititems(lambda name, item: found.append("/" + name) if isinstance(item, h5py.Dataset) else None)
        (data, *_) = [name for name in found if file[name].size == N and file[name].dtype.kind == "f"]
    return path, data


FORMATS = {
    "nwb": (nwb, "cell.nwb"),
    "allen": (allen_nwb, "cell.nwb"),
    "mat73": (mat73, "cell.mat"),
    "nix": (nix, "cell.nix"),
}
formats = pytest.mark.parametrize("form", FORMATS)


def made(form, folder):
    write, name = FORMATS[form]
    return write(folder / name)


def moved(path, name, kind, target, named=None):
    """Put the samples of a dataset into another file, and what leads there in their place."""
    named = str(target) if named is None else named
    with h5py.File(path, "r+") as file:
        old = file[name]
        attributes, values = dict(old.attrs), old[()]
        del file[name]
        if kind == "storage":
            new = file.create_dataset(name, values.shape, values.dtype, external=[(named, 0, values.nbytes)])
            values.tofile(target)
        else:
            with h5py.File(target, "w") as other:
                other["x"] = values
                other["x"].attrs.update(attributes)
            if kind == "link":
                file[name] = h5py.ExternalLink(named, "/x")
                return
            layout = h5py.VirtualLayout(values.shape, values.dtype)
            layout[...] = h5py.VirtualSource(named, "x", values.shape, values.dtype)
            new = file.create_virtual_dataset(name, layout)
        new.attrs.update(attributes)


KINDS = pytest.mark.parametrize("kind", ["link", "storage", "source"])


@formats
@KINDS
@pytest.mark.parametrize("how", ["absolute", "dots", "symlink", "symlinked folder"])
def test_what_lies_elsewhere_is_refused_by_name(folder, form, kind, how):
    path, name = made(form, folder)
    secret = folder.parent / "elsewhere" / "secret.h5"
    named = {"absolute": str(secret), "dots": "../elsewhere/secret.h5"}.get(how)
    if how == "symlink":
        (folder / "beside.h5").symlink_to(secret)
        named = str(folder / "beside.h5")
    elif how == "symlinked folder":
        (folder / "below").symlink_to(secret.parent)
        named = str(folder / "below" / "secret.h5")
    sound = load(path)
    moved(path, name, kind, secret, named)
    alone = form == "nwb" and how == "absolute"  # another process, which takes its time
    for read in (load, contents, lambda p: load(p, isolate=alone)):
        with pytest.raises(RecordingError, match="outside the folder of the file") as caught:
            read(path)
        told = str(caught.value)
        assert name.rsplit("/", 1)[-1] in told  # which of its paths, where it has several, is not ours to say
        assert named in told
        assert "allow_links=True" in told
    if alone:
        assert "outside the folder" in info(path, isolate=True).problem
    if kind != "storage" or how != "dots":  # found from the folder that one is in, not from that of the file
        allowed = load(path, allow_links=True)
        np.testing.assert_array_equal(allowed[0].voltage, sound[0].voltage)
        again = load(path, allow_links=True, isolate=alone)
        np.testing.assert_array_equal(again[0].voltage, sound[0].voltage)


@formats
@pytest.mark.parametrize("helper", ["1", "0"])
def test_the_password_file_is_no_recording(folder, form, helper, monkeypatch):
    monkeypatch.setenv(hdf5_probe.VARIABLE, helper)
    path, name = made(form, folder)
    with h5py.File(path, "r+") as file:
        attributes, shape = dict(file[name].attrs), file[name].shape
        del file[name]
        file.create_dataset(name, shape, "u1", external=[("/etc/passwd", 0, h5py.h5f.UNLIMITED)])
        file[name].attrs.update(attributes)
    with pytest.raises(RecordingError, match="has its samples in /etc/passwd"):
        load(path)


@formats
@pytest.mark.parametrize("kind", ["link", "source"])
@pytest.mark.parametrize("where", ["beside.h5", "below/there.h5", "absolute"])
def test_what_lies_in_the_folder_is_read(folder, form, kind, where):
    """Honest files that lean on others: the same recording as in one piece."""
    path, name = made(form, folder)
    sound = load(path)
    (folder / "below").mkdir()
    other = folder / ("beside.h5" if where == "absolute" else where)
    moved(path, name, kind, other, str(other) if where == "absolute" else where)
    again = load(path)
    np.testing.assert_array_equal(again[0].voltage, sound[0].voltage)
    np.testing.assert_array_equal(again[0].spike_times, sound[0].spike_times)
    both = folder.parent / "moved"
    shutil.copytree(folder, both)
    if where != "absolute":
        np.testing.assert_array_equal(load(both / path.name)[0].voltage, sound[0].voltage)


def test_raw_storage_beside_the_file_is_read_where_the_library_finds_it(folder, monkeypatch):
    path, name = nwb(folder / "cell.nwb")
    sound = load(path)
    moved(path, name, "storage", folder / "cell.raw", "cell.raw")
    with pytest.raises(RecordingError, match=r"looks for in the current folder.*change to the folder"):
        load(path)
    monkeypatch.chdir(folder)
    np.testing.assert_array_equal(load("cell.nwb")[0].voltage, sound[0].voltage)


def test_what_pynwb_links_between_files_is_read(folder):
    """A link as pynwb makes it, when a file takes a dataset of another."""
    import warnings

    from hdmf.backends.hdf5 import H5DataIO
    from pynwb import NWBHDF5IO

    raw, _ = nwb(folder / "raw.nwb")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with NWBHDF5IO(raw, "r") as io:
            lab = Lab(folder / "cell.nwb")
            lab.response("v", H5DataIO(io.read().acquisition["v"].data, link_data=True))
            lab.stimulus("i", amps(N))
            with NWBHDF5IO(lab.path, "w", manager=None) as out:
                out.write(lab.nwb)
    with h5py.File(lab.path) as file:
        link = file.get("acquisition/v/data", getlink=True)
    assert isinstance(link, h5py.ExternalLink)
    np.testing.assert_array_equal(load(lab.path)[0].voltage, load(raw)[0].voltage)


def test_soft_links_and_a_link_to_the_file_itself_are_read(folder):
    path, name = nwb(folder / "cell.nwb")
    sound = load(path)
    with h5py.File(path, "r+") as file:
        file.move(name, "scratch_data")
        file[name] = h5py.SoftLink("/again")
        file["again"] = h5py.ExternalLink("cell.nwb", "/scratch_data")
    np.testing.assert_array_equal(load(path)[0].voltage, sound[0].voltage)


def test_a_file_in_the_folder_does_not_lead_on_outside(folder):
    path, name = nwb(folder / "cell.nwb")
    secret = folder.parent / "elsewhere" / "secret.h5"
    moved(path, name, "link", secret)
    with h5py.File(path, "r+") as file, h5py.File(folder / "beside.h5", "w") as beside:
        del file[name]
        file[name] = h5py.ExternalLink("beside.h5", "/x")
        beside["x"] = h5py.ExternalLink(str(secret), "/x")
    with pytest.raises(RecordingError, match=r"beside\.h5: /x is a link to .*secret\.h5, outside"):
        load(path)
    assert len(load(path, allow_links=True)) == 1


def test_files_that_lead_to_each_other_end(folder):
    path, name = nwb(folder / "cell.nwb")
    moved(path, name, "link", folder / "beside.h5", "beside.h5")
    with h5py.File(folder / "beside.h5", "r+") as beside:
        beside["back"] = h5py.ExternalLink("cell.nwb", "/")
    assert len(load(path)) == 1


def test_a_file_reached_through_a_link_of_your_own_is_read(folder):
    path, name = nwb(folder / "cell.nwb")
    moved(path, name, "link", folder / "beside.h5", "beside.h5")
    mine = folder.parent / "here" / "mine.nwb"
    mine.symlink_to(path)
    assert len(load(mine)) == 1


@pytest.mark.parametrize("kind", ["link", "source"])
def test_a_file_that_is_not_there(folder, kind):
    """A link into nothing harms nobody who does not need it; a virtual dataset would be zeros."""
    path, _ = nwb(folder / "cell.nwb")
    with h5py.File(path, "r+") as file:
        if kind == "link":
            file["scratch_movie"] = h5py.ExternalLink("/data/of/another/machine/movie.h5", "/")
        else:
            layout = h5py.VirtualLayout((N,), "f8")
            layout[...] = h5py.VirtualSource("gone.h5", "x", (N,))
            file.create_virtual_dataset("scratch_movie", layout)
    if kind == "link":
        assert len(load(path)) == 1
        return
    for allow in (False, True):
        with pytest.raises(RecordingError, match=r"/scratch_movie is made of parts of gone\.h5, which is not there"):
            load(path, allow_links=allow)
    with h5py.File(folder / "gone.h5", "w") as file:
        file["y"] = 1
    with pytest.raises(RecordingError, match=r"made of x of gone\.h5, where there is no such dataset"):
        load(path)


def test_a_name_found_from_where_one_is_and_not_beside_the_file(folder):
    """The library looks in the current folder too."""
    path, name = nwb(folder / "cell.nwb")
    moved(path, name, "link", folder.parent / "here" / "notes.h5", "notes.h5")
    with pytest.raises(RecordingError, match=r"notes\.h5, outside the folder"):
        load(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes")
def test_a_pipe_hangs_nobody(folder):
    path, name = nwb(folder / "cell.nwb")
    moved(path, name, "storage", folder / "pipe", str(folder / "pipe"))
    (folder / "pipe").unlink()
    os.mkfifo(folder / "pipe")
    with pytest.raises(RecordingError, match="which is no file"):
        load(path)


def test_a_group_that_cannot_be_listed_is_not_trusted(folder, monkeypatch):
    """A crafted group may fail to list and still give up what lies in it by name."""
    monkeypatch.setenv(hdf5_probe.VARIABLE, "0")
    path, _ = nwb(folder / "cell.nwb")
    with h5py.File(path) as file:
        where = h5py.h5o.get_info(file["general/devices"].id).addr
    whole = bytearray(path.read_bytes())
    tree = whole.find(b"TREE", where)
    whole[tree : tree + 4] = b"EERT"
    path.write_bytes(whole)
    with pytest.raises(RecordingError, match="cannot be determined whether it leads"):
        load(path)


def test_parts_named_by_a_pattern_are_not_looked_into(folder):
    path, _ = nwb(folder / "cell.nwb")
    whole, part = h5py.h5s.create_simple((N,), (h5py.h5s.UNLIMITED,)), h5py.h5s.create_simple((N,), (N,))
    whole.select_hyperslab((0,), (h5py.h5s.UNLIMITED,), (N,), (N,))
    made = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    made.set_virtual(whole, str(folder / "part_%b.h5").encode(), b"/x", part)
    with h5py.File(path, "r+") as file:
        h5py.h5d.create(file.id, b"movie", h5py.h5t.NATIVE_DOUBLE, whole, made)
    with pytest.raises(RecordingError, match=r"/movie names its parts by a pattern, .*allow_links=True"):
        load(path)
    assert len(load(path, allow_links=True)) == 1


def test_all_files_may_be_allowed_by_the_environment(folder, monkeypatch):
    path, name = nwb(folder / "cell.nwb")
    moved(path, name, "link", folder.parent / "elsewhere" / "raw.h5")
    monkeypatch.setenv(access.LINKS, "1")
    assert len(load(path)) == 1
    with pytest.raises(RecordingError, match="outside"):
        load(path, allow_links=False)


def test_the_command_line_refuses_and_allows(folder):
    path, name = nwb(folder / "cell.nwb")
    moved(path, name, "link", folder.parent / "elsewhere" / "raw.h5")
    command = [sys.executable, "-m", "ephysfit", "info", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=200)
    assert "outside the folder" in " ".join((done.stdout + done.stderr).split())
    done = subprocess.run(
        [*command, "-O", "allow_links=true"], capture_output=True, text=True, check=False, timeout=200
    )
    assert "outside the folder" not in " ".join((done.stdout + done.stderr).split())
    assert done.returncode == 0


@KINDS
def test_a_file_at_an_address_leads_nowhere(folder, kind):
    pytest.importorskip("requests")
    path, name = nwb(folder / "cell.nwb")
    moved(path, name, kind, folder.parent / "elsewhere" / "secret.h5")
    with serving({"/cell.nwb": Path(path).read_bytes()}) as site:
        for allow in (False, True):
            with pytest.raises(RecordingError, match="cannot be followed over the network; download both"):
                load(f"{site.root}/cell.nwb", allow_links=allow)
