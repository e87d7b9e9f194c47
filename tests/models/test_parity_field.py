"""The neurons users fit today against their published rules, written here by hand, at matched parameters."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from model_runs import assert_paired, noise, run, times
from scipy.linalg import expm

from ephysfit.models import (
    AGIF,
    EIF,
    GIF,
    GLIF1,
    GLIF2,
    GLIF3,
    GLIF4,
    GLIF5,
    IGIF,
    LIFASC,
    MAT,
    MATV,
    AdEx,
    Izhikevich,
    Izhikevich2003,
    MultiALIF,
)
from ephysfit.models.gif import SCALES

DT = 0.1

# --- GLIF -----------------------------------------------------------------------------------------------------------

_GLIF = {
    "f_v": 0.4, "dV": 3.0, "k": (0.2, 0.02), "dI": (-30.0, -6.0), "b_s": 0.03, "d_theta": 3.0, "a_v": 0.01, "b_v": 0.06
}  # fmt: skip


def glif_by_hand(p, current):
    """Teeter et al. 2018: matrices written out; while refractory V and theta_v stand, at its end dI and d_theta add."""
    A = np.zeros((6, 6))  # V - E_L, I_1, I_2, theta_s, theta_v, 1
    A[0, :3] = -p["g"] / p["C"], 1 / p["C"], 1 / p["C"]
    A[1, 1], A[2, 2], A[3, 3] = -p["k"][0], -p["k"][1], -p["b_s"]
    A[4, 0], A[4, 4] = p["a_v"], -p["b_v"]
    x, left, out = np.zeros(6), 0, np.zeros(len(current), bool)
    x[5] = 1.0
    n_ref = round(p["t_ref"] / DT)
    fade = np.exp(-DT * n_ref * np.array([p["k"][0], p["k"][1], p["b_s"]]))
    for n, i in enumerate(current):
        if left:
            left -= 1
            if left == 0:
                x[1:4] = x[1:4] * fade + [p["dI"][0], p["dI"][1], p["d_theta"]]
            continue
        A[0, 5] = i / p["C"]
        x = expm(A * DT) @ x
        if x[0] + p["E_L"] >= p["theta"] + x[3] + x[4]:
            out[n], left, x[0] = True, n_ref, p["f_v"] * x[0] - p["dV"]
    return out


@pytest.mark.parametrize("neuron", [GLIF1, GLIF2, GLIF3, GLIF4, GLIF5], ids=lambda n: n.__name__)
def test_glif_is_the_published_one_with_what_a_spike_adds_scaled_to_the_spike(neuron):
    cell = neuron.start().replace(t_ref=3.0, **{k: v for k, v in _GLIF.items() if k in neuron.parameters})
    values = {k: getattr(cell, k) for k in GLIF5.parameters}
    current = noise(3000, DT, 200.0, 110.0, seed=4)
    expected = glif_by_hand(values, current)
    grow = np.exp(3.0 * np.array(values["k"]))
    scaled = {"dI": tuple(np.array(values["dI"]) * grow), "d_theta": values["d_theta"] * np.exp(3.0 * values["b_s"])}
    spikes, *_ = run(cell.replace(**{k: v for k, v in scaled.items() if k in neuron.parameters}), current, DT)
    assert spikes.sum() > 5
    assert (spikes == expected).all()


def test_the_ladder_of_glif_is_nested_as_published():
    assert GLIF5.state_names() == GLIF1.state_names()
    free = [sum(p.size for p in n.parameters.values()) for n in (GLIF1, GLIF2, GLIF3, GLIF4, GLIF5)]
    assert free == [6, 10, 10, 14, 16]


def test_after_spike_currents_are_glif3_with_a_reset_of_its_own():
    glif = GLIF3.start().replace(k=(0.1, 0.01), dI=(-20.0, -5.0))
    current = noise(4000, DT, 220.0, 110.0)
    asc = LIFASC.start().replace(b=(-20.0, -5.0), tau_b=(10.0, 100.0), V_reset=glif.E_L)
    a, *_ = run(glif, current, DT)
    b, *_ = run(asc, current, DT)
    assert a.sum() > 10
    assert (a == b).all()


# --- GIF family -----------------------------------------------------------------------------------------------------


def gif_by_hand(cell, current, dt, extra=lambda V, state: (0.0, 0.0, state), state=()):
    """Euler as the published code: V += dt/C (-g (V - E_L) - eta + I - i_extra), threshold theta + gamma + th_extra."""
    V, since, out = cell.E_L, [], np.zeros(len(current), bool)
    eta, gamma, taus = np.zeros(len(SCALES)), np.zeros(len(SCALES)), np.array(SCALES)
    held, n_ref = 0, round(cell.t_ref / dt)
    for n, i in enumerate(current):
        i_extra, th_extra, state = extra(V, state)
        if held:
            held -= 1
        else:
            V += dt / cell.C * (-cell.g * (V - cell.E_L) - eta.sum() + i - i_extra)
        eta, gamma = eta * np.exp(-dt / taus), gamma * np.exp(-dt / taus)
        if not held and not (since and n - since[-1] <= n_ref) and cell.theta + gamma.sum() + th_extra <= V:
            out[n], V, held = True, cell.V_reset, n_ref
            eta, gamma = eta + np.array(cell.eta), gamma + np.array(cell.gamma)
            since.append(n)
    return out


def test_gif_without_noise_is_the_published_rule():
    dt = 0.05
    cell, current = GIF.start(), noise(4000, dt, 350.0, 150.0)
    spikes, *_ = run(cell, current, dt)
    assert_paired(times(spikes, dt), times(gif_by_hand(cell, current, dt), dt), 1.0, median=0.15)


def test_gif_margin_between_recorded_spikes_is_the_spike_response():
    """V - theta - sum of gamma exponentials since every recorded spike, and eta filtered by the membrane."""
    cell = GIF.start().replace(t_ref=0.0, eta=(12.0, 4.0, 0.0, 1.0, 0.5))
    forced = torch.zeros(1, 1, 1500, dtype=torch.bool)
    forced[..., [200, 420]] = True
    _, states, margins = run(cell, np.full(1500, 60.0), DT, forced=forced)
    t, tau, taus = np.arange(1500) * DT, cell.C / cell.g, np.array(SCALES)
    since = np.stack([t - 20.0, t - 42.0])[..., None]
    gamma = np.where(since > 0, np.exp(-since / taus) * np.array(cell.gamma), 0.0).sum((0, 2))
    after, s, settled = t > 42.0, since[1], cell.E_L + 60.0 / cell.g
    eta = np.array(cell.eta) * (1 + np.exp(-22.0 / taus))  # at the second spike, with what is left of the first's
    push = -eta / cell.C * (np.exp(-s / tau) - np.exp(-s / taus)) / (1 / taus - 1 / tau)
    V = settled + (cell.V_reset - settled) * np.exp(-s[:, 0] / tau) + push.sum(-1)
    np.testing.assert_allclose(states[after, 0], V[after], atol=1e-8)
    np.testing.assert_allclose(margins[after], V[after] - cell.theta - gamma[after], atol=1e-8)


@pytest.mark.slow
def test_agif_is_the_published_rule():
    dt, cell = 0.05, AGIF.start().replace(g_A=60.0)

    def a_current(V, state):
        (h,) = state or (0.0,)
        m = 1 / (1 + np.exp(-(V - cell.V_m) / cell.s_m))
        h_inf = 1 / (1 + np.exp((V - cell.V_h) / cell.s_h))
        return cell.g_A * m * h * (V - cell.E_K), 0.0, (h + dt * (h_inf - h) / cell.tau_h,)

    current = noise(4000, dt, 380.0, 200.0)
    spikes, *_ = run(cell, current, dt)
    expected = gif_by_hand(cell, current, dt, a_current)
    without, *_ = run(cell.replace(g_A=0.0), current, dt)
    assert_paired(times(spikes, dt), times(expected, dt), 1.0, median=0.15)
    assert spikes.sum() < without.sum()


def test_igif_is_the_published_rule():
    dt, cell = 0.05, IGIF.start()

    def following(V, state):
        (th,) = state or (0.0,)
        th = th + dt * (cell.k_a * np.log1p(np.exp((V - cell.V_i) / cell.k_i)) - th) / cell.tau_theta
        return 0.0, th, (th,)

    current = noise(4000, dt, 420.0, 260.0)
    spikes, *_ = run(cell, current, dt)
    assert_paired(times(spikes, dt), times(gif_by_hand(cell, current, dt, following), dt), 1.0, median=0.15)


@pytest.mark.slow
def test_igif_forgives_a_slow_ramp_and_fires_to_a_fast_one():
    cell = IGIF.start().replace(C=20.0, k_a=4.0, k_i=3.0, tau_theta=40.0, V_i=-58.0)
    top = 150.0
    slow = np.minimum(np.arange(6000) / 5000, 1) * top
    fast = np.minimum(np.arange(600) / 50, 1) * top
    assert not run(cell, slow, DT)[0].any()
    assert run(cell, fast, DT)[0].any()


# --- adaptive thresholds ---------------------------------------------------------------------------------------------


def test_mat_is_the_published_spike_response():
    """V never reset; threshold omega + sum over past spikes of alpha_1 e^(-t/10) + alpha_2 e^(-t/200); 2 ms barred."""
    cell, current = MAT.start(), noise(5000, DT, 160.0, 90.0, seed=3)
    beta, v, past, expected = np.exp(-DT * cell.g / cell.C), 0.0, [], np.zeros(5000, bool)
    for n, i in enumerate(current):
        v = beta * v + (1 - beta) * i / cell.g
        since = (n - np.array(past, float)) * DT
        theta = cell.theta + sum(a * np.exp(-since / tau).sum() for a, tau in zip(cell.alpha, (10, 200), strict=True))
        if v + cell.E_L >= theta and not (past and n - past[-1] <= 20):
            past.append(n)
            expected[n] = True
    spikes, *_ = run(cell, current, DT)
    assert spikes.sum() > 10
    assert (spikes == expected).all()


def test_voltage_part_of_the_threshold_is_the_published_integral():
    """beta times the integral of s exp(-s/tau_V) dV/dt(t - s), by quadrature over the simulated potential."""
    dt = 0.05
    cell = MATV.start().replace(beta=0.3, theta=20.0)
    _, x, margins = run(cell, noise(2400, dt, 100.0, 100.0), dt)
    V = x[:, 0]
    part = V - cell.theta - margins
    s = (np.arange(2400) + 0.5) * dt
    kernel = s * np.exp(-s / cell.tau_V)
    slope = np.diff(np.concatenate([[cell.E_L], V]))
    expected = cell.beta * np.convolve(slope, kernel)[:2400]
    assert np.abs(part).max() > 1
    np.testing.assert_allclose(part, expected, atol=2e-3 * np.abs(part).max())


def test_multi_alif_threshold_is_a_sum_of_exponentials():
    cell = MultiALIF.start()
    forced = torch.zeros(1, 1, 1000, dtype=torch.bool)
    forced[..., [100, 300]] = True
    _, x, margins = run(cell, np.full(1000, 50.0), DT, forced=forced)
    t = np.arange(1000) * DT
    h = sum(
        d * np.exp(-(t - at) / tau) * (t > at)
        for at in (10.0, 30.0)
        for d, tau in zip(cell.d_theta, cell.tau_a, strict=True)
    )
    later = t > 30.0
    np.testing.assert_allclose((x[:, 0] - cell.theta - margins)[later], h[later], atol=1e-9)


# --- upstrokes --------------------------------------------------------------------------------------------------------

#: tonic, adapting, initially bursting and regularly bursting cells: C g E_L V_T Delta_T a tau_w b V_reset (Naud 2008)
NAUD = {
    "tonic": (200.0, 10.0, -70.0, -50.0, 2.0, 2.0, 30.0, 0.0, -58.0, 500.0),
    "adapting": (200.0, 12.0, -70.0, -50.0, 2.0, 2.0, 300.0, 60.0, -58.0, 500.0),
    "initial burst": (130.0, 18.0, -58.0, -50.0, 2.0, 4.0, 150.0, 120.0, -50.0, 400.0),
    "Brette-Gerstner": (281.0, 30.0, -70.6, -50.4, 2.0, 4.0, 144.0, 80.5, -70.6, 1000.0),
}


def adex_by_hand(p, current, dt, V_peak):
    C, g, E_L, V_T, Delta, a, tau_w, b, V_r, _ = p
    V, w, out = E_L, 0.0, np.zeros(len(current), bool)
    for n, i in enumerate(current):
        dV = (-g * (V - E_L) + g * Delta * np.exp((V - V_T) / Delta) - w + i) / C
        w += dt * (a * (V - E_L) - w) / tau_w
        V += dt * dV
        if V_peak <= V:
            out[n], V, w = True, V_r, w + b
    return out


@pytest.mark.slow
@pytest.mark.parametrize("kind", NAUD)
def test_adex_is_the_published_rule(kind):
    """With a rise far above that of any cell; Euler at 0.005 ms there, our steps at 0.02 ms."""
    p, V_peak, dt = NAUD[kind], -20.0, 0.02
    names = ("C", "g", "E_L", "V_T", "Delta_T", "a", "tau_w", "b", "V_reset")
    cell = AdEx.start().replace(**dict(zip(names, p, strict=False)), V_peak=V_peak, t_ref=0.0, rise=2e4)
    expected = adex_by_hand(p, np.full(40000, p[-1]), 0.005, V_peak)
    spikes, *_ = run(cell, np.full(10000, p[-1]), dt)
    assert_paired(times(spikes, dt), times(expected, 0.005), 0.5, least=4)


def test_a_finite_rise_delays_each_spike_by_the_height_over_the_rise():
    """1/E_sat = 1/E + 1/E_max: from about V_T on, the way up takes (V_peak - V_T)/rise longer."""
    current, dt = np.full(6000, 400.0), 0.01
    fast = EIF.start().replace(V_peak=0.0, rise=2e4, V_reset=-55.0)
    slow = fast.replace(rise=200.0)
    a, b = (np.diff(times(run(cell, current, dt)[0], dt)).mean() for cell in (fast, slow))
    assert b - a == pytest.approx(48.0 / 200.0, rel=0.25)


@pytest.mark.slow
def test_izhikevich_2003_is_the_published_rule():
    """Regular spiking, fast spiking and chattering of the paper (b = 0.2), Euler at 0.002 ms there."""
    for a, c, d in ((0.02, -65.0, 8.0), (0.1, -65.0, 2.0), (0.02, -50.0, 2.0)):
        v, u, dt, expected = -70.0, -14.0, 0.002, np.zeros(75000, bool)
        for n in range(75000):
            v, u = v + dt * (0.04 * v * v + 5 * v + 140 - u + 10.0), u + dt * a * (0.2 * v - u)
            if v >= 30:
                expected[n], v, u = True, c, u + d
        cell = Izhikevich2003.start().replace(C=1.0, V_r=-70.0, a=a, c=c, d=d)
        assert cell.b == pytest.approx(0.2)
        spikes, *_ = run(cell, np.full(7500, 10.0), 0.02)
        assert_paired(times(spikes, 0.02), times(expected, dt), 0.3, least=4)


# --- upstrokes under every condition: 10 s of strong input, replayed and noisy ---------------------------------------


def draws(neuron, count, seed):
    """Parameters anywhere within the bounds, but a membrane of at least 1 ms with a resting state (a > -g)."""
    rng = np.random.default_rng(seed)
    values = {}
    for name, p in neuron.parameters.items():
        x = rng.uniform(size=count)
        values[name] = torch.as_tensor(p.low * (p.high / p.low) ** x if p.logarithmic else p.low + (p.high - p.low) * x)
    if "g" in values:
        values["C"] = torch.maximum(values["C"], values["g"])
    if "g" in values and "a" in values:
        values["a"] = torch.maximum(values["a"], -0.9 * values["g"])
    return neuron(**values)


@pytest.mark.slow
@pytest.mark.parametrize("neuron", [AdEx, EIF, Izhikevich, Izhikevich2003], ids=lambda n: n.__name__)
@pytest.mark.parametrize("mode", ["own", "replayed", "noisy"])
def test_upstrokes_stay_finite_anywhere_within_bounds(neuron, mode):
    from ephysfit.simulation.engines import compiled

    cells, steps = draws(neuron, 48, seed=7), 100_000
    current = noise(steps, DT, 800.0, 800.0, seed=8)[None, None]
    rng = np.random.default_rng(9)
    options = {
        "own": {},
        "replayed": {"forced": [[np.sort(rng.choice(steps, 60, replace=False))] for _ in range(48)]},
        "noisy": {"thresholds": rng.exponential(size=(48, 1, steps // 4))},
    }[mode]
    out = compiled.run(cells, current, DT, save=("V", "margin"), **options)
    assert np.isfinite(out.traces["V"]).all()
    assert np.isfinite(out.traces["margin"]).all()
    assert np.isfinite(out.final).all()
    ceiling = 5.01 * cells.delta.numpy()[:, None]
    assert (out.traces["margin"][:, 0] <= ceiling + 1e-9).all()
    assert out.counts.sum() > 100


def test_the_potential_waits_above_the_cut_off_until_the_recorded_spike():
    cell = AdEx.start()
    forced = torch.zeros(1, 1, 2000, dtype=torch.bool)
    forced[..., 1900] = True
    _, x, margins = run(cell, np.full(2000, 400.0), DT, forced=forced)
    w, V = x[1890]
    assert cell.V_peak < V < cell.V_peak + 8 * cell.Delta_T
    assert 0 < margins[1890] < 5.01 * cell.delta
    assert abs(w) < 100.0
    assert x[1900, 1] == cell.V_reset
