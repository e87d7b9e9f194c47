"""simulate(): run a neuron on a stimulus with the engine that suits, and return its spikes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

from ephysfit.arrays import Trace, Train
from ephysfit.data.exchange import make_pynapple_trains
from ephysfit.data.holding_current import make_run_up
from ephysfit.data.recording import Recording
from ephysfit.data.resampling import average_over_steps, divides
from ephysfit.errors import SimulationError, near
from ephysfit.html_tables import make_sparkline, make_table
from ephysfit.neuron.bounds import admit
from ephysfit.neuron.declare import Neuron
from ephysfit.neuron.free_parameters import as_floats
from ephysfit.neuron.plan import plan
from ephysfit.neuron.step_kinds import refractory_steps
from ephysfit.simulation.engine_choice import choose, device_of
from ephysfit.torch_on_use import torch

#: (beta, offset) of each noise-free readout
Settings = npt.NDArray[np.float64]

#: engines by name; the value says what each is for
ENGINES = {
    "auto": "the one that suits device, neuron and length (the default; docs/engines.md)",
    "compiled": "generated kernels, all cores; every neuron",
    "sequential": "the definition: a torch loop over time; every neuron",
    "blocks": "whole refractory blocks at once (Taylor, King & Harper 2023); affine neurons",
    "speculate": "chunks up to the next spike; affine neurons",
    "pmbc": "bounds tightened until no step is undecided (PMBC: Zhong et al. 2024); affine neurons with a soft reset",
    "decoupled": "no-reset potential, then a scan of the moving threshold (Huang et al. 2024); affine, soft reset",
}
NOISES = ("none", "escape", "integrated")


@dataclass(frozen=True, eq=False)
class Simulation:
    """Spike trains of a neuron on one or several stimuli.

    Attributes
    ----------
    spike_times : tuple of tuples of ndarray
        ``spike_times[stimulus][run]``, ms from the start of the stimulus; a spike in step n is given as (n + 1/2) dt.
    dt : float
        Step, ms.
    durations : tuple of float
        Of the stimuli, ms.
    stochastic : bool
        Whether the runs carry escape noise.
    readout : str
        What the trains are: "noisy runs", "threshold run", "causal run" or "consensus".
    traces : mapping of str to tuple of ndarray
        Saved states of the first run, one array per stimulus.
    companions : mapping of str to Simulation
        Other readouts of the same model on the same stimuli.
    notes : tuple of str
        Sentences on how the stimuli were prepared, where that matters.
    cells : tuple of str
        Names of the simulated cell, set by a fit: its own name, and those of the files that it was fitted to.
    """

    spike_times: tuple[tuple[Train, ...], ...]
    dt: float
    durations: tuple[float, ...]
    stochastic: bool = False
    readout: str = "threshold run"
    names: tuple[str, ...] = ()
    traces: Mapping[str, tuple[Trace, ...]] = field(default_factory=dict)
    companions: Mapping[str, Simulation] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    cells: tuple[str, ...] = ()

    def __repr__(self) -> str:
        runs = len(self.spike_times[0]) if self.spike_times else 0
        return f"Simulation({len(self.spike_times)} stimuli, {runs} runs each, {self.readout}, {self.rate_hz:.2f} Hz)"

    def _repr_html_(self) -> str:
        """Stimuli with their spikes as a table, for notebooks."""
        rows = []
        names = self.names or tuple(str(k) for k in range(len(self.spike_times)))
        for name, runs, length in zip(names, self.spike_times, self.durations, strict=True):
            counts = np.array([len(t) for t in runs])
            drawn = make_sparkline([], [t / length for t in runs[0]]) if runs else ""
            rows.append([name, f"{length / 1e3:g}", str(len(runs)), f"{counts.mean():.1f} ± {counts.std():.1f}", drawn])
        head = ["stimulus", ">length (s)", ">runs", ">spikes a run", "first run"]
        others = [f"also: {', '.join(self.companions)}"] if self.companions else []
        return make_table(f"{self.readout}, {self.rate_hz:.2f} Hz", head, rows, [*others, *self.notes])

    def to_pynapple(self, stimulus: int = 0) -> Any:
        """The runs on one stimulus as a pynapple TsGroup."""
        return make_pynapple_trains(dict(enumerate(self.spike_times[stimulus])), self.durations[stimulus])

    @property
    def rate_hz(self) -> float:
        """Mean rate over all stimuli and runs, spikes per second."""
        spikes = sum(len(t) for runs in self.spike_times for t in runs)
        time = sum(d * len(runs) for d, runs in zip(self.durations, self.spike_times, strict=True))
        return 1e3 * spikes / time if time else 0.0


@dataclass(frozen=True, eq=False)
class Drive:
    """One stimulus on the grid of a simulation: current in pA, (time,) or (time, input)."""

    current: npt.NDArray[np.float64]
    name: str = ""
    note: str = ""


def drives(stimulus: Any, dt: float, recorded_dt: float | None = None) -> tuple[Drive, ...]:
    """Stimuli as currents in steps of `dt`: of a recording (repeats averaged) or of one or several arrays."""
    if isinstance(stimulus, Recording):
        return tuple(_drive(s.current, s.dt, dt, s.name) for s in stimulus.stimuli())
    arrays = list(stimulus) if isinstance(stimulus, (list, tuple)) else [stimulus]
    out = []
    for k, a in enumerate(arrays):
        current = np.asarray(a.detach().cpu() if hasattr(a, "detach") else a, dtype=np.float64)
        if current.ndim not in (1, 2) or current.size == 0:
            raise SimulationError(f"stimulus {k} has shape {current.shape}; give (time,) in pA, or (time, input)")
        if not np.isfinite(current).all():
            raise SimulationError(
                f"stimulus {k} holds {np.count_nonzero(~np.isfinite(current))} values that are not finite; cut them out"
            )
        out.append(_drive(current, recorded_dt or dt, dt, str(k)))
    return tuple(out)


def _drive(current: npt.NDArray[np.float64], have: float, want: float, name: str) -> Drive:
    """A current in steps of `want` ms, with a note where the steps do not divide each other."""
    stepped = average_over_steps(current, have, want)
    if not len(stepped):
        raise SimulationError(
            f"stimulus {name!r} lasts {len(current) * have:g} ms, less than one step of {want:g} ms; give a smaller dt"
        )
    if divides(have, want):
        return Drive(stepped, name)
    how = "held" if want < have else "averaged"
    said = f"stimulus {name!r} is sampled every {have:g} ms and simulated every {want:g} ms: its current was {how}"
    return Drive(stepped, name, f"{said} over steps that do not coincide")


def simulate(
    neuron: Neuron,
    stimulus: Recording | npt.ArrayLike | Sequence[npt.ArrayLike],
    *,
    dt: float | None = None,
    runs: int = 1,
    noise: str = "none",
    sharpen: tuple[float, float] | Sequence[tuple[float, float]] = (1.0, 0.0),
    engine: str = "auto",
    save: Sequence[str] = (),
    seed: int = 0,
    settle: float = 0.0,
) -> Simulation:
    """Run one cell on a stimulus.

    Parameters
    ----------
    neuron : Neuron
        One cell.
    stimulus : Recording, array or list of arrays
        Injected current in pA; of a recording each stimulus once, repeats averaged. An array is (time,).
    dt : float, optional
        Step in ms; that of the recording unless given, needed with arrays.
    runs : int
        Runs per stimulus (1 without noise).
    noise : {"none", "escape", "integrated"}
        "none": a spike where the margin reaches 0. "escape": a spike with the declared hazard. "integrated": a
        spike whenever the hazard integrated since the last one reaches 1: noise-free, but with the soft threshold.
    sharpen : (float, float), or a sequence of them
        (beta, offset): use the hazard at beta (margin - offset), offset in mV, instead of at the margin. Of several
        with noise="integrated", each gives a run.
    engine : str
        One of `ENGINES`; "auto" takes kernels on a CPU, except for the first short runs of a process; where the
        stimulus is a tensor on another device, it takes a torch engine there.
    save : sequence of str
        States to keep of the first run.
    seed : int
        Of the escape noise.
    settle : float
        Run-up, ms, at the level each stimulus begins with (`ephysfit.data.holding_current`); spikes and states before
        the stimulus are left out. 0: begin at the declared rest.

    Returns
    -------
    Simulation

    Raises
    ------
    NeuronError
        If a parameter is not finite or has an impossible sign (a negative capacitance); a value that is only outside
        its declared bounds runs, with a warning.
    SimulationError
        If the stimulus, the step, the noise or the engine does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from ephysfit.models.lif import LIF
    >>> cell = LIF(C=100.0, g=5.0, E_L=-70.0, theta=-50.0, V_reset=-65.0, t_ref=2.0, delta=2.0)
    >>> simulate(cell, np.full(2000, 150.0), dt=0.1).rate_hz
    45.0
    """
    if noise not in NOISES:
        raise SimulationError(f"noise {noise!r} is unknown; {near(noise, NOISES)}")
    if noise != "none" and not type(neuron).stochastic():
        raise SimulationError(
            f"{type(neuron).__name__} declares no hazard, so noise={noise!r} has no meaning; use noise='none'"
        )
    inputs = list(type(neuron).inputs)
    if isinstance(stimulus, Recording) and len(inputs) > 1:
        raise SimulationError(
            f"{type(neuron).__name__} has {len(inputs)} inputs ({', '.join(inputs)}) and a recording holds one; "
            "give arrays (time, input), as models.partner_input makes them"
        )
    step = _step(stimulus, dt)
    cell = as_floats(neuron)
    admit(cell)
    given = drives(stimulus, step)
    settings = _settings(sharpen, noise)
    count, device = {"none": 1, "escape": runs, "integrated": len(settings)}[noise], device_of(stimulus)
    trains, traces = [], {name: [] for name in save}  # type: ignore[var-annotated]
    for k, d in enumerate(given):
        before = make_run_up(d.current, step, settle)
        current = np.concatenate([before, d.current]) if len(before) else d.current
        thresholds = _thresholds(cell, len(current), step, count, noise, seed + 7919 * k)
        found, kept = _run(cell, current, step, thresholds, settings, engine, tuple(save), device)
        trains.append(tuple(_after(t, len(before) * step) for t in found))
        for name in save:
            traces[name].append(kept[name][len(before) :])
    return Simulation(
        spike_times=tuple(trains),
        dt=step,
        durations=tuple(len(d.current) * step for d in given),
        stochastic=noise == "escape",
        readout={"none": "threshold run", "escape": "noisy runs", "integrated": "causal run"}[noise],
        names=tuple(d.name for d in given),
        traces={k: tuple(v) for k, v in traces.items()},
        notes=tuple(dict.fromkeys(d.note for d in given if d.note)),
    )


def _settings(sharpen: Any, noise: str) -> Settings:
    """(beta, offset) per row, checked."""
    rows = np.atleast_2d(np.asarray(sharpen, dtype=np.float64))
    if rows.ndim != 2 or rows.shape[0] == 0 or rows.shape[1] != 2 or not np.isfinite(rows).all():
        raise SimulationError(
            f"sharpen={sharpen!r}: give (beta, offset) as finite numbers, or a sequence of such pairs"
        )
    if len(rows) > 1 and noise != "integrated":
        raise SimulationError(f"{len(rows)} settings of sharpen need noise='integrated', not {noise!r}")
    return rows


def _after(train: Train, start: float) -> Train:
    """The spikes from `start` on, counted from there."""
    return train[train >= start] - start if start else train


def _step(stimulus: Any, dt: float | None) -> float:
    if dt is not None:
        if not dt > 0:
            raise SimulationError(f"dt = {dt} ms must be positive")
        return float(dt)
    if isinstance(stimulus, Recording):
        return stimulus.dt
    raise SimulationError("a current given as an array needs its step: simulate(..., dt=0.1) in ms")


def _thresholds(
    cell: Neuron, steps: int, dt: float, runs: int, noise: str, seed: int
) -> npt.NDArray[np.float64] | None:
    """(run, spike): the integrated hazard at which each next spike happens."""
    if noise == "none":
        return None
    shortest = max(float(cell.refractory_ms), dt)
    most = min(steps, int(steps * dt / shortest) + 2)
    if noise == "integrated":
        return np.ones((runs, most))
    return np.random.default_rng(seed).exponential(size=(runs, most))


def _run(
    cell: Neuron, current: npt.NDArray[np.float64], dt: float, thresholds: npt.NDArray[np.float64] | None,
    sharpen: Settings, engine: str, save: tuple[str, ...], device: str,
) -> tuple[list[Train], dict[str, Trace]]:  # fmt: skip
    if engine == "auto":
        plain = thresholds is None and (sharpen == (1.0, 0.0)).all() and "margin" not in save
        leap = int(refractory_steps(cell, dt).min()) + 1
        engine = choose(type(cell), steps=len(current), leap=leap, device=device, plain=plain)
    if engine == "compiled":
        return _compiled(cell, current, dt, thresholds, sharpen, save)
    if engine == "sequential":
        return _sequential(cell, torch.from_numpy(current).to(device), dt, thresholds, sharpen, save)
    if engine in ENGINES:
        return _parallel(engine, cell, torch.from_numpy(current).to(device), dt, thresholds, save)
    raise SimulationError(f"engine {engine!r} is unknown; {near(engine, ENGINES)}")


def _compiled(cell: Neuron, current: Any, dt: float, thresholds: Any, sharpen: Settings, save: tuple[str, ...]) -> Any:
    # kernels bring numba and its vector types, 0.6 s that a short run of `blocks` does not need (`engine_choice`)
    from ephysfit.simulation.engines.compiled import run

    drawn = None if thresholds is None else thresholds[None]
    done = run(cell, current[None, None], dt, thresholds=drawn, sharpen=(sharpen[:, 0], sharpen[:, 1]), save=save)
    return done.spike_times(dt), {n: np.asarray(done.traces[n])[0, 0] for n in save}


def _sequential(
    cell: Neuron, current: torch.Tensor, dt: float, thresholds: Any, sharpen: Settings, save: tuple[str, ...]
) -> Any:
    # it brings sympy, which no other engine needs for a neuron whose plan is on disk
    from ephysfit.simulation.engines.sequential import sequential

    if (sharpen != (1.0, 0.0)).any():
        raise SimulationError("engine 'sequential' has no sharpened readout; use engine='compiled'")
    runs = 1 if thresholds is None else len(thresholds)
    shared = current[None, None].expand(1, runs, *current.shape)
    drawn = None if thresholds is None else torch.from_numpy(thresholds)[None]
    with torch.no_grad():
        spikes, states, _ = sequential(cell, shared, dt, thresholds=drawn)
    return _trains(spikes, dt), _states(cell, states, save)


def _parallel(
    engine: str, cell: Neuron, current: torch.Tensor, dt: float, thresholds: Any, save: tuple[str, ...]
) -> Any:
    if thresholds is not None:
        raise SimulationError(f"engine {engine!r} runs without noise only; use engine='compiled'")
    function = getattr(import_module(f"ephysfit.simulation.engines.{engine}"), engine)
    with torch.no_grad():
        spikes, states, _ = function(cell, current[None, None], dt)
    return _trains(spikes, dt), _states(cell, states, save)


def _trains(spikes: torch.Tensor, dt: float) -> list[Train]:
    return [(np.flatnonzero(row).astype(np.float64) + 0.5) * dt for row in spikes[0].cpu().numpy()]


def _states(cell: Neuron, states: torch.Tensor, save: tuple[str, ...]) -> dict[str, Trace]:
    live = plan(type(cell)).states
    for name in save:
        if name not in live:
            raise SimulationError(f"{type(cell).__name__} has no state {name!r} to save; {near(name, live)}")
    return {n: states[0, 0, :, live.index(n)].cpu().numpy() for n in save}
