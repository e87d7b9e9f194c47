"""Files that stay where they are: NWB by http(s), s3:// or dandi://, of which only the bytes asked for are fetched."""

from __future__ import annotations

import io
import json
import socket
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any
from urllib.error import URLError
from urllib.parse import quote, unquote, urlsplit
from urllib.request import getproxies, urlopen

from ephysfit.errors import RecordingError

SCHEMES = ("http", "https", "s3", "dandi")
#: the archive's own interface: where an asset's bytes are
DANDI = "https://api.dandiarchive.org/api"
#: bytes of one request: headers of NWB files are scattered, so small ones waste less
PIECE = 64 * 1024
SECONDS = 60


def is_remote(source: object) -> bool:
    """Whether a source is an address and not a path.

    Examples
    --------
    >>> is_remote("https://host/cell.nwb"), is_remote("C:/data/cell.nwb"), is_remote("cell.nwb")
    (True, False, False)
    """
    return isinstance(source, str) and "://" in source and source.split("://", 1)[0].lower() in SCHEMES


class Remote:
    """What a reader needs of a path, for a file at an address; it is opened once and keeps what it has fetched.

    Parameters
    ----------
    address
        ``https://host/cell.nwb``, ``s3://bucket/key.nwb``, or ``dandi://000020/sub-1/sub-1_icephys.nwb`` (of the draft,
        or with ``@version`` after the number).
    """

    def __init__(self, address: str) -> None:
        self.address = address
        path = PurePosixPath(unquote(urlsplit(address).path))
        self.name = path.name or address
        self.stem, self.suffix = path.stem or address, path.suffix
        #: whether it is known to take nothing from other files
        self.alone = False

    def __str__(self) -> str:
        return self.address

    @cached_property
    def file(self) -> Fetched:
        """The file, open for reading; servers must allow range requests."""
        return Fetched(located(self.address), self.name)

    def open(self, mode: str = "rb") -> Fetched:
        """The same file again, at its beginning."""
        self.file.seek(0)
        return self.file


class Fetched(io.RawIOBase):
    """A remote file as Python's own kind of file: what remfile gives, with its errors as `OSError`."""

    def __init__(self, url: str, name: str) -> None:
        try:
            import remfile
        except ImportError:
            raise RecordingError(f"{name}: reading over the network needs remfile: install ephysfit[dandi]") from None
        self._name = name
        _knock(url, name)
        self._file = self._tried(lambda: remfile.File(url, _min_chunk_size=PIECE))
        self.size = int(self._file.length)

    def _tried(self, fetch: Any) -> Any:
        try:
            return fetch()
        except Exception as error:  # remfile raises bare Exception for whatever the server answered
            raise RecordingError(f"{self._name}: cannot be fetched ({str(error).splitlines()[0][:200]})") from error

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def close(self) -> None:
        """Nothing: the bytes fetched serve the next reader."""

    def tell(self) -> int:
        return int(self._file.tell())

    def seek(self, offset: int, whence: int = 0) -> int:
        self._file.seek(offset, whence)
        return self.tell()

    def readinto(self, buffer: Any) -> int:
        count = min(len(buffer), max(self.size - self.tell(), 0))
        if count:
            got = self._tried(lambda: self._file.read(count))
            buffer[: len(got)] = got
            return len(got)
        return 0


def _knock(url: str, name: str) -> None:
    """Raise at once where nobody is there: remfile asks for half a minute. Behind a proxy only it can tell."""
    parts = urlsplit(url)
    if getproxies() or not parts.hostname:
        return
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((parts.hostname, port), timeout=20).close()
    except OSError as error:
        raise RecordingError(f"{name}: {parts.hostname}:{port} does not answer ({error.strerror or error})") from None


def located(address: str) -> str:
    """The http address of a file.

    Examples
    --------
    >>> located("s3://dandiarchive/blobs/d86/055/x")
    'https://dandiarchive.s3.amazonaws.com/blobs/d86/055/x'
    """
    parts = urlsplit(address)
    if parts.scheme == "s3":
        return f"https://{parts.netloc}.s3.amazonaws.com{parts.path}"
    return _asset(parts.netloc, parts.path.strip("/")) if parts.scheme == "dandi" else address


def _asset(dandiset: str, path: str) -> str:
    """Where the bytes of an asset of the DANDI archive are."""
    number, _, version = dandiset.partition("@")
    query = f"{DANDI}/dandisets/{number}/versions/{version or 'draft'}/assets/?path={quote(unquote(path))}"
    try:
        with urlopen(query, timeout=SECONDS) as answer:
            found = json.load(answer)["results"]
    except (URLError, OSError, ValueError, KeyError) as error:
        raise RecordingError(f"dandi://{dandiset}/{path}: the archive does not answer ({error})") from error
    exact = [asset for asset in found if asset["path"] == unquote(path)]
    if not exact:
        near = ", ".join(asset["path"] for asset in found[:3])
        raise RecordingError(
            f"dandi://{dandiset}/{path}: no such asset" + (f"; paths that begin so: {near}" if near else "")
        )
    return f"{DANDI}/assets/{exact[0]['asset_id']}/download/"
