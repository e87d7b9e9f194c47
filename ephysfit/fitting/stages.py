"""The names of all stages, for the user (`ef.stages`)."""

from __future__ import annotations

from ephysfit.fitting.gradient import Gradient
from ephysfit.fitting.likelihood import Likelihood
from ephysfit.fitting.noisy import NoisyGradient
from ephysfit.fitting.passive import Passive
from ephysfit.fitting.readout import Readout
from ephysfit.fitting.refractory import Barred, Refractory
from ephysfit.fitting.search import Search
from ephysfit.fitting.softness import Softness
from ephysfit.fitting.voltage import Voltage
from ephysfit.fitting.wrappers import BestOf, MultiStart, Only, Rounds

__all__ = [
    "Barred",
    "BestOf",
    "Gradient",
    "Likelihood",
    "MultiStart",
    "NoisyGradient",
    "Only",
    "Passive",
    "Readout",
    "Refractory",
    "Rounds",
    "Search",
    "Softness",
    "Voltage",
]
