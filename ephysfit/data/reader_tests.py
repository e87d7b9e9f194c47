"""Tests that every reader passes, to be inherited: by a reader of your own, as by the built-in ones.

from ephysfit.data.reader_tests import ReaderContract
import my_lab.reader

class TestMyReader(ReaderContract):
    reader = my_lab.reader

    def make(self, folder):           # a real file of the format, the smaller the better
        return shutil.copy("tests/data/cell.lab", folder / "cell.lab")
"""

from __future__ import annotations

import hashlib
import inspect
import pickle
import random
import time
import warnings
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ephysfit.data.assemble import Choice
from ephysfit.data.recording import Recording
from ephysfit.data.registry import DAMAGE
from ephysfit.errors import RecordingError

#: files of other formats, which no reader may take for its own
STRANGERS = (b"\0" * 600, b"hello\n", bytes(range(256)) * 4, b"\xff\xfe" * 300, b"%PDF-1.7\n" + b"x" * 500)
#: seconds within which a small file, sound or damaged, is read or refused; the helper of HDF5 waits 20 for progress
SOON = 60.0


class ReaderContract:
    """Tests of a reader: inherit, set `reader`, write `make`; pytest runs the rest.

    Attributes
    ----------
    reader
        A module or object with `NAME`, `recognises` and `read`.
    options
        Options passed to `read`.
    mutations
        Number of damaged copies that are tried.
    header
        Number of bytes, from the first, in which damage is made; None for all.
    """

    reader: ClassVar[Any] = None
    options: ClassVar[dict[str, Any]] = {}
    mutations: ClassVar[int] = 60
    header: ClassVar[int | None] = 4096

    def make(self, folder: Path) -> Path:
        """Make a real file of the format in this folder."""
        raise NotImplementedError

    def read(self, path: Path, choice: Choice | None = None) -> Recording:
        """Read the file as `load` does."""
        found = self.reader.read(path, choice=choice or Choice(), **self.options)
        assert isinstance(found, Recording), f"read() gave a {type(found).__name__}, not a Recording"
        return found

    def test_has_the_three_parts(self) -> None:
        """The reader has ``NAME``, ``recognises(path)`` and ``read(path, *, choice, ...)``."""
        assert isinstance(self.reader.NAME, str)
        assert self.reader.NAME
        parameters = inspect.signature(self.reader.read).parameters
        assert "choice" in parameters, "read() takes choice=, the sweeps that are wanted"
        late = [p.name for p in parameters.values() if p.name != "path" and p.kind is not p.KEYWORD_ONLY]
        assert not late, f"options are keyword-only: {late}"

    def test_recognises_its_own_file_and_no_other(self, tmp_path: Path) -> None:
        """The reader recognises its own file by content, and no other."""
        path = Path(self.make(tmp_path))
        assert self.reader.recognises(path)
        for k, content in enumerate(STRANGERS):
            other = tmp_path / f"stranger_{k}.bin"
            other.write_bytes(content)
            assert not self.reader.recognises(other), f"takes {content[:12]!r}... for its own"

    def test_gives_a_sound_recording(self, tmp_path: Path) -> None:
        """The recording is in ms, mV and pA, named after its file, and the same each time."""
        path = Path(self.make(tmp_path))
        first, again = self.read(path), self.read(path)
        assert first.source == path.name
        self.sound(first)
        for a, b in zip(first, again, strict=True):
            assert a.name == b.name
            np.testing.assert_array_equal(a.current, b.current)
        assert repr(pickle.loads(pickle.dumps(first))) == repr(first)
        assert len({s.name for s in first.sweeps} | {r.name for r in first.rejected}) > 0

    def test_never_touches_the_file(self, tmp_path: Path) -> None:
        """Reading changes neither the bytes of the file nor its folder."""
        path = Path(self.make(tmp_path))
        before, beside = _hash_file(path), sorted(p.name for p in tmp_path.iterdir())
        self.read(path)
        assert _hash_file(path) == before
        assert sorted(p.name for p in tmp_path.iterdir()) == beside

    def test_reads_the_sweeps_asked_for(self, tmp_path: Path) -> None:
        """Sweeps are read by name and by position; one that does not exist is an error that lists those that do."""
        path = Path(self.make(tmp_path))
        whole = self.read(path)
        name = whole.sweeps[-1].name
        chosen = self.read(path, Choice((name,)))
        assert {s.name for s in chosen} == {name}
        np.testing.assert_array_equal(chosen[-1].current, whole.sweeps[-1].current)
        assert len(self.read(path, Choice((0,)))) == 1 or whole.rejected
        for wrong in ("no such sweep", 10**6):
            said = self._read_refusal(path, Choice((wrong,)))
            assert str(wrong) in said or "counted from 0" in said, f"a sweep {wrong!r} that does not exist: {said!r}"

    def test_damage_is_an_error_or_harmless(self, tmp_path: Path) -> None:
        """Flipped bytes and truncated files soon give a sound recording, or an error that `load` can report."""
        path = Path(self.make(tmp_path))
        whole, dice = path.read_bytes(), random.Random(1)
        for _ in range(self.mutations):
            path.write_bytes(_damage_bytes(whole, self.header, dice))
            begin = time.perf_counter()
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    if self.reader.recognises(path):
                        self.sound(self.read(path))
            except (RecordingError, *DAMAGE):
                pass
            assert time.perf_counter() - begin < SOON, "a damaged file was not answered soon"

    def _read_refusal(self, path: Path, choice: Choice) -> str:
        """Read the message with which a reader refuses; empty if it does not."""
        try:
            self.read(path, choice)
        except RecordingError as error:
            return str(error)
        return ""

    @staticmethod
    def sound(recording: Recording) -> None:
        """Raise an error if a recording is inconsistent."""
        for sweep in recording.sweeps:
            assert np.isfinite(sweep.current).all()
            assert 0 < sweep.dt < 1e6
            assert sweep.voltage is None or sweep.voltage.shape == sweep.current.shape
            assert sweep.voltage is not None or sweep.spike_source == "given"


def _hash_file(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _damage_bytes(whole: bytes, header: int | None, dice: random.Random) -> bytes:
    if dice.random() < 0.2:
        return whole[: dice.randrange(1, len(whole))]
    data = bytearray(whole)
    for _ in range(dice.randrange(1, 8)):
        data[dice.randrange(min(header or len(data), len(data)))] = dice.randrange(256)
    return bytes(data)
