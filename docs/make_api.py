"""Write docs/api/index.md from the public names, so that none is forgotten: ``python docs/make_api.py``."""

from __future__ import annotations

import inspect
from importlib import import_module
from pathlib import Path

import ephysfit

#: modules whose members have pages of their own elsewhere
WHOLE = ("ephysfit.models",)
FOLDER = Path(__file__).parent / "api"
#: public names by heading, as ephysfit/__init__.pyi has them, and the public modules by their full names
GROUPS = {title: list(names) for title, names in ephysfit._PUBLIC.items() if title != "Modules"}
MODULES = [f"{package}.{name}" for name, package in ephysfit._MODULES.items()]
#: modules that are public by their full name alone
MODULES += [
    "ephysfit.neuron.functions",
    "ephysfit.models.published",
    "ephysfit.models.small_signal",
    "ephysfit.simulation.stc_layer",
    "ephysfit.data.reader_tests",
]


def index() -> str:
    """The text of the first page."""
    lines = [
        "# API",
        "",
        "Public names by what they are for; `import ephysfit as ef` makes them `ef.load`, `ef.fit` and so on.",
        "",
    ]
    for title, names in [*GROUPS.items(), ("Modules", MODULES)]:
        lines += [f"## {title}", "", "| name | what it is |", "|---|---|"]
        lines += [f"| [`{name}`]({name}.md) | {_first_line(name)} |" for name in names] + [""]
    every = [name for names in GROUPS.values() for name in names] + MODULES
    return "\n".join([*lines, "```{toctree}", ":hidden:", "", *every, "```"]) + "\n"


def entry(name: str) -> str:
    """The page of one name: what its documentation string says."""
    if name in MODULES:
        directives = [
            f".. automodule:: {name}",
            *([] if name in WHOLE else ["   :members:", "   :member-order: bysource"]),
        ]
    elif inspect.isclass(getattr(ephysfit, name)):
        directives = [f".. autoclass:: ephysfit.{name}", "   :members:", "   :member-order: bysource"]
    else:
        directives = [f".. autofunction:: ephysfit.{name}"]
    return "\n".join([f"# {name}", "", "```{eval-rst}", *directives, "```"]) + "\n"


def _first_line(name: str) -> str:
    item = import_module(name) if name in MODULES else getattr(ephysfit, name)
    return (inspect.getdoc(item) or "").split("\n")[0].replace("``", "`").replace("|", "\\|")


def main() -> None:
    """Write all."""
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / "index.md").write_text(index(), encoding="utf-8")
    for name in [*(n for names in GROUPS.values() for n in names), *MODULES]:
        (FOLDER / f"{name}.md").write_text(entry(name), encoding="utf-8")


if __name__ == "__main__":
    main()
