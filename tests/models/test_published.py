"""Published neurons at the published step: the printed update rules, transcribed in plain numpy, spike for spike."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ephysfit.errors import NeuronError
from ephysfit.models import loadable
from ephysfit.models.published import (
    draw_c_silif,
    draw_prf,
    draw_silif,
    make_block_alif,
    make_c_silif,
    make_prf,
    make_refractory_lif,
    make_silif,
    read_state,
)
from ephysfit.simulation.engines.blocks import blocks
from ephysfit.simulation.engines.compiled import run
from ephysfit.simulation.engines.decoupled import decoupled
from ephysfit.simulation.engines.pmbc import pmbc
from ephysfit.simulation.engines.sequential import sequential
from ephysfit.simulation.engines.speculate import speculate

CELLS, STEPS = 12, 500
#: how near to the threshold rounding may decide
TIE = 1e-9


def drive(mean, std, seed=0):
    return np.random.default_rng(seed).normal(mean, std, (CELLS, STEPS))


def printed_prf(x, log_dt, theta_log, tau=2.0, v_th=1.0):
    step = np.exp(log_dt)
    decay, z = np.exp(step * (-1 / tau + 1j * np.exp(theta_log))), np.zeros(CELLS, complex)
    out, near = np.zeros((CELLS, STEPS)), np.zeros((CELLS, STEPS))
    for t in range(STEPS):
        z = decay * z + step * x[:, t]
        near[:, t] = z.real - v_th
        out[:, t] = near[:, t] >= 0
    return out, near


def printed_silif(x, alpha, beta, a, b, log_dt):
    keep, slow = np.exp(-np.exp(alpha) * np.exp(log_dt)), np.exp(-np.exp(beta) * np.exp(log_dt))
    u, w, s = np.zeros(CELLS), np.zeros(CELLS), np.zeros(CELLS)
    out, near = np.zeros((CELLS, STEPS)), np.zeros((CELLS, STEPS))
    for t in range(STEPS):
        w = slow * w + a * u + b * s
        u = keep * (u - s) + (1 - keep) * (x[:, t] - w)
        near[:, t] = u - 1
        s = (u >= 1).astype(float)
        out[:, t] = s
    return out, near


def printed_c_silif(x, log_log_alpha, alpha_img, log_dt, b):
    decay = np.exp((-np.exp(log_log_alpha) + 1j * alpha_img) * np.exp(log_dt))
    z, s = np.zeros(CELLS, complex), np.zeros(CELLS)
    out, near = np.zeros((CELLS, STEPS)), np.zeros((CELLS, STEPS))
    for t in range(STEPS):
        z = decay * (z - 0.5 * s) + b * x[:, t]
        near[:, t] = 2 * z.real - 1
        s = (near[:, t] >= 0).astype(float)
        out[:, t] = s
    return out, near


def printed_block_alif(x, beta, p, b, n_ref):
    v, a, left = np.zeros(CELLS), np.zeros(CELLS), np.zeros(CELLS, int)
    out, near = np.zeros((CELLS, STEPS)), np.zeros((CELLS, STEPS))
    for t in range(STEPS):
        i = np.where(left > 0, 0.0, x[:, t])
        v = beta * v + i
        near[:, t] = np.where(left > 0, -1, v - 1 - b * a)
        s = (near[:, t] >= 0).astype(float)
        left = np.where(s > 0, n_ref, np.maximum(left - 1, 0))
        v = v * (1 - s)
        a = p * a + s
        out[:, t] = s
    return out, near


def printed_refractory_lif(x, v_th, u_th, tau, tau_r, reset_decays):
    u, r, s = np.zeros(CELLS), np.zeros(CELLS), np.zeros(CELLS)
    out, near = np.zeros((CELLS, STEPS)), np.zeros((CELLS, STEPS))
    for t in range(STEPS):
        u = tau * (u - v_th * s) + x[:, t] if reset_decays else tau * u + x[:, t] - v_th * s
        r = tau_r * r + s
        near[:, t] = u - u_th * r - v_th
        s = (near[:, t] >= 0).astype(float)
        out[:, t] = s
    return out, near


PRF, SILIF, WIDE = draw_prf(CELLS, 1, dt_max=1.0), draw_silif(CELLS, 2), draw_c_silif(CELLS, 3, dt_max=5.0)
BLOCK = {"beta": np.linspace(0.7, 0.99, CELLS), "p": np.linspace(0.8, 0.99, CELLS), "b": np.linspace(0.1, 1.0, CELLS)}
TRACE = {"v_th": np.linspace(0.5, 1.5, CELLS), "u_th": 0.2, "tau": np.linspace(0.1, 0.9, CELLS), "tau_r": 0.9}
CASES = {
    "prf": (make_prf, printed_prf, PRF, {}, drive(1.0, 6.0), 2.5),
    "silif": (make_silif, printed_silif, SILIF, {}, drive(2.0, 3.0), 4.0),
    "c-silif": (make_c_silif, printed_c_silif, WIDE, {}, drive(0.3, 1.0), 4.0),
    **{
        f"block-alif-{n}": (make_block_alif, printed_block_alif, BLOCK, {"n_ref": n}, drive(0.4, 0.8), 0.1)
        for n in (0, 1, 10)
    },
    **{
        f"spike-ssm-{r}": (make_refractory_lif, printed_refractory_lif, TRACE, {"reset_decays": r}, drive(0.5, 1), 1.0)
        for r in (True, False)
    },
}
ENGINES = {
    "sequential": sequential, "blocks": blocks, "speculate": speculate, "pmbc": pmbc, "decoupled": decoupled,
}  # fmt: skip


def numbers(published):
    return {k: np.asarray(v) for k, v in published.items()}


@pytest.mark.parametrize("name", CASES)
def test_spikes_are_those_of_the_printed_update(name):
    make, printed, published, fixed, x, dt = CASES[name]
    want, margin = printed(x, **numbers(published), **fixed)
    cells, current = make(**published, **fixed, dt=dt), torch.from_numpy(x)[:, None]
    assert want.sum() > 100
    assert np.abs(margin).min() > TIE  # no ties to be excused
    able = [n for n in ENGINES if not name.startswith("block") or n not in ("pmbc", "decoupled")]
    got = {n: ENGINES[n](cells, current, dt)[0][:, 0].numpy() for n in able}
    got["compiled"] = run(cells, current, dt).raster()[:, 0]
    for engine, spikes in got.items():
        assert int((spikes != want).sum()) == 0, engine


def test_gradients_reach_the_published_parameters():
    published = {k: v.clone().requires_grad_() for k, v in draw_silif(4, 0).items()}
    sequential(make_silif(**published), torch.full((4, 1, 50), 3.0, dtype=torch.float64), 4.0)[2].sum().backward()
    for name, value in published.items():
        assert bool(torch.isfinite(value.grad).all()), name
        assert float(value.grad.abs().sum()) > 0, name


def test_the_logarithm_is_smooth_where_eigenvalues_coincide():
    from scipy.linalg import expm

    from ephysfit.models.published import _logarithm

    for tilt in (-1e-2, -1e-6, 0.0, 1e-6, 1e-2):
        matrix = torch.tensor([[0.9, 1.0], [tilt, 0.9]], dtype=torch.float64)
        np.testing.assert_allclose(expm(_logarithm(matrix).numpy()), matrix.numpy(), atol=1e-13)


def test_an_update_that_flips_sign_is_refused():
    with pytest.raises(NeuronError, match="changes sign from step to step"):
        make_silif(alpha=np.log(3.0), beta=np.log(3.0), a=1.0, b=0.0, log_dt=0.0)


def test_state_dictionaries_of_the_releases_are_read():
    drawn = draw_silif(5, 4)
    state = {f"snn.1.{k.replace('log_dt', 'dt')}": v.float() for k, v in drawn.items()}
    again = read_state({**state, "snn.1.W.weight": torch.zeros(5, 3)}, "SiLIF", prefix="snn.1.")
    for name, value in drawn.items():
        torch.testing.assert_close(again[name], value.float().double())
    with pytest.raises(NeuronError, match=r"holds no alpha, beta, a, b, dt"):
        read_state(state, "SiLIF")
    with pytest.raises(NeuronError, match="did you mean SiLIF"):
        read_state(state, "Silif")


def test_saved_cells_are_found_again():
    assert {"PublishedPRF", "PublishedSiLIF", "PublishedCSiLIF"} <= set(loadable())
