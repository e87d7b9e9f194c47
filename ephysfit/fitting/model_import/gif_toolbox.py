"""Parameters of the GIF fitting toolbox (Pozzorini et al. 2015) as our GIF neuron with free time constants."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ephysfit.errors import NeuronError
from ephysfit.fitting.model_import.converted import Converted, find_exact_capacitance, scale_held_current
from ephysfit.fitting.model_import.given import Given
from ephysfit.models.gif import SCALES, FreeGIF

_MICROSIEMENS = _NANOFARAD = _NANOAMPERE = 1e3
#: what no spike depends on: the shape of spikes, how far the toolbox interpolates a filter
_IGNORED = ("avg_spike_shape", "avg_spike_shape_support")
_FILTER_IGNORED = (
    "filter_coeffNb",
    "filter",
    "filtersupport",
    "length_coeff",
    "expfit_falg",
    "expfit_dim",
    "b0",
    "tau0",
)


def is_gif_toolbox(values: Mapping[str, Any]) -> bool:
    """Whether values are the attributes of a model of the toolbox."""
    return "Vt_star" in values


def read_gif_toolbox(values: Mapping[str, Any]) -> Converted:
    """Convert the attributes of a ``GIF`` of the toolbox, by their names there.

    Parameters
    ----------
    values : mapping
        ``gl`` (µS; its comment says nS), ``C`` (nF), ``El``, ``Vr``, ``Vt_star``, ``DV`` (mV), ``Tref`` and ``dt``
        (ms), ``lambda0`` (Hz), ``eta`` (nA) and ``gamma`` (mV). The filters are sums of exponentials:
        ``filter_coeff`` and ``taus`` of a ``Filter_Exps``, or ``b0`` and ``tau0`` after ``fitSumOfExponentials``.

    Returns
    -------
    Converted

    Raises
    ------
    NeuronError
        For filters of rectangles, more than five exponentials, and values of other models of the toolbox.

    Notes
    -----
    The toolbox steps by the forward Euler rule, and its filters begin when the refractory period ends; both are
    converted, so that the rate at every step is the same.

    References
    ----------
    Pozzorini et al. (2015), PLoS Comput. Biol. 11, e1004275.
    """
    given = Given(values, "GIF of the GIF toolbox", {"dt": 0.1, "lambda0": 1.0})
    dt = given.take("dt")
    g, C = given.take("gl", _MICROSIEMENS), given.take("C", _NANOFARAD)
    held = round(math.floor(given.take("Tref") / dt + 1e-6) * dt, 9)  # the toolbox cuts off what is less than a step
    softness, rate = given.take("DV"), given.take("lambda0")
    if rate <= 0 or softness <= 0:
        raise given.refuse("lambda0, DV", (rate, softness), "must both be positive")
    exact = find_exact_capacitance(C, g, dt)
    eta, tau_eta = _take_filter(given, "eta", _NANOAMPERE)
    gamma, tau_gamma = _take_filter(given, "gamma", 1.0)
    neuron = FreeGIF(
        C=exact,
        g=g,
        E_L=given.take("El"),
        theta=given.take("Vt_star") - softness * math.log(rate / 1e3),
        eta=tuple(
            w * math.exp(held / t) * scale_held_current(exact / g, t, dt) for w, t in zip(eta, tau_eta, strict=True)
        ),
        gamma=tuple(w * math.exp((held + dt) / t) for w, t in zip(gamma, tau_gamma, strict=True)),
        tau_eta=tau_eta,
        tau_gamma=tau_gamma,
        V_reset=given.take("Vr"),
        t_ref=held,
        delta=softness,
    )
    given.skip(*_IGNORED)
    given.finish()
    notes = (
        *given.list_defaults(),
        *given.notes,
        f"C is {exact:.6g} pF: its exact steps equal the forward Euler steps of {dt:g} ms with {C:.6g} pF",
        "theta holds the rate constant: Vt_star - DV ln(lambda0 / 1 kHz)",
        "weights of eta and gamma are those at the spike; the toolbox counts from the end of the refractory period",
    )
    return Converted(neuron, dt, "GIF of the GIF toolbox", True, notes)


def _take_filter(given: Given, name: str, scale: float) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Weights and time constants (ms) of a filter, filled up with exponentials of weight 0."""
    value = given.find(name)
    part = Given(value if isinstance(value, Mapping) else getattr(value, "__dict__", {}), f"{given.model}, {name}")
    fitted = bool(part.values.get("expfit_falg")) and "taus" not in part.values
    weights, taus = ("b0", "tau0") if fitted else ("filter_coeff", "taus")
    if taus not in part.values:
        raise NeuronError(
            f"{part.model}: no time constants (taus); ephysfit takes filters that are sums of exponentials: a "
            "Filter_Exps, or another filter after its fitSumOfExponentials(...)"
        )
    found, constants = part.take_list(weights, scale), part.take_list(taus)
    part.skip(*(part.values if fitted else _FILTER_IGNORED))  # the bins of a filter that exponentials stand for
    part.finish()
    if fitted:
        given.notes.append(f"{name} is the toolbox's fit of exponentials to its filter, not the filter itself")
    return fill_bank(part, taus, found, constants)


def fill_bank(
    given: Given, name: str, weights: tuple[float, ...], taus: tuple[float, ...]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Weights and time constants (ms) of our bank, filled up with exponentials of weight 0."""
    size = len(SCALES)
    if len(weights) != len(taus) or len(taus) > size or any(t <= 0 for t in taus):
        raise given.refuse(
            name, taus, f"must be at most {size} positive time constants, one for each of the {len(weights)} weights; "
            "for more write a neuron of your own (docs/own_neuron.md)",
        )  # fmt: skip
    missing = size - len(taus)
    return (*weights, *(0.0,) * missing), (*taus, *SCALES[size - missing :])
