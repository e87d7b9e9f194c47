"""A neuron is a class; one cell's parameter set is a frozen instance of it.

The author of a model writes parameters, states and three or four equations (`flow`, `margin`, `jump` and, for a
stochastic neuron, `hazard`) as plain arithmetic. What the fields of an instance hold (floats, tensors, symbols,
dimensions) decides what the same lines yield; see docs/architecture.
"""

from __future__ import annotations

import math
from collections import namedtuple
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import inf, isfinite
from typing import TYPE_CHECKING, Any, ClassVar, Self, overload

import numpy as np

from ephysfit.errors import NeuronError, UnknownNameError, near
from ephysfit.neuron.class_table import ShownInNotebooks, make_neuron_table
from ephysfit.neuron.functions import Bank, elements
from ephysfit.neuron.potential_unit import name_unit
from ephysfit.neuron.readings import Reading
from ephysfit.neuron.roles import CONVENTIONS, PLACE_NAMES, PLACES, STATE_CONVENTIONS, Role
from ephysfit.units import find_dimension

#: width of a prior where none is declared, as a fraction of the distance between the bounds
WIDTH = 0.3
#: a value below this has no logarithm that a float can hold
SMALLEST = 1e-300


@dataclass(frozen=True)
class Parameter:
    """A constant of one cell: unit, bounds, meaning; the only place where these stand.

    Parameters
    ----------
    unit : str
        One of `ephysfit.units.DIMENSIONS`.
    low, high : float
        Bounds, in that unit. A fit never leaves them and says when it ends on one.
    doc : str
        What it is, for tables, docs and reports.
    start : float or tuple of float, optional
        A typical value, where a cold fit begins; the middle of the bounds unless given. A tuple for a bank.
    size : int
        1 for a number; more for a bank (one value per element).
    log : bool, optional
        Whether equal ratios count as equal steps; by default for positive bounds that span a factor of 8 or more.
    smooth : bool
        False for a parameter on which a spike train depends in jumps (``t_ref``); derivative-free search fits it.
    width : float, optional
        Scale of the prior about `start`, in the parameter's unit (in e-folds if it counts in ratios); 0.3 of the
        distance between the bounds unless given.
    measured : str
        For a parameter that is read off the recording and not fitted: ``"current mean"`` or ``"current std"`` of the
        training data (pA), which set the operating point of a neuron with a standardised input.
    early : bool
        Whether a cold likelihood fit moves it first, as it should a parameter in which the log rate is (nearly) linear.
    role : Role, optional
        What it stands for; by default by its letter, where that is the usual one (`roles.CONVENTIONS`).
    place : bool, optional
        For a parameter in mV without a role: whether it is a position on the axis of potentials, which moves with the
        axis's origin (a reversal potential), and not a distance along it. By default where its name begins with ``E_``
        or ``V_``.
    """

    unit: str
    low: float = -inf
    high: float = inf
    doc: str = ""
    start: float | tuple[float, ...] | None = None
    size: int = 1
    log: bool | None = None
    smooth: bool = True
    width: float | None = None
    measured: str = ""
    early: bool = False
    role: Role | None = None
    place: bool | None = None

    def __post_init__(self) -> None:
        find_dimension(self.unit)
        if not self.low < self.high:
            raise NeuronError(f"bounds [{self.low}, {self.high}] {self.unit}: low must be below high")
        if not (isfinite(self.low) and isfinite(self.high)):
            raise NeuronError(f"bounds [{self.low}, {self.high}] {self.unit}: a fit needs finite bounds on both sides")
        for value in self.starts:
            if not self.low <= value <= self.high:
                raise NeuronError(f"start {value} {self.unit} lies outside its bounds [{self.low}, {self.high}]")

    if TYPE_CHECKING:  # on an instance the name stands for its value: a number, a tensor, a symbol

        @overload
        def __get__(self, instance: None, owner: type) -> Parameter: ...
        @overload
        def __get__(self, instance: object, owner: type) -> Any: ...
        def __get__(self, instance: object | None, owner: type) -> Any: ...

    @property
    def logarithmic(self) -> bool:
        """Whether its axis is logarithmic: equal ratios count as equal steps."""
        return (self.low > 0 and self.high >= 8 * self.low) if self.log is None else self.log

    def to_axis(self, value: float) -> float:
        """The place of a value on the axis that fits move along: its logarithm, or the value itself."""
        return math.log(max(value, SMALLEST)) if self.logarithmic else value

    def from_axis(self, place: float) -> float:
        """The value at a place on the axis."""
        return math.exp(place) if self.logarithmic else place

    @property
    def ends(self) -> tuple[float, float]:
        """The bounds on the axis."""
        return self.to_axis(self.low), self.to_axis(self.high)

    @property
    def prior_width(self) -> float:
        """Scale of the prior about the start, on the axis: `width`, or 0.3 of the distance between the bounds."""
        low, high = self.ends
        return WIDTH * (high - low) if self.width is None else self.width

    def fraction(self, value: float) -> float:
        """How far between its bounds a value lies on the axis, 0 to 1.

        Examples
        --------
        >>> Parameter("ms", 1.0, 100.0).fraction(10.0)
        0.5
        """
        low, high = self.ends
        return (self.to_axis(min(max(value, self.low), self.high)) - low) / (high - low)

    @property
    def starts(self) -> tuple[float, ...]:
        """One start value per element."""
        if isinstance(self.start, tuple):
            return self.start
        middle = (self.low * self.high) ** 0.5 if self.logarithmic else (self.low + self.high) / 2
        return (middle if self.start is None else float(self.start),) * self.size


