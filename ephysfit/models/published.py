"""The papers' neurons at the papers' step: cells from published parameters, drawn as published, or read from files.

Physical neurons of the catalogue hold the input over a step and are integrated exactly; published updates add it at the
end of a step, and in SiLIF the new ``w`` enters ``u`` at once. At a fine step both agree; at a network's coarse step
they do not (docs/seeds). The cells here *are* the published update at the step `dt` they are made for.

Parameters are numbers or tensors over the axis `cell`, in the papers' units: threshold 1, time in steps unless said
otherwise. Gradients reach them through the cell. Spikes are at ``u >= 1`` here and ``u > 1`` in the releases, which
differ only where a potential hits the threshold to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import log, pi
from typing import Any

import torch
from torch import Tensor

from ephysfit.errors import NeuronError, near
from ephysfit.models.alif import BlockALIF
from ephysfit.models.linear_step import LinearStep, PublishedCSiLIF, PublishedPRF, PublishedSiLIF
from ephysfit.models.refractory import RefractoryLIF

#: how near to 1 half the trace over the root of the determinant takes a series: both branches lose digits there
_SERIES = 1e-3
Published = dict[str, Tensor]


def make_prf(log_dt: Any, theta_log: Any, tau: float = 2.0, v_th: float = 1.0, *, dt: float = 1.0) -> LinearStep:
    r"""Cells of the parallel resonate-and-fire neuron: ``z <- exp(Delta (-1/tau + i theta)) z + Delta I``.

    Parameters
    ----------
    log_dt : float or Tensor, (cell,)
        Logarithm of the published step ``Delta``.
    theta_log : float or Tensor, (cell,)
        Logarithm of the angular frequency.
    tau, v_th : float
        Decay and threshold, as released.
    dt : float
        Length in ms that one published step is given here; spikes do not depend on it.

    References
    ----------
    Huang et al. (2024), arXiv 2410.03530.

    Examples
    --------
    >>> cell = make_prf(log(0.1), log(3.0))
    >>> round(float(cell.a_wu), 3)   # Delta times theta, per step
    0.3
    """
    step, theta = _tensor(log_dt).exp(), _tensor(theta_log).exp()
    return _rotating(PublishedPRF, -step / tau, step * theta, step, dt, theta=_tensor(v_th).expand_as(step))


def make_c_silif(log_log_alpha: Any, alpha_img: Any, log_dt: Any, b: Any, *, dt: float = 4.0) -> LinearStep:
    r"""Cells of C-SiLIF: ``z <- exp(Delta (-e^p + i q)) (z - s/2) + b I``, spike when ``2 Re z >= 1``.

    Parameters
    ----------
    log_log_alpha, alpha_img : float or Tensor, (cell,)
        ``p`` and ``q`` of the pole.
    log_dt : float or Tensor, (cell,)
        Logarithm of the published step ``Delta``.
    b : float or Tensor, (cell,)
        Gain of the input, which no step scales.
    dt : float
        Length of a step, ms (4 as published).

    References
    ----------
    Fabre et al. (2025), arXiv 2506.06374.

    Examples
    --------
    >>> round(float(make_c_silif(log(0.5), pi, log(0.1), 0.5, dt=1.0).a_uu), 3)
    -0.05
    """
    step, gain = _tensor(log_dt).exp(), _tensor(b)
    decay, angle = -step * _tensor(log_log_alpha).exp(), step * _tensor(alpha_img)
    return _rotating(PublishedCSiLIF, decay, angle, 2 * gain, dt)


def make_silif(alpha: Any, beta: Any, a: Any, b: Any, log_dt: Any, *, dt: float = 4.0) -> LinearStep:
    r"""Cells of SiLIF: ``w <- B w + a u + b s``, ``u <- A (u - s) + (1 - A)(I - w)``, the new ``w`` at once.

    Parameters
    ----------
    alpha, beta : float or Tensor, (cell,)
        Logarithms of the rates: ``A = exp(-Delta e^alpha)``, ``B = exp(-Delta e^beta)``.
    a, b : float or Tensor, (cell,)
        Adaptation by the potential and by spikes, clamped to [0, 1] and [0, 2] as released.
    log_dt : float or Tensor, (cell,)
        Logarithm of the published step ``Delta`` (0.004 s as published).
    dt : float
        Length of a step, ms.

    Raises
    ------
    NeuronError
        If the update flips sign from step to step, as no flow in continuous time does.

    Notes
    -----
    One step is the matrix ``M = [[A - (1 - A) a, -(1 - A) B], [a, B]]``, of determinant ``A B``. What a spike does one
    step later, ``(-A - (1 - A) b, b)``, is ``M`` times a jump of ``u`` by -1 and of ``w`` by ``(a + b) / B``.

    References
    ----------
    Fabre et al. (2025), arXiv 2506.06374.

    Examples
    --------
    >>> cell = make_silif(log(50.0), log(5.0), 0.5, 0.3, log(0.004))
    >>> round(float(cell.D_w), 4)
    0.8162
    """
    step = _tensor(log_dt).exp()
    decay, slow = (-step * _tensor(alpha).exp()).exp(), (-step * _tensor(beta).exp()).exp()
    a, b = _tensor(a).clamp(0.0, 1.0), _tensor(b).clamp(0.0, 2.0)
    decay, slow, a, b = torch.broadcast_tensors(decay, slow, a, b)
    rows = torch.stack([decay - (1 - decay) * a, -(1 - decay) * slow, a, slow], -1)
    matrix = rows.reshape(*rows.shape[:-1], 2, 2)
    gain = torch.stack([1 - decay, torch.zeros_like(decay)], -1)
    return _cells(PublishedSiLIF, _logarithm(matrix), gain, dt, D_w=(a + b) / slow)


def make_block_alif(beta: Any, p: Any, b: Any, n_ref: int = 0, *, dt: float = 1.0) -> BlockALIF:  # type: ignore[valid-type]
    r"""Cells of Block-ALIF: ``V <- beta V + I``, ``a <- p a + s``, spike at ``V > 1 + b a``, reset to 0.

    Parameters
    ----------
    beta, p, b : float or Tensor, (cell,)
        Decays per step of membrane and threshold, and rise of the threshold, clamped as released:
        beta to [0.001, 0.999], abs(p) to at most 0.999, abs(b) to [0.001, 1].
    n_ref : int
        Refractory steps.
    dt : float
        Length of a step, ms.

    Notes
    -----
    ``C = -dt g / log(beta)`` with ``g = 1 - beta``, which makes the gain of a step 1; the threshold part decays once
    before it first acts, so it rises by ``b / p``.

    References
    ----------
    Taylor, King & Harper (2023), arXiv 2311.11390.

    Examples
    --------
    >>> cell = make_block_alif(beta=0.9, p=0.9, b=0.5, n_ref=3)
    >>> round(float(cell.d_theta), 4), float(cell.t_ref)
    (0.5556, 3.0)
    """
    beta, p = _tensor(beta).clamp(0.001, 0.999), _tensor(p).abs().clamp(1e-6, 0.999)
    b = _tensor(b).abs().clamp(0.001, 1.0)
    beta, p, b = torch.broadcast_tensors(beta, p, b)
    g = 1 - beta
    period = torch.full_like(beta, n_ref * dt)
    return BlockALIF(C=-dt * g / beta.log(), g=g, d_theta=b / p, tau_a=-dt / p.log(), t_ref=period)


def make_refractory_lif(
    v_th: Any = 1.0, u_th: Any = 0.2, tau: Any = 0.1, tau_r: Any = 0.9, *, reset_decays: bool = True, dt: float = 1.0
) -> RefractoryLIF:
    r"""Cells of SPikE-SSM's neuron: ``u <- tau (u - v_th s) + I``, ``R <- tau_r R + s``, spike at ``u >= v_th + U R``.

    Parameters
    ----------
    v_th, u_th : float or Tensor, (cell,)
        Threshold and weight ``U`` of the refractory trace.
    tau, tau_r : float or Tensor, (cell,)
        Decays per step (0.1 and 0.9 as published).
    reset_decays : bool
        Whether the reset takes part in the decay, as printed above; False for ``u <- tau u + I - v_th s``, the other
        reading of the printed equations.
    dt : float
        Length of a step, ms.

    References
    ----------
    Zhong et al. (2024), SPikE-SSM, arXiv 2410.17268.

    Examples
    --------
    >>> cell = make_refractory_lif()
    >>> round(float(cell.U), 4), round(float(cell.g), 4)
    (0.2222, 0.9)
    """
    v_th, u_th, tau, tau_r = torch.broadcast_tensors(*(_tensor(v) for v in (v_th, u_th, tau, tau_r)))
    for name, value in (("tau", tau), ("tau_r", tau_r)):
        if not bool(((value > 0) & (value < 1)).all()):
            raise NeuronError(f"{name} = {value.tolist()} is a decay per step; give values between 0 and 1")
    g, zero = 1 - tau, torch.zeros_like(tau)
    drop = v_th if reset_decays else v_th / tau
    # the trace decays once before it first acts here, and not at all in the paper
    return RefractoryLIF(
        C=-dt * g / tau.log(), g=g, E_L=zero, theta=v_th, D=drop, U=u_th / tau_r, tau_R=-dt / tau_r.log(), t_ref=zero,
        delta=zero + 0.1,
    )  # fmt: skip


def draw_prf(n: int, seed: int, *, fr_scale: float = 1.0, dt_min: float = 0.001, dt_max: float = 0.1) -> Published:
    """Parameters of `n` PRF cells as released: log-uniform steps, frequencies uniform from 0 to 2 pi / `fr_scale`.

    Examples
    --------
    >>> sorted(draw_prf(3, seed=0))
    ['log_dt', 'theta_log']
    """
    of = _Draw(seed, n)
    return {"log_dt": of.uniform(log(dt_min), log(dt_max)), "theta_log": (of.uniform(0, 1) * 2 * pi / fr_scale).log()}


def draw_silif(n: int, seed: int) -> Published:
    """Parameters of `n` SiLIF cells as released: rates log-uniform (per second), a in [0, 1], b in [0, 2].

    Examples
    --------
    >>> cell = make_silif(**draw_silif(8, seed=0))
    >>> tuple(cell.a_uu.shape)
    (8,)
    """
    of = _Draw(seed, n)
    rates = {"alpha": of.uniform(log(10.0), log(250.0)), "beta": of.uniform(log(2.5), log(10.0))}
    return {**rates, "a": of.uniform(0, 1), "b": of.uniform(0, 2), "log_dt": of.uniform(log(0.004), log(0.004))}


def draw_c_silif(n: int, seed: int, *, dt_min: float = 0.01, dt_max: float = 0.5) -> Published:
    """Parameters of `n` C-SiLIF cells as released (S4D-Lin): pole -1/2 + i pi, steps log-uniform, b in [0, 1].

    Beyond a step of 1 the pole turns by more than half a cycle a step (Nyquist): with the published `dt_max` of 5 a
    quarter of the cells start there.

    Examples
    --------
    >>> float(draw_c_silif(3, seed=0)["alpha_img"][0]) == pi
    True
    """
    of = _Draw(seed, n)
    pole = {"log_log_alpha": of.uniform(log(0.5), log(0.5)), "alpha_img": of.uniform(pi, pi)}
    return {**pole, "log_dt": of.uniform(log(dt_min), log(dt_max)), "b": of.uniform(0, 1)}


#: names in released state dictionaries, by the names of the functions here
_STATE_NAMES: dict[str, tuple[Callable[..., Any], dict[str, str]]] = {
    "PRF": (make_prf, {"log_dt": "log_dt", "theta_log": "theta_log"}),
    "SiLIF": (make_silif, {"alpha": "alpha", "beta": "beta", "a": "a", "b": "b", "log_dt": "dt"}),
    "CSiLIF": (make_c_silif, {k: k for k in ("log_log_alpha", "alpha_img", "log_dt", "b")}),
    "BlockALIF": (make_block_alif, {"beta": "_beta", "p": "_p", "b": "_b"}),
}


def read_state(state: Mapping[str, Tensor], neuron: str, prefix: str = "") -> Published:
    """Published parameters from a state dictionary of a release, for the `make_` function of that neuron.

    Parameters
    ----------
    state : mapping of str to Tensor
        What ``torch.load`` gives, or a module's ``state_dict()``.
    neuron : str
        "PRF", "SiLIF", "CSiLIF" or "BlockALIF".
    prefix : str
        Before the names of one layer, as in ``"snn.0."``.

    Raises
    ------
    NeuronError
        If the neuron is unknown or a name is missing.

    Examples
    --------
    >>> state = {"snn.0." + k: torch.zeros(4) for k in ("log_dt", "theta_log")}
    >>> cells = make_prf(**read_state(state, "PRF", prefix="snn.0."))
    >>> tuple(cells.a_uu.shape)
    (4,)
    """
    if neuron not in _STATE_NAMES:
        raise NeuronError(f"no released state dictionary of {neuron!r} is known; {near(neuron, _STATE_NAMES)}")
    names = _STATE_NAMES[neuron][1]
    missing = [prefix + theirs for theirs in names.values() if prefix + theirs not in state]
    if missing:
        raise NeuronError(
            f"the state dictionary holds no {', '.join(missing)}, which {neuron} needs; it holds "
            f"{', '.join(list(state)[:12])}; give the layer's prefix, as in prefix='snn.0.'"
        )
    return {ours: state[prefix + theirs].detach().to(torch.float64) for ours, theirs in names.items()}


class _Draw:
    """Uniform draws of `n` numbers."""

    def __init__(self, seed: int, n: int) -> None:
        self.generator, self.n = torch.Generator().manual_seed(seed), n

    def uniform(self, low: float, high: float) -> Tensor:
        unit = torch.rand(self.n, generator=self.generator, dtype=torch.float64)
        return low + (high - low) * unit


def _tensor(value: Any) -> Tensor:
    return torch.as_tensor(value).to(torch.float64)


def _rotating(
    kind: type[LinearStep], decay: Tensor, angle: Tensor, gain: Tensor, dt: float, **others: Tensor
) -> LinearStep:
    """Cells of the complex step ``z <- exp(decay + i angle) z + gain I``."""
    decay, angle, gain = torch.broadcast_tensors(decay, angle, gain)
    flow = torch.stack([decay, -angle, angle, decay], -1).reshape(*decay.shape, 2, 2)
    return _cells(kind, flow, torch.stack([gain, torch.zeros_like(gain)], -1), dt, **others)


def _cells(kind: type[LinearStep], step: Tensor, gain: Tensor, dt: float, **others: Tensor) -> LinearStep:
    """Cells with ``exp(step)`` as transition and `gain` (..., 2) as what one unit of input adds in a step."""
    if not dt > 0:
        raise NeuronError(f"dt = {dt} ms, the length of a published step, must be positive")
    # what a held unit input adds is phi(step) dt B with phi(x) = (exp(x) - 1) / x, here as a corner of an exponential
    one = torch.eye(2, dtype=step.dtype).expand_as(step)
    corner = torch.cat([torch.cat([step, one], -1), torch.zeros_like(torch.cat([step, one], -1))], -2)
    phi = torch.linalg.matrix_exp(corner)[..., :2, 2:]
    drive = torch.linalg.solve(phi, gain[..., None])[..., 0] / dt
    a = step / dt
    flow = {"a_uu": a[..., 0, 0], "a_uw": a[..., 0, 1], "a_wu": a[..., 1, 0], "a_ww": a[..., 1, 1]}
    return kind(**flow, g_u=drive[..., 0], g_w=drive[..., 1], **others)


def _logarithm(matrix: Tensor) -> Tensor:
    """The real logarithm of matrices (..., 2, 2), with gradients; smooth also where both eigenvalues coincide."""
    half = (matrix[..., 0, 0] + matrix[..., 1, 1]) / 2
    size = torch.linalg.det(matrix).sqrt()
    x = half / size
    if not bool((x.detach() > -1).all()):
        worst = float(x.detach().min())
        raise NeuronError(
            f"the update has negative eigenvalues (half its trace over the root of its determinant is {worst:.3g}; it "
            "must exceed -1): it changes sign from step to step, as no flow does; use a smaller step or a smaller a"
        )
    one = torch.eye(2, dtype=matrix.dtype)
    turn = (_angle_over_sine(x) / size)[..., None, None]
    return size.log()[..., None, None] * one + turn * (matrix - half[..., None, None] * one)


def _angle_over_sine(x: Tensor) -> Tensor:
    """``t / sin t`` with ``cos t = x``, also beyond 1 where t is imaginary."""
    near_one, below = (x - 1).abs() < _SERIES, x < 1
    e = torch.where(near_one, 1 - x, 0.0)
    series = 1 + e / 3 * (1 + 2 * e / 5 * (1 + 3 * e / 7 * (1 + 4 * e / 9)))
    inner, outer = torch.where(below & ~near_one, x, 0.0), torch.where(~below & ~near_one, x, 2.0)
    turning = torch.acos(inner) / (1 - inner * inner).sqrt()
    apart = torch.acosh(outer) / (outer * outer - 1).sqrt()
    return torch.where(near_one, series, torch.where(below, turning, apart))
