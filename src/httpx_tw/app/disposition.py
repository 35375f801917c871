"""Content-Disposition: under which name a file is saved (RFC 6266, RFC 8187)."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote

__all__ = ["content_disposition"]

_NOT_PLAIN: Final = re.compile(r"[^ !#-\[\]-~]|%(?=[0-9A-Fa-f]{2})")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")

# RFC 8187 section 3.2.1: attr-char, less what quote() never touches.
_ATTRIBUTE_CHARACTERS: Final = "!#$&+^`|"


def content_disposition(filename: str | None, *, inline: bool = False) -> str:
    r"""Return the field's value: an attachment called *filename*, or shown *inline*.

    The last component of a path is taken, ``/`` and ``\`` alike: a client must not be
    led to write elsewhere (RFC 6266 section 4.3). Control characters are dropped. A
    name beyond ASCII is given twice, for old clients with "_" in place of what they
    cannot read.

    :param filename: None, or nothing left of it: no name is given.
    """
    kind = "inline" if inline else "attachment"
    name = re.split(r"[/\\]", filename or "")[-1]
    name = _CONTROL.sub("", name).strip()
    if not name:
        return kind
    plain = _NOT_PLAIN.sub("_", name)
    value = f'{kind}; filename="{plain}"'
    if plain == name:
        return value
    encoded = quote(name, safe=_ATTRIBUTE_CHARACTERS, errors="replace")
    return f"{value}; filename*=UTF-8''{encoded}"
