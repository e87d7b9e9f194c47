"""Formats that are recognised but not read: their names, the reason, and the way round."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import h5py

from ephysfit.data.assemble import Choice
from ephysfit.data.hdf5 import open_file
from ephysfit.data.recording import Recording
from ephysfit.errors import RecordingError

NAME = "a format that is not read"
#: bytes examined
HEAD = 4096
#: beginnings of files, and the formats they identify
KNOWN = {
    b"DATA": "a HEKA file of the time before bundles", b"eerT": "a tree of a HEKA recording",
    b"\xd0\xcf\x11\xe0": "an Excel or Office file", b"SQLite format 3": "a database",
    b"\x93NUMPY": "a NumPy array without a name (.npy)", b"\x80\x02": "a Python pickle", b"\x80\x03": "a Python pickle",
    b"\x80\x04": "a Python pickle", b"\x80\x05": "a Python pickle", b"\x1f\x8b": "a compressed file (gzip)",
    b"BZh": "a compressed file (bzip2)", b"\xfd7zXZ\0": "a compressed file (xz)", b"7z\xbc\xaf": "an archive (7z)",
    b"Rar!": "an archive (rar)", b"AxGr": "an AxoGraph file", b"axgx": "an AxoGraph file", b"%PDF": "a PDF",
    b"ARROW1": "an Arrow or Feather file", b"TDSm": "a LabVIEW TDMS file", b"\x89HDF\r\n": "HDF5 without NWB in it",
    b"\"INFORMATION\"": "text of Spike2 channel by channel", b"<": "XML or HTML", b"IGOR": "Igor text (.itx)",
}  # fmt: skip
#: those that are text, before which blanks and a byte order mark may stand
TEXT = (b'"INFORMATION"', b"<", b"IGOR")
OF = "give the arrays to Recording.of"
#: beginnings that readers expect of files with these suffixes
BEGINNINGS = {".nwb": b"\x89HDF", ".abf": b"ABF", ".npz": b"PK", ".parquet": b"PAR1"}
MISNAMED = "a file that does not begin as its ending says"
WAYS = {
    "a HEKA file of the time before bundles": "open it in Patchmaster and save it as a bundle, or export it as Igor "
    "waves or Matlab",
    "a tree of a HEKA recording": "give the .dat file of the recording",
    "an Excel or Office file": "save the table as CSV",
    "a database": "export the table as CSV or Parquet",
    "a NumPy array without a name (.npy)": "one array does not say what it holds: save current and voltage together, "
    f"np.savez('cell.npz', current_pA=..., voltage_mV=..., dt_ms=0.1), or load it with np.load and {OF}",
    "a Python pickle": f"opening one can run any code; open it yourself if you trust it, and {OF}",
    "a compressed file (gzip)": "unpack it (gunzip) and load what is in it",
    "a compressed file (bzip2)": "unpack it (bunzip2) and load what is in it",
    "a compressed file (xz)": "unpack it (unxz) and load what is in it",
    "an archive (7z)": "unpack it and load the files of one cell in it",
    "an archive (rar)": "unpack it and load the files of one cell in it",
    "an archive (zip)": "unpack it and load the files of one cell in it",
    "an AxoGraph file": "name it with its suffix, .axgx (or .axgd for files of AxoGraph 4), by which it is read",
    "a PDF": "it holds no recording; load the file that the recording program wrote",
    "an Arrow or Feather file": "save the table as Parquet or CSV",
    "a LabVIEW TDMS file": f"read it with npTDMS and {OF}",
    "HDF5 without NWB in it": f"read it with h5py and {OF}, or convert it to NWB",
    "a WaveSurfer file": "its channels need the scaling coefficients in its header: read it with pywavesurfer (or "
    f"ws.loadDataFile in Matlab), which scales them, and {OF}, or convert it to NWB with NeuroConv",
    "text of Spike2 channel by channel": "export it as spreadsheet text (File, Export As, Spreadsheet text), which "
    "holds all channels side by side, or as Matlab",
    "XML or HTML": "it is no table; save the recording as CSV",
    "Igor text (.itx)": "save the waves as Igor binary (.ibw) or as delimited text with names",
    MISNAMED: "damaged, half copied, or of another format; get it again, or give it the ending of what it is",
    "JSON": f"open it with json.load and {OF}",
}
#: JSON, as far as its beginning tells: an object with a key, or a list of numbers, lists or objects
_JSON = re.compile(rb'\s*(\{\s*("|\}|$)|\[\s*([-\d\[\]{"]|$))')


def recognises(path: Path) -> bool:
    """Whether a file begins like one of these formats."""
    return _find_format(path) is not None


def _find_format(path: Path) -> str | None:
    with path.open("rb") as file:
        head = file.read(HEAD)
    if head.startswith(b"DATA") and path.suffix.lower() != ".dat":
        return None
    if head.startswith(b"PK\x03\x04"):
        return _find_zip_format(path)
    if head.startswith(b"\x89HDF") and (_is_wavesurfer(path) or path.suffix.lower() == ".nwb"):
        return "a WaveSurfer file" if _is_wavesurfer(path) else None
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r\n")
    if _JSON.match(text) and b"\0" not in head:
        return "JSON"
    known = next((what for magic, what in KNOWN.items() if (text if magic in TEXT else head).startswith(magic)), None)
    return known or (MISNAMED if _is_misnamed(path, head) else None)


def _is_misnamed(path: Path, head: bytes) -> bool:
    """Whether a file lacks the beginning that its suffix implies, and is not text of several lines either."""
    begins = BEGINNINGS.get(path.suffix.lower())
    several = b"\0" not in head and b"\n" in head.strip()
    return begins is not None and bool(head) and not several and not head.startswith(begins)


def _find_zip_format(path: Path) -> str | None:
    """Find the format of a zip archive; None if it is npz."""
    if path.suffix.lower() in (".xlsx", ".xlsm", ".ods"):
        return "an Excel or Office file"
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return None  # the reader of npz says what is damaged
    if any(name in ("xl/workbook.xml", "content.xml", "mimetype") for name in names):
        return "an Excel or Office file"
    return None if any(name.endswith(".npy") for name in names) or not names else "an archive (zip)"


def _is_wavesurfer(path: Path) -> bool:
    """Whether a file is HDF5 with a header and sweeps or trials of WaveSurfer."""
    with open_file(path) as file:
        kept = [name for name, item in file.items() if isinstance(item, h5py.Group)]
    return "header" in kept and any(re.fullmatch(r"(sweep|trial)_\d+", name) for name in kept)


def read(path: Path, *, choice: Choice | None = None) -> Recording:
    """Refuse the file, with the reason and the way round.

    Parameters
    ----------
    path
        The file.
    choice
        Not used.

    Raises
    ------
    RecordingError
        Always.
    """
    what = _find_format(path) or "an unknown format"
    raise RecordingError(f"{path.name} is {what}, which is not read as it is: {WAYS.get(what, OF)}")
