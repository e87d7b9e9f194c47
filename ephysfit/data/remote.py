"""Remote files: NWB at http(s)://, s3:// or dandi:// addresses, of which only the bytes needed are fetched."""

from __future__ import annotations

import gc
import io
import json
import queue
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from ephysfit.data import access
from ephysfit.errors import RecordingError, needed

SCHEMES = ("http", "https", "s3", "dandi")
#: interface of the archive, which gives the addresses of its assets
DANDI = "https://api.dandiarchive.org/api"
#: bytes of one request: headers of NWB files are scattered, so small ones waste less
PIECE = 64 * 1024
#: bytes of the largest request
MOST = 8 * 2**20
#: growth of requests while the reading is sequential
GROWTH = 1.7
#: bytes of one file that are stored at most
MOST_STORED = 10**9
#: tries of a request that fails temporarily, and seconds before the second, doubled each time
TRIES, WAIT = 4, 0.5
#: how much longer than one silence a whole request may take
TOTAL = 5
BUSY = (408, 425, 429, 500, 502, 503, 504)
REFUSED = {
    401: "so it wants a password, which cannot be given here: download the file",
    403: "so it may not be read, or a signed address has run out",
    404: "so there is no such file",
    410: "so the file is gone",
    416: "so the file is empty or shorter than it said",
}


def is_remote(source: object) -> bool:
    """Whether a source is an address and not a path.

    Examples
    --------
    >>> is_remote("https://host/cell.nwb"), is_remote("C:/data/cell.nwb"), is_remote("cell.nwb")
    (True, False, False)
    """
    return isinstance(source, str) and "://" in source and source.split("://", 1)[0].lower() in SCHEMES


