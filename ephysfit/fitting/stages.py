"""The names of all stages, for the user (`ef.stages`)."""

from __future__ import annotations

from ephysfit.fitting.likelihood import Likelihood
from ephysfit.fitting.passive import Passive
from ephysfit.fitting.readout import Readout

__all__ = ["Likelihood", "Passive", "Readout"]
