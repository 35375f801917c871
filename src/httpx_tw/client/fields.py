"""What callers give as fields of a query or a form, as pairs of text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias, cast
from urllib.parse import urlencode

from httpx_tw.errors import ConfigurationError

__all__ = ["FieldValue", "FieldsInput", "field_pairs", "urlencoded"]

FieldValue: TypeAlias = str | bytes | int | float | None
"""bool is an int here, and written ``true`` or ``false``."""

FieldsInput: TypeAlias = (
    Mapping[str, FieldValue | Iterable[FieldValue]]
    | Iterable[tuple[str, FieldValue | Iterable[FieldValue]]]
    | None
)
"""A mapping, or pairs: a name may come more than once, and a value may be several."""


def field_pairs(fields: FieldsInput) -> list[tuple[str, str | bytes]]:
    """Return *fields* one by one: several values become several fields.

    None is left out, as requests does it: no field says "nothing" the same everywhere.
    ``True`` and ``False`` are written in lower case, as JSON and httpx do.

    :raises ConfigurationError: for what is neither text nor a number.
    """
    if fields is None:
        return []
    if isinstance(cast("object", fields), str | bytes):  # mypy knows, callers may not
        raise ConfigurationError("fields are a mapping or pairs, not a string")
    pairs: list[tuple[str, str | bytes]] = []
    for name, value in fields.items() if isinstance(fields, Mapping) else fields:
        if not isinstance(name, str):
            raise ConfigurationError(f"the name of a field is a str, not {name!r}")
        if isinstance(value, Iterable) and not isinstance(value, str | bytes):
            _refuse_nested(name, value)
            values: Iterable[FieldValue] = value
        else:
            values = (value,)
        pairs += [(name, _text(name, one)) for one in values if one is not None]
    return pairs


def _refuse_nested(name: str, value: object) -> None:
    if isinstance(value, Mapping):
        raise ConfigurationError(
            f"field {name!r} is a mapping: nothing says how to write that in a form"
        )


def _text(name: str, value: object) -> str | bytes:
    if isinstance(value, str | bytes):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    raise ConfigurationError(
        f"the value of field {name!r} is a {type(value).__name__}, not text or a number"
    )


def urlencoded(fields: FieldsInput) -> str:
    """Return *fields* as application/x-www-form-urlencoded, a space as ``+``.

    :raises ConfigurationError: see :func:`field_pairs`; also for a lone surrogate.
    """
    try:
        return urlencode(field_pairs(fields))
    except UnicodeEncodeError as error:
        raise ConfigurationError(f"no encoding has all of this: {error}") from error
