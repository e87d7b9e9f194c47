"""The command `ephysfit`: its verbs, and what errors look like from a shell."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from ephysfit import __version__
from ephysfit.cli.commands import OLD_VERBS, VERBS, LazyGroup
from ephysfit.cli.output import complain, forgive_encoding, warn_in_a_line
from ephysfit.errors import EphysfitError

#: what an exit code says
DONE, FAILED, USAGE = 0, 1, 2

app = typer.Typer(
    name="ephysfit",
    cls=LazyGroup,
    help="Fit spiking neuron models to patch-clamp recordings: injected current in, spike times out.",
    epilog="Start with `ephysfit info FILE`, then `ephysfit fit FILE`. "
    "Exit codes: 0 done, 1 the data or the fit failed, 2 usage.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _not_yet() -> None:
    """Stands for a verb that is not imported: `LazyGroup` puts the verb itself in its place."""


for name, line in VERBS.items():
    app.command(name, help=line)(_not_yet)
for name in OLD_VERBS:
    app.command(name, hidden=True)(_not_yet)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"ephysfit {__version__}")
        raise typer.Exit(DONE)


VersionOption = Annotated[
    bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
]


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
