"""Render a report as one HTML file that works offline."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ephysfit.files import replace_nan
from ephysfit.fitting.uncertainty.criteria import compute_criteria
from ephysfit.reports.card_rows import list_card_rows, list_reasons
from ephysfit.reports.evidence import READOUTS, Evidence
from ephysfit.reports.figures.plots import PLOTS
from ephysfit.reports.headline import write_headline
from ephysfit.reports.interactive import make_zoomable_view
from ephysfit.reports.rescaling import describe_rescaling
from ephysfit.reports.shown_equations import show_equations
from ephysfit.reports.step_table import make_step_lines
from ephysfit.reports.svg import render_inline_svg
from ephysfit.reports.tables import (
    describe_open_directions,
    format_parameter,
    format_percent,
    format_score,
    format_unit,
    make_derived_lines,
    make_parameter_lines,
    make_provenance_lines,
    make_score_lines,
    make_stage_lines,
)
from ephysfit.reports.verdict import write_answers

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_TEMPLATES = Path(__file__).with_name("templates")


def draw_figures(evidence: Evidence) -> dict[str, Figure | str]:
    """Draw the figures of the page by name; a sentence in place of one that has nothing to show."""
    return {name: plot.draw(evidence) for name, plot in PLOTS.items() if name != "bounds"}


def render_page(evidence: Evidence, figures: Mapping[str, Figure | str] | None = None) -> str:
    """Render the report as HTML text.

    Parameters
    ----------
    evidence : Evidence
    figures : mapping of str to Figure or str, optional
        From `draw_figures`, where they are drawn already.

    Returns
    -------
    str

    Notes
    -----
    The page also holds its numbers as JSON (``<script type="application/json" id="ephysfit-data">``).
    """
    safe = {k: Markup(v) for k, v in _collect_markup(evidence).items()}
    return (
        make_environment()
        .get_template("report.html.j2")
        .render(**_collect_content(evidence, figures or draw_figures(evidence)), **safe)
    )


def make_environment() -> Environment:
    """Make the environment in which the pages of reports are rendered."""
    env = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    env.filters.update(number=format_score, amount=format_parameter, percent=format_percent, plain=_name_to_html)
    return env


def read_style() -> str:
    """Read the style sheet of the pages of reports."""
    return (_TEMPLATES / "report.css").read_text(encoding="utf-8")


def _collect_markup(evidence: Evidence) -> dict[str, str]:
    """Collect the parts of the page that are markup and must not be escaped."""
    script, div = _make_viewer(evidence)
    return {
        "style": read_style(),
        "paint": (_TEMPLATES / "paint.js").read_text(encoding="utf-8") if script else "",
        "viewer_script": script,
        "viewer": div,
        "data": to_embedded_json(collect_data(evidence)),
    }


def _make_viewer(evidence: Evidence) -> tuple[str, str]:
    """Make the zoomable view as (script, div); empty without bokeh (``pip install 'ephysfit[report]'``)."""
    try:
        there = find_spec("bokeh") is not None
    except ModuleNotFoundError:  # something on the way forbids it
        there = False
    return make_zoomable_view(evidence) if there else ("", "")


def _collect_content(evidence: Evidence, drawn: Mapping[str, Figure | str]) -> dict[str, Any]:
    fit = evidence.fit
    kind = type(fit.neuron)
    shown = show_equations(kind)
    return {
        "fit": fit,
        "head": write_headline(evidence),
        "answers": write_answers(evidence),
        "evidence": evidence,
        "warnings": _list_warnings(evidence),
        "readouts": {name: READOUTS[name] for name in evidence.scores},
        "score_lines": make_score_lines(evidence.scores),
        "parameter_lines": make_parameter_lines(fit),
        "sure": fit.intervals,
        "derived": make_derived_lines(fit),
        "criteria": compute_criteria(fit),
        "open": describe_open_directions(fit),
        "card_rows": list_card_rows(*evidence.cards),
        "card_missing": list_reasons(evidence.cards[0]),
        "stages": make_stage_lines(fit),
        "provenance": make_provenance_lines(fit),
        "facts": {k: v for k, v in evidence.test.facts.items() if v},
        "equations": [(what, Markup(math)) for what, math in shown.lines],
        "states": {name: kind.states[name] for name in shown.states},
        "distance": shown.distance,
        "biology": kind.biology,
        "functions": [
            Markup(text) for name, text in _FUNCTIONS.items() if any(f"<mi>{name}</mi>" in m for _, m in shown.lines)
        ],
        "figures": {
            n: (PLOTS[n].caption_of(f), Markup(render_inline_svg(f, n)))
            for n, f in drawn.items()
            if not isinstance(f, str)
        },
        "reasons": {n: why for n, why in drawn.items() if isinstance(why, str)},
        "goodness": describe_rescaling(evidence.rescaled),
        "step_lines": make_step_lines(evidence),
        "citations": list_citations(evidence),
        "unit_text": format_unit,
        "signed": lambda v: f"{v:g}".replace("-", "−"),
    }


def _list_warnings(evidence: Evidence) -> list[str]:
    """List the warnings of the fit, the recording and the scores, each once."""
    every = [*evidence.fit_warnings, *evidence.test.warnings]
    for name in (evidence.single, evidence.many):
        every += evidence.scores[name].warnings
    return list(dict.fromkeys(every))


def list_citations(evidence: Evidence) -> list[tuple[str, str]]:
    """List the citations of this result as (kind, text): software, model, scores, data."""
    fit, facts = evidence.fit, evidence.test.facts
    version = fit.provenance.version
    out = [("software", f"ephysfit {version}".strip())]
    if type(fit.neuron).reference:
        out.append(("model", f"{fit.model}: {type(fit.neuron).reference}"))
    refs = [line.reference for line in make_score_lines(evidence.scores) if line.reference]
    out.append(("scores", "; ".join(dict.fromkeys(r.strip() for ref in refs for r in ref.split(";")))))
    data = "; ".join(facts[k] for k in ("related_publications", "data_collection", "institution") if facts.get(k))
    return [*out, ("data", data)] if data else out


def collect_data(evidence: Evidence) -> dict[str, Any]:
    """Collect the numbers of a page as plain values: fit, scores, cards."""
    return {
        "fit": evidence.fit.to_dict(),
        "scores": {name: score.to_dict() for name, score in evidence.scores.items()},
        "cards": dict(zip(("cell", "model"), (card.to_dict() for card in evidence.cards), strict=True)),
    }


def to_embedded_json(found: Mapping[str, Any]) -> str:
    """Write plain values as JSON that may stand in a script element."""
    # "<" cannot end the script element early
    return json.dumps(replace_nan(found), allow_nan=False, default=str).replace("<", "\\u003c")


def _name_to_html(name: str) -> str:
    """Write the name of a parameter in HTML, ``tau_m`` as τ with the subscript m."""
    head, *tail = (escape(_GREEK.get(part, part)) for part in name.split("_"))
    return Markup(f"<i>{head}</i><sub>{' '.join(tail)}</sub>" if tail else f"<i>{head}</i>")


_FUNCTIONS = {
    "softplus": "softplus(<i>x</i>) = ln(1 + e<sup><i>x</i></sup>)",
    "σ": "σ(<i>x</i>) = 1/(1 + e<sup>−<i>x</i></sup>)",
}
_GREEK = {
    "tau": "τ", "theta": "θ", "delta": "δ", "gamma": "γ", "eta": "η", "beta": "β", "alpha": "α", "lambda": "λ",
    "rho": "ρ", "omega": "ω", "kappa": "κ", "sigma": "σ", "mu": "μ", "phi": "φ", "zeta": "ζ", "xi": "ξ",
}  # fmt: skip
