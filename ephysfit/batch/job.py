"""A task as it is handed to a worker, and how it ended, in a few words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ephysfit.batch.task import Task
from ephysfit.data.readout import Readout
from ephysfit.metrics.headline_scores import AGREEMENT, saved_value

#: a task that another process is at
BUSY = "busy"


@dataclass(frozen=True)
class Job:
    """A task with what decides whether a result on disk still counts.

    Attributes
    ----------
    task : Task
    key : str
        A result with another key is of other data or settings.
    since : float
        A result that is older (seconds since 1970) is done again.
    """

    task: Task
    key: str
    since: float = 0.0

    def settled(self, result: Mapping[str, Any] | None) -> bool:
        """Whether a result on disk is the answer to this job."""
        return result is not None and result.get("key") == self.key and result.get("finished", 0.0) >= self.since


@dataclass(frozen=True)
class Outcome:
    """How a task ended, in a few words: what the runner counts and shows."""

    cell: str
    model: str
    status: str
    reason: str = ""
    score: float = float("nan")
    seconds: float = 0.0
    memory: float = 0.0

    @classmethod
    def of(cls, result: Mapping[str, Any]) -> Outcome:
        score = find_headline_score(result.get("scores"))
        return cls(
            result["cell"], result["model"], result["status"], result.get("reason", ""), score,
            result.get("seconds", 0.0), result.get("memory_mb", 0.0),
        )  # fmt: skip


def find_headline_score(scores: Mapping[str, Any] | None) -> float:
    """The one number of a fit for a progress line: Md* at 8 ms of the noisy runs, else of whatever readout there is."""
    value = saved_value(scores, (*AGREEMENT.readouts, Readout.CAUSAL), AGREEMENT.name)
    return float("nan") if value is None else value
