"""check_neuron(): the contract that every neuron keeps, for the catalogue and for neurons of users alike."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy
import torch
from torch import Tensor

from ephysfit.errors import NeuronError, NotAffineError, SimulationError, near
from ephysfit.html_tables import make_table
from ephysfit.neuron.bounds import impossible, outside
from ephysfit.neuron.declaration_errors import BREAKS, explain_error, refuse_undeclared
from ephysfit.neuron.declare import Neuron, flat_names, flatten, pack_state
from ephysfit.neuron.dimensions import check_units
from ephysfit.neuron.free_parameters import FreeParameters, as_floats
from ephysfit.neuron.roles import Role
from ephysfit.neuron.step_kinds import is_affine
from ephysfit.neuron.stepping import step
from ephysfit.neuron.symbols import equations
from ephysfit.simulation import adjoint
from ephysfit.simulation.engines import compiled
from ephysfit.simulation.engines.blocks import blocks
from ephysfit.simulation.engines.decoupled import decoupled
from ephysfit.simulation.engines.pmbc import pmbc
from ephysfit.simulation.engines.sequential import sequential
from ephysfit.simulation.engines.speculate import speculate
from ephysfit.simulation.reference import advance, compute_rest_state, compute_slopes, integrate
from ephysfit.simulation.surrogate import Surrogate

#: levels of input that are tried to make a neuron spike, pA
LEVELS = tuple(2.0**k for k in range(-5, 16))
DT = 0.1
#: a step at which states that grow by themselves have time to, ms
COARSE = 1.0
#: spikes in one run that make a test of engines worth something
ENOUGH = 3
#: how near to the threshold (mV) engines may differ by rounding
TIE = 1e-9


@dataclass(frozen=True)
class Finding:
    """The outcome of one part of the contract; `passed` is None where the part does not apply."""

    name: str
    passed: bool | None
    detail: str


@dataclass(frozen=True)
class Report:
    """What `check_neuron` found; print it."""

    neuron: str
    findings: tuple[Finding, ...]

    @property
    def passed(self) -> bool:
        """Whether no part of the contract failed."""
        return not self.failures

    @property
    def failures(self) -> tuple[Finding, ...]:
        """The findings that failed; parts that do not apply are not among them."""
        return tuple(f for f in self.findings if f.passed is False)

    def _repr_html_(self) -> str:
        """One row a part, for notebooks."""
        words = {True: "ok", False: "FAILED", None: "does not apply"}
        title = f"{self.neuron} {'keeps' if self.passed else 'breaks'} the contract of neurons"
        return make_table(title, ["part", "", ""], [[f.name, words[f.passed], f.detail] for f in self.findings])

    def __str__(self) -> str:
        words = {True: "ok", False: "FAILED", None: "-"}
        width = max(len(f.name) for f in self.findings)
        lines = [f"  {words[f.passed]:<6} {f.name:<{width}}  {f.detail}" for f in self.findings]
        return "\n".join([f"{self.neuron} {'keeps' if self.passed else 'breaks'} the contract of neurons", *lines])


class _DoesNotApplyError(Exception):
    """A part of the contract that does not apply to this neuron."""


def check_neuron(neuron: type[Neuron] | Neuron, *, raises: bool = True, only: Collection[str] = ()) -> Report:
    """Check a neuron class against the contract of all neurons, and one cell's values against their declared bounds.

    Parameters
    ----------
    neuron : type[Neuron] or Neuron
        A class; or an instance, whose class is checked and whose values must lie within their bounds.
    raises : bool
        Raise when a part fails (with all failures listed), or return the report either way.
    only : collection of str
        Parts to check, of "units", "states", "symbols", "parameters", "rest", "copies", "free vector", "hazard",
        "step", "engines" and "adjoint"; all unless given.

    Returns
    -------
    Report
        Its text has one line per part.

    Raises
    ------
    NeuronError
        If any part fails.

    Examples
    --------
    >>> from ephysfit.models.lif import LIF
    >>> print(check_neuron(LIF, only=["units", "rest"]))
    LIF keeps the contract of neurons
      ok     units  flow, margin, jump and hazard agree in unit
      ok     rest   a fixed point without input
    """
    if isinstance(neuron, Neuron):
        return _add_finding_on_values(neuron, check_neuron(type(neuron), raises=raises, only=only), raises)
    if not (isinstance(neuron, type) and issubclass(neuron, Neuron) and neuron.states):
        raise NeuronError(f"check_neuron takes a class derived from Neuron that declares states, not {neuron!r}")
    for name in only:
        if name not in {**_STATIC_PARTS, **_RUN_PARTS}:
            raise NeuronError(f"the contract has no part {name!r}; {near(name, {**_STATIC_PARTS, **_RUN_PARTS})}")
    findings = [
        _check_part(neuron, name, part) for name, part in _STATIC_PARTS.items() if name in (only or _STATIC_PARTS)
    ]
    readable = all(f.passed is not False for f in findings)
    for name, part in _RUN_PARTS.items():
        if name not in (only or _RUN_PARTS):
            continue
        findings.append(
            _check_part(neuron, name, part) if readable else Finding(name, None, "not tried: fix the above first")
        )
    report = Report(neuron.__name__, tuple(findings))
    if raises and not report.passed:
        raise NeuronError(str(report))
    return report


def _add_finding_on_values(cell: Neuron, report: Report, raises: bool) -> Report:
    """The report on a class with the finding on one cell's values before it."""
    wrong = dict.fromkeys((*impossible(cell), *outside(cell)))
    finding = Finding("values", not wrong, "; ".join(wrong) or "within their declared bounds")
    whole = Report(report.neuron, (finding, *report.findings))
    if raises and not whole.passed:
        raise NeuronError(str(whole))
    return whole


