"""The first screen of a report: how good the model is, compared with what, and what it can be used for."""

from __future__ import annotations

from collections.abc import Iterator
from math import isnan

from ephysfit.metrics.headline_scores import COUNT, LATENCY, RATIO
from ephysfit.neuron.roles import Role
from ephysfit.reports.evidence import Evidence
from ephysfit.reports.figures.style import format_current
from ephysfit.reports.headline import describe_agreement, describe_test_data
from ephysfit.reports.tables import format_percent

#: share of the best score of a single train from which spike times are predicted well, and from which in part
GOOD, FAIR = 0.75, 0.5
#: relative error of a rate up to which it is right
RATE = 0.2
#: hits at short pulses, at least, and false alarms, at most
HITS, ALARMS = 0.8, 0.2
#: steps below which a comparison with a line is an accident
FEW_STEPS = 3

QUESTIONS = ("How good is it?", "Compared with what?", "Can I use it?")


def write_answers(evidence: Evidence) -> list[tuple[str, str]]:
    """Answer the questions that a reader begins with, as (question, sentences)."""
    verdict = " ".join([_judge(evidence), *_list_limits(evidence)])
    return list(zip(QUESTIONS, (describe_test_data(evidence), describe_agreement(evidence), verdict), strict=True))


def _judge(evidence: Evidence) -> str:
    """Judge by the score that suits the protocol."""
    many = evidence.scores[evidence.many]
    if not many.n_spikes:
        return "That cannot be said: the cell has no spikes in the test sweeps."
    if not many.rate_model_hz:
        return "No: it stays silent where the cell fires."
    if evidence.short_pulses is not None:
        return _judge_pulses(evidence)
    if evidence.plays_steps:
        return _judge_steps(evidence)
    return _judge_spike_times(evidence) if many.repeated else _judge_rate(evidence)


def _judge_spike_times(evidence: Evidence) -> str:
    row = evidence.scores[evidence.single].row(RATIO.name)
    if isnan(row.value):
        return "Spike times cannot be judged: the cell does not repeat itself beyond chance."
    share = row.value if isnan(row.ceiling) else row.value / row.ceiling
    reached = f"it reaches {format_percent(share)} of what one train could"
    rate = _describe_rate_error(evidence)
    off = f" Its mean rate is {rate}." if rate else ""
    if share >= GOOD:
        return f"Yes, to predict when the cell fires in current like that of the test: {reached}.{off}"
    if share >= FAIR:
        return f"With care: the pattern of its spikes is that of the cell, single spikes often not; {reached}.{off}"
    return f"Not for spike times: {reached}.{off or ' Its mean rate is that of the cell.'}"


def _describe_rate_error(evidence: Evidence) -> str:
    """By how much the mean rate is off; empty where it is right."""
    score = evidence.scores[evidence.many]
    error = score.rate_model_hz / score.rate_data_hz - 1.0
    return "" if abs(error) <= RATE else f"{format_percent(abs(error))} too {'high' if error > 0 else 'low'}"


def _judge_rate(evidence: Evidence) -> str:
    off = _describe_rate_error(evidence)
    verdict = f"Not for rates: they are {off}." if off else "For rates, yes: its mean rate is that of the cell."
    if evidence.scores[evidence.many].repeated:
        return verdict
    return f"{verdict} Spike times cannot be judged without repeats of a stimulus."


def _judge_steps(evidence: Evidence) -> str:
    score = evidence.scores[evidence.many]
    count, first = score.row(COUNT.name), score.row(LATENCY.name)
    steps = len(evidence.steps)
    few = f" This rests on {steps} held-out step{'s' * (steps > 1)} alone." if steps < FEW_STEPS else ""
    if isnan(count.baseline):
        return f"{_judge_rate(evidence)}{few}"
    verdict = (
        "Yes, for spike counts between the amplitudes recorded: it is closer than a straight line."
        if count.value <= count.baseline
        else "Not for spike counts between the amplitudes recorded: a straight line is closer."
    )
    if not isnan(first.value) and not isnan(first.baseline):
        closer = first.value <= first.baseline
        verdict += f" Its first spikes are {'closer' if closer else 'further off'} than those of the line."
    return verdict + few


def _judge_pulses(evidence: Evidence) -> str:
    found = evidence.short_pulses
    assert found is not None
    hit = isnan(found.hits) or found.hits >= HITS
    quiet = isnan(found.false_alarms) or found.false_alarms <= ALARMS
    if hit and quiet:
        return "Yes, to tell which short pulses make the cell fire."
    if not hit:
        return "Not for short pulses: it misses too many that make the cell fire."
    return "Not for short pulses: it fires at too many to which the cell is silent."


def _list_limits(evidence: Evidence) -> Iterator[str]:
    """List what the model is not to be used for, whatever its scores."""
    if type(evidence.fit.neuron).name_of(Role.POTENTIAL) is None:
        yield "It has no membrane potential."
    elif not evidence.shares_units:
        yield "Not for potentials, resistances or capacitances: it was fitted to spikes, which fix no mV."
    test = evidence.rescaled.get("test")
    if test is not None and not test.within:
        yield "Do not take its spike probabilities or its variability for the cell's (see goodness of fit)."
    low, high = (format_current(x) for x in evidence.trained_range)
    yield f"Outside {low.removesuffix(' pA')} to {high} it extrapolates."
