"""`ephysfit warm-up`: what it says, and that nothing is left to compile."""

from __future__ import annotations

import pytest

from ephysfit.cli import main
from ephysfit.models.lif import LIF
from ephysfit.simulation import warm_up


def test_it_says_what_is_ready_and_where(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["warm-up", "LIF"])
    assert stopped.value.code == 0
    assert "1 neuron ready in" in capsys.readouterr().out
    assert warm_up.start(LIF, purposes=("fit", "simulation")).orders == ()


def test_an_unknown_neuron_is_refused(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["warm-up", "LOF"])
    assert stopped.value.code != 0
    assert "LIF" in capsys.readouterr().err
