"""The declared records keep their word."""

import inspect

import numpy as np
import pytest

from ephysfit.errors import ScoreError
from ephysfit.metrics import METRICS, metric

SAME = [np.array([100.0, 250.0, 420.0, 700.0])] * 3


@pytest.mark.parametrize("record", METRICS.values(), ids=lambda m: m.name)
def test_a_perfect_match_scores_best(record):
    assert record(SAME, SAME[:1], 1000.0) == pytest.approx(record.best, abs=1e-9)


@pytest.mark.parametrize("record", METRICS.values(), ids=lambda m: m.name)
def test_declared_options_are_those_of_the_function(record):
    takes = {n for n, p in inspect.signature(record.function).parameters.items() if p.kind is p.KEYWORD_ONLY}
    assert takes == set(record.options)
    assert record.doc.endswith(".")
    assert record.unit in ("1", "ms", "spikes")


#: of the cell alone, or of the first spike alone, which is not missed here
UNMOVED = {"reliability", "gamma_ceiling", "md_reliability", "latency_error"}


@pytest.mark.parametrize("record", [m for n, m in METRICS.items() if n not in UNMOVED], ids=lambda m: m.name)
def test_the_direction_is_as_declared(record):
    """A model that misses half the spikes scores on the declared side of the best."""
    worse = record(SAME, [SAME[0][[0, 1, 3]]], 1000.0)
    better = record.best if record.higher_is_better is not False else -record.best
    assert (worse if record.higher_is_better is not False else -worse) < better


@pytest.mark.parametrize(
    "name", ["gamma", "gamma_over_R", "explained_variance_ratio", "etv", "psth_explained_variance"]
)
def test_chance_is_as_declared(name):
    rng = np.random.default_rng(8)
    template = np.sort(rng.uniform(0, 60_000, 600))
    data = [np.sort(np.clip(template + rng.normal(0, 1, 600), 0, 60_000)) for _ in range(4)]
    other = [np.sort(rng.uniform(0, 60_000, 600)) for _ in range(20)]
    assert METRICS[name](data, other, 60_000.0) == pytest.approx(METRICS[name].chance, abs=0.06)


def test_typos_get_the_nearest_name():
    with pytest.raises(ScoreError, match="did you mean md_star"):
        metric("mdstar")
    with pytest.raises(ScoreError, match="did you mean window"):
        metric("gamma")(SAME, SAME, 1000.0, windw=4.0)
