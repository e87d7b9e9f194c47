"""What is read from a declaration once is kept on disk: the next process needs no sympy for it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from functools import cache, wraps
from pathlib import Path
from typing import Any

from ephysfit.neuron.content import content
from ephysfit.neuron.declare import Neuron


def home() -> Path:
    """Where generated things live: ``$EPHYSFIT_CACHE``, else the user's cache folder."""
    given = os.environ.get("EPHYSFIT_CACHE")
    return Path(given) if given else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ephysfit"


def kept(read: Callable[..., Any]) -> Callable[..., Any]:
    """Remember ``read(neuron, *words)``, in this process and by the declaration's content on disk.

    Parameters
    ----------
    read : callable
        Depends on nothing but the declaration and its further arguments, which print alike in every process; gives
        what JSON holds (tuples come back as tuples).
    """

    @cache
    @wraps(read)
    def found(neuron: type[Neuron], *words: Any) -> Any:
        path = _path(read.__qualname__, neuron, words)
        if path is None:
            return _plain(read(neuron, *words))
        try:
            return _tuples(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError):  # not there yet, or cut off
            value = _plain(read(neuron, *words))
            if content.__wrapped__(neuron) == content(neuron):  # else a global it reads was changed since
                _write(path, json.dumps(value))
            return value

    return found


def _path(what: str, neuron: type[Neuron], words: tuple) -> Path | None:
    key = content(neuron)
    if key is None:
        return None
    digest = hashlib.sha256(f"{key} {words!r}".encode()).hexdigest()[:24]
    return home() / "readings" / f"{neuron.__name__}_{what.strip('_')}_{digest}.json"


def _plain(value: Any) -> Any:
    """As it will come back from disk."""
    return _tuples(json.loads(json.dumps(value)))


def _tuples(value: Any) -> Any:
    return tuple(_tuples(v) for v in value) if isinstance(value, list) else value


def _write(path: Path, text: str) -> None:
    """All or nothing; a folder that cannot be written to costs time in the next process, not the run."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(f".{os.getpid()}.tmp")
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    except OSError:
        return
