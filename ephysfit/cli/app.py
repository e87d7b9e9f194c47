"""The command `ephysfit`: its commands, exit codes and error messages."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from ephysfit import __version__
from ephysfit.cli.commands import OLD_VERBS, VERBS, LazyGroup
from ephysfit.cli.output import print_error, replace_unprintable, shorten_warnings
from ephysfit.errors import EphysfitError
from ephysfit.system import collect_rarely

#: variables that say how many threads numerical libraries start, and are 1 here unless set: their matrices are tiny in
#: this program, and threads that waited for each other doubled the CPU time of a report. Kernels share cores themselves
LIBRARY_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
#: exit codes
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


def _placeholder() -> None:
    """Placeholder of a command that is not imported yet; `LazyGroup` replaces it."""


for name, line in VERBS.items():
    app.command(name, help=line)(_placeholder)
for name in OLD_VERBS:
    app.command(name, hidden=True)(_placeholder)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"ephysfit {__version__}")
        raise typer.Exit(DONE)


VersionOption = Annotated[
    bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
]


@app.callback()
def _show_root(
    version: VersionOption = False,
) -> None:
    """Fit spiking neuron models to patch-clamp recordings: injected current in, spike times out."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; an `EphysfitError` becomes a message and exit code 1.

    Parameters
    ----------
    arguments : sequence of str, optional
        Command-line arguments; those of the process unless given.

    Raises
    ------
    SystemExit
        Always: 0 done, 1 the data or the fit failed, 2 usage.
    """
    for variable in LIBRARY_THREADS:
        os.environ.setdefault(variable, "1")
    collect_rarely()
    replace_unprintable()
    shorten_warnings()
    try:
        app(args=None if arguments is None else list(arguments), prog_name="ephysfit")
    except BrokenPipeError:  # the reader of the output has closed the pipe
        sys.stdout = None
        sys.exit(DONE)
    except EphysfitError as error:
        from ephysfit.cli.shell_words import translate_hints  # the readers: --help starts without them

        print_error(translate_hints(str(error)))
        sys.exit(FAILED)
    except OSError as error:
        print_error(f"{error.filename or 'a file'}: {error.strerror or error}")
        sys.exit(FAILED)
