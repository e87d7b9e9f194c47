"""The contract of readers: kept by those of the house and by the template, and one that is really installed is used."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from heka_files import heka as heka_file
from lab_files import winwcp
from nwb_files import Lab, amps, volts
from places import piece
from test_other_formats import allen

import ephysfit
from ephysfit.data import registry
from ephysfit.data.loading import load
from ephysfit.data.reader_tests import ReaderContract
from ephysfit.data.readers import abf, allen_nwb1, example, heka, igor, neo, nwb2, table
from ephysfit.errors import RecordingError

WAVES = Path(__file__).parent / "waves"


def example_file(folder):
    header = {"lab": 1, "rate_hz": 10_000.0, "units": ["V", "nA"], "samples": 2000,
              "sweeps": [{"name": "a", "stimulus": "noise"}, {"name": "b"}]}  # fmt: skip
    samples = np.stack([np.stack([volts(), amps(level=100 * k) * 1e9]) for k in (1, 2)])
    path = folder / "cell.lab"
    path.write_bytes(json.dumps(header).encode() + b"\n" + samples.astype("<f4").tobytes())
    return path


class TestExample(ReaderContract):
    reader = example
    header = 200

    def make(self, folder):
        return example_file(folder)


class TestAbf(ReaderContract):
    reader = abf
    mutations = 15

    def make(self, folder):
        return shutil.copy(piece("steps_axon"), folder)


class TestHeka(ReaderContract):
    reader = heka
    header = None
    mutations = 150

    def make(self, folder):
        return heka_file(folder / "cell.dat", amps=True)


class TestHekaCommand(ReaderContract):
    reader = heka
    options = {"use_command": True}  # noqa: RUF012
    header = None

    def make(self, folder):
        return heka_file(folder / "cell.dat", order=">", block=300)


class TestNwb2(ReaderContract):
    reader = nwb2
    header = None
    mutations = 30

    def make(self, folder):
        lab = Lab(folder / "cell.nwb")
        for k in range(2):
            lab.row(lab.response(f"r{k}", volts(400, (20.0,)), start=float(k)),
                    lab.stimulus(f"s{k}", amps(400), start=float(k)))  # fmt: skip
        return lab.save()


class TestAllen(ReaderContract):
    reader = allen_nwb1
    header = None
    mutations = 30

    def make(self, folder):
        return allen(folder / "cell.nwb", "1.1")


class TestIgor(ReaderContract):
    reader = igor
    options = {"current": ("ad0", "ad1")}  # noqa: RUF012
    header = 400
    mutations = 20

    def make(self, folder):
        shutil.copy(WAVES / "ad1_cell.ibw", folder)
        return shutil.copy(WAVES / "ad0_cell.ibw", folder)


class TestNeo(ReaderContract):
    reader = neo

    def make(self, folder):
        return winwcp(folder / "cell.wcp")


class TestTable(ReaderContract):
    reader = table

    def make(self, folder):
        path = folder / "cell.npz"
        np.savez(
            path, current_pA=np.stack([amps(400)] * 2) * 1e12, voltage_mV=np.stack([volts(400)] * 2) * 1e3, dt_ms=0.1
        )
        return path

    def test_recognises_its_own_file_and_no_other(self, tmp_path):
        """Any text may be a table: it is asked last and says what a table needs."""
        assert table.recognises(self.make(tmp_path))


def test_example_reads_what_it_holds(tmp_path):
    path = example_file(tmp_path)
    recording = example.read(path).with_spikes()
    assert [s.current.max().round() for s in recording] == [100, 200]
    assert [len(s.spike_times) for s in recording] == [2, 2]
    header, _, body = path.read_bytes().partition(b"\n")
    path.write_bytes(header.replace(b'"nA"', b'"mV"') + b"\n" + body)
    with pytest.raises(RecordingError, match="no channel in a unit of current"):
        example.read(path)


@pytest.mark.parametrize(
    ("item", "says"),
    [
        (ImportError("no module named x"), "'mine' .* cannot be imported: no module"),
        (SimpleNamespace(read=print), "recognises"),
    ],
)
def test_a_broken_reader_is_named(monkeypatch, tmp_path, item, says):
    def give():
        if isinstance(item, Exception):
            raise item
        return item

    monkeypatch.setattr(registry, "entry_points", lambda group: [SimpleNamespace(load=give, name="mine", value="m:n")])
    (tmp_path / "x.csv").write_text("a")
    with pytest.raises(RecordingError, match=says):
        load(tmp_path / "x.csv")


def test_an_installed_package_adds_its_format(tmp_path):
    """A package made from the template, as the page says, really installed and found by another process."""
    project = tmp_path / "project"
    (project / "my_lab").mkdir(parents=True)
    (project / "my_lab" / "__init__.py").touch()
    shutil.copy(example.__file__, project / "my_lab" / "reader.py")
    (project / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
        '[project]\nname = "my_lab"\nversion = "1"\n'
        '[project.entry-points."ephysfit.readers"]\nmy_lab = "my_lab.reader"\n'
    )
    site = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "--target", str(site), str(project)], check=True, capture_output=True)
    code = (
        "import sys, ephysfit as ef; r = ef.load(sys.argv[1], gain=2.0); print(len(r), r.loaded['reader'], r.n_spikes)"
    )
    home = Path(ephysfit.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", code, str(example_file(tmp_path))], capture_output=True, text=True, check=True,
        env={"PYTHONPATH": f"{site}:{home}", "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert done.stdout.split() == ["2", "example", "lab", "4"]
