"""Cache on disk of generated code, shared between processes: files are complete, and written only by this user or root.

Cached files are executed later (machine code, sources of kernels) or decide what is executed, so a folder or file that
others may write to is not read, just as ssh does not read such keys. Every file begins with the hash of the rest; one
that was truncated, emptied or overwritten is generated again. If the user's folder cannot be used, a private temporary
folder takes its place, with a warning. Nothing here raises an error: a file that cannot be stored costs time in the
next process, but does not end the run.

::

    HOME/kernels/ephysfit_kernel_*.py   sources of kernels, by content
    HOME/kernels/__pycache__/*.nbc      machine code, by source, argument types, processor, versions
    HOME/readings/*.json                what was read from declarations, by content
"""

from __future__ import annotations

import atexit
import hashlib
import os
import shutil
import stat
import sys
import tempfile
import uuid
import warnings
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

from ephysfit.errors import CacheWarning
from ephysfit.files import flush_to_disk

KERNELS, CODE, READINGS = "kernels", "kernels/__pycache__", "readings"
#: name under which a generated module holds the hash of its own source, which need not be on disk
DIGEST = "__ephysfit_digest__"
#: beginning of a file, a comment in Python: the hash of everything after the line end
_SEAL = b"# ephysfit 1 "
_HASH = 64


def find_cache_folder() -> Path | None:
    """Find the folder of the cache; None if this user has none.

    ``$EPHYSFIT_CACHE``, else a folder in ``$NUMBA_CACHE_DIR``, in ``$XDG_CACHE_HOME`` or in ``.cache`` of the home.
    """
    given = os.environ.get("EPHYSFIT_CACHE")
    if given:
        return _make_absolute(given)
    numba = os.environ.get("NUMBA_CACHE_DIR")
    if numba:
        return _make_absolute(numba) / "ephysfit"
    common = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(common):  # its specification demands that others be ignored
        return Path(common) / "ephysfit"
    own = os.path.expanduser("~")  # stays "~" for a user whom the system does not know
    return Path(own) / ".cache" / "ephysfit" if os.path.isabs(own) and os.path.isdir(own) else None


@cache
def _make_absolute(folder: str) -> Path:
    """Make a path absolute when it is first used, because the process may change its working directory."""
    return Path(os.path.expanduser(folder)).absolute()


def find_stored(where: str, name: str) -> bytes | None:
    """Find the bytes stored under a name; None if there are none, or they are unreadable, damaged or not trusted."""
    trouble = ""
    for place in _iterate_trusted(where):
        path = place / where / name
        try:
            return read_stored(path)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            trouble = trouble or f"{path}: {error.strerror or error}"
    if trouble:
        _warn_once(f"{trouble}; it is made anew, as is whatever else cannot be read there", about="damage")
    return None


def store(where: str, name: str, content: bytes) -> Path | None:
    """Store bytes under a name for later processes; return the path, or None if there is no place for them."""
    whole = _SEAL + hashlib.sha256(content).hexdigest().encode() + b"\n" + content
    refused = ""
    for place in _iterate_trusted(where, make=True):
        if refused:
            instead = f"what is compiled is kept in {place} meanwhile; mend that, or {_WAY_OUT}"
            _warn_once(f"{refused}; {instead}", about="refused")
        try:
            return _write_whole(place / where / name, whole)
        except OSError as error:
            refused = f"{place}: cannot be written ({error.strerror or error})"
    _warn_once(f"{refused or 'no folder can be written'}; nothing is kept, so every process compiles anew; {_WAY_OUT}",
         about="nowhere")  # fmt: skip
    return None


def read_stored(path: Path) -> bytes:
    """Read the content of a stored file.

    Raises
    ------
    OSError
        If it is missing, damaged, or may have been written by someone else.
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)  # a pipe would be waited for
    with os.fdopen(os.open(path, flags), "rb") as file:
        known = os.fstat(file.fileno())
        if not stat.S_ISREG(known.st_mode):
            raise OSError(0, "no file", str(path))
        if why := find_other_writers(known):
            raise OSError(0, why, str(path))
        whole = file.read()
    start = len(_SEAL) + _HASH + 1
    content = whole[start:]
    if whole[:start] != _SEAL + hashlib.sha256(content).hexdigest().encode() + b"\n":
        raise OSError(0, "damaged", str(path))
    return content


def list_folders(where: str) -> list[Path]:
    """List the folders in which something may have been stored."""
    return [place / where for place in _iterate_trusted(where)]


def make_code_name(stem: str, function: str, key: str) -> str:
    """Make the name of the file of a function's machine code for this Python; ``*`` as key matches all.

    Examples
    --------
    >>> make_code_name("kernel", "forward", "12ab").startswith("kernel.forward-12ab.py3")
    True
    """
    return f"{stem}.{function}-{key}.py{sys.version_info.major}{sys.version_info.minor}.nbc"


def find_other_writers(known: os.stat_result) -> str:
    """Find who but this user and root may have written a file or a folder; empty if nobody.

    On Windows the folders of a user are protected by rights that the mode does not show; nothing is refused there.

    Examples
    --------
    >>> import tempfile
    >>> find_other_writers(os.stat(tempfile.mkdtemp()))
    ''
    """
    if not hasattr(os, "geteuid"):
        return ""
    if known.st_uid not in (0, os.geteuid()):
        return f"it belongs to {_name_user(known.st_uid)}"
    if known.st_mode & stat.S_IWOTH:
        return "everyone may write to it"
    if known.st_mode & stat.S_IWGRP and not _is_private_group(known.st_gid):
        return f"the group {_name_group(known.st_gid)} may write to it"
    return ""


_WAY_OUT = "set EPHYSFIT_CACHE to a folder of your own"


def _iterate_trusted(where: str, make: bool = False) -> Iterator[Path]:
    """Iterate over the folders to read from, and with `make` to write to: the user's, then the temporary one."""
    first = find_cache_folder()
    why = "" if first is None else _find_distrusted(first, where)
    if first is not None and not why:
        yield first
    second = _find_spare_folder(first, make or bool(why))
    if why:
        instead = f"{second} is used" if second else "nothing is kept"
        _warn_once(
            f"{why}, so what lies there is not run; {instead} meanwhile; take that right away (chmod go-w, chown), "
            f"or {_WAY_OUT}",
            about="trust",
        )
    if second is None:
        return
    if first is None and make:
        _warn_once(f"this user has no home folder; what is compiled is kept in {second}; or {_WAY_OUT}", about="home")
    yield second


