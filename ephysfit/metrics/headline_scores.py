"""The scores that are quoted first: of which readout, and under which label in reports, tables and pages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ephysfit.data.readout import Readout

#: readouts that are one causal train, in the order in which they are looked for
NOISE_FREE = (Readout.VOTE, Readout.CAUSAL, Readout.THRESHOLD)
#: readouts that stand for a model's variability, likewise; the one run of a neuron without noise
MANY = (Readout.NOISY, Readout.THRESHOLD)


class HeadlineScore(NamedTuple):
    """A score that is quoted first: the name of its line, its label on a page, the readouts where it is looked for."""

    name: str
    label: str
    readouts: tuple[Readout, ...]


#: of a noise-free run, as a fraction of what the cell's repeats reach
RATIO = HeadlineScore("gamma_over_R_4", "Γ/R, ±4 ms", NOISE_FREE)
#: in its place where the cell was not repeated, or does not repeat itself
COINCIDENCE = HeadlineScore("gamma_4", "Γ, ±4 ms", NOISE_FREE)
#: of noisy runs
AGREEMENT = HeadlineScore("md_star_8", "Md*, ±8 ms", MANY)
#: where the stimuli are steps that were not repeated, and spike times of one sweep are no guide
COUNT = HeadlineScore("count_error", "spikes off, a step", MANY)
LATENCY = HeadlineScore("latency_error", "ms off, first spike", MANY)
#: where they are neither steps nor repeated
RATE = HeadlineScore("rate_error", "rate error", MANY)


def choose_headline(stochastic: bool, repeated: bool = True, steps: bool = False) -> HeadlineScore:
    """The score to quote first: that of noisy runs where there are any, otherwise that of the single run.

    Parameters
    ----------
    stochastic : bool
        Whether the runs are noisy.
    repeated : bool
        Whether any stimulus was repeated. Without repeats the spike times of one sweep cannot be told from its noise,
        so that counts come first: of the steps, or the rate.
    steps : bool
        Whether there are lines of steps.
    """
    if not repeated:
        return COUNT if steps else RATE
    return AGREEMENT if stochastic else RATIO


def find_saved_value(scores: Mapping[str, Any] | None, readouts: Iterable[str], name: str) -> float | None:
    """The value of a line of saved scores, from the first readout that has it; None where none has.

    Parameters
    ----------
    scores : mapping, optional
        Rows by readout, as `Score.to_dict` writes them.
    readouts : iterable of str
    name : str
        Of the line, such as "md_star_8".

    Examples
    --------
    >>> find_saved_value({"threshold run": [{"name": "md_star_8", "value": 0.8}]}, MANY, AGREEMENT.name)
    0.8
    """
    for readout in readouts:
        for row in (scores or {}).get(readout, ()):
            if row["name"] == name and row["value"] is not None:
                return float(row["value"])
    return None
