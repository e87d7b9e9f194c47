"""Random neurons: every engine against a loop of plain numpy and scipy, the adjoint against autograd.

Matrices are complex, defective, integrating, stiff or slightly unstable; jumps soft or general; states held or not.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from scipy.linalg import expm

from ephysfit.errors import NotAffineError, SimulationError
from ephysfit.neuron.declare import Input, Neuron, Parameter, State
from ephysfit.simulation import adjoint
from ephysfit.simulation.engines.blocks import blocks
from ephysfit.simulation.engines.compiled import run
from ephysfit.simulation.engines.decoupled import decoupled
from ephysfit.simulation.engines.pmbc import pmbc
from ephysfit.simulation.engines.sequential import sequential
from ephysfit.simulation.engines.speculate import speculate
from ephysfit.simulation.surrogate import Surrogate

#: (states, inputs, whether every jump adds a constant, which states are held)
SHAPES = ((1, 1, True, ()), (2, 1, False, (0,)), (3, 2, False, (0, 2)), (5, 3, True, ()), (2, 2, False, ()))
DT = 0.5
#: share of the margins' range by which rounding may decide a spike
TIE = 1e-9


def parameter(unit, start=0.0):
    return Parameter(unit, -1e6, 1e6, "entry", start=start)


@cache
def neuron(d, k, soft, held):
    """A neuron whose matrices are its parameters: flow A x + c + B I, jump J x + j, margin m x - theta."""
    body = {f"A_{i}{j}": parameter("1/ms") for i in range(d) for j in range(d)}
    body |= {f"c_{i}": parameter("mV/ms") for i in range(d)}
    body |= {f"B_{i}{j}": parameter("1/pF") for i in range(d) for j in range(k)}
    body |= {} if soft else {f"J_{i}{j}": parameter("1") for i in range(d) for j in range(d)}
    body |= {f"j_{i}": parameter("mV") for i in range(d)} | {f"m_{i}": parameter("1") for i in range(d)}
    body |= {"theta": parameter("mV", 1.0)}
    body |= {"t_ref": Parameter("ms", 0.0, 1e4, "refractory period", start=0.0, smooth=False)}
    body |= {f"x{i}": State("mV") for i in range(d)} | {f"I{j}": Input("pA") for j in range(k)}

    def flow(self, x, *I):
        return {
            f"x{i}": sum(getattr(self, f"A_{i}{j}") * x[j] for j in range(d)) + getattr(self, f"c_{i}")
            + sum(getattr(self, f"B_{i}{j}") * I[j] for j in range(k))
            for i in range(d)
        }  # fmt: skip

    def margin(self, x):
        return sum(getattr(self, f"m_{i}") * x[i] for i in range(d)) - self.theta

    def jump(self, x):
        kept = [x[i] if soft else sum(getattr(self, f"J_{i}{j}") * x[j] for j in range(d)) for i in range(d)]
        return {f"x{i}": kept[i] + getattr(self, f"j_{i}") for i in range(d)}

    name = f"Random{d}{k}{'Soft' if soft else 'General'}{''.join(map(str, held))}"
    body |= {"flow": flow, "margin": margin, "jump": jump, "hold": tuple(f"x{i}" for i in held)}
    return type(name, (Neuron,), {**body, "__module__": __name__})


def draw_flow(rng, d):
    """A flow of one of the kinds that are hard for closed forms."""
    kind = rng.choice(["complex", "defective", "integrating", "stiff", "unstable", "plain"])
    rates = -rng.uniform(0.02, 0.6, d)
    a = np.diag(rates) + 0.2 * rng.normal(size=(d, d)) * (kind == "plain")
    if kind == "complex" and d > 1:
        a[0, 1], a[1, 0] = -2.0, 2.0
    if kind == "defective":
        a = rates[0] * np.eye(d) + np.diag(np.full(d - 1, 0.5), 1)
    if kind == "integrating":
        a[-1, -1] = 0.0
    if kind == "stiff":
        a[-1, -1] = -50.0
    if kind == "unstable":
        a[-1, -1] = 0.03
    turn = np.linalg.qr(rng.normal(size=(d, d)))[0] if rng.random() < 0.5 else np.eye(d)
    return turn @ a @ turn.T, kind


def draw_case(seed, shape, most):
    """Matrices of one cell, its current (trial, time, input), and refractory steps."""
    rng = np.random.default_rng(seed)
    d, k, soft, _ = shape
    a, kind = draw_flow(rng, d)
    steps = int(np.exp(rng.uniform(0, np.log(most)))) if rng.random() < 0.5 else most
    current = rng.normal(rng.uniform(0, 2), 3.0, (2, steps, k))
    m = rng.normal(size=d)
    case = {
        "A": a, "c": 0.05 * rng.normal(size=d), "B": rng.normal(size=(d, k)), "m": m,
        "J": np.eye(d) if soft else 0.5 * rng.normal(size=(d, d)), 
        "n_ref": int(rng.choice([0, 1, 3, 50])), "current": current, "kind": kind,
    }  # fmt: skip
    j = rng.normal(size=d)
    case |= {"j": -(abs(j @ m) + 1.0) * m / (m @ m) if soft else j}
    silent = looped(case | {"theta": np.inf}, ())[1]
    return case | {"theta": float(np.quantile(silent, rng.uniform(0.6, 0.95)))}


def cell_of(case, shape):
    d, k, soft, _ = shape
    kind = neuron(*shape)
    values = {f"A_{i}{j}": case["A"][i, j] for i in range(d) for j in range(d)}
    values |= {f"{n}_{i}": case[n][i] for n in "cjm" for i in range(d)}
    values |= {f"B_{i}{j}": case["B"][i, j] for i in range(d) for j in range(k)}
    values |= {} if soft else {f"J_{i}{j}": case["J"][i, j] for i in range(d) for j in range(d)}
    return kind(**{n: float(v) for n, v in values.items()}, theta=case["theta"], t_ref=case["n_ref"] * DT)


def step_of(a, c, b):
    d, k = b.shape
    square = np.zeros((d + 1 + k, d + 1 + k))
    square[:d] = np.concatenate([a, c[:, None], b], 1)
    grown = expm(DT * square)
    return grown[:d, :d], grown[:d, d], grown[:d, d + 1 :]


@np.errstate(over="ignore", invalid="ignore")  # an unstable neuron may leave the range of floats: not compared then
def looped(case, held):
    """Spikes and margins (trial, time) by the definition, in numpy."""
    moves = np.array([[0.0 if i in held else 1.0] for i in range(len(case["m"]))])
    free = step_of(case["A"], case["c"], case["B"])
    still = step_of(case["A"] * moves, case["c"] * moves[:, 0], case["B"] * moves)
    trials, steps, _ = case["current"].shape
    spikes, margins = np.zeros((trials, steps)), np.zeros((trials, steps))
    for r in range(trials):
        x, left = np.zeros(len(case["m"])), 0
        for t, i in enumerate(case["current"][r]):
            m, c, b = still if left else free
            x = m @ x + c + b @ i
            margins[r, t] = case["m"] @ x - (case["theta"] if np.isfinite(case["theta"]) else 0.0)
            if not left and margins[r, t] >= 0 and np.isfinite(case["theta"]):
                spikes[r, t] = 1
                x, left = case["J"] @ x + case["j"], case["n_ref"]
            else:
                left = max(left - 1, 0)
    return spikes, margins


ENGINES = {
    "sequential": lambda *a: sequential(*a)[0], "blocks": lambda *a: blocks(*a)[0],
    "speculate": lambda *a: speculate(*a)[0], "pmbc": lambda *a: pmbc(*a)[0],
    "decoupled": lambda *a: decoupled(*a)[0],
    "compiled": lambda *a: torch.from_numpy(run(*a).raster()).double(),
}  # fmt: skip


def assert_engines_agree(seed, shape, most, engines):
    case = draw_case(seed, shape, most)
    want, margins = looped(case, shape[3])
    if not np.isfinite(margins).all() or np.abs(margins).max() > 1e12:
        return 0, set()  # the neuron itself left the range of floats
    cell, current = cell_of(case, shape), torch.from_numpy(case["current"])[None]
    current = current[..., 0] if shape[1] == 1 else current
    tried, size = set(), max(np.abs(margins).max(), 1.0)
    for name in engines:
        try:
            got = ENGINES[name](cell, current, DT)[0].numpy()
        except (SimulationError, NotAffineError):
            continue
        tried.add(name)
        for r in range(len(want)):
            wrong = np.flatnonzero(got[r] != want[r])
            assert not len(wrong) or abs(margins[r, wrong[0]]) < TIE * size, (
                name,
                seed,
                shape,
                case["kind"],
                wrong[:3],
            )
    return int(want.sum()), tried


@pytest.mark.parametrize("shape", SHAPES[:3])
def test_every_engine_gives_the_spikes_of_a_numpy_loop(shape):
    found = [assert_engines_agree(seed, shape, 300, ENGINES) for seed in range(8)]
    assert sum(n for n, _ in found) > 50
    assert {"sequential", "blocks", "speculate", "compiled"} <= set.union(*(t for _, t in found))


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
def test_every_engine_gives_the_spikes_of_a_numpy_loop_on_long_records(shape):
    found = [assert_engines_agree(1000 + seed, shape, 4000 if seed % 8 == 0 else 400, ENGINES) for seed in range(64)]
    assert sum(n for n, _ in found) > 1000


@pytest.mark.parametrize("detach", [False, True])
@pytest.mark.parametrize(
    "shape", [SHAPES[1], *(pytest.param(s, marks=pytest.mark.slow) for s in (*SHAPES[:1], *SHAPES[2:]))]
)
def test_the_adjoint_is_autograd_through_the_definition(shape, detach):
    spikes = 0
    for seed in range(4):
        case = draw_case(2000 + seed, shape, 60)
        cell, current = cell_of(case, shape), torch.from_numpy(case["current"])[None]
        current = current[..., 0] if shape[1] == 1 else current
        found = []
        for compute in (sequential, adjoint.run):
            values = {
                n: torch.tensor([v], dtype=torch.float64, requires_grad=n != "t_ref") for n, v in cell.values().items()
            }
            inside = current.clone().requires_grad_()
            out = compute(type(cell)(**values), inside, DT, surrogate=Surrogate(3.0), detach=detach)
            out = out[0] if isinstance(out, tuple) else out
            (out * torch.linspace(0, 1, out.shape[-1], dtype=torch.float64)).sum().backward()
            found.append(torch.cat([v.grad for n, v in values.items() if n != "t_ref" and v.grad is not None]))
            found.append(inside.grad)
        spikes += int(out.detach().sum())
        for want, got in zip(found[:2], found[2:], strict=True):
            assert bool(((got - want).abs() <= 1e-6 * want.abs() + 1e-8 * want.abs().max()).all()), (seed, case["kind"])
    assert spikes > 5
