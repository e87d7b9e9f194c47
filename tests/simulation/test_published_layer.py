"""Layers whose published parameters learn: the gradients of the printed update rules, transcribed in plain torch."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from ephysfit.errors import SimulationError
from ephysfit.models import LIF
from ephysfit.models.published import (
    draw_c_silif,
    draw_prf,
    draw_silif,
    make_block_alif,
    make_c_silif,
    make_prf,
    make_refractory_lif,
    make_silif,
)
from ephysfit.simulation.layer import layer
from ephysfit.simulation.surrogate import Surrogate

CELLS, STEPS = 6, 40
SPIKE = Surrogate(1.0).spike


def scan(step, x, *states):
    """Spikes (batch, cell, time) of a printed update rule."""
    out = []
    for now in x.unbind(-1):
        s, *states = step(now, *states)
        out.append(s)
    return torch.stack(out, -1)


def printed_prf(x, log_dt, theta_log, tau, v_th):
    step = log_dt.exp()
    decay = (step * torch.complex(-1 / tau + 0 * step, theta_log.exp())).exp()

    def update(now, z):
        z = decay * z + step * now
        return SPIKE(z.real - v_th), z

    return scan(update, x, torch.zeros(x.shape[:2], dtype=torch.complex128))


def printed_silif(x, alpha, beta, a, b, log_dt):
    keep, slow = (-alpha.exp() * log_dt.exp()).exp(), (-beta.exp() * log_dt.exp()).exp()

    def update(now, u, w, s):
        w = slow * w + a * u + b * s
        u = keep * (u - s) + (1 - keep) * (now - w)
        s = SPIKE(u - 1)
        return s, u, w, s

    return scan(update, x, *torch.zeros(3, *x.shape[:2], dtype=torch.float64))


def printed_c_silif(x, log_log_alpha, alpha_img, log_dt, b):
    decay = (torch.complex(-log_log_alpha.exp(), alpha_img) * log_dt.exp()).exp()

    def update(now, z, s):
        z = decay * (z - 0.5 * s) + b * now
        s = SPIKE(2 * z.real - 1)
        return s, z, s

    zero = torch.zeros(x.shape[:2], dtype=torch.float64)
    return scan(update, x, zero.to(torch.complex128), zero)


def printed_block_alif(x, beta, p, b):
    def update(now, v, a):
        v = beta * v + now
        s = SPIKE(v - 1 - b * a)
        return s, v * (1 - s), p * a + s

    return scan(update, x, *torch.zeros(2, *x.shape[:2], dtype=torch.float64))


def printed_refractory_lif(x, v_th, u_th, tau, tau_r):
    def update(now, u, r, s):
        u = tau * (u - v_th * s) + now
        r = tau_r * r + s
        s = SPIKE(u - u_th * r - v_th)
        return s, u, r, s

    return scan(update, x, *torch.zeros(3, *x.shape[:2], dtype=torch.float64))


def spread(low, high):
    return torch.linspace(low, high, CELLS, dtype=torch.float64)


CASES = {
    "prf": (
        make_prf, printed_prf, {**draw_prf(CELLS, 1, dt_max=1.0), "tau": spread(1, 3), "v_th": spread(0.5, 1)}, 20.0,
    ),
    "silif": (make_silif, printed_silif, draw_silif(CELLS, 2), 3.0),
    "c-silif": (make_c_silif, printed_c_silif, draw_c_silif(CELLS, 3), 1.0),
    "block-alif": (
        partial(make_block_alif, n_ref=0), printed_block_alif,
        {"beta": spread(0.7, 0.95), "p": spread(0.8, 0.95), "b": spread(0.1, 0.8)}, 0.8,
    ),
    "spike-ssm": (
        make_refractory_lif, printed_refractory_lif,
        {"v_th": spread(0.5, 1), "u_th": spread(0.1, 0.3), "tau": spread(0.2, 0.8), "tau_r": spread(0.7, 0.9)}, 1.0,
    ),
}  # fmt: skip


@pytest.mark.parametrize("engine", ["compiled", "sequential"])
@pytest.mark.parametrize("name", CASES)
def test_gradients_reach_published_parameters_as_the_printed_rule_gives_them(name, engine):
    make, printed, values, std = CASES[name]
    g = torch.Generator().manual_seed(4)
    x = 0.3 * std + std * torch.randn(3, CELLS, STEPS, generator=g, dtype=torch.float64)
    weight = torch.randn(x.shape, generator=g, dtype=torch.float64)
    made = layer(make, parameters=values, dt=2.0, engine=engine)
    spikes = made(x)
    (spikes * weight).sum().backward()
    want = {k: v.clone().requires_grad_() for k, v in values.items()}
    theirs = printed(x, **want)
    assert spikes.sum() > 20
    assert torch.equal(spikes, theirs)
    (theirs * weight).sum().backward()
    for k, v in want.items():
        torch.testing.assert_close(made.published[k].grad, v.grad, rtol=1e-7, atol=1e-9, msg=f"{name}, {k}")


def test_published_parameters_learn_and_only_those_that_are_named():
    torch.manual_seed(0)
    values = draw_silif(CELLS, 5)
    made = layer(make_silif, parameters=values, dt=4.0, learn=["alpha", "b"])
    x = 2 + 3 * torch.randn(8, CELLS, 60)
    adam = torch.optim.Adam([p for p in made.parameters() if p.requires_grad], lr=0.05)
    losses = []
    for _ in range(30):
        adam.zero_grad()
        loss = (made(x).mean() - 0.02).square()
        loss.backward()
        adam.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    moved = {k for k, v in made.published.items() if not torch.equal(v, values[k])}
    assert moved == {"alpha", "b"} == set(made.learnt())
    again = layer(make_silif, parameters=values, dt=4.0)
    again.load_state_dict(made.state_dict())
    assert torch.equal(again(x), made(x))


@pytest.mark.parametrize("engine", ["compiled", "blocks"])
def test_a_recurrent_published_network_is_the_definition_and_goes_on_where_it_ended(engine):
    values = {"beta": spread(0.7, 0.9), "p": spread(0.8, 0.9), "b": spread(0.2, 0.4)}
    weights = 0.3 * torch.randn(CELLS, CELLS, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x = torch.randn(3, CELLS, STEPS, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    def run(engine):
        made = layer(
            partial(make_block_alif, n_ref=3), parameters=values, dt=1.0, engine=engine, detach=True,
            recurrent=weights, returns=("spikes", "end"),
        )  # fmt: skip
        first, end = made(x[..., :17])
        spikes = torch.cat([first, made(x[..., 17:], end)[0]], -1)
        assert torch.equal(spikes, made(x)[0])
        spikes.sum().backward()
        return spikes, made.published["beta"].grad

    spikes, grad = run(engine)
    want, right = run("sequential")
    assert spikes.sum() > 20
    assert torch.equal(spikes, want)
    torch.testing.assert_close(grad, right, rtol=1e-9, atol=1e-12)


def test_one_number_is_shared_by_all_cells():
    made = layer(make_prf, parameters={**draw_prf(CELLS, 1), "tau": 2.0}, dt=1.0)
    made(10 * torch.randn(2, CELLS, 50, dtype=torch.float64)).mean().backward()
    assert made.published["tau"].shape == made.published["tau"].grad.shape == ()


def test_what_a_published_layer_cannot_be_is_refused():
    with pytest.raises(SimulationError, match="takes parameters="):
        layer(make_silif, 4)
    with pytest.raises(SimulationError, match="no spread"):
        layer(make_silif, parameters=draw_silif(4, 0), spread=0.3)
    with pytest.raises(SimulationError, match=r"'alfa'.*alpha"):
        layer(make_silif, parameters=draw_silif(4, 0), learn=["alfa"])
    with pytest.raises(SimulationError, match="are of 4 cells"):
        layer(make_silif, 5, parameters=draw_silif(4, 0))
    with pytest.raises(SimulationError, match="no beta, a, b, log_dt, which make_silif needs"):
        layer(make_silif, parameters={"alpha": 0.0})
    with pytest.raises(SimulationError, match="'theta', which make_block_alif does not take"):
        layer(partial(make_block_alif, n_ref=3), parameters={"theta": 0.0})
    with pytest.raises(SimulationError, match="one value per cell"):
        layer(make_silif, parameters={**draw_silif(4, 0), "b": torch.ones(3)})
    with pytest.raises(SimulationError, match="neuron = 'LIF'"):
        layer("LIF", 4)
    with pytest.raises(SimulationError, match="belong to a function"):
        layer(LIF, 4, parameters={"g": 3.0})
