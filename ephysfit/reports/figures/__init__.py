"""Figures: functions that draw into an axes or return a whole `matplotlib.figure.Figure`; no pyplot, no state."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from ephysfit.reports.evidence import Evidence
from ephysfit.reports.figures.current_response import draw_f_i_curve, draw_responses
from ephysfit.reports.figures.goodness import draw_bounds, draw_goodness
from ephysfit.reports.figures.misses import draw_misses
from ephysfit.reports.figures.prediction import draw_all_stimuli, draw_overview
from ephysfit.reports.figures.rates import draw_intervals, draw_precision
from ephysfit.reports.figures.style import make_axes, make_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Plot:
    """A figure of a report: its name, title and caption, and what draws it (None where it has nothing to show)."""

    name: str
    title: str
    caption: str
    draw: Callable[[Evidence], Figure | None]

    def says(self, drawn: Figure) -> str:
        """The caption of what was drawn: only the part on its one panel where the other had nothing to show."""
        parts = re.split(r" ?(?:Left|Right): ", self.caption)[1:]
        specs = [ax.get_subplotspec() for ax in drawn.axes]
        if len(parts) != 2 or len(specs) != 1 or specs[0] is None:
            return self.caption
        text = parts[specs[0].colspan.start]
        return text[0].upper() + text[1:]


def draw_statistics(evidence: Evidence) -> Figure:
    """Precision, interspike intervals and the f-I curve beside each other."""
    fig = make_figure(9.6, 3.1)
    left, middle, right = make_axes(fig, 1, 3)
    draw_precision(left, evidence)
    draw_intervals(middle, evidence)
    draw_f_i_curve(right, evidence)
    return fig


_ALL = (
    Plot("overview", "A typical stretch",
         "From above: the injected current; spikes of the recorded repeats and of the model; the membrane; the "
         "smoothed rate (Gaussian, 10 ms). The stretch is the one whose share of predicted spikes is nearest to that "
         "of the whole stimulus. A recorded spike is missed if the model's single train has none within ±4 ms; a "
         "predicted spike is extra if no repeat has one within ±4 ms.", draw_overview),
    Plot("stimuli", "All test stimuli", "Recorded repeats above, model below, for each test stimulus.", draw_all_stimuli),
    Plot("misses", "Where it is wrong",
         "Left: mean current (band: ± 2 standard errors) about recorded spikes that the model's single train predicts "
         "within ±4 ms, about those it misses, and about spikes of its own that no repeat has. Right: rate of cell and "
         "model at ten levels of the current, smoothed over 10 ms, that are met equally long: where the curves part, "
         "the model fires too much or too little.", draw_misses),
    Plot("statistics", "Precision, intervals, rates",
         "Left: the coincidence factor Γ (chance subtracted) by window; where the model meets the black curve it "
         "agrees with the cell as well as the cell with itself. Middle: distribution of interspike intervals. Right: "
         "steady rate to constant current; outside the shaded range the model extrapolates.", draw_statistics),
    Plot("responses", "What the neuron answers",
         "Left: change of the distance to threshold (and of the membrane) after a small pulse of current. Right: what "
         "one spike changes; below 0 the next spike is harder.", draw_responses),
    Plot("fitting", "Goodness of fit and history",
         "Left: the hazard integrated between recorded spikes follows the diagonal if the model's spike probability "
         "is right at every moment; leaving the shaded band (95 %) means that it is not. Right: loss by step.",
         draw_goodness),
    Plot("bounds", "Parameters between their bounds", "On the axis the fit used; red: on a bound.",
         lambda evidence: draw_bounds(evidence.fit)),
)  # fmt: skip

#: every figure by name
PLOTS: Mapping[str, Plot] = MappingProxyType({p.name: p for p in _ALL})

__all__ = ["PLOTS", "Plot", "draw_all_stimuli", "draw_bounds", "draw_goodness", "draw_overview", "draw_responses", "draw_statistics"]
