"""The names of all stages, for the user (`ef.stages`)."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ephysfit.deprecation import deprecated
from ephysfit.fitting.stage import Stage
from ephysfit.fitting.stages.causal_readout import CausalReadout
from ephysfit.fitting.stages.likelihood import Likelihood
from ephysfit.fitting.stages.passive import Passive
from ephysfit.fitting.stages.refractory_period import LengthenRefractory, Refractory
from ephysfit.fitting.stages.search import Search
from ephysfit.fitting.stages.softness import Softness
from ephysfit.fitting.stages.vote_readout import VoteReadout
from ephysfit.fitting.stages.wrappers import BestOf, MultiStart, Only, Rounds
from ephysfit.fitting.voltage_likelihood import Voltage

if TYPE_CHECKING:
    from ephysfit.fitting.stages.gradient import Gradient
    from ephysfit.fitting.stages.noisy_gradient import NoisyGradient

__all__ = [
    "BestOf",
    "CausalReadout",
    "Gradient",
    "LengthenRefractory",
    "Likelihood",
    "MultiStart",
    "NoisyGradient",
    "Only",
    "Passive",
    "Refractory",
    "Rounds",
    "Search",
    "Softness",
    "Stage",
    "Voltage",
    "VoteReadout",
]

#: stages that descend by torch's gradients, and their modules: imported on first use, because no default fit has one
_BY_TORCH = {"Gradient": "gradient", "NoisyGradient": "noisy_gradient"}
#: names of 0.1 and what they are called since 0.2.0
_RENAMED = {"Barred": "LengthenRefractory", "Readout": "CausalReadout"}


def __getattr__(name: str) -> Any:
    if name in _BY_TORCH:
        return getattr(import_module(f"{__name__}.{_BY_TORCH[name]}"), name)
    if name not in _RENAMED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    deprecated(f"ephysfit.stages.{name}", f"ephysfit.stages.{_RENAMED[name]}", "0.2.0")
    return globals()[_RENAMED[name]]
