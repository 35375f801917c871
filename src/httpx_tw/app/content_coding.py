"""Which coding of a representation a client takes best (RFC 9110 section 12.5.3)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["IDENTITY", "best_coding"]

IDENTITY: Final = "identity"

_MEMBER: Final = re.compile(
    r"([!#$%&'*+\-.^_`|~0-9A-Za-z]+)"
    r"(?:[ \t]*;[ \t]*[qQ]=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?))?"
)

# What a registry calls the same (section 8.4.1.3).
_ALIASES: Final = {"x-gzip": "gzip", "x-compress": "compress"}


def best_coding(accept_encoding: str | None, offered: Iterable[str]) -> str:
    """Return which of *offered*, the server's own order of preference, to send.

    :data:`IDENTITY` is what is left when the client names none of them, and also when
    it takes nothing at all: an answer it may not want is better than none.

    :param accept_encoding: the field; None: there is none, and it says nothing.
    """
    if not accept_encoding:
        return IDENTITY
    weights = _weights(accept_encoding)
    others = weights.get("*")
    best, most = IDENTITY, weights.get(IDENTITY, 0.0)
    for coding in offered:
        weight = weights.get(coding, others)
        # At the same weight a coding is better than none.
        if weight and (weight > most or (weight == most and best == IDENTITY)):
            best, most = coding, weight
    return best


def _weights(field: str) -> dict[str, float]:
    weights: dict[str, float] = {}
    for member in field.split(","):
        match = _MEMBER.fullmatch(member.strip(" \t"))
        if match is not None:  # the others stand for themselves
            coding = match[1].lower()
            weights[_ALIASES.get(coding, coding)] = float(match[2] or 1)
    return weights
