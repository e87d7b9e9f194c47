"""What the cells of a population have in common, as a prior for the next cell: empirical Bayes over finished fits."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from ephysfit.errors import FitError
from ephysfit.files import write_text
from ephysfit.neuron.declare import Neuron
from ephysfit.neuron.free import Free, as_floats, declared

if TYPE_CHECKING:
    from ephysfit.fitting.fit import Fit

Array = npt.NDArray[np.float64]

#: fewest fits that say something about others
FEWEST = 3
#: rounds of expectation and maximisation, and the change in standard deviations under which they stop
ROUNDS, STILL = 200, 1e-3
#: degrees of freedom of the population: its far cells (bad optima among them) draw less than a normal's would
FREEDOM = 8.0
#: a spread that one more cell is imagined to have had, in declared widths: keeps spreads from collapsing to 0
LEAST = 0.3

#: information (squared standard errors in one declared width) under which a direction counts as not seen, and what such
#: a direction is given instead: it stays where the fit's own conventions put it (the mV scale of spikes, above all),
#: because cells that were free to move along it would all meet at some far place where they happen to be alike
BLIND, HELD = 0.05, 1e4

_FORMAT = "ephysfit priors 1"


def packed(matrix: Array) -> str:
    """A symmetric matrix as text: its upper triangle, single precision."""
    return base64.b64encode(matrix[np.triu_indices(len(matrix))].astype("<f4").tobytes()).decode()


def unpacked(text: str, size: int) -> Array:
    """What `packed` wrote, (size, size)."""
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
        Of a cell that has not been seen yet.
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
        """The typical cell, inside the bounds; what the prior does not speak of is as in `base`."""
        free = Free.of(type(base), self.names)
        return as_floats(free.to_neuron(free.inside(torch.from_numpy(self.centre)), base))

    @cached_property
    def spreads(self) -> dict[str, float]:
        """Standard deviation of each parameter over the population, on its axis."""
        return dict(zip(self.names, np.sqrt(np.diag(self.covariance)).tolist(), strict=True))

    def precision(self, names: Sequence[str]) -> Array:
        """Inverse covariance of some parameters, whatever the others are; 0 for those it does not speak of."""
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
            "covariance": packed(self.covariance),
            "cells": self.cells,
        }

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> Prior:
        names = tuple(saved["names"])
        return cls(saved["model"], names, np.array(saved["centre"]), unpacked(saved["covariance"], len(names)),
                   int(saved["cells"]))  # fmt: skip


def population(fits: Iterable[Fit]) -> Prior:
    """A prior from the fits of many cells with one neuron.

    Each cell's likelihood is known from its fit as a quadratic about where it ended (information and slope, the prior
    of that fit taken out), so that what a cell did not determine does not count as a value it had. Mean and covariance
    of the population are then estimated by expectation and maximisation, with a long-tailed population (Student's t,
    8 degrees of freedom), covariances shrunk by the number of cells over that of parameters, and widened for how
    few cells there were.

    Parameters
    ----------
    fits : iterable of Fit
        Of one neuron, each with a likelihood stage, best without a population prior (its cells would count twice).

    Returns
    -------
    Prior
        For ``ef.fit(recording, model, prior=...)``.

    Raises
    ------
    FitError
        If fits are of several neurons, or fewer than three can be used.

    References
    ----------
    Gelman et al. (2013), Bayesian Data Analysis, ch. 5; Lange, Little & Taylor (1989), JASA 84, 881.

    Examples
    --------
    >>> import ephysfit as ef
    >>> from ephysfit.models import LIF
    >>> fits = []
    >>> for k in range(4):
    ...     cell = LIF(C=100.0 + 10 * k, g=5.0, E_L=-65.0, theta=-50.0, V_reset=-60.0, t_ref=2.0, delta=2.0)
    ...     data = ef.synthetic.recording(cell, duration=3000.0, repeats=0, dt=0.5, seed=k)
    ...     fits.append(ef.fit(data, "LIF", [ef.stages.Passive(), ef.stages.Likelihood(starts=1)]))
    >>> population(fits)
    Prior(LIF, 6 parameters, of 4 fits)
    """
    given = list(fits)
    kinds = sorted({f.model for f in given})
    if len(kinds) > 1:
        raise FitError(f"fits of {', '.join(kinds)}: a population is one of cells fitted with one neuron; select one")
    views = [v for v in map(_View.of, given) if v is not None]
    if len(views) < FEWEST:
        raise FitError(
            f"{len(views)} of {len(given)} fits hold what a population is estimated from; {FEWEST} are needed: fits by "
            "likelihood on enough spikes, made by this version (refit older ones)"
        )
    return _estimated(type(given[0].neuron), views)


def priors_of(fits: Iterable[Fit]) -> tuple[Prior, ...]:
    """A prior for every neuron that enough fits are of.

    Raises
    ------
    FitError
        If there is none.
    """
    groups: dict[str, list[Fit]] = {}
    for f in fits:
        groups.setdefault(f.model, []).append(f)
    out = [population(g) for g in groups.values() if sum(_View.of(f) is not None for f in g) >= FEWEST]
    if not out:
        counts = ", ".join(f"{len(g)} of {name}" for name, g in groups.items()) or "no fit"
        raise FitError(f"a prior needs {FEWEST} likelihood fits of one neuron made by this version; found {counts}")
    return tuple(out)


def admit_priors(priors: Sequence[Prior], *kinds: type[Neuron]) -> None:
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


def seen(free: Free, z: torch.Tensor, gradient: Array, information: Array) -> dict[str, Any]:
    """What a fit keeps of its likelihood: a quadratic on the parameters' axes.

    Parameters
    ----------
    z : Tensor, (parameter,)
        Free coordinates.
    gradient, information : ndarray
        Of the log-likelihood without any prior, by free coordinates.
    """
    slopes = np.maximum(free.axis_slopes(z).numpy(), 1e-12)
    return {
        "names": list(free.names),
        "place": free.axis(z).tolist(),
        "gradient": (gradient / slopes).tolist(),
        "information": packed(information / np.outer(slopes, slopes)),
    }


@dataclass(frozen=True, eq=False)
class _View:
    """One cell's log-likelihood as x h - x H x / 2, on the axes."""

    names: tuple[str, ...]
    place: Array
    h: Array
    H: Array

    @classmethod
    def of(cls, fit: Fit) -> _View | None:
        kept = fit.details.get("seen")
        if not kept:
            return None
        names, place = tuple(kept["names"]), np.array(kept["place"])
        widths = Free.of(type(fit.neuron), names).widths.numpy()
        values, vectors = np.linalg.eigh(unpacked(kept["information"], len(names)) * np.outer(widths, widths))
        vectors = vectors / widths[:, None]
        H = (vectors * np.where(values < BLIND, HELD, values)) @ vectors.T
        usable = np.isfinite(H).all() and np.isfinite(place).all()
        return cls(names, place, H @ place + np.array(kept["gradient"]), H) if usable else None


