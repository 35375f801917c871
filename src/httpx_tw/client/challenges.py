"""Challenges, as WWW-Authenticate has them, taken apart (RFC 9110 section 11.6)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Challenge", "parse_challenges", "quoted"]

_WORD: Final = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_QUOTED: Final = r'"(?:[^"\\\x00-\x08\x0a-\x1f\x7f]|\\[\t -~\x80-\xff])*"'

_SEPARATORS: Final = re.compile(r"[ \t]*(?:,[ \t]*)*")
_PARAMETER: Final = re.compile(
    rf"({_WORD})[ \t]*=[ \t]*({_WORD}|{_QUOTED})(?=[ \t]*(?:,|$))"
)
_SCHEME: Final = re.compile(rf"({_WORD})(?:(?=[ \t]*(?:,|$))|[ ]+)")
_TOKEN68: Final = re.compile(r"([A-Za-z0-9\-._~+/]+=*)(?=[ \t]*(?:,|$))")
_ESCAPED: Final = re.compile(r"\\(.)")

# A header block is bounded already; this bounds what is made of it.
_MOST_CHALLENGES: Final = 32


@dataclass(slots=True)
class Challenge:
    """One way in which the server lets itself be convinced."""

    scheme: str
    """In lower case: ``basic``, ``digest``, …"""

    parameters: dict[str, str] = field(default_factory=dict)
    """Names in lower case; values without their quotes."""

    token: str = ""
    """What stands in place of parameters, as in ``Negotiate``; "" for none."""


def parse_challenges(fields: Iterable[str]) -> list[Challenge]:
    """Return the challenges of all *fields* of one name, in order.

    One field may hold several; a comma separates challenges as it separates parameters.
    Where a field stops making sense the rest of it is dropped, and the challenge it
    stopped in: half a challenge would be answered wrongly. Nothing is raised.
    """
    challenges: list[Challenge] = []
    for text in fields:
        challenges += _challenges_in(text)
    return challenges[:_MOST_CHALLENGES]


def _challenges_in(text: str) -> list[Challenge]:
    challenges: list[Challenge] = []
    position = _skip_separators(text, 0)
    while position < len(text) and len(challenges) < _MOST_CHALLENGES:
        scheme = _SCHEME.match(text, position)
        if scheme is None:
            break
        challenge = Challenge(scheme[1].lower())
        behind = _read_parameters(challenge, text, scheme.end())
        if behind is None:
            break
        challenges.append(challenge)
        position = behind
    return challenges


def _read_parameters(challenge: Challenge, text: str, position: int) -> int | None:
    """Return where the next challenge begins, or None: this one is broken."""
    token = _TOKEN68.match(text, position)
    if token is not None:
        challenge.token = token[1]
        return _skip_separators(text, token.end())
    position = _skip_separators(text, position)
    while position < len(text):
        parameter = _PARAMETER.match(text, position)
        if parameter is None:
            # What follows a comma and is no parameter begins the next challenge.
            return position if _SCHEME.match(text, position) else None
        name = parameter[1].lower()
        if name in challenge.parameters:
            return None  # RFC 9110 section 11.2: each name once
        challenge.parameters[name] = _unquoted(parameter[2])
        position = _skip_separators(text, parameter.end())
    return position


def _skip_separators(text: str, position: int) -> int:
    match = _SEPARATORS.match(text, position)
    assert match is not None  # it matches nothing, too
    return match.end()


def _unquoted(value: str) -> str:
    return _ESCAPED.sub(r"\1", value[1:-1]) if value.startswith('"') else value


def quoted(value: str) -> str:
    r"""Return *value* as a quoted-string; ``"`` and ``\`` are escaped (RFC 9110 5.6.4).

    *value* must hold no control character.
    """
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
