"""The seeds' neurons against their published update rules, written here by hand, at matched parameters."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from model_runs import assert_paired, noise, run, times

from ephysfit.models import (
    BRF,
    PRF,
    STCLIF,
    AdLIF,
    BlockALIF,
    CSiLIF,
    RefractoryCurrentLIF,
    RefractoryLIF,
    ResonantLIF,
    ResonateFire,
    SiLIF,
    SoftLIF,
    c_silif_start,
    refuse_aliased,
)

DT = 0.1


def unit(neuron, **values):
    """A cell in the seeds' units: rest 0, threshold 1, reset by 1, no refractory period unless given."""
    shared = {"E_L": 0.0, "theta": 1.0, "D": 1.0, "V_reset": 0.0, "t_ref": 0.0, "delta": 0.1}
    known = {k: v for k, v in (shared | values).items() if k in neuron.parameters}
    return neuron.start().replace(**known)


# --- seed 000 -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_ref", [0, 1, 20])
def test_block_alif_is_the_published_rule(n_ref):
    """u <- beta u + (1 - beta) R I, masked and at 0 while refractory; a <- p a, threshold 1 + a, a += d at a spike."""
    cell = BlockALIF.start().replace(C=100.0, g=5.0, d_theta=0.4, tau_a=60.0, t_ref=n_ref * DT)
    beta, p, current = np.exp(-DT * 5 / 100), np.exp(-DT / 60.0), noise(4000, DT, 9.0, 6.0)
    u = a = 0.0
    left, expected = 0, np.zeros(4000, bool)
    for n, i in enumerate(current):
        a *= p
        if left:
            left -= 1
            continue
        u = beta * u + (1 - beta) * i / 5
        if u >= 1 + a:
            expected[n], u, a, left = True, 0.0, a + 0.4, n_ref
    spikes, *_ = run(cell, current, DT)
    assert spikes.sum() > 10
    assert (spikes == expected).all()


# --- seed 001 -------------------------------------------------------------------------------------------------------


def test_refractory_lif_is_the_published_rule_at_the_threshold():
    """u <- tau (u - v_th s) + I, R <- tau_r R + s, s = H(u - U R - v_th); R acts undecayed there, so U scales."""
    cell = unit(RefractoryLIF, C=100.0, g=5.0, U=0.5, tau_R=12.0)
    tau, tau_r, current = np.exp(-DT * 5 / 100), np.exp(-DT / 12.0), noise(4000, DT, 9.0, 6.0)
    u = trace = s = 0.0
    expected = np.zeros(4000, bool)
    for n, i in enumerate(current):
        u = tau * (u - s) + (1 - tau) * i / 5
        trace = tau_r * trace + s
        s = float(u - 0.5 * tau_r * trace >= 1)
        expected[n] = s
    spikes, *_ = run(cell, current, DT)
    assert spikes.sum() > 10
    assert (spikes == expected).all()


def test_refractory_trace_in_the_membrane_is_a_double_exponential():
    """V = membrane filter of the current, less D exp(-t/tau) and the double exponential of J per past spike."""
    cell = RefractoryCurrentLIF.start().replace(J=60.0, tau_R=12.0, t_ref=0.0)
    current = noise(3000, DT, 190.0, 80.0)
    spikes, states, _ = run(cell, current, DT)
    assert spikes.sum() > 5
    tau, t = cell.C / cell.g, np.arange(1, 3001) * DT
    beta, free, v = np.exp(-DT / tau), np.empty(3000), 0.0
    for n, i in enumerate(current):
        v = beta * v + (1 - beta) * i / cell.g
        free[n] = v
    expected = cell.E_L + free
    for k in np.flatnonzero(spikes):
        since = np.maximum(t - t[k], 0.0)
        bump = (np.exp(-since / tau) - np.exp(-since / 12.0)) / (1 / 12.0 - 1 / tau)
        expected -= (t >= t[k]) * (cell.D * np.exp(-since / tau) + cell.J / cell.C * bump)
    np.testing.assert_allclose(states[:, 0], expected, atol=1e-9)


# --- seed 002 -------------------------------------------------------------------------------------------------------


def test_soft_reset_is_a_moving_threshold_over_a_potential_that_is_never_reset():
    """The seed's decoupled rule: u' <- beta u' + c without reset, A <- beta (A + s), s = [u' >= v_th (1 + A)]."""
    cell = unit(SoftLIF, C=100.0, g=5.0)
    beta, current = np.exp(-DT * 5 / 100), noise(4000, DT, 8.0, 6.0, seed=1)
    free = moving = s = 0.0
    expected = np.zeros(4000, bool)
    for n, i in enumerate(current):
        free = beta * free + (1 - beta) * i / 5
        moving = beta * (moving + s)
        s = float(free >= 1 + moving)
        expected[n] = s
    spikes, *_ = run(cell, current, DT)
    assert spikes.sum() > 10
    assert (spikes == expected).all()


