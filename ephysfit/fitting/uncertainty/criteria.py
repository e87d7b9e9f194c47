"""Log-likelihood, AIC and BIC of a fit, and the likelihood-ratio test of two nested ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy  # loads its parts when they are first used

from ephysfit.errors import FitError
from ephysfit.fitting.fit_result import Fit
from ephysfit.models.nested import rung
from ephysfit.neuron.roles import Role

LIKELIHOODS = ("likelihood", "refractory")


@dataclass(frozen=True)
class Criteria:
    """How likely a fit makes its training spikes, and what that is worth against its number of parameters.

    Attributes
    ----------
    log_likelihood : float
        nats, of all training spikes.
    parameters, spikes : int
    """

    log_likelihood: float
    parameters: int
    spikes: int

    @property
    def aic(self) -> float:
        """Akaike's criterion; lower is better."""
        return 2 * self.parameters - 2 * self.log_likelihood

    @property
    def bic(self) -> float:
        """Schwarz's criterion, with spikes as what is counted; lower is better."""
        return self.parameters * float(np.log(max(self.spikes, 1))) - 2 * self.log_likelihood


def compute_criteria(fit: Fit) -> Criteria | None:
    """Criteria of the last likelihood stage of a fit; None where there was none.

    A light prior pulls on the parameters, so the log-likelihood is a little below its maximum.
    """
    known = [e.train for e in fit.history if e.stage in LIKELIHOODS and np.isfinite(e.train)]
    prior = fit.likelihood.prior if fit.likelihood else None
    spikes = fit.provenance.spikes
    if not known or prior is None or not prior.names or not spikes:
        return None
    chosen = len(prior.names) + (type(fit.neuron).free_name_of(Role.REFRACTORY) is not None)
    return Criteria(-known[-1] * spikes, chosen, spikes)


def likelihood_ratio(simple: Fit, rich: Fit) -> tuple[float, int, float]:
    """Test whether the richer of two nested neurons explains the same training spikes better than chance.

    Parameters
    ----------
    simple, rich : Fit
        Fits of two neurons that `ephysfit.models` knows as nested (a rung of its ladder), to the same data at the same
        step.

    Returns
    -------
    statistic : float
        Twice the gain of log-likelihood, nats.
    freedoms : int
        How many more free parameters the richer neuron has.
    p : float
        Chance of such a gain if the simpler were right (Wilks); too large where it lies on a bound of the richer.

    Raises
    ------
    FitError, NeuronError
        If the fits are not comparable, or the neurons not nested.
    """
    known = rung(type(simple.neuron), type(rich.neuron))
    both = compute_criteria(simple), compute_criteria(rich)
    if both[0] is None or both[1] is None:
        raise FitError("a likelihood-ratio test needs two fits with a likelihood stage")
    same = [f.provenance.data_sha256 for f in (simple, rich)]
    if same[0] != same[1] or abs(simple.dt - rich.dt) > 1e-9:
        raise FitError(
            f"{simple.model} and {rich.model} were fitted to different data or at different steps ({simple.dt:g} and "
            f"{rich.dt:g} ms); their likelihoods do not compare"
        )
    statistic = 2 * (both[1].log_likelihood - both[0].log_likelihood)
    return statistic, known.freedoms, float(scipy.special.chdtrc(known.freedoms, max(statistic, 0.0)))
