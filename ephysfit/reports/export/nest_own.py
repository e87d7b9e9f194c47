"""A fitted cell as one of NEST's own neurons, where it is one: a parameter dictionary, and a script that runs it.

The way back of `ephysfit.fitting.model_import.nest_neurons`, by the same rules.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from ephysfit.fitting.model_import import nest_rules as rules
from ephysfit.fitting.model_import.nest_neurons import MODELS
from ephysfit.models.adex import AdEx
from ephysfit.models.adlif import AdLIF
from ephysfit.models.afterspike import LIFASC
from ephysfit.models.gif import FreeGIF
from ephysfit.models.glif import GLIF5
from ephysfit.models.lif import LIF
from ephysfit.models.mat import MATV
from ephysfit.neuron.declare import Neuron
from ephysfit.neuron.functions import elements
from ephysfit.reports.export.exported import ExportedCell, describe_population
from ephysfit.reports.export.own import (
    OWN,
    NotOneError,
    OwnForm,
    OwnForms,
    OwnNeuron,
    Written,
    describe_difference,
    require_fine_step,
    require_reset_below,
    require_steep,
)
from ephysfit.reports.export.quoting import UnquotedText
from ephysfit.reports.export.templates import fill_template

#: rate constants that are written, Hz: 1 kHz, of which our thresholds are, and that of the GIF's publications
_RATE_IAF, _RATE_GIF = 1e3, 1.0
#: how near b_v may be to g/C, as a share: glif_psc divides by their difference and keeps that many digits less
_APART = 1e-6


def write_own_neuron(cell: ExportedCell, form: str = OWN) -> dict[str, str]:
    """Write the parameters (``.json``), which `ephysfit.import_model` reads too, and a script (``_nest.py``) that runs
    the neuron on a current.

    Examples
    --------
    >>> from ephysfit.fitting.fit_result import Fit
    >>> from ephysfit.reports.export.exported import read_fit
    >>> neuron = LIF(C=100.0, g=5.0, E_L=-70.0, theta=-50.0, V_reset=-65.0, t_ref=2.0, delta=2.0)
    >>> own = NEST_OWN.find(read_fit(Fit(neuron, "demo", 0.1), "threshold"))
    >>> own.model, own.values["tau_m"], own.values["V_th"]
    ('iaf_psc_exp', 20.0, -50.0)
    """
    own = NEST_OWN.find(cell, form)
    shared = {"about": cell.about, "model": own.model, "dt": cell.dt, "differs": UnquotedText(own.differs)}
    return {
        ".json": json.dumps({"model": own.model, **own.values}, indent=1, allow_nan=False) + "\n",
        "_nest.py": fill_template("nest_own.py.j2", **shared, states=[]),
    }


def write_own_population(
    cells: Sequence[ExportedCell], found: Sequence[OwnNeuron]
) -> tuple[dict[str, str], dict[str, list[Any]]]:
    """Write the loader (``.py``) of cells that are all found to be one neuron of NEST, and columns of its CSV file."""
    model = NEST_OWN.require_one(cells, found).model
    loader = fill_template(
        "nest_population.py.j2", about=describe_population(cells), model=model, dt=cells[0].dt, count=len(cells),
        states=[], columns=[], own=True, differs=UnquotedText(describe_difference(found)),
    )  # fmt: skip
    return {".py": loader}, {n: [own.values[n] for own in found] for n in found[0].values}


def _list_defaults(name: str) -> dict[str, Any]:
    """NEST's values of what the cell does not have: written, so that the dictionary says all."""
    return {n: list(v) if isinstance(v, tuple) else v for n, v in MODELS[name].defaults.items()}


def _write_leak(neuron: Any) -> dict[str, Any]:
    return {"C_m": float(neuron.C), "tau_m": float(neuron.C / neuron.g)}


def _require_refractory(held: float) -> None:
    if held <= 0:
        raise NotOneError("NEST needs a refractory period of a step at least, and the cell has none")


