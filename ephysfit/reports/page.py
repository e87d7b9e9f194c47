"""The page: everything a report shows as one HTML file that works without network."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ephysfit.files import replace_nan
from ephysfit.fitting.uncertainty.criteria import criteria
from ephysfit.reports.equations import equation_lines, margin_name, shown_states
from ephysfit.reports.evidence import READOUTS, Evidence
from ephysfit.reports.figures import PLOTS
from ephysfit.reports.headline import headline
from ephysfit.reports.svg import inline_svg
from ephysfit.reports.tables import (
    amount,
    derived_lines,
    number,
    open_lines,
    parameter_lines,
    percent,
    provenance_lines,
    score_lines,
    stage_lines,
    unit_text,
)

_TEMPLATES = Path(__file__).with_name("templates")


def render(evidence: Evidence) -> str:
    """The report as HTML text.

    Notes
    -----
    The page carries what it shows as JSON too (``<script type="application/json" id="ephysfit-data">``).
    """
    env = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    env.filters.update(number=number, amount=amount, percent=percent, plain=_plain_name)
    safe = {k: Markup(v) for k, v in _markup(evidence).items()}
    return env.get_template("report.html.j2").render(**_content(evidence), **safe)


def _markup(evidence: Evidence) -> dict[str, str]:
    """The parts that are markup already."""
    script, div = _viewer(evidence)
    return {
        "style": (_TEMPLATES / "report.css").read_text(encoding="utf-8"),
        "paint": (_TEMPLATES / "paint.js").read_text(encoding="utf-8") if script else "",
        "viewer_script": script,
        "viewer": div,
        "data": _json(evidence),
    }


def _viewer(evidence: Evidence) -> tuple[str, str]:
    """(script, div) of the zoomable view; empty without bokeh (``pip install 'ephysfit[report]'``)."""
    try:
        import bokeh  # noqa: F401
    except ImportError:
        return "", ""
    from ephysfit.reports.interactive import interactive  # needs bokeh

    return interactive(evidence)


def _content(evidence: Evidence) -> dict[str, Any]:
    fit = evidence.fit
    kind = type(fit.neuron)
    lines = equation_lines(kind)
    drawn = {name: plot.draw(evidence) for name, plot in PLOTS.items() if name != "bounds"}
    return {
        "fit": fit,
        "head": headline(evidence),
        "evidence": evidence,
        "warnings": _warnings(evidence),
        "readouts": {name: READOUTS[name] for name in evidence.scores},
        "score_lines": score_lines(evidence.scores),
        "parameter_lines": parameter_lines(fit),
        "sure": fit.intervals,
        "derived": derived_lines(fit),
        "criteria": criteria(fit),
        "open": open_lines(fit),
        "stages": stage_lines(fit),
        "provenance": provenance_lines(fit),
        "facts": {k: v for k, v in evidence.test.facts.items() if v},
        "equations": [(what, Markup(math)) for what, math in lines],
        "states": {name: kind.states[name] for name in shown_states(kind)},
        "distance": margin_name(kind),
        "biology": kind.biology,
        "functions": [
            Markup(text) for name, text in _FUNCTIONS.items() if any(f"<mi>{name}</mi>" in m for _, m in lines)
        ],
        "figures": {n: (PLOTS[n].says(f), Markup(inline_svg(f, n))) for n, f in drawn.items() if f is not None},
        "citations": citations(evidence),
        "unit_text": unit_text,
        "signed": lambda v: f"{v:g}".replace("-", "−"),
    }


def _warnings(evidence: Evidence) -> list[str]:
    """Cautions of the fit, then of the scores; each once."""
    every = [*evidence.fit.warnings, *evidence.test.warnings]
    for name in (evidence.single, evidence.many):
        every += evidence.scores[name].warnings
    return list(dict.fromkeys(every))


def citations(evidence: Evidence) -> list[tuple[str, str]]:
    """What to cite for this result, as (for what, text): software, model, metrics, data."""
    fit, facts = evidence.fit, evidence.test.facts
    version = fit.provenance.version
    out = [("software", f"ephysfit {version}".strip())]
    if type(fit.neuron).reference:
        out.append(("model", f"{fit.model}: {type(fit.neuron).reference}"))
    refs = [line.reference for line in score_lines(evidence.scores) if line.reference]
    out.append(("scores", "; ".join(dict.fromkeys(r.strip() for ref in refs for r in ref.split(";")))))
    data = "; ".join(facts[k] for k in ("related_publications", "data_collection", "institution") if facts.get(k))
    return [*out, ("data", data)] if data else out


def _json(evidence: Evidence) -> str:
    found: Mapping[str, Any] = {
        "fit": evidence.fit.to_dict(),
        "scores": {name: score.to_dict() for name, score in evidence.scores.items()},
    }
    # "<" cannot end the script element early
    return json.dumps(replace_nan(found), allow_nan=False, default=str).replace("<", "\\u003c")


def _plain_name(name: str) -> str:
    """A parameter's name with its subscript lowered: ``tau_m`` as τ with m."""
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
