"""Render the comparison of several fits as one HTML file that works offline."""

from __future__ import annotations

from collections import Counter
from math import isnan
from typing import Any

from markupsafe import Markup

from ephysfit.card.measures import format_number
from ephysfit.metrics.score_result import Score
from ephysfit.reports.figures.comparison_figures import draw_f_i_curves, draw_side_by_side
from ephysfit.reports.fit_comparison import Comparison, describe_ranking, list_differences
from ephysfit.reports.page import collect_data, make_environment, read_style, to_embedded_json
from ephysfit.reports.rescaling import describe_rescaling
from ephysfit.reports.svg import render_inline_svg
from ephysfit.reports.tables import ScoreLine, format_unit, make_parameter_lines, make_score_lines
from ephysfit.reports.verdict import write_answers

_CAPTIONS = {
    "side-by-side": "From above: the injected current; recorded repeats and one causal train of each fit; smoothed "
    "rates (Gaussian, 10 ms) of the cell and of the fits.",
    "f-i": "Mean rate over the whole step and the band of 90 % of the noisy runs; circles are measured steps of the "
    "cell, filled where the fits have not used them.",
}


def render_comparison(comparison: Comparison) -> str:
    """Render the comparison as HTML text, with all numbers as JSON inside."""
    drawn = {"side-by-side": draw_side_by_side(comparison), "f-i": draw_f_i_curves(comparison)}
    return make_environment().get_template("comparison.html.j2").render(
        comparison=comparison,
        first=comparison.first,
        ranking=describe_ranking(comparison),
        differences=list_differences(comparison),
        answers=[write_answers(e) for e in comparison.evidence],
        tables=_make_tables(comparison),
        card=_make_card_rows(comparison),
        parameters=_make_parameter_rows(comparison),
        goodness=[describe_rescaling(e.rescaled) for e in comparison.evidence],
        figures={n: (_CAPTIONS[n], Markup(render_inline_svg(f, n))) for n, f in drawn.items()},
        style=Markup(read_style()),
        data=Markup(to_embedded_json({n: collect_data(e) for n, e in _list_named(comparison)})),
    )  # fmt: skip


def _list_named(comparison: Comparison) -> list[tuple[str, Any]]:
    return list(zip(comparison.names, comparison.evidence, strict=True))


def _make_tables(comparison: Comparison) -> list[tuple[str, list[tuple[ScoreLine, set[str]]]]]:
    """Score lines of single causal trains and of noisy runs, each with the names of the best fits."""
    single = {name: e.scores[e.single] for name, e in _list_named(comparison)}
    noisy = {name: e.scores[e.many] for name, e in _list_named(comparison) if e.many != e.single}
    made = [("One causal train", single), ("Noisy runs", noisy)]
    return [(title, _mark_best(scores)) for title, scores in made if scores]


def _mark_best(scores: dict[str, Score]) -> list[tuple[ScoreLine, set[str]]]:
    return [(line, _find_best(line)) for line in make_score_lines(scores)]


def _find_best(line: ScoreLine) -> set[str]:
    """Names of the fits that are nearest to the value of a perfect match; none for what is of the cell alone."""
    off = {n: abs(r.value - line.best) for n, r in line.cells.items() if not isnan(r.value)}
    if line.metric == "reliability" or len(off) < 2:
        return set()
    if line.higher_is_better:
        off = {n: -line.cells[n].value for n in off}
    return {n for n, v in off.items() if v == min(off.values())}


def _make_card_rows(comparison: Comparison) -> list[tuple[str, ...]]:
    cell, *_ = comparison.first.cards
    models = [e.cards[1] for e in comparison.evidence]
    rows = [(m, [m.value, *(card[m.name].value for card in models)]) for m in cell]
    return [
        (m.label, m.unit, *("–" if v is None else format_number(v) for v in values))
        for m, values in rows
        if any(v is not None for v in values)
    ]


def _make_parameter_rows(comparison: Comparison) -> list[tuple[str, str, str, list[list[Any]]]]:
    """Parameters (name, unit, meaning, values of each fit) that several fits share by name and unit."""
    fitted = [
        {(line.name, line.unit): line for line in make_parameter_lines(e.fit) if line.kind == "fitted"}
        for e in comparison.evidence
    ]
    times = Counter(key for lines in fitted for key in lines)
    rows = []
    for key in (k for k, n in times.items() if n > 1):
        meaning = next(lines[key].meaning for lines in fitted if key in lines)
        values = [list(lines[key].values) if key in lines else [] for lines in fitted]
        rows.append((key[0], format_unit(key[1]), meaning, values))
    return rows
