"""What a declaration says, as a hash: equal for equal equations, different once anything they read has changed.

What is read from a declaration in symbols is kept on disk under this hash, so it must miss nothing: the compiled code
of every method of the class and its bases, what they close over, the globals they name (helpers and constants, of the
user's own modules too) and everything those read in turn. Where something cannot be followed there is no hash, and
nothing is kept.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np

from ephysfit.neuron.declare import Neuron

#: attributes that Python or `Neuron` make from the others, or that no equation reads
_NOT_EQUATIONS = frozenset(
    {
        "State", "__doc__", "__module__", "__dict__", "__weakref__", "__annotations__", "__annotate__",
        "__annotate_func__", "__annotations_cache__", "__static_attributes__", "__firstlineno__",
    }
)  # fmt: skip
#: the package's own folder
PACKAGE = Path(__file__).parents[1]
#: modules, and folders with all that lies below, which read declarations and write kernels, or are imported by those
#: that do: one that is missing here could change and what it made before would still be loaded (a test looks)
SOURCES = (
    "arrays.py", "compiling.py", "disk_cache.py", "errors.py", "files.py", "html_tables.py", "kernels", "neuron",
    "reports/equations.py", "reports/mathml.py", "reports/shown_equations.py", "simulation", "system.py",
    "torch_on_use.py", "units.py",
)  # fmt: skip


class _UntraceableError(Exception):
    """Something a declaration reads cannot be followed."""


@cache
def fingerprint_of(neuron: type[Neuron]) -> str | None:
    """The hash of a declaration; None where it reads what cannot be followed (an object of an unknown class, say).

    Examples
    --------
    >>> from ephysfit.models.lif import LIF
    >>> fingerprint_of(LIF) == fingerprint_of(LIF.pin("LIF", t_ref=2.0))
    False
    """
    visited: dict[int, int] = {}
    out = hashlib.sha256(f"{sys.version} {library()}".encode())
    try:
        for word in _describe(neuron, visited):
            out.update(word.encode() + b"\0")
    except (_UntraceableError, RecursionError):
        return None
    return out.hexdigest()


@cache
def library() -> str:
    """A hash of what reads declarations and writes kernels: `SOURCES` and sympy's version."""
    return hashlib.sha256(f"{digest(SOURCES)} {version('sympy')}".encode()).hexdigest()


def digest(parts: Iterable[str], root: Path = PACKAGE) -> str:
    """A hash of sources: of every file's place and content.

    Parameters
    ----------
    parts : iterable of str
        Modules (``"units.py"``) and folders (``"neuron"``, with all modules at any depth) below `root`.
    root : Path
        The package, or a copy of it.

    Raises
    ------
    OSError
        If a part is not there: a list that names a moved file would hash nothing in its place.
    """
    out = hashlib.sha256()
    for path in files(parts, root):
        text = path.read_bytes()
        out.update(f"{path.relative_to(root).as_posix()} {len(text)}\0".encode() + text)
    return out.hexdigest()


def files(parts: Iterable[str], root: Path = PACKAGE) -> list[Path]:
    """The modules that `digest` reads, sorted by place."""
    return sorted(file for part in parts for file in _modules(root / part))


def _modules(path: Path) -> list[Path]:
    return list(path.rglob("*.py")) if path.is_dir() else [path]


def _describe(value: Any, visited: dict[int, int]) -> Iterator[str]:
    """Words that identify a value."""
    if value is None or isinstance(value, (bool, int, float, complex, str, bytes, range, type(Ellipsis))):
        yield f"{type(value).__name__} {value!r}"
        return
    if isinstance(value, (type, FunctionType)):  # these may lead back to themselves, and are never created anew
        if id(value) in visited:
            yield f"again {visited[id(value)]}"
            return
        visited[id(value)] = len(visited)
    for kind, describe in _DESCRIBERS:
        if isinstance(value, kind):
            yield from describe(value, visited)
            return
    if is_dataclass(value):
        yield type(value).__qualname__
        yield from _describe_each([getattr(value, f.name) for f in fields(value)], visited)
        return
    yield from _describe(value.__wrapped__, visited) if hasattr(value, "__wrapped__") else [_name_of_foreign(value)]


def _describe_each(values: Any, visited: dict[int, int]) -> Iterator[str]:
    yield f"{len(values)} of"
    for value in values:
        yield from _describe(value, visited)


def _describe_mapping(value: Mapping[Any, Any], visited: dict[int, int]) -> Iterator[str]:
    yield from _describe_each([*value.keys(), *value.values()], visited)


