"""The error tree. Every message names the thing, the value, the rule and the way out.

EphysfitError
├── RecordingError      a file or an array that cannot be taken as a recording
│   ├── StimulusError   the injected current is missing, ambiguous or cannot be rebuilt
│   └── SelectionError  a text that names no sweeps to train or test with, or the same for both
├── NeuronError         a neuron declaration or a parameter value that breaks the rules
│   ├── UnknownNameError  a name that the neuron does not declare
│   ├── UnitsError      a term of an equation has the wrong dimension
│   └── NotAffineError  an affine-only engine was asked to run a non-affine neuron
├── SimulationError     an engine cannot do what was asked
├── FitError            a fit that cannot start (a fit that ends badly is a value, not an error)
├── ScoreError          trains that cannot be scored
└── ExportError         a neuron that another simulator cannot express
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from importlib import import_module

#: names that a hint lists at most
MOST_KNOWN = 60


class EphysfitError(Exception):
    """Base of all errors that ephysfit raises on purpose."""


class RecordingError(EphysfitError, ValueError):
    """A file or an array that cannot be taken as a recording."""


class StimulusError(RecordingError):
    """The injected current is missing, ambiguous or cannot be rebuilt."""


class SelectionError(RecordingError):
    """A text that does not define the training and test sweeps.

    Attributes
    ----------
    side : str
        ``"train"`` or ``"test"``, whichever text is at fault; empty if both are.
    """

    def __init__(self, message: str, side: str = "") -> None:
        super().__init__(message)
        self.side = side


class NeuronError(EphysfitError, ValueError):
    """A neuron declaration or a parameter value that breaks the rules."""


class UnknownNameError(NeuronError, AttributeError):
    """An equation or a caller asks a neuron for a name that it does not declare."""


class UnitsError(NeuronError):
    """A term of an equation has the wrong dimension."""


class NotAffineError(NeuronError):
    """An engine for affine neurons was asked to run another neuron."""


class SimulationError(EphysfitError, ValueError):
    """A simulation that an engine cannot run."""


class FitError(EphysfitError, ValueError):
    """A fit that cannot start; a fit that ends badly is a value, not an error."""


class ScoreError(EphysfitError, ValueError):
    """Spike trains that cannot be scored."""


class CacheWarning(RuntimeWarning):
    """A cached file that cannot be used; the run continues and compiles what is missing."""


class OutputError(EphysfitError, OSError):
    """A file that cannot be written; an existing file is unchanged."""


class BatchError(EphysfitError, ValueError):
    """A batch that cannot start; a task of it that fails is a result, not an error."""


class ExportError(EphysfitError, ValueError):
    """A neuron that another simulator cannot express, or a file format that does not exist."""


def needed(module: str, extra: str, what: str, kind: type[EphysfitError] = EphysfitError) -> None:
    """Check that an optional package can be imported.

    Parameters
    ----------
    module : str
        Name under which it is imported.
    extra : str
        Extra of ephysfit that installs it.
    what : str
        Feature that needs it, the beginning of the sentence.
    kind : type of EphysfitError
        Class of the error.

    Raises
    ------
    EphysfitError
        If it is missing or cannot be imported; the message explains how to install it.

    Examples
    --------
    >>> needed("no_such_package", "batch", "a batch")
    Traceback (most recent call last):
    ephysfit.errors.EphysfitError: a batch needs the package no_such_package: pip install 'ephysfit[batch]'
    """
    try:
        import_module(module)
    except ImportError as error:
        gone = isinstance(error, ModuleNotFoundError) and f"{module}.".startswith(f"{error.name}.")
        broken = "" if gone else f", which is there and cannot be imported ({error})"
        raise kind(f"{what} needs the package {module}{broken}: pip install 'ephysfit[{extra}]'") from None


#: smallest similarity of two names (0 to 1) for one to be a misspelling of the other
ALIKE = 0.5


def nearest(name: str, names: Iterable[str], most: int = 1) -> list[str]:
    """Find the known names that a misspelled one may stand for, the likeliest first; case is ignored.

    Examples
    --------
    >>> nearest("sweep_3", ["sweep_1", "sweep_2", "noise"], 2)
    ['sweep_2', 'sweep_1']
    """
    folded = {k.lower(): k for k in sorted(names)}
    return [folded[k] for k in get_close_matches(name.lower(), folded, n=most, cutoff=ALIKE)]


def near(name: str, names: Iterable[str]) -> str:
    """Write a hint on a misspelled name: the nearest known one and the list of all.

    Examples
    --------
    >>> near("ALFI", ["LIF", "ALIF"])
    'did you mean ALIF? Known: ALIF, LIF'
    """
    known = sorted(names)
    hint = "".join(f"did you mean {k}? " for k in nearest(name, known))
    return f"{hint}Known: {some(known, MOST_KNOWN)}"


def say_count(count: int, what: str) -> str:
    """Say how many there are of something, in the singular for one.

    Examples
    --------
    >>> say_count(1, "sweep"), say_count(2, "sweep")
    ('1 sweep', '2 sweeps')
    """
    return f"{count} {what}{'s' * (count != 1)}"


def some(names: Iterable[object], most: int = 10, longest: int = 40) -> str:
    """List the first few of many names, none of them long, so that a message fits on a screen.

    Examples
    --------
    >>> some(["I", "V", "t"], most=2)
    'I, V and 1 more'
    """
    texts = [text if len(text) <= longest else f"{text[: longest - 1]}…" for text in map(str, names)]
    return ", ".join(texts[:most]) + (f" and {len(texts) - most} more" if len(texts) > most else "")
