"""Write the equations of a neuron as MathML, which browsers render without scripts; a bank is one indexed symbol."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sympy

from ephysfit.neuron.declare import Neuron
from ephysfit.neuron.functions import Bank
from ephysfit.neuron.symbols import MARGIN, equations, symbol
from ephysfit.reports.mathml import name_subterms, split_denominator, to_mathml

_INDEX = sympy.Symbol("i", integer=True)


class _IndexedBank(Bank):
    """A bank as one indexed symbol: arithmetic on its general element, `sum` as a sum over the index."""

    size: int

    @classmethod
    def of(cls, element: Any, size: int) -> _IndexedBank:
        """Return a bank of `size` elements from its general element."""
        bank = cls([element])
        bank.size = size
        return bank

    def _elementwise(self, other: Any, op: Callable[[Any, Any], Any]) -> Bank:
        return _IndexedBank.of(op(self[0], other[0] if isinstance(other, Bank) else other), self.size)

    def map(self, function: Callable[[Any], Any]) -> Bank:
        """Apply a function to the general element."""
        return _IndexedBank.of(function(self[0]), self.size)

    def sum(self) -> Any:
        """Return the sum over the index."""
        e = sympy.sympify(self[0])
        return sympy.Sum(e, (_INDEX, 1, self.size)) if _has_index(e) else e * self.size


def margin_symbol(neuron: type[Neuron]) -> str:
    """Symbol of the margin (distance to threshold): u, or x where the neuron declares a u."""
    return "x" if "u" in (*neuron.states, *neuron.parameters) else "u"


def find_live_states(neuron: type[Neuron]) -> list[str]:
    """Find the states that remain in the equations when pinned values are substituted."""
    live = equations(neuron)
    return [n for n, s in neuron.states.items() if (n if s.size == 1 else f"{n}_1") in live.states]


def _has_index(e: sympy.Expr) -> bool:
    return any(str(s).endswith("_i") for s in e.free_symbols)


def _symbol_or_bank(name: str, size: int) -> Any:
    return symbol(name) if size == 1 else _IndexedBank.of(symbol(f"{name}_i"), size)


def _symbolic_neuron(neuron: type[Neuron]) -> Neuron:
    """Instantiate a neuron with symbols; pinned numbers stay numbers, pinned banks become symbols unless all are 0."""
    cell = object.__new__(neuron)
    for name, p in neuron.parameters.items():
        object.__setattr__(cell, name, _symbol_or_bank(name, p.size))
    for name, value in neuron.pinned.items():
        if not callable(value):
            object.__setattr__(cell, name, _pinned_expression(name, value))
            continue
        tied = value(cell)
        if not _is_atomic(tied):  # a long tie keeps its name: its value stands in the table of parameters
            tied = _symbol_or_bank(name, len(tied) if isinstance(tied, Bank) else 1)
        object.__setattr__(cell, name, tied)
    return cell


def _is_atomic(value: Any) -> bool:
    return sympy.sympify(_general_element(value)).is_Atom


def _pinned_expression(name: str, value: Any) -> Any:
    if not isinstance(value, tuple | list):
        return sympy.nsimplify(value) if float(value).is_integer() else sympy.Float(value, 4)
    if not any(value):
        return _IndexedBank.of(sympy.Integer(0), len(value))
    return _symbol_or_bank(name, len(value))


def write_equations(neuron: type[Neuron]) -> list[tuple[str, str]]:
    """Write the equations of a neuron class, each as (role, MathML).

    Parameters
    ----------
    neuron : type[Neuron]
        Pinned values are substituted; terms that vanish with them are left out.

    Returns
    -------
    list of (str, str)

    Examples
    --------
    >>> from ephysfit.models.lif import LIF
    >>> [what for what, _ in write_equations(LIF)]
    ['between spikes', 'spike', 'at a spike', 'noise']
    """
    cell, live, distance = _symbolic_neuron(neuron), equations(neuron), margin_symbol(neuron)
    x = neuron.State(**{n: _symbol_or_bank(n, s.size) for n, s in neuron.states.items()})
    shown = find_live_states(neuron)
    drop = {
        _general_element(getattr(x, n)): _rest_expression(cell, s.rest)
        for n, s in neuron.states.items()
        if n not in shown
    }
    put = lambda e: _drop_empty_sums(sympy.sympify(_general_element(e)).subs(drop))  # noqa: E731
    flow, jump = cell.flow(x, *(symbol(n) for n in neuron.inputs)), cell.jump(x)
    rates = {n: rate for n in shown if (rate := put(flow.get(n, 0))) != 0}
    moved = {n: after for n in shown if n in jump and (after := put(jump[n])) != symbol(_state_symbol_name(x, n))}
    taken = (*neuron.states, *neuron.parameters, *neuron.pinned, *neuron.inputs, distance)
    short, named = name_subterms([*rates.values(), put(cell.margin(x)), *moved.values()], taken)
    margin = short[len(rates)]
    lines = [("between spikes", _derivative_to_mathml(n, e)) for n, e in zip(rates, short, strict=False)]
    lines += [("where", _relate(to_mathml(name), "=", to_mathml(e))) for name, e in named]
    lines.append(("spike", _relate(to_mathml(margin), "≥", "<mn>0</mn>")))
    lines += [
        ("at a spike", _relate(to_mathml(symbol(_state_symbol_name(x, n))), "→", to_mathml(e)))
        for n, e in zip(moved, short[len(rates) + 1 :], strict=True)
    ]
    if live.hazard is not None:
        noise = sympy.sympify(cell.hazard(MARGIN)).subs(MARGIN, sympy.Symbol(distance, real=True))
        rate = f"<mi>λ</mi><mo>(</mo><mi>{distance}</mi><mo>)</mo>"
        lines.append(("noise", _relate(rate, "=", to_mathml(noise))))
    return lines


def _drop_empty_sums(e: sympy.Expr) -> sympy.Expr:
    return e.xreplace({s: sympy.Integer(0) for s in e.atoms(sympy.Sum) if s.function == 0})


def _general_element(value: Any) -> Any:
    return value[0] if isinstance(value, Bank) else value


def _state_symbol_name(x: Any, name: str) -> str:
    return str(_general_element(getattr(x, name)))


def _rest_expression(cell: Neuron, rest: float | str) -> Any:
    return _general_element(getattr(cell, rest)) if isinstance(rest, str) else sympy.nsimplify(rest)


def _derivative_to_mathml(name: str, e: Any) -> str:
    """A derivative, multiplied by what its expression is divided by: τ dx/dt = ... reads easier than a fraction."""
    bank = "_i" if _indexed_name(e, name) else ""
    below, rest = split_denominator(e)
    factor = "" if below == 1 else to_mathml(below)
    top = f"<mrow><mi>d</mi>{to_mathml(symbol(name + bank))}</mrow>"
    left = f"{factor}<mfrac>{top}<mrow><mi>d</mi><mi>t</mi></mrow></mfrac>"
    return _relate(left, "=", to_mathml(rest))


def _indexed_name(e: Any, name: str) -> bool:
    return symbol(f"{name}_i") in sympy.sympify(e).free_symbols


def _relate(left: str, relation: str, right: str) -> str:
    return f'<math display="block"><mrow>{left}<mo>{relation}</mo>{right}</mrow></math>'