@dataclass(frozen=True)
class State:
    """What changes in time: unit, value at rest (a number or a parameter's name), meaning, size of a bank, role."""

    unit: str
    rest: float | str = 0.0
    doc: str = ""
    size: int = 1
    role: Role | None = None

    def __post_init__(self) -> None:
        find_dimension(self.unit)


@dataclass(frozen=True)
class Input:
    """A driving signal; every neuron has ``I`` in pA unless it declares others."""

    unit: str = "pA"
    doc: str = "injected current"

    def __post_init__(self) -> None:
        find_dimension(self.unit)


Tie = Callable[[Any], Any]


def _make_html(shown: type[Neuron] | Neuron) -> str:
    """A class with its starts and bounds, or a cell with its values, for notebooks."""
    kind = shown if isinstance(shown, type) else type(shown)
    values = None if isinstance(shown, type) else shown.values()
    unit = lambda text: name_unit(kind, text)  # noqa: E731
    return make_neuron_table(kind.__name__, kind.__doc__ or "", kind.parameters, kind.states, values, unit)


class Neuron:
    """Base of all neurons. A subclass declares parameters and states and writes the equations.

    A declaration has `Parameter` and `State` class attributes and the methods

    ``flow(self, x, I)``
        dict of time derivatives (per ms) of the states that move between spikes;
    ``margin(self, x)``
        distance to threshold (mV): the neuron spikes when it reaches 0 from below;
    ``jump(self, x)``
        dict of the states a spike changes, with their new values;
    ``hazard(self, u)``
        optional: spike rate (1/ms) of the stochastic neuron at margin ``u``.

    ``hold`` names the states that stay put for the refractory period after a spike; by default the membrane potential.
    Equations return only what changes and hold no ``if`` on state. A neuron is final: pin its parameters or write a new
    one.

    Examples
    --------
    >>> from ephysfit.models.lif import LIF
    >>> cell = LIF(C=100.0, g=5.0, E_L=-70.0, theta=-50.0, V_reset=-65.0, t_ref=2.0, delta=2.0)
    >>> cell.replace(g=10.0).g
    10.0
    """

    hold: ClassVar[tuple[str, ...]] = ()
    reference: ClassVar[str] = ""
    #: what its terms stand for in the cell, in a sentence or two (shown by `ephysfit models`)
    biology: ClassVar[str] = ""
    #: why the rest values are not a fixed point without input, for a neuron where they are not (read by `check_neuron`)
    drifts: ClassVar[str] = ""
    parameters: ClassVar[Mapping[str, Parameter]] = {}
    states: ClassVar[Mapping[str, State]] = {}
    inputs: ClassVar[Mapping[str, Input]] = {"I": Input()}
    pinned: ClassVar[Mapping[str, float | tuple[float, ...] | Tie]] = {}
    #: names of parameters (free or pinned) and states by what they stand for
    roles: ClassVar[Mapping[Role, str]] = {}
    base: ClassVar[type[Neuron] | None] = None
    #: why the likelihood of replayed spikes is no guide to its parameters, for a neuron where it is not: fits search
    searched: ClassVar[str] = ""
    #: what spikes in noise leave open of its answer to a steady current, for a neuron where they do: fits assume steps
    sustained: ClassVar[str] = ""
    #: other places, beside the declared starts, where a cold fit may begin: values by parameter name
    alternatives: ClassVar[tuple[Mapping[str, Any], ...]] = ()
    #: what spikes determine of it beside its membrane, where its parameters are exchanged for one another
    readings: ClassVar[tuple[Reading, ...]] = ()
    State: ClassVar[Any] = None
    if TYPE_CHECKING:
        #: classes are keys of caches; mypy would hold the instances' method against that
        __hash__: ClassVar[Any]

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if cls.__dict__.get("base") is not None:
            return
        ancestor = next((b for b in cls.__mro__[1:] if getattr(b, "states", None)), None)
        if ancestor is not None:
            raise NeuronError(
                f"{cls.__name__} derives from {ancestor.__name__}, but a neuron is final: "
                f"use {ancestor.__name__}.pin(...) or write a new one"
            )
        own = vars(cls)
        cls.parameters = {k: v for k, v in own.items() if isinstance(v, Parameter)}
        cls.states = {k: v for k, v in own.items() if isinstance(v, State)}
        cls.inputs = {k: v for k, v in own.items() if isinstance(v, Input)} or {"I": Input()}
        cls.roles = _roles(cls)
        if "hold" not in own:
            cls.hold = (cls.roles[Role.POTENTIAL],) if Role.POTENTIAL in cls.roles else ()
        _check_declaration(cls)
        cls.State = _state_type(cls)

    def __init__(self, **values: Any) -> None:
        cls = type(self)
        for name in values:
            if name not in cls.parameters:
                where = (
                    f"{name} is pinned in {cls.__name__}"
                    if name in cls.pinned
                    else f"{cls.__name__} has no parameter {name!r}"
                )
                raise NeuronError(f"{where}; {near(name, cls.parameters)}")
        missing = [n for n in cls.parameters if n not in values]
        if missing:
            raise NeuronError(
                f"{cls.__name__} needs {', '.join(missing)} ({', '.join(cls.parameters)} in all); "
                f"{cls.__name__}.start() has the declared start of each"
            )
        for name, parameter in cls.parameters.items():
            object.__setattr__(self, name, _shaped(cls, name, parameter, values[name]))
        for name, value in sorted(cls.pinned.items(), key=lambda item: callable(item[1])):  # ties read the numbers
            object.__setattr__(self, name, value(self) if callable(value) else _bank(value))

    def __setattr__(self, name: str, value: Any) -> None:
        raise NeuronError(f"{type(self).__name__} is frozen; use .replace({name}=...) for a changed copy")

    if not TYPE_CHECKING:  # a type checker would then take every name for a field

        def __getattr__(self, name: str) -> Any:
            raise _make_name_error(type(self).__name__, "parameter", name, (*self.parameters, *self.pinned))

    def __repr__(self) -> str:
        inside = ", ".join(f"{n}={_short(getattr(self, n))}" for n in self.parameters)
        return f"{type(self).__name__}({inside})"

    _repr_html_ = ShownInNotebooks(_make_html)

    def values(self) -> dict[str, Any]:
        """The free parameters of this instance by name."""
        return {n: getattr(self, n) for n in self.parameters}

    def replace(self, **values: Any) -> Self:
        """A copy with some parameters changed."""
        return type(self)(**{**self.values(), **values})

    @classmethod
    def start(cls) -> Self:
        """The instance every cold fit begins with: each parameter's declared start."""
        return cls(**{n: p.starts if p.size > 1 else p.starts[0] for n, p in cls.parameters.items()})

    @classmethod
    def pin(cls, name: str, doc: str = "", **values: float | tuple[float, ...] | Tie | Parameter) -> type[Self]:
        """The same equations with some parameters fixed: a nested model, again a class.

        Parameters
        ----------
        name, doc : str
            Name and docstring of the new class.
        **values : float, tuple, callable or Parameter
            A number (a tuple for a bank) fixes the parameter; a callable of the instance ties it to the others,
            as in ``tau_w=lambda p: p.C / p.g``; a `Parameter` leaves it free within other bounds.

        Raises
        ------
        NeuronError
            If a name is not a free parameter, is declared again with another unit or size, or is fixed at another
            number of values than it has, or at one that is not finite.
        """
        for key, value in values.items():
            if key not in cls.parameters:
                raise NeuronError(f"{cls.__name__} has no free parameter {key!r} to pin; {near(key, cls.parameters)}")
            was = cls.parameters[key]
            if isinstance(value, Parameter) and (value.unit, value.size) != (was.unit, was.size):
                raise NeuronError(
                    f"{name}.{key} is {value.size} in {value.unit}, but {cls.__name__}'s is {was.size} in {was.unit}; "
                    "a pin changes bounds and start only"
                )
            if not isinstance(value, Parameter) and not callable(value):
                _check_pinned_value(f"{name}.{key}", value, was)
        bounds = {k: v for k, v in values.items() if isinstance(v, Parameter)}
        fixed = {k: v for k, v in values.items() if not isinstance(v, Parameter)}
        inherited = ("reference", "biology", "hold", "alternatives", "searched", "sustained", "roles")
        body = {
            "base": cls,
            "__doc__": doc or cls.__doc__,
            "__module__": cls.__module__,
            **{k: getattr(cls, k) for k in inherited},
        }
        new: type[Self] = type(name, (cls,), body)
        new.parameters = {k: bounds.get(k, v) for k, v in cls.parameters.items() if k not in fixed}
        new.states, new.inputs, new.State = cls.states, cls.inputs, cls.State
        new.pinned = {**fixed, **cls.pinned}  # what is pinned later may be read by earlier ties: it comes first
        return new

    @classmethod
    def name_of(cls, role: Role) -> str | None:
        """The parameter (free or pinned) or state that has a role; None where the neuron has none."""
        return cls.roles.get(role)

    @classmethod
    def free_name_of(cls, role: Role) -> str | None:
        """The free parameter that has a role; None where it is pinned or the neuron has none."""
        name = cls.roles.get(role)
        return name if name in cls.parameters else None

    def value_of(self, role: Role, default: Any = None) -> Any:
        """The value of the parameter that has a role, free or pinned; `default` where the neuron has none."""
        name = type(self).roles.get(role)
        return default if name is None else getattr(self, name)

    def threshold_at_rest(self) -> Any:
        """Threshold of a cell long at rest, mV; a neuron whose threshold follows its potential overrides this."""
        return self.value_of(Role.THRESHOLD)

    @property
    def refractory_ms(self) -> Any:
        """Absolute refractory period, ms (one per cell where parameters are tensors); 0 where the neuron has none."""
        return self.value_of(Role.REFRACTORY, 0.0)

    @classmethod
    def places(cls) -> tuple[str, ...]:
        """Free parameters that are places on the axis of potentials, which move with its origin."""
        by_name = {name: role for role, name in cls.roles.items()}
        return tuple(n for n, p in cls.parameters.items() if _is_place(n, p, by_name.get(n)))

    @classmethod
    def state_names(cls) -> tuple[str, ...]:
        """Names of all scalar states, banks unrolled."""
        return tuple(flat_names(cls.states))

    @classmethod
    def rests(cls) -> dict[str, float | str]:
        """Rest value of every scalar state: a number or a parameter's name."""
        return {n: s.rest for k, s in cls.states.items() for n in flat_names({k: s})}

    def flow(self, x: Any, I: Any) -> dict[str, Any]:
        raise NotImplementedError(f"{type(self).__name__} writes no flow(self, x, I)")

    def margin(self, x: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} writes no margin(self, x)")

    def jump(self, x: Any) -> dict[str, Any]:
        raise NotImplementedError(f"{type(self).__name__} writes no jump(self, x)")

    hazard: ClassVar[Any] = None

    @classmethod
    def stochastic(cls) -> bool:
        """Whether the declaration has a hazard, so that likelihoods and noisy runs exist."""
        return cls.hazard is not None


