"""ephysfit: fit spiking neuron models to patch-clamp recordings.

>>> import ephysfit as ef
>>> sorted(ef.__all__)[:4]
['Fit', 'Neuron', 'Parameter', 'Recording']

The public names are imported on first use, so that ``import ephysfit`` stays light.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_WHERE = {
    "load": "ephysfit.data.loading",
    "info": "ephysfit.data.loading",
    "contents": "ephysfit.data.contents",
    "Recording": "ephysfit.data.recording",
    "Sweep": "ephysfit.data.recording",
    "Trials": "ephysfit.data.trials",
    "Neuron": "ephysfit.neuron.declare",
    "Parameter": "ephysfit.neuron.declare",
    "State": "ephysfit.neuron.declare",
    "check_neuron": "ephysfit.check",
    "simulate": "ephysfit.simulation.simulate",
    "Simulation": "ephysfit.simulation.simulate",
    "fit": "ephysfit.fitting.fit",
    "Fit": "ephysfit.fitting.fit_result",
    "write": "ephysfit.reports.export.nwb",
    "intervals": "ephysfit.fitting.uncertainty.intervals",
    "population": "ephysfit.fitting.population_prior",
    "compensate": "ephysfit.data.electrode",
    "score": "ephysfit.metrics.score",
    "report": "ephysfit.reports.report",
    "fit_many": "ephysfit.batch.fit_many",
    "export": "ephysfit.reports.export",
    "layer": "ephysfit.simulation.layer",
    "explore": "ephysfit.explorer.serve",
}
_MODULES = {"models": "ephysfit.models", "stages": "ephysfit.fitting.stages", "synthetic": "ephysfit.synthetic"}

__all__ = [*_WHERE, *_MODULES]

if TYPE_CHECKING:
    from ephysfit import models, synthetic
    from ephysfit.batch.fit_many import fit_many
    from ephysfit.check import check_neuron
    from ephysfit.data.contents import contents
    from ephysfit.data.electrode import compensate
    from ephysfit.data.loading import info, load
    from ephysfit.data.recording import Recording, Sweep
    from ephysfit.data.trials import Trials
    from ephysfit.explorer.serve import explore
    from ephysfit.fitting import stages
    from ephysfit.fitting.fit import fit
    from ephysfit.fitting.fit_result import Fit
    from ephysfit.fitting.population_prior import population
    from ephysfit.fitting.uncertainty.intervals import intervals
    from ephysfit.metrics.score import score
    from ephysfit.neuron.declare import Neuron, Parameter, State
    from ephysfit.reports.export import export
    from ephysfit.reports.export.nwb import write
    from ephysfit.reports.report import report
    from ephysfit.simulation.layer import layer
    from ephysfit.simulation.simulate import Simulation, simulate


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(import_module(_WHERE[name]), name)
    if name in _MODULES:
        return import_module(_MODULES[name])
    raise AttributeError(f"module 'ephysfit' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
