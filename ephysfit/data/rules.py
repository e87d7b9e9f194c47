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
        "aborted": Rule(
            "cuts",
            "the end of a sweep that was stopped early",
            "samples that are missing (NaN, chunks never written); a voltage that stays at exactly one value for the "
            "last 5 ms or more, four times longer than anywhere else, and was noisy up to there; a voltage beyond "
            "200 mV that does not come back",
            'padding="keep" (not for NaN)',
            "0 of 54 made traces that look like it (tests/data/test_padding.py), 0 of 208 real sweeps",
        ),
        "gap": Rule(
            "masks",
            "samples inside a sweep that were never recorded",
            "a voltage at exactly 0 mV, or at one value that is no end of its range, for 5 ms or more, noisy on both "
            "sides",
            'padding="keep"',
            "0 of 54 made traces, 0 of 208 real sweeps, as above",
        ),
        "voltage clamp": Rule(
            "refuses",
            "a sweep whose voltage was imposed",
            "the format says so (ABF: MultiClamp telegraph, unit of enabled outputs; NWB: type of series); or, where "
            "it does not, a voltage that is nothing but jumps of 3 mV and more within 0.3 ms between levels it "
            "holds, exactly while the current is noisy, or with noise while the current overshoots at the jumps; or a "
            "voltage that moves by less than over 1 MOhm while the mean current of 20 ms moves by 100 pA",
            'clamp="current"',
            "0 of 80 made traces that look like it (tests/data/test_clamp_mode.py), 0 of 208 real sweeps",
        ),
        "template": Rule(
            "refuses",
            "an NWB sweep whose icephys row links a template and no stimulus",
            "always: a template may have been scaled before it was injected",
            "use_template=True",
        ),
        "repeated row": Rule(
            "drops",
            "a row of the icephys tables that is another over again",
            "same samples of the same response and stimulus; rows that share some samples are kept and say so",
            'sweeps="NAME" of the first; none is lost',
        ),
        "never recorded": Rule(
            "refuses",
            "a sweep without a recorded voltage",
            "exactly 0 mV throughout and no spike times given, or a dataset of which nothing was written",
            'padding="keep" (not for datasets never written)',
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
