"""Encodings of text files of any program: finding them, and decoding the text."""

from __future__ import annotations

import codecs

from ephysfit.errors import RecordingError

#: byte order marks, longest first, and their encodings
MARKS = (
    (codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF32_LE, "utf-32-le"), (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"),
)  # fmt: skip
#: encoding that Windows programs use in western Europe and America
WINDOWS = "cp1252"
#: control characters that do not occur in text, unlike tab, line ends, form feed and the end mark of DOS
_CONTROL = {c for c in range(32) if c not in (9, 10, 11, 12, 13, 26)}
#: part of the bytes of two-byte text that are zero on one side, where numbers and English are written
_ZEROS = 0.8


def is_text(head: bytes) -> bool:
    """Whether the first bytes of a file are text in an encoding that `decode_text` recognises.

    Examples
    --------
    >>> is_text(b"t,I"), is_text("t [µs]".encode("cp1252")), is_text("t,I".encode("utf-16")), is_text(bytes(40))
    (True, True, True, False)
    """
    encoding, mark = _find_encoding(head)
    if encoding.startswith("utf-16") or encoding.startswith("utf-32"):
        cut = len(head) - len(head) % 4
        text = head[len(mark) : cut].decode(encoding, "replace")
        return bool(text) and not any(ord(c) in _CONTROL or ord(c) >= 0xFFF0 for c in text)
    return bool(head) and not any(byte in _CONTROL for byte in head)


def decode_text(data: bytes, encoding: str | None = None) -> tuple[str, str]:
    """Decode the text of a file; also return its encoding.

    The encoding follows from the byte order mark; else it is UTF-16 if half of the bytes are zero, else UTF-8, and else
    that of Windows programs (cp1252).

    Parameters
    ----------
    data
        The whole file.
    encoding
        The encoding, if it is known.

    Raises
    ------
    RecordingError
        If the bytes are not text in that encoding.

    Examples
    --------
    >>> decode_text("t [µs]".encode("cp1252")), decode_text("t [µs]".encode("utf-16"))
    (('t [µs]', 'cp1252'), ('t [µs]', 'utf-16-le'))
    """
    if encoding is not None:
        return _decode(data, encoding)
    found, mark = _find_encoding(data[:4096])
    if found != "utf-8" or mark:
        return _decode(data[len(mark) :], found)
    try:
        return data.decode("utf-8"), "utf-8"
    except UnicodeDecodeError:
        return _decode(data, WINDOWS)


def _decode(data: bytes, encoding: str) -> tuple[str, str]:
    try:
        return data.decode(encoding).lstrip("\ufeff"), encoding
    except LookupError:
        raise RecordingError(f"encoding={encoding!r} is not one that Python knows; try 'cp1252' or 'utf-8'") from None
    except UnicodeDecodeError as error:
        raise RecordingError(
            f"text that is not in {encoding} (byte {error.start} does not fit): save it as UTF-8, or give encoding="
        ) from None


def _find_encoding(head: bytes) -> tuple[str, bytes]:
    """Find the encoding by the mark at the beginning or by zeros; also return the mark."""
    for mark, encoding in MARKS:
        if head.startswith(mark):
            return encoding, mark
    low, high = head[0::2], head[1::2]
    if high and high.count(0) > _ZEROS * len(high) and not low.count(0):
        return "utf-16-le", b""
    if low and low.count(0) > _ZEROS * len(low) and not high.count(0):
        return "utf-16-be", b""
    return "utf-8", b""
