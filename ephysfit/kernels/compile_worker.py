"""Compiles kernels of generated modules into the cache on disk: ``python -m ephysfit.kernels.compile_worker ORDERS``.

Imports neither torch nor sympy, so that it starts within half a second; `background_build` starts it.
"""

from __future__ import annotations

import gc
import json
import sys
from pathlib import Path
from typing import Any

from numba import types as numba_types
from numba.core.errors import NumbaError

from ephysfit.kernels.kernel_files import load

#: letters of argument types: numbers and elements of arrays
LETTERS = {"i": "int32", "q": "int64", "f": "float32", "d": "float64", "b": "uint8"}


def types_of(text: str) -> tuple[Any, ...]:
    """Numba types of arguments: a letter is a number, with a digit a C-ordered array of so many axes.

    Examples
    --------
    >>> types_of("q d2")
    (int64, Array(float64, 2, 'C', False, aligned=True))
    """
    out = []
    for word in text.split():
        element = getattr(numba_types, LETTERS[word[0]])
        out.append(numba_types.Array(element, int(word[1:]), "C") if word[1:] else element)
    return tuple(out)


def compile_one(path: Path, function: str, types: str) -> None:
    """Compile one function of a module and leave it in the cache."""
    getattr(load(path), function).compile(types_of(types))


def main(orders: str) -> None:
    """Compile in order; print a line per kernel, even if it failed: the caller that needs it will compile it itself."""
    gc.disable()  # a tenth of the time, in a process that ends soon: numba keeps most of what it makes
    for path, function, types in json.loads(orders):
        try:
            compile_one(Path(path), function, types)
        except (NumbaError, OSError) as error:
            sys.stderr.write(f"{path}: {error}\n")
        sys.stdout.write(path + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