def _estimated(kind: type[Neuron], views: Sequence[_View]) -> Prior:
    names = views[0].names
    if any(v.names != names for v in views):
        raise FitError(f"fits of {kind.__name__} that moved different parameters; select those fitted alike")
    free = Free.of(kind, names)
    low, high = (b.numpy() for b in free.ends)
    places = np.array([v.place for v in views])
    n, p, widths = len(views), len(names), free.widths.numpy()
    mean, spread = np.median(places, 0), np.maximum(places.std(0), LEAST * widths)
    covariance = np.diag(spread**2)
    for _ in range(ROUNDS):
        inverse = np.linalg.inv(covariance)
        means, parts, weights = _expected(views, mean, inverse, low, high)
        moved = weights @ means / weights.sum()
        off = means - moved
        raw = (np.einsum("i,ipq->pq", weights, parts) + (off * weights[:, None]).T @ off) / n
        before, mean = mean, moved
        covariance = _shrunk(raw, n, p, LEAST * widths)
        if np.abs((mean - before) / np.sqrt(np.diag(covariance))).max() < STILL:
            break
    unsure = (1 + 1 / n) * (n + 1) / max(n - 2, 1)  # of the next cell: mean and spread are themselves estimates
    return Prior(kind.__name__, names, mean, unsure * covariance, n)


def _expected(
    views: Sequence[_View], mean: Array, inverse: Array, low: Array, high: Array
) -> tuple[Array, Array, Array]:
    """Of each cell, given the population: parameters (cell, parameter), their covariances, and its weight."""
    means, parts, weights = [], [], []
    p = len(mean)
    for v in views:
        weight = 1.0
        for _ in range(2):  # how far a cell lies, and how much it then counts
            part = np.linalg.inv(weight * inverse + v.H)
            x = np.clip(part @ (weight * inverse @ mean + v.h), low, high)
            far = float((x - mean) @ inverse @ (x - mean) + np.trace(inverse @ part))
            weight = (FREEDOM + p) / (FREEDOM + far)
        means.append(x)
        parts.append(part)
        weights.append(weight)
    return np.array(means), np.array(parts), np.array(weights)


def _shrunk(raw: Array, n: int, p: int, least: Array) -> Array:
    """A covariance of few cells: correlations drawn to 0 by their number, spreads to one imagined cell's."""
    spread = np.sqrt(np.maximum(np.diag(raw), 1e-12))
    correlation = raw / np.outer(spread, spread) * n / (n + p)
    np.fill_diagonal(correlation, 1.0)
    new = np.sqrt((n * spread**2 + least**2) / (n + 1))
    return correlation * np.outer(new, new)
