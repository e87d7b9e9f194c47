"""The catalogue: one family of neurons a file. Nothing outside this folder knows a neuron by name."""

from __future__ import annotations

from ephysfit.models.adlif import AdLIF
from ephysfit.models.alif import ALIF, BlockALIF
from ephysfit.models.lif import LIF

__all__ = ["ALIF", "LIF", "AdLIF", "BlockALIF"]
