"""fit(): the list of stages, run; and Fit, what comes out and can be saved."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, is_dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ephysfit.data import drive
from ephysfit.data.electrode import bridge
from ephysfit.data.hdf5 import is_hdf5
from ephysfit.data.holding_current import LEAD
from ephysfit.data.quality import findings
from ephysfit.data.recording import Recording
from ephysfit.data.resampling import common_step, divides
from ephysfit.errors import FitError
from ephysfit.files import write_text
from ephysfit.fitting import saved_fit
from ephysfit.fitting.drift_check import drift_warning, parts
from ephysfit.fitting.model_selection import choose, named
from ephysfit.fitting.predictive_check import count_spikes
from ephysfit.fitting.prior import Prior, admit_priors
from ephysfit.fitting.recording_identity import fingerprint, known_as
from ephysfit.fitting.stage import MINIMUM_SPIKES, Estimate, Problem, Progress, Stage, Status, silent, title
from ephysfit.fitting.stages.causal_readout import CausalReadout
from ephysfit.fitting.stages.likelihood import Likelihood
from ephysfit.fitting.stages.passive import Passive
from ephysfit.fitting.stages.refractory_period import LengthenRefractory, Refractory
from ephysfit.fitting.stages.search import Search
from ephysfit.fitting.stages.softness import Softness
from ephysfit.fitting.voltage_likelihood import admit_voltage
from ephysfit.fitting.voltage_likelihood import warning as voltage_warning
from ephysfit.fitting.warm_starts import with_starts_from_below
from ephysfit.metrics.consensus import consensus
from ephysfit.neuron.bounds import admit_start
from ephysfit.neuron.declare import Neuron, scalar_values, unflatten
from ephysfit.neuron.free_parameters import Free, as_floats, declared
from ephysfit.simulation.simulate import Simulation, simulate
from ephysfit.simulation.warm_up import start as compile_ahead

#: a neuron with no more free parameters than this is also searched in free run
FEW = 14

#: coarsest step a fit chooses by itself, ms
COARSEST = 0.5


@dataclass(frozen=True, eq=False)
class Fit:
    """A fitted cell: the neuron, how it was found, what to be careful about.

    Attributes
    ----------
    neuron : Neuron
        The fitted parameters, in ms, mV, pA, pF, nS.
    cell : str
    dt : float
        Step of the fit, ms; runs of the fit use it unless told otherwise.
    history : tuple of Estimate
        One entry a stage.
    warnings : tuple of str
        Sentences: parameters on a bound, too few spikes, and their like.
    provenance : mapping
        Version, seed, stages with their settings, data hash, date.
    details : mapping
        What stages reported and later steps need (``sharpen`` of the causal run, say).
    """

    neuron: Neuron
    cell: str
    dt: float
    history: tuple[Estimate, ...] = ()
    warnings: tuple[str, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def model(self) -> str:
        return type(self.neuron).__name__

    @property
    def status(self) -> Status:
        """Of the last stage that had work to do."""
        worked = [e.status for e in self.history if e.status is not Status.NOT_NEEDED]
        return worked[-1] if worked else Status.NOT_NEEDED

    @property
    def seconds(self) -> float:
        return float(sum(e.seconds for e in self.history))

    @property
    def loss(self) -> float:
        """Negative log-likelihood per training spike (nats) where the neuron has one."""
        known = [e.train for e in self.history if np.isfinite(e.train)]
        return known[-1] if known else float("nan")

    def __repr__(self) -> str:
        return (
            f"Fit({self.model} of {self.cell}, {self.seconds:.1f} s, {len(self.warnings)} warnings)\n  {self.neuron!r}"
        )

    def simulate(
        self, stimulus: Any, *, runs: int = 200, dt: float | None = None, seed: int = 1, save: Sequence[str] = ()
    ) -> Simulation:
        """Run the fitted cell.

        A stochastic neuron gives `runs` noisy runs, with two noise-free readouts as `companions`: "causal" (the
        sharpened hazard integrated to 1; a simulation) and "consensus" (the single train with the highest expected
        coincidence with the noisy runs; it looks ahead, so it predicts but does not simulate). Any other neuron
        gives its threshold run.

        Parameters
        ----------
        stimulus : Recording or array, pA
        runs : int
        dt : float, optional
            Step in ms; that of the fit unless given.
        """
        step, names = dt or self.dt, known_as(self.cell, self.provenance)
        if not type(self.neuron).stochastic():
            return replace(simulate(self.neuron, stimulus, dt=step, save=save, settle=LEAD), cells=names)
        noisy = simulate(self.neuron, stimulus, dt=step, runs=runs, noise="escape", seed=seed, settle=LEAD)
        noisy = replace(noisy, cells=names)
        causal = replace(self._causal(stimulus, step, save), cells=names)
        return replace(noisy, companions={"causal": causal, "consensus": _consensus(noisy)})

    def _causal(self, stimulus: Any, dt: float, save: Sequence[str]) -> Simulation:
        return simulate(self.neuron, stimulus, dt=dt, save=save, settle=LEAD, **self.noise_free)

    @property
    def noise_free(self) -> dict[str, Any]:
        """What `simulate` takes for the noise-free run: the sharpened hazard integrated to 1, or nothing where the fit
        found the threshold run the better one or the neuron has no hazard."""
        sharpen = self.details.get("sharpen", (1.0, 0.0))
        if sharpen is None or not type(self.neuron).stochastic():
            return {}
        return {"noise": "integrated", "sharpen": tuple(sharpen)}

    def parameters(self) -> list[dict[str, Any]]:
        """One row a scalar parameter: name, value, unit, bounds, meaning, and whether it sits on a bound."""
        cls = type(self.neuron)
        on = dict(Free.of(cls).on_bound(self.neuron))
        values = scalar_values(self.neuron)
        errors = self.details.get("standard_errors", {})
        ends = self.details.get("intervals", {}).get("parameters", {})
        return [
            {"name": n, "value": values[n], "unit": p.unit, "low": p.low, "high": p.high, "meaning": p.doc,
             "at_bound": on.get(n, ""), "standard_error": errors.get(n), "interval": ends.get(n),
             "fitted": not p.measured}
            for n, p in declared(cls).items()
        ]  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "format": saved_fit.FORMAT,
            "model": self.model,
            "cell": self.cell,
            "dt_ms": self.dt,
            "parameters": scalar_values(self.neuron),
            "units": {n: p.unit for n, p in declared(type(self.neuron)).items()},
            "status": self.status.name,
            "loss": _plain(self.loss),
            "seconds": self.seconds,
            "warnings": list(self.warnings),
            "details": _plain(self.details),
            "history": [
                {"stage": e.stage, "status": e.status.name, "train": _plain(e.train),
                 "validation": _plain(e.validation), "seconds": e.seconds, "details": _plain(e.details)}
                for e in self.history
            ],
            "provenance": _plain(self.provenance),
        }  # fmt: skip

    def save(self, path: str | Path) -> Path:
        """Write one readable JSON file, whole or not at all.

        Raises
        ------
        OutputError
            If it cannot be written; a file that was there stays as it was.
        """
        return write_text(path, json.dumps(self.to_dict(), indent=1, allow_nan=False) + "\n")

    def write_nwb(self, path: str | Path, test: Recording | None = None, **options: Any) -> Path:
        """Append the fit, its predicted spikes and its scores to an NWB 2 file; see `ephysfit.write_nwb`."""
        from ephysfit.fitting.nwb_cell import write_nwb

        return write_nwb(self, path, test, **options)

    def export(self, to: str, path: str | Path | None = None, **options: Any) -> tuple[Path, ...]:
        """Write the cell for another simulator: `ephysfit.export` (nest, brian2, neuroml, nir, python, json)."""
        import ephysfit

        return ephysfit.export(self, to, path, **options)

    @classmethod
    def load(
        cls, path: str | Path, neuron: type[Neuron] | None = None, *, label: str | None = None, trust: bool = False
    ) -> Fit:
        """Read a saved fit. Nothing that the file names is run, unless you say so.

        Parameters
        ----------
        path : path
            Of the JSON file, or of the NWB file it was written into.
        neuron : type[Neuron], optional
            The class of a neuron that is not in the catalogue.
        label : str, optional
            Which fit of an NWB file; the last one unless given.
        trust : bool
            Run the file in which the fit says its neuron is declared, if its content is the very one of the fit.

        Raises
        ------
        FitError
            If there is no such file, it is no saved fit, or its neuron is a user's own and neither given nor trusted.
        """
        path = Path(path)
        try:
            text = _text(path, label)
        except OSError as e:
            raise FitError(f"{path}: {e.strerror or e}; give the path of a fit saved by ephysfit (a .json file)") from e
        except UnicodeDecodeError as e:
            raise FitError(f"{path} is not a fit saved by ephysfit (no UTF-8: {e.reason} at byte {e.start})") from None
        checked, found = saved_fit.parse(text, path)
        kind = neuron or saved_fit.neuron_of(checked, path, trust)
        missing = set(declared(kind)) ^ set(checked.parameters)
        if missing:
            raise FitError(
                f"{path}: {checked.model} of this version differs in {', '.join(sorted(missing))[:200]}; "
                f"refit, or load it with the version {checked.provenance.version or 'that wrote it'}"
            )
        unknown = next((h.status for h in checked.history if h.status not in Status.__members__), None)
        if unknown is not None:
            raise FitError(f"{path} is not a fit saved by ephysfit: no stage ends as {unknown[:40]!r}")
        cell, dt, warnings, made, details = saved_fit.plain(found)
        fitted = kind(**unflatten(kind.parameters, {n: float(v) for n, v in checked.parameters.items()}))
        past = tuple(
            Estimate(fitted, h.stage, Status[h.status], _number(h.train), _number(h.validation), h.seconds, h.details)
            for h in checked.history
        )
        return cls(fitted, cell, dt, past, warnings, made, details)


def fit(
    recording: Recording,
    model: str | type[Neuron] = "auto",
    stages: Sequence[Stage] | None = None,
    *,
    likelihood: Likelihood | None = None,
    prior: Prior | Sequence[Prior] = (),
    dt: float | None = None,
    seed: int = 0,
    undriven: bool = False,
    progress: Progress = silent,
) -> Fit:
    """Fit a neuron to the training recording of one cell.

    Parameters
    ----------
    recording : Recording
        Training data only; keep the test data out (``train, test = recording.split()``).
    model : str or type[Neuron]
        "auto", a name of the catalogue, ``"file.py:Name"``, or a neuron class.
    stages : sequence of Stage, optional
        What to run, in order; by default what is read off the recording, maximum likelihood, and the causal readout.
    likelihood : Likelihood, optional
        The likelihood stage of the default chain, where its settings are not the default ones: a drift, the recorded
        voltage (``Likelihood(voltage=Voltage())``).
    prior : Prior or sequence of Prior, optional
        Of the population the cell comes from (`ephysfit.population_prior`): where the fit also begins, and what it is
        drawn to, for as much as the cell's own data leave open. Of several that of the neuron is taken.
    dt : float, optional
        Step in ms; by default the largest multiple of the recorded step up to 0.5 ms (`default_step`). Recordings of
        other steps can be simulated and scored: their currents are averaged over the steps of the fit.
    seed : int
        Of everything random.
    undriven : bool
        Fit also where the current cannot explain the spikes: it never changes, or the voltage does not follow it.
    progress : callable
        Told (stage name, fraction done).

    Returns
    -------
    Fit

    Raises
    ------
    FitError
        If the recording holds nothing to fit, or its current did not drive the cell. A fit that ends badly is a value:
        see `Fit.status`, `Fit.warnings`.
    """
    if recording.planned:
        raise FitError(
            f"{recording.cell}: sweep {recording.planned[0]!r} is a planned current that nobody has recorded yet: "
            "there are no spikes to fit; fit.simulate() runs a fitted cell on it"
        )
    if not undriven and (why := drive.undriven(recording)):
        raise FitError(f"{recording.cell}: {why}; undriven=True (--undriven on the shell) fits it all the same")
    priors = (prior,) if isinstance(prior, Prior) else tuple(prior)
    if isinstance(model, str) and model == "auto":
        return select(recording, stages=stages, likelihood=likelihood, priors=priors, dt=dt, seed=seed,
                      progress=progress)  # fmt: skip
    kind = _find(model) if isinstance(model, str) else model
    if len(kind.inputs) > 1:
        raise FitError(
            f"{kind.__name__} has {len(kind.inputs)} inputs ({', '.join(kind.inputs)}) and a recording holds one, the "
            "injected current; fit a neuron of one input"
        )
    chain = default_stages(kind, likelihood) if stages is None else tuple(stages)
    admit_priors(priors, kind)
    problem = Problem(recording, kind, dt or default_step(recording), seed=seed, progress=progress, priors=priors)
    if stages is None:
        with one_thread():
            problem = with_starts_from_below(problem)
    return run(problem, chain, source=model if isinstance(model, str) and ":" in model else "")


def select(
    recording: Recording,
    stages: Sequence[Stage] | None = None,
    *,
    among: Sequence[type[Neuron]] = (),
    likelihood: Likelihood | None = None,
    priors: Sequence[Prior] = (),
    dt: float | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> Fit:
    """Fit the neuron that predicts held-out blocks of the training data best (`selection.choose`), on all of them.

    Parameters
    ----------
    among : sequence of type[Neuron]
        Candidates from simple to rich; those of `ephysfit.models.candidates` unless given.
    likelihood : Likelihood, optional
        Settings of the winner's likelihood stage, as in `fit`; candidates are compared without them.
    priors : sequence of Prior
        Of populations; each candidate takes its own.

    Returns
    -------
    Fit
        Of the winner; ``details["selection"]`` holds the table, ``details["selection_seconds"]`` what it took (not in
        `Fit.seconds`) and ``details["why"]`` the reason in a sentence.
    """
    from ephysfit.models import candidates

    kinds = tuple(among) or candidates()
    for kind in kinds if likelihood is not None else ():
        default_stages(kind, likelihood)  # refuses what it could not keep to
    step = dt or default_step(recording)
    admit_priors(priors, *kinds)
    problems = [Problem(recording, k, step, seed=seed, progress=progress, priors=tuple(priors)) for k in kinds]
    if problems[0].n_spikes < MINIMUM_SPIKES:
        return run(problems[0], stages or default_stages(kinds[0]))
    compile_ahead(*kinds)
    with one_thread():
        choice = choose(problems)
    fitted = _refit(named(problems[choice.which], " (kept)"), choice.estimate, stages, likelihood)
    return replace(fitted, details={**fitted.details, **choice.details})


def _refit(problem: Problem, kept: Estimate, stages: Sequence[Stage] | None, likelihood: Likelihood | None) -> Fit:
    """The winner on all training data, from where the held-out fit ended."""
    chain = tuple(stages or default_stages(problem.neuron, likelihood))
    chain = tuple(replace(s, starts=1, first=0) if isinstance(s, Likelihood) and stages is None else s for s in chain)
    return run(problem, chain, start=kept.neuron)


def default_stages(neuron: type[Neuron], likelihood: Likelihood | None = None) -> tuple[Stage, ...]:
    """What a fit runs unless told otherwise.

    A neuron without a hazard has no likelihood and is searched. One of few parameters cannot follow the cell closely,
    so that the most likely parameters are not the ones that spike best on their own: its free runs are searched too.
    The refractory period is tried a step longer and, where a state is held meanwhile, shorter, and on while that gains.
    One that declares its likelihood no guide (`Neuron.searched`) is searched in noise-free runs.

    Where the recorded voltage is fitted too, parameters are to mean what they say: nothing is searched after it, and
    the refractory period is the most likely one.

    Parameters
    ----------
    likelihood : Likelihood, optional
        Settings of the likelihood stage.

    Raises
    ------
    FitError
        If settings are given for a neuron that is not fitted by its likelihood, or a voltage for one without potential.
    """
    stage = likelihood or Likelihood()
    if neuron.searched or not neuron.stochastic():
        if likelihood is not None:
            why = neuron.searched or "it declares no hazard"
            out = "leave the likelihood's settings (voltage, drift, recent) out"
            raise FitError(f"{neuron.__name__} is not fitted by its likelihood ({why}); {out}")
        return (Passive(), Search(evaluations=4800, population=16, noisy=False), *([Softness()] * neuron.stochastic()))
    if stage.voltage is not None:
        admit_voltage(neuron)
        return (Passive(), stage, Refractory(replace(stage, starts=1, steps=30)), CausalReadout())
    few = len(Free.of(neuron).names) <= FEW
    period = [nearby(neuron, stage)] if "t_ref" in neuron.parameters else []
    return (Passive(), stage, *period, *([Search()] if few else []), CausalReadout())


def nearby(neuron: type[Neuron], stage: Likelihood) -> Refractory | LengthenRefractory:
    """The search for a better refractory period nearby.

    What intervals tell is too long where a spike holds the membrane low, and may be too short where a neuron is only
    barred from spiking.
    """
    again = replace(stage, starts=1, first=0, steps=12)
    if any(name in neuron.states for name in neuron.hold):
        return Refractory(likelihood=again, fall=-1.0)
    return LengthenRefractory(likelihood=again)


def default_step(recording: Recording, *others: Recording) -> float:
    """The largest step, ms, up to 0.5 ms that all recorded steps of the training data divide, and of the others too.

    Where there is none that serves the others, the training data decide: currents of a simulation are averaged over
    whatever steps they are given.

    Raises
    ------
    FitError
        If the sweeps of the training data are sampled at steps without a common multiple of up to 1 ms.

    Examples
    --------
    >>> def silent(dt): return Recording.of(np.zeros(100), dt, spike_times=[])
    >>> default_step(silent(0.1)), default_step(silent(0.1), silent(0.2)), default_step(silent(0.1), silent(0.07))
    (0.5, 0.4, 0.5)
    """
    own = [s.dt for s in recording.sweeps]
    have = common_step(own)
    if have > max(2 * COARSEST, *own):
        steps = ", ".join(f"{dt:g}" for dt in sorted(set(own)))
        raise FitError(
            f"{recording.cell}: sweeps are sampled at {steps} ms, steps without a common multiple of up to "
            f"{2 * COARSEST:g} ms; fit sweeps of one step"
        )
    shared = common_step([have, *(s.dt for r in others for s in r.sweeps)])
    step = shared if shared <= max(COARSEST, have) else have
    return max(int(COARSEST / step + 1e-9), 1) * step


def step_for(train: Recording, test: Recording) -> tuple[float, str]:
    """`default_step` for data to fit and data to score, ms, and a sentence where their sampling steps differ."""
    step = default_step(train, test)
    steps = sorted({round(s.dt, 9) for s in (*train.sweeps, *test.sweeps)})
    if len(steps) == 1:
        return step, ""
    sampled = " and ".join(f"{dt:g}" for dt in steps)
    if all(divides(dt, step) for dt in steps):
        return step, f"sampled at {sampled} ms: fitted in steps of {step:g} ms, a multiple of each"
    return step, (
        f"sampled at {sampled} ms, without a common multiple of up to {COARSEST:g} ms: fitted in steps of {step:g} ms, "
        "over which the test currents are averaged"
    )


def run(problem: Problem, stages: Sequence[Stage], start: Neuron | None = None, source: str = "") -> Fit:
    """Run stages in order, with timing, and fall back to the estimate before where one leaves the finite numbers."""
    if start is not None:
        admit_start(start)
    estimate = Estimate(start or problem.start())
    history: list[Estimate] = []
    if any(isinstance(s, Likelihood) for s in stages):
        searched = any(isinstance(s, Search) for s in stages)
        compile_ahead(problem.neuron, purposes=("fit", "search") if searched else ("fit",))
    with one_thread():
        for stage in stages:
            begin = time.perf_counter()
            problem.progress(title(stage), 0.0)
            found = stage(problem, estimate)
            if not _finite(found.neuron):
                found = estimate.with_(stage=found.stage, status=Status.DIVERGED)
            found = found.with_(seconds=time.perf_counter() - begin)
            history.append(found)
            estimate = found.with_(details={**estimate.details, **found.details})
    neuron = as_floats(estimate.neuron)
    details, missed = dict(estimate.details), tuple[str, ...]()
    if history and problem.n_spikes >= MINIMUM_SPIKES:
        with one_thread():
            counts = count_spikes(problem, neuron, details.get("sharpen", (1.0, 0.0)))
        details["counts"], missed = counts.to_dict(), counts.warnings()
        last = max((k for k, e in enumerate(history) if e.status is not Status.NOT_NEEDED), default=-1)
        if counts.failed and history[last].status in (Status.CONVERGED, Status.AT_BOUND):
            history[last] = history[last].with_(status=Status.MISSES)
    keep = ("sharpen", "standard_errors", "correlated", "starts", "drift", "recent", "top", "prior", "voltage", "seen",
            "counts")  # fmt: skip
    return Fit(
        neuron=neuron,
        cell=problem.recording.cell,
        dt=problem.dt,
        history=tuple(history),
        warnings=(*missed, *cautions(problem, neuron, history)),
        provenance=provenance(problem, stages, source),
        details={k: details[k] for k in keep if k in details},
    )


@contextmanager
def one_thread() -> Iterator[None]:
    """One torch thread: tensors of a fit are tiny, and threads that wait for each other cost more than they bring."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def cautions(problem: Problem, neuron: Neuron, history: Sequence[Estimate]) -> list[str]:
    """What a user should know before trusting the numbers."""
    out = odd_data(problem)
    for name, side in Free.of(type(neuron)).on_bound(neuron):
        p = declared(type(neuron))[name]
        limit = p.low if side == "low" else p.high
        out.append(
            f"{name} sits on its {side} bound ({limit:g} {p.unit}): the data do not determine it within its bounds"
        )
    if problem.n_spikes < MINIMUM_SPIKES:
        found = f"only {problem.n_spikes} spike{'s' * (problem.n_spikes != 1)}"
        out.append(f"{found} in the training data; nothing was fitted, the parameters are start values")
        return out
    if "V" in problem.neuron.states:
        out += [told for told in [bridge(problem.recording).warning()] if told]
    seen = [e.details["voltage"] for e in history if "voltage" in e.details]
    out += [told for told in [voltage_warning(seen[-1] if seen else None)] if told]
    modelled = any(e.details.get("drift") for e in history)
    # a hazard that is no guide to the fit foretells no number of spikes to compare with
    drifted = "" if problem.neuron.searched else drift_warning(parts(problem, neuron), modelled)
    if drifted:
        out.append(drifted)
    if problem.n_spikes < 100:
        out.append(f"only {problem.n_spikes} spikes in the training data; expect scores to vary between fits")
    out += [f"stage {e.stage}: {e.status.value}" for e in history if e.status in (Status.DIVERGED, Status.STEPS_USED)]
    return out


