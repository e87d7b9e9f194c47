"""What stages report beside a neuron: small records by kind, which a fit keeps, saves and reads back.

Every record is a frozen dataclass of plain values with `Report.to_dict` and `Report.from_dict`. A stage returns those
it has in `Estimate.reports`; a later stage's record of a kind takes the place of an earlier one's. `Fit.report` finds
the last of a kind.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Self, TypeVar

import numpy as np
from pydantic import BeforeValidator, Field, StrictStr, TypeAdapter

from ephysfit.files import replace_nan

#: JSON knows no NaN: a number that is missing is null there
Number = Annotated[float, Field(strict=True), BeforeValidator(lambda v: float("nan") if v is None else v)]
Known = Annotated[float, Field(strict=True)]
Count = Annotated[int, Field(strict=True)]
Curve = tuple[Number, ...]
#: low and high end of an interval; None where a bound came first
Ends = tuple[Known | None, Known | None]

_KINDS: dict[str, type[Report]] = {}


@dataclass(frozen=True)
class Report:
    """Base of the records: a subclass is a frozen dataclass of plain values that names its `kind`.

    Attributes
    ----------
    kind : str
        Name of the record in a saved fit; of no other record.

    Examples
    --------
    >>> CausalRun((2.0, -1.5), 0.8).to_dict()
    {'sharpen': [2.0, -1.5], 'agreement': 0.8}
    >>> CausalRun.from_dict({'sharpen': [2.0, -1.5], 'agreement': 0.8})
    CausalRun(sharpen=(2.0, -1.5), agreement=0.8)
    """

    kind: ClassVar[str] = ""

    def __init_subclass__(cls) -> None:
        if cls.kind:
            _KINDS[cls.kind] = cls

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; what has no value is left out."""
        return {k: v for k, v in plain_fields(self).items() if v is not None or k in self._written_when_none}

    #: fields whose None is a statement, not a gap
    _written_when_none: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Self:
        """The record that `to_dict` wrote; fields that this version does not know are left out.

        Raises
        ------
        pydantic.ValidationError
            If a field is missing or of another type.
        """
        known = {f.name for f in fields(cls)}
        adapter: TypeAdapter[Self] = TypeAdapter(cls)
        return adapter.validate_python({k: v for k, v in found.items() if k in known})


def plain_fields(record: Any) -> dict[str, Any]:
    """The fields of a dataclass as plain values for JSON."""
    return {f.name: to_plain(getattr(record, f.name)) for f in fields(record)}


