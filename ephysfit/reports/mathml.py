"""Expressions as MathML that reads easily: no fraction within a fraction, positive terms first, named subterms."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from typing import Any

import sympy
from sympy.printing.mathml import MathMLPresentationPrinter

from ephysfit.neuron.symbols import symbol

#: letters of named subterms, in the order in which they are used
LETTERS = ("p", "q", "r", "s", "z", "f", "h", "b", "y", "x")
#: a function of more operations than this gets a name
LONG = 5
_SIGNS = ("+", "−", "-")


class _Printer(MathMLPresentationPrinter):
    """Sums begin with a term that is not negative, where they have one."""

    def _as_ordered_terms(self, expr: Any, order: Any = None) -> list[Any]:
        terms = list(super()._as_ordered_terms(expr, order=order))
        first = next((k for k, t in enumerate(terms) if not t.could_extract_minus_sign()), 0)
        return [terms[first], *terms[:first], *terms[first + 1 :]]


def to_mathml(e: Any) -> str:
    """Write an expression as presentation MathML.

    Examples
    --------
    >>> x, y, tau = sympy.symbols("x y tau")
    >>> to_mathml((y - x / tau) / tau).count("mfrac")  # one fraction: an opening and a closing tag
    2
    """
    e = sympy.sympify(e)
    e = e.xreplace({f: _round_constant(float(f)) for f in e.atoms(sympy.Float)})
    printer = _Printer({"fold_short_frac": False, "mul_symbol": None})
    root = ET.fromstring(f"<mrow>{_name_functions(printer.doprint(e))}</mrow>")
    _flatten_fractions(root)
    return "".join(ET.tostring(child, encoding="unicode") for child in root)


def _round_constant(value: float) -> sympy.Expr:
    """Round a constant for display: four digits, integers without a decimal point."""
    return sympy.Integer(int(value)) if value.is_integer() else sympy.Float(float(f"{value:.4g}"), 4)


def _name_functions(text: str) -> str:
    for name, shown in {"softplus": "softplus", "sigmoid": "σ"}.items():
        text = text.replace(f"<mi>{name}</mi>", f"<mi>{shown}</mi>")
    return (
        text.replace("&InvisibleTimes;", "&#x2062;")
        .replace("&ApplyFunction;", "&#x2061;")
        .replace("&ExponentialE;", "e")
        .replace("<mo> </mo>", "")
        .replace("<mo>-</mo>", "<mo>−</mo>")
        .replace("<mn>-", "<mn>−")
    )


def _flatten_fractions(parent: ET.Element, inside: bool = False) -> None:
    """Write fractions within fractions and in exponents on one line, with a slash."""
    for child in parent:
        within = inside or child.tag == "mfrac" or (parent.tag == "msup" and child is parent[1])
        _flatten_fractions(child, within)
        if child.tag == "mfrac" and (inside or (parent.tag == "msup" and child is parent[1])):
            top, bottom = child
            child.tag = "mrow"
            parts = [*_bracket(top, _is_sum(top)), _make_operator("/"), *_bracket(bottom, _is_compound(bottom))]
            child[:] = parts


def _unwrap(e: ET.Element) -> ET.Element:
    return _unwrap(e[0]) if e.tag == "mrow" and len(e) == 1 else e


def _is_sum(e: ET.Element) -> bool:
    e = _unwrap(e)
    return e.tag == "mrow" and any(c.tag == "mo" and c.text in _SIGNS for c in e)


def _is_compound(e: ET.Element) -> bool:
    e = _unwrap(e)
    return e.tag == "mrow" and len(e) > 1


def _bracket(e: ET.Element, needed: bool) -> list[ET.Element]:
    return [_make_operator("("), e, _make_operator(")")] if needed else [e]


def _make_operator(text: str) -> ET.Element:
    out = ET.Element("mo")
    out.text = text
    return out


def name_subterms(expressions: Sequence[Any], taken: Sequence[str]) -> tuple[list[Any], list[tuple[Any, Any]]]:
    """Give names to what makes equations long: sums that occur in several places, and long functions.

    Parameters
    ----------
    expressions : sequence of sympy expressions
    taken : sequence of str
        Names that the neuron uses itself.

    Returns
    -------
    shortened : list of sympy expressions
    named : list of (symbol, expression)
        In an order in which each uses those before it alone.

    Examples
    --------
    >>> x, y, i = sympy.Symbol("x"), sympy.Symbol("y"), sympy.Symbol("i", integer=True)
    >>> both = sympy.Sum(sympy.Symbol("a_i"), (i, 1, 3)) + sympy.Sum(sympy.Symbol("b_i"), (i, 1, 2))
    >>> short, named = name_subterms([both - x, y * (x - both)], ["x", "y"])
    >>> short, len(named)
    ([p - x, y*(-p + x)], 1)
    """
    letters = (letter for letter in LETTERS if not any(n == letter or n.startswith(f"{letter}_") for n in taken))
    shortened, named = [sympy.sympify(e) for e in expressions], []
    shared = _find_shared_sums(shortened)
    if shared:
        name = symbol(next(letters))
        named.append((name, sympy.Add(*shared)))
        shortened = [e.replace(_holds(shared), lambda a: _replace_sums(a, shared, name)) for e in shortened]
    for function in _find_long_functions(shortened):
        letter = next(letters, None)
        if letter is None:
            break
        indexed = any(str(s).endswith("_i") for s in _free_outside_sums(function))
        name = symbol(f"{letter}_i" if indexed else letter)
        named.append((name, function))
        shortened = [e.xreplace({function: name}) for e in shortened]
    return shortened, named


def _find_shared_sums(expressions: Sequence[sympy.Expr]) -> tuple[sympy.Expr, ...]:
    """The largest group of two or more indexed sums that are added in several expressions."""
    groups = [frozenset(_list_sums(a)) for e in expressions for a in e.atoms(sympy.Add)]
    found: list[list[Any]] = [list(a & b) for k, a in enumerate(groups) for b in groups[:k] if len(a & b) > 1]
    if not found:
        return ()
    largest = max(found, key=len)
    return tuple(sorted(largest, key=str))


def _list_sums(e: sympy.Add) -> Iterator[sympy.Expr]:
    for term in e.args:
        factor, rest = term.as_coeff_Mul()
        if isinstance(rest, sympy.Sum) and abs(factor) == 1:
            yield rest


def _holds(shared: Sequence[sympy.Expr]) -> Any:
    def test(e: Any) -> bool:
        return isinstance(e, sympy.Add) and any(all(sign * s in e.args for s in shared) for sign in (1, -1))

    return test


def _replace_sums(e: sympy.Add, shared: Sequence[sympy.Expr], name: sympy.Symbol) -> sympy.Expr:
    sign = 1 if shared[0] in e.args else -1
    return sympy.Add(*(a for a in e.args if a not in [sign * s for s in shared]), sign * name)


def _find_long_functions(expressions: Sequence[sympy.Expr]) -> list[sympy.Expr]:
    """Functions of many operations, those inside others left out, in the order of the equations."""
    found: list[sympy.Expr] = []
    for e in expressions:
        calls = [a for a in sympy.preorder_traversal(e) if isinstance(a, sympy.Function) and a.count_ops() > LONG]
        inner = {c for a in calls for c in sympy.preorder_traversal(a) if c != a}
        found += [a for a in calls if a not in inner and a != e]
    return list(dict.fromkeys(found))


def _free_outside_sums(e: sympy.Expr) -> set[sympy.Symbol]:
    return set().union(*(s.free_symbols for s in [e.xreplace({s: sympy.Integer(0) for s in e.atoms(sympy.Sum)})]))


def split_denominator(e: Any) -> tuple[Any, Any]:
    """Split a derivative into what it is divided by, if that is a product of symbols, and the rest.

    Examples
    --------
    >>> V, g, C = sympy.symbols("V g C", positive=True)
    >>> split_denominator((1 - g * V) / C)
    (C, -V*g + 1)
    >>> split_denominator(V - g / C)
    (1, V - g/C)
    """
    e = sympy.sympify(e)
    below = [a for a in sympy.Mul.make_args(e) if isinstance(a, sympy.Pow) and a.exp == -1 and a.base.is_Symbol]
    if not below:
        return sympy.Integer(1), e
    return sympy.Mul(*(1 / a for a in below)), sympy.Mul(*(a for a in sympy.Mul.make_args(e) if a not in below))
