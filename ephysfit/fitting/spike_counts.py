"""Spike counts of a fit's free runs beside the cell's, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from pydantic import StrictStr

from ephysfit.data.readout import Readout
from ephysfit.fitting.stage_reports import Number, Report

#: a count of all sweeps together is wrong only beyond this many standard deviations of a Poisson count
LARGE = 3.0
#: spikes in a sweep where the other is silent that make it a miss
SOME = 3.0
#: part of the sweeps that may be missed by a fit that still counts as found
FEW_MISSED = 0.2
#: parts of the cell's count by which that of a sweep, or of all together, may be off without a word, and in a fit that
#: still counts as found; of a sweep beyond so many standard deviations of a Poisson count, which irregular cells pass
#: in a twentieth of sweeps
NOTABLE, MISCOUNT, UNLIKELY = 1 / 5, 1 / 3, 2.0
#: part of the sweeps with spikes that may be miscounted without a word
UNSAID = 0.1
#: sweeps that a sentence names
NAMED = 3


@dataclass(frozen=True)
class SpikeCounts(Report):
    """Spikes per training sweep, of the cell and of the fit's free runs, over the samples that count.

    Attributes
    ----------
    sweeps : names
    recorded : (sweep,)
    noisy : (sweep,) or None
        Mean over noisy runs; None for a neuron without a hazard.
    noise_free : (sweep,)
        Of the causal run, or of the threshold run where the fit has no other.
    readout : str
        Which of the two.
    """

    kind: ClassVar[str] = "counts"
    _written_when_none: ClassVar[frozenset[str]] = frozenset({"noisy"})
    sweeps: tuple[StrictStr, ...]
    recorded: tuple[Number, ...]
    noisy: tuple[Number, ...] | None
    noise_free: tuple[Number, ...]
    readout: StrictStr

    def warnings(self) -> tuple[str, ...]:
        """What is wrong, with the numbers; noise-free runs are judged where there are no noisy ones, or beside them."""
        out = (
            []
            if self.noisy is None
            else _describe_mismatches(f"its {Readout.NOISY}", self.sweeps, self.recorded, self.noisy)
        )
        return (*out, *_describe_mismatches(f"the {self.readout}", self.sweeps, self.recorded, self.noise_free))

    @property
    def error(self) -> float:
        """Mean absolute error of the counts of the runs that a fit is used by."""
        model = self.noise_free if self.noisy is None else self.noisy
        return float(np.mean(np.abs(np.subtract(model, self.recorded))))

    @property
    def failed(self) -> bool:
        """Whether the runs a fit is used by do not fire as the cell did: too fast, too slow, or in other sweeps."""
        model = self.noise_free if self.noisy is None else self.noisy
        silent, dead = _find_mismatched_sweeps(self.recorded, model)
        off = _find_miscounted_sweeps(self.recorded, model, MISCOUNT)
        missed = len(silent) + len(dead)
        return (
            _rate_is_off(self.recorded, model, MISCOUNT)
            or missed > FEW_MISSED * len(self.sweeps)
            or (bool(off) and missed + len(off) > FEW_MISSED * _count_active(self.recorded, model))
        )


def _rate_is_off(recorded: Sequence[float], model: Sequence[float], part: float) -> bool:
    """Whether all sweeps together hold too many or too few spikes by more than this part of the cell's, as a ratio."""
    cell, fit = sum(recorded), sum(model)
    unlike = abs(fit - cell) > LARGE * np.sqrt(max(cell, 1.0))
    return bool(unlike and not cell / (1 + part) <= fit <= cell * (1 + part))


def _find_mismatched_sweeps(recorded: Sequence[float], model: Sequence[float]) -> tuple[list[int], list[int]]:
    """Sweeps in which the fit fires and the cell was silent, and the other way round."""
    pairs = list(enumerate(zip(recorded, model, strict=True)))
    return (
        [k for k, (cell, fit) in pairs if cell == 0 and fit >= SOME],
        [k for k, (cell, fit) in pairs if cell >= SOME and fit < 0.5],
    )


def _count_active(recorded: Sequence[float], model: Sequence[float]) -> int:
    """Sweeps in which the cell fires, or the fit."""
    return sum(cell > 0 or fit >= 0.5 for cell, fit in zip(recorded, model, strict=True))


def _find_miscounted_sweeps(recorded: Sequence[float], model: Sequence[float], part: float) -> list[int]:
    """Sweeps in which both fire, and the fit too often or too seldom by more than this part of the cell's count."""
    cell, fit = np.array(recorded), np.array(model)
    off = np.abs(fit - cell) > np.maximum(part * cell, UNLIKELY * np.sqrt(np.maximum(cell, fit)))
    found: list[int] = np.flatnonzero(off & (cell > 0) & (fit >= 0.5)).tolist()
    return found


def _describe_mismatches(
    runs: str, names: Sequence[str], recorded: Sequence[float], model: Sequence[float]
) -> list[str]:
    out = []
    if _rate_is_off(recorded, model, NOTABLE):
        how = "too many" if sum(model) > sum(recorded) else "too few"
        wrong = _rate_is_off(recorded, model, MISCOUNT)
        what = "it does not describe the cell's rate" if wrong else f"more than a fifth {how}"
        out.append(
            f"on its own training data the fit fires {sum(model):.0f} spikes ({runs}), the cell "
            f"{sum(recorded):.0f}: {what}"
        )
    silent, dead = _find_mismatched_sweeps(recorded, model)
    off = _find_miscounted_sweeps(recorded, model, NOTABLE)
    if out or len(off) <= UNSAID * _count_active(recorded, model):
        off = []
    kinds = ((silent, "fires where the cell was silent"), (dead, "is silent where the cell fired"),
             (off, "counts wrong by more than a fifth"))  # fmt: skip
    for sweeps, what in kinds:
        if sweeps:
            listed = ", ".join(f"{names[k]!r}: {model[k]:.0f} for {recorded[k]:.0f}" for k in sweeps[:NAMED])
            more = f" and {len(sweeps) - NAMED} more" if len(sweeps) > NAMED else ""
            out.append(f"in {len(sweeps)} of {len(names)} training sweeps the fit ({runs}) {what} ({listed}{more})")
    return out
