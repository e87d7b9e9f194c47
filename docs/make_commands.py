"""Write docs/commands.md, the reference of the command line, from the verbs: ``python docs/make_commands.py``."""

from __future__ import annotations

import inspect
from collections import defaultdict
from importlib import import_module
from pathlib import Path
from typing import Any

from ephysfit.cli.commands import OUTPUT, VERBS, VerbCommand, load_verb

PAGE = Path(__file__).with_name("commands.md")
#: verbs by what they are for; `write_page` refuses one that stands nowhere
GROUPS = {
    "Look at a recording": ("info", "inspect", "describe"),
    "Fit and judge": ("fit", "intervals", "score", "report", "plot", "explore"),
    "Use a fit": ("simulate", "export", "import-model", "write", "models", "warm-up"),
    "Many cells": ("batch", "status", "collect", "query", "summarize"),
}
HEAD = """# Command line

`ephysfit VERB --help` says in the terminal what stands here; this page is made from the same lines. Exit codes: 0
done, 1 the data or the fit failed, 2 usage. `FIT` is a fit.json or the folder that `ephysfit fit` wrote. Results go to
stdout, notes and progress to stderr; `--json` prints a result for other programs.
"""


def write_page() -> str:
    """The text of the page.

    Raises
    ------
    KeyError
        If a verb is in no group.
    """
    listed = [verb for verbs in GROUPS.values() for verb in verbs]
    if missing := set(VERBS) ^ set(listed):
        raise KeyError(f"verbs without a group, or groups without the verb: {', '.join(sorted(missing))}")
    parts = [HEAD]
    for title, verbs in GROUPS.items():
        parts += [f"## {title}", "", "| verb | what it does |", "|---|---|"]
        parts += [f"| [{verb}](#{verb}) | {_escape(VERBS[verb])} |" for verb in verbs] + [""]
        for verb in verbs:
            parts += [*_write_verb(verb), ""]
    return "\n".join(parts)


def _write_verb(verb: str) -> list[str]:
    """The section of a verb: usage, its sentences, its examples, its arguments and options by panel."""
    command = load_verb(verb)
    assert isinstance(command, VerbCommand)
    context = command.make_context(verb, [], resilient_parsing=True)
    params = command.get_params(context)
    word = verb.replace("-", "_")
    text = inspect.getdoc(getattr(import_module(f"ephysfit.cli.verbs.{word}"), word)) or ""
    prose, _, examples = text.partition("Examples:")
    usage = " ".join(["ephysfit", verb, *command.collect_usage_pieces(context)])
    lines = [f"### {verb}", "", "```sh", usage, "```", "", prose.replace("[", "\\[").strip(), ""]
    shown = [line for line in (one.strip() for one in examples.splitlines()) if line]
    if shown:
        lines += ["```sh", *shown, "```", ""]
    panels: dict[str, list[Any]] = defaultdict(list)
    for param in params:
        kind = "Arguments" if param.param_type_name == "argument" else getattr(param, "rich_help_panel", None)
        panels[kind or OUTPUT].append(param)
    lines += ["| name | value | meaning |", "|---|---|---|"]
    for panel, members in panels.items():
        lines += [f"| **{panel}** | | |", *(_write_row(param, context) for param in members)]
    return lines


def _write_row(param: Any, context: Any) -> str:
    """One argument or option: its names, its value, what it means and its default."""
    metavar = param.metavar or ""
    if param.param_type_name == "argument":
        names, value = metavar.replace("|", "\\|"), "required" if param.required else ""
    else:
        names = ", ".join(sorted((*param.opts, *param.secondary_opts), key=len, reverse=True))
        value = metavar if not getattr(param, "is_flag", False) else ""
        value = f"{value} (required)" if param.required else value
    text = " ".join((param.help or "").split())
    default = param.get_default(context, call=False)
    if getattr(param, "show_default", False) and default not in (None, False, ()) and value:
        text += f" Default: {default}."
    return f"| `{names}` | {_escape(value)} | {_escape(text)} |"


def _escape(text: str) -> str:
    return text.replace("|", "\\|").replace("*", "\\*").replace("<", "&lt;")


def main() -> None:
    """Write the page."""
    PAGE.write_text(write_page(), encoding="utf-8")


if __name__ == "__main__":
    main()
