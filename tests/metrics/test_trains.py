"""What is refused at the door, and the window cut."""

import numpy as np
import pytest

from ephysfit.errors import ScoreError
from ephysfit.metrics import METRICS, cut
from ephysfit.metrics.trains import check_trains, pack_trains


@pytest.mark.parametrize("name", sorted(METRICS))
@pytest.mark.parametrize(
    ("train", "says"),
    [
        ([5.0, 1.0], "not sorted"),
        ([1.0, np.nan], "nan"),
        ([np.inf], "inf"),
        ([[1.0, 2.0]], "2 axes"),
        (["a"], "numbers"),
    ],
)
def test_every_metric_refuses_what_is_not_a_train(name, train, says):
    with pytest.raises(ScoreError, match=says):
        METRICS[name]([train, [1.0]], [train], 100.0)


def test_a_flat_train_is_not_guessed_to_be_one_repeat():
    with pytest.raises(ScoreError, match="wrap it in a list"):
        check_trains([1.0, 2.0])
    with pytest.raises(ScoreError, match="no trains"):
        check_trains([])
    with pytest.raises(ScoreError, match="float"):
        check_trains(3.0)


def test_the_input_stays_as_it_was():
    train = np.array([1.0, 2.0])
    train.flags.writeable = False
    assert cut([train], 1.5, 3.0)[0].tolist() == [0.5]
    assert train.tolist() == [1.0, 2.0]


def test_cut_is_half_open_and_counts_from_start():
    inside = cut([[0.0, 10.0, 19.999, 20.0], []], 10.0, 20.0)
    assert inside[0] == pytest.approx([0.0, 9.999])
    assert inside[1].size == 0
    with pytest.raises(ScoreError, match="empty"):
        cut([[1.0]], 5.0, 5.0)


def test_pack_keeps_silent_trains():
    times, starts = pack_trains([np.empty(0), np.array([1.0, 2.0]), np.empty(0)])
    assert times.tolist() == [1.0, 2.0]
    assert starts.tolist() == [0, 0, 2, 2]


@pytest.mark.parametrize("duration", [0.0, -1.0, np.nan, np.inf])
def test_a_duration_that_is_none_is_refused(duration):
    with pytest.raises(ScoreError, match="duration"):
        METRICS["gamma"]([[1.0]], [[1.0]], duration)


@pytest.mark.parametrize(("name", "option"), [("gamma", "window"), ("van_rossum", "tau"), ("etv", "sigma")])
@pytest.mark.parametrize("value", [0.0, -1.0, np.nan])
def test_a_setting_that_is_none_is_refused(name, option, value):
    with pytest.raises(ScoreError, match=option):
        METRICS[name]([[1.0]], [[1.0]], 100.0, **{option: value})
