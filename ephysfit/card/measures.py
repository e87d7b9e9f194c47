"""Measures and cards: values with unit, interval, sweeps, and how they were found or why they are missing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy  # loads its parts when they are first used

from ephysfit.errors import EphysfitError, near

#: part of the intervals
CONFIDENCE = 0.95


#: how intervals are made: of a mean over pulses or sweeps, and of a fit
STUDENT = "Student's, of the mean over pulses"
JACKKNIFE = "jackknife over pulses; of noise: over tenths of its time"


@dataclass(frozen=True)
class Definition:
    """What a measure is.

    Attributes
    ----------
    label : str, as tables show it
    unit : str
    formula : str, how it follows from current, voltage and spikes
    source : str, where it is defined so
    interval : str, how the 95 % interval is made
    """

    label: str
    unit: str
    formula: str
    source: str
    interval: str = STUDENT


#: every measure of a card, in its order
DEFINITIONS: Mapping[str, Definition] = MappingProxyType(
    {
        "rest": Definition(
            "resting potential", "mV", "V₀ - R I₀, where V₀ is the median voltage before the pulses and I₀ the current "
            "there; between spikes of noise: E_L of the regression", "eFEL voltage_base; ipfx v_baseline (both: V₀)",
            "those of V₀ and of R I₀, added in squares; of noise: jackknife over tenths of its time"),
        "holding_potential": Definition(
            "potential before pulses", "mV", "V₀: median voltage of up to 500 ms before a pulse, mean over pulses",
            "eFEL voltage_base", "Student's, of the mean over sweeps"),
        "input_resistance": Definition(
            "input resistance", "MOhm", "asymptote of the fitted exponentials over the amplitude of the pulse, without "
            "the jump at its beginning (electrode) and without a slow component of opposite sign (sag)",
            "Golowasch et al. 2009, J Neurophysiol 102:2161", JACKKNIFE),
        "steady_resistance": Definition(
            "steady resistance", "MOhm", "mean change of the voltage in the last fifth of the pulse, over its "
            "amplitude, without the jump", "eFEL ohmic_input_resistance_vb_ssse (with the jump)", JACKKNIFE),
        "tau": Definition(
            "membrane time constant", "ms", "slowest fitted exponential of the sign of the pulse; between spikes of "
            "noise: C / g of the regression", "Rall 1969, Biophys J 9:1483; Badel et al. 2008, J Neurophysiol 99:656",
            JACKKNIFE),
        "capacitance": Definition(
            "capacitance", "pF", "τ / R₀, where R₀ is the part of the resistance that charges with τ",
            "Golowasch et al. 2009, J Neurophysiol 102:2161", JACKKNIFE),
        "access_resistance": Definition(
            "access resistance left", "MOhm", "jump of the voltage at the beginning of a pulse, extrapolated from the "
            "fitted exponentials, over the amplitude; of noise: response to the last ms beyond the membrane's",
            "ephysfit.data.electrode.measure_bridge",
            "jackknife over pulses; of noise: Student's, over its blocks"),
        "sag_ratio": Definition(
            "sag ratio", "", "(V_min - V_steady) / (V_min - V₀) of the hyperpolarising pulse that comes nearest to "
            "-100 mV; V_min: mean of 5 ms about the minimum", "ipfx sag; eFEL sag_ratio1"),
        "rheobase": Definition(
            "rheobase", "pA", "amplitude of the pulse, above the current before it, at which half of the pulses make a "
            "spike, on a straight line between neighbouring amplitudes; interval: those amplitudes",
            "ipfx rheobase_i (the smallest amplitude with a spike)", "the neighbouring amplitudes"),
        "threshold": Definition(
            "threshold", "mV", "voltage where dV/dt passes a tenth of the spike's steepest rise, of the first spike "
            "at the five smallest amplitudes that fire",
            "Azouz & Gray 1999, J Neurosci 19:2209; ipfx threshold_v (a twentieth)"),
        "spike_height": Definition("spike height", "mV", "peak - threshold", "eFEL AP_amplitude"),
        "spike_width": Definition(
            "spike width", "ms", "width half-way from threshold to peak", "eFEL AP_duration_half_width"),
        "ahp_depth": Definition(
            "AHP depth", "mV", "depth of the after-hyperpolarisation: threshold - lowest voltage before the next "
            "spike, within 200 ms",
            "eFEL fast_AHP"),
        "ahp_time": Definition(
            "AHP time", "ms", "peak to lowest voltage before the next spike",
            "eFEL AHP_time_from_peak"),
        "first_spike_latency": Definition(
            "first-spike latency", "ms", "beginning of the pulse to the onset of its first spike, at the smallest "
            "amplitude that fires", "ipfx latency; eFEL time_to_first_spike (to the peak)"),
        "fi_slope": Definition(
            "f-I slope", "Hz/pA", "slope of the line through the rates of the pulses that fire, up to the largest rate",
            "ipfx fi_fit_slope", "Student's, of the slope of the line"),
        "max_rate": Definition(
            "largest rate", "Hz", "largest mean over one amplitude of spikes over the length of the pulse",
            "ipfx avg_rate; eFEL mean_frequency (up to the last spike)",
            "Student's, of the mean over the pulses of that amplitude"),
        "adaptation_index": Definition(
            "adaptation index", "", "mean of (ISI₂ - ISI₁) / (ISI₂ + ISI₁) over neighbouring intervals, of pulses of "
            "4 spikes or more", "ipfx adapt; eFEL adaptation_index2 (from the second interval on)"),
        "isi_cv": Definition(
            "coefficient of variation", "", "standard deviation over mean of the intervals, of pulses of 4 spikes or "
            "more; of noise: of each sweep", "eFEL ISI_CV (without the first interval); ipfx isi_cv"),
        "drift": Definition(
            "drift of the baseline", "mV", "mean V₀ of the last third of the pulses minus that of the first; of "
            "noise: of E_L in the last and the first third of the time", "this project",
            "Student's, of the difference of two means; none for noise"),
    }
)  # fmt: skip


#: what cannot be below 0, so that an interval ends there
POSITIVE = frozenset({
    "input_resistance", "steady_resistance", "tau", "capacitance", "spike_height", "spike_width", "ahp_time",
    "first_spike_latency", "max_rate", "isi_cv",
})  # fmt: skip


@dataclass(frozen=True)
class Measure:
    """One value of a card.

    Attributes
    ----------
    name : str, a key of `DEFINITIONS`
    value : float or None, in `unit`; None where the recording does not hold it
    low, high : float or None, 95 % interval; None where one sweep gives the value
    sweeps : int, pulses or sweeps that it rests on
    how : str, how it was measured
    why_missing : str, why there is no value; "" where there is one

    Examples
    --------
    >>> found = Measure("tau", 21.3, 19.8, 22.8, 6, "single exponential, pulses of -20 pA")
    >>> str(found)
    'membrane time constant 21.3 ms (19.8 to 22.8; n = 6)'
    >>> str(Measure.missing("tau", "no voltage"))
    'membrane time constant – (no voltage)'
    """

    name: str
    value: float | None
    low: float | None = None
    high: float | None = None
    sweeps: int = 0
    how: str = ""
    why_missing: str = ""

    def __post_init__(self) -> None:
        if self.name not in DEFINITIONS:
            raise KeyError(f"no measure {self.name!r} in ephysfit.card.measures; {near(self.name, DEFINITIONS)}")
        if (self.value is None) != bool(self.why_missing):
            raise ValueError(f"{self.name}: a measure has either a value or a reason why it has none, not both")
        for name in ("value", "low", "high"):
            number = getattr(self, name)
            object.__setattr__(self, name, None if number is None else float(number))
        if self.name in POSITIVE and self.low is not None:
            object.__setattr__(self, "low", max(self.low, 0.0))

    @classmethod
    def missing(cls, name: str, why: str) -> Measure:
        """Make the measure that a recording does not hold, with the reason."""
        return cls(name, None, why_missing=why)

    @property
    def label(self) -> str:
        """Name as tables show it."""
        return DEFINITIONS[self.name].label

    @property
    def unit(self) -> str:
        """Unit; "" for a pure number."""
        return DEFINITIONS[self.name].unit

    @property
    def interval(self) -> str:
        """The interval as text; "" for none."""
        if self.low is None or self.high is None:
            return ""
        return f"{format_number(self.low)} to {format_number(self.high)}"

    def __str__(self) -> str:
        if self.value is None:
            return f"{self.label} – ({self.why_missing})"
        inside = "; ".join(filter(None, [self.interval, f"n = {self.sweeps}"]))
        return " ".join(filter(None, [self.label, format_number(self.value), self.unit, f"({inside})"]))


@dataclass(frozen=True)
class Card:
    """The card of a cell, or of a model of it.

    Attributes
    ----------
    cell : str
    source : str, the recording, or the model and what it was simulated on
    measures : tuple of Measure, one per entry of `DEFINITIONS`, in their order
    warnings : tuple of str, what makes values doubtful

    Examples
    --------
    >>> card = Card.of("cell", "file.nwb", [Measure("tau", 20.0, sweeps=1, how="single exponential")])
    >>> card["tau"].value, card["sag_ratio"].why_missing
    (20.0, 'not measured')
    """

    cell: str
    source: str
    measures: tuple[Measure, ...]
    warnings: tuple[str, ...] = ()

    @classmethod
    def of(cls, cell: str, source: str, measures: Sequence[Measure], warnings: Sequence[str] = ()) -> Card:
        """Make a card of the measures found, in the order of `DEFINITIONS`."""
        found = {m.name: m for m in measures}
        whole = tuple(found.get(name) or Measure.missing(name, "not measured") for name in DEFINITIONS)
        return cls(cell, source, whole, tuple(warnings))

    def __getitem__(self, name: str) -> Measure:
        for m in self.measures:
            if m.name == name:
                return m
        raise CardError(f"a card has no {name!r}; {near(name, DEFINITIONS)}")

    def __iter__(self) -> Iterator[Measure]:
        return iter(self.measures)

    def __str__(self) -> str:
        return "\n".join([f"{self.cell} ({self.source})", *(f"  {m}" for m in self.measures)])

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: measures by name, each with label and unit."""
        measures = {m.name: {"label": m.label, "unit": m.unit} | _without_name(m) for m in self.measures}
        return {"cell": self.cell, "source": self.source, "measures": measures, "warnings": list(self.warnings)}