def _check_part(neuron: type[Neuron], name: str, part: Callable[[type[Neuron]], str]) -> Finding:
    try:
        return Finding(name, True, part(neuron))
    except _DoesNotApplyError as reason:
        return Finding(name, None, str(reason))
    except BREAKS as error:
        return Finding(name, False, explain_error(error))


def _check_units(neuron: type[Neuron]) -> str:
    check_units(neuron)
    return "flow, margin, jump and hazard agree in unit"


def _check_states(neuron: type[Neuron]) -> str:
    cell = as_floats(neuron.start())
    x = pack_state(neuron, compute_rest_state(cell))
    for equation, given in (("flow", cell.flow(x, *_zero_input(neuron))), ("jump", cell.jump(x))):
        refuse_undeclared(neuron, equation, given)
        flatten({k: neuron.states[k] for k in given}, given)
    return f"flow and jump return only {', '.join(neuron.states)}"


def _check_symbols(neuron: type[Neuron]) -> str:
    eq = equations(neuron)
    step(neuron)
    known = {*eq.states, *eq.inputs, *eq.parameters, "u_margin"}
    for name, e in [("margin", eq.margin), *eq.flow.items(), *eq.jump.items()]:
        strange = {str(s) for s in e.free_symbols} - known
        if strange:
            raise NeuronError(f"the equation of {name} holds {', '.join(sorted(strange))}, which is not declared")
    return f"{'affine' if is_affine(neuron) else 'not affine'}, live states {', '.join(eq.states)}"


def _check_parameters(neuron: type[Neuron]) -> str:
    """Every parameter acts: otherwise a refractory period under a letter of its own, say, would be silently ignored."""
    eq = equations(neuron)
    terms = [*eq.flow.values(), eq.margin, *eq.jump.values(), *eq.rest.values(), eq.hazard or 0]
    read = {s.name for term in terms for s in sympy.sympify(term).free_symbols}
    period = neuron.free_name_of(Role.REFRACTORY)
    idle = [name for name, p in neuron.parameters.items() if name != period and not {*flat_names({name: p})} & read]
    if not idle:
        return "each is read by an equation or is the refractory period"
    what = f"{', '.join(idle)}: read by no equation, so that the value changes nothing"
    if neuron.base is not None:  # what a pin switches off is no mistake of a declaration
        return f"{what}; pin it, too"
    raise NeuronError(
        f"{what}; if it is the absolute refractory period (ms), declare it so: Parameter(..., role=Role.REFRACTORY), "
        "from ephysfit.neuron.roles; otherwise use it or leave it out"
    )