def _write_iaf(neuron: Any, cell: ExportedCell, held: float) -> Written:
    values = {**_write_leak(neuron), **rules.write_names(neuron, rules.IAF), "V_th": float(neuron.theta)}
    noisy = cell.spiking == "noisy"
    if noisy:
        softness = float(neuron.delta)
        shifted = values["V_th"] + rules.shift_threshold(softness, _RATE_IAF)
        values |= {"rho": _RATE_IAF, "delta": softness, "V_th": shifted}
    require_reset_below("NEST", values["V_th"], values["V_reset"])
    return values, rules.DRAWS if noisy else ""


def _write_glif(neuron: Any, cell: ExportedCell, held: float) -> Written:
    _require_refractory(held)
    values: dict[str, Any] = rules.write_names(neuron, rules.GLIF)
    kept, follows = 0.0, False
    rates: list[float] = []
    jumps: list[float] = []
    if isinstance(neuron, GLIF5):
        values["V_reset"], kept, follows = values["E_L"], float(neuron.f_v), float(neuron.a_v) != 0.0
        rates, jumps = _list_numbers(neuron.k), _list_numbers(neuron.dI)
        resets = follows or any(float(v) != 0.0 for v in (neuron.f_v, neuron.dV, neuron.d_theta))
        if resets:
            added = float(neuron.d_theta) * rules.decay_while_held(float(neuron.b_s), held)
            values |= {**rules.write_names(neuron, rules.GLIF_RESET), "th_spike_add": added,
                       "voltage_reset_add": -float(neuron.dV)}  # fmt: skip
        if follows:
            leak = float(neuron.g / neuron.C)
            if math.isclose(float(neuron.b_v), leak, rel_tol=_APART):
                raise NotOneError(
                    f"NEST divides by the difference of b_v ({float(neuron.b_v):g} /ms) and g/C ({leak:g} /ms), and "
                    "never spikes where they are equal"
                )
            values |= rules.write_names(neuron, rules.GLIF_VOLTAGE)
        values |= {"spike_dependent_threshold": resets, "adapting_threshold": follows}
    else:
        values["V_reset"] = float(neuron.V_reset)
        if isinstance(neuron, LIFASC):
            rates, jumps = [1.0 / tau for tau in _list_numbers(neuron.tau_b)], _list_numbers(neuron.b)
    acting = [(k, j) for k, j in zip(rates, jumps, strict=True) if j != 0.0]
    if follows or acting:  # NEST has no adapting threshold without after-spike currents
        acting = acting or list(zip(rates, jumps, strict=True))
        values |= {"after_spike_currents": True, "asc_decay": [k for k, _ in acting],
                   "asc_amps": [j * rules.decay_while_held(k, held) for k, j in acting]}  # fmt: skip
    values["asc_r"] = [1.0] * len(values.get("asc_decay", MODELS["glif_psc"].defaults["asc_decay"]))
    require_reset_below("NEST", values["V_th"], values["V_reset"])
    return values, rules.RESET_DIFFERS if kept else ""


def _write_gif(neuron: Any, cell: ExportedCell, held: float) -> Written:
    _require_refractory(held)
    softness, tau_m = float(neuron.delta), float(neuron.C / neuron.g)
    eta, gamma = [], []
    if isinstance(neuron, FreeGIF):
        eta, gamma = _pair(neuron.eta, neuron.tau_eta), _pair(neuron.gamma, neuron.tau_gamma)
    elif isinstance(neuron, LIFASC):
        eta = [(-w, tau) for w, tau in _pair(neuron.b, neuron.tau_b)]
    values: dict[str, Any] = {
        **rules.write_names(neuron, rules.GIF), "Delta_V": softness, "lambda_0": _RATE_GIF,
        "V_T_star": float(neuron.theta) + rules.shift_threshold(softness, _RATE_GIF),
        "q_stc": [w * rules.act_as_held(tau_m, tau, cell.dt) for w, tau in eta], "tau_stc": [tau for _, tau in eta],
        "q_sfa": [w * rules.act_a_step_before(tau, cell.dt) for w, tau in gamma], "tau_sfa": [tau for _, tau in gamma],
    }  # fmt: skip
    return values, ""


