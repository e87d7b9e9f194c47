"""Warnings that belong to a fit, in sentences."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ephysfit.data.electrode import measure_bridge
from ephysfit.data.quality import list_findings
from ephysfit.data.trials import find_spike_steps
from ephysfit.fitting.drift_check import count_spikes_in_parts, warn_of_drift
from ephysfit.fitting.stage import MINIMUM_SPIKES, Estimate, Problem, Status
from ephysfit.fitting.stage_reports import LikelihoodReport
from ephysfit.fitting.voltage_likelihood import warn_of_unexplained_voltage as voltage_warning
from ephysfit.neuron.declare import Neuron, declared
from ephysfit.neuron.free_parameters import FreeParameters
from ephysfit.neuron.roles import Role


def list_warnings(problem: Problem, neuron: Neuron, history: Sequence[Estimate]) -> list[str]:
    """List the warnings that a user should read before trusting a fit."""
    out = warn_of_data(problem)
    for name, side in FreeParameters.of(type(neuron)).on_bound(neuron):
        p = declared(type(neuron))[name]
        limit = p.low if side == "low" else p.high
        out.append(
            f"{name} sits on its {side} bound ({limit:g} {p.unit}): the data do not determine it within its bounds"
        )
    if problem.n_spikes < MINIMUM_SPIKES:
        found = f"only {problem.n_spikes} spike{'s' * (problem.n_spikes != 1)}"
        out.append(f"{found} in the training data; nothing was fitted, the parameters are start values")
        return out
    out += filter(None, [warn_of_held_membrane(problem, neuron)])
    if problem.neuron.name_of(Role.POTENTIAL) is not None:
        out += [told for told in [measure_bridge(problem.recording).warning()] if told]
    tops = [top for e in history if (top := e.reports.of(LikelihoodReport)) is not None]
    out += [said for said in [voltage_warning(tops[-1].voltage if tops else None)] if said]
    modelled = any(top.drift for top in tops)
    # a hazard that is no guide to the fit predicts no number of spikes to compare with
    if not problem.neuron.searched:
        duration = problem.dt * float(sum(m.sum() for m in problem.counted))
        parts = count_spikes_in_parts(problem, neuron)
        out += filter(None, [warn_of_drift(parts, modelled, len(problem.counted), duration)])
    if problem.n_spikes < 100:
        out.append(f"only {problem.n_spikes} spikes in the training data; expect scores to vary between fits")
    out += [f"stage {e.stage}: {e.status.value}" for e in history if e.status in (Status.DIVERGED, Status.STEPS_USED)]
    return out


def warn_of_held_membrane(problem: Problem, neuron: Neuron) -> str:
    """A sentence where a held membrane drives other parameters to their bounds; else ""."""
    telling = {problem.neuron.free_name_of(role) for role in (Role.THRESHOLD, Role.SOFTNESS, Role.RESET)}
    at_bound = [name for name, _ in problem.free().on_bound(neuron) if name in telling]
    if not problem.held or not at_bound:
        return ""
    return (
        f"with the measured membrane {problem.neuron.__name__} fires as the cell only with {', '.join(at_bound)} on a "
        "bound: it lacks currents that this cell has between rest and threshold. A neuron whose threshold follows the "
        "potential may do better (`ephysfit models` names them); objective='prediction' (--objective prediction) fits "
        "the membrane to the spikes too"
    )


def warn_of_data(problem: Problem) -> list[str]:
    """What in the training data cannot be fitted as it stands: a constant current, spikes that share a step, units."""
    sweeps, out = problem.recording.sweeps, []
    if all(np.ptp(s.current) == 0 for s in sweeps) and len({float(s.current[0]) for s in sweeps}) == 1:
        out.append(
            f"the training current is constant ({float(sweeps[0].current[0]):g} pA): it does not show how the cell "
            "responds to a current that varies"
        )
    steps = [find_spike_steps(s.valid_spikes, problem.dt, s.dt) for s in sweeps]
    shared = sum(len(k) - len(np.unique(k)) for k in steps)
    if shared:
        out.append(
            f"{shared} of {sum(map(len, steps))} training spikes share a step of {problem.dt:g} ms with another "
            "and count as one with it: is a spike listed twice, or is a smaller dt needed?"
        )
    told = {f"sweep {s.name!r}: {f}": None for s in sweeps for f in list_findings(s) if f not in s.warnings}
    first = list(told)[:1]
    return out + [f + (f" (likewise {len(told) - 1} more sweeps)" if len(told) > 1 else "") for f in first]