def test_soft_reset_equals_the_adaptive_threshold_declared_here():
    never_reset = RefractoryLIF.pin("NeverReset", D=0.0, tau_R=lambda p: p.C / p.g)
    current = noise(5000, DT, 180.0, 90.0, seed=2)
    soft = SoftLIF.start().replace(D=18.0)
    values = {k: v for k, v in soft.values().items() if k in never_reset.parameters}
    a, *_ = run(soft, current, DT)
    b, *_ = run(never_reset(U=18.0, **values), current, DT)
    assert a.sum() > 10
    assert (a == b).all()


def complex_run(current, pole, gain, read, reset):
    """z <- A z + B I with the exact step of a constant input; `read` gives the margin, `reset` the jump."""
    a = np.exp(pole * DT)
    b, z, out = gain * (a - 1) / pole, 0j, np.zeros(len(current), bool)
    for n, i in enumerate(current):
        z = a * z + b * i
        out[n] = read(z) >= 0
        if out[n]:
            z = reset(z)
    return out


def test_prf_is_the_published_complex_neuron():
    cell = unit(PRF, C=100.0, tau=20.0, f=0.01)
    current, pole = noise(4000, DT, 8.0, 10.0), -1 / 20.0 + 2j * np.pi * 0.01
    expected = complex_run(current, pole, 1 / 100.0, lambda z: z.real - 1, lambda z: z)
    spikes, *_ = run(cell, current, DT)
    assert spikes.sum() > 50
    assert (spikes == expected).all()
    # as printed (z <- A z + Delta c), with the input at the end of the step: the same but for a few edges of runs
    z, printed = 0j, np.zeros(4000, bool)
    for n, i in enumerate(current):
        z = np.exp(pole * DT) * z + DT * i / 100.0
        printed[n] = z.real >= 1
    assert (printed != expected).mean() < 0.01


def test_resonate_fire_is_izhikevichs():
    cell = unit(ResonateFire, C=100.0, tau=20.0, f=0.02)
    current, pole = noise(4000, DT, 5.0, 25.0), -1 / 20.0 + 2j * np.pi * 0.02
    expected = complex_run(current, pole, 1 / 100.0, lambda z: z.imag - 1, lambda z: 1j)
    spikes, *_ = run(cell, current, DT)
    assert spikes.sum() > 5
    assert (spikes == expected).all()


def test_resonant_lif_with_its_phase_is_every_underdamped_adlif():
    tau_u, tau_w, a_over_g = 15.0, 100.0, 3.0
    half_sum, half_gap = (1 / tau_u + 1 / tau_w) / 2, (1 / tau_w - 1 / tau_u) / 2
    omega = np.sqrt(a_over_g / (tau_u * tau_w) - half_gap**2)
    adlif = AdLIF.start().replace(C=150.0, g=10.0, a=30.0, tau_w=tau_w, b=40.0)
    cell = ResonantLIF.start().replace(
        C=150.0, tau=1 / half_sum, f=omega / (2 * np.pi), phi=np.arctan(half_gap / omega), b=40.0
    )
    current = noise(5000, DT, 500.0, 500.0)
    a, xa, _ = run(adlif, current, DT)
    b, xb, _ = run(cell, current, DT)
    assert a.sum() > 10
    assert (a == b).all()
    np.testing.assert_allclose(xa, xb, rtol=1e-8, atol=1e-6)


@pytest.mark.slow
def test_brf_is_the_published_rule_at_fine_steps():
    """b_t = p(omega) - b_off - q, explicit Euler with threshold 1 + q (seconds there): spike times within 1 ms."""
    dt, f, offset = 0.05, 0.01, 0.03
    cell = unit(BRF, C=100.0, tau=1 / offset, f=f, U=1.0, kappa=0.02, tau_q=95.0)
    current, omega, decay = noise(8000, dt, 10.0, 25.0), 2 * np.pi * f, np.exp(-dt / 95.0)
    boundary = (-1 + np.sqrt(1 - (dt * omega) ** 2)) / dt
    u = v = q = 0.0
    expected = np.zeros(8000, bool)
    for n, i in enumerate(current):
        b = boundary - offset - 0.02 * q
        u, v = u + dt * (b * u - omega * v + i / 100.0), v + dt * (omega * u + b * v)
        q *= decay
        expected[n] = u >= 1 + q
        q += expected[n]
    spikes, *_ = run(cell, current, dt)
    assert_paired(times(spikes, dt), times(expected, dt), 1.0)


# --- seed 003 -------------------------------------------------------------------------------------------------------


def published_silif(current, step, rate_u, rate_w, a, b):
    """w <- beta w + a u + b s; u <- alpha (u - s) + (1 - alpha)(I - w); the new w enters u; s = H(u - 1)."""
    alpha, beta = np.exp(-step * rate_u), np.exp(-step * rate_w)
    u = w = s = 0.0
    out = np.zeros(len(current), bool)
    for n, i in enumerate(current):
        w = beta * w + a * u + b * s
        u = alpha * (u - s) + (1 - alpha) * (i - w)
        s = float(u >= 1)
        out[n] = s
    return out