def _state_type(cls: type[Neuron]) -> Any:
    make = namedtuple  # a type checker wants a literal name
    fields: Any = make(f"{cls.__name__}State", list(cls.states))

    def refuse(_: Any, name: str) -> Any:
        raise _make_name_error(cls.__name__, "state", name, cls.states)

    return type(fields.__name__, (fields,), {"__slots__": (), "__getattr__": refuse, "__module__": fields.__module__})


def _make_name_error(neuron: str, kind: str, name: str, known: Iterable[str]) -> AttributeError:
    """The error of a name that a neuron does not declare; Python asks for names with underscores on its own account."""
    text = f"{neuron} has no {kind} {name!r}"
    return AttributeError(text) if name.startswith("_") else UnknownNameError(f"{text}; {near(name, known)}")


def _check_declaration(cls: type[Neuron]) -> None:
    if not cls.states:
        return
    for name in {*cls.states, *cls.inputs} & set(cls.parameters):
        raise NeuronError(f"{cls.__name__} uses {name!r} both as a parameter and as a state or input; rename one")
    for name, state in cls.states.items():
        if isinstance(state.rest, str) and state.rest not in cls.parameters:
            raise NeuronError(f"{cls.__name__}.{name} rests at {state.rest!r}; {near(state.rest, cls.parameters)}")
    for name in cls.hold:
        if name not in cls.states:
            raise NeuronError(f"{cls.__name__} holds {name!r} while refractory; {near(name, cls.states)}")


