"""Read the status of a run from its folder, also from another shell or another machine."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from ephysfit.batch.job import Outcome
from ephysfit.batch.store import DONE, Store

#: most failures that are listed
SHOWN = 10


@dataclass(frozen=True)
class RunStatus:
    """Status of a run at one moment.

    Attributes
    ----------
    total : int
    counts : Counter
        Number of finished tasks by status.
    running : tuple of str
        Tasks that a process is running now.
    failures : tuple of (str, str)
        Task and reason of the latest failures.
    score : float
        Median Md* at ±8 ms.
    per_hour : float
        Tasks finished per hour, over the latest ones.
    """

    total: int
    counts: Counter[str]
    running: tuple[str, ...]
    failures: tuple[tuple[str, str], ...]
    score: float
    per_hour: float

    @property
    def left(self) -> int:
        """Number of tasks that have not ended."""
        return self.total - sum(self.counts.values())

    @property
    def hours_left(self) -> float:
        """Estimated time to the end of the run, h; NaN where the pace is unknown."""
        return self.left / self.per_hour if self.per_hour else float("nan")


def read_status(folder: str | Path) -> RunStatus:
    """Read the status of a run.

    Parameters
    ----------
    folder : path
        Folder of the run.

    Returns
    -------
    RunStatus

    Raises
    ------
    BatchError
        If the folder is not that of a run.
    """
    store = Store(Path(folder))
    tasks = store.tasks()
    results = {t.label: r for t in tasks if (r := store.read(t)) is not None}
    outcomes = [Outcome.of(r) for r in results.values()]
    scores = [o.score for o in outcomes if o.score == o.score]
    bad = sorted((r["finished"], label, r.get("reason", "")) for label, r in results.items() if r["status"] != DONE)
    return RunStatus(
        total=len(tasks),
        counts=Counter(o.status for o in outcomes),
        running=tuple(t.label for t in tasks if store.is_claimed(t)),
        failures=tuple((label, reason) for _, label, reason in bad[-SHOWN:]),
        score=median(scores) if scores else float("nan"),
        per_hour=_compute_pace([r["finished"] for r in results.values()]),
    )


def _compute_pace(finished: list[float]) -> float:
    """Results per hour over the last hundred; 0 where no task has ended within the last hour."""
    last = sorted(finished)[-100:]
    if len(last) < 2 or time.time() - last[-1] > 3600.0:
        return 0.0
    return 3600.0 * (len(last) - 1) / max(last[-1] - last[0], 1e-9)
