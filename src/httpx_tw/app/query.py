"""The query of a request: fields with one or more values, decoded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from httpx_tw.errors import HTTPError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["MAX_FIELDS", "QueryParams"]

MAX_FIELDS = 1000
"""Most fields in one query; over it: 400. 1,000 as Django and PHP."""


class QueryParams:
    """Fields of a query string, in order; a name may come more than once.

    Read as forms are written (WHATWG URL, application/x-www-form-urlencoded): ``&``
    separates, ``+`` is a space, a percent sequence that is none stays as it is, and
    octets that are not UTF-8 become U+FFFD. ``[]`` and ``get`` give the first value of
    a name, ``get_all`` each. Iterating gives the names, ``items`` every field.

    :raises HTTPError: 400 for more than :data:`MAX_FIELDS` fields.
    """

    __slots__ = ("_pairs", "_values")

    def __init__(self, query_string: str = "") -> None:
        if query_string.count("&") >= MAX_FIELDS:  # counted before anything is made
            raise HTTPError(400, f"more than {MAX_FIELDS} query parameters")
        self._pairs: list[tuple[str, str]] = []
        self._values: dict[str, list[str]] = {}
        if "+" in query_string:
            query_string = query_string.replace("+", " ")
        is_encoded = "%" in query_string
        for field in query_string.split("&"):
            if field:
                name, _, value = field.partition("=")
                if is_encoded:
                    name, value = unquote(name), unquote(value)
                self._pairs.append((name, value))
                self._values.setdefault(name, []).append(value)

    def get(self, name: str, default: Any = None) -> Any:
        """Return the first value of *name*, a str, or *default*."""
        values = self._values.get(name)
        return values[0] if values else default

    def get_all(self, name: str) -> list[str]:
        """Return every value of *name* in order; none is an empty list."""
        return list(self._values.get(name, ()))

    def items(self) -> list[tuple[str, str]]:
        """Return every field as (name, value), in order."""
        return list(self._pairs)

    def __getitem__(self, name: str) -> str:
        return self._values[name][0]

    def __contains__(self, name: object) -> bool:
        return name in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, QueryParams):
            return NotImplemented
        return self._pairs == other._pairs

    __hash__ = None  # type: ignore[assignment]  # compared by value, never a key

    def __repr__(self) -> str:
        return f"QueryParams({self._pairs!r})"