class Remote:
    """A file at an address, with the interface of a path; it is opened once and stores what it has fetched.

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
        #: whether the file is known to take nothing from other files
        self.alone = False

    def __str__(self) -> str:
        return self.address

    @cached_property
    def file(self) -> Fetched:
        """The file, open for reading; servers must allow range requests."""
        return Fetched(resolve_address(self.address), self.name)

    @property
    def fault(self) -> RecordingError | None:
        """The error of the network, if a request failed."""
        opened: Fetched | None = self.__dict__.get("file")
        return None if opened is None else opened.fault

    def open(self, mode: str = "rb") -> Fetched:
        """Open the file at its beginning."""
        self.file.seek(0)
        return self.file


class Fetched(io.RawIOBase):
    """A remote file as a binary file of Python.

    It is fetched in pieces, which are stored, and in larger ones while the reading is sequential.
    """

    def __init__(self, url: str, name: str) -> None:
        self._server = Server(url, name)
        #: error of a request, for callers behind a library that hides errors
        self.fault: RecordingError | None = None
        self._pieces = {0: self._server.fetch_part(0, PIECE - 1)}
        self.size = self._server.size
        self._at, self._ahead, self._last = 0, 1, 0

    def readable(self) -> bool:
        """Whether the file can be read: it can."""
        return True

    def seekable(self) -> bool:
        """Whether the position can be changed: it can."""
        return True

    def close(self) -> None:
        """Do nothing, because the bytes fetched serve the next reader."""

    def tell(self) -> int:
        """Position of the next byte."""
        return self._at

    def seek(self, offset: int, whence: int = 0) -> int:
        """Change the position, from the beginning (0), the position (1) or the end (2) of the file."""
        self._at = offset + (0, self._at, self.size)[whence]
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer with the next bytes, and return their number."""
        if self.fault is not None:
            raise self.fault  # libhdf5 would continue with the next object, and wait again
        count = min(len(buffer), max(self.size - self._at, 0))
        end = self._at + count
        for k in range(self._at // PIECE, -(-end // PIECE)):
            try:
                piece = self._fetch_piece(k, -(-end // PIECE) - k)
            except RecordingError as error:
                self.fault = error
                raise
            first, last = max(self._at, k * PIECE), min(end, (k + 1) * PIECE)
            buffer[first - end + count : last - end + count] = piece[first - k * PIECE : last - k * PIECE]
        self._at = end
        return count

    def _fetch_piece(self, k: int, wanted: int) -> bytes:
        """Fetch the piece at a position, the first of `wanted` pieces to be read."""
        if k not in self._pieces:
            self._ahead = int(self._ahead * GROWTH + 1) if k == self._last + 1 else max(int(self._ahead / GROWTH), 1)
            self._ahead = min(max(self._ahead, wanted), MOST // PIECE)
            count = next((j for j in range(1, self._ahead) if k + j in self._pieces), self._ahead)
            got = self._server.fetch_part(k * PIECE, min((k + count) * PIECE, self.size) - 1)
            for j in range(-(-len(got) // PIECE)):
                self._pieces[k + j] = got[j * PIECE : (j + 1) * PIECE]
            while len(self._pieces) > MOST_STORED // PIECE:
                self._pieces.pop(next(one for one in self._pieces if one != k))
            self._last = k + count - 1
        else:
            self._last = max(self._last, k)
        return self._pieces[k]


class Server:
    """A server that sends parts of one file, or a sentence on why it cannot.

    Temporary failures (a busy server, a broken connection) are tried `TRIES` times. Permanent ones (no such file, no
    permission, no such host, an invalid certificate) fail at once, as does a server that takes longer than
    `load(timeout=...)` allows.
    """

    def __init__(self, url: str, name: str) -> None:
        needed("requests", "dandi", f"{name}: reading over the network", RecordingError)
        import requests

        self.url, self.name, self.size = url, name, -1
        self.host = urlsplit(url).netloc
        self._version = ""
        self._session = requests.Session()

    def fetch_part(self, first: int, last: int) -> bytes:
        """Fetch the bytes from `first` to `last`, both included."""
        return self.fetch({"Range": f"bytes={first}-{last}"}, lambda answer: self._check_range(answer, first, last))

    def fetch(
        self, headers: dict[str, str] | None = None, check: Callable[[Any], int | None] = lambda _: None
    ) -> bytes:
        """Fetch the whole answer of the server.

        Parameters
        ----------
        headers
            Headers of the request.
        check
            Function that finds the length of an answer from its headers; None if any length is valid.
        """
        for tried in range(1, TRIES + 1):
            try:
                return self._request({"Accept-Encoding": "identity", **(headers or {})}, check)
            except _PassingError as error:
                if tried == TRIES:
                    raise self._make_error(f"cannot be fetched, tried {TRIES} times: {error}") from error
                time.sleep(WAIT * 2 ** (tried - 1))
        raise AssertionError("unreachable")

    def _make_error(self, text: str) -> RecordingError:
        return RecordingError(f"{self.name}: {text}")

    def _request(self, headers: dict[str, str], check: Callable[[Any], int | None]) -> bytes:
        """Make one request, in a thread: resolving a name and reading headers that arrive slowly have no timeout."""
        seconds = access.current_access().timeout
        answers: queue.SimpleQueue[bytes | BaseException] = queue.SimpleQueue()

        def work() -> None:
            try:
                answers.put(self._get(headers, seconds, check))
            except BaseException as error:  # raised in the caller's thread
                answers.put(error)

        try:
            with _garbage_collection.paused():
                threading.Thread(target=work, name=f"fetch {self.name}", daemon=True).start()
                got = answers.get(timeout=TOTAL * seconds)
        except queue.Empty:
            raise self._make_error(
                f"{self.host} is too slow: one request of at most {MOST // 2**20} MB took more than "
                f"{TOTAL * seconds:g} s; allow more with timeout= (-O timeout=60), or download the file"
            ) from None
        if isinstance(got, BaseException):
            raise got
        return got

    def _get(self, headers: dict[str, str], seconds: float, check: Callable[[Any], int | None]) -> bytes:
        import requests
        from urllib3.exceptions import HTTPError

        try:
            with self._session.get(self.url, headers=headers, timeout=seconds, stream=True) as answer:
                self._check_status(answer)
                wanted = check(answer)
                body = _read_body(answer.raw, time.monotonic() + TOTAL * seconds)
        except RecordingError:
            raise
        except (requests.exceptions.RequestException, HTTPError, OSError, ValueError) as error:
            raise self._explain(error, seconds) from error
        if wanted is not None and len(body) != wanted:
            raise _PassingError(f"{len(body)} bytes came where {wanted} were asked for")
        return body

    def _check_status(self, answer: Any) -> None:
        code = int(answer.status_code)
        if code in BUSY:
            raise _PassingError(f"the server says {code} {answer.reason}")
        if code not in (200, 206):
            why = REFUSED.get(code, "")
            raise self._make_error(f"cannot be fetched: the server says {code} {answer.reason}{why and f', {why}'}")

    def _check_range(self, answer: Any, first: int, last: int) -> int:
        """Find the number of bytes in the answer; raise an error if they are not those requested."""
        said = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", answer.headers.get("Content-Range", "").strip())
        if answer.status_code == 200 or said is None:
            raise self._make_error(f"{self.host} does not send parts of a file (it ignores Range); download the file")
        begin, end, size = map(int, said.groups())
        version = f"{size} {answer.headers.get('ETag', '')} {answer.headers.get('Last-Modified', '')}"
        if self.size < 0:
            self.size, self._version = size, version
        if version != self._version:
            raise self._make_error("changed on its server while it was read; load it again")
        if (begin, end) != (first, min(last, size - 1)):
            raise self._make_error(f"{self.host} sent bytes {begin} to {end} where {first} to {last} were asked for")
        return end - begin + 1

    def _explain(self, error: BaseException, seconds: float) -> Exception:
        """Explain a failure of the network, and whether it is temporary."""
        import requests
        import urllib3

        causes = [type(one) for one in _iterate_causes(error)]
        if isinstance(error, _PassingError):
            return error
        if any(issubclass(c, requests.exceptions.Timeout | urllib3.exceptions.ReadTimeoutError) for c in causes):
            return self._make_error(
                f"{self.host} did not answer, or stopped in the middle, for {seconds:g} s; allow more with timeout= "
                "(-O timeout=60)"
            )
        if any(issubclass(c, requests.exceptions.SSLError) for c in causes):
            return self._make_error(f"{self.host} has no certificate that can be trusted ({_describe_cause(error)})")
        if any(issubclass(c, urllib3.exceptions.NewConnectionError) for c in causes):
            return self._make_error(f"{self.host} does not answer ({_describe_cause(error)})")
        broken = requests.exceptions.ConnectionError, requests.exceptions.ChunkedEncodingError
        if isinstance(error, (*broken, urllib3.exceptions.ProtocolError)):
            return _PassingError(f"the connection broke ({_describe_cause(error)})")
        return self._make_error(f"cannot be fetched ({_describe_cause(error)})")


class _GarbageCollection:
    """Python's garbage collection, paused while a thread is waited for.

    libhdf5 reads through this module while h5py holds its lock. The garbage collector may run in any thread and waits
    for that lock when it deletes an old file of h5py. In the thread that is waited for, this is a deadlock.
    """

    def __init__(self) -> None:
        self._lock, self._waiting, self._was = threading.Lock(), 0, False

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Pause the collection within a ``with`` block, also where several threads do so at once."""
        with self._lock:
            if not self._waiting:
                self._was = gc.isenabled()
                gc.disable()
            self._waiting += 1
        try:
            yield
        finally:
            with self._lock:
                self._waiting -= 1
                if not self._waiting and self._was:
                    gc.enable()


_garbage_collection = _GarbageCollection()


def _read_body(raw: Any, until: float) -> bytes:
    """Read the body of an answer as it arrives; stop at a time limit, so that the thread ends."""
    some = getattr(raw, "read1", None)  # of urllib3 from 2.3: what is there, however little
    blocks = []
    while block := some(65536) if some is not None else raw.read(256):
        blocks.append(block)
        if time.monotonic() > until:
            break
    return b"".join(blocks)


class _PassingError(OSError):
    """A temporary failure, which is tried again."""


def _iterate_causes(error: BaseException) -> Iterator[BaseException]:
    """Iterate over an error and its causes, as requests and urllib3 wrap them."""
    now: Any = error
    for _ in range(10):
        if not isinstance(now, BaseException):
            return
        yield now
        inside = [one for one in (getattr(now, "reason", None), *now.args) if isinstance(one, BaseException)]
        now = inside[0] if inside else now.__cause__ or now.__context__


def _describe_cause(error: BaseException) -> str:
    """Describe the innermost cause of an error in a few words."""
    innermost = list(_iterate_causes(error))[-1]
    return (getattr(innermost, "strerror", None) or str(innermost) or type(innermost).__name__).splitlines()[0][:160]


def resolve_address(address: str) -> str:
    """Resolve the http address of a file.

    Examples
    --------
    >>> resolve_address("s3://dandiarchive/blobs/d86/055/x")
    'https://dandiarchive.s3.amazonaws.com/blobs/d86/055/x'
    """
    parts = urlsplit(address)
    if parts.scheme == "s3":
        return f"https://{parts.netloc}.s3.amazonaws.com{parts.path}"
    return _resolve_asset(parts.netloc, parts.path.strip("/")) if parts.scheme == "dandi" else address


def _resolve_asset(dandiset: str, path: str) -> str:
    """Resolve the address of an asset of the DANDI archive."""
    number, _, version = dandiset.partition("@")
    query = f"{DANDI}/dandisets/{number}/versions/{version or 'draft'}/assets/?path={quote(unquote(path))}"
    answer = Server(query, f"dandi://{dandiset}/{path}").fetch()
    try:
        found = json.loads(answer)["results"]
    except (ValueError, KeyError, TypeError) as error:
        raise RecordingError(f"dandi://{dandiset}/{path}: the archive answers what is no list ({error})") from error
    exact = [asset for asset in found if asset["path"] == unquote(path)]
    if not exact:
        near = ", ".join(asset["path"] for asset in found[:3])
        raise RecordingError(
            f"dandi://{dandiset}/{path}: no such asset" + (f"; paths that begin so: {near}" if near else "")
        )
    return f"{DANDI}/assets/{exact[0]['asset_id']}/download/"
