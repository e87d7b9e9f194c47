"""The catalogue: one family of neurons per file. Nothing outside this folder knows a neuron by name."""

from __future__ import annotations

from pathlib import Path

from ephysfit.models import lookup
from ephysfit.models.adex import EIF, AdEx
from ephysfit.models.adlif import AdLIF
from ephysfit.models.afterspike import LIFASC
from ephysfit.models.aigif import (
    AIGIF,
    BankGIF,
    BankIGIF,
    UnboundedAIGIF,
    UnboundedBankGIF,
    UnboundedBankIGIF,
    candidates,
)
from ephysfit.models.alif import ALIF, BlockALIF, MultiALIF
from ephysfit.models.autaptic import STCLIF, AutapticLIF, SpatialSTC, partner_input, spatial_stc
from ephysfit.models.gif import AGIF, GIF, IGIF, FreeAGIF, FreeGIF, FreeIGIF
from ephysfit.models.glif import GLIF1, GLIF2, GLIF3, GLIF4, GLIF5
from ephysfit.models.izhikevich import Izhikevich, Izhikevich2003
from ephysfit.models.lif import LIF, SoftLIF
from ephysfit.models.linear_step import PublishedCSiLIF, PublishedPRF, PublishedSiLIF
from ephysfit.models.mat import MAT, MATV
from ephysfit.models.nested import Rung, above, below, ladder, rung
from ephysfit.models.refractory import RefractoryCurrentLIF, RefractoryLIF
from ephysfit.models.residual_aigif import ResidualAIGIF
from ephysfit.models.resonate import BRF, PRF, ResetPRF, ResonantLIF, ResonateFire
from ephysfit.models.silif import CSiLIF, SiLIF, c_silif_start, refuse_aliased
from ephysfit.models.small_signal import Resonance, impedance, measured_impedance, measured_resonance, resonance
from ephysfit.neuron.declare import Neuron

_CATALOGUE: tuple[type[Neuron], ...] = (
    LIF, SoftLIF, ALIF, BlockALIF, MultiALIF, AdLIF, LIFASC,
    RefractoryLIF, RefractoryCurrentLIF,
    PRF, ResetPRF, ResonantLIF, ResonateFire, BRF,
    SiLIF, CSiLIF,
    AutapticLIF, STCLIF, SpatialSTC,
    GLIF1, GLIF2, GLIF3, GLIF4, GLIF5,
    GIF, FreeGIF, AGIF, FreeAGIF, IGIF, FreeIGIF,
    MAT, MATV,
    EIF, AdEx,
    Izhikevich, Izhikevich2003,
    BankGIF, BankIGIF, AIGIF,
)  # fmt: skip


#: neurons that saved fits may hold but that are not fitted by name
_SAVED_ONLY: tuple[type[Neuron], ...] = (
    ResidualAIGIF, UnboundedAIGIF, UnboundedBankIGIF, UnboundedBankGIF,
    PublishedPRF, PublishedSiLIF, PublishedCSiLIF,
)  # fmt: skip


def catalogue() -> dict[str, type[Neuron]]:
    """All neurons by name, simple ones of a family first.

    Examples
    --------
    >>> catalogue()["GLIF3"].state_names()
    ('V', 'asc_1', 'asc_2', 'theta_s', 'theta_v')
    """
    return {neuron.__name__: neuron for neuron in _CATALOGUE}


def loadable() -> dict[str, type[Neuron]]:
    """All neurons by name that a saved fit may hold: the catalogue, ensembles, earlier forms, published steps.

    Examples
    --------
    >>> sorted(set(loadable()) - set(catalogue()))  # doctest: +ELLIPSIS
    ['PublishedCSiLIF', 'PublishedPRF', 'PublishedSiLIF', 'ResidualAIGIF', 'UnboundedAIGIF', ...]
    """
    return {**catalogue(), **{neuron.__name__: neuron for neuron in _SAVED_ONLY}}


def find(name: str) -> type[Neuron]:
    """A neuron class by name (case ignored), or from a user's own file as ``my_file.py:Mine``.

    Raises
    ------
    NeuronError
        If there is none; the message holds the nearest name, or what is wrong with the file.

    Examples
    --------
    >>> find("adlif").__name__
    'AdLIF'
    >>> find("GLIF6")
    Traceback (most recent call last):
    ...
    ephysfit.errors.NeuronError: no neuron 'GLIF6' in the catalogue; did you mean GLIF5? Known: ...
    """
    return lookup.find_neuron(name, catalogue())


def template_text() -> str:
    """The text of a file that declares a neuron of your own, to start from.

    Examples
    --------
    >>> "class Mine(Neuron):" in template_text()
    True
    """
    return Path(__file__).with_name("template.py").read_text(encoding="utf-8")


__all__ = [
    "AGIF",
    "AIGIF",
    "ALIF",
    "BRF",
    "EIF",
    "GIF",
    "GLIF1",
    "GLIF2",
    "GLIF3",
    "GLIF4",
    "GLIF5",
    "IGIF",
    "LIF",
    "LIFASC",
    "MAT",
    "MATV",
    "PRF",
    "STCLIF",
    "AdEx",
    "AdLIF",
    "AutapticLIF",
    "BankGIF",
    "BankIGIF",
    "BlockALIF",
    "CSiLIF",
    "FreeAGIF",
    "FreeGIF",
    "FreeIGIF",
    "Izhikevich",
    "Izhikevich2003",
    "MultiALIF",
    "PublishedCSiLIF",
    "PublishedPRF",
    "PublishedSiLIF",
    "RefractoryCurrentLIF",
    "RefractoryLIF",
    "ResetPRF",
    "Resonance",
    "ResonantLIF",
    "ResonateFire",
    "Rung",
    "SiLIF",
    "SoftLIF",
    "SpatialSTC",
    "above",
    "below",
    "c_silif_start",
    "candidates",
    "catalogue",
    "find",
    "impedance",
    "ladder",
    "loadable",
    "measured_impedance",
    "measured_resonance",
    "partner_input",
    "refuse_aliased",
    "resonance",
    "rung",
    "spatial_stc",
    "template_text",
]  # fmt: skip
