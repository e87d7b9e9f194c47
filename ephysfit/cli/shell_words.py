"""Hints of errors in the words of the shell: an option of `load` becomes ``-O name=value``."""

from __future__ import annotations

import inspect
import re

from ephysfit.data.loading import load
from ephysfit.data.registry import list_readers

#: values to write where a message names an option and no value, by option
_EXAMPLES = {
    "columns": "columns.current=NAME",
    "units": "units.current=pA",
    "command": "command=FILE",
    "electrode": "electrode=NAME",
    "group": "group=NAME",
    "dt": "dt=MS",
}
_OPTION = re.compile(r'(?<![\w(.\-])(?<!-O )([a-z_]+)=("[^"]*"|\'[^\']*\'|[\w+.-]*\w)?')
#: a call of Python with its option of the shell beside it: the option is what a shell needs
_BOTH = (
    (re.compile(r"[\w.]+\([^()]*\), on the (?:command line|shell) (--[\w-]+ [\w.:]*\w),?"), r"\1"),
    (re.compile(r"\b\w+=\w+ \((--[\w-]+) on the shell\)"), r"\1"),
    (re.compile(r"(--[\w-]+) \(\w+=\w+\)"), r"\1"),
    (re.compile(r" \(in Python: [^()]*\)"), ""),
    (re.compile(r"\bef\.compensate_electrode\b"), "`ephysfit fit --aec FILE`"),
)


def translate_hints(text: str) -> str:
    """Write the hints of a message as options of the shell.

    Parameters
    ----------
    text : str
        A message that names options as Python's `ephysfit.load` takes them.

    Returns
    -------
    str
        The same with ``-O name=value``, or the verb's own option.

    Examples
    --------
    >>> translate_hints('2 electrodes: give electrode=, or block="keep"')
    '2 electrodes: give -O electrode=NAME, or -O block=keep'
    >>> translate_hints("Likelihood(drift=None), on the command line --drift auto, fits the end")
    '--drift auto fits the end'
    """
    for pattern, words in _BOTH:
        text = pattern.sub(words, text)
    known = {name for reader in list_readers() for name in reader.options} | set(inspect.signature(load).parameters)
    return _OPTION.sub(lambda found: _write_option(found, known), text)


def _write_option(found: re.Match[str], known: set[str]) -> str:
    name, value = found[1], found[2]
    if name not in known:
        return found[0]
    if value is None:
        return f"-O {_EXAMPLES.get(name, f'{name}=VALUE')}"
    plain = value.strip("\"'")
    return f"-O {name}={plain.lower() if plain in ('True', 'False') else plain}"
