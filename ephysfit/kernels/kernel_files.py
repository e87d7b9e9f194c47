"""Generated kernels as modules: a source by content, on disk for workers and tracebacks, its machine code beside it."""

from __future__ import annotations

import hashlib
import linecache
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

from ephysfit import disk_cache
from ephysfit.kernels.background_build import wait_for_build


def store_source(name: str, source: str) -> Path:
    """The file of generated source, under a name that holds the hash of its content; it may not exist."""
    file = f"ephysfit_kernel_{name}_{hashlib.sha256(source.encode()).hexdigest()[:20]}.py"
    for folder in disk_cache.list_folders(disk_cache.KERNELS):
        if _whole(folder / file):
            return folder / file
    disk_cache.find_stored(disk_cache.KERNELS, file)  # warns if the file is damaged
    kept = disk_cache.store(disk_cache.KERNELS, file, source.encode())
    return kept or Path(disk_cache.KERNELS) / file


def _whole(path: Path) -> bool:
    try:
        disk_cache.read_stored(path)
    except OSError:
        return False
    return True


@cache
def load(path: Path, source: str | None = None) -> ModuleType:
    """A generated module; its functions compile when first called unless they are on disk.

    Parameters
    ----------
    path : Path
        As `store_source` returned it.
    source : str, optional
        What is in it; read there unless given.

    Raises
    ------
    OSError
        If it has to be read, and cannot be.
    """
    text = disk_cache.read_stored(path).decode() if source is None else source
    loaded = ModuleType(path.stem)
    vars(loaded).update({"__file__": str(path), disk_cache.DIGEST: hashlib.sha256(text.encode()).hexdigest()})
    linecache.cache[str(path)] = (len(text), None, text.splitlines(keepends=True), str(path))
    sys.modules[path.stem] = loaded
    exec(compile(text, str(path), "exec"), vars(loaded))
    return loaded


def module(name: str, source: str) -> ModuleType:
    """The module of generated source; waits where a worker is compiling it."""
    path = store_source(name, source)
    wait_for_build(path)
    return load(path, source)
