"""What a stub answers with: a response, an error, or silence."""

from __future__ import annotations

import json as json_module
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from httpx_tw.errors import ConfigurationError
from httpx_tw.headers import Headers

if TYPE_CHECKING:
    from httpx_tw.headers import HeadersInput

__all__ = ["Answer", "Silence", "StubRequest", "StubResponse", "as_answer"]


@dataclass(frozen=True, slots=True)
class StubRequest:
    """A request as a server got it."""

    method: str
    url: str
    """Scheme, host, path and query: ``http://a.example/items?page=2``."""
    headers: Headers
    body: bytes = b""

    @property
    def text(self) -> str:
        """The body, which must be UTF-8."""
        return self.body.decode()

    def json(self) -> Any:
        """Return what the body says as JSON."""
        return json_module.loads(self.body)


@dataclass(frozen=True, slots=True)
class StubResponse:
    """A response to be given.

    :raises ConfigurationError: when it has more than one body, or no final status.
    """

    status: int = 200
    body: bytes | str = b""
    """Text is sent as UTF-8, and says so."""

    json: Any = None
    """Sent as JSON. None: *body* is the body."""

    headers: HeadersInput = None
    delay: float = 0.0
    """Seconds of the client's reactor, or Clock, before it is sent."""

    raw: bytes | None = None
    """These bytes are sent in place of all the above, whatever they are."""

    close: bool = False
    """Then the connection is closed, as by a server that ends."""

    reset: bool = False
    """Then the connection is broken, as by a server that dies."""

    _fields: Headers = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.json is not None and self.body:
            raise ConfigurationError("give one of body and json")
        if not 200 <= self.status <= 999:
            raise ConfigurationError(f"not a final status: {self.status}")
        fields = Headers(self.headers)
        kind = None
        if self.json is not None:
            kind = "application/json"
        elif isinstance(self.body, str):
            kind = "text/plain; charset=utf-8"
        if kind is not None and "content-type" not in fields:
            fields.add("Content-Type", kind)
        object.__setattr__(self, "_fields", fields)

    @property
    def fields(self) -> Headers:
        """The header fields, without those about framing."""
        return self._fields

    @property
    def content(self) -> bytes:
        """The body as it is sent."""
        if self.json is not None:
            return json_module.dumps(self.json).encode()
        return self.body.encode() if isinstance(self.body, str) else self.body


class Silence:
    """No answer, ever: what becomes of it is the client's timeouts' business."""


Answer: TypeAlias = "StubResponse | Silence | Exception"


def as_answer(value: Any) -> Answer:
    """Return what *value* stands for; what endpoints of an App return is understood.

    A dict or list is JSON, str and bytes are bodies, an int is a status, None is 204.

    :raises ConfigurationError: for anything else.
    """
    match value:
        case StubResponse() | Silence() | Exception():
            return value
        case bool():
            pass
        case int():
            return StubResponse(value)
        case str() | bytes():
            return StubResponse(body=value)
        case Mapping() | list():
            return StubResponse(json=value)
        case None:
            return StubResponse(204)
    raise ConfigurationError(f"a stub cannot answer with {value!r}")
