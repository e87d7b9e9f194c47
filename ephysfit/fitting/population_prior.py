"""The prior of a population of cells for the next cell, by empirical Bayes over finished fits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ephysfit.arrays import Array
from ephysfit.errors import FitError
from ephysfit.fitting.prior import Prior, unpack_symmetric
from ephysfit.neuron.declare import Neuron
from ephysfit.neuron.free_parameters import FreeParameters

if TYPE_CHECKING:
    from ephysfit.fitting.fit_result import Fit


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


def population_prior(fits: Iterable[Fit]) -> Prior:
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
    >>> population_prior(fits)
    Prior(LIF, 6 parameters, of 4 fits)
    """
    given = list(fits)
    kinds = sorted({f.model for f in given})
    if len(kinds) > 1:
        raise FitError(f"fits of {', '.join(kinds)}: a population is one of cells fitted with one neuron; select one")
    views = [v for v in map(_CellLikelihood.of, given) if v is not None]
    if len(views) < FEWEST:
        raise FitError(
            f"{len(views)} of {len(given)} fits hold what a population is estimated from; {FEWEST} are needed: fits by "
            "likelihood on enough spikes, made by this version (refit older ones)"
        )
    return _estimate_population(type(given[0].neuron), views)


def population_priors(fits: Iterable[Fit]) -> tuple[Prior, ...]:
    """A prior for every neuron that has enough fits.

    Raises
    ------
    FitError
        If there is none.
    """
    groups: dict[str, list[Fit]] = {}
    for f in fits:
        groups.setdefault(f.model, []).append(f)
    out = [population_prior(g) for g in groups.values() if sum(_CellLikelihood.of(f) is not None for f in g) >= FEWEST]
    if not out:
        counts = ", ".join(f"{len(g)} of {name}" for name, g in groups.items()) or "no fit"
        raise FitError(f"a prior needs {FEWEST} likelihood fits of one neuron made by this version; found {counts}")
    return tuple(out)


@dataclass(frozen=True, eq=False)
class _CellLikelihood:
    """One cell's log-likelihood as x h - x H x / 2, on the axes."""

    names: tuple[str, ...]
    place: Array
    h: Array
    H: Array

    @classmethod
    def of(cls, fit: Fit) -> _CellLikelihood | None:
        kept = fit.likelihood.seen if fit.likelihood else None
        if kept is None:
            return None
        names, place = kept.names, np.array(kept.place)
        widths = FreeParameters.of(type(fit.neuron), names).widths
        values, vectors = np.linalg.eigh(unpack_symmetric(kept.information, len(names)) * np.outer(widths, widths))
        vectors = vectors / widths[:, None]
        H = (vectors * np.where(values < BLIND, HELD, values)) @ vectors.T
        usable = np.isfinite(H).all() and np.isfinite(place).all()
        return cls(names, place, H @ place + np.array(kept.gradient), H) if usable else None


def _estimate_population(kind: type[Neuron], views: Sequence[_CellLikelihood]) -> Prior:
    names = views[0].names
    if any(v.names != names for v in views):
        raise FitError(f"fits of {kind.__name__} that moved different parameters; select those fitted alike")
    free = FreeParameters.of(kind, names)
    low, high = free.ends
    places = np.array([v.place for v in views])
    n, p, widths = len(views), len(names), free.widths
    mean, spread = np.median(places, 0), np.maximum(places.std(0), LEAST * widths)
    covariance = np.diag(spread**2)
    for _ in range(ROUNDS):
        inverse = np.linalg.inv(covariance)
        means, parts, weights = _expect_cells(views, mean, inverse, low, high)
        moved = weights @ means / weights.sum()
        off = means - moved
        raw = (np.einsum("i,ipq->pq", weights, parts) + (off * weights[:, None]).T @ off) / n
        before, mean = mean, moved
        covariance = _shrink_covariance(raw, n, p, LEAST * widths)
        if np.abs((mean - before) / np.sqrt(np.diag(covariance))).max() < STILL:
            break
    unsure = (1 + 1 / n) * (n + 1) / max(n - 2, 1)  # of the next cell: mean and spread are themselves estimates
    return Prior(kind.__name__, names, mean, unsure * covariance, n)


def _expect_cells(
    views: Sequence[_CellLikelihood], mean: Array, inverse: Array, low: Array, high: Array
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


def _shrink_covariance(raw: Array, n: int, p: int, least: Array) -> Array:
    """A covariance of few cells: correlations drawn to 0 by their number, spreads to one imagined cell's."""
    spread = np.sqrt(np.maximum(np.diag(raw), 1e-12))
    correlation = raw / np.outer(spread, spread) * n / (n + p)
    np.fill_diagonal(correlation, 1.0)
    new = np.sqrt((n * spread**2 + least**2) / (n + 1))
    return correlation * np.outer(new, new)
