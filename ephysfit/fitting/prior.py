"""A prior of a neuron's parameters, how it is saved, and what a fit keeps so that one can be made of many fits."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ephysfit.arrays import Array
from ephysfit.errors import FitError
from ephysfit.files import write_text
from ephysfit.fitting.stage_reports import Quadratic
from ephysfit.neuron.declare import Neuron, declared
from ephysfit.neuron.free_parameters import FreeParameters, as_floats

_FORMAT = "ephysfit priors 1"


def pack_symmetric(matrix: Array) -> str:
    """A symmetric matrix as text: its upper triangle, single precision."""
    return base64.b64encode(matrix[np.triu_indices(len(matrix))].astype("<f4").tobytes()).decode()


def unpack_symmetric(text: str, size: int) -> Array:
    """What `pack_symmetric` wrote, (size, size)."""
    out = np.zeros((size, size))
    out[np.triu_indices(size)] = np.frombuffer(base64.b64decode(text), "<f4")
    return out + np.triu(out, 1).T


@dataclass(frozen=True, eq=False)
class Prior:
    """Normal prior of a neuron's parameters on their (log) axes.

    Attributes
    ----------
    model : str
        Name of the neuron.
    names : tuple of str
        Parameters, banks unrolled.
    centre : ndarray, (parameter,)
        The typical cell, each parameter on its axis (its logarithm, where it counts in ratios).
    covariance : ndarray, (parameter, parameter)
        Of a cell that has not been recorded yet.
    cells : int
        Fits it was made of.
    """

    model: str
    names: tuple[str, ...]
    centre: Array
    covariance: Array
    cells: int

    def __repr__(self) -> str:
        return f"Prior({self.model}, {len(self.names)} parameters, of {self.cells} fits)"

    def fits(self, neuron: type[Neuron]) -> bool:
        """Whether it is of this neuron."""
        return neuron.__name__ == self.model and set(self.names) <= set(declared(neuron))

    def cell(self, base: Neuron) -> Neuron:
        """The typical cell, inside the bounds; what the prior does not cover is as in `base`."""
        free = FreeParameters.of(type(base), self.names)
        return as_floats(free.to_neuron(free.inside(self.centre), base))

    @cached_property
    def spreads(self) -> dict[str, float]:
        """Standard deviation of each parameter over the population, on its axis."""
        return dict(zip(self.names, np.sqrt(np.diag(self.covariance)).tolist(), strict=True))

    def precision(self, names: Sequence[str]) -> Array:
        """Inverse covariance of some parameters, whatever the others are; 0 for those it does not cover."""
        known = [k for k, n in enumerate(names) if n in self.names]
        where = [self.names.index(names[k]) for k in known]
        out = np.zeros((len(names), len(names)))
        out[np.ix_(known, known)] = np.linalg.inv(self.covariance[np.ix_(where, where)])
        return out

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "model": self.model,
            "names": list(self.names),
            "centre": self.centre.tolist(),
            "covariance": pack_symmetric(self.covariance),
            "cells": self.cells,
        }

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> Prior:
        names = tuple(saved["names"])
        return cls(saved["model"], names, np.array(saved["centre"]), unpack_symmetric(saved["covariance"], len(names)),
                   int(saved["cells"]))  # fmt: skip


def check_priors(priors: Sequence[Prior], *kinds: type[Neuron]) -> None:
    """Refuse priors that none of these neurons can use.

    Raises
    ------
    FitError
    """
    if priors and not any(p.fits(k) for p in priors for k in kinds):
        names = ", ".join(k.__name__ for k in kinds)
        raise FitError(
            f"no prior of {names} among those given ({', '.join(p.model for p in priors)}); make one of fits of this "
            "neuron, or fit one that has a prior"
        )


def save_priors(path: Path, priors: Iterable[Prior]) -> Path:
    """Priors as a JSON file."""
    whole = {"format": _FORMAT, "priors": [p.to_dict() for p in priors]}
    return write_text(path, json.dumps(whole, indent=1) + "\n")


def load_priors(path: Path) -> tuple[Prior, ...]:
    """What `save_priors` wrote.

    Raises
    ------
    FitError
        If the file is something else.
    """
    try:
        saved = json.loads(path.read_text(encoding="utf-8"))
        if saved["format"] != _FORMAT:
            raise ValueError(saved["format"])
        return tuple(Prior.from_dict(p) for p in saved["priors"])
    except OSError as e:
        raise FitError(f"{path}: {e.strerror or e}; give priors that `ephysfit batch --prior` wrote") from e
    except (ValueError, KeyError, TypeError) as e:
        raise FitError(f"{path} holds no priors ({type(e).__name__}: {e}); make them of a run or of fits") from e


def expand_log_likelihood(free: FreeParameters, z: Array, gradient: Array, information: Array) -> Quadratic:
    """The log-likelihood to second order on the parameters' axes: what a fit keeps for the prior of a population.

    Parameters
    ----------
    z : ndarray, (parameter,)
        Free coordinates.
    gradient, information : ndarray
        Of the log-likelihood without any prior, by free coordinates.
    """
    slopes = np.maximum(free.axis_slopes(z), 1e-12)
    return Quadratic(
        free.names,
        tuple(free.axis(z).tolist()),
        tuple((gradient / slopes).tolist()),
        pack_symmetric(information / np.outer(slopes, slopes)),
    )