def _write_mat(neuron: Any, cell: ExportedCell, held: float) -> Written:
    if float(neuron.beta) != 0.0:
        raise NotOneError(
            f"its threshold follows the voltage (beta = {float(neuron.beta):g} /ms), which NEST's does not"
        )
    _require_refractory(held)
    (rise_1, tau_1), (rise_2, tau_2) = zip(_list_numbers(neuron.alpha), _list_numbers(neuron.tau_H), strict=True)
    fast_and_slow = {"alpha_1": rise_1, "alpha_2": rise_2, "tau_1": tau_1, "tau_2": tau_2}
    return {**_write_leak(neuron), **rules.write_names(neuron, rules.MAT), **fast_and_slow}, ""


def _write_aeif(neuron: Any, cell: ExportedCell, held: float) -> Written:
    values: dict[str, Any] = rules.write_names(neuron, rules.AEIF)
    if isinstance(neuron, AdLIF):
        values |= {"Delta_T": 0.0, **rules.write_names(neuron, rules.AEIF_SHARP)}
        values["V_peak"] = max(values["V_th"], MODELS["aeif_psc_exp"].defaults["V_peak"])  # not used without upstroke
        require_reset_below("NEST", values["V_th"], values["V_reset"])
        return values, ""
    require_steep(float(neuron.rise), "NEST", rules.STEEP)
    require_fine_step(cell.dt, "NEST", rules.FINE)
    values |= rules.write_names(neuron, rules.AEIF_UPSTROKE)
    require_reset_below("NEST", values["V_peak"], values["V_reset"])
    limit = f"the cell's rises at most at {rules.STEEP:g} mV/ms"
    return values, f"NEST's upstroke has no limit and ends within a step; {limit}"


def _list_numbers(values: Any) -> list[float]:
    return [float(v) for v in elements(values)]


def _pair(weights: Any, taus: Any) -> list[tuple[float, float]]:
    """Weights that are not 0, with their time constants."""
    return [(w, tau) for w, tau in zip(_list_numbers(weights), _list_numbers(taus), strict=True) if w != 0.0]


def _form(name: str, kinds: tuple[type[Neuron], ...], spiking: tuple[str, ...], write: _Writer) -> OwnForm:
    """A neuron of NEST: all its parameters are written, those that the cell does not have with NEST's own values."""

    def write_all(neuron: Any, cell: ExportedCell, held: float) -> Written:
        values, differs = write(neuron, cell, held)
        return {**_list_defaults(name), **values, "t_ref": held}, differs

    # the other aeif neurons differ in their synapses alone
    return OwnForm(kinds, spiking, write_all, tried=not name.startswith("aeif") or name == "aeif_psc_exp")


_Writer = Callable[[Any, ExportedCell, float], Written]
_WRITERS: Mapping[str, tuple[tuple[type[Neuron], ...], tuple[str, ...], _Writer]] = {
    "iaf_psc_exp": ((LIF,), ("threshold", "noisy"), _write_iaf),
    "glif_psc": ((GLIF5, LIFASC, LIF), ("threshold",), _write_glif),
    "gif_psc_exp": ((FreeGIF, LIFASC, LIF), ("noisy",), _write_gif),
    "mat2_psc_exp": ((MATV,), ("threshold",), _write_mat),
    **{name: ((AdEx, AdLIF), ("threshold",), _write_aeif) for name in MODELS if name.startswith("aeif")},
}  # fmt: skip
#: neurons of NEST that a cell may be
NEST_OWN = OwnForms(
    "NEST", MappingProxyType({name: _form(name, *how) for name, how in _WRITERS.items()}),
    "take --to nest without a form, which writes any neuron of one input",
)  # fmt: skip