def _describe_set(value: Any, visited: dict[int, int]) -> Iterator[str]:
    yield from _describe_each(sorted(value, key=repr), visited)


def _describe_array(value: np.ndarray, visited: dict[int, int]) -> Iterator[str]:
    yield f"{value.dtype} {value.shape} {value.tobytes().hex()}"


def _describe_partial(value: partial[Any], visited: dict[int, int]) -> Iterator[str]:
    yield from _describe_each([value.func, value.args, value.keywords], visited)


def _describe_method(value: Any, visited: dict[int, int]) -> Iterator[str]:
    yield type(value).__name__
    yield from _describe(value.__func__, visited)


def _describe_property(value: property, visited: dict[int, int]) -> Iterator[str]:
    yield from _describe_each([value.fget, value.fset], visited)


def _describe_class(value: type, visited: dict[int, int]) -> Iterator[str]:
    if _is_versioned(value.__module__):
        yield _name_of_foreign(value)
        return
    yield value.__name__
    for base in value.__mro__[:-1]:
        if not _is_versioned(base.__module__):
            own = {k: v for k, v in vars(base).items() if k not in _NOT_EQUATIONS}
            yield from _describe_mapping(own, visited)


def _describe_function(value: FunctionType, visited: dict[int, int]) -> Iterator[str]:
    if _is_versioned(value.__module__):
        yield _name_of_foreign(value)
        return
    yield from _describe_each([value.__defaults__, value.__kwdefaults__, value.__code__], visited)
    yield from _describe_each([cell.cell_contents for cell in value.__closure__ or ()], visited)
    names = _names_in(value.__code__)
    for name in names:
        if name in value.__globals__:
            yield name
            yield from _describe_global(value.__globals__[name], names, visited)


def _describe_global(value: Any, names: list[str], visited: dict[int, int]) -> Iterator[str]:
    """Describe only what the code may take from a module."""
    if not isinstance(value, ModuleType) or _is_versioned(value.__name__):
        yield from _describe(value, visited)
        return
    for name in names:
        if name in vars(value):
            yield name
            yield from _describe_global(vars(value)[name], names, visited)


def _describe_code(value: CodeType, visited: dict[int, int]) -> Iterator[str]:
    yield value.co_code.hex()
    yield from _describe_each([value.co_names, value.co_varnames, value.co_freevars, value.co_cellvars], visited)
    yield from _describe_each(value.co_consts, visited)


def _names_in(code: CodeType) -> list[str]:
    """Names that code and the functions inside it look up."""
    inner = [n for c in code.co_consts if isinstance(c, CodeType) for n in _names_in(c)]
    return list(dict.fromkeys([*code.co_names, *inner]))


def _describe_module(value: ModuleType, visited: dict[int, int]) -> Iterator[str]:
    yield _name_of_foreign(value)


_DESCRIBERS: tuple[tuple[Any, Callable[[Any, dict[int, int]], Iterator[str]]], ...] = (
    ((tuple, list), _describe_each),
    (Mapping, _describe_mapping),
    ((set, frozenset), _describe_set),
    ((staticmethod, classmethod), _describe_method),
    (property, _describe_property),
    (partial, _describe_partial),
    (np.ndarray, _describe_array),
    (type, _describe_class),
    (FunctionType, _describe_function),
    (CodeType, _describe_code),
    (ModuleType, _describe_module),
)


def _is_versioned(module: str | None) -> bool:
    """Whether a version identifies a module's content: installed packages, Python's own, and those `library` hashes."""
    return _version_of(module or "") is not None


@cache
def _version_of(module: str) -> str | None:
    top = module.partition(".")[0]
    if _is_hashed(module) or top in sys.stdlib_module_names:
        return ""
    if top not in ("numpy", "scipy", "sympy", "torch"):
        return None
    try:
        return version(top)
    except PackageNotFoundError:
        return None


def _is_hashed(module: str) -> bool:
    """Whether `library` holds the content of a module."""
    homes = [f"ephysfit.{part.removesuffix('.py')}" for part in SOURCES]
    return any(module == home or module.startswith(f"{home}.") for home in homes)


def _name_of_foreign(value: Any) -> str:
    """Describe an object of a known package by name and version."""
    module = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
    if isinstance(value, BuiltinFunctionType) and module is None:
        module = "builtins"
    if type(value).__name__ == "ufunc":
        module = "numpy"
    name = getattr(value, "__qualname__", None) or getattr(value, "__name__", None)
    if name is None or module is None or _version_of(module) is None:
        raise _UntraceableError(value)
    return f"{module}.{name} {_version_of(module)}"
