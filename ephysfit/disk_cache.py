"""Where generated things are kept between processes: whole or not at all, and by nobody but this user and root.

What is kept is run later (machine code, sources of kernels) or decides what is run, so a folder or file that someone
else may write to is not read, as ssh does not read such keys. Every file begins with the hash of the rest: one that was
cut, emptied or overwritten is made anew, and never reaches who would stumble over it. Where the user's folder cannot be
used, a private temporary folder takes its place and a line says so. Nothing here raises: what cannot be kept costs time
in the next process, not the run.

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
#: what a generated module calls the hash of its own source, which need not be on disk
DIGEST = "__ephysfit_digest__"
#: how a file begins, a comment in Python: the hash of what follows the line end
_SEAL = b"# ephysfit 1 "
_HASH = 64


def find_cache_folder() -> Path | None:
    """Where generated things live; None where this user has no folder for it.

    ``$EPHYSFIT_CACHE``, else a folder in ``$NUMBA_CACHE_DIR``, in ``$XDG_CACHE_HOME`` or in ``.cache`` of the home.
    """
    given = os.environ.get("EPHYSFIT_CACHE")
    if given:
        return _make_absolute(given)
    numba = os.environ.get("NUMBA_CACHE_DIR")
    if numba:
        return _make_absolute(numba) / "ephysfit"
    common = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(common):  # others are to be ignored, says its specification
        return Path(common) / "ephysfit"
    own = os.path.expanduser("~")  # stays "~" for a user whom the system does not know
    return Path(own) / ".cache" / "ephysfit" if os.path.isabs(own) and os.path.isdir(own) else None


@cache
def _make_absolute(folder: str) -> Path:
    """Where a folder lay when it was first asked for: the process may go elsewhere."""
    return Path(os.path.expanduser(folder)).absolute()


def find_stored(where: str, name: str) -> bytes | None:
    """What was kept under a name; None where nothing was, or where it cannot be read, is damaged, or not trusted."""
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
    """Keep bytes under a name, for every later process; the path, or None where there is no place for them."""
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
    """The content of a kept file.

    Raises
    ------
    OSError
        If it is not there, damaged, or someone else may have written it.
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
    """Every folder in which something may have been kept."""
    return [place / where for place in _iterate_trusted(where)]


def make_code_name(stem: str, function: str, key: str) -> str:
    """The file of machine code of a function in a source of this stem, for this Python; ``*`` as key matches all.

    Examples
    --------
    >>> make_code_name("kernel", "forward", "12ab").startswith("kernel.forward-12ab.py3")
    True
    """
    return f"{stem}.{function}-{key}.py{sys.version_info.major}{sys.version_info.minor}.nbc"


def find_other_writers(known: os.stat_result) -> str:
    """Who but this user and root may have written a file or a folder; empty where nobody may.

    On Windows the folders of a user are his by rights that a mode does not show; nothing is refused there.

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
    """Places to look in, and with `make` to write to: the user's folder, then the temporary one."""
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
    """The first folder on the way to what is kept that someone else may write to, and who."""
    for folder in (place, *(place / part for part in (where.partition("/")[0], where))):
        with suppress(OSError):  # not there yet, or out of reach: then reading and writing fail as well
            if why := find_other_writers(folder.stat()):
                return f"{folder}: {why}"
    return ""


def _find_spare_folder(first: Path | None, make: bool) -> Path | None:
    """The temporary folder that stands for one that cannot be used; the same for every process of this user."""
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
    """A folder for this process alone: someone else holds the name of the one that all would share."""
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
    """All or nothing: two processes may put the same, and each finds a whole file."""
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
    """A folder and those above it that only this user may write to, whatever the process's umask allows."""
    if not folder.is_dir():
        _make_folder(folder.parent)
        with suppress(FileExistsError):
            folder.mkdir(mode=0o755)


#: what this process has said a line about
_WARNED: set[str] = set()


def _warn_once(text: str, about: str) -> None:
    """One line a process about each matter: a folder of fifty damaged files is one."""
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