def _find_distrusted(place: Path, where: str) -> str:
    """Find the first folder on the path of the cache that someone else may write to, and who that is."""
    for folder in (place, *(place / part for part in (where.partition("/")[0], where))):
        with suppress(OSError):  # not there yet, or out of reach: then reading and writing fail as well
            if why := find_other_writers(folder.stat()):
                return f"{folder}: {why}"
    return ""


def _find_spare_folder(first: Path | None, make: bool) -> Path | None:
    """Find the temporary folder in place of an unusable one, the same for every process of this user."""
    root = _find_spare_root(make)
    return None if root is None else root / hashlib.sha256(str(first).encode()).hexdigest()[:12]


def _find_spare_root(make: bool) -> Path | None:
    name = f"ephysfit-{os.geteuid()}" if hasattr(os, "geteuid") else "ephysfit"
    try:
        root = Path(tempfile.gettempdir()) / name
        if make:
            with suppress(FileExistsError):
                root.mkdir(mode=0o700)
        known = root.lstat()
    except OSError:  # not there; or no temporary folder at all
        return None
    if stat.S_ISDIR(known.st_mode) and not find_other_writers(known):
        return root
    return _make_private_folder() if make or _make_private_folder.cache_info().currsize else None


@cache
def _make_private_folder() -> Path | None:
    """Make a folder for this process alone, because someone else owns the name of the shared one."""
    try:
        folder = Path(tempfile.mkdtemp(prefix="ephysfit-"))
    except OSError:
        return None
    atexit.register(_remove_folder, folder, os.getpid())
    return folder


def _remove_folder(folder: Path, owner: int) -> None:
    if os.getpid() == owner:  # not in what it forked
        shutil.rmtree(folder, ignore_errors=True)


def _write_whole(path: Path, whole: bytes) -> Path:
    """Write a complete file or none: two processes may write the same one, and each finds a complete file."""
    _make_folder(path.parent)
    beside = path.with_name(f".{uuid.uuid4().hex}.tmp")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    try:
        with os.fdopen(os.open(beside, flags, 0o644), "wb") as file:
            file.write(whole)
        if path.is_dir() and not path.is_symlink():
            path.rmdir()  # holds nothing, or it is an error
        flush_to_disk(beside)
        beside.replace(path)
    finally:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
    return path


def _make_folder(folder: Path) -> None:
    """Make a folder and those above it, writable by this user only, whatever the umask of the process."""
    if not folder.is_dir():
        _make_folder(folder.parent)
        with suppress(FileExistsError):
            folder.mkdir(mode=0o755)


#: matters that this process has warned of
_WARNED: set[str] = set()


def _warn_once(text: str, about: str) -> None:
    """Warn once per process about each matter: a folder of fifty damaged files is one."""
    if about not in _WARNED:
        _WARNED.add(about)
        warnings.warn(text, CacheWarning, stacklevel=4)


def _is_private_group(gid: int) -> bool:
    """Whether a group is this user's own, as many systems give each user one, or root's."""
    uid = os.geteuid()
    if gid == 0:
        return True
    try:
        import grp
        import pwd

        name, members = grp.getgrgid(gid).gr_name, set(grp.getgrgid(gid).gr_mem)
        own = pwd.getpwuid(uid)
    except (ImportError, KeyError):  # in a container neither need have a name
        return gid == uid
    return name == own.pw_name and gid == own.pw_gid and members <= {name}


def _name_user(uid: int) -> str:
    with suppress(ImportError, KeyError):
        import pwd

        return f"the user {pwd.getpwuid(uid).pw_name}"
    return f"the user with number {uid}"


def _name_group(gid: int) -> str:
    with suppress(ImportError, KeyError):
        import grp

        return grp.getgrgid(gid).gr_name
    return f"with number {gid}"
