"""The commands, each imported when it is used, and the layout of their help."""

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

#: last panel of the help of every command
OUTPUT = "Output"
#: command → first line of its docstring, as the help lists them; each is the function of this name in `cli.verbs`
VERBS = {
    "info": "List the sweeps of a recording, their use for training and testing, and the reasons for unused sweeps.",
    "inspect": "Draw every sweep of a recording: current, voltage, detected spikes and their shapes, masked stretches.",
    "describe": "Measure a cell: resting potential, input resistance, time constant, rheobase, threshold, spike shape, "
    "f-I curve.",
    "fit": "Fit a model to the training sweeps, score it on the held-out sweeps and write a report.",
    "intervals": "Compute intervals of the parameters of a saved fit, and list what the data do not determine.",
    "simulate": "Run a fitted cell on the currents of a file, which needs no voltage and no spikes.",
    "score": "Score a saved fit on sweeps that were not used by the fit.",
    "report": "Write the report of a saved fit: one HTML page that works offline.",
    "plot": "Draw one figure of a saved fit on held-out sweeps, as PNG, PDF or SVG.",
    "explore": "Explore recording and model on an interactive page: sliders for the parameters, live spikes and "
    "scores, fits, comparison.",
    "export": "Export a fitted cell to another simulator: NEST, Brian2, NeuroML, NIR, plain Python, JSON.",
    "import-model": "Import a model of another program: Allen GLIF, NEST, GIF toolbox.",
    "write": "Append a fit, its predicted spikes and its scores to an NWB file.",
    "models": "List the neurons of the catalogue, or show one: parameters, bounds, equations, source.",
    "batch": "Fit many cells with one or several models, each in its own process; resume a stopped run.",
    "status": "Show the progress of a batch run: tasks done, failed, running and left.",
    "collect": "Collect the results of a run in Parquet and CSV tables: fits, scores, parameters, cards.",
    "query": "Query the tables of a run in SQL (DuckDB).",
    "summarize": "Write the report of a run: scores and parameters over cells, comparison of models, clusters, "
    "outliers, failures.",
    "warm-up": "Compile the kernels of neurons ahead of the first fit and simulation, once per machine.",
}
#: old name of a command, not listed in the help → its name now
OLD_VERBS = {"population": "summarize"}


class LazyGroup(TyperGroup):
    """A group that lists its commands by name and first line, and imports one only when it is used."""

    def resolve_command(self, ctx: Context, args: list[str]) -> tuple[str | None, Command | None, list[str]]:
        """Import and return the command that the arguments name; an unknown name gives suggestions."""
        name, found, rest = super().resolve_command(ctx, args)
        return name, load_verb(name) if name in (*VERBS, *OLD_VERBS) else found, rest

    def get_params(self, ctx: Context) -> list[Parameter]:
        """Return the options as the help shows them."""
        return [hide_python_type(param) for param in super().get_params(ctx)]


class VerbCommand(TyperCommand):
    """A command whose help shows the names of arguments instead of Python types."""

    def collect_usage_pieces(self, ctx: Context) -> list[str]:
        """Return ``[OPTIONS]`` and the arguments under the names that the help explains."""
        names = [(p.metavar or p.name or "", p.required) for p in self.params if p.param_type_name == "argument"]
        return [self.options_metavar or "", *(name if needed else f"[{name}]" for name, needed in names)]

    def get_params(self, ctx: Context) -> list[Parameter]:
        """Return the options as the help shows them, with ``--help`` in the last panel."""
        params = [hide_python_type(param) for param in super().get_params(ctx)]
        if any(getattr(param, "rich_help_panel", None) for param in params):
            vars(params[-1]).update(rich_help_panel=OUTPUT)
        return params


def hide_python_type(param: Parameter) -> Parameter:
    """Hide the types that typer shows for switches (``<bool>``) and arguments (``<list[Path]>``)."""
    if getattr(param, "is_flag", False):
        vars(param).update(metavar="")
    elif param.param_type_name == "argument":
        vars(param).update(display_type_rich=lambda ctx: None)
    return param


def load_verb(name: str) -> Command:
    """Import the module of a command of `VERBS`, or of an old name, and return the command."""
    word = name.replace("-", "_")
    function: Callable[..., Any] = getattr(import_module(f"ephysfit.cli.verbs.{OLD_VERBS.get(word, word)}"), word)
    alone = typer.Typer(add_completion=False)
    alone.command(name, cls=VerbCommand, help=unfold(inspect.getdoc(function) or ""))(function)
    return get_command(alone)


def unfold(text: str) -> str:
    """Unfold a docstring to one line per paragraph, which the terminal wraps.

    Examples
    --------
    >>> unfold("Sums\\nup.\\n\\nephysfit a\\n\\nephysfit b")
    'Sums up.\\n\\nephysfit a\\n\\nephysfit b'
    """
    return re.sub(r"(?<!\n)\n(?!\n)", " ", text)
