"""`ephysfit explore`: recordings and fits on a local page, parameters on sliders."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import ephysfit as ef
from ephysfit.cli import arguments
from ephysfit.cli.output import print_line, print_note


def _check_paths(paths: list[Path]) -> list[Path]:
    return [path if path.is_dir() else arguments.check_file(path) for path in paths]


What = Annotated[
    list[Path],
    typer.Argument(metavar="FILE|FIT|FOLDER...", callback=_check_paths, show_default=False,
                   help="Files of one cell, a fit.json with its recording, or folders of them (a batch run, data)."),
]  # fmt: skip
Port = Annotated[
    int, typer.Option("--port", metavar="N", min=0, max=65535, help="Port of this machine; 0 takes a free one.")
]
Own = Annotated[
    list[str] | None,
    typer.Option("--model", "-m", metavar="FILE.py:NAME", show_default=False,
                 help="A neuron of your own besides the catalogue; repeatable."),
]  # fmt: skip
NoBrowser = Annotated[bool, typer.Option("--no-browser", help="Print the address without opening a browser.")]


def explore(what: What, port: Port = 0, model: Own = None, no_browser: NoBrowser = False) -> None:
    """Explore recording and model on an interactive page: sliders for the parameters, live spikes and scores, fits,
    comparison.

    The page is served to this machine only, opens only with the token in the printed address, and reads nothing but
    the given paths. Ctrl-C ends it.

    Examples:

    ephysfit explore data/DRN164.nwb

    ephysfit explore demo/fit.json data/DRN164.nwb

    ephysfit explore run/ recordings/ --port 5006 --no-browser
    """
    for spec in model or ():
        arguments.read_user_neuron(spec)
    page = ef.explore(*what, port=port, models=tuple(model or ()), show=not no_browser)
    print_line(page.url)
    print_note("Ctrl-C ends it")
    page.wait()
