"""A neuron class by name, or from a user's own file."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from ephysfit.errors import NeuronError, near
from ephysfit.neuron.declare import Neuron


def pick(name: str, known: dict[str, type[Neuron]]) -> type[Neuron]:
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
    path_text, _, wanted = spec.rpartition(":") if not spec.endswith(".py") else (spec, "", "")
    path = Path(path_text).expanduser()
    if not path.is_file():
        raise NeuronError(f"{path_text!r} is no file; give a neuron's file and class as my_file.py:Mine")
    module = _run(path)
    declared = {k: v for k, v in vars(module).items() if _own(v, module)}
    if not declared:
        raise NeuronError(f"{path.name} declares no neuron; write a class that derives from ephysfit's Neuron")
    if wanted:
        if wanted not in declared:
            raise NeuronError(f"{path.name} declares no neuron {wanted!r}; {near(wanted, declared)}")
        return declared[wanted]
    if len(declared) > 1:
        raise NeuronError(f"{path.name} declares {', '.join(declared)}; say which: {path.name}:{next(iter(declared))}")
    return next(iter(declared.values()))


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
    except NeuronError:
        del sys.modules[name]
        raise
    except (ImportError, SyntaxError, NameError, AttributeError, TypeError, ValueError) as error:
        del sys.modules[name]
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
        raise NeuronError(f"{path.name} does not run: {type(error).__name__}{line}: {error}") from error
    return module