def _check_rest(neuron: type[Neuron]) -> str:
    cell = as_floats(neuron.start())
    x = compute_rest_state(cell)
    margin = float(cell.margin(pack_state(neuron, x)))
    if margin >= 0:
        raise NeuronError(
            f"at rest the margin is {margin:g} mV; it must be below 0, or the neuron spikes without input"
        )
    rates = compute_slopes(cell, x, _zero_input(neuron))
    moves = max((abs(v) / max(abs(x[n]), 1.0) for n, v in rates.items()), default=0.0)
    if moves < 1e-9:
        return "a fixed point without input"
    if neuron.drifts:
        return f"moves without input: {neuron.drifts}"
    later = advance(cell, x, _zero_input(neuron), 500.0, 10_000, set())
    after = float(cell.margin(pack_state(neuron, later)))
    if not abs(after - margin) < 0.05 * abs(margin):
        raise NeuronError(
            f"rest is not a fixed point: without input the margin goes from {margin:.4g} to {after:.4g} mV in 500 ms; "
            f"declare the rest of each state where its flow is 0, or say why not in drifts = '...'"
        )
    return f"nearly a fixed point: the margin moves by {abs(after - margin):.2g} mV without input"


def _check_copies(neuron: type[Neuron]) -> str:
    cell = neuron.start()
    if neuron(**cell.values()).values() != cell.values() or cell.replace().values() != cell.values():
        raise NeuronError("an instance made of its own values() differs from it")
    name = next(iter(neuron.parameters), None)
    if name is None:
        raise _DoesNotApplyError("no free parameter to pin")
    value = cell.values()[name]
    pinned = neuron.pin(f"{neuron.__name__}Pinned", **{name: value})
    tied = neuron.pin(f"{neuron.__name__}Tied", **{name: lambda _: value})  # type: ignore[arg-type]
    for nested in (pinned, tied):
        if name in nested.parameters or set(nested.parameters) != set(neuron.parameters) - {name}:
            raise NeuronError(f"pinning {name} leaves parameters {', '.join(nested.parameters)}")
    current = _draw_noise(neuron, 40.0, 1, 60)
    runs = [sequential(c, current, DT)[2] for c in (cell, pinned.start(), tied.start())]
    if not all(torch.allclose(runs[0], r, rtol=1e-9, atol=1e-9) for r in runs[1:]):
        raise NeuronError(f"with {name} pinned to its start the neuron runs differently from one with that value")
    return f"values, replace and pin give back the neuron (tried with {name})"


def _check_free_vector(neuron: type[Neuron]) -> str:
    free, cell = FreeParameters.of(neuron), neuron.start()
    if not free.names:
        raise _DoesNotApplyError("no free parameter")
    again = free.to_neuron(free.to_vector(cell), cell)
    one, two = (flatten(neuron.parameters, c.values()) for c in (cell, again))
    by_name = dict(zip(free.names, free.parameters, strict=True))
    for name, p in by_name.items():
        apart = abs(float(two[name]) - float(one[name]))
        if not apart <= 1e-9 + 2e-3 * (p.high - p.low):
            raise NeuronError(f"{name} = {float(one[name]):g} comes back from the free vector as {float(two[name]):g}")
        if not p.low <= float(two[name]) <= p.high:
            raise NeuronError(
                f"{name} leaves its bounds [{p.low}, {p.high}] through the free vector: {float(two[name]):g}"
            )
    return f"{len(free.names)} coordinates survive the round trip"


def _check_hazard(neuron: type[Neuron]) -> str:
    if not neuron.stochastic():
        raise _DoesNotApplyError("declares no hazard: no likelihood fits, no noisy runs")
    cell = as_floats(neuron.start())
    rates = [float(cell.hazard(u)) for u in np.linspace(-20.0, 5.0, 26)]
    if not (np.isfinite(rates).all() and min(rates) >= 0 and (np.diff(rates) >= 0).all()):
        raise NeuronError("the hazard must be finite, not negative, and rise with the margin between -20 and 5 mV")
    return f"rises with the margin, {float(cell.hazard(0.0)):.3g} per ms at threshold"


