"""Write the headline of a report: one sentence and a few scores."""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan

from ephysfit.data.readout import Readout
from ephysfit.metrics.headline_scores import AGREEMENT, COINCIDENCE, COUNT, LATENCY, RATIO
from ephysfit.metrics.jackknife import Row
from ephysfit.metrics.score_result import Score
from ephysfit.metrics.short_pulses import PulseRates
from ephysfit.reports.evidence import Evidence
from ephysfit.reports.tables import format_parameter, format_percent, format_score


@dataclass(frozen=True)
class Tile:
    """One number of the headline: its value as text, its name, and a note on the best possible value."""

    value: str
    name: str
    note: str


@dataclass(frozen=True)
class Headline:
    """Title, sentence and tiles of a report."""

    title: str
    sentence: str
    tiles: tuple[Tile, ...]


def write_headline(evidence: Evidence) -> Headline:
    """Write the headline of a report.

    All numbers refer to the scored stretches of the test stimuli; the single train is the noise-free run of a
    stochastic neuron, otherwise its threshold run.
    """
    fit = evidence.fit
    sentence = f"{describe_test_data(evidence)} {describe_agreement(evidence)}"
    return Headline(f"{fit.cell}: {fit.model}", sentence, tuple(_make_tiles(evidence)))


def describe_test_data(evidence: Evidence) -> str:
    """Describe what the model was tested on, and how many of the spikes it places, or at which rate it fires."""
    spans = evidence.scores[evidence.single].scored
    seconds = sum(b - a for a, b in spans) / 1e3
    stimuli = "one stimulus" if len(spans) == 1 else f"{len(spans)} stimuli"
    return (
        f"On {seconds:.3g} s of current that was not used by the fit ({stimuli}, {_describe_repeats(evidence)}), "
        f"{evidence.fit.model} {_describe_placed_spikes(evidence)}"
    )


def _describe_repeats(evidence: Evidence) -> str:
    counts = evidence.scores[evidence.single].n_repeats
    low, high = min(counts), max(counts)
    if high == 1:
        return "not repeated"
    return f"{high} repeats" if low == high else f"{low} to {high} repeats"


def _describe_placed_spikes(evidence: Evidence) -> str:
    hits, many = evidence.overall, evidence.scores[evidence.many]
    if evidence.short_pulses is not None or (evidence.plays_steps and many.n_spikes):
        return f"fires at {many.rate_model_hz:.1f} Hz where the cell fires at {many.rate_data_hz:.1f} Hz."
    recorded, own = sum(len(m) for m in hits.predicted), len(hits.shared)
    if not recorded:
        return f"predicts {own} spikes, but the cell is silent."
    if not own:
        return f"stays silent where the cell fires at {evidence.scores[evidence.single].rate_data_hz:.1f} Hz."
    return (
        f"places {format_percent(hits.predicted_share)} of the cell's spikes within ±{hits.window:g} ms; "
        f"{format_percent(hits.extra_share)} of the spikes it predicts are near no recorded one."
    )


def _explain_missing_ceiling(score: Score) -> str:
    """Explain why the cell's own score is unknown."""
    reliability = score["R"]
    if max(score.n_repeats) < 2:
        return "Without repeats of a stimulus, the score that the cell itself would reach is unknown."
    if not score.n_spikes:
        return "Without recorded spikes, the score that the cell itself would reach is unknown."
    if isnan(reliability):
        return "The cell fires so fast that the windows around its spikes cover all time: its own score is undefined."
    return (
        f"The cell does not repeat itself beyond chance (R = {format_score(reliability, 2)}), so there is no "
        "ceiling to compare with."
    )


def _describe_pulses(found: PulseRates) -> str:
    """How often the model answers the pulses that the cell answers, and the others."""
    hits = f"It fires at {format_percent(found.hits)} of the {found.answered} short pulses at which the cell fires"
    alarms = f"at {format_percent(found.false_alarms)} of the {found.silent} at which it does not"
    if not found.answered:
        return f"The cell fires at none of the {found.silent} short pulses; the model does {alarms}."
    return f"{hits} (hit rate), and {alarms} (false alarms)." if found.silent else f"{hits} (hit rate), which are all."