def _roles(cls: type[Neuron]) -> dict[Role, str]:
    """Names by role: as declared, else by the letter, where the unit fits and no other has the role.

    Raises
    ------
    NeuronError
        If two have one role, or one has another unit than its role.
    """
    found: dict[Role, str] = {}
    declared: dict[str, Parameter | State] = {**cls.states, **cls.parameters}
    for name, item in declared.items():
        if item.role is None:
            continue
        if find_dimension(item.unit) != find_dimension(item.role.unit) or item.size != 1:
            raise NeuronError(
                f"{cls.__name__}.{name} is declared as the {item.role} but is "
                f"{f'a bank of {item.size}' if item.size != 1 else f'in {item.unit}'}; it must be one value in "
                f"{item.role.unit}"
            )
        if (item.role is Role.POTENTIAL) is not (name in cls.states):
            which = "state" if item.role is Role.POTENTIAL else "parameter"
            raise NeuronError(f"{cls.__name__}.{name}: the {item.role} is a {which}")
        if item.role in found:
            raise NeuronError(f"{cls.__name__} has two of {item.role}: {found[item.role]} and {name}")
        found[item.role] = name
    for letters, items in ((STATE_CONVENTIONS, cls.states), (CONVENTIONS, cls.parameters)):
        for name, role in letters.items():
            known = items.get(name)
            fits = known is not None and known.role is None and known.size == 1
            if (
                fits
                and role not in found
                and known is not None
                and find_dimension(known.unit) == find_dimension(role.unit)
            ):
                found[role] = name
    return found