class CardError(EphysfitError, KeyError):
    """A measure that no card has."""

    def __str__(self) -> str:
        return str(self.args[0])  # a KeyError shows the representation of its text


def _without_name(m: Measure) -> dict[str, Any]:
    return {k: v for k, v in asdict(m).items() if k != "name"}


def compute_ratio(cell: Measure, model: Measure) -> float | None:
    """Compute model over cell, as `divide_values` does.

    Examples
    --------
    >>> compute_ratio(Measure("tau", 20.0), Measure("tau", 22.0))
    1.1
    """
    return divide_values(cell.name, cell.value, model.value)


def divide_values(name: str, cell: float | None, model: float | None) -> float | None:
    """Compute model over cell; None where either is missing, or a ratio means nothing (potentials, values about 0).

    Examples
    --------
    >>> divide_values("tau", 20.0, 22.0), divide_values("rest", -70.0, -65.0), divide_values("tau", 20.0, None)
    (1.1, None, None)
    """
    if cell is None or model is None or name in POTENTIALS or abs(cell) < 1e-9 or cell * model < 0:
        return None
    return round(model / cell, 12)


#: potentials have no natural zero, and drift and adaptation lie about 0: these are compared by their difference
POTENTIALS = frozenset({"rest", "holding_potential", "threshold", "drift", "adaptation_index"})


