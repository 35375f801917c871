"""What percent-encoding hides in a path, and how to write it (RFC 3986 section 2)."""

from __future__ import annotations

import re
from urllib.parse import quote, unquote_to_bytes

__all__ = ["decoded_octets", "decoded_path", "encoded_reference", "has_dot_segment"]

_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")

# Everything RFC 3986 allows in a reference, and "%", which the caller has written.
_REFERENCE_CHARACTERS = ":/?#[]@!$&'()*+,;=-._~%"


def decoded_path(path: str) -> str | None:
    """Return *path* (or one segment of it) with its percent-encoding undone.

    None when that has no safe meaning: a ``%`` without two hex digits, octets that are
    not UTF-8, or NUL, which ends a string for whoever asks the operating system.
    """
    if "%" not in path:
        return None if "\0" in path else path
    octets = decoded_octets(path)
    try:
        return None if octets is None else octets.decode("utf-8")
    except UnicodeError:
        return None


def decoded_octets(path: str) -> bytes | None:
    """Return the octets that *path*, which is ASCII, stands for, UTF-8 or not.

    None for a ``%`` without two hex digits, and for NUL.
    """
    if _BAD_ESCAPE.search(path):
        return None
    octets = unquote_to_bytes(path)
    return None if b"\0" in octets else octets


def has_dot_segment(path: str) -> bool:
    r"""Tell whether decoded *path* holds "." or ".." as a segment.

    ``\`` separates too: it does so on Windows, and browsers turn it into "/".
    """
    if "." not in path:
        return False
    segments = path.replace("\\", "/").split("/")
    return "." in segments or ".." in segments


def encoded_reference(reference: str) -> str:
    r"""Return *reference* (absolute or relative) as ASCII that is safe in Location.

    What is percent-encoded stays so; a space, a control character (CR and LF among
    them), ``\``, ``"``, ``<``, ``>`` and everything beyond ASCII becomes so.

    :raises ValueError: for a lone surrogate, which no URI can carry.
    """
    return quote(_BAD_ESCAPE.sub("%25", reference), safe=_REFERENCE_CHARACTERS)