def odd_data(problem: Problem) -> list[str]:
    """What of the training data cannot be fitted as it stands: a constant current, spikes that share a step, units."""
    sweeps, out = problem.recording.sweeps, []
    if all(np.ptp(s.current) == 0 for s in sweeps) and len({float(s.current[0]) for s in sweeps}) == 1:
        out.append(
            f"the training current is constant ({float(sweeps[0].current[0]):g} pA): it does not tell how the cell "
            "answers a current that varies"
        )
    steps = [np.floor(s.valid_spikes / problem.dt + 1e-6) for s in sweeps]
    shared = sum(len(k) - len(np.unique(k)) for k in steps)
    if shared:
        out.append(
            f"{shared} of {sum(map(len, steps))} training spikes lie in a step of {problem.dt:g} ms that holds another "
            "and count once with it: is a spike there twice, or is a smaller dt needed?"
        )
    told = {f"sweep {s.name!r}: {f}": None for s in sweeps for f in findings(s) if f not in s.warnings}
    first = list(told)[:1]
    return out + [f + (f" (and so of {len(told) - 1} more sweeps)" if len(told) > 1 else "") for f in first]


def provenance(problem: Problem, stages: Sequence[Stage], source: str) -> dict[str, Any]:
    """Who made this fit, of what, with which settings."""
    import ephysfit

    return {
        "version": ephysfit.__version__,
        "python": platform.python_version(),
        "torch": version("torch"),
        "numba": version("numba"),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "recording": Path(problem.recording.source).name,
        "data_sha256": fingerprint(problem.recording),
        "sweeps": [s.name for s in problem.recording.sweeps],
        "loaded": _plain(load_report(problem.recording)),
        "seed": problem.seed,
        **({"prior": repr(problem.prior)} if problem.prior else {}),
        "skip_ms": problem.skip,
        "stages": [{"stage": type(s).__name__, **settings(s)} for s in stages],
        **saved_fit.source_hash(source),
        "spikes": problem.n_spikes,
    }


