"""Generated kernels on disk: one module per content, so that the next process loads instead of compiling."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
from functools import cache
from pathlib import Path
from types import ModuleType


def folder() -> Path:
    """Where generated kernels live: ``$EPHYSFIT_CACHE``, else the user's cache folder."""
    given = os.environ.get("EPHYSFIT_CACHE")
    base = Path(given) if given else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ephysfit"
    return base / "kernels"


@cache
def module(name: str, source: str) -> ModuleType:
    """Import generated source as a module, written once under a name that holds the hash of its content.

    The file is what numba keys its own on-disk cache by, so it is never rewritten.
    """
    digest = hashlib.sha256(source.encode()).hexdigest()[:20]
    full = f"ephysfit_kernel_{name}_{digest}"
    path = folder() / f"{full}.py"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(f".{os.getpid()}.tmp")
        partial.write_text(source, encoding="utf-8")
        partial.replace(path)
    spec = importlib.util.spec_from_file_location(full, path)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[full] = loaded
    spec.loader.exec_module(loaded)
    return loaded