def format_number(value: float) -> str:
    """Format a number with three significant digits, four decimals at most and no exponent.

    Examples
    --------
    >>> [format_number(v) for v in (-71.234, 0.01234, 1234.5, 1e-6)]
    ['-71.2', '0.0123', '1234', '0']
    """
    if not value:
        return "0"
    digits = max(2 - int(np.floor(np.log10(abs(value)))), 0)
    text = f"{value:.{min(digits, 4)}f}"
    return text if float(text) else "0"


def summarise(
    name: str, values: npt.ArrayLike, how: str, why_missing: str, weights: npt.ArrayLike | None = None
) -> Measure:
    """Make a measure of one value per sweep: (weighted) mean with Student's interval of it.

    Parameters
    ----------
    name
        Of the measure.
    values
        One per sweep; those that are not finite are left out.
    how, why_missing
        How it was measured, and the reason if no value is left.
    weights
        One per sweep; equal unless given.

    Examples
    --------
    >>> summarise("spike_width", [1.0, 1.2, 1.1], "first spikes", "no spike").interval
    '0.852 to 1.35'
    """
    x = np.asarray(values, dtype=np.float64)
    w = np.ones_like(x) if weights is None else np.asarray(weights, dtype=np.float64)
    x, w = x[np.isfinite(x)], w[np.isfinite(x)]
    if not x.size:
        return Measure.missing(name, why_missing)
    share = w / w.sum()
    mean, n = float(share @ x), len(x)
    if n < 2:
        return Measure(name, mean, None, None, n, how)
    error = float(np.sqrt(np.sum(share**2 * (x - mean) ** 2) * n / (n - 1)))
    half = error * student(n - 1)
    return Measure(name, mean, mean - half, mean + half, n, how)


def student(freedom: int) -> float:
    """Factor of a standard error that gives the half width of an interval."""
    return float(scipy.special.stdtrit(freedom, 0.5 + CONFIDENCE / 2))