def to_plain(value: Any) -> Any:
    """A value as JSON holds it: numbers that are not finite as None, records and settings as dictionaries."""
    if isinstance(value, Report):
        return value.to_dict()
    if is_dataclass(value) and not isinstance(value, type):
        return plain_fields(value)
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, Mapping):
        return {str(k): to_plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [to_plain(v) for v in value]
    if isinstance(value, (float, np.floating)):
        return replace_nan(float(value))
    if isinstance(value, (np.integer, np.bool_)):
        return value.item()
    return value if isinstance(value, (str, int, bool, type(None))) else str(value)


@dataclass(frozen=True)
class UnknownReport(Report):
    """A record of a kind that this version does not know, kept as it was found.

    Attributes
    ----------
    name : str
        Kind of the record, as it stands in the file.
    values : mapping
        Its content, unchanged.
    """

    name: str
    values: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """The values as they were found."""
        return dict(self.values)


R = TypeVar("R", bound=Report)


class Reports(Mapping[str, Report]):
    """Records by kind, one of each; immutable.

    Examples
    --------
    >>> reports = Reports(PassiveReport({"C": 100.0}, True), CausalRun(None))
    >>> reports.of(CausalRun), reports.of(SearchReport)
    (CausalRun(sharpen=None, agreement=nan), None)
    >>> sorted(reports | Reports(SearchReport(loss="Coincidence")))
    ['causal run', 'passive', 'search']
    """

    def __init__(self, *reports: Report) -> None:
        self._by_kind = {r.name if isinstance(r, UnknownReport) else r.kind: r for r in reports}

    def __getitem__(self, kind: str) -> Report:
        return self._by_kind[kind]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_kind)

    def __len__(self) -> int:
        return len(self._by_kind)

    def __repr__(self) -> str:
        return f"Reports({', '.join(map(repr, self._by_kind.values()))})"

    def __or__(self, later: Reports) -> Reports:
        """Both; where both have a kind, the later one's."""
        return Reports(*{**self._by_kind, **later._by_kind}.values())

    def of(self, kind: type[R]) -> R | None:
        """The record of a kind; None where there is none."""
        found = self._by_kind.get(kind.kind)
        return found if isinstance(found, kind) else None

    def without(self, others: Reports) -> Reports:
        """Those that are not the very records of `others`: what a stage added to the ones it was given."""
        return Reports(*(r for k, r in self._by_kind.items() if others._by_kind.get(k) is not r))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, by kind."""
        return {kind: report.to_dict() for kind, report in self._by_kind.items()}

    @classmethod
    def from_dict(cls, found: Mapping[str, Mapping[str, Any]]) -> Reports:
        """The records that `to_dict` wrote; unknown kinds are kept as they are.

        Raises
        ------
        pydantic.ValidationError
            If a record of a known kind does not have the form of its kind.
        """
        return cls(
            *(_KINDS[k].from_dict(v) if k in _KINDS else UnknownReport(k, v) for k, v in found.items())
        )  # fmt: skip


@dataclass(frozen=True)
class PassiveReport(Report):
    """What was read off the recording before any fit.

    Attributes
    ----------
    measured : mapping
        Parameters and their values.
    from_voltage : bool
        Whether the recording holds a voltage to measure them in.
    """

    kind: ClassVar[str] = "passive"
    measured: Mapping[StrictStr, Known]
    from_voltage: bool


@dataclass(frozen=True)
class HeldMembrane(Report):
    """The membrane that a fit holds, as the recorded voltage shows it (`ephysfit.fitting.held_membrane`).

    Attributes
    ----------
    objective : str
        "physiology" where a membrane is held, else "prediction".
    values : mapping
        What is held, by parameter; empty for nothing.
    measures : mapping
        What it follows from, in the names and units of the card of a cell.
    intervals : mapping
        95 % intervals of the parameters; None or missing where one pulse gave the value.
    how : str
        How it was measured.
    why_not : str
        Why nothing is held; "" where something is.
    """

    kind: ClassVar[str] = "held membrane"
    objective: StrictStr
    values: Mapping[StrictStr, Known] = field(default_factory=dict)
    measures: Mapping[StrictStr, Known] = field(default_factory=dict)
    intervals: Mapping[StrictStr, Ends] = field(default_factory=dict)
    how: StrictStr = ""
    why_not: StrictStr = ""

    def __str__(self) -> str:
        if not self.values:
            return f"every parameter was fitted to the spikes: {self.why_not}"
        m = self.measures
        return (
            f"membrane held at what the voltage shows ({self.how}): rest {m['rest']:.1f} mV, input resistance "
            f"{m['input_resistance']:.0f} MOhm, time constant {m['tau']:.1f} ms"
        )


@dataclass(frozen=True)
class PriorReport:
    """The prior of a likelihood.

    Attributes
    ----------
    strength : float
        Weight of the declared prior per recorded spike.
    centre : mapping
        The cell it pulls towards, by scalar parameter.
    names : tuple of str
        Parameters that were moved.
    cells : int, optional
        Fits that a population's prior was made of.
    precision : str, optional
        Of a population's prior (`prior.packed`).
    """

    strength: Known
    centre: Mapping[StrictStr, Known]
    names: tuple[StrictStr, ...]
    cells: Count | None = None
    precision: StrictStr | None = None


@dataclass(frozen=True)
class VoltageReport:
    """What a fit that includes the recorded voltage reports about it.

    Attributes
    ----------
    settings : mapping
        Those of `Voltage`.
    keep, spread, weight : float
        Correlation of the error from sample to sample, its standard deviation (mV), and the weight it was fitted with.
    samples : int
        Samples away from spikes.
    independent : float
        The number of independent samples that these are worth.
    log_likelihood : float
        Of the voltage, at weight 1, so that fits of slightly different weights compare.
    rms : float
        Error, mV.
    explained : float
        Share of the variance of the voltage that the neuron explains.
    """

    settings: Mapping[StrictStr, Any]
    keep: Known
    spread: Known
    weight: Known
    samples: Count
    independent: Number
    log_likelihood: Number
    rms: Number
    explained: Number


@dataclass(frozen=True)
class Quadratic:
    """The log-likelihood about its top, by which a population's prior sees the cell.

    Attributes
    ----------
    names : tuple of str
        Parameters, each on its axis.
    place, gradient : tuple of float
    information : str
        Fisher information (`prior.packed`).
    """

    names: tuple[StrictStr, ...]
    place: tuple[Number, ...]
    gradient: tuple[Number, ...]
    information: StrictStr


@dataclass(frozen=True)
class AssumedStep:
    """A step of current to which the answer of a cell was assumed (`ephysfit.fitting.assumed_steps`).

    Attributes
    ----------
    amplitude, holding : float
        Current during the step and before it, pA.
    rate : float
        1/s.
    share : float
        The rate over that which the cell had in noise of the same level.
    weight : float
        Of each of its samples in the likelihood beside a recorded one.
    """

    amplitude: Known
    rate: Known
    share: Known
    holding: Known
    weight: Known


@dataclass(frozen=True)
class LikelihoodReport(Report):
    """What a maximum-likelihood stage reports.

    Attributes
    ----------
    top : mapping
        The most likely cell, by scalar parameter; later stages may move on from it.
    prior : PriorReport, optional
    standard_errors : mapping
        Of the parameters that were moved, in their units, from the Fisher information (prior included).
    correlated : tuple
        Pairs of parameters that the data hardly tell apart, with their correlation.
    starts : tuple of float
        Loss per spike to which each start climbed.
    drift : tuple of float
        Change of the log rate over each piece of the training data; empty where none was fitted.
    recent : float, optional
        Half-life of the data's weight, ms.
    voltage : VoltageReport, optional
    seen : Quadratic, optional
    curves : tuple
        Loss per spike, step by step, of every start and of the last ascent.
    at_bound : tuple
        Parameters on a bound, and which.
    steps : int
        Of the last ascent.
    assumed : tuple of AssumedStep
        Steps fitted beside the data, which hold noise alone.
    """

    kind: ClassVar[str] = "likelihood"
    top: Mapping[StrictStr, Known] = field(default_factory=dict)
    prior: PriorReport | None = None
    standard_errors: Mapping[StrictStr, Number] = field(default_factory=dict)
    correlated: tuple[tuple[StrictStr, StrictStr, Number], ...] = ()
    starts: tuple[Number, ...] = ()
    drift: tuple[Number, ...] = ()
    recent: Known | None = None
    voltage: VoltageReport | None = None
    seen: Quadratic | None = None
    curves: tuple[Curve, ...] = ()
    at_bound: tuple[tuple[StrictStr, StrictStr], ...] = ()
    steps: Count = 0
    assumed: tuple[AssumedStep, ...] = ()

    def describe_assumed(self, model: str) -> str:
        """A sentence on the steps that were assumed; "" for none."""
        if not self.assumed:
            return ""
        first, last = self.assumed[0], self.assumed[-1]
        return (
            f"noise alone leaves open how {model} answers a steady current: it was fitted also to {len(self.assumed)} "
            f"assumed steps of {first.amplitude:.0f} to {last.amplitude:.0f} pA with {first.share:g} of the rate that "
            "the cell had in noise of that level; recorded steps among the training data take their place"
        )


@dataclass(frozen=True)
class PeriodReport:
    """One refractory period of a profile.

    Attributes
    ----------
    t_ref : float
        The period, ms.
    share : float
        Its share of the likelihood over all periods.
    parameters : mapping
        The cell fitted at it.
    """

    t_ref: Known
    share: Known
    parameters: Mapping[StrictStr, Known]


@dataclass(frozen=True)
class RefractoryReport(Report):
    """The profile likelihood of the refractory period.

    Attributes
    ----------
    t_ref_profile : tuple of PeriodReport
        The periods that keep a noticeable share of the likelihood.
    """

    kind: ClassVar[str] = "refractory period"
    t_ref_profile: tuple[PeriodReport, ...] = ()


@dataclass(frozen=True)
class SearchReport(Report):
    """What a search or a descent in free runs went through.

    Attributes
    ----------
    loss : str
        Name of the loss; "" where the stage has one of its own.
    curves : tuple
        Loss (of a descent by noisy runs the length of the slope) by generation or step.
    train, held_out : tuple of float
        Losses on the training and validation blocks, of the estimate before and of the best found; of a `Gradient`
        the validation losses by check.
    kept : str
        What was kept, where it was not what was found.
    slope : str
        How a `NoisyGradient` differentiates.
    surrogate_width : float, optional
        Half width of the surrogate of a `Gradient`, mV.
    """

    kind: ClassVar[str] = "search"
    loss: StrictStr = ""
    curves: tuple[Curve, ...] = ()
    train: tuple[Number, ...] = ()
    held_out: tuple[Number, ...] = ()
    kept: StrictStr = ""
    slope: StrictStr = ""
    surrogate_width: Known | None = None


@dataclass(frozen=True)
class SoftnessReport(Report):
    """The softnesses of the threshold that were tried, and how the noisy runs of each compared with the cell.

    Attributes
    ----------
    grid : tuple of float
        Softnesses tried, mV.
    losses : tuple of float
        Loss of each, in the same order.
    fires_as_the_cell : tuple of bool
        Whether the noisy runs of each fire about as many spikes as the cell did.
    """

    kind: ClassVar[str] = "softness"
    grid: tuple[Known, ...]
    losses: tuple[Number, ...]
    fires_as_the_cell: tuple[bool, ...]


@dataclass(frozen=True)
class CausalRun(Report):
    """How the noise-free run of a fit is made.

    Attributes
    ----------
    sharpen : (float, float) or None
        Factor and offset (mV) of the sharpened hazard that is integrated to 1; None where the threshold run is the
        noise-free one.
    agreement : float
        Coincidence of the chosen run with the model's own noisy runs on the training data.
    """

    kind: ClassVar[str] = "causal run"
    _written_when_none: ClassVar[frozenset[str]] = frozenset({"sharpen"})
    sharpen: tuple[Known, Known] | None
    agreement: Number = float("nan")


@dataclass(frozen=True)
class VoteRule(Report):
    """How a causal train is read off many noisy runs (`ephysfit.metrics.vote`).

    Attributes
    ----------
    memory : float
        How long the spike of a run counts, ms.
    share : float
        Share of the runs that must agree.
    agreement : float
        Coincidence of the vote with other noisy runs of the model on the training data, what it miscounts taken off.
    """

    kind: ClassVar[str] = "vote"
    memory: Known
    share: Known
    agreement: Number = float("nan")


@dataclass(frozen=True)
class EnsembleReport(Report):
    """The members of an ensemble, each fitted to all of the training data but its own fold of blocks.

    Attributes
    ----------
    folds : int
    block_ms : float
        Length of a block, ms; block k belongs to fold k modulo the number of folds.
    held_out : tuple of float
        Negative log-likelihood per spike of each member's neuron on its own fold, nats, with the rate kept between two
        bounds (`ephysfit.fitting.ensemble.bounded_loss`).
    held_out_residual : tuple of float
        The same with the residual network; empty where none was fitted.
    uninformed : tuple of float
        The same of a constant rate, that of the data the member was fitted to: what there is to explain.
    with_residual : bool
        Whether the members carry the network.
    seconds : float
        What the ensemble took; not in `Fit.seconds`.
    """

    kind: ClassVar[str] = "ensemble"
    folds: Count
    block_ms: Known
    held_out: tuple[Number, ...]
    held_out_residual: tuple[Number, ...] = ()
    uninformed: tuple[Number, ...] = ()
    with_residual: bool = False
    seconds: Known = 0.0

    @property
    def carried(self) -> float:
        """Part of what the members explain on held-out blocks that the network carries, 0 to 1; 0 without one."""
        if not self.with_residual:
            return 0.0
        plain, rich, none = (float(np.mean(v)) for v in (self.held_out, self.held_out_residual, self.uninformed))
        return (plain - rich) / (none - rich) if none > rich else float("nan")

    def __str__(self) -> str:
        loss = f"{np.mean(self.held_out):.2f}"
        said = (
            f"an ensemble of {self.folds} fits, each without 1/{self.folds} of the training data; on the part that it "
            f"was not fitted to, a fit loses {loss} nats per spike"
        )
        if not self.held_out_residual:
            return said
        with_net = f"{np.mean(self.held_out_residual):.2f}"
        if not self.with_residual:
            return f"{said}; a residual network does not lower that ({with_net}) and was left out"
        return (
            f"{said}, {with_net} with its residual network, which carries {100 * self.carried:.0f} % of what the "
            "ensemble explains"
        )


@dataclass(frozen=True)
class Candidate:
    """What a neuron reached on blocks of the training data that it was not fitted to.

    Attributes
    ----------
    model : str
    parameters : int
        How many are free.
    held_out, train : float
        Negative log-likelihood per spike, nats.
    gain, error : float
        By how much it is lower than that of the best simpler neuron, summed over the held-out spikes, with its
        standard error over stretches of the held-out blocks; NaN for the first.
    """

    model: StrictStr
    parameters: Count
    held_out: Number
    train: Number
    gain: Number = float("nan")
    error: Number = float("nan")


@dataclass(frozen=True)
class SelectionReport(Report):
    """How model "auto" chose.

    Attributes
    ----------
    candidates : tuple of Candidate
    seconds : float
        What choosing took; not in `Fit.seconds`.
    why : str
        The reason in a sentence.
    """

    kind: ClassVar[str] = "selection"
    candidates: tuple[Candidate, ...]
    seconds: Known
    why: StrictStr

    def explain_missed(self, missed: Sequence[str], winner: str) -> SelectionReport:
        """The same, where neurons that were preferred do not fire as the training data do and another one won."""
        if not missed:
            return self
        names = " and ".join(missed)
        return replace(self, why=f"{self.why}; {names} did not fire as the training data in free runs, {winner} did")


@dataclass(frozen=True)
class Derived:
    """A quantity that spikes determine whatever the mV scale, with its interval.

    Attributes
    ----------
    name, unit, meaning : str
    value, low, high : float
        At the top of the likelihood, and the ends of the interval.
    standard_error : float
    bias : float
        By how much fits to simulated trains miss such a value in the mean; the interval lies about the value less this.
    """

    name: StrictStr
    unit: StrictStr
    meaning: StrictStr
    value: Number
    low: Number
    high: Number
    standard_error: Number
    bias: Number = 0.0


@dataclass(frozen=True)
class OpenDirection:
    """A combination of parameters that the data narrow by less than the prior does.

    Attributes
    ----------
    text : str
        The combination in words.
    parts : mapping
        Its direction, the largest part 1.
    errors : float or None
        Standard error along it in prior widths, by the spikes alone; None where they carry no information at all.
    """

    text: StrictStr
    parts: Mapping[StrictStr, Number]
    errors: Known | None


@dataclass(frozen=True)
class IntervalsReport(Report):
    """Intervals of the parameters, and what the data leave open.

    Attributes
    ----------
    method : str
    level : float
        Coverage.
    seconds : float
    parameters : mapping
        Low and high end by scalar parameter; None where a bound came first.
    derived : tuple of Derived
    standard_errors : mapping
        By scalar parameter, including the uncertainty of the refractory period.
    scale : str
        What is open of the mV scale; "" where it is fixed.
    held : tuple of str
        Parameters that hold the scale, and get no interval.
    open : tuple of OpenDirection
    notes : tuple of str
        Where the fit is not the top of its likelihood, and how intervals were corrected.
    estimates : mapping, optional
        By scalar parameter, the top of the likelihood, about which its interval lies; a later stage may have moved
        the fit away from it. None in fits saved by versions that did not keep it.
    spread : mapping, optional
        Of a bootstrap: standard deviation of the draws.
    draws : int, optional
    block_ms : float, optional
    trains : int, optional
        Simulated trains that were refitted for the answers of a neuron without a membrane to read.
    """

    kind: ClassVar[str] = "intervals"
    method: StrictStr
    level: Known
    seconds: Known = 0.0
    parameters: Mapping[StrictStr, Ends] = field(default_factory=dict)
    derived: tuple[Derived, ...] = ()
    standard_errors: Mapping[StrictStr, Number] = field(default_factory=dict)
    scale: StrictStr = ""
    held: tuple[StrictStr, ...] = ()
    open: tuple[OpenDirection, ...] = ()
    notes: tuple[StrictStr, ...] = ()
    estimates: Mapping[StrictStr, Number] | None = None
    spread: Mapping[StrictStr, Number] | None = None
    draws: Count | None = None
    block_ms: Known | None = None
    trains: Count | None = None
