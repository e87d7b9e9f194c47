"""Meaning of column names (`current_pA`, `Vm (mV)`, `spike times [s]`): a quantity and a unit, both required."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ephysfit import units
from ephysfit.errors import RecordingError, near, some

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
#: of rates alone the case says nothing: there is no other unit that "hz" could be
RATES = {name.lower(): name for name in TO_HZ}
#: units of each quantity, and the factor into ms, mV, pA or Hz
FACTORS: dict[str, Mapping[str, float]] = {
    "time": units.TO_MS, "dt": units.TO_MS, "rate": TO_HZ, "current": units.TO_PA, "voltage": units.TO_MV,
    "spike_times": units.TO_MS,
}  # fmt: skip
_FORM = re.compile(
    r"^\s*(?P<word>.*?)[\s_]*(?:\(\s*(?P<a>[^)]+?)\s*\)|\[\s*(?P<b>[^\]]+?)\s*\]|[_/\s](?P<c>[^_\s/]+))?\s*$"
)


#: quantities that a column may hold by its unit alone, where no name says one ("Trace #1 (mV)")
BY_UNIT = ("time", "current", "voltage")
#: what distinguishes a second column of the same name
_COPY = re.compile(r" #\d+$")


@dataclass(frozen=True)
class Column:
    """A column of a table and its meaning.

    Attributes
    ----------
    name : str
        Name in the file.
    quantity : str
        What it holds, a key of `WORDS`.
    factor : float
        Factor into ms, mV, pA or Hz.
    how : str
        How that is known, if not by the name.
    """

    name: str
    quantity: str
    factor: float
    how: str = ""


def _fold_case(word: str) -> str:
    return re.sub(r"[^a-z]", "", word.lower())


def _find_quantity(word: str) -> str | None:
    folded = _fold_case(word)
    return next((quantity for quantity, words in WORDS.items() if folded in words), None)


def parse_column(name: str) -> Column | None:
    """Read the quantity and unit of a column from its name; None if the name says nothing known.

    Raises
    ------
    RecordingError
        If the quantity is clear and its unit missing or unknown.

    Examples
    --------
    >>> parse_column("I (nA)"), parse_column("animal")
    (Column(name='I (nA)', quantity='current', factor=1000.0, how=''), None)
    >>> parse_column("time (s)")
    Column(name='time (s)', quantity='time', factor=1000.0, how='')
    """
    name, given = _COPY.sub("", name), name
    match = _FORM.match(name)
    unit = match and (match["a"] or match["b"] or match["c"])
    quantity = _find_quantity(match["word"]) if match else None
    if (
        quantity in FACTORS and unit and unit in FACTORS[quantity]
    ):  # before the name as a whole: "time (s)" is not "times"
        return Column(given, quantity, FACTORS[quantity][unit])
    whole = _find_quantity(name)
    if whole is not None and whole not in FACTORS:
        return Column(given, whole, 1.0)
    if whole is not None:
        raise RecordingError(
            f"column {name!r} has no unit: name it for example {_make_example_name(whole)!r}, or give "
            f"units={{{whole!r}: ...}}"
        )
    if quantity is None or unit is None or quantity not in FACTORS:
        return None
    return Column(given, quantity, _find_factor(name, quantity, unit))


def _make_example_name(quantity: str) -> str:
    return {"time": "time_ms", "dt": "dt_ms", "rate": "rate_Hz", "current": "current_pA", "voltage": "voltage_mV"}.get(
        quantity, "spike_times_ms"
    )


def _find_factor(name: str, quantity: str, unit: str) -> float:
    known = FACTORS[quantity]
    if quantity == "rate" and unit.lower() in RATES:
        return known[RATES[unit.lower()]]
    if unit not in known:
        raise RecordingError(
            f"column {name!r}: {unit!r} is not a unit of {quantity}; known: {', '.join(known)}; if the name is "
            f"wrong, give the unit: units={{{name!r}: ...}} (-O units.{quantity}=...)"
        )
    return known[unit]


def assign_columns(
    names: Iterable[str],
    columns: Mapping[str, str | int | None] | None = None,
    given: Mapping[str, str] | None = None,
) -> dict[str, Column]:
    """Assign columns to quantities: as requested, else by the word in the name, else by the unit.

    Parameters
    ----------
    names
        Names of the columns in the file.
    columns
        Quantity to column, as name or position, where the names do not show it; None leaves a quantity out.
    given
        Quantity, or name of a column, to unit, where the names do not show it or are wrong.

    Raises
    ------
    RecordingError
        If a requested column is missing, a unit is missing, or two columns hold one quantity.

    Examples
    --------
    >>> found = assign_columns(["Time (ms)", "Trace #1 (mV)", "I_nA"], given={"I_nA": "pA"})
    >>> {quantity: (column.name, column.factor) for quantity, column in found.items()}
    {'time': ('Time (ms)', 1.0), 'current': ('I_nA', 1.0), 'voltage': ('Trace #1 (mV)', 1.0)}
    """
    listed, asked, given = list(names), dict(columns or {}), dict(given or {})
    _check_units(given, listed)
    found = {q: _parse_requested(q, wanted, listed, given) for q, wanted in asked.items() if wanted is not None}
    left = [name for name in listed if name not in {column.name for column in found.values()}]
    for column in filter(None, (_parse_by_name(name, asked, given) for name in left)):
        if column.quantity in found:
            both = f"{found[column.quantity].name!r} and {column.name!r}"
            raise RecordingError(f"columns {both} both hold a {column.quantity}: give columns= to choose")
        found[column.quantity] = column
    taken = {column.name for column in found.values()}
    for quantity in BY_UNIT:
        if quantity not in found and quantity not in asked:
            found.update(_parse_by_unit(quantity, [name for name in left if name not in taken], found, given))
    return found


def _check_units(given: Mapping[str, str], names: list[str]) -> None:
    for name in given:
        if name not in FACTORS and name not in names:
            raise RecordingError(
                f"units: {name!r} is neither a quantity nor a column; {near(name, [*FACTORS, *names])}"
            )


def _parse_by_name(name: str, asked: Mapping[str, object], given: Mapping[str, str]) -> Column | None:
    """Read the quantity from the word in a name, in the unit given for it or in that of its name."""
    folded = _COPY.sub("", name)
    match = _FORM.match(folded)
    by_words = (_find_quantity(match["word"]) if match else None, _find_quantity(folded))
    for quantity in filter(None, by_words):
        unit = given.get(name, given.get(quantity))
        if unit is not None and quantity in FACTORS and quantity not in asked:
            return Column(name, quantity, _find_factor(name, quantity, unit), f"in {unit}, as units= says")
    if any(quantity in asked for quantity in by_words):
        return None
    column = parse_column(name)
    return None if column is None or column.quantity in asked else column


def _parse_by_unit(
    quantity: str, names: list[str], found: Mapping[str, Column], given: Mapping[str, str]
) -> dict[str, Column]:
    """Find the one column with a unit of this quantity in brackets, where no name shows the quantity."""
    units_of = {name: given.get(name) or find_bracketed_unit(name) for name in names}
    fitting = [name for name, unit in units_of.items() if unit in FACTORS[quantity]]
    if len(fitting) > 1 and not (quantity == "voltage" and "spike_times" in found) and quantity != "time":
        raise RecordingError(
            f"columns {some(map(repr, fitting))} are in units of {quantity}, and no name says which is the {quantity}: "
            f"give columns={{{quantity!r}: ...}}"
        )
    if len(fitting) != 1:
        return {}
    unit = given.get(quantity) or units_of[fitting[0]] or ""
    return {quantity: Column(fitting[0], quantity, _find_factor(fitting[0], quantity, unit), "by its unit")}


def find_bracketed_unit(name: str) -> str:
    """Find the unit in brackets at the end of a name; empty if there is none.

    Examples
    --------
    >>> find_bracketed_unit("Trace #1 (mV)"), find_bracketed_unit("I-mon[A]"), find_bracketed_unit("current_pA")
    ('mV', 'A', '')
    """
    match = _FORM.match(_COPY.sub("", name))
    return (match["a"] or match["b"] or "") if match else ""


def find_unit(name: str, quantity: str) -> str:
    """Find the unit at the end of a name, in brackets or after a separator, if it fits the quantity; else empty.

    Examples
    --------
    >>> find_unit("I3 (nA)", "current"), find_unit("V_3_mV", "voltage"), find_unit("I_3", "current")
    ('nA', 'mV', '')
    """
    match = _FORM.match(_COPY.sub("", name))
    unit = (match["a"] or match["b"] or match["c"] or "") if match else ""
    return unit if unit in FACTORS.get(quantity, ()) else ""


def _parse_requested(quantity: str, wanted: str | int, names: list[str], given: Mapping[str, str]) -> Column:
    if quantity not in WORDS:
        raise RecordingError(f"columns: no quantity {quantity!r}; known: {', '.join(WORDS)}")
    missing = wanted not in names if isinstance(wanted, str) else not 0 <= wanted < len(names)
    if missing:
        raise RecordingError(f"columns: no column {wanted!r} for the {quantity}; the file has {some(map(repr, names))}")
    name = names[wanted] if isinstance(wanted, int) else wanted
    if quantity not in FACTORS:
        return Column(name, quantity, 1.0)
    unit = given.get(name, given.get(quantity)) or find_bracketed_unit(name)
    if unit:
        return Column(name, quantity, _find_factor(name, quantity, unit))
    parsed = parse_column(name)
    if parsed is None or parsed.quantity != quantity:
        raise RecordingError(f"column {name!r}: its unit is not known; give units={{{quantity!r}: ...}}")
    return parsed
