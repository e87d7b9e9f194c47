"""Kernels release the interpreter, so plain threads share a run's tiles."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise

from ephysfit.errors import SimulationError
from ephysfit.system import count_cores

#: below this many neuron-steps a second thread costs more than it brings
SMALL = 400_000


def count() -> int:
    """Threads a run may use: ``$EPHYSFIT_THREADS``, else the cores this process may run on."""
    asked = os.environ.get("EPHYSFIT_THREADS")
    if asked:
        if not asked.strip().isdecimal() or int(asked) < 1:
            raise SimulationError(
                f"EPHYSFIT_THREADS={asked} must be a whole number of threads, 1 or more; correct it or unset it"
            )
        return int(asked)
    return count_cores()


@cache
def _pool(size: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(size, thread_name_prefix="ephysfit")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)


def share(run: Callable[[int, int], None], tiles: int, work: int) -> None:
    """Call ``run(lo, hi)`` over all tiles, on several threads when `work` (neuron-steps) is worth it."""
    workers = min(count(), tiles)
    if workers < 2 or work < SMALL:
        run(0, tiles)
        return
    pieces = min(tiles, 4 * workers)
    edges = [tiles * k // pieces for k in range(pieces + 1)]
    jobs = [_pool(workers).submit(run, lo, hi) for lo, hi in pairwise(edges)]
    for job in jobs:
        job.result()