def _is_place(name: str, parameter: Parameter, role: Role | None) -> bool:
    if find_dimension(parameter.unit) != find_dimension("mV"):
        return False
    if parameter.place is not None:
        return parameter.place
    return role in PLACES if role is not None else name.startswith(PLACE_NAMES)


def _bank(value: Any) -> Any:
    return Bank(value) if isinstance(value, (tuple, list)) else value


def _shaped(cls: type[Neuron], name: str, parameter: Parameter, value: Any) -> Any:
    value = _bank(value)
    found = len(value) if isinstance(value, Bank) else 1
    if found != parameter.size:
        raise NeuronError(f"{cls.__name__}.{name} has {found} values; it is declared with size {parameter.size}")
    return value


def _short(value: Any) -> str:
    if isinstance(value, Bank):
        return "(" + ", ".join(map(_short, value)) + ")"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def flat_names(declared: Mapping[str, Parameter | State]) -> Iterator[str]:
    """Names with banks unrolled: ``R`` of size 2 is ``R_1, R_2``."""
    for name, item in declared.items():
        if item.size == 1:
            yield name
        else:
            yield from (f"{name}_{i + 1}" for i in range(item.size))


def declared(neuron: type[Neuron]) -> dict[str, Parameter]:
    """Declared parameter by flat name."""
    return {flat: p for name, p in neuron.parameters.items() for flat in flat_names({name: p})}


