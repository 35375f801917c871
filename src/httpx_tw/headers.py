"""Header fields: ordered, case-insensitive to look up, bytes at heart."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias, TypeVar, overload

from httpx_tw.errors import InvalidHeader

_T = TypeVar("_T")

__all__ = ["HeaderPairs", "Headers", "HeadersInput", "checked_name", "checked_value"]

HeaderPairs: TypeAlias = list[tuple[bytes, bytes]]
"""Field lines in the order of the wire, names as they were written."""

HeadersInput: TypeAlias = (
    "Headers | Mapping[str, str] | Iterable[tuple[str | bytes, str | bytes]] | None"
)
"""What a caller may give where header fields are wanted."""

# RFC 9110 section 5.6.2: token; section 5.5: field-value without its outer whitespace.
_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(rb"(?:[!-~\x80-\xff](?:[\t -~\x80-\xff]*[!-~\x80-\xff])?)?")


def checked_name(name: str | bytes) -> bytes:
    """Return *name* as bytes.

    :raises InvalidHeader: unless it is a token (RFC 9110 section 5.1).
    """
    raw = name.encode("latin-1", "replace") if isinstance(name, str) else name
    if not _TOKEN.fullmatch(raw):
        raise InvalidHeader(f"not a header name: {name!r}")
    return raw


def checked_value(value: str | bytes) -> bytes:
    """Return *value* as bytes; str as UTF-8 when Latin-1 does not do.

    :raises InvalidHeader: when it holds CR, LF, NUL or another control character, or
        begins or ends with whitespace (RFC 9110 section 5.5).
    """
    if isinstance(value, str):
        try:
            raw = value.encode("latin-1")
        except UnicodeEncodeError:
            raw = _as_utf8(value)
    else:
        raw = value
    try:
        is_value = _VALUE.fullmatch(raw)
    except TypeError as error:
        kind = type(value).__name__
        raise InvalidHeader(f"a header value is str or bytes, not {kind}") from error
    if not is_value:
        raise InvalidHeader(f"a header value must not hold this: {value!r}")
    return raw


def _as_utf8(value: str) -> bytes:
    try:
        return value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:  # a lone surrogate
        raise InvalidHeader(f"no encoding has all of this: {value!r}") from error


def _name_key(name: str | bytes) -> bytes:
    if isinstance(name, str):
        name = name.encode("latin-1", "replace")
    return name.lower()


class Headers:
    """Header fields of one message.

    Looking up takes str or bytes in any case and gives str, decoded as Latin-1 as
    RFC 9110 section 5.5 has it; ``raw`` gives the bytes. Setting checks names and
    values and raises :class:`~httpx_tw.errors.InvalidHeader`. Several fields of one
    name are kept apart: ``[]`` and ``get`` join them with ", " (RFC 9110 section 5.3),
    and ``get_all`` returns each. (Set-Cookie must not be joined: use ``get_all``.)

    The mapping behind look-ups is built when first asked for. Not thread-safe.
    """

    __slots__ = ("_mapping", "_pairs")

    def __init__(self, fields: HeadersInput = None) -> None:
        self._mapping: dict[bytes, bytes] | None = None
        self._pairs: HeaderPairs
        if fields is None:
            self._pairs = []
        elif isinstance(fields, Headers):
            self._pairs = list(fields.raw)
        else:
            # A dict, which most give, is known ten times faster than by its ABC.
            items = fields.items() if isinstance(fields, dict | Mapping) else fields
            self._pairs = [(checked_name(n), checked_value(v)) for n, v in items]

    @classmethod
    def from_pairs(cls, pairs: HeaderPairs) -> Headers:
        """Wrap *pairs* without copying or checking: they came from our own parser."""
        headers = cls.__new__(cls)
        headers._pairs = pairs  # noqa: SLF001  # it is ours
        headers._mapping = None  # noqa: SLF001
        return headers

    @property
    def raw(self) -> HeaderPairs:
        """The field lines as (name, value) bytes, in order. Do not change the list."""
        return self._pairs

    def _mapped(self) -> dict[bytes, bytes]:
        mapping = self._mapping
        if mapping is None:
            mapping = {}
            for name, value in self._pairs:
                key = name.lower()
                if key in mapping:
                    value = mapping[key] + b", " + value
                mapping[key] = value
            self._mapping = mapping
        return mapping

    @overload
    def get(self, name: str | bytes) -> str | None: ...

    @overload
    def get(self, name: str | bytes, default: _T) -> str | _T: ...

    def get(self, name: str | bytes, default: _T | None = None) -> str | _T | None:
        """Return the value of *name* as str, several joined by ", ", or *default*."""
        value = self._mapped().get(_name_key(name))
        return default if value is None else value.decode("latin-1")

    def get_bytes(self, name: bytes) -> bytes | None:
        """Return the value of *name*, which must be lower case, or None."""
        return self._mapped().get(name)

    def get_all(self, name: str | bytes) -> list[str]:
        """Return the value of each field called *name*, in order."""
        key = _name_key(name)
        return [v.decode("latin-1") for n, v in self._pairs if n.lower() == key]

    def add(self, name: str | bytes, value: str | bytes) -> None:
        """Append a field, keeping others of its name.

        :raises InvalidHeader: see :func:`checked_name`, :func:`checked_value`.
        """
        self._pairs.append((checked_name(name), checked_value(value)))
        self._mapping = None

    def set(self, name: str | bytes, value: str | bytes) -> None:
        """Replace every field called *name* by one, in the place of the first."""
        pair = (checked_name(name), checked_value(value))
        key = pair[0].lower()
        kept: HeaderPairs = []
        placed = False
        for existing in self._pairs:
            if existing[0].lower() != key:
                kept.append(existing)
            elif not placed:
                kept.append(pair)
                placed = True
        if not placed:
            kept.append(pair)
        self._pairs[:] = kept
        self._mapping = None

    def setdefault(self, name: str | bytes, value: str | bytes) -> None:
        """Add a field unless one of its name is there."""
        if name not in self:
            self.add(name, value)

    def remove(self, name: str | bytes) -> None:
        """Remove every field called *name*; none is fine."""
        key = _name_key(name)
        self._pairs[:] = [pair for pair in self._pairs if pair[0].lower() != key]
        self._mapping = None

    def __getitem__(self, name: str | bytes) -> str:
        return self._mapped()[_name_key(name)].decode("latin-1")

    __setitem__ = set  # noqa: A003  # the method above, which means no builtin

    def __delitem__(self, name: str | bytes) -> None:
        if name not in self:
            raise KeyError(name)
        self.remove(name)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str | bytes) and _name_key(name) in self._mapped()

    def __iter__(self) -> Iterator[tuple[str, str]]:
        for name, value in self._pairs:
            yield name.decode("latin-1"), value.decode("latin-1")

    def __len__(self) -> int:
        return len(self._pairs)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Headers):
            return NotImplemented
        return [(n.lower(), v) for n, v in self._pairs] == [
            (n.lower(), v) for n, v in other._pairs
        ]

    __hash__ = None  # type: ignore[assignment]  # mutable, so unhashable

    def __repr__(self) -> str:
        return f"Headers({list(self)!r})"
