"""Names of array types, by axis; checked at run time in tests only (jaxtyping + beartype)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

#: one spike train: sorted spike times in ms
Train: TypeAlias = npt.NDArray[np.float64]
#: several trains, of repeats or of runs
Trains: TypeAlias = Sequence[npt.NDArray[np.float64]]
#: a sampled trace, axis time
Trace: TypeAlias = npt.NDArray[np.float64]
