"""The table of rules: declared once, printed into the docs, counted by `info`."""

from pathlib import Path

import numpy as np
import pytest

from ephysfit.data import rules
from ephysfit.data.info import Report
from ephysfit.data.recording import Recording
from ephysfit.data.sweep import Sweep

DOCS = Path(__file__).parents[2] / "docs" / "reading.md"


def test_the_docs_hold_the_table_as_it_is_declared():
    kept = DOCS.read_text().split("<!-- rules: python -m ephysfit.data.rules -->\n")[1].split("\n<!-- /rules -->")[0]
    assert kept == rules.format_table(), "run python -m ephysfit.data.rules and put its table into docs/reading.md"


def test_a_rule_that_is_not_declared_cannot_take_anything_away():
    with pytest.raises(KeyError, match="no rule 'whim'"):
        rules.Removed("whim", 1, "spikes")


def test_info_adds_up_what_rules_took_from_all_sweeps():
    took = rules.Removed("test pulse", 10, "samples")
    sweeps = tuple(Sweep(np.ones(100), 0.1, name=str(k), removed=(took,)) for k in range(3))
    assert Report.of(Recording(sweeps)).removed == (rules.Removed("test pulse", 30, "samples"),)
