"""What takes a recording says so when it is given something else."""

import numpy as np
import pytest

import ephysfit as ef
from ephysfit.errors import RecordingError


@pytest.mark.parametrize(("function", "name"), [(lambda x: ef.fit(x, "LIF"), "fit"), (ef.describe, "describe")])
@pytest.mark.parametrize(("given", "kind"), [(np.zeros(3), "ndarray"), ("cell.nwb", "str"), (None, "NoneType")])
def test_anything_else_is_refused_with_the_way_to_make_one(function, name, given, kind):
    with pytest.raises(RecordingError, match=rf"{name}\(\) takes a Recording, not a {kind}: ephysfit.load"):
        function(given)
