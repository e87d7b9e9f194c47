"""Spike-triggered conductance: bounded where the published gates overflow; partners: real against shifted trains."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from model_runs import noise, run

from ephysfit.errors import NeuronError
from ephysfit.models import STCLIF, AutapticLIF, SpatialSTC, partner_input, spatial_stc
from ephysfit.models.autaptic import LEAST_LEAK, leak_factor
from ephysfit.simulation.engines import compiled
from ephysfit.simulation.engines.sequential import sequential


def test_published_gates_overflow_where_ours_are_bounded():
    """1 + tanh gates on a memory without leak, 200 steps of unit input: the potential explodes."""
    rng, h, s = np.random.default_rng(0), np.zeros(64), np.zeros(64)
    mix = rng.normal(0, 1.0, (64, 64))
    for _ in range(200):
        h = (1 + np.tanh(mix @ s)) * h + (1 + np.tanh(mix.T @ s)) * rng.normal(0, 1, 64)
        s = (h >= 1).astype(float)
        h = h - s
    assert np.abs(h).max() > 1e6


@pytest.mark.parametrize("W_b", [-2.0, 10.0])
@pytest.mark.parametrize("W_g", [-2.0, 2.0])
def test_bounded_over_a_hundred_thousand_steps(W_b, W_g):
    cell = STCLIF.start().replace(W_b=W_b, W_g=W_g, tau_y=100.0, carry=1.0, V_reset=-65.0)
    out = compiled.run(cell, noise(100_000, 0.1, 300.0, 400.0)[None, None], 0.1, save=("V",))
    V = out.traces["V"][0, 0]
    assert out.counts.sum() > 50
    assert np.isfinite(V).all()
    # at most the doubled input over the least leak
    assert np.abs(V - cell.E_L).max() < 2 * 2300 / (LEAST_LEAK * cell.g) + 100


def test_leak_factor_is_one_with_slope_one_at_rest():
    assert leak_factor(0.0) == pytest.approx(1.0)
    assert (leak_factor(1e-6) - leak_factor(-1e-6)) / 2e-6 == pytest.approx(1.0)
    assert leak_factor(-1e4) == pytest.approx(LEAST_LEAK)


@pytest.mark.slow
def test_an_autaptic_conductance_spares_the_spikes_of_a_burst():
    """A shunt raises the current a burst needs: fewer spikes than without, as with functional autapses."""
    current = noise(6000, 0.1, 220.0, 60.0)
    counts = [run(AutapticLIF.start().replace(W_b=w, tau_y=20.0), current, 0.1)[0].sum() for w in (0.0, 1.0, 4.0)]
    assert counts[0] > counts[1] > counts[2] > 0


def test_partner_input_places_spikes_in_steps():
    train = partner_input([0.0, 0.30, 0.34, 9.0], steps=5, dt=0.1)
    assert train.tolist() == [10.0, 0.0, 0.0, 20.0, 0.0]
    with pytest.raises(NeuronError, match="not negative"):
        partner_input([-1.0], 5, 0.1)


def test_a_partners_spike_injects_its_exponential_current():
    cell = SpatialSTC.start().replace(J_1=100.0, tau_s=5.0, W_b=0.0)
    drive = np.zeros((2000, 2))
    drive[:, 1] = partner_input([5.0], 2000, 0.1)
    _, states, _ = run(cell, drive, 0.1)
    y, V = states[:, 2], states[:, 0]
    np.testing.assert_allclose(y[60:400] / y[59:399], np.exp(-0.1 / 5.0))
    # charge: the integral of the current is J tau_s, and of V - E_L that over g
    assert (V - cell.E_L).sum() * 0.1 == pytest.approx(100.0 * 5.0 / cell.g, rel=0.02)


@pytest.mark.slow
def test_coupling_is_found_with_the_partners_train_and_not_with_a_shifted_one():
    """Null test: the likelihood over the coupling peaks near the true one, and near 0 for circularly shifted trains."""
    dt, steps, true = 0.5, 6000, 60.0
    rng = np.random.default_rng(5)
    partner = np.sort(rng.uniform(0, steps * dt, 150))
    current = noise(steps, dt, 90.0, 50.0, seed=6)

    def drive(times):
        both = np.stack([current, partner_input(times, steps, dt, delay=1.0)], -1)
        return torch.as_tensor(both)[None, None]

    cell = SpatialSTC.start().replace(J_1=true, W_b=0.0, delta=3.0)
    thresholds = torch.as_tensor(rng.exponential(size=(1, 1, steps)))
    with torch.no_grad():
        spikes = sequential(cell, drive(partner), dt, thresholds=thresholds)[0] > 0
    assert 30 < spikes.sum() < 300
    grid = torch.linspace(-60.0, 120.0, 13, dtype=torch.float64)
    many = cell.replace(J_1=grid)
    # a coupling of any size may bring the same mean current: what is compared is the timing
    offset = (true - grid)[:, None, None] * 150 * cell.tau_s / (steps * dt)

    def likelihood(times):
        both = drive(times).repeat(13, 1, 1, 1)
        both[..., 0] += offset
        with torch.no_grad():
            _, _, u = sequential(many, both, dt, forced=spikes.expand(13, 1, steps))
            rate = many.hazard(u[:, 0].clamp(max=30.0)) * dt
        barred = torch.zeros(steps, dtype=torch.bool)
        for k in torch.nonzero(spikes[0, 0]).ravel().tolist():
            barred[k + 1 : k + 1 + round(cell.t_ref / dt)] = True
        s = spikes[0, 0]
        return (torch.log(-torch.expm1(-rate[:, s])).sum(-1) - rate[:, ~s & ~barred].sum(-1)).numpy()

    zero = 4
    assert float(grid[zero]) == 0.0
    real = likelihood(partner)
    assert abs(float(grid[np.argmax(real)]) - true) <= 15.0
    gains = [likelihood(np.sort((partner + shift) % (steps * dt))) for shift in (400.0, 1100.0, 1900.0)]
    assert real.max() - real[zero] > 10, (real, gains)
    assert max(g.max() - g[zero] for g in gains) < 0.3 * (real.max() - real[zero])


def test_several_partners_have_inputs_and_couplings_of_their_own():
    three = spatial_stc(3)
    assert tuple(three.inputs) == ("I", "s_1", "s_2", "s_3")
    assert {"J_2", "W_3"} <= set(three.parameters)
    unconnected = three.pin("Masked", J_2=0.0, W_2=0.0)
    assert "y_2" not in __import__("ephysfit.neuron.symbols", fromlist=["equations"]).equations(unconnected).states


def test_a_gate_that_is_pinned_away_leaves_the_leak():
    """softplus of a constant is a number, not a tensor."""
    without = STCLIF.pin("STCLIFWithoutLeakGate", W_b=0.0)
    whole = STCLIF.start().replace(W_b=0.0)
    values = {k: v for k, v in whole.values().items() if k != "W_b"}
    a, b = (run(c, np.full(2000, 250.0), 0.1)[0] for c in (whole, without(**values)))
    assert a.sum() > 3
    assert (a == b).all()
