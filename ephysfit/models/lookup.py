"""A neuron class by name, or from a user's own file."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
import traceback
from pathlib import Path
from types import ModuleType

from ephysfit.errors import NeuronError, near
from ephysfit.files import expand_home, split_spec
from ephysfit.neuron.declaration_errors import BREAKS, explain_error
from ephysfit.neuron.declare import Neuron
from ephysfit.neuron.dimensions import check_units
from ephysfit.neuron.plan import plan


def find_neuron(name: str, known: dict[str, type[Neuron]]) -> type[Neuron]:
    """The class of that name in `known` (case ignored), or from a file as ``my_file.py:Mine``."""
    if ".py" in name:
        return from_file(name)
    folded = {k.lower(): v for k, v in known.items()}
    if name.strip().lower() in folded:
        return folded[name.strip().lower()]
    raise NeuronError(f"no neuron {name!r} in the catalogue; {near(name, known)}; your own: my_file.py:Mine")


def from_file(spec: str) -> type[Neuron]:
    """A neuron declared in a user's file: ``my_file.py:Mine``, or ``my_file.py`` if it declares only one.

    Raises
    ------
    NeuronError
        If there is no such file, it does not run, or it declares no (such) neuron.
    """
    path_text, wanted = split_spec(spec)
    path = expand_home(path_text)
    if not path.is_file():
        raise NeuronError(f"{path_text!r} is not a file; give a neuron's file and class as my_file.py:Mine")
    module = _run(path)
    declared = {k: v for k, v in vars(module).items() if _own(v, module)}
    if not declared:
        raise NeuronError(f"{path.name} declares no neuron; write a class that derives from ephysfit's Neuron")
    if wanted and wanted not in declared:
        raise NeuronError(f"{path.name} declares no neuron {wanted!r}; {near(wanted, declared)}")
    if not wanted and len(declared) > 1:
        raise NeuronError(f"{path.name} declares {', '.join(declared)}; say which: {path.name}:{next(iter(declared))}")
    neuron = declared[wanted or next(iter(declared))]
    _read(neuron, path)
    return neuron


def _read(neuron: type[Neuron], path: Path) -> None:
    """Refuse equations that cannot be read, before a fit fails on them."""
    try:
        plan(neuron)
        check_units(neuron)
    except BREAKS as error:
        where = f"{path.name}{_line(error, path)}, {neuron.__name__}"
        raise NeuronError(f"{where}: {explain_error(error)}; ephysfit.check_neuron lists all errors") from error


def _line(error: BaseException, path: Path) -> str:
    """The line of the user's file that an error comes from."""
    found = [f.lineno for f in traceback.extract_tb(error.__traceback__) if Path(f.filename) == path.resolve()]
    at = error.lineno if isinstance(error, SyntaxError) else found[-1] if found else None
    return f", line {at}" if at else ""


def _own(value: object, module: ModuleType) -> bool:
    """Whether a name in the user's file is a neuron made there: a class, or a pin of one from the catalogue."""
    if not (isinstance(value, type) and issubclass(value, Neuron) and value.states):
        return False
    if value.base is not None and getattr(sys.modules[value.__module__], value.__name__, None) is not value:
        value.__module__ = module.__name__
    return value.__module__ == module.__name__


def _run(path: Path) -> ModuleType:
    """The file as a module, kept under a name of its own so that its classes can be stored and found again."""
    path = path.resolve()
    digest = hashlib.sha256(str(path).encode() + path.read_bytes()).hexdigest()[:12]
    name = f"ephysfit_user_{path.stem}_{digest}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise NeuronError(f"{path.name} cannot be read as Python; a neuron's file ends in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except NeuronError as error:
        del sys.modules[name]
        raise NeuronError(f"{path.name}{_line(error, path)}: {error}") from error
    except (ImportError, SyntaxError, OSError, AssertionError, SystemExit, *BREAKS) as error:
        del sys.modules[name]
        line = _line(error, path)
        raise NeuronError(f"{path.name} does not run: {type(error).__name__}{line}: {error}") from error
    return module
