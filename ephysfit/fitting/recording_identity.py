"""Which data a fit is of: a hash of currents, steps and spike times, and the comparison with a recording at hand."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from ephysfit.data.cell_names import list_file_stems
from ephysfit.data.recording import Recording

#: spike times are compared on this grid, ms: far below the step of any fit, far above what rounding moves a time by
GRID = 1e-3
#: where the grid lies: no sampled time (a multiple of .0125, .02, .05 ms ...) falls on an edge between two of its cells
ORIGIN = 0.1234567


def hash_recording(recording: Recording) -> str:
    """SHA-256 of what a fit depends on: currents, steps, and spike times to a thousandth of a millisecond.

    Detected times are the outcome of linear algebra, whose last bits depend on the number of threads and the processor;
    the hash does not.

    Examples
    --------
    >>> import numpy as np
    >>> def silent(spike): return Recording.of(np.zeros(100), 0.1, spike_times=[spike])
    >>> hash_recording(silent(5.0)) == hash_recording(silent(5.0 + 1e-12)) != hash_recording(silent(5.1))
    True
    """
    return _hash_with_times(recording, lambda train: np.floor(train / GRID + ORIGIN).astype(np.int64).tobytes())


def matches_recording(known: str, recording: Recording) -> bool:
    """Whether a fit's hash (`Provenance.data_sha256`) is of this recording; the hash of older fits counts too."""
    return known in (hash_recording(recording), _hash_exact_times(recording))


def list_cell_names(cell: str, file: str) -> tuple[str, ...]:
    """Names of a fit's cell: its own, and that of the file that it was fitted to."""
    return cell, *list_file_stems(file)


def _hash_exact_times(recording: Recording) -> str:
    """The hash of early fits, which is of the bits of spike times."""
    return _hash_with_times(recording, lambda train: np.ascontiguousarray(train, dtype=np.float64).tobytes())


def _hash_with_times(recording: Recording, of: Any) -> str:
    digest = hashlib.sha256()
    for s in recording.sweeps:
        digest.update(np.float64(s.dt).tobytes())
        digest.update(np.ascontiguousarray(s.current, dtype=np.float64).tobytes())
        digest.update(of(s.spike_times))
    return digest.hexdigest()
