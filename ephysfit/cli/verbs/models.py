"""`ephysfit models`: list the catalogue, or describe one neuron."""

from __future__ import annotations

import inspect
import re
from typing import Annotated, Any

import typer

import ephysfit as ef
from ephysfit.cli import arguments
from ephysfit.cli.commands import OUTPUT
from ephysfit.cli.output import print_json, print_line, print_table
from ephysfit.neuron.declare import Neuron, Parameter, declared, scalar_values

Name = Annotated[
    str | None,
    typer.Argument(metavar="NAME", show_default=False, help="Describe this neuron; my_file.py:Mine works too."),
]


Template = Annotated[
    bool,
    typer.Option("--template", rich_help_panel=OUTPUT, help="Print a Python template for a neuron of your own."),
]


def models(name: Name = None, json: arguments.JsonOption = False, template: Template = False) -> None:
    """List the neurons of the catalogue, or show one: parameters, bounds, equations, source.

    Examples:

    ephysfit models

    ephysfit models AdLIF

    ephysfit models --template > my_neuron.py

    ephysfit models my_neuron.py:Mine --json
    """
    if template:
        _print_template(name, json)
        return
    if name is not None:
        _print_neuron(_find_class(name), json)
        return
    rows = [summarize_neuron(n) for n in ef.models.catalogue().values()]
    if json:
        print_json(rows)
    else:
        print_table([{**row, "noise": "yes" if row["noise"] else ""} for row in rows], right=("parameters", "states"))


def _print_template(name: str | None, json: bool) -> None:
    if name is not None or json:
        raise typer.BadParameter("cannot be combined with a name or --json", param_hint="--template")
    print_line(ef.models.template_text().rstrip())


def _find_class(name: str) -> type[Neuron]:
    if name.lower() == "auto":
        raise typer.BadParameter("auto chooses among the catalogue; name one neuron", param_hint="NAME")
    try:
        return ef.models.find(arguments.find_model(name))
    except typer.BadParameter as error:
        error.param_hint = "NAME"
        raise


def list_parameters(neuron: type[Neuron]) -> dict[str, Parameter]:
    """List the parameters by flat name; elements of a bank are numbered."""
    return declared(neuron)


def summarize_neuron(neuron: type[Neuron]) -> dict[str, Any]:
    """Summarize a neuron as a row of the table."""
    return {
        "name": neuron.__name__,
        "parameters": len(list_parameters(neuron)),
        "states": len(neuron.state_names()),
        "noise": neuron.stochastic(),
        "what it is": extract_summary(inspect.getdoc(neuron) or ""),
    }


def extract_summary(docstring: str) -> str:
    """Extract the summary of a docstring without its markup.

    Examples
    --------
    >>> extract_summary("`GIF` with a\\ncurrent, :math:`I`.\\n\\nMore.")
    'GIF with a current'
    """
    summary = docstring.split("\n\n")[0].replace("\n", " ")
    return re.sub(r",? *:math:`[^`]*`", "", summary).replace("`", "").rstrip(". ")


def describe_neuron(neuron: type[Neuron]) -> dict[str, Any]:
    """Describe a neuron by everything in its declaration."""
    from ephysfit.neuron.symbols import text  # sympy: once the usage is right

    parameters = [
        {"name": n, "unit": p.unit, "low": p.low, "start": start, "high": p.high, "meaning": p.doc,
         "measured": p.measured}
        for (n, p), start in zip(list_parameters(neuron).items(), scalar_values(neuron.start()).values(), strict=True)
    ]  # fmt: skip
    return {
        **summarize_neuron(neuron),
        "reference": getattr(neuron, "reference", ""),
        "biology": getattr(neuron, "biology", ""),
        "parameters": parameters,
        "states": {n: {"unit": s.unit, "meaning": s.doc} for n, s in neuron.states.items()},
        "equations": text(neuron),
    }


def _print_neuron(neuron: type[Neuron], json: bool) -> None:
    known = describe_neuron(neuron)
    if json:
        print_json(known)
        return
    print_line(f"{known['name']}: {known['what it is']}")
    for key in ("biology", "reference"):
        if known[key]:
            print_line(f"  {known[key]}")
    numbers = ("low", "start", "high")
    rows = [{**p, **{k: f"{p[k]:g}" for k in numbers}} for p in known["parameters"]]
    print_table(rows, "Parameters", numbers)
    for line in known["equations"]:
        print_line(f"  {line}")
