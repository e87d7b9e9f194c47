"""Expressions as text of another language: one sympy printer for all, with a table of functions per language."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sympy
from sympy.printing.str import StrPrinter

from ephysfit.errors import ExportError


@dataclass(frozen=True)
class Language:
    """Syntax of mathematical expressions in one language.

    Attributes
    ----------
    name : str
    functions : mapping
        Name of a function here → template with ``{}`` for its argument.
    power : str
        Operator of powers.
    reserved : frozenset of str
        Names that a model may not use; they get a trailing underscore.
    """

    name: str
    functions: Mapping[str, str]
    power: str = "**"
    reserved: frozenset[str] = frozenset()

    def text(self, e: Any) -> str:
        """Write an expression.

        Examples
        --------
        >>> x = sympy.Symbol("x", real=True)
        >>> BRIAN2.text(sympy.exp(x / 3)), LEMS.text(x**2)
        ('exp(x/3)', 'x^2')
        """
        return str(_Printer(self).doprint(sympy.sympify(e)))

    def name_of(self, name: str) -> str:
        """Return a name that the language allows."""
        return f"{name}_" if name in self.reserved else name


class _Printer(StrPrinter):
    def __init__(self, language: Language) -> None:
        super().__init__({"full_prec": False})
        self.language = language

    def _print_Symbol(self, e: Any) -> str:
        return self.language.name_of(e.name)

    def _print_Float(self, e: Any) -> str:
        return repr(float(e))

    def _print_Rational(self, e: Any) -> str:
        return repr(float(e))

    _print_Half = _print_Pi = _print_Exp1 = _print_Rational

    def _print_Pow(self, e: Any, rational: bool = False) -> str:
        if e.exp == -1:
            return f"1/{self.parenthesize(e.base, 100)}"
        if e.exp == sympy.Rational(1, 2):
            return self._called("sqrt", e.base)
        return f"{self.parenthesize(e.base, 100)}{self.language.power}{self.parenthesize(e.exp, 100)}"

    def _print_Function(self, e: Any) -> str:
        return self._called(type(e).__name__, e.args[0])

    _print_Abs = _print_Function

    def _called(self, name: str, argument: Any) -> str:
        try:
            template = self.language.functions[name]
        except KeyError:
            raise ExportError(
                f"{self.language.name} has no function {name}; it knows {', '.join(sorted(self.language.functions))}"
            ) from None
        return template.replace("{}", self._print(argument))


def _same_names(*names: str) -> dict[str, str]:
    return {n: f"{n}({{}})" for n in names}


#: for human readers: functions by their usual names
PLAIN = Language("text", _same_names("exp", "log", "tanh", "sqrt", "sin", "cos", "sigmoid", "softplus", "phi1", "Abs"))

PYTHON = Language(
    "Python",
    {**_same_names("exp", "sigmoid", "softplus", "phi1"), "Abs": "abs({})",
     **{n: f"math.{n}({{}})" for n in ("log", "tanh", "sqrt", "sin", "cos")}},
    reserved=frozenset({"np", "math", "dt", "expm", "step", "wait", "total", "limit", "spikes", "current",
                        "rate", "rng", "simulate", "coefficients", "DT", "lambda", "is", "in", "as", "if", "or",
                        "exp", "sigmoid", "softplus", "phi1"}),
)  # fmt: skip

BRIAN2 = Language(
    "Brian2",
    {**_same_names("exp", "log", "tanh", "sqrt", "sin", "cos"), "Abs": "abs({})", "sigmoid": "1/(1 + exp(-({})))",
     "softplus": "(clip({}, 0, inf) + log1p(exp(-abs({}))))", "phi1": "exprel({})"},
    reserved=frozenset({"t", "dt", "i", "j", "N", "xi", "e", "pi", "inf", "lastspike", "not_refractory",
                        "t_in_timesteps", "rand", "randn", "spent", "drawn", "rate", "volt", "amp", "ms", "mV", "pA"}),
)  # fmt: skip

NESTML = Language(
    "NESTML",
    {**_same_names("exp", "tanh", "sin", "cos", "abs"), "log": "ln({})", "sigmoid": "(1. / (1. + exp(-({}))))",
     "softplus": "(max({}, 0.) + ln(1. + exp(-abs({}))))", "phi1": "(expm1({}) / ({}))", "Abs": "abs({})"},
    reserved=frozenset({"e", "t", "ms", "mV", "pA", "pF", "nS", "s", "V_m_", "dt", "inf", "wait", "spent",
                        "drawn", "rate", "A", "C", "F", "g", "h", "H", "K", "N", "S", "T", "V", "W", "Hz", "u", "S_",
                        "m", "k", "min", "max", "d", "y", "J", "I", "E", "R"}),
)  # fmt: skip

LEMS = Language(
    "LEMS",
    {**_same_names("exp", "sqrt", "tanh", "sin", "cos"), "log": "ln({})", "Abs": "abs({})",
     "sigmoid": "1/(1 + exp(-({})))", "softplus": "((abs({}) + {})/2 + ln(1 + exp(-abs({}))))"},
    power="^",
    reserved=frozenset({"t", "e", "v", "time", "spike", "spent", "wait", "rate"}),
)  # fmt: skip
