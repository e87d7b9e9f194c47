"""The verbs of the command line, each imported when it is asked for, and how their help is laid out."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

if TYPE_CHECKING:  # a typer of today has a click of its own
    from typer._click import Command, Context, Parameter

#: panel of the help that every verb ends with
OUTPUT = "Output"
#: the verbs as the help lists them: each is the function of this name in `cli.verbs`, and the line begins its docstring
VERBS = {
    "info": "Show what a recording holds, what would train and test a model, and why the rest is not used.",
    "inspect": "Draw every sweep of a recording: current, voltage, the spikes found and their shapes, what is masked.",
    "fit": "Fit a model to the training sweeps, score it on the held-out ones, write a report.",
    "intervals": "Give every parameter of a saved fit an interval, and say what the data leave open.",
    "simulate": "Run a fitted cell on the currents of a file; the file needs no voltage and no spikes.",
    "score": "Score a saved fit on sweeps that it has not seen.",
    "report": "Write the report of a saved fit: one HTML page that needs no network.",
    "plot": "Draw one figure of a saved fit on sweeps it has not seen, as PNG, PDF or SVG.",
    "explore": "Look at recording and model on a page: move parameters, see the spikes and scores follow, fit, "
    "compare.",
    "export": "Write a fitted cell for another simulator: NEST, Brian2, NeuroML, NIR, plain Python, JSON.",
    "write": "Append a fit, its predicted spikes and its scores to an NWB file.",
    "models": "List the neurons of the catalogue, or show one: parameters, bounds, equations, source.",
    "batch": "Fit many cells with one or several models, each in its own process; resume what was stopped.",
    "status": "Say how far a batch run is: done, failed, under way, left; from any shell that sees its folder.",
    "collect": "Gather all results of a run into Parquet and CSV tables: fits, scores, parameters.",
    "query": "Ask the tables of a run in SQL (DuckDB).",
    "summarize": "Write the report of a run: scores and parameters over cells, models compared, clusters, outliers, "
    "failures.",
    "warm-up": "Compile what the first fit and simulation of neurons need; once per machine, then it is loaded.",
}
#: names of before, not in the help: the verb that each is now
OLD_VERBS = {"population": "summarize"}


class LazyGroup(TyperGroup):
    """A group that knows its verbs by name and line, and imports one when it is run or asked for its own help."""

    def resolve_command(self, ctx: Context, args: list[str]) -> tuple[str | None, Command | None, list[str]]:
        """The verb that the arguments name, imported; a near name where there is none."""
        name, found, rest = super().resolve_command(ctx, args)
        return name, load_verb(name) if name in (*VERBS, *OLD_VERBS) else found, rest

    def get_params(self, ctx: Context) -> list[Parameter]:
        """The options, as the help shows them."""
        return [hide_python_type(param) for param in super().get_params(ctx)]


class VerbCommand(TyperCommand):
    """A verb whose help says of every argument what it is in the words of the verb, not in types of Python."""

    def collect_usage_pieces(self, ctx: Context) -> list[str]:
        """``[OPTIONS]`` and the arguments by the names that the help explains them under."""
        names = [(p.metavar or p.name or "", p.required) for p in self.params if p.param_type_name == "argument"]
        return [self.options_metavar or "", *(name if needed else f"[{name}]" for name, needed in names)]

    def get_params(self, ctx: Context) -> list[Parameter]:
        """The options, as the help shows them; ``--help`` stands in their last panel."""
        params = [hide_python_type(param) for param in super().get_params(ctx)]
        if any(getattr(param, "rich_help_panel", None) for param in params):
            vars(params[-1]).update(rich_help_panel=OUTPUT)
        return params


def hide_python_type(param: Parameter) -> Parameter:
    """A parameter without the type that typer shows of switches (``<bool>``) and of arguments (``<list[Path]>``)."""
    if getattr(param, "is_flag", False):
        vars(param).update(metavar="")
    elif param.param_type_name == "argument":
        vars(param).update(display_type_rich=lambda ctx: None)
    return param


def load_verb(name: str) -> Command:
    """A verb of `VERBS`, or an old name of one, as a command, its module imported."""
    word = name.replace("-", "_")
    function: Callable[..., Any] = getattr(import_module(f"ephysfit.cli.verbs.{OLD_VERBS.get(word, word)}"), word)
    alone = typer.Typer(add_completion=False)
    alone.command(name, cls=VerbCommand, help=unfold(inspect.getdoc(function) or ""))(function)
    return get_command(alone)


def unfold(text: str) -> str:
    """A docstring for a terminal, which folds it anew: a paragraph is one line.

    Examples
    --------
    >>> unfold("Sums\\nup.\\n\\nephysfit a\\n\\nephysfit b")
    'Sums up.\\n\\nephysfit a\\n\\nephysfit b'
    """
    return re.sub(r"(?<!\n)\n(?!\n)", " ", text)
