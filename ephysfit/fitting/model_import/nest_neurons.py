"""Parameter dictionaries of NEST's neurons as ours: what ``neuron.get()`` returns, or what a script sets."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ephysfit.errors import NeuronError, near
from ephysfit.fitting.model_import import nest_rules as rules
from ephysfit.fitting.model_import.converted import Converted, add_softness
from ephysfit.fitting.model_import.gif_toolbox import fill_bank
from ephysfit.fitting.model_import.given import Given
from ephysfit.models.adex import AdEx
from ephysfit.models.adlif import AdLIF
from ephysfit.models.afterspike import LIFASC
from ephysfit.models.gif import FreeGIF
from ephysfit.models.glif import GLIF1, GLIF2, GLIF3, GLIF4, GLIF5
from ephysfit.models.lif import LIF
from ephysfit.models.mat import MAT, MATV
from ephysfit.neuron.declare import Neuron

#: resolution of NEST's kernel unless a script sets another, ms
RESOLUTION = 0.1
#: how NEST keeps its nodes: no spike of a neuron that gets no spikes depends on it
_BOOKKEEPING = (
    "Ca", "archiver_length", "beta_Ca", "capacity", "element_type", "elementsize", "frozen", "global_id", "growth_rate",
    "instantiations", "has_connections", "local", "local_id", "model", "model_id", "model_type", "n_receptors",
    "n_synapses", "needs_prelim_update", "node_uses_wfr", "post_trace", "recordables", "supports_precise_spikes",
    "synaptic_elements", "t_spike", "tau_Ca", "tau_minus", "tau_minus_triplet", "thread", "thread_local_id", "type_id",
    "vp", "gsl_error_tol", "ignore_and_spike_interval", "ignore_and_spike_offset",
)  # fmt: skip
#: synapses: our neurons get one injected current
_SYNAPSES = ("tau_syn_ex", "tau_syn_in", "tau_syn", "E_ex", "E_in", "E_rev")
#: states that are 0 before a run
_STATES = (
    "I_syn", "I_syn_ex", "I_syn_in", "dI_syn_ex", "dI_syn_in",
    "g_ex", "g_in", "dg_ex", "dg_in", "ASCurrents", "ASCurrents_sum", "I_stc", "E_sfa",
    "V_th_alpha_1", "V_th_alpha_2", "threshold_spike", "threshold_voltage", "asc_init", "w",
)  # fmt: skip


@dataclass(frozen=True)
class NestModel:
    """A neuron of NEST: how it becomes one of ours, whether it spikes at random, and its defaults."""

    convert: Callable[[Given, float], Neuron]
    defaults: Mapping[str, Any]


def is_nest(values: Mapping[str, Any]) -> bool:
    """Whether values are parameters of a neuron of NEST."""
    return "model" in values or "C_m" in values


def read_nest(values: Mapping[str, Any], model: str | None, dt: float | None) -> Converted:
    """Convert the parameters of a neuron of NEST.

    Parameters
    ----------
    values : mapping
        Names and units of NEST. What is missing has NEST's default, which the notes say.
    model : str, optional
        One of `MODELS`; by default the value of ``"model"``.
    dt : float, optional
        Resolution of the kernel, ms; 0.1 ms unless given, and 0.01 ms for an upstroke (aeif), which NEST integrates
        finely.

    Returns
    -------
    Converted

    Raises
    ------
    NeuronError
        For a model or a value that none of our neurons has.

    References
    ----------
    Sources of NEST 3 (``models/*.cpp``), which are the definition of its neurons.
    """
    name = str(model or values.get("model", ""))
    if name not in MODELS:
        known = f"ephysfit reads {', '.join(MODELS)}"
        if not name:
            raise NeuronError(f'the dictionary does not name its model of NEST: add "model", or say model=...; {known}')
        raise NeuronError(f"model {name!r} of NEST is none that one of our neurons is; {near(name, MODELS)} {known}")
    given = Given(values, f"{name} of NEST", MODELS[name].defaults)
    dt = dt or (rules.FINE if name.startswith("aeif") and given.values.get("Delta_T") != 0 else RESOLUTION)
    neuron = MODELS[name].convert(given, dt)
    given.require(
        "I_e", 0.0, "our neurons have no current of their own; set it to 0 and add it to the injected current"
    )
    if "V_m" in given.values:
        rest = float(given.values.get("E_L", MODELS[name].defaults["E_L"]))
        given.require("V_m", rest, "a run here begins at rest (E_L); take the parameters before a run, or remove V_m")
    if given.values.get("ignore_and_spike"):
        raise given.refuse("ignore_and_spike", True, "makes NEST's neuron spike by a clock, whatever its current")
    given.skip("ignore_and_spike")
    for state in _STATES:
        given.require(state, 0.0, "a run here begins at rest; take the parameters before a run, or remove it")
    if given.skip(*_SYNAPSES):
        given.notes.append("synapses are left out: our neurons get an injected current")
    given.skip(*_BOOKKEEPING)
    given.finish()
    return Converted(
        neuron, dt, f"{name} of NEST", name == "gif_psc_exp" or _escapes(given), (*given.list_defaults(), *given.notes)
    )


def _escapes(given: Given) -> bool:
    """Whether an iaf_psc_exp has escape noise."""
    return given.values.get("delta", 0.0) > 0 and given.model.startswith("iaf")


def _take_names(given: Given, names: Mapping[str, str]) -> dict[str, Any]:
    """Parameters by our names."""
    return {ours: given.take(theirs) for ours, theirs in names.items()}


def _take_leak(given: Given) -> dict[str, float]:
    """Capacitance and leak of a neuron whose leak NEST gives as a time constant."""
    C = given.take("C_m")
    return {"C": C, "g": C / given.take("tau_m")}


def _take_refractory(given: Given, dt: float) -> float:
    """Refractory period, ms, in whole steps of the resolution; NEST rounds up."""
    asked = given.take("t_ref")
    held = round(math.ceil(asked / dt - 1e-6) * dt, 9)
    if not math.isclose(held, asked, rel_tol=1e-9, abs_tol=1e-9):
        given.notes.append(
            f"t_ref is {held:g} ms: the {asked:g} ms given, rounded up to steps of {dt:g} ms as NEST does"
        )
    return held


def _convert_iaf(given: Given, dt: float) -> Neuron:
    values = {**_take_leak(given), **_take_names(given, rules.IAF), "t_ref": _take_refractory(given, dt)}
    softness, threshold = given.take("delta"), given.take("V_th")
    given.skip("refractory_input", "rho")
    if softness <= 0:
        return add_softness(LIF, {**values, "theta": threshold}, given.notes)
    rate = given.take("rho")
    if rate <= 0:
        raise given.refuse("rho", rate, "must be positive where delta is: the neuron would never spike")
    given.notes.append("theta holds the rate constant: V_th - delta ln(rho / 1 kHz)")
    return LIF(**values, theta=threshold - rules.shift_threshold(softness, rate), delta=softness)


def _convert_glif(given: Given, dt: float) -> Neuron:
    resets, currents, follows = (
        bool(given.find(n)) for n in ("spike_dependent_threshold", "after_spike_currents", "adapting_threshold")
    )
    held = _take_refractory(given, dt)
    values: dict[str, Any] = {**_take_names(given, rules.GLIF), "t_ref": held}
    rest = values["E_L"]
    reset = given.take("V_reset")
    if currents:
        values |= _take_glif_currents(given, held)
    if resets:
        values |= {**_take_names(given, rules.GLIF_RESET), "dV": -given.take("voltage_reset_add")}
        values["d_theta"] = given.take("th_spike_add") / rules.decay_while_held(values["b_s"], held)
        given.notes.append(rules.RESET_DIFFERS)
    if follows:
        values |= _take_names(given, rules.GLIF_VOLTAGE)
    given.skip("asc_decay", "asc_amps", "asc_r", "th_spike_add", "th_spike_decay", "voltage_reset_fraction",
               "voltage_reset_add", "th_voltage_index", "th_voltage_decay")  # fmt: skip
    if follows and not (resets and currents):
        raise given.refuse("adapting_threshold", True, "needs after_spike_currents and spike_dependent_threshold too")
    kind: type[Neuron] = GLIF5 if follows else (GLIF4 if resets else GLIF3) if currents else GLIF2 if resets else GLIF1
    if not resets and not math.isclose(reset, rest):  # GLIF1 and GLIF3 reset to rest
        kind = LIFASC if currents else LIF
        values["V_reset"] = reset
        if currents:
            values |= {"b": values.pop("dI"), "tau_b": tuple(1.0 / k for k in values.pop("k"))}
    return add_softness(kind, values, given.notes)


def _take_glif_currents(given: Given, held: float) -> dict[str, Any]:
    rates, jumps = given.take_list("asc_decay"), given.take_list("asc_amps")
    given.require("asc_r", 1.0, "after-spike currents add up here; for another rule write a neuron of your own")
    if len(rates) != len(jumps) or not 1 <= len(rates) <= 2 or min(rates) <= 0:
        raise given.refuse("asc_decay", rates, "must hold one or two positive rates, as many as asc_amps")
    jumps = tuple(j / rules.decay_while_held(k, held) for j, k in zip(jumps, rates, strict=True))
    given.notes.append("dI is the rise at the spike; asc_amps are those at the end of the refractory period")
    return {"k": rates * 2, "dI": (*jumps, 0.0)} if len(rates) == 1 else {"k": rates, "dI": jumps}


def _convert_gif(given: Given, dt: float) -> Neuron:
    held = _take_refractory(given, dt)
    if held <= 0:
        raise given.refuse("t_ref", held, "must be positive: without a refractory period NEST never resets V")
    softness, rate = given.take("Delta_V"), given.take("lambda_0")
    if softness <= 0 or rate <= 0:
        raise given.refuse("Delta_V, lambda_0", (softness, rate), "must both be positive")
    banks = []
    for kind in ("stc", "sfa"):
        weights, taus = given.take_list(f"q_{kind}"), given.take_list(f"tau_{kind}")
        banks.append(fill_bank(given, f"tau_{kind}", weights, taus))
    (eta, tau_eta), (gamma, tau_gamma) = banks
    values = _take_names(given, rules.GIF)
    tau_m = values["C"] / values["g"]
    eta = tuple(w / rules.act_as_held(tau_m, tau, dt) for w, tau in zip(eta, tau_eta, strict=True))
    gamma = tuple(w / rules.act_a_step_before(tau, dt) for w, tau in zip(gamma, tau_gamma, strict=True))
    given.notes += [
        "theta holds the rate constant: V_T_star - Delta_V ln(lambda_0 / 1 kHz)",
        f"eta and gamma act here as those of NEST, which it takes at the beginning of a step of {dt:g} ms",
    ]
    return FreeGIF(
        **values, t_ref=held, theta=given.take("V_T_star") - rules.shift_threshold(softness, rate), delta=softness,
        eta=eta, gamma=gamma, tau_eta=tau_eta, tau_gamma=tau_gamma,
    )  # fmt: skip


def _convert_aeif(given: Given, dt: float) -> Neuron:
    values = {**_take_names(given, rules.AEIF), "t_ref": _take_refractory(given, dt)}
    upstroke = _take_names(given, rules.AEIF_UPSTROKE)
    slope = upstroke["Delta_T"]
    if slope < 0:
        raise given.refuse("Delta_T", slope, "must not be negative")
    if slope == 0:
        given.notes.append("Delta_T is 0: the neuron spikes at V_th, and V_peak is not used")
        return add_softness(AdLIF, {**values, **_take_names(given, rules.AEIF_SHARP)}, given.notes)
    given.notes.append(
        f"the upstroke rises at most at {rules.STEEP:g} mV/ms, NEST's without limit; before a fit: "
        f".replace(rise={AdEx.parameters['rise'].high:g})"
    )
    return add_softness(AdEx, {**values, **upstroke, "rise": rules.STEEP}, given.notes)


def _convert_mat(given: Given, dt: float) -> Neuron:
    taus = given.take("tau_1"), given.take("tau_2")
    values: dict[str, Any] = {
        **_take_leak(given), **_take_names(given, rules.MAT), "t_ref": _take_refractory(given, dt),
        "alpha": (given.take("alpha_1"), given.take("alpha_2")),
    }  # fmt: skip
    given.skip("V_th")  # a state that NEST shows: omega and the parts of the threshold
    if taus == tuple(MAT.pinned["tau_H"]):  # type: ignore[arg-type]
        return add_softness(MAT, values, given.notes)
    values |= {"tau_H": taus, "beta": 0.0, "tau_V": 5.0}
    return add_softness(MATV, values, given.notes)


_MEMBRANE = {"E_L": -70.0, "I_e": 0.0}
_AEIF = {"C_m": 281.0, "g_L": 30.0, "E_L": -70.6, "V_th": -50.4, "Delta_T": 2.0, "V_peak": 0.0, "V_reset": -60.0,
         "a": 4.0, "b": 80.5, "tau_w": 144.0, "t_ref": 0.0}  # fmt: skip
#: neurons of NEST that are one of ours, with NEST's defaults
MODELS: dict[str, NestModel] = {
    "iaf_psc_exp": NestModel(_convert_iaf, {
        **_MEMBRANE, "C_m": 250.0, "tau_m": 10.0, "V_th": -55.0, "V_reset": -70.0, "t_ref": 2.0, "rho": 0.01,
        "delta": 0.0}),
    "glif_psc": NestModel(_convert_glif, {
        "C_m": 58.72, "g": 9.43, "E_L": -78.85, "V_th": -51.68, "V_reset": -78.85, "t_ref": 3.75, "th_spike_add": 0.37,
        "th_spike_decay": 0.009, "voltage_reset_fraction": 0.2, "voltage_reset_add": 18.51, "th_voltage_index": 0.005,
        "th_voltage_decay": 0.09, "asc_decay": (0.003, 0.1), "asc_amps": (-9.18, -198.94),
        "spike_dependent_threshold": False, "after_spike_currents": False, "adapting_threshold": False}),
    "gif_psc_exp": NestModel(_convert_gif, {
        **_MEMBRANE, "C_m": 80.0, "g_L": 4.0, "V_reset": -55.0, "Delta_V": 0.5, "V_T_star": -35.0, "lambda_0": 1.0,
        "t_ref": 4.0, "q_stc": (), "tau_stc": (), "q_sfa": (), "tau_sfa": ()}),
    "aeif_psc_exp": NestModel(_convert_aeif, _AEIF),
    "aeif_psc_alpha": NestModel(_convert_aeif, _AEIF),
    "aeif_cond_exp": NestModel(_convert_aeif, _AEIF),
    "aeif_cond_alpha": NestModel(_convert_aeif, _AEIF),
    "mat2_psc_exp": NestModel(_convert_mat, {
        **_MEMBRANE, "C_m": 100.0, "tau_m": 5.0, "omega": -51.0, "alpha_1": 37.0, "alpha_2": 2.0, "tau_1": 10.0,
        "tau_2": 200.0, "t_ref": 2.0}),
}  # fmt: skip
