# The public names of ephysfit, each once, under the heading it has in the documentation. Type checkers read this file,
# and so do `ephysfit/__init__.py` (what a name is imported from, on first use) and `docs/make_api.py` (the headings).
# One import a line, every name as itself; below "Modules" whole modules.

# Recordings
from ephysfit.data.loading import load as load
from ephysfit.data.loading import info as info
from ephysfit.data.contents import contents as contents
from ephysfit.reports.export.nwb import write_nwb as write_nwb
from ephysfit.data.recording import Recording as Recording
from ephysfit.data.recording import Sweep as Sweep
from ephysfit.data.trials import Trials as Trials
from ephysfit.data.electrode import compensate_electrode as compensate_electrode
from ephysfit.card.describe import describe as describe
from ephysfit.reports.model_card import describe_model as describe_model
from ephysfit.card.measures import Card as Card
from ephysfit.card.measures import Measure as Measure

# Neurons
from ephysfit.neuron.declare import Neuron as Neuron
from ephysfit.neuron.declare import Parameter as Parameter
from ephysfit.neuron.declare import State as State
from ephysfit.check import check_neuron as check_neuron

# Simulation
from ephysfit.simulation.simulate import simulate as simulate
from ephysfit.simulation.simulate import Simulation as Simulation
from ephysfit.simulation.layer import layer as layer

# Fitting
from ephysfit.fitting.fit import fit as fit
from ephysfit.fitting.fit_result import Fit as Fit
from ephysfit.fitting.uncertainty.intervals import intervals as intervals
from ephysfit.fitting.population_prior import population_prior as population_prior
from ephysfit.fitting.prior import Prior as Prior
from ephysfit.fitting.estimator import NeuronEstimator as NeuronEstimator
from ephysfit.fitting.model_import import import_model as import_model

# Scores and reports
from ephysfit.metrics.score import score as score
from ephysfit.reports.report import report as report
from ephysfit.reports.plotting import plot as plot
from ephysfit.reports.export import export as export
from ephysfit.reports.export.population import export_population as export_population
from ephysfit.explorer.serve import explore as explore
from ephysfit.batch.fit_many import fit_many as fit_many

# Modules
from ephysfit import models as models
from ephysfit.fitting import stages as stages
from ephysfit import metrics as metrics
from ephysfit import synthetic as synthetic
from ephysfit import errors as errors

__version__: str
__all__: list[str]
