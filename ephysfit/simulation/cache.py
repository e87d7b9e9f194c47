"""Generated kernels on disk: one module per content, so that the next process loads instead of compiling."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

from ephysfit.neuron.kept import home
from ephysfit.simulation.ahead import arrived


def folder() -> Path:
    """Where generated kernels live."""
    return home() / "kernels"


def written(name: str, source: str) -> Path:
    """The file of generated source, written once under a name that holds the hash of its content.

    The file is what numba keys its own on-disk cache by, so it is never rewritten.
    """
    digest = hashlib.sha256(source.encode()).hexdigest()[:20]
    path = folder() / f"ephysfit_kernel_{name}_{digest}.py"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(f".{os.getpid()}.tmp")
        partial.write_text(source, encoding="utf-8")
        partial.replace(path)
    return path


@cache
def load(path: Path) -> ModuleType:
    """Import a generated module; its functions compile when first called unless they are on disk."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = loaded
    spec.loader.exec_module(loaded)
    return loaded


def module(name: str, source: str) -> ModuleType:
    """Import generated source; waits where a worker is compiling it."""
    path = written(name, source)
    arrived(path)
    return load(path)
