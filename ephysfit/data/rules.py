"""Every rule by which reading drops, cuts, replaces, refuses or warns, in one table that docs/reading.md prints.

A rule that removes something states how much in `Sweep.removed`, under its name here; `ephysfit info` adds it up.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from types import MappingProxyType

from ephysfit.errors import say_count


@dataclass(frozen=True)
class Removed:
    """Count of what one rule removed from one sweep.

    Parameters
    ----------
    rule
        Name of the rule, a key of `RULES`.
    count
        Number of items removed.
    of
        Kind of item: ``"events"``, ``"spikes"``, ``"samples"``, ``"rows"``, ``"lines"``.

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
        return f"{say_count(self.count, self.of.removesuffix('s'))} ({self.rule})"


@dataclass(frozen=True)
class Rule:
    """One rule of reading.

    Parameters
    ----------
    does
        ``"drops"``, ``"cuts"``, ``"masks"``, ``"replaces"``, ``"refuses"`` or ``"warns"``.
    what
        Object of the rule, in words that a physiologist understands.
    threshold
        Condition under which it acts, with the numbers.
    overrule
        How a user can overrule it.
    honest
        How often it acts on sound data that resembles the faulty kind, as measured, with the command.
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
        "narrow event": Rule(
            "drops",
            "an event like a spike that lasts too short at half height",
            "under 0.12 ms; one sample where most large events of the sweep last longer and typically three or more",
            "spikes= of your own, load(..., spikes='given')",
        ),
        "small event": Rule(
            "drops",
            "an event like a spike that is too small",
            "mean of rise and fall under a quarter of the cell's large spikes (their 90th percentile); under 10 mV it "
            "is not counted",
            'spikes={"height": 12}',
        ),
        "no fall": Rule(
            "drops",
            "a steep rise that does not fall again within 20 ms",
            "by a quarter of the rise: the edge of a step over the electrode, an entry into depolarisation block",
            'spikes={"height": 12} does not change it; spikes= of your own',
        ),
        "charging": Rule(
            "drops",
            "the rise of a membrane that the current charges, and its fall as the current ends",
            "it rises from the beginning of a pulse, slower and slower, by 60 mV at most, and falls from its end no "
            "faster than charge leaves a linear membrane that rose as it did, within a tenth of the rise; or it stays "
            "within 5 mV or a seventh of what a linear membrane fitted to the sweep does with the current",
            "spikes= of your own, load(..., spikes='given')",
            "0 of 6737 spikes of the recordings at hand; of the spikes that pulses of 0.5 to 10 ms evoke in "
            "Hodgkin-Huxley cells 21 of 5283 are missed, of shorter ones 106 of 774, of those that currents of a "
            "synapse's shape evoke 0 of 1503 (benchmarks/pulses.py)",
        ),
        "refractory": Rule(
            "drops",
            "the later of two detected spikes",
            "0.8 ms apart or less from onset to onset",
            'spikes={"refractory": 0.5}',
        ),
        "doubled spikes": Rule(
            "drops",
            "spike times that are another one over again",
            "they follow it within one sample, and within 0.5 ms",
            "give the times of a finer clock with its step, dt=",
        ),
        "missing spike times": Rule(
            "drops",
            "spike times that are no number",
            "NaN or infinite, between others (at the end of a train they pad it)",
            "none",
        ),
        "coarse sampling": Rule(
            "warns",
            "of spikes that may have fallen between samples",
            "half of the spikes last fewer than two samples at half height",
            "nothing is changed",
        ),
        "leak": Rule(
            "replaces",
            "a recorded current that follows the spikes (an amplifier's artefact would tell a model the answer); the "
            "sweep is refused where no other current is known",
            "after spikes the current departs from the levels of its steps, from the other repeats or from what its "
            "own past foretells by more than chance (1 in 1,000 a recording) and by 2 % of its standard deviation, "
            "also beside moments with a like past and no spike",
            'leak="keep", or leak="step" for the levels of its steps',
            "1 of 960 made recordings accused: 20 stimuli, 4 neurons, steps of 0.1 to 1 ms (benchmarks/leaks.py); none "
            "of the real ones",
        ),
        "depolarisation block": Rule(
            "refuses",
            "a step at which the cell fires a burst and then stays depolarised and silent",
            "spikes, then silence to the end of the step of 50 ms and four times the longest interval, with the "
            "voltage 5 mV above where two or more of them started; or at most half the spikes of a smaller step that "
            "has 10 and fired on, the first and the second no later than there, and any voltage not 3 mV below where "
            "those started",
            'block="keep"',
            "0 of 138 real steps, with their voltage and without (ephysfit.data.depolarisation_block); strong "
            "adaptation, phasic cells and recordings that end are kept (tests/data/test_depolarisation_block.py)",
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
            "a voltage that is no number (NaN), or at exactly 0 mV, or at one value that is no end of its range, for 5 "
            "ms or more, noisy on both sides",
            'padding="keep" (not for NaN)',
            "0 of 54 made traces, 0 of 208 real sweeps, as above",
        ),
        "voltage clamp": Rule(
            "refuses",
            "a sweep whose voltage was imposed",
            "the format says so (ABF: MultiClamp telegraph, unit of enabled outputs; NWB: type of series; HEKA: mode "
            "of the trace); or, where it does not, a voltage that is nothing but jumps of 3 mV and more within 0.3 ms "
            "between levels it holds, exactly while the current is noisy, or with noise while the current overshoots "
            "at the jumps; or a voltage that moves by less than over 1 MOhm while the mean current of 20 ms moves by "
            "100 pA",
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
        "dead repeats": Rule(
            "warns",
            "repeats of a stimulus without spikes, at a score",
            "at most 5 % of the spikes of the middle repeat, which holds 16 or more; or 8 or more, where chance leaves "
            "so many repeats silent in fewer than 4 of 1000 cells that fire in bursts",
            "leave the repeats out: select(), --sweeps, --test",
            "none of 2880 sets of Poisson repeats, 27 of 2880 of bursts of three, 2 to 30 repeats at 0.1 to 20 Hz "
            "(tests/metrics/test_stationarity.py)",
        ),
        "weak repeats": Rule(
            "warns",
            "repeats of a stimulus with far fewer spikes than the others, at a score",
            "at most half of the middle repeat, and 3.5 standard deviations of the others below it, of counts of Fano "
            "factor 3 at least; five repeats or more",
            "leave the repeats out: select(), --sweeps, --test",
            "none of 5760 sets, as above",
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
            "none of 16 pairs of names of one cell (tests/data/test_cell_names.py)",
        ),
        "transposed": Rule(
            "refuses",
            "arrays that may be (time, trial) instead of (trial, time)",
            "as many trials as samples or more, nothing in the file that has one entry per trial or per sample, and "
            "neighbours along the second axis differ by more than half as much, against any two samples, as along the "
            "first; or sweeps would be shorter than 5 ms",
            "time_axis=1 for (trial, time), time_axis=0 for (time, trial)",
            "of 15 sets of 60 to 1000 sweeps of 6 to 25 ms the 5 refused are staircases in order of 60 steps and more; "
            "noise and windows of one long sweep are read (tests/data/test_time_axis.py); transposed, all 12 sets "
            "refused",
        ),
        "words among the numbers": Rule(
            "drops",
            "comments among the rows of a text table, remarks behind rows, words below the last row",
            "lines that begin with #, % or //; a last cell that begins with #; up to 20 lines below the numbers that "
            "do not begin with a number. Any other line that is no row is refused with its number",
            "delete them",
            "16 exports as programs write them, in 4 encodings, lose no number (tests/data/test_text_tables.py)",
        ),
        "thousands": Rule(
            "refuses",
            "numbers such as 1,234 that may be 1234 or 1.234",
            "every decimal mark of the table is followed by exactly three digits and stands behind one to three, of "
            "which the first is no 0; with points, only where a column has whole numbers too",
            "decimal=',' or decimal='.'",
            "none of 3000 generated tables with a time column refused (tests/data/test_text_tables.py)",
        ),
        "samples from elsewhere": Rule(
            "refuses",
            "an HDF5 file (NWB, NIX, Matlab 7.3) that takes anything from other files",
            "an external link, external storage or a virtual dataset that leads outside the folder of the file, also "
            "by .. or a symbolic link, or over the network at all; a virtual dataset whose parts are missing",
            "allow_links=True (not for missing parts), or put the files into one folder",
            "0 of 30 files in four formats that lean on files of their folder (tests/data/test_link_policy.py)",
        ),
    }
)


def format_table() -> str:
    """Format the rules as the Markdown table of docs/reading.md (`python -m ephysfit.data.rules` prints it)."""
    rows = [(name, r.does, f"{r.what}: {r.threshold}", r.overrule, r.honest or "–") for name, r in RULES.items()]
    head = [("rule", "does", "when", "overrule", "on honest data"), ("---",) * 5]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in (*head, *rows))


if __name__ == "__main__":
    sys.stdout.write(format_table() + "\n")