def load_report(recording: Recording) -> dict[str, Any]:
    """How the training data came from their file: reader, options, what was odd, what was left out and why."""
    said = {s.name: [*s.warnings, *s.notes] for s in recording.sweeps if s.warnings or s.notes}
    return {
        **recording.loaded,
        "spike_sources": sorted({s.spike_source for s in recording.sweeps}),
        "electrode": dict(recording.electrode),
        "warnings": list(recording.warnings),
        "sweeps": said,
        "rejected": {r.name: r.reason for r in recording.rejected},
    }


def settings(stage: Any) -> dict[str, Any]:
    """The settings of a stage as plain values."""
    return {f.name: _plain(getattr(stage, f.name)) for f in fields(stage)} if is_dataclass(stage) else {}


def _text(path: Path, label: str | None) -> str:
    """The JSON of a fit, wherever it stands."""
    return saved_fit.stored_fit(path, label) if is_hdf5(path) else path.read_text(encoding="utf-8")


def _find(name: str) -> type[Neuron]:
    from ephysfit.models import find

    return find(name)


def _consensus(noisy: Simulation) -> Simulation:
    trains = tuple(
        (consensus(list(runs), duration),) for runs, duration in zip(noisy.spike_times, noisy.durations, strict=True)
    )
    return replace(noisy, spike_times=trains, stochastic=False, readout="consensus", traces={})


def _finite(neuron: Neuron) -> bool:
    return all(np.isfinite(v) for v in scalar_values(neuron).values())


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items() if not isinstance(v, Neuron)}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_plain(v) for v in value]
    if isinstance(value, (float, np.floating)):
        return float(value) if np.isfinite(value) else None
    if isinstance(value, (np.integer, np.bool_)):
        return value.item()
    if is_dataclass(value) and not isinstance(value, type):
        return {"stage": type(value).__name__, **settings(value)}
    return value if isinstance(value, (str, int, bool, type(None))) else str(value)


def _number(value: float | None) -> float:
    return float("nan") if value is None else value
