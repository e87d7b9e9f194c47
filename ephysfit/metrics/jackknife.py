"""Lines of a score: a statistic of each stimulus, averaged over stimuli, with its jackknife standard error."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ephysfit.arrays import Array, Float64
from ephysfit.files import replace_nan
from ephysfit.metrics.matching import Scored
from ephysfit.metrics.metric import METRICS
from ephysfit.metrics.weights import (
    choose_pairs,
    jackknife_variance,
    leave_one_out_weights,
    leave_two_out_weights,
    ratio,
)

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
    baseline : float, what needs no model of the cell reaches on this line: trains at the recorded rate and unrelated to
        the cell's for coincidences, a straight line between the neighbouring amplitudes that trained for answers to
        steps; NaN where there is no such number
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
    baseline: float = float("nan")

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; NaN becomes None."""
        return {k: replace_nan(v) for k, v in vars(self).items()}


def count_repeats_and_runs(stimuli: Sequence[Scored]) -> tuple[int, int]:
    """The number of repeats of all stimuli, and the smallest number of runs of a stimulus."""
    return sum(len(s.data) for s in stimuli), min((len(s.runs) for s in stimuli), default=0)


@dataclass(frozen=True, eq=False)
class ScoredStimuli:
    """The scored stimuli, and lines of a score from statistics that are functions of the weights of the repeats."""

    stimuli: list[Scored]

    @property
    def once(self) -> list[Float64[Array, " _"]]:
        """Weights that count every repeat once, for each stimulus."""
        return [np.ones(len(s.data)) for s in self.stimuli]

    def over_stimuli(self, values: Sequence[Float64[Array, "..."]]) -> Float64[Array, "..."]:
        """Mean over stimuli, weighted by duration; stimuli where the value is undefined are left out."""
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
        whole, total = float(statistic(weights)), 0.0
        for k, n in enumerate(sizes):
            if used[k]:
                pairs = choose_pairs(n)
                without = np.concatenate([leave_one_out_weights(n), leave_two_out_weights(n, pairs)])
                values = statistic([*weights[:k], without, *weights[k + 1 :]])
                total += jackknife_variance(values[:n], whole, values[n:], pairs)
        return float(np.sqrt(total))

    def line(
        self,
        name: str,
        metric: str,
        parts: Sequence[Any],
        of: Callable[[Any, Array], Array],
        ceiling: Callable[[Any, Array], Array] | float = float("nan"),
        note: str = "",
        baseline: Callable[[Any, Array], Array] | None = None,
    ) -> Row:
        """One row: the statistic `of(part, weights)` on every stimulus, its standard error, ceiling and baseline.

        Without `baseline` it is the chance level that the metric declares.
        """

        def over(which: Callable[[Any, Array], Array], weights: list[Array]) -> Array:
            return self.over_stimuli([np.asarray(which(p, w)) for p, w in zip(parts, weights, strict=True)])

        defined = [not np.isnan(of(p, w)) for p, w in zip(parts, self.once, strict=True)]
        own = float(over(ceiling, self.once)) if callable(ceiling) else ceiling
        declared = METRICS[metric].chance
        value = float(over(of, self.once))
        chance = float("nan") if declared is None or np.isnan(value) else declared
        error = self.error(lambda weights: over(of, weights), defined)
        used = [s for s, d in zip(self.stimuli, defined, strict=True) if d]
        return Row(
            name,
            metric,
            value,
            error,
            own,
            METRICS[metric].best,
            *count_repeats_and_runs(used),
            note,
            chance if baseline is None else float(over(baseline, self.once)),
        )
