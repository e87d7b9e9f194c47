"""The bench: turns a statistic of each stimulus into one line of a score, with its standard error."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ephysfit.files import replace_nan
from ephysfit.metrics.matching import Scored
from ephysfit.metrics.metric import METRICS
from ephysfit.metrics.weights import Array, jackknife_variance, left_out, ratio

#: repeats from which a standard error over repeats means something
MIN_REPEATS = 3


@dataclass(frozen=True)
class Row:
    """One line of a score.

    Attributes
    ----------
    name : str, the metric and its window, such as "md_star_8"
    metric : str, name of the record in `METRICS`
    value : float, NaN where it is undefined
    error : float, jackknife standard error over the repeats; NaN where there is none
    ceiling : float, what the cell itself reaches on this line; NaN where that makes no sense
    best : float, value of a perfect match
    n_repeats, n_runs : int, recorded repeats and model runs that entered
    note : str
    """

    name: str
    metric: str
    value: float
    error: float
    ceiling: float
    best: float
    n_repeats: int
    n_runs: int
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain values; NaN becomes None, which JSON can say."""
        return {k: replace_nan(v) for k, v in vars(self).items()}


def counts(stimuli: Sequence[Scored]) -> tuple[int, int]:
    """Repeats in all, and the fewest runs of a stimulus."""
    return sum(len(s.data) for s in stimuli), min((len(s.runs) for s in stimuli), default=0)


@dataclass(frozen=True, eq=False)
class Bench:
    """The scored stimuli; turns a statistic per stimulus, a function of the weights of its repeats, into a line."""

    stimuli: list[Scored]

    @property
    def once(self) -> list[Array]:
        """Every repeat once."""
        return [np.ones(len(s.data)) for s in self.stimuli]

    def over_stimuli(self, values: Sequence[Array]) -> Array:
        """Mean over stimuli weighted by duration, stimuli where it is undefined left out."""
        table, time = np.stack(np.broadcast_arrays(*values)), np.array([s.duration for s in self.stimuli])
        known = ~np.isnan(table)
        return ratio(np.tensordot(time, np.where(known, table, 0.0), 1), np.tensordot(time, known.astype(float), 1))

    def error(self, statistic: Callable[[list[Array]], Array], used: Sequence[bool]) -> float:
        """Jackknife standard error of a statistic of all weights; NaN unless every used stimulus has repeats enough.

        Stimuli are independent, so the variances of leaving out repeats of one after the other add up.
        """
        sizes = [len(s.data) for s in self.stimuli]
        if not any(used) or any(u and n < MIN_REPEATS for u, n in zip(used, sizes, strict=True)):
            return float("nan")
        weights = self.once
        each = [
            jackknife_variance(statistic([*weights[:k], left_out(n), *weights[k + 1 :]]))
            for k, n in enumerate(sizes)
            if used[k]
        ]
        return float(np.sqrt(sum(each)))

    def line(
        self,
        name: str,
        metric: str,
        parts: Sequence[Any],
        of: Callable[[Any, Array], Array],
        ceiling: Callable[[Any, Array], Array] | float = float("nan"),
        note: str = "",
    ) -> Row:
        """One row: the statistic `of(part, weights)` on every stimulus, its standard error and its ceiling."""

        def over(which: Callable[[Any, Array], Array], weights: list[Array]) -> Array:
            return self.over_stimuli([np.asarray(which(p, w)) for p, w in zip(parts, weights, strict=True)])

        defined = [not np.isnan(of(p, w)) for p, w in zip(parts, self.once, strict=True)]
        own = float(over(ceiling, self.once)) if callable(ceiling) else ceiling
        error = self.error(lambda weights: over(of, weights), defined)
        used = [s for s, d in zip(self.stimuli, defined, strict=True) if d]
        return Row(name, metric, float(over(of, self.once)), error, own, METRICS[metric].best, *counts(used), note)
