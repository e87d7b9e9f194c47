"""What a named column holds: `current_pA`, `Vm (mV)`, `spike times [s]` ... a quantity and a unit, both required."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ephysfit import units
from ephysfit.errors import RecordingError

#: words that name a quantity, compared without case and separators
WORDS = {
    "time": {"time", "t", "times", "timestamp", "timestamps"},
    "dt": {"dt", "step", "samplinginterval", "sampleinterval"},
    "rate": {"rate", "samplingrate", "samplerate", "fs"},
    "current": {"current", "i", "im", "iinj", "icmd", "stim", "stimulus", "command", "injectedcurrent", "inputcurrent"},
    "voltage": {"voltage", "v", "vm", "membranevoltage", "membranepotential", "potential", "response"},
    "spike_times": {"spiketimes", "spiketime", "spikes"},
    "trial": {"trial", "trials", "sweep", "sweeps", "repeat", "repetition", "episode"},
    "spike_trial": {"spiketrial", "spiketrials", "spikesweep"},
    "n_trials": {"ntrials"},
}
TO_HZ = {"Hz": 1.0, "kHz": 1e3}
#: units of each quantity, and what one is in ours
FACTORS: dict[str, Mapping[str, float]] = {
    "time": units.TO_MS, "dt": units.TO_MS, "rate": TO_HZ, "current": units.TO_PA, "voltage": units.TO_MV,
    "spike_times": units.TO_MS,
}  # fmt: skip
_FORM = re.compile(
    r"^\s*(?P<word>.*?)[\s_]*(?:\(\s*(?P<a>[^)]+?)\s*\)|\[\s*(?P<b>[^\]]+?)\s*\]|[_/\s](?P<c>[^_\s/]+))?\s*$"
)


@dataclass(frozen=True)
class Column:
    """A column: its name in the file, what it is, and the factor into our unit."""

    name: str
    quantity: str
    factor: float


def _fold(word: str) -> str:
    return re.sub(r"[^a-z]", "", word.lower())


def _quantity(word: str) -> str | None:
    folded = _fold(word)
    return next((quantity for quantity, words in WORDS.items() if folded in words), None)


def parse(name: str) -> Column | None:
    """What a column holds by its name, or None where the name says nothing known.

    Raises
    ------
    RecordingError
        If the quantity is clear and its unit missing or unknown.

    Examples
    --------
    >>> parse("I (nA)"), parse("animal")
    (Column(name='I (nA)', quantity='current', factor=1000.0), None)
    >>> parse("time (s)")
    Column(name='time (s)', quantity='time', factor=1000.0)
    """
    match = _FORM.match(name)
    unit = match and (match["a"] or match["b"] or match["c"])
    quantity = _quantity(match["word"]) if match else None
    if (
        quantity in FACTORS and unit and unit in FACTORS[quantity]
    ):  # before the name as a whole: "time (s)" is not "times"
        return Column(name, quantity, FACTORS[quantity][unit])
    whole = _quantity(name)
    if whole is not None and whole not in FACTORS:
        return Column(name, whole, 1.0)
    if whole is not None:
        raise RecordingError(
            f"column {name!r} has no unit: name it for example {_example(whole)!r}, or give columns= and units="
        )
    if quantity is None or unit is None or quantity not in FACTORS:
        return None
    return Column(name, quantity, _factor(name, quantity, unit))


def _example(quantity: str) -> str:
    return {"time": "time_ms", "dt": "dt_ms", "rate": "rate_Hz", "current": "current_pA", "voltage": "voltage_mV"}.get(
        quantity, "spike_times_ms"
    )


def _factor(name: str, quantity: str, unit: str) -> float:
    known = FACTORS[quantity]
    if unit not in known:
        raise RecordingError(f"column {name!r}: {unit!r} is not a unit of {quantity}; known: {', '.join(known)}")
    return known[unit]


def resolve(
    names: Iterable[str], columns: Mapping[str, str | int] | None = None, given: Mapping[str, str] | None = None
) -> dict[str, Column]:
    """Which column holds which quantity.

    Parameters
    ----------
    names
        Of the columns in the file.
    columns
        Quantity to column, as name or position, where names do not say it.
    given
        Quantity to unit, for those.

    Raises
    ------
    RecordingError
        If a column asked for is missing, a unit is missing, or two columns hold one quantity.
    """
    listed, given = list(names), dict(given or {})
    if columns:
        return {quantity: _asked(quantity, wanted, listed, given) for quantity, wanted in columns.items()}
    found: dict[str, Column] = {}
    for name in listed:
        column = parse(name) if name not in given else None
        if column is None:
            continue
        if column.quantity in found:
            both = f"{found[column.quantity].name!r} and {name!r}"
            raise RecordingError(f"columns {both} both hold a {column.quantity}: give columns= to choose")
        found[column.quantity] = column
    return found


def _asked(quantity: str, wanted: str | int, names: list[str], given: Mapping[str, str]) -> Column:
    if quantity not in WORDS:
        raise RecordingError(f"columns: no quantity {quantity!r}; known: {', '.join(WORDS)}")
    missing = wanted not in names if isinstance(wanted, str) else not 0 <= wanted < len(names)
    if missing:
        raise RecordingError(
            f"columns: no column {wanted!r} for the {quantity}; the file has {', '.join(map(repr, names))}"
        )
    name = names[wanted] if isinstance(wanted, int) else wanted
    if quantity not in FACTORS:
        return Column(name, quantity, 1.0)
    if quantity in given:
        return Column(name, quantity, _factor(name, quantity, given[quantity]))
    parsed = parse(name)
    if parsed is None or parsed.quantity != quantity:
        raise RecordingError(f"column {name!r}: its unit is not known; give units={{{quantity!r}: ...}}")
    return parsed
