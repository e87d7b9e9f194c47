"""The command `ephysfit`: its verbs, and what errors look like from a shell."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from ephysfit.cli.output import complain, forgive_encoding, warn_in_a_line
from ephysfit.cli.verbs.batch import batch
from ephysfit.cli.verbs.collect import collect, query
from ephysfit.cli.verbs.explore import explore
from ephysfit.cli.verbs.export import export
from ephysfit.cli.verbs.fit import fit
from ephysfit.cli.verbs.info import info
from ephysfit.cli.verbs.inspect import inspect
from ephysfit.cli.verbs.intervals import intervals
from ephysfit.cli.verbs.models import models
from ephysfit.cli.verbs.plot import plot
from ephysfit.cli.verbs.report import report
from ephysfit.cli.verbs.score import score
from ephysfit.cli.verbs.simulate import simulate
from ephysfit.cli.verbs.status import status
from ephysfit.cli.verbs.summarize import population, summarize
from ephysfit.cli.verbs.warm_up import warm_up
from ephysfit.cli.verbs.write import write
from ephysfit.errors import EphysfitError

#: what an exit code says
DONE, FAILED, USAGE = 0, 1, 2

app = typer.Typer(
    name="ephysfit",
    help="Fit spiking neuron models to patch-clamp recordings: injected current in, spike times out.",
    epilog="Start with `ephysfit info FILE`, then `ephysfit fit FILE`. "
    "Exit codes: 0 done, 1 the data or the fit failed, 2 usage.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
VERBS = (
    info,
    inspect,
    fit,
    intervals,
    simulate,
    score,
    report,
    plot,
    explore,
    export,
    write,
    models,
    batch,
    status,
    collect,
    query,
    summarize,
)  # fmt: skip
for verb in VERBS:
    app.command()(verb)
app.command("warm-up")(warm_up)
app.command(hidden=True)(population)


def _version(asked: bool) -> None:
    if asked:
        from ephysfit import __version__

        typer.echo(f"ephysfit {__version__}")
        raise typer.Exit(DONE)


VersionOption = Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Say the version.")]


@app.callback()
def _root(
    version: VersionOption = False,
) -> None:
    """Fit spiking neuron models to patch-clamp recordings: injected current in, spike times out."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; an error that ephysfit raises on purpose becomes a message and exit code 1.

    Parameters
    ----------
    arguments : sequence of str, optional
        Those of the process unless given.

    Raises
    ------
    SystemExit
        Always: 0 done, 1 the data or the fit failed, 2 usage.
    """
    forgive_encoding()
    warn_in_a_line()
    try:
        app(args=None if arguments is None else list(arguments), prog_name="ephysfit")
    except BrokenPipeError:  # who read the answer has seen enough
        sys.stdout = None
        sys.exit(DONE)
    except EphysfitError as error:
        complain(str(error))
        sys.exit(FAILED)
    except OSError as error:
        complain(f"{error.filename or 'a file'}: {error.strerror or error}")
        sys.exit(FAILED)
