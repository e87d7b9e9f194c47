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


def fingerprint(recording: Recording) -> str:
    """SHA-256 of what a fit depends on: currents, steps, and spike times to a thousandth of a millisecond.

    Detected times are the outcome of linear algebra, which differs in the last bits between numbers of threads and
    between processors; a recording is the same recording there.

    Examples
    --------
    >>> import numpy as np
    >>> def silent(spike): return Recording.of(np.zeros(100), 0.1, spike_times=[spike])
    >>> fingerprint(silent(5.0)) == fingerprint(silent(5.0 + 1e-12)) != fingerprint(silent(5.1))
    True
    """
    return _digest(recording, lambda train: np.floor(train / GRID + ORIGIN).astype(np.int64).tobytes())


def is_of(known: str, recording: Recording) -> bool:
    """Whether a fit's hash (`Provenance.data_sha256`) is of this recording; the hash of older fits counts too."""
    return known in (fingerprint(recording), _of_bits(recording))


def known_as(cell: str, file: str) -> tuple[str, ...]:
    """What the cell of a fit is called: by its own name, and by the file that it was fitted to."""
    return cell, *list_file_stems(file)


def _of_bits(recording: Recording) -> str:
    """The hash that fits had first: of the bits of spike times."""
    return _digest(recording, lambda train: np.ascontiguousarray(train, dtype=np.float64).tobytes())


def _digest(recording: Recording, of: Any) -> str:
    digest = hashlib.sha256()
    for s in recording.sweeps:
        digest.update(np.float64(s.dt).tobytes())
        digest.update(np.ascontiguousarray(s.current, dtype=np.float64).tobytes())
        digest.update(of(s.spike_times))
    return digest.hexdigest()
