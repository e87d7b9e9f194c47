"""What is read from a declaration once is kept on disk: the next process needs no sympy for it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from functools import cache, wraps
from typing import Any

from ephysfit import disk_cache
from ephysfit.neuron.declare import Neuron
from ephysfit.neuron.fingerprint import fingerprint_of


def remembered_on_disk(read: Callable[..., Any]) -> Callable[..., Any]:
    """Remember ``read(neuron, *words)``, in this process and by the declaration's content on disk.

    Parameters
    ----------
    read : callable
        Depends on nothing but the declaration and its further arguments, which must print alike in every process;
        returns what JSON can hold (tuples come back as tuples).
    """

    @cache
    @wraps(read)
    def found(neuron: type[Neuron], *words: Any) -> Any:
        name = _name(read.__qualname__, neuron, words)
        known = disk_cache.find_stored(disk_cache.READINGS, name) if name else None
        if known is not None:
            return _tuples(json.loads(known))
        value = _as_from_disk(read(neuron, *words))
        # a global that the declaration reads may have changed since its fingerprint was taken
        if name and fingerprint_of.__wrapped__(neuron) == fingerprint_of(neuron):
            disk_cache.store(disk_cache.READINGS, name, json.dumps(value).encode())
        return value

    return found


def _name(what: str, neuron: type[Neuron], words: tuple[Any, ...]) -> str:
    """The name of the file on disk; empty where the declaration has no hash."""
    key = fingerprint_of(neuron)
    if key is None:
        return ""
    digest = hashlib.sha256(f"{key} {words!r}".encode()).hexdigest()[:24]
    return f"{neuron.__name__}_{what.strip('_')}_{digest}.json"


def _as_from_disk(value: Any) -> Any:
    """The value as it will come back from disk."""
    return _tuples(json.loads(json.dumps(value)))


def _tuples(value: Any) -> Any:
    return tuple(_tuples(v) for v in value) if isinstance(value, list) else value
