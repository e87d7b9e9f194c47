"""Every rule by which reading drops, cuts, replaces, refuses or warns, in one table that docs/reading.md prints.

A rule that takes something away says how much in `Sweep.removed`, under its name here; `ephysfit info` adds it up.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Removed:
    """What one rule took away from one sweep.

    Parameters
    ----------
    rule
        Name of the rule, a key of `RULES`.
    count
        How many.
    of
        Of what: ``"events"``, ``"spikes"``, ``"samples"``, ``"rows"``.

    Examples
    --------
    >>> str(Removed("test pulse", 800, "samples"))
    '800 samples (test pulse)'
    """

    rule: str
    count: int
    of: str

    def __post_init__(self) -> None:
        if self.rule not in RULES:
            raise KeyError(f"no rule {self.rule!r} in ephysfit.data.rules; declare it there: {', '.join(RULES)}")

    def __str__(self) -> str:
        return f"{self.count} {self.of} ({self.rule})"


@dataclass(frozen=True)
class Rule:
    """One rule of reading.

    Parameters
    ----------
    does
        ``"drops"``, ``"cuts"``, ``"masks"``, ``"replaces"``, ``"refuses"`` or ``"warns"``.
    what
        What it acts on, in a sentence that a physiologist understands.
    threshold
        When it acts, with the numbers.
    overrule
        How a user has it otherwise.
    honest
        How often it acts on honest data that looks like the bad, as measured, with the command.
    """

    does: str
    what: str
    threshold: str
    overrule: str
    honest: str = ""


RULES = MappingProxyType(
    {
        "test pulse": Rule(
            "masks",
            "a test pulse at the beginning of the sweeps",
            "nearly all sweeps begin with the same pulse, none of it makes the cell spike and other stimuli follow, or "
            "MIES marks it",
            'test_pulse="keep"',
        ),
        "leak": Rule(
            "replaces",
            "a recorded current that follows the spikes (an amplifier's artefact would tell a model the answer); the "
            "sweep is refused where no other current is known",
            "after spikes the current departs from the levels of its steps, from the other repeats or from what its "
            "own past foretells by more than chance (1 in 1,000 a recording) and by 2 % of its standard deviation, "
            "also beside moments with a like past and no spike",
            'leak="keep", or leak="step" for the levels of its steps',
        ),
        "not driven": Rule(
            "refuses",
            "to fit a recording whose current says nothing (it loads, with a warning)",
            "the current is the same throughout, or the noise of its recording that the voltage does not follow, or "
            "most sweeps contradict it",
            "ef.fit(..., undriven=True), ephysfit fit --undriven",
        ),
        "contradicted": Rule(
            "warns",
            "of a voltage that does not follow its current, or falls where that rises",
            "four standard errors above the input resistance, it is still below 2 MOhm although a cell of 20 MOhm "
            "would have moved five times as much as the rest of the voltage",
            "nothing is changed; the fit is refused where most sweeps are so",
        ),
    }
)


def table() -> str:
    """The rules as a Markdown table, as it stands in docs/reading.md (`python -m ephysfit.data.rules` prints it)."""
    rows = [(name, r.does, f"{r.what}: {r.threshold}", r.overrule, r.honest or "–") for name, r in RULES.items()]
    head = [("rule", "does", "when", "overrule", "on honest data"), ("---",) * 5]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in (*head, *rows))


if __name__ == "__main__":
    sys.stdout.write(table() + "\n")
