"""AIC, BIC and the likelihood-ratio test: a term that is there is found, and what does not compare is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fitting_cells import DT, spikes_only

from ephysfit.errors import FitError, NeuronError
from ephysfit.fitting.fit import fit
from ephysfit.fitting.stages import Likelihood, Passive
from ephysfit.fitting.uncertainty.criteria import compute_criteria, likelihood_ratio
from ephysfit.models import ALIF, GIF, LIF


def test_adaptation_that_is_there_is_found_and_other_data_are_refused():
    chain = [Passive(), Likelihood(prior=1e-5, starts=1)]
    data = spikes_only(12_000.0)
    simple, rich = (fit(data, kind, chain, dt=DT) for kind in (LIF, ALIF))
    found = compute_criteria(rich)
    counted = found.spikes  # without those of the first half second
    assert 0 < counted < data.n_spikes
    assert found.log_likelihood == pytest.approx(-rich.loss * counted)
    assert found.parameters == 9
    assert found.bic - found.aic == pytest.approx(9 * (np.log(counted) - 2))
    statistic, freedoms, p = likelihood_ratio(simple, rich)
    assert freedoms == 2
    assert statistic > 20
    assert p < 1e-4
    assert compute_criteria(rich).aic < compute_criteria(simple).aic
    with pytest.raises(FitError, match="different data"):
        likelihood_ratio(replace(simple, dt=1.0), rich)
    with pytest.raises(NeuronError, match="no rung"):
        likelihood_ratio(rich, replace(rich, neuron=GIF.start()))
    assert compute_criteria(fit(data, LIF, [Passive()], dt=DT)) is None
