"""Several fits of one cell side by side, on sweeps that none of them has used."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from ephysfit.data.cell_names import list_file_stems, may_be_one_cell
from ephysfit.data.recording import Recording
from ephysfit.errors import ScoreError
from ephysfit.fitting.fit_result import Fit
from ephysfit.fitting.recording_identity import list_cell_names
from ephysfit.metrics.headline_scores import COUNT, RATIO, HeadlineScore, choose_headline
from ephysfit.metrics.metric import METRICS
from ephysfit.metrics.trains import cut
from ephysfit.reports.evidence import Evidence, gather_evidence

#: most fits of one page
MOST = 6
#: repeats, or steps, from which a difference has a standard error
FEWEST = 3


@dataclass(frozen=True, eq=False)
class Comparison:
    """Evidence of several fits on the same test sweeps.

    Attributes
    ----------
    evidence : tuple of Evidence
    names : tuple of str
        One per fit: a letter and the model, "A: AIGIF".
    """

    evidence: tuple[Evidence, ...]
    names: tuple[str, ...]

    @property
    def first(self) -> Evidence:
        """Evidence of the first fit; what is of the cell is the same in all."""
        return self.evidence[0]

    @property
    def headline(self) -> HeadlineScore:
        """The score that decides: Γ/R of one causal train on repeated noise, counts of steps, otherwise the rate."""
        repeated = self.first.scores[self.first.many].repeated and not self.first.plays_steps
        return choose_headline(False, repeated, self.first.plays_steps)

    @cached_property
    def values(self) -> tuple[float, ...]:
        """The deciding score of each fit."""
        if self.headline is RATIO:
            return tuple(e.scores[e.single][self.headline.name] for e in self.evidence)
        return tuple(e.scores[e.many][self.headline.name] for e in self.evidence)

    @cached_property
    def order(self) -> tuple[int, ...]:
        """Positions of the fits, the best first; those without a value last."""
        sign = -1.0 if self.headline is RATIO else 1.0
        keys = [np.inf if np.isnan(v) else sign * v if sign < 0 else abs(v) for v in self.values]
        return tuple(int(k) for k in np.argsort(keys, kind="stable"))

    def measure_lead(self) -> tuple[float, float]:
        """Measure how far the best fit leads the second, and the standard error of that: both from paired samples.

        Paired over the recorded repeats of the shown stimulus (jackknife), or over the held-out steps: what makes a
        repeat or a step hard for one fit does so for the other. NaN where there are fewer than three.
        """
        best, second = (self.evidence[k] for k in self.order[:2])
        if self.headline is RATIO:
            return _jackknife_ratio(best, second)
        if self.headline is COUNT and len(best.steps) >= FEWEST:
            apart = np.array(_list_count_errors(second)) - np.array(_list_count_errors(best))
            return float(apart.mean()), float(apart.std(ddof=1) / np.sqrt(len(apart)))
        return float("nan"), float("nan")


def _list_count_errors(evidence: Evidence) -> list[float]:
    count = METRICS[COUNT.name]
    return [count(c.scored.data, c.scored.runs, c.scored.duration) for c in evidence.steps]


def _jackknife_ratio(best: Evidence, second: Evidence) -> tuple[float, float]:
    """Γ/R of the best less that of the second on the shown stimulus, with the jackknife error over its repeats."""
    (start, stop), ratio = best.scored, METRICS["gamma_over_R"]
    data = cut(list(best.repeats), start, stop)
    trains = [cut([e.prediction], start, stop) for e in (best, second)]

    def measure(repeats: Sequence[np.ndarray]) -> float:
        one, other = (ratio(repeats, train, stop - start) for train in trains)
        return one - other

    n = len(data)
    if n < FEWEST:
        return float("nan"), float("nan")
    without = np.array([measure([*data[:k], *data[k + 1 :]]) for k in range(n)])
    return measure(data), float(np.sqrt((n - 1) / n * np.sum((without - without.mean()) ** 2)))


def compare_fits(fits: Sequence[Fit], test: Recording, train: Recording | None = None, *, runs: int = 200,
                 seed: int = 1) -> Comparison:  # fmt: skip
    """Run several fits of one cell on the same test sweeps and score them.

    Parameters
    ----------
    fits : sequence of Fit
        Two to six fits.
    test : Recording
        Sweeps of the cell that no fit has used.
    train : Recording, optional
        Training sweeps that all fits share.
    runs, seed : int
        Noisy runs, and their seed.

    Raises
    ------
    ScoreError
        If there are fewer than two fits or more than six, or they are of different cells by their names, or of another
        cell than the test sweeps.
    """
    if not 2 <= len(fits) <= MOST:
        raise ScoreError(f"{len(fits)} fits to compare; give two to {MOST}")
    check_one_cell(fits, test)
    found = tuple(gather_evidence(fit, test, train, runs=runs, seed=seed) for fit in fits)
    return Comparison(found, tuple(f"{chr(ord('A') + k)}: {fit.model}" for k, fit in enumerate(fits)))


def check_one_cell(fits: Sequence[Fit], test: Recording) -> None:
    """Check by their names that fits are of one cell, and of that of the test sweeps.

    Raises
    ------
    ScoreError
        If they are not.
    """
    names = [list_cell_names(f.cell, f.provenance.recording) for f in fits]
    for fit, own in zip(fits[1:], names[1:], strict=True):
        if not may_be_one_cell(names[0], own):
            raise ScoreError(
                f"fits of {fits[0].cell!r} and of {fit.cell!r} are of two cells by their names; compare fits of one "
                "cell, or write a report of each"
            )
    recorded = (test.cell, *list_file_stems(test.source))
    if not may_be_one_cell(names[0], recorded):
        raise ScoreError(
            f"the fits are of {fits[0].cell!r} and the recording is of {test.cell!r}, another cell by its name; give "
            "test sweeps of the cell that was fitted"
        )


def list_differences(comparison: Comparison) -> list[str]:
    """List what differs between the fits besides the model, and what makes their scores unequal evidence."""
    fits = [e.fit for e in comparison.evidence]
    test = comparison.first.test
    out = list(_list_leaks(comparison, test))
    if len({f.provenance.data_sha256 for f in fits}) > 1:
        out.append(_join(comparison, "fitted to different data", [_describe_training(f) for f in fits]))
    settings = {
        "step": [f"{f.dt:g} ms" for f in fits],
        "recorded voltage": ["fitted too" if f.voltage is not None else "not used" for f in fits],
        "ensemble": ["yes" if f.members else "no" for f in fits],
        "electrode": [f.provenance.electrode or "not taken off" for f in fits],
        "prior": [f.provenance.prior or "of the model" for f in fits],
        "version of ephysfit": [f.provenance.version or "unknown" for f in fits],
    }
    return out + [_join(comparison, name, texts) for name, texts in settings.items() if len(set(texts)) > 1]


def _list_leaks(comparison: Comparison, test: Recording) -> Iterator[str]:
    """Name the fits that were fitted to what is tested here."""
    tested = {s.name for s in test.sweeps}
    for name, e in zip(comparison.names, comparison.evidence, strict=True):
        about = e.fit.provenance
        used = sorted(tested & set(about.sweeps)) if about.recording == Path(test.source).name else []
        if used:
            yield f"{name} was fitted to sweeps that are tested here ({', '.join(used)}): its scores are no prediction"


def _describe_training(fit: Fit) -> str:
    about = fit.provenance
    n = len(about.sweeps)
    return f"{n} sweep{'s' * (n != 1)} with {about.spikes} spikes of {about.recording or 'an unknown file'}"


def _join(comparison: Comparison, what: str, texts: Sequence[str]) -> str:
    return f"{what}: " + "; ".join(f"{n.partition(':')[0]} {t}" for n, t in zip(comparison.names, texts, strict=True))


def describe_ranking(comparison: Comparison) -> str:
    """Describe in sentences which fit predicts best, and whether its lead is more than chance."""
    order, label = comparison.order, comparison.headline.label
    values = comparison.values
    if np.isnan(values[order[0]]):
        return "No fit has a score on these sweeps, so that none can be preferred."
    listed = ", ".join(f"{comparison.names[k]} {values[k]:.2f}" for k in order)
    best, second = comparison.names[order[0]], comparison.names[order[1]]
    text = f"{best} predicts best ({label}: {listed})."
    lead, error = comparison.measure_lead()
    if np.isnan(error):
        return f"{text} Whether that is more than chance is unknown: it takes three repeats, or three steps."
    apart = f"{lead:.2f} ± {error:.2f}"
    paired = "over the same steps" if comparison.headline is COUNT else "over the same repeats"
    if lead > 2 * error:
        return f"{text} Its lead over {second} is {apart} (standard error, paired {paired}): more than chance."
    return f"{text} Its lead over {second} is {apart} (standard error, paired {paired}), which chance explains too."