def _check_step(neuron: type[Neuron]) -> str:
    cell = as_floats(neuron.start())
    if (period := neuron.free_name_of(Role.REFRACTORY)) is not None:
        bounds = neuron.parameters[period]
        cell = cell.replace(**{period: min(max(5 * DT, bounds.low), bounds.high)})
    current, forced = _draw_noise(neuron, 0.5 * _find_subthreshold_level(neuron), 1, 120), (20, 21, 47, 90)
    fine = integrate(cell, current[0, 0].numpy(), DT, forced=forced)
    scale = {n: max(np.ptp(fine.states[n]), 1e-3) for n in equations(neuron).states}
    coarse, finer = (_largest_distance(cell, current, forced, fine.states, scale, cut) for cut in (1, 4))
    if is_affine(neuron):
        if not coarse < 1e-6:
            raise NeuronError(
                f"the exact step is {coarse:.1e} of a state's range away from integrating the flow finely"
            )
        return f"equals the flow integrated finely, to {coarse:.0e} of a state's range"
    if not (finer < 0.5 * coarse and coarse < 0.2) and not coarse < 1e-6:
        raise NeuronError(
            f"the step is {coarse:.1e} of a state's range away from integrating the flow finely at {DT} ms and "
            f"{finer:.1e} at {DT / 4} ms; the difference must be small and vanish with the step"
        )
    return f"approaches the flow integrated finely: {coarse:.0e} of a state's range at {DT} ms, {finer:.0e} at {DT / 4}"


def _largest_distance(
    cell: Neuron,
    current: Tensor,
    forced: tuple[int, ...],
    fine: dict[str, np.ndarray],
    scale: dict[str, float],
    cut: int,
) -> float:
    """Largest distance, in units of `scale`, of the discrete run with steps of DT / cut from the fine one."""
    parts = current.repeat_interleave(cut, 2)
    spikes = torch.zeros(parts.shape[:3], dtype=torch.bool)
    spikes[0, 0, [cut * n + cut - 1 for n in forced]] = True
    states = sequential(cell, parts, DT / cut, forced=spikes)[1][0, 0, cut - 1 :: cut].numpy()
    return max(float(np.abs(states[:, i] - fine[n]).max()) / scale[n] for i, n in enumerate(scale))


def _check_engines(neuron: type[Neuron]) -> str:
    if not (_count_spikes_by_level(neuron) >= ENOUGH).any() and neuron.stochastic():
        return _check_engines_with_noise(neuron)
    cell, current = neuron.start(), _draw_noise(neuron, _find_spiking_level(neuron), 3, 700, seed=1)
    agreed, spikes = _compare_engines(cell, current, DT)
    if is_affine(neuron):
        _compare_engines(cell, current, COARSE)
    return f"{', '.join(agreed)}: the {spikes} spikes of sequential"


def _compare_engines(cell: Neuron, current: Tensor, dt: float) -> tuple[list[str], int]:
    """Names of the engines that run this cell, each with the spikes of the definition, and how many those are."""
    want, _, margins = sequential(cell, current, dt)
    agreed = []
    for name, engine in _list_engines():
        try:
            got = engine(cell, current, dt)
        except (SimulationError, NotAffineError):
            continue
        where = torch.nonzero(got != want)
        if len(where) and float(margins[tuple(where[0])].abs()) > TIE:
            cell_, trial, at = where[0].tolist()
            raise NeuronError(
                f"engine {name!r} differs from 'sequential' at dt = {dt:g} ms first in trial {trial}, step {at} "
                f"(margin {float(margins[cell_, trial, at]):.3g} mV), {len(where)} of {want.numel()} steps in all"
            )
        agreed.append(name)
    return agreed, int(want.sum())


def _check_engines_with_noise(neuron: type[Neuron]) -> str:
    """For a neuron that only its hazard makes spike: the same drawn thresholds must give the same spikes."""
    current = _draw_noise(neuron, 100.0, 3, 700, seed=1)
    drawn = torch.from_numpy(np.random.default_rng(0).exponential(size=(1, 3, 400)))
    want = sequential(neuron.start(), current, DT, thresholds=drawn)[0]
    got = torch.from_numpy(compiled.run(neuron.start(), current, DT, thresholds=drawn).raster())
    if not torch.equal(got.to(want.dtype), want):
        raise NeuronError(f"engine 'compiled' differs from 'sequential' with escape noise ({int(want.sum())} spikes)")
    return f"compiled: the {int(want.sum())} spikes of sequential with escape noise (none without it)"


