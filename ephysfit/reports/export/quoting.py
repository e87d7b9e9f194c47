"""Quote text of a data file inside generated programs, so that it cannot become code.

Names of cells and files, dates and meanings of parameters come from the data file. Templates get them as
`UnquotedText`, which is quoted by the function of the target language.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

from ephysfit.files import make_printable

#: characters that XML 1.0 cannot hold, not even as numbers
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
#: Unicode categories of characters that end lines, change the direction of text, or are invisible
_INVISIBLE = {"Cc", "Cf", "Zl", "Zp", "Cs", "Co"}
#: longest text in the header of an exported file
LONGEST = 400


class UnquotedText(str):
    """Text that a template must quote."""

    __slots__ = ()


def put_on_one_line(text: str) -> str:
    """Put text on one line of visible characters: whatever ends a comment in any language becomes a space.

    Examples
    --------
    >>> put_on_one_line("a\\nimport os\\u2028b\\x1b")
    'a import os b '
    """
    line = "".join(" " if unicodedata.category(c) in _INVISIBLE else c for c in make_printable(text))
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"


def quote_for_python(text: str) -> str:
    r"""Quote text for a Python string with any quotes, or for a ``#`` comment.

    Examples
    --------
    >>> print(quote_for_python('c' + '"' * 3 + '\nopen()'))
    c\"\"\" open()
    """
    return put_on_one_line(text).replace("\\", "\\\\").replace('"', '\\"').replace("'", "\\'")


def quote_for_nestml(text: str) -> str:
    """Quote text for a ``#`` comment of NESTML."""
    return put_on_one_line(text)


def quote_for_xml(text: str) -> str:
    """Quote text for an XML comment (no two hyphens in a row); attributes also need their quotes escaped.

    Examples
    --------
    >>> quote_for_xml("cell -- 2 -")
    'cell - - 2 - '
    """
    valid = _NOT_XML.sub(" ", put_on_one_line(text))
    return re.sub("-(?=-)", "- ", valid + " " if valid.endswith("-") else valid)


#: quoting function by the suffix of a template before .j2
BY_ENDING: dict[str, Callable[[str], str]] = {
    ".py": quote_for_python,
    ".nestml": quote_for_nestml,
    ".xml": quote_for_xml,
}


def find_quoting(template: str) -> Callable[[str], str]:
    """Find the quoting function of a template."""
    return BY_ENDING["." + template.removesuffix(".j2").rpartition(".")[2]]


def make_identifier(text: str) -> str:
    """Make an identifier of a model or component: ASCII letters, digits and underscores, at most 100.

    Examples
    --------
    >>> make_identifier("ALIF_cell -- 2/é")
    'ALIF_cell____2__'
    """
    return re.sub("[^0-9A-Za-z]", "_", make_printable(text))[:100]
