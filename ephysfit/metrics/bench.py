"""The bench: turns a statistic of each stimulus into one line of a score, with its bootstrap error."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ephysfit.metrics.metric import METRICS
from ephysfit.metrics.stimuli import Scored
from ephysfit.metrics.weights import Array, draws, ratio

#: bootstrap over repeats; needs MIN_REPEATS of them
RESAMPLES, MIN_REPEATS = 200, 3


def plain(value: Any) -> Any:
    """A value as JSON can say it: lists for tuples, None for what is not finite."""
    if isinstance(value, tuple | list):
        return [plain(v) for v in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


@dataclass(frozen=True)
class Row:
    """One line of a score.

    Attributes
    ----------
    name : str, the metric and its window, such as "md_star_8"
    metric : str, name of the record in `METRICS`
    value : float, NaN where it is undefined
    error : float, bootstrap standard error over the repeats; NaN where there is none
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
        return {k: plain(v) for k, v in vars(self).items()}


def counts(stimuli: Sequence[Scored]) -> tuple[int, int]:
    """Repeats in all, and the fewest runs of a stimulus."""
    return sum(len(s.data) for s in stimuli), min((len(s.runs) for s in stimuli), default=0)


@dataclass(frozen=True, eq=False)
class Bench:
    """The scored stimuli with their bootstrap weights; turns a statistic per stimulus into a line."""

    stimuli: list[Scored]
    resampled: list[Array]

    @classmethod
    def of(cls, stimuli: list[Scored], seed: int) -> Bench:
        rng = np.random.default_rng(seed)
        return cls(stimuli, [draws(len(s.data), RESAMPLES, rng) for s in stimuli])

    @property
    def once(self) -> list[Array]:
        """Every repeat once."""
        return [np.ones(len(s.data)) for s in self.stimuli]

    def over_stimuli(self, values: Sequence[Array]) -> Array:
        """Mean over stimuli weighted by duration, stimuli where it is undefined left out."""
        table, time = np.stack(values), np.array([s.duration for s in self.stimuli])
        known = ~np.isnan(table)
        return ratio(np.tensordot(time, np.where(known, table, 0.0), 1), np.tensordot(time, known.astype(float), 1))

    def spread(self, values: Array) -> float:
        """Standard deviation over resamples; NaN when repeats are too few to resample."""
        known = values[~np.isnan(values)]
        enough = max(len(s.data) for s in self.stimuli) >= MIN_REPEATS and known.size > 1
        return float(known.std(ddof=1)) if enough else float("nan")

    def line(
        self,
        name: str,
        metric: str,
        parts: Sequence[Any],
        of: Callable[[Any, Array], Array],
        ceiling: Callable[[Any, Array], Array] | float = float("nan"),
        note: str = "",
    ) -> Row:
        """One row: the statistic `of(part, weights)` on every stimulus, its bootstrap error, and its ceiling."""
        each = [np.asarray(of(p, w)) for p, w in zip(parts, self.once, strict=True)]
        again = [np.asarray(of(p, w)) for p, w in zip(parts, self.resampled, strict=True)]
        if callable(ceiling):
            own = float(self.over_stimuli([np.asarray(ceiling(p, w)) for p, w in zip(parts, self.once, strict=True)]))
        else:
            own = ceiling
        used = [s for s, v in zip(self.stimuli, each, strict=True) if not np.isnan(v)]
        value, error = float(self.over_stimuli(each)), self.spread(self.over_stimuli(again))
        return Row(name, metric, value, error, own, METRICS[metric].best, *counts(used), note)
