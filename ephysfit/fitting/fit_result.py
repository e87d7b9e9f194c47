"""The result of a fit: the neuron, how it was found, what to be careful about; saved and read back."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

import ephysfit  # its public names, which load on use: writing and exporting a fit lie above fitting it
from ephysfit.data.hdf5 import is_hdf5
from ephysfit.data.holding_current import LEAD
from ephysfit.data.readout import Readout
from ephysfit.data.recording import Recording
from ephysfit.errors import FitError
from ephysfit.files import write_text
from ephysfit.fitting.fit_table import make_fit_table
from ephysfit.fitting.format_1 import DETAILS, as_details
from ephysfit.fitting.members import simulate_members
from ephysfit.fitting.provenance import Provenance
from ephysfit.fitting.recording_identity import list_cell_names
from ephysfit.fitting.saved_fit import (
    FORMAT,
    SavedFit,
    SavedMember,
    check_fit,
    find_neuron_class,
    parse_fit,
    read_stored_fit,
)
from ephysfit.fitting.spike_counts import SpikeCounts
from ephysfit.fitting.stage import Estimate, Status
from ephysfit.fitting.stage_reports import (
    CausalRun,
    EnsembleReport,
    HeldMembrane,
    IntervalsReport,
    LikelihoodReport,
    R,
    Reports,
    SelectionReport,
    VoltageReport,
    VoteRule,
    to_plain,
)
from ephysfit.metrics.consensus import consensus
from ephysfit.metrics.vote import vote
from ephysfit.models import loadable
from ephysfit.neuron.declare import Neuron, declared, scalar_values, unflatten
from ephysfit.neuron.free_parameters import FreeParameters
from ephysfit.neuron.potential_unit import RHEOBASE, SOFTNESS, PotentialUnit, find_potential_unit
from ephysfit.simulation.simulate import Simulation, simulate
from ephysfit.system import one_blas_thread

#: fewer runs than this hold no vote
FEWEST_VOTERS = 20


@dataclass(frozen=True, eq=False)
class Fit:
    """A fitted cell: the neuron, how it was found, what to be careful about.

    Attributes
    ----------
    neuron : Neuron
        The fitted parameters, in ms, mV, pA, pF, nS.
    cell : str
    dt : float
        Step of the fit, ms; runs of the fit use it unless another is given.
    history : tuple of Estimate
        One entry per stage.
    warnings : tuple of str
        Sentences: parameters on a bound, too few spikes, and the like.
    provenance : Provenance
        Version, seed, stages with their settings, data hash, date.
    reports : Reports
        What was found after the stages: spike counts on the training data, how model "auto" chose, intervals. What
        stages report is in the history; `report` looks in both.
    members : tuple of Neuron
        Of an ensemble (``effort="best"``), whose noisy runs are pooled; empty for a single fit. `neuron` is the fit to
        all of the training data, and what is exported.
    """

    neuron: Neuron
    cell: str
    dt: float
    history: tuple[Estimate, ...] = ()
    warnings: tuple[str, ...] = ()
    provenance: Provenance = field(default_factory=Provenance)
    reports: Reports = field(default_factory=Reports)
    members: tuple[Neuron, ...] = ()

    @property
    def single(self) -> Fit:
        """The fit without its ensemble: the one neuron that is exported."""
        ensemble = {EnsembleReport.kind, VoteRule.kind} if self.members else set()
        kept = Reports(*(r for kind, r in self.reports.items() if kind not in ensemble))
        return replace(self, members=(), reports=kept)

    @property
    def model(self) -> str:
        """Name of the neuron class."""
        return type(self.neuron).__name__

    @property
    def status(self) -> Status:
        """How the last stage that had work to do ended."""
        worked = [e.status for e in self.history if e.status is not Status.NOT_NEEDED]
        return worked[-1] if worked else Status.NOT_NEEDED

    @property
    def seconds(self) -> float:
        """Time that the stages took, s."""
        return float(sum(e.seconds for e in self.history))

    @property
    def loss(self) -> float:
        """Negative log-likelihood per training spike (nats) where the neuron has one."""
        known = [e.train for e in self.history if np.isfinite(e.train)]
        return known[-1] if known else float("nan")

    def report(self, kind: type[R]) -> R | None:
        """The last report of a kind, of the fit itself or of its stages; None where there is none.

        Examples
        --------
        >>> from ephysfit.fitting.stage_reports import CausalRun
        >>> from ephysfit.models import LIF
        >>> fit = Fit(LIF.start(), "cell", 0.5, reports=Reports(CausalRun((2.0, -1.0))))
        >>> fit.report(CausalRun).sharpen
        (2.0, -1.0)
        """
        for reports in (self.reports, *(e.reports for e in reversed(self.history))):
            if (found := reports.of(kind)) is not None:
                return found
        return None

    @property
    def likelihood(self) -> LikelihoodReport | None:
        """The report of the likelihood stage: standard errors, drift, the voltage; None without such a stage."""
        return self.report(LikelihoodReport)

    @property
    def voltage(self) -> VoltageReport | None:
        """The report on the recorded voltage, where that was fitted too."""
        return None if self.likelihood is None else self.likelihood.voltage

    @property
    def membrane(self) -> HeldMembrane | None:
        """The membrane that the fit held, or why it held none; None for a neuron without one."""
        return self.report(HeldMembrane)

    @property
    def premises(self) -> list[str]:
        """What the fit took for given beside its training data, in sentences: a held membrane, assumed steps."""
        held = [] if self.membrane is None else [str(self.membrane)]
        assumed = self.likelihood.describe_assumed(self.model) if self.likelihood else ""
        return [f"{said[0].upper()}{said[1:]}." for said in [*held, assumed] if said]

    @property
    def potential_unit(self) -> PotentialUnit:
        """The unit in which tables show potentials: mV where a voltage fixes the scale, else what spikes determine."""
        held = self.membrane is not None and bool(self.membrane.values)
        return find_potential_unit(self.neuron, held or self.voltage is not None or not self.history)

    def describe_potentials(self) -> str:
        """What the numbers in mV are: those of the cell, or a scale that spikes leave open.

        Examples
        --------
        >>> from ephysfit.models import AIGIF
        >>> Fit(AIGIF.start(), "cell", 0.5).describe_potentials()
        'written as mV, but not those of the cell: 1 mV is 1 softness of the threshold (Δ)'
        """
        unit = self.potential_unit
        if unit.name != "mV":
            what = {SOFTNESS: "softness of the threshold (Δ)", RHEOBASE: "distance from rest to threshold (θ)"}[
                unit.name
            ]
            return f"written as mV, but not those of the cell: {unit.size:.4g} mV is 1 {what}"
        if self.membrane is not None and self.membrane.values:
            return f"mV of the cell; {self.membrane}"
        return "mV of the cell; the voltage was fitted too" if self.voltage is not None else "mV as they were given"

    @property
    def counts(self) -> SpikeCounts | None:
        """Spikes per training sweep, of the cell and of the fit's free runs."""
        return self.report(SpikeCounts)

    @property
    def selection(self) -> SelectionReport | None:
        """How model "auto" chose the neuron; None where it was named."""
        return self.report(SelectionReport)

    @property
    def ensemble(self) -> EnsembleReport | None:
        """How the ensemble was made and what its networks carry; None for a single fit."""
        return self.report(EnsembleReport)

    @property
    def intervals(self) -> IntervalsReport | None:
        """Intervals of the parameters, once `ephysfit.intervals` has made them."""
        return self.report(IntervalsReport)

    @property
    def details(self) -> dict[str, Any]:
        """Deprecated since 0.2: one dictionary of what the reports hold; see `report` and its short forms."""
        warnings.warn(
            "Fit.details goes with version 0.3: use fit.likelihood, fit.voltage, fit.counts, fit.selection, "
            "fit.intervals or fit.report(kind)",
            DeprecationWarning, stacklevel=2,
        )  # fmt: skip
        return as_details(self.report(kind) for kind in DETAILS)

    def __repr__(self) -> str:
        return (
            f"Fit({self.model} of {self.cell}, {self.seconds:.1f} s, {len(self.warnings)} warnings)\n  {self.neuron!r}"
        )

    def _repr_html_(self) -> str:
        """Status, parameters and warnings as a table, for notebooks."""
        title = f"{self.model} of {self.cell}: {self.status.value} ({self.seconds:.1f} s)"
        notes = [*self.premises, *self.warnings]
        return make_fit_table(title, self.parameters(), self.potential_unit, type(self.neuron).places(), notes)

    def plot(self, kind: str = "overview", test: Recording | None = None, **options: Any) -> Any:
        """Draw one figure of the fit on a recording; see `ephysfit.plot`."""
        return ephysfit.plot(self, kind, test, **options)

    @one_blas_thread()
    def simulate(
        self, stimulus: Any, *, runs: int = 200, dt: float | None = None, seed: int = 1, save: Sequence[str] = ()
    ) -> Simulation:
        """Run the fitted cell.

        A stochastic neuron gives `runs` noisy runs, an ensemble those of its members, pooled. Noise-free readouts
        are their `companions`: "causal" (the sharpened hazard of the neuron integrated to 1; a simulation), "vote" (a
        spike as soon as enough of the noisy runs have just had one; causal too, where the fit chose a rule for it and
        there are 20 runs) and "consensus" (the single train with the highest expected coincidence with the noisy
        runs; it looks ahead, so it predicts but does not simulate). Any other neuron gives its threshold run.

        Parameters
        ----------
        stimulus : Recording or array, pA
        runs : int
        dt : float, optional
            Step in ms; that of the fit unless given.
        """
        step, names = dt or self.dt, list_cell_names(self.cell, self.provenance.recording)
        if not type(self.neuron).stochastic():
            return replace(simulate(self.neuron, stimulus, dt=step, save=save, settle=LEAD), cells=names)
        members = self.members or (self.neuron,)
        noisy = replace(simulate_members(members, stimulus, dt=step, runs=runs, seed=seed), cells=names)
        readouts = {"causal": replace(self._simulate_causal(stimulus, step, save), cells=names)}
        rule = self.report(VoteRule)
        if rule is not None and runs >= FEWEST_VOTERS:
            readouts["vote"] = find_vote_run(noisy, rule)
        return replace(noisy, companions={**readouts, "consensus": find_consensus_run(noisy)})

    def _simulate_causal(self, stimulus: Any, dt: float, save: Sequence[str]) -> Simulation:
        return simulate(self.neuron, stimulus, dt=dt, save=save, settle=LEAD, **self.noise_free)

    @property
    def noise_free(self) -> dict[str, Any]:
        """What `simulate` takes for the noise-free run: the sharpened hazard integrated to 1, or nothing where the fit
        found the threshold run the better one or the neuron has no hazard."""
        sharpen = self.sharpen
        if sharpen is None or not type(self.neuron).stochastic():
            return {}
        return {"noise": "integrated", "sharpen": sharpen}

    @property
    def sharpen(self) -> tuple[float, float] | None:
        """Factor and offset (mV) of the hazard in the noise-free run; None where that is the threshold run."""
        found = self.report(CausalRun)
        return (1.0, 0.0) if found is None else found.sharpen

    def parameters(self) -> list[dict[str, Any]]:
        """One row per scalar parameter: name, value, unit, bounds, meaning, and whether it sits on a bound.

        A membrane that was held is not "fitted", and its interval is that of its measurement. Once there are intervals,
        ``interval`` is a parameter's and ``estimate`` the top of the likelihood inside it.
        """
        cls = type(self.neuron)
        on = dict(FreeParameters.of(cls).on_bound(self.neuron))
        values = scalar_values(self.neuron)
        top, ends = self.likelihood, self.intervals
        errors = ends.standard_errors if ends else top.standard_errors if top else {}
        interval = {n: list(pair) for n, pair in ends.parameters.items()} if ends else {}
        estimates = (ends.estimates if ends else None) or {}
        held = self.membrane.values if self.membrane else {}
        interval |= {n: list(pair) for n, pair in (self.membrane.intervals if self.membrane else {}).items()}
        return [
            {"name": n, "value": values[n], "unit": p.unit, "low": p.low, "high": p.high, "meaning": p.doc,
             "at_bound": on.get(n, ""), "standard_error": errors.get(n), "interval": interval.get(n),
             "estimate": estimates.get(n), "fitted": not p.measured and n not in held}
            for n, p in declared(cls).items()
        ]  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "format": FORMAT,
            "model": self.model,
            "cell": self.cell,
            "dt_ms": self.dt,
            "parameters": scalar_values(self.neuron),
            "units": {n: p.unit for n, p in declared(type(self.neuron)).items()},
            "status": self.status.name,
            "loss": to_plain(self.loss),
            "seconds": self.seconds,
            "warnings": list(self.warnings),
            "reports": self.reports.to_dict(),
            "history": [
                {"stage": e.stage, "status": e.status.name, "train": to_plain(e.train),
                 "validation": to_plain(e.validation), "seconds": e.seconds, "reports": e.reports.to_dict()}
                for e in self.history
            ],
            "provenance": self.provenance.to_dict(),
            "members": [{"model": type(m).__name__, "parameters": scalar_values(m)} for m in self.members],
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
        return ephysfit.write_nwb(self, path, test, **options)

    def export(self, to: str, path: str | Path | None = None, **options: Any) -> tuple[Path, ...]:
        """Write the cell for another simulator: `ephysfit.export` (nest, brian2, neuroml, nir, python, json)."""
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
            Run the file in which the fit says its neuron is declared, if its content is unchanged since the fit.

        Raises
        ------
        FitError
            If there is no such file, it is not a saved fit, or its neuron is a user's own and neither given nor
            trusted.
        """
        path = Path(path)
        try:
            text = read_stored_fit(path, label) if is_hdf5(path) else path.read_text(encoding="utf-8")
        except OSError as e:
            raise FitError(f"{path}: {e.strerror or e}; give the path of a fit saved by ephysfit (a .json file)") from e
        except UnicodeDecodeError as e:
            raise FitError(f"{path} is not a fit saved by ephysfit (no UTF-8: {e.reason} at byte {e.start})") from None
        return cls._from_saved(parse_fit(text, str(path)), str(path), neuron, trust)

    @classmethod
    def from_dict(
        cls, found: Mapping[str, Any], neuron: type[Neuron] | None = None, *, trust: bool = False, name: str = "the fit"
    ) -> Fit:
        """The fit that `to_dict` wrote, in the format of this version or of an earlier one.

        Parameters
        ----------
        found : mapping
            Plain values.
        neuron : type[Neuron], optional
            The class of a neuron that is not in the catalogue.
        trust : bool
            As in `load`.
        name : str
            Where the values come from, for errors.

        Raises
        ------
        FitError
            If they are not a fit, or its neuron is a user's own and neither given nor trusted.

        Examples
        --------
        >>> from ephysfit.models import LIF
        >>> Fit.from_dict(Fit(LIF.start(), "cell", 0.5).to_dict()).model
        'LIF'
        """
        return cls._from_saved(check_fit(found, name), name, neuron, trust)

    @classmethod
    def _from_saved(cls, saved: SavedFit, name: str, neuron: type[Neuron] | None, trust: bool) -> Fit:
        kind = neuron or find_neuron_class(saved, name, trust)
        missing = set(declared(kind)) ^ set(saved.parameters)
        if missing:
            raise FitError(
                f"{name}: {saved.model} of this version differs in {', '.join(sorted(missing))[:200]}; "
                f"refit, or load it with the version {saved.provenance.version or 'that wrote it'}"
            )
        fitted = kind(**unflatten(kind.parameters, dict(saved.parameters)))
        history = tuple(
            Estimate(fitted, h.stage, Status[h.status], h.train, h.validation, h.seconds, h.reports)
            for h in saved.history
        )
        members = tuple(_read_member(m, name, kind) for m in saved.members)
        return cls(fitted, saved.cell, saved.dt_ms, history, saved.warnings, saved.provenance, saved.reports, members)


def _read_member(saved: SavedMember, name: str, kind: type[Neuron]) -> Neuron:
    """A member of a saved ensemble: of the fit's own class, or one that extends it."""
    member = kind if saved.model == kind.__name__ else loadable().get(saved.model)
    if member is None or set(declared(member)) != set(saved.parameters):
        raise FitError(
            f"{name}: a member of its ensemble is a {saved.model!r:.80} that this version does not know; refit, or "
            "load it with the version that wrote it"
        )
    return member(**unflatten(member.parameters, dict(saved.parameters)))


def find_vote_run(noisy: Simulation, rule: VoteRule) -> Simulation:
    """The causal vote of noisy runs, a train per stimulus, as a simulation of its own."""
    trains = tuple((vote(runs, rule.memory, rule.share),) for runs in noisy.spike_times)
    return replace(noisy, spike_times=trains, stochastic=False, readout=Readout.VOTE, traces={})


def find_consensus_run(noisy: Simulation) -> Simulation:
    """The single train per stimulus that agrees best with noisy runs, as a simulation of its own."""
    trains = tuple(
        (consensus(list(runs), duration),) for runs, duration in zip(noisy.spike_times, noisy.durations, strict=True)
    )
    return replace(noisy, spike_times=trains, stochastic=False, readout=Readout.CONSENSUS, traces={})
