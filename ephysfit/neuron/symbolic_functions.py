"""Functions that stay whole in the symbolic reading, with their derivatives and LaTeX forms (sympy)."""

from __future__ import annotations

from typing import Any

import sympy


class sigmoid(sympy.Function):  # type: ignore[misc]  # noqa: N801 (sympy has no types; named like what it prints)
    """1/(1 + exp(-x))."""

    def fdiff(self, argindex: int = 1) -> Any:
        """The derivative with respect to the argument."""
        return sigmoid(self.args[0]) * (1 - sigmoid(self.args[0]))

    def _latex(self, printer: Any) -> str:
        return rf"\sigma\left({printer._print(self.args[0])}\right)"


class softplus(sympy.Function):  # type: ignore[misc]  # noqa: N801
    """log(1 + exp(x))."""

    def fdiff(self, argindex: int = 1) -> Any:
        """The derivative with respect to the argument."""
        return sigmoid(self.args[0])

    def _latex(self, printer: Any) -> str:
        return rf"\ln\left(1 + e^{{{printer._print(self.args[0])}}}\right)"


class phi1(sympy.Function):  # type: ignore[misc]  # noqa: N801
    """(exp(x) - 1)/x, the weight of a constant rate in an exponential step."""

    def fdiff(self, argindex: int = 1) -> Any:
        """The derivative with respect to the argument."""
        return dphi1(self.args[0])

    def _latex(self, printer: Any) -> str:
        return rf"\varphi_1\left({printer._print(self.args[0])}\right)"


class dphi1(sympy.Function):  # type: ignore[misc]  # noqa: N801
    """The derivative of phi1: (exp(x) (x - 1) + 1)/x²."""

    def fdiff(self, argindex: int = 1) -> Any:
        """The derivative with respect to the argument."""
        x = self.args[0]
        return (sympy.exp(x) - 2 * dphi1(x)) / x
