"""Text of a data file inside the text of a program: quoted as the language says, so that it stays text.

Names of cells and files, dates, meanings of parameters come from whoever wrote the file. Each goes through the one
function of the language it is put into; templates get `Free` text and cannot forget it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

from ephysfit.files import make_printable

#: characters that XML 1.0 cannot hold, not even as numbers
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
#: categories of characters that end lines, turn text around, or are not seen
_UNSEEN = {"Cc", "Cf", "Zl", "Zp", "Cs", "Co"}
#: longest text that is worth a place in a head
LONGEST = 400


class Free(str):
    """Text that a template must quote."""

    __slots__ = ()


def one_line(text: str) -> str:
    """Text on one line, of characters that are seen: what ends a comment in any language becomes a space.

    Examples
    --------
    >>> one_line("a\\nimport os\\u2028b\\x1b")
    'a import os b '
    """
    seen = "".join(
        " " if unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp", "Cs", "Co") else c for c in make_printable(text)
    )
    return seen if len(seen) <= LONGEST else seen[: LONGEST - 1] + "…"


def python(text: str) -> str:
    r"""Text inside a Python string of any quotes, or behind a ``#``.

    Examples
    --------
    >>> print(python('c' + '"' * 3 + '\nopen()'))
    c\"\"\" open()
    """
    return one_line(text).replace("\\", "\\\\").replace('"', '\\"').replace("'", "\\'")


def nestml(text: str) -> str:
    """Text behind a ``#`` of NESTML."""
    return one_line(text)


def xml(text: str) -> str:
    """Text inside an XML comment, and inside an attribute once its quotes are escaped: without two hyphens in a row.

    Examples
    --------
    >>> xml("cell -- 2 -")
    'cell - - 2 - '
    """
    kept = _NOT_XML.sub(" ", one_line(text))
    return re.sub("-(?=-)", "- ", kept + " " if kept.endswith("-") else kept)


#: the quoting of each kind of template, by how its name ends before .j2
BY_ENDING: dict[str, Callable[[str], str]] = {".py": python, ".nestml": nestml, ".xml": xml}


def quoting_of(template: str) -> Callable[[str], str]:
    """The function for a template of this name."""
    return BY_ENDING["." + template.removesuffix(".j2").rpartition(".")[2]]


def identifier(text: str) -> str:
    """A name for a model or component: letters, digits and underscores of ASCII, not too long.

    Examples
    --------
    >>> identifier("ALIF_cell -- 2/é")
    'ALIF_cell____2__'
    """
    return re.sub("[^0-9A-Za-z]", "_", make_printable(text))[:100]
