"""A task as it is handed to a worker, and the outcome that comes back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ephysfit.batch.task import Task
from ephysfit.data.readout import Readout
from ephysfit.metrics.headline_scores import AGREEMENT, saved_value

#: status of a task that another process is running
BUSY = "busy"


@dataclass(frozen=True)
class Job:
    """A task, with the conditions under which a result on disk is still valid.

    Attributes
    ----------
    task : Task
    key : str
        Hash of data and settings: a result with another key is outdated.
    since : float
        A result older than this time (seconds since 1970) is outdated.
    """

    task: Task
    key: str
    since: float = 0.0

    def settled(self, result: Mapping[str, Any] | None) -> bool:
        """Whether a result on disk is valid for this job."""
        return result is not None and result.get("key") == self.key and result.get("finished", 0.0) >= self.since


@dataclass(frozen=True)
class Outcome:
    """How a task ended: status, reason, headline score, time (s) and memory (MiB)."""

    cell: str
    model: str
    status: str
    reason: str = ""
    score: float = float("nan")
    seconds: float = 0.0
    memory: float = 0.0

    @classmethod
    def of(cls, result: Mapping[str, Any]) -> Outcome:
        """Return the outcome of a stored result."""
        score = find_headline_score(result.get("scores"))
        return cls(
            result["cell"], result["model"], result["status"], result.get("reason", ""), score,
            result.get("seconds", 0.0), result.get("memory_mb", 0.0),
        )  # fmt: skip


def find_headline_score(scores: Mapping[str, Any] | None) -> float:
    """Find the score for progress lines: Md* at ±8 ms, of the noisy runs where there are any; NaN without a score."""
    value = saved_value(scores, (*AGREEMENT.readouts, Readout.CAUSAL), AGREEMENT.name)
    return float("nan") if value is None else value
