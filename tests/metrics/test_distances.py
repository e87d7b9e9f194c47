"""Van Rossum and Victor–Purpura: elephant as the oracle, hand-worked values, and the axioms of a metric."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from metric_trains import train, unhurried

from ephysfit.errors import ScoreError
from ephysfit.metrics import van_rossum, van_rossum_distance, victor_purpura, victor_purpura_distance

FAST = st.sampled_from([0.0, 0.02, 0.1, 1.0])


@pytest.fixture(scope="module")
def elephant():
    """elephant's distances of two lists of trains, in ms; its own warnings are not ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import neo
        import quantities as pq
        from elephant import spike_train_dissimilarity as theirs

    def trains(rows, T):
        return [neo.SpikeTrain(r, units="ms", t_stop=T) for r in rows]

    def table(which, rows, T, setting):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if which == "van_rossum":
                return theirs.van_rossum_distance(trains(rows, T), time_constant=setting * pq.ms)
            return theirs.victor_purpura_distance(trains(rows, T), cost_factor=setting / pq.ms)

    return table


@pytest.mark.parametrize(
    ("which", "ours", "settings"),
    [
        ("van_rossum", van_rossum_distance, (1.0, 10.0, 100.0)),
        ("victor_purpura", victor_purpura_distance, (0.02, 0.1, 1.0)),
    ],
)
def test_elephant_agrees(elephant, synthetic, which, ours, settings):
    data, model, T = synthetic
    rows = [*data[-3:], *model[:3]]
    for setting in settings:
        mine = np.array([[ours(a, b, setting) for b in rows] for a in rows])
        assert mine == pytest.approx(elephant(which, rows, T, setting), abs=1e-6)


def test_worked_by_hand():
    assert van_rossum_distance([0.0], [10.0], 10.0) == pytest.approx(np.sqrt(2 - 2 * np.exp(-1)))
    assert van_rossum_distance([5.0], []) == 1.0
    assert van_rossum_distance([5.0, 5.0], [5.0]) == 1.0
    assert victor_purpura_distance([10.0, 50.0], [13.0], 0.1) == pytest.approx(1.3)
    assert victor_purpura_distance([10.0], [50.0], 0.1) == 2.0, "too far to move: deleted and added"
    assert victor_purpura_distance([10.0, 20.0], [50.0], 0.0) == 1.0, "counts only"
    assert van_rossum([[5.0], []], [[]]) == 0.5
    assert victor_purpura([[5.0], []], [[]]) == 0.5


@unhurried
@given(train, train)
def test_van_rossum_is_symmetric_zero_on_itself_and_blind_to_a_shift(a, b):
    d = van_rossum_distance(a, b)
    assert d == pytest.approx(van_rossum_distance(b, a), abs=1e-9)
    assert van_rossum_distance(a, a) == 0.0
    assert van_rossum_distance(a + 1e6, b + 1e6) == pytest.approx(d, abs=1e-4)


@unhurried
@given(train, train, train)
def test_van_rossum_triangle(a, b, c):
    assert van_rossum_distance(a, c) <= van_rossum_distance(a, b) + van_rossum_distance(b, c) + 1e-7


@unhurried
@given(train, train, FAST)
def test_victor_purpura_is_symmetric_zero_on_itself_and_blind_to_a_shift(a, b, cost):
    d = victor_purpura_distance(a, b, cost)
    assert d == pytest.approx(victor_purpura_distance(b, a, cost), abs=1e-9)
    assert victor_purpura_distance(a, a, cost) == 0.0
    assert victor_purpura_distance(a + 1e6, b + 1e6, cost) == pytest.approx(d, abs=1e-6)
    assert abs(a.size - b.size) <= d + 1e-9 <= a.size + b.size + 2e-9


@unhurried
@given(train, train, train, FAST)
def test_victor_purpura_triangle(a, b, c, cost):
    one, two, three = (victor_purpura_distance(x, y, cost) for x, y in ((a, b), (b, c), (a, c)))
    assert three <= one + two + 1e-9


@unhurried
@given(train, train, st.sampled_from([0.0, 0.005, 0.1, 0.5]))
def test_victor_purpura_is_the_full_edit_distance(a, b, cost):
    """The kernel looks at neighbours only; the textbook table looks at all pairs."""
    table = np.add.outer(np.arange(a.size + 1.0), np.arange(b.size + 1.0))
    for i in range(a.size):
        for j in range(b.size):
            moved = table[i, j] + cost * abs(a[i] - b[j])
            table[i + 1, j + 1] = min(table[i, j + 1] + 1, table[i + 1, j] + 1, moved)
    assert victor_purpura_distance(a, b, cost) == pytest.approx(table[-1, -1], abs=1e-9)


@pytest.mark.parametrize("cost", [-0.1, np.nan, np.inf])
def test_a_cost_that_is_none_is_refused(cost):
    with pytest.raises(ScoreError, match="cost"):
        victor_purpura_distance([1.0], [2.0], cost)
