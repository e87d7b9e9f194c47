"""Configurations of the Allen Institute's GLIF neurons (``neuron_config.json``), levels 1 to 5, as our GLIF neurons."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ephysfit.errors import NeuronError, near
from ephysfit.fitting.model_import.converted import (
    Converted,
    add_softness,
    find_exact_capacitance,
    scale_held_current,
)
from ephysfit.fitting.model_import.given import Given
from ephysfit.models.glif import GLIF1, GLIF2, GLIF3, GLIF4, GLIF5

#: methods of the AllenSDK that our neurons have, by kind
METHODS = {
    "voltage_dynamics_method": ("linear_forward_euler", "linear_exact"),
    "voltage_reset_method": ("zero", "v_before"),
    "threshold_dynamics_method": ("inf", "spike_component", "three_components_exact"),
    "threshold_reset_method": ("inf", "three_components"),
    "AScurrent_dynamics_method": ("exp", "none"),
    "AScurrent_reset_method": ("sum", "none"),
}
_SECOND, _PER_SECOND, _VOLT, _AMPERE, _FARAD = 1e3, 1e-3, 1e3, 1e12, 1e12
#: what no spike depends on
_IGNORED = ("type", "extrapolation_method_name", "dt_multiplier", "th_adapt", "init_threshold", "init_method_data",
            "threshold_components")  # fmt: skip


def is_allen(values: Mapping[str, Any]) -> bool:
    """Whether values are a configuration of a GLIF neuron."""
    return "asc_tau_array" in values or "voltage_reset_method" in values


def read_allen(values: Mapping[str, Any]) -> Converted:
    """Convert a configuration of a GLIF neuron.

    The AllenSDK steps the membrane by the forward Euler rule and holds after-spike currents during a step;
    capacitance and currents are converted so that exact steps of the same length give the same potential. Its spike
    cut is our refractory period, and amplitudes that begin after the cut are taken back to the spike.

    Parameters
    ----------
    values : mapping
        The configuration, in SI units.

    Returns
    -------
    Converted

    Raises
    ------
    NeuronError
        For a method or a value that our GLIF neurons do not have.

    References
    ----------
    Teeter et al. (2018), Nat. Commun. 9, 709; AllenSDK 2.16, ``allensdk.model.glif``.
    """
    given = Given(values, "GLIF of the AllenSDK", {"El": 0.0, "El_reference": 0.0, "coeffs": {}})
    methods = {kind: _take_method(given, kind) for kind in METHODS}
    scales = _take_scales(given)
    dt = given.take("dt", _SECOND)
    rest = given.take("El", _VOLT)
    g = 1e9 / given.take("R_input") * scales["G"]
    C = given.take("C", _FARAD) * scales["C"]
    cut = round(round(given.take("spike_cut_length")) * dt, 9)
    notes = given.notes
    capacitance = C
    if methods["voltage_dynamics_method"][0] == "linear_forward_euler":
        capacitance = find_exact_capacitance(C, g, dt)
        notes.append(
            f"C is {capacitance:.6g} pF: its exact steps equal the forward Euler steps of {dt:g} ms with the "
            f"{C:.6g} pF of the file"
        )
    reference = given.take("El_reference", _VOLT)
    found: dict[str, Any] = {
        "C": capacitance,
        "g": g,
        "E_L": rest + reference,
        "theta": given.take("th_inf", _VOLT) * scales["th_inf"] + reference,
        "t_ref": cut,
    }
    adapts, resets = methods["threshold_dynamics_method"], methods["voltage_reset_method"]
    currents = _take_currents(given, methods, scales["asc_amp_array"], cut, capacitance / g, dt)
    reset = _take_reset(resets, rest) | _take_spike_threshold(methods["threshold_reset_method"], cut)
    follows = _take_voltage_threshold(adapts, scales)
    kind = _choose_level(bool(currents), resets[0] != "zero" or adapts[0] != "inf", bool(follows))
    given.require("init_voltage", rest / _VOLT, "a run here begins at rest")
    given.require("init_AScurrents", 0.0, "a run here begins without after-spike currents")
    given.skip(*_IGNORED)
    given.finish()
    wanted = {n: v for n, v in {**found, **reset, **currents, **follows}.items() if n in kind.parameters}
    neuron = add_softness(kind, wanted, notes)
    return Converted(neuron, dt, f"{kind.__name__} of the AllenSDK", False, (*given.list_defaults(), *notes))


def _choose_level(currents: bool, reset: bool, follows: bool) -> type[GLIF5]:
    """The simplest level that holds the mechanisms."""
    if follows:
        return GLIF5
    return (GLIF4 if reset else GLIF3) if currents else (GLIF2 if reset else GLIF1)


def _take_method(given: Given, kind: str) -> tuple[str, Given]:
    """The name of a method and its parameters."""
    part = given.take_part(kind)
    name, params = str(part.find("name")), part.take_part("params")
    part.finish()
    if name not in METHODS[kind]:
        raise NeuronError(
            f"{part.model}: the method {name!r} is none that our GLIF neurons have ({', '.join(METHODS[kind])}); "
            f"{near(name, METHODS[kind])} A neuron of your own can have it: docs/own_neuron.md"
        )
    return name, params


def _take_scales(given: Given) -> dict[str, Any]:
    """The coefficients by which the AllenSDK multiplies parameters."""
    part = given.take_part("coeffs").values
    scales = Given(part, f"{given.model}, coeffs", dict.fromkeys(("a", "b", "C", "G", "th_inf", "asc_amp_array"), 1.0))
    found: dict[str, Any] = {n: scales.take(n) for n in ("a", "b", "C", "G", "th_inf")}
    found["asc_amp_array"] = scales.take_list("asc_amp_array")
    scales.finish()
    return found


def _take_currents(
    given: Given,
    methods: Mapping[str, tuple[str, Given]],
    scales: tuple[float, ...],
    cut: float,
    tau_m: float,
    dt: float,
) -> dict[str, Any]:
    """Decay rates and jumps of the after-spike currents at the spike; nothing where the neuron has none."""
    taus = given.take_list("asc_tau_array", _SECOND)
    amplitudes = given.take_list("asc_amp_array", _AMPERE)
    name, params = methods["AScurrent_reset_method"]
    if (name == "none") != (methods["AScurrent_dynamics_method"][0] == "none"):
        raise given.refuse("AScurrent_reset_method", name, "must be 'none' exactly where the dynamics are")
    if name == "none":
        return {}
    params.require("r", 1.0, "after-spike currents add up here; for another rule write a neuron of your own")
    params.finish()
    if len(taus) != len(amplitudes) or len(taus) > 2:
        raise given.refuse("asc_tau_array", taus, "must hold one or two time constants, as many as asc_amp_array")
    scales = scales * len(taus) if len(scales) == 1 else scales
    jumps = [
        a * s * math.exp(cut / tau) * scale_held_current(tau_m, tau, dt)
        for a, s, tau in zip(amplitudes, scales, taus, strict=True)
    ]
    rates = [1.0 / tau for tau in taus]
    if len(rates) == 1:
        rates, jumps = [*rates, *rates], [*jumps, 0.0]
    return {"k": tuple(rates), "dI": tuple(jumps)}


def _take_reset(method: tuple[str, Given], rest: float) -> dict[str, float]:
    """What a spike leaves of the potential; the AllenSDK counts it from 0, we from rest."""
    name, params = method
    kept, added = (params.take("a"), params.take("b", _VOLT)) if name == "v_before" else (0.0, 0.0)
    params.finish()
    return {"f_v": kept, "dV": rest - kept * rest - added}


def _take_spike_threshold(method: tuple[str, Given], cut: float) -> dict[str, float]:
    name, params = method
    if name == "inf":
        params.finish()
        return {"b_s": 0.02, "d_theta": 0.0}
    rate = params.take("b_spike", _PER_SECOND)
    rise = params.take("a_spike", _VOLT) * math.exp(rate * cut)
    params.finish()
    return {"b_s": rate, "d_theta": rise}


def _take_voltage_threshold(method: tuple[str, Given], scales: Mapping[str, float]) -> dict[str, float]:
    name, params = method
    params.skip("a_spike", "b_spike")  # those of the reset are the ones that are added
    if name != "three_components_exact":
        params.skip("a_voltage", "b_voltage")
        params.finish()
        return {}
    found = {
        "a_v": params.take("a_voltage", _PER_SECOND) * scales["a"],
        "b_v": params.take("b_voltage", _PER_SECOND) * scales["b"],
    }
    params.finish()
    return found
