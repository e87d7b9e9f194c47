"""The figures of a report, each with its title, its caption and the function that draws it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeAlias

from ephysfit.reports.evidence import Evidence
from ephysfit.reports.figures.current_response import draw_responses
from ephysfit.reports.figures.f_i import draw_f_i
from ephysfit.reports.figures.goodness import draw_bounds, draw_goodness
from ephysfit.reports.figures.misses import draw_misses
from ephysfit.reports.figures.prediction import draw_all_stimuli, draw_overview
from ephysfit.reports.figures.rates import draw_intervals, draw_precision
from ephysfit.reports.figures.step_voltages import draw_step_traces
from ephysfit.reports.figures.steps import draw_steps
from ephysfit.reports.figures.style import make_axes, make_figure
from ephysfit.reports.figures.waveforms import draw_spikes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: draws the figure, or says why there is nothing to show
Drawer: TypeAlias = "Callable[[Evidence], Figure | str]"


@dataclass(frozen=True)
class Plot:
    """A figure of a report.

    Attributes
    ----------
    name, title, caption : str
    draw : callable
        Draws the figure; a sentence where there is nothing to show.
    panel_captions : (str, str) or None
        Captions of the left and the right panel, for a figure in which one of them may be missing.
    """

    name: str
    title: str
    caption: str
    draw: Drawer
    panel_captions: tuple[str, str] | None = None

    @classmethod
    def of_two_panels(cls, name: str, title: str, left: str, right: str, draw: Drawer) -> Plot:
        """Return a figure of two panels, each with a caption of its own."""
        return cls(name, title, f"Left: {_lower_first(left)} Right: {_lower_first(right)}", draw, (left, right))

    def caption_of(self, drawn: Figure) -> str:
        """Return the caption of a drawn figure: that of its only panel where the other one is missing."""
        specs = [ax.get_subplotspec() for ax in drawn.axes]
        if self.panel_captions is None or len(specs) != 1 or specs[0] is None:
            return self.caption
        return self.panel_captions[specs[0].colspan.start]


def _lower_first(text: str) -> str:
    return text[0].lower() + text[1:]


def draw_statistics(evidence: Evidence) -> Figure:
    """Draw precision and interspike intervals side by side."""
    fig = make_figure(9.6, 3.1)
    left, right = make_axes(fig, 1, 2)
    draw_precision(left, evidence)
    draw_intervals(right, evidence)
    return fig


_ALL = (
    Plot("overview", "A typical stretch",
         "From above: the injected current; spikes of the recorded repeats and of the model; the membrane; the "
         "smoothed rate (Gaussian, 10 ms). The stretch is the one whose share of predicted spikes is nearest to that "
         "of the whole stimulus. A recorded spike is missed if the model's single train has none within ±4 ms; a "
         "predicted spike is extra if no repeat has one within ±4 ms.", draw_overview),
    Plot("stimuli", "All test stimuli", "Recorded repeats above, model below, for each test stimulus.",
         draw_all_stimuli),
    Plot.of_two_panels("misses", "Where it is wrong",
        "Mean current (band: ± 2 standard errors) around recorded spikes that the model's single train predicts "
        "within ±4 ms, around those it misses, and around its spikes that match no repeat.",
        "Rate of cell and model at ten levels of the current, smoothed over 10 ms, that have equal durations: "
        "where the curves part, the model fires too much or too little.",
        draw_misses),
    Plot("steps", "Current steps",
         "Held-out steps: spikes, time of the first one, and log2 of the last over the first interval. The dash is a "
         "straight line between the neighbouring amplitudes that trained: the answer that a model has to beat.",
         draw_steps),
    Plot("traces", "Voltage at three amplitudes",
         "Recorded voltage and the model's noise-free run on the same current. A point neuron draws no spike: ticks "
         "above mark when it fires. The dotted line is its threshold.", draw_step_traces),
    Plot("f-i", "f–I curve",
         "Left: spikes over the whole step. The line is the mean of the model's noisy runs, the band holds 90 % of "
         "them; circles are measured steps of the cell, filled where the fit has not used them. Right: the reciprocal "
         "of the first interval, and of the mean interval in the second half. Shaded: currents outside the range that "
         "the fit has seen, where the model extrapolates.", draw_f_i),
    Plot("statistics", "Precision and intervals",
         "Left: the coincidence factor Γ (chance subtracted) by window; where the model meets the black curve it "
         "agrees with the cell as well as the cell with itself. Right: distribution of interspike intervals.",
         draw_statistics),
    Plot("spikes", "Spikes of the cell",
         "Left: voltage averaged about the spikes of the test sweeps (band: ± 2 standard errors). Right: dV/dt against "
         "V of single spikes; the threshold is where the slope passes a tenth of its maximum.", draw_spikes),
    Plot.of_two_panels("responses", "Responses of the neuron",
        "Change of the distance to threshold (and of the membrane) after a small pulse of current.",
        "Change after one spike; below 0 the next spike is less likely.",
        draw_responses),
    Plot.of_two_panels("fitting", "Goodness of fit and history",
        "The hazard integrated between recorded spikes follows the diagonal if the model's spike probability is "
        "right at every moment; leaving the shaded band (95 %) means that it is not.",
        "Loss by step, a panel for each kind of loss.",
        draw_goodness),
    Plot("bounds", "Parameters between their bounds", "On the axis the fit used; red: on a bound.",
         lambda evidence: draw_bounds(evidence.fit)),
)  # fmt: skip

#: every figure by name
PLOTS: Mapping[str, Plot] = MappingProxyType({p.name: p for p in _ALL})