def _list_engines() -> Iterator[tuple[str, Callable[[Neuron, Tensor, float], Tensor]]]:
    for name, engine in {"blocks": blocks, "speculate": speculate, "pmbc": pmbc, "decoupled": decoupled}.items():
        yield name, lambda cell, current, dt, engine=engine: engine(cell, current, dt)[0]  # type: ignore[misc]
    yield (
        "compiled",
        lambda cell, current, dt: torch.from_numpy(compiled.run(cell, current, dt).raster()).to(current.dtype),
    )


def _check_adjoint(neuron: type[Neuron]) -> str:
    spikes = bool((_count_spikes_by_level(neuron) >= ENOUGH).any())
    current = _draw_noise(
        neuron, _find_spiking_level(neuron) if spikes or not neuron.stochastic() else 100.0, 2, 250, seed=2
    )
    ramp = torch.linspace(0.2, 1.0, 250, dtype=torch.float64)
    worst, surrogate = 0.0, Surrogate(10.0)
    for detach in (False, True):
        runs: tuple[Callable[..., Any], ...] = (
            lambda c, d=detach: sequential(c, current, DT, surrogate=surrogate, detach=d)[0],
            lambda c, d=detach: adjoint.run(c, current, DT, surrogate=surrogate, detach=d),
        )
        want, got = (_compute_gradient(neuron, run, ramp) for run in runs)
        size = max(float(want.abs().max()), 1e-300)
        worst = max(worst, float((got - want).abs().max()) / size)
    if not worst < 1e-8:
        raise NeuronError(f"the adjoint differs from autograd through the definition by {worst:.1e} of the gradient")
    return f"equal to autograd through the definition, to {worst:.0e} of the gradient"


def _compute_gradient(neuron: type[Neuron], run: Callable[..., Any], weights: Tensor) -> Tensor:
    free = FreeParameters.of(neuron, smooth_only=True)
    z = torch.from_numpy(free.to_vector(neuron.start())).requires_grad_()
    return torch.autograd.grad((run(free.to_neuron(z, neuron.start())) * weights).sum(), z)[0]


def _zero_input(neuron: type[Neuron]) -> list[float]:
    return [0.0] * len(neuron.inputs)


def _draw_noise(neuron: type[Neuron], level: float, trials: int, steps: int, seed: int = 0) -> Tensor:
    """Noise of this mean and standard deviation (pA) in every input, (1, trial, time, input), constant over 1 ms."""
    generator = torch.Generator().manual_seed(seed)
    raw = torch.randn(1, trials, steps // 10 + 1, len(neuron.inputs), generator=generator, dtype=torch.float64)
    return level * (1 + raw.repeat_interleave(10, 2)[:, :, :steps])


def _count_spikes_by_level(neuron: type[Neuron], steps: int = 700) -> Tensor:
    """Spikes at every level."""
    unit = _draw_noise(neuron, 1.0, 1, steps, seed=1)
    current = unit * torch.tensor(LEVELS, dtype=torch.float64)[None, :, None, None]
    with torch.no_grad():
        return sequential(neuron.start(), current, DT)[0].sum(-1)[0]


def _find_spiking_level(neuron: type[Neuron]) -> float:
    """The lowest level of noise that gives a handful of spikes."""
    enough = torch.nonzero(_count_spikes_by_level(neuron) >= ENOUGH)
    if not len(enough):
        raise NeuronError(
            f"with its starts the neuron does not spike at any level of noise from {LEVELS[0]:g} to {LEVELS[-1]:g} pA; "
            f"give it starts in the range of real cells, or a margin that its input can reach"
        )
    return LEVELS[int(enough[0])]


def _find_subthreshold_level(neuron: type[Neuron]) -> float:
    """The highest level below all that give a spike."""
    some = torch.nonzero(_count_spikes_by_level(neuron) > 0)
    return LEVELS[max(int(some[0]) - 1, 0)] if len(some) else LEVELS[len(LEVELS) // 2]


_STATIC_PARTS: dict[str, Callable[[type[Neuron]], str]] = {
    "units": _check_units,
    "states": _check_states,
    "symbols": _check_symbols,
    "parameters": _check_parameters,
}
_RUN_PARTS: dict[str, Callable[[type[Neuron]], str]] = {
    "rest": _check_rest,
    "copies": _check_copies,
    "free vector": _check_free_vector,
    "hazard": _check_hazard,
    "step": _check_step,
    "engines": _check_engines,
    "adjoint": _check_adjoint,
}
