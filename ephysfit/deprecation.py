"""Names of earlier versions: they work for one version more, and a warning says what to write instead.

Python shows a `DeprecationWarning` once for each line that causes it, in scripts, notebooks and tests; in installed
packages only where asked for (``python -W default``).
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType

#: public name of ephysfit: its name now, and the version it has it since
RENAMED = {
    "population": ("population_prior", "0.2.0"),
    "write": ("write_nwb", "0.2.0"),
    "compensate": ("compensate_electrode", "0.2.0"),
}
#: modules that documents or notebooks told users to import, and where they are since 0.2.0
MOVED = {
    "ephysfit.batch.pictures": "ephysfit.batch.run_figures",
    "ephysfit.batch.population": "ephysfit.batch.summary_page",
    "ephysfit.data.building": "ephysfit.data.assemble",
    "ephysfit.data.contract": "ephysfit.data.reader_tests",
    "ephysfit.data.objects": "ephysfit.data.in_memory",
    "ephysfit.models.bounded": "ephysfit.models.saturation",
    "ephysfit.models.response": "ephysfit.models.small_signal",
    "ephysfit.simulation.blocks": "ephysfit.simulation.engines.blocks",
    "ephysfit.simulation.compiled": "ephysfit.simulation.engines.compiled",
    "ephysfit.simulation.sequential": "ephysfit.simulation.engines.sequential",
    "ephysfit.simulation.tangents": "ephysfit.simulation.gauss_newton",
}


def deprecated(old: str, new: str, since: str) -> None:
    """Warn that a name is an old one, at the line outside ephysfit that used it.

    Parameters
    ----------
    old, new : str
        The name that was used and the one to use, in full (``"ephysfit.write"``).
    since : str
        The version that brought the new name.

    Examples
    --------
    >>> def compensate(*given):
    ...     deprecated("ephysfit.compensate", "ephysfit.compensate_electrode", "0.2.0")
    ...     return compensate_electrode(*given)
    """
    frame = sys._getframe(1)
    while frame.f_back is not None and _inside(frame.f_globals.get("__name__", "")):
        frame = frame.f_back
    warnings.warn_explicit(
        f"{old} is called {new} since ephysfit {since}; the old name goes with the next version",
        DeprecationWarning,
        filename=frame.f_code.co_filename,
        lineno=frame.f_lineno,
        module=frame.f_globals.get("__name__", "<unknown>"),
        registry=frame.f_globals.setdefault("__warningregistry__", {}),
    )


def _inside(module: str) -> bool:
    """Whether a module is of ephysfit or of the import system: the user's line lies further out."""
    return module.partition(".")[0] in ("ephysfit", "importlib") or module.startswith("_frozen_importlib")


class _Moved:
    """A finder of `sys.meta_path`, asked last, and the loader of what it finds: the module under its new name."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name not in MOVED:
            return None
        deprecated(name, MOVED[name], "0.2.0")
        return ModuleSpec(name, _Moved)  # type: ignore[arg-type]

    @staticmethod
    def create_module(spec: ModuleSpec) -> None:
        return None

    @staticmethod
    def exec_module(module: ModuleType) -> None:
        # what stands in sys.modules after this call is what the import returns
        sys.modules[module.__name__] = import_module(MOVED[module.__name__])


def serve_moved_modules() -> None:
    """Let imports by the paths of `MOVED` find their modules, with a warning."""
    if _Moved not in sys.meta_path:
        sys.meta_path.append(_Moved)
