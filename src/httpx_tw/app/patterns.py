"""Route patterns: how "/users/{id:int}" is read, checked and filled in again."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import quote
from uuid import UUID

from httpx_tw.app.percent import has_dot_segment
from httpx_tw.errors import ConfigurationError, NoSuchRoute

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["CONVERTERS", "REST", "Converter", "Parameter", "Parse", "Pattern"]

Parse: TypeAlias = "Callable[[str], Any]"
"""Gives the value of a segment, or None when it does not fit."""


@dataclass(frozen=True, slots=True)
class Converter:
    """What a parameter accepts.

    Where several stand at one place the lowest *rank* is tried first. One that *spans*
    takes the whole rest of the path.
    """

    name: str
    rank: int
    parse: Parse
    spans: bool = False


_FLOAT = re.compile(r"[0-9]{1,18}(?:\.[0-9]{1,18})?")
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def _parse_int(text: str) -> int | None:
    # 18 digits fit 64 bits with a sign, and keep int() far from its quadratic cost.
    return (
        int(text) if len(text) <= 18 and text.isascii() and text.isdecimal() else None
    )


def _parse_float(text: str) -> float | None:
    return float(text) if _FLOAT.fullmatch(text) else None


def _parse_uuid(text: str) -> UUID | None:
    return UUID(text) if _UUID.fullmatch(text) else None


def _parse_str(text: str) -> str | None:
    return text or None


def _parse_path(text: str) -> str | None:
    # Never absolute: os.path.join(root, value) must stay below root.
    return None if not text or text[0] in "/\\" else text


REST = Converter("path", 9, _parse_path, spans=True)
"""``{name:path}`` and ``*``: one or more segments, to the end."""

CONVERTERS = {
    "uuid": Converter("uuid", 0, _parse_uuid),
    "int": Converter("int", 1, _parse_int),
    "float": Converter("float", 2, _parse_float),
    "str": Converter("str", 3, _parse_str),
    "path": REST,
}
"""By the name after the colon. Numbers are decimal digits without a sign."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One ``{name:converter}``; ``*`` is a path with the name "*"."""

    name: str
    converter: Converter


@dataclass(frozen=True, slots=True)
class Pattern:
    """A route pattern, checked. Made by :meth:`parse`."""

    text: str
    segments: tuple[str | Parameter, ...]

    @classmethod
    def parse(cls, text: str) -> Pattern:
        """Read *text*, for instance ``/users/{id:int}/files/{name:path}``.

        Literal segments are written decoded ("/café", not "/caf%C3%A9").

        :raises ConfigurationError: when it could never match, or is ambiguous.
        """
        if not text.startswith("/"):
            raise ConfigurationError(f"pattern {text!r} must begin with /")
        pieces = text[1:].split("/")
        if "" in pieces[:-1]:
            raise ConfigurationError(f"pattern {text!r} has an empty segment (//)")
        pattern = cls(text, tuple(_parse_segment(text, piece) for piece in pieces))
        names = pattern.names
        if len(set(names)) != len(names):
            raise ConfigurationError(f"pattern {text!r} names a parameter twice")
        for segment in pattern.segments[:-1]:
            if isinstance(segment, Parameter) and segment.converter.spans:
                raise ConfigurationError(
                    f"pattern {text!r}: nothing can follow a path parameter or *"
                )
        return pattern

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters' names, in order."""
        return tuple(s.name for s in self.segments if isinstance(s, Parameter))

    @property
    def spans(self) -> bool:
        """Whether its last parameter takes all that is left of a path."""
        last = self.segments[-1] if self.segments else ""
        return isinstance(last, Parameter) and last.converter.spans

    @property
    def is_static(self) -> bool:
        """There are no parameters."""
        return not self.names

    def fill(self, params: Mapping[str, Any]) -> str:
        """Return the path with *params* in their places, percent-encoded.

        :raises NoSuchRoute: when one is missing, left over, or would not match.
        """
        left_over = set(params).difference(self.names)
        if left_over:
            raise NoSuchRoute(f"{self.text} has no parameter {sorted(left_over)}")
        parts = [
            quote(segment) if isinstance(segment, str) else _filled(segment, params)
            for segment in self.segments
        ]
        return "/" + "/".join(parts)


def _parse_segment(text: str, piece: str) -> str | Parameter:
    if piece == "*":
        return Parameter("*", REST)
    if piece.startswith("{") and piece.endswith("}"):
        return _parse_parameter(text, piece[1:-1])
    if "{" in piece or "}" in piece:
        raise ConfigurationError(
            f"pattern {text!r}: {piece!r} has unbalanced braces, or a parameter that"
            " does not fill the whole segment"
        )
    if any(c in "%?#*\\" or c <= " " or c == "\x7f" for c in piece):
        raise ConfigurationError(
            f"pattern {text!r}: {piece!r} holds a character that cannot be matched;"
            " write it decoded, without query or fragment"
        )
    if has_dot_segment(piece):
        raise ConfigurationError(f"pattern {text!r}: . and .. never match")
    return piece


def _parse_parameter(text: str, inside: str) -> Parameter:
    name, colon, kind = inside.partition(":")
    if not name.isidentifier():
        raise ConfigurationError(f"pattern {text!r}: {name!r} is not a parameter name")
    if not colon:
        kind = "str"
    if kind not in CONVERTERS:
        raise ConfigurationError(
            f"pattern {text!r}: no converter {kind!r}, only {', '.join(CONVERTERS)}"
        )
    return Parameter(name, CONVERTERS[kind])


def _filled(parameter: Parameter, params: Mapping[str, Any]) -> str:
    name, converter = parameter.name, parameter.converter
    if name not in params:
        raise NoSuchRoute(f"parameter {name!r} is missing")
    value = params[name]
    # Not every str(): "None" and "True" in a URL are mistakes.
    if isinstance(value, bool) or not isinstance(value, str | int | float | UUID):
        raise NoSuchRoute(f"parameter {name!r} cannot be {type(value).__name__}")
    text = str(value)
    if "\0" in text or has_dot_segment(text) or converter.parse(text) is None:
        raise NoSuchRoute(f"parameter {name!r}: {text!r} is no {converter.name}")
    try:
        return quote(text, safe="/" if converter.spans else "")
    except UnicodeEncodeError as error:
        raise NoSuchRoute(f"parameter {name!r} is not Unicode text") from error
