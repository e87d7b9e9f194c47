"""`compiled`: numba's ``njit`` with machine code stored by `disk_cache`.

numba's own ``cache=True`` writes into the installation, which need not be writable; it ends in a traceback where a file
is damaged or no folder can be written, and loses entries where two processes write at once.
"""

from __future__ import annotations

import hashlib
import pickle
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FunctionType
from typing import Any

import llvmlite
import numba
from numba.core.compiler import CompileResult
from numba.core.serialize import dumps

from ephysfit import disk_cache
from ephysfit.errors import CacheWarning

#: hash of this module's source, which determines how numba is called
_OURS = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
#: machine code is valid for these versions only
_VERSIONS = f"{sys.version} {numba.__version__} {llvmlite.__version__} {_OURS}"


def compiled(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Compile a function of a module when it is first called; later processes load its machine code.

    Parameters
    ----------
    **options
        Options of ``numba.njit``.

    Examples
    --------
    >>> compiled(nogil=True)(lambda x: x + 1)(2)
    3
    """

    def decorate(function: Callable[..., Any]) -> Any:
        """Compile a function, with its machine code cached."""
        dispatcher = numba.njit(**options)(function)
        assert isinstance(function, FunctionType)
        source = _hash_source(function)
        if source and hasattr(dispatcher, "enable_caching"):  # with NUMBA_DISABLE_JIT=1 it is the function itself
            dispatcher._cache = _Cache(function, source)
        return dispatcher

    return decorate


def _hash_source(function: FunctionType) -> str:
    """Hash the source of a function's module; empty if it is not available, or does not determine the function."""
    if function.__closure__ or function.__name__ == "<lambda>":
        return ""
    known = function.__globals__.get(disk_cache.DIGEST)
    if known:
        return str(known)
    with suppress(OSError, AttributeError):
        loader = function.__globals__["__spec__"].loader
        return hashlib.sha256(loader.get_data(function.__code__.co_filename)).hexdigest()
    return ""


class _Cache:
    """The cache of a dispatcher: one file of machine code per function and argument types."""

    def __init__(self, function: FunctionType, source: str) -> None:
        self._stem, self._function = Path(function.__code__.co_filename).stem, function.__qualname__
        self._source = source
        self._enabled = True

    @property
    def cache_path(self) -> str | None:
        """Folder of new code, as numba's statistics show it."""
        home = disk_cache.find_cache_folder()
        return None if home is None else str(home / disk_cache.CODE)

    def enable(self) -> None:
        """Load and store code from now on."""
        self._enabled = True

    def disable(self) -> None:
        """Neither load nor store code from now on."""
        self._enabled = False

    def flush(self) -> None:
        """Do nothing, because code of another source has another name."""

    def load_overload(self, types: Any, target: Any) -> Any:
        """Load the code for these argument types on this processor; None if there is none."""
        target.refresh()
        if not self._enabled:
            return None
        stored = disk_cache.find_stored(disk_cache.CODE, self._make_file_name(types, target.codegen()))
        if stored is None:
            return None
        try:
            return CompileResult._rebuild(target, *pickle.loads(stored))
        except Exception as error:  # whole, and yet this numba cannot take it: then it is compiled
            self._warn(error)
            return None

    def save_overload(self, types: Any, result: Any) -> None:
        """Store code, unless it holds addresses of this process."""
        lifted = any(not part.can_cache for part in result.lifted)
        if not self._enabled or lifted or result.library.has_dynamic_globals:
            return
        try:
            content = dumps(result._reduce())
        except Exception as error:
            self._warn(error)
            return
        disk_cache.store(disk_cache.CODE, self._make_file_name(types, result.codegen), content)

    def _make_file_name(self, types: Any, codegen: Any) -> str:
        key = hashlib.sha256(f"{types} {codegen.magic_tuple()} {self._source} {_VERSIONS}".encode()).hexdigest()[:20]
        return disk_cache.make_code_name(self._stem, self._function, key)

    def _warn(self, error: Exception) -> None:
        what = f"{type(error).__name__}: {str(error)[:200]}"
        text = (
            f"numba {numba.__version__} cannot keep or load {self._stem}.{self._function} ({what}); it is compiled anew"
        )
        warnings.warn(text, CacheWarning, stacklevel=2)
