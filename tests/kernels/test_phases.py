"""A step taken apart gives what it gives whole, in an order in which everything is there when it is read."""

import numpy as np
import pytest

from ephysfit.kernels.expressions import Printer
from ephysfit.kernels.phases import divide_into_phases
from ephysfit.kernels.scalar_math import numbers
from ephysfit.kernels.step_algebra import RATE, pieces
from ephysfit.kernels.tile_memory import COSTLY
from ephysfit.models import AIGIF, ALIF, GIF, AdEx, BankGIF
from ephysfit.neuron.free_parameters import FreeParameters
from ephysfit.simulation.replay import Replay, ReplaySweep

STOCHASTIC = [AIGIF, ALIF, GIF, AdEx]


def divided(kind):
    p, printer = pieces(kind), Printer()
    definitions = printer.share(p.rows(()).values)
    return p, printer, definitions, divide_into_phases(definitions, p, [RATE])


@pytest.mark.parametrize("kind", STOCHASTIC, ids=lambda k: k.__name__)
def test_phases_in_turn_compute_the_step(kind):
    p, printer, _, taken = divided(kind)
    rng, v = np.random.default_rng(0), numbers("float64", plain=True)
    given = {**vars(v), "held": False, "u": 0.0}
    given |= {str(s): float(rng.uniform(0.1, 0.5)) for s in (*p.x, *p.i, *(c for c in p.c))}
    whole, apart = dict(given), dict(given)
    lines = printer.program(p.rows(()).values)
    lists = [taken.constant, *(phase.definitions for phase in taken.phases)]
    pieces_of = [line for definitions in lists for line in printer.lines(definitions)]
    constants = printer.preamble()
    exec("\n".join([*constants, *lines]), whole)
    exec("\n".join([*constants, *pieces_of]), apart)
    assert np.isfinite(whole["rate"])
    assert apart["rate"] == pytest.approx(whole["rate"], rel=1e-13)
    for y in p.y:
        assert apart[str(y)] == pytest.approx(whole[str(y)], rel=1e-13)


@pytest.mark.parametrize("kind", STOCHASTIC, ids=lambda k: k.__name__)
def test_a_phase_reads_only_what_earlier_ones_kept_and_every_state_is_carried_once(kind):
    p, _, _, taken = divided(kind)
    known = set()
    for phase in taken.phases:
        assert set(phase.read) <= known
        known |= set(phase.outputs)
    assert RATE in known
    assert sorted(k for phase in taken.phases for k in phase.states) == list(range(len(p.x)))


def test_no_exponential_of_aigif_is_computed_step_by_step():
    *_, taken = divided(AIGIF)
    assert sum(phase.columns for phase in taken.phases) == 3
    slow = [e for phase in taken.phases if not phase.columns for _, e in phase.definitions]
    assert not any(str(f.func) in COSTLY for e in slow for f in e.atoms() | set(e.find(lambda a: bool(a.args))))


@pytest.mark.parametrize("t_ref", [0.0, 2.0])
def test_a_rate_that_nothing_moves_is_still_counted_at_every_step(t_ref):
    """A Poisson rate: sums of it and of its spikes' logarithms, and their slope."""
    steady = BankGIF.pin("Steady", "", R=(0.0,) * 8, gamma=(0.0,) * 7, t_ref=t_ref)
    dt, rng = 0.5, np.random.default_rng(0)
    fired = (rng.random(4_000) < 0.02).astype(np.uint8)
    free, cell = FreeParameters.of(steady, smooth_only=True), steady.start()
    replay, z = Replay(free, cell, dt), free.to_vector(cell)
    sweep = ReplaySweep(rng.normal(0, 50, (4_000, 1)), fired, np.ones(4_000))
    found = replay.information(z, [sweep])
    barred = np.zeros(4_000, dtype=bool)
    for k in range(1, round(t_ref / dt) + 1):
        barred[k:] |= fired[:-k] > 0
    expected = dt * np.exp(-np.logaddexp(0.0, cell.theta))
    spikes = int((fired[~barred] > 0).sum())
    assert found.value == pytest.approx(
        spikes * np.log(-np.expm1(-expected)) - expected * np.sum(~barred & (fired == 0))
    )
    above, below = (replay.value(z + step, [sweep]) for step in (1e-4, -1e-4))
    assert found.gradient[0] == pytest.approx((above - below) / 2e-4, rel=1e-5)
