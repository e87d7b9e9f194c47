"""Update rules of other programs, written out in plain numpy from their sources, to hold imported models to.

They share nothing with ephysfit. A spike in step n is given as n; the current of step n moves the potential in it.
Random draws are replaced by what draws happen at: the hazard integrated since the last spike reaches 1.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def run_allen_glif(config: dict[str, Any], current: np.ndarray) -> np.ndarray:
    """``GlifNeuron.run`` of AllenSDK 2.16 (glif_neuron.py, glif_neuron_methods.py), in SI units."""
    dt, El, cut = config["dt"], config["El"], config["spike_cut_length"]
    by = config["coeffs"]
    C, G = config["C"] * by["C"], by["G"] / config["R_input"]
    k = 1 / np.array(config["asc_tau_array"])
    amplitudes = np.array(config["asc_amp_array"]) * by["asc_amp_array"]
    asc_on = config["AScurrent_dynamics_method"]["name"] == "exp"
    threshold = config["threshold_dynamics_method"]
    params, resets = threshold["params"], config["voltage_reset_method"]
    th_inf = config["th_inf"] * by["th_inf"]
    V, asc, th_spike, th_voltage = config["init_voltage"], np.array(config["init_AScurrents"]), 0.0, 0.0
    spikes, n = [], 0
    while n < len(current):
        I = current[n] + asc.sum()
        after = V + (I - G * (V - El)) * dt / C
        if threshold["name"] == "three_components_exact":
            a, b = params["a_voltage"] * by["a"], params["b_voltage"] * by["b"]
            beta, phi = (I + G * El) / G, a / (b - G / C)
            th_voltage = (
                phi * (V - beta) * math.exp(-G * dt / C)
                + math.exp(-b * dt) * (th_voltage - phi * (V - beta) - a / b * (beta - El))
                + a / b * (beta - El)
            )
        th_spike *= math.exp(-params.get("b_spike", 0.0) * dt)
        asc = asc * np.exp(-k * dt) if asc_on else np.zeros(len(k))
        if after > th_inf + th_spike + th_voltage:
            spikes.append(n)
            if asc_on:
                asc = amplitudes + asc * config["AScurrent_reset_method"]["params"]["r"] * np.exp(-k * dt * cut)
            V = resets["params"]["a"] * after + resets["params"]["b"] if resets["name"] == "v_before" else 0.0
            th_spike = th_spike * math.exp(-params.get("b_spike", 0.0) * dt * cut) + params.get("a_spike", 0.0)
            n += cut + 1
        else:
            V = after
            n += 1
    return np.array(spikes)


def run_gif_toolbox(gif: dict[str, Any], current: np.ndarray) -> np.ndarray:
    """``GIF.simulate`` of the GIF toolbox (Pozzorini et al. 2015), the integrated rate for draws; current in nA."""
    dt, steps = gif["dt"], len(current)
    held = int(gif["Tref"] / dt)
    sums = {}
    for name in ("eta", "gamma"):
        taus = np.array(gif[name]["taus"])
        support = np.arange(0.0, 10 * taus.max(), dt)
        sums[name] = (
            np.zeros(steps + len(support) + held + 2),
            np.exp(-support[:, None] / taus) @ gif[name]["filter_coeff"],
        )
    (eta_sum, eta), (gamma_sum, gamma) = sums.values()
    V, spent, spikes, t = gif["El"], 0.0, [], 0
    while t < steps:
        V += dt / gif["C"] * (-gif["gl"] * (V - gif["El"]) + current[t] - eta_sum[t])
        spent += gif["lambda0"] * math.exp((V - gif["Vt_star"] - gamma_sum[t]) / gif["DV"]) * dt / 1000
        if spent >= 1:
            spikes.append(t)
            spent, V = 0.0, gif["Vr"]
            t += held
            eta_sum[t + 1 : t + 1 + len(eta)] += eta
            gamma_sum[t + 1 : t + 1 + len(gamma)] += gamma
        t += 1
    return np.array(spikes)


def run_nest_iaf(p: dict[str, Any], current: np.ndarray, h: float) -> np.ndarray:
    """``iaf_psc_exp::update`` of NEST 3; with ``delta`` the integrated rate in place of draws; current in pA."""
    kept = math.exp(-h / p["tau_m"])
    V, refractory, spent, spikes = 0.0, 0, 0.0, []
    for n, I in enumerate(current):
        if refractory == 0:
            V = V * kept + I * p["tau_m"] / p["C_m"] * (1 - kept)
        else:
            refractory -= 1
            continue
        if p["delta"] > 0:
            spent += p["rho"] * math.exp((V - (p["V_th"] - p["E_L"])) / p["delta"]) * h * 1e-3
        if spent >= 1 if p["delta"] > 0 else p["V_th"] - p["E_L"] <= V:
            spikes.append(n)
            refractory, V, spent = round(p["t_ref"] / h), p["V_reset"] - p["E_L"], 0.0
    return np.array(spikes)


def run_nest_glif(p: dict[str, Any], current: np.ndarray, h: float) -> np.ndarray:
    """``glif_psc::update`` of NEST 3 without synapses; current in pA."""
    decay = np.array(p["asc_decay"])
    held_decay, mean = np.exp(-decay * p["t_ref"]), (1 - np.exp(-decay * h)) / decay / h
    tau = p["C_m"] / p["g"]
    kept = math.exp(-h / tau)
    U, th_spike, th_voltage, asc, refractory, spikes = 0.0, 0.0, 0.0, np.zeros(len(decay)), 0, []
    for n, I in enumerate(current):
        if refractory:
            refractory -= 1
            continue
        old = U
        th_spike *= math.exp(-p["th_spike_decay"] * h)
        total = (mean * asc).sum() if p["after_spike_currents"] else 0.0
        asc = asc * np.exp(-decay * h)
        U = old * kept + (I + total) * (1 - kept) * tau / p["C_m"]
        if p["adapting_threshold"]:
            phi = p["th_voltage_index"] / (p["th_voltage_decay"] - 1 / tau)
            ratio, beta = p["th_voltage_index"] / p["th_voltage_decay"], (I + total) / p["g"]
            th_voltage = (
                phi * (old - beta) * kept
                + math.exp(-p["th_voltage_decay"] * h) * (th_voltage - phi * (old - beta) - ratio * beta)
                + ratio * beta
            )
        if th_spike + th_voltage + p["V_th"] - p["E_L"] < U:
            spikes.append(n)
            refractory = round(p["t_ref"] / h)
            if p["after_spike_currents"]:
                asc = np.array(p["asc_amps"]) + asc * np.array(p["asc_r"]) * held_decay
            if p["spike_dependent_threshold"]:
                U = p["voltage_reset_fraction"] * old + p["voltage_reset_add"]
                th_spike = th_spike * math.exp(-p["th_spike_decay"] * p["t_ref"]) + p["th_spike_add"]
            else:
                U = p["V_reset"] - p["E_L"]
    return np.array(spikes)


def run_nest_gif(p: dict[str, Any], current: np.ndarray, h: float) -> np.ndarray:
    """``gif_psc_exp::update`` of NEST 3, the integrated rate in place of draws; current in pA."""
    tau = p["C_m"] / p["g_L"]
    kept = math.exp(-h / tau)
    stc, sfa = np.zeros(len(p["q_stc"])), np.zeros(len(p["q_sfa"]))
    V, refractory, spent, spikes = p["E_L"], 0, 0.0, []
    for n, I in enumerate(current):
        out, moved = stc.sum(), p["V_T_star"] + sfa.sum()
        stc, sfa = stc * np.exp(-h / np.array(p["tau_stc"])), sfa * np.exp(-h / np.array(p["tau_sfa"]))
        if refractory:
            refractory -= 1
            V = p["V_reset"]
            continue
        V = (1 - kept) * tau / p["C_m"] * (I - out) + kept * V + (1 - kept) * p["E_L"]
        spent += p["lambda_0"] / 1000 * math.exp((V - moved) / p["Delta_V"]) * h
        if spent >= 1:
            spikes.append(n)
            stc, sfa, spent, refractory = stc + p["q_stc"], sfa + p["q_sfa"], 0.0, round(p["t_ref"] / h)
    return np.array(spikes)


def run_nest_aeif(p: dict[str, Any], current: np.ndarray, h: float, pieces: int = 200) -> np.ndarray:
    """``aeif_psc_exp`` of NEST 3: its equations in Euler steps of h/pieces, resets within a step."""
    V, w, refractory, spikes = p["E_L"], 0.0, 0, []
    small = h / pieces
    peak = p["V_peak"] if p["Delta_T"] > 0 else p["V_th"]
    for n, I in enumerate(current):
        for k in range(pieces):
            seen = p["V_reset"] if refractory else min(V, p["V_peak"])
            upstroke = (
                p["g_L"] * p["Delta_T"] * math.exp((seen - p["V_th"]) / p["Delta_T"]) if p["Delta_T"] > 0 else 0.0
            )
            flow = 0.0 if refractory else (-p["g_L"] * (seen - p["E_L"]) + upstroke - w + I) / p["C_m"]
            w += small * (p["a"] * (seen - p["E_L"]) - w) / p["tau_w"]
            V += small * flow
            reached = peak <= V and (p["Delta_T"] > 0 or k == pieces - 1)  # without upstroke NEST takes one step of h
            if reached and not refractory:
                V, w = p["V_reset"], w + p["b"]
                spikes.append(n)
                refractory = round(p["t_ref"] / h) + 1 if p["t_ref"] else 0
        refractory = max(refractory - 1, 0)
    return np.array(spikes)


def run_nest_mat(p: dict[str, Any], current: np.ndarray, h: float) -> np.ndarray:
    """``mat2_psc_exp::update`` of NEST 3 without synapses; current in pA."""
    kept = math.exp(-h / p["tau_m"])
    V, fast, slow, barred, spikes = 0.0, 0.0, 0.0, 0, []
    for n, I in enumerate(current):
        V = V * kept + I * p["tau_m"] / p["C_m"] * (1 - kept)
        fast, slow = fast * math.exp(-h / p["tau_1"]), slow * math.exp(-h / p["tau_2"])
        if barred:
            barred -= 1
        elif p["omega"] - p["E_L"] + slow + fast <= V:
            spikes.append(n)
            barred, fast, slow = round(p["t_ref"] / h), fast + p["alpha_1"], slow + p["alpha_2"]
    return np.array(spikes)


def run_neuroml_cell(kind: str, p: dict[str, float], current: np.ndarray, dt: float) -> np.ndarray:
    """Spike times (ms) of a cell of ``Cells.xml`` of the NeuroML 2.3 core types, by Euler's rule as jNeuroML takes it.

    Derivatives are those at the beginning of a step, conditions are tested at its end; values in ms, mV, pF, nS, pA.
    """
    parabola, adapts, held = kind == "izhikevich2007Cell", kind == "adExIaFCell", "refract" in p
    v, w, last, spikes = p["v0"] if parabola else p["EL"] if adapts else p["leakReversal"], 0.0, -math.inf, []
    refractory = False
    for n, I in enumerate(current.tolist()):
        t = (n + 1) * dt
        if parabola:
            slope, drift = p["k"] * (v - p["vr"]) * (v - p["vt"]) - w, p["a"] * (p["b"] * (v - p["vr"]) - w)
        elif adapts:
            upstroke = p["gL"] * p["delT"] * math.exp((v - p["VT"]) / p["delT"])
            slope, drift = upstroke - p["gL"] * (v - p["EL"]) - w, (p["a"] * (v - p["EL"]) - w) / p["tauw"]
        else:
            slope, drift = p["leakConductance"] * (p["leakReversal"] - v), 0.0
        w += dt * drift
        if refractory:
            refractory = not t > last + p["refract"]
            continue
        v += dt * (slope + I) / p["C"]
        if v > (p["vpeak"] if parabola else p["thresh"]):
            spikes.append(t)
            v, last, refractory = p["c"] if parabola else p["reset"], t, held
            w += p["d"] if parabola else p["b"] if adapts else 0.0
    return np.array(spikes)
