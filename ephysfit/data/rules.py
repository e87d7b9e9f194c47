"""Every rule by which reading drops, cuts, replaces, refuses or warns, in one table; docs/reading.md is printed from it.

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
    >>> str(Removed("aborted", 8000, "samples"))
    '8000 samples (aborted)'
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
        "dead repeats": Rule(
            "warns",
            "repeats of a stimulus without spikes, at a score",
            "at most 5 % of the spikes of the middle repeat, which holds 16 or more",
            "leave the repeats out: select(), --sweeps, --test",
            "none of 4200 sets of Poisson, model and bursting repeats (tests/metrics/test_stationarity.py)",
        ),
        "drift over repeats": Rule(
            "warns",
            "a rate or spike times that go with the order of the repeats, at a score",
            "3 standard deviations of counts of Fano factor 1.5, or an order that fewer than 4 of 1000 equal; and "
            "a change of 20 % of the rate, or .1 of gamma, or more",
            "leave the repeats out: select(), --sweeps, --test",
            "2 of 5100 sets of 2 to 30 Poisson repeats and model runs, 8 of 600 of bursts of three "
            "(tests/metrics/test_stationarity.py)",
        ),
        "another cell": Rule(
            "warns",
            "a fit that is scored on a recording of another name",
            "neither names nor files may be of one cell: words such as train, test, noise and numbers of files apart",
            "none is needed: the score stands",
            "none of 16 pairs of names of one cell (tests/data/test_cells.py)",
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