def _check_pinned_value(label: str, value: Any, was: Parameter) -> None:
    """Refuse a fixed value that is no finite number, or not one for each element of a bank."""
    numbers = list(elements(_bank(value)))
    if len(numbers) != was.size:
        has = f"{was.size} values" if was.size > 1 else "1 value"
        raise NeuronError(
            f"{label} has {has} and was given {value!r:.60}; a number (a tuple for a bank) fixes it, "
            f"Parameter({was.unit!r}, low, high) leaves it free within other bounds"
        )
    for number in numbers:
        if isinstance(number, (bool, str)) or not isfinite(_as_number(number)):
            raise NeuronError(f"{label} = {value!r:.60} is not a finite number of {was.unit or 'no unit'} to fix it at")


def _as_number(value: Any) -> float:
    """NaN where it is none."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


def flatten(declared: Mapping[str, Parameter | State], values: Mapping[str, Any]) -> dict[str, Any]:
    """Scalars by flat name from values by declared name."""
    scalars = [e for name in declared for e in elements(_bank(values[name]))]
    return dict(zip(flat_names(declared), scalars, strict=True))


def unflatten(declared: Mapping[str, Parameter | State], flat: Mapping[str, Any]) -> dict[str, Any]:
    """Values by declared name (banks whole) from scalars by flat name."""
    names = iter(list(flat_names(declared)))
    out = {}
    for name, item in declared.items():
        scalars = [flat[next(names)] for _ in range(item.size)]
        out[name] = Bank(scalars) if item.size > 1 else scalars[0]
    return out


def pack_state(neuron: type[Neuron], flat: Mapping[str, Any]) -> Any:
    """The named tuple that equations read, from scalars by flat name."""
    return neuron.State(**unflatten(neuron.states, flat))


def cellwise(neuron: Neuron) -> int:
    """How many cells an instance holds (1 for floats)."""
    values = [e for v in neuron.values().values() for e in elements(v)]
    sizes = [int(e.numel()) for e in values if hasattr(e, "numel")]
    return max([*sizes, *(e.size for e in values if isinstance(e, np.ndarray))], default=1)


def scalar_values(neuron: Neuron) -> dict[str, float]:
    """Free parameters of a one-cell instance as floats by flat name."""
    flat = flatten(neuron.parameters, neuron.values())
    return {k: float(v.detach()) if hasattr(v, "detach") else float(v) for k, v in flat.items()}


def has_potential(neuron: type[Neuron]) -> bool:
    """Whether a neuron has a membrane potential in mV that a recorded voltage can be compared with."""
    return neuron.name_of(Role.POTENTIAL) is not None