@pytest.mark.slow
def test_silif_is_the_published_code_at_fine_steps():
    """There `a` is (1 - beta) a R and the spike's own overshoot enters w once: b in code is b less that."""
    dt, rate_u, rate_w, a, b = 0.02, 1 / 15, 1 / 100, 0.8, 0.3
    current = noise(12000, dt, 2.4, 0.8)
    beta = np.exp(-dt * rate_w)
    a_code = (1 - beta) * a
    expected = published_silif(current, dt, rate_u, rate_w, a_code, b - a_code)
    cell = unit(SiLIF, lambda_u=rate_u, lambda_w=rate_w, R=1.0, a=a, b=b)
    spikes, *_ = run(cell, current, dt)
    assert_paired(times(spikes, dt), times(expected, dt), 0.25, least=8)


def test_a_learnable_step_changes_no_spike():
    current = noise(4000, DT, 2.4, 0.8)
    a = published_silif(current, DT, 1 / 15, 1 / 100, 0.001, 0.3)
    for c in (0.01, 0.5, 40.0):
        b = published_silif(current, DT * c, 1 / 15 / c, 1 / 100 / c, 0.001, 0.3)
        assert (a == b).all()
    assert a.sum() > 10


def test_silif_is_adlif_by_rates():
    """Up to the reset: with no spikes the two potentials are one."""
    current = noise(2000, DT, 30.0, 60.0)
    _, x, _ = run(AdLIF.start().replace(theta=20.0, a=3.0, tau_w=50.0), current, DT)
    _, y, _ = run(SiLIF.start().replace(theta=20.0, a=3.0, lambda_w=1 / 50, lambda_u=0.05, R=0.2), current, DT)
    np.testing.assert_allclose(x[:, 0], y[:, 1], atol=1e-9)


def test_c_silif_is_the_published_complex_neuron():
    """z <- A (z - s/2) + b I, s = H(2 Re z - 1): V is 2 Re z."""
    cell = unit(CSiLIF, C=100.0, gamma=0.05, f=0.008, b=0.0)
    current, pole = noise(5000, DT, 12.0, 15.0), -0.05 + 2j * np.pi * 0.008
    expected = complex_run(current, pole, 1 / 200.0, lambda z: 2 * z.real - 1, lambda z: z - 0.5)
    spikes, *_ = run(cell, current, DT)
    assert spikes.sum() > 10
    assert (spikes == expected).all()


def test_c_silif_starts_as_published_within_nyquist():
    cells = c_silif_start(500, seed=1)
    quality = np.pi * cells.f / cells.gamma
    assert torch.allclose(quality, torch.full_like(quality, np.pi))
    assert 1.25e-3 <= float(cells.f.min()) < 2e-3
    assert 0.05 < float(cells.f.max()) <= 0.0625
    assert abs(float(torch.log(cells.f).mean()) - np.log(np.sqrt(1.25 * 62.5) / 1e3)) < 0.15
    refuse_aliased(cells, 4.0)
    with pytest.raises(ValueError, match="samples per cycle"):
        refuse_aliased(cells, 8.0)
    with pytest.raises(ValueError, match="within"):
        c_silif_start(3, seed=0, low_hz=1.0, high_hz=900.0)


def test_every_rate_within_bounds_is_stable():
    """Bounded rates: |poles| < 1 at every corner (of the couplings that oppose the voltage)."""
    from itertools import product

    from ephysfit.neuron.affine import operators

    p = SiLIF.parameters
    for u, w, a in product(*[(q.low, q.high) for q in (p["lambda_u"], p["lambda_w"])], (0.0, p["a"].high)):
        free = operators(SiLIF.start().replace(lambda_u=u, lambda_w=w, a=a), DT).free[0, :2, :2]
        assert float(torch.linalg.eigvals(free).abs().max()) < 1


# --- seed 004: gate as published; stability and partners are in test_autaptic -----------------------------------------


def test_stc_gate_is_the_published_rule_for_a_memory_of_one_step():
    """STC-PLIF with 1 x 1 kernels: h <- (1 + beta) m h + (1 + gamma)(1 - m) x with gates from the last spike alone."""
    memory, beta, gamma, current = np.exp(-DT * 5 / 100), -0.4, 0.3, noise(4000, DT, 9.0, 7.0)
    h = s = 0.0
    expected = np.zeros(4000, bool)
    for n, i in enumerate(current):
        keep = memory * (1 + beta * s)
        take = (1 - memory) * (1 + gamma * s)
        h = keep * h + take * i / 5
        s = float(h >= 1)
        expected[n] = s
        h -= s
    factor = np.log(memory * (1 + beta)) / np.log(memory)  # the leak that gives this memory
    gain = (1 - memory) * (1 + gamma) * factor / (1 - memory * (1 + beta))
    cell = unit(STCLIF, C=100.0, g=5.0, tau_y=DT / 60, carry=1.0, W_g=float(np.arctanh(gain - 1)), W_b=drive_of(factor))
    spikes, *_ = run(cell, current, DT)
    assert spikes.sum() > 10
    assert (spikes == expected).all()


def drive_of(factor):
    from scipy.optimize import brentq

    from ephysfit.models.autaptic import leak_factor

    return brentq(lambda w: float(leak_factor(w)) - factor, -50, 500, xtol=1e-14)
