"""ephysfit: fit spiking neuron models to patch-clamp recordings.

>>> import ephysfit as ef
>>> sorted(ef.__all__)[:4]
['Card', 'Fit', 'Measure', 'Neuron']

The public names stand in ``__init__.pyi``, beside this file. They are imported on first use, so that
``import ephysfit`` stays light. Names of earlier versions are served with a warning (`ephysfit.deprecation`).
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import get_data
from typing import Any

from ephysfit.deprecation import RENAMED, deprecated, serve_moved_modules

__version__ = "0.2.0"


def _stub(text: str) -> dict[str, dict[str, str]]:
    """Heading → public name → module it comes from, of the text of a stub."""
    groups: dict[str, dict[str, str]] = {}
    heading = ""
    for line in text.splitlines():
        if line.startswith("# "):
            heading = line[2:]
        elif line.startswith("from "):
            _, module, _, name, *_ = line.split()
            groups.setdefault(heading, {})[name] = module
    return groups


_PUBLIC = _stub((get_data(__name__, "__init__.pyi") or b"").decode())
_MODULES = _PUBLIC["Modules"]
_WHERE = {name: module for names in _PUBLIC.values() for name, module in names.items()}

__all__ = [*_WHERE]

serve_moved_modules()


def __getattr__(name: str) -> Any:
    if name in RENAMED:
        new, since = RENAMED[name]
        deprecated(f"ephysfit.{name}", f"ephysfit.{new}", since)
        name = new
    if name in _MODULES:
        return import_module(f"{_MODULES[name]}.{name}")
    if name in _WHERE:
        return getattr(import_module(_WHERE[name]), name)
    raise AttributeError(f"module 'ephysfit' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