def _describe_steps(score: Score) -> str:
    """How far counts and first spikes of steps are off, beside a line between the neighbouring amplitudes."""
    count, first = score.row(COUNT.name), score.row(LATENCY.name)
    line = (
        ""
        if isnan(count.baseline)
        else f" (a line between neighbouring amplitudes: {format_parameter(count.baseline, 2)})"
    )
    text = f"Its spike count is off by {format_parameter(count.value, 2)} a step{line}"
    if not isnan(first.value):
        line = "" if isnan(first.baseline) else f" (the line: {format_parameter(first.baseline, 2)} ms)"
        text += f", its first spike by {format_parameter(first.value, 2)} ms{line}"
    worse = count.value > count.baseline
    ceiling = "" if score.repeated else _explain_missing_ceiling(score)
    return f"{text}. {'A straight line does better. ' if worse else ''}{ceiling}".strip()


def describe_agreement(evidence: Evidence) -> str:
    """Describe the score that suits the protocol: Γ/R of repeated noise, counts of steps, hits of short pulses."""
    score = evidence.scores[evidence.single]
    many = evidence.scores[evidence.many]
    if evidence.short_pulses is not None:
        return _describe_pulses(evidence.short_pulses)
    if evidence.plays_steps:
        return _describe_steps(many)
    row = score.row(RATIO.name)
    if isnan(row.value):
        gamma = score.row(COINCIDENCE.name)
        if isnan(gamma.value):
            if score.n_spikes or score.rate_model_hz:
                return "The windows around the spikes cover all time, so the coincidence factor is undefined."
            return "There are no spikes to compare, so no score is defined."
        value = format_score(gamma.value, 2)
        return f"Its coincidence factor is Γ = {value} (1: every spike, 0: chance). {_explain_missing_ceiling(score)}"
    top = "" if isnan(row.ceiling) else f"; the best that one train could reach is {format_score(row.ceiling, 2)}"
    return (
        f"Beyond chance, it agrees with the cell {format_score(row.value, 2)} times as well as the cell's own repeats "
        f"agree with each other (Γ/R; spikes at random: 0){top}."
    )


def _make_tiles(evidence: Evidence) -> list[Tile]:
    one, many = evidence.scores[evidence.single], evidence.scores[evidence.many]
    rate = Tile(f"{many.rate_model_hz:.1f} / {many.rate_data_hz:.1f}", "rate in Hz", "model / cell")
    if evidence.short_pulses is not None:
        p = evidence.short_pulses
        return [
            Tile(format_percent(p.hits), "hit rate", f"of {p.answered} pulses with a spike"),
            Tile(format_percent(p.false_alarms), "false alarms", f"of {p.silent} pulses without one"),
            rate,
        ]
    if evidence.plays_steps:
        return [rate, *(_make_step_tile(many.row(h.name), h.label) for h in (COUNT, LATENCY))]
    tiles = [_make_tile(one.row(RATIO.name), RATIO.label, "noise-free" if evidence.single != evidence.many else "")]
    if isnan(one[RATIO.name]):
        tiles = [_make_tile(one.row(COINCIDENCE.name), COINCIDENCE.label, "")]
    star = many.row(AGREEMENT.name)
    if not isnan(star.value):
        tiles.append(_make_tile(star, AGREEMENT.label, Readout.NOISY if evidence.single != evidence.many else ""))
    hits = evidence.overall
    tiles.append(Tile(format_percent(hits.predicted_share), "spikes predicted", f"within ±{hits.window:g} ms"))
    tiles.append(Tile(format_percent(hits.extra_share), "extra spikes", "best 0 %"))
    return [*tiles, rate] if many.repeated else [rate, *tiles]  # one sweep does not tell its spike times from noise


def _make_step_tile(row: Row, name: str) -> Tile:
    note = "best 0" if isnan(row.baseline) else f"a straight line {format_score(row.baseline, 1)}"
    return Tile(format_score(row.value, 1), name, note)


def _make_tile(row: Row, name: str, of: str) -> Tile:
    top = "ceiling unknown" if isnan(row.ceiling) else f"best {format_score(row.ceiling, 2)}"
    free = f"at random {format_score(row.baseline, 2)}" if row.metric == "md_star" and not isnan(row.baseline) else ""
    return Tile(format_score(row.value, 2), name, ", ".join(filter(None, [of, free, top])))
