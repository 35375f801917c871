"""What comes out of a codec: the heads of messages, pieces of bodies and their ends."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from httpx_tw.headers import HeaderPairs

__all__ = [
    "CHUNKED",
    "END_OF_MESSAGE",
    "NEED_DATA",
    "PAUSED",
    "PEER_CLOSED",
    "UNTIL_CLOSE",
    "RequestHead",
    "ResponseHead",
    "Signal",
]

CHUNKED: Final = -1
"""A ``body_length``: the body is chunked, its length comes with it."""

UNTIL_CLOSE: Final = -2
"""A ``body_length``: the body ends where the connection does (responses only)."""


class Signal(enum.Enum):
    """Events that carry nothing but their name."""

    NEED_DATA = "nothing more can be said before more bytes come"
    END_OF_MESSAGE = "the body is complete"
    PAUSED = "the next message waits until this exchange is over"
    PEER_CLOSED = "the peer has ended its side, between two messages"


NEED_DATA: Final = Signal.NEED_DATA
END_OF_MESSAGE: Final = Signal.END_OF_MESSAGE
PAUSED: Final = Signal.PAUSED
PEER_CLOSED: Final = Signal.PEER_CLOSED


@dataclass(slots=True)
class RequestHead:
    """The request line and the header fields, validated.

    Do not change it: requests whose heads are the same bytes may share it.
    """

    method: str
    """As it was written: methods are case-sensitive (RFC 9110 section 9.1)."""

    target: str
    """The request-target, ASCII, still percent-encoded."""

    headers: HeaderPairs
    """Every field line in order; names as they were written."""

    is_http11: bool
    """False for HTTP/1.0."""

    keep_alive: bool
    """The peer is willing to use the connection again (RFC 9112 section 9.3)."""

    body_length: int = 0
    """Bytes of body to come; 0: the head is the whole message; or CHUNKED."""

    expects_continue: bool = False
    """The peer waits for 100 (Continue) before it sends the body."""

    upgrade: bool = False
    """The peer offers to switch protocols (RFC 9110 section 7.8)."""

    path: str = ""
    """The path in the target, percent-encoded; of a target that has none the target."""

    query: str = ""
    """What follows "?" in the target, percent-encoded."""


@dataclass(slots=True)
class ResponseHead:
    """The status line and the header fields, validated."""

    status: int
    reason: str
    headers: HeaderPairs = field(default_factory=list)
    is_http11: bool = True
    keep_alive: bool = True
    """The connection may be used again once this response is read."""

    body_length: int = 0
    """Bytes of body to come, 0 for none, or CHUNKED, or UNTIL_CLOSE."""

    sets_cookies: bool = False
    """There is a Set-Cookie field."""

    has_coding: bool = False
    """There is a Content-Encoding field."""

    @property
    def is_interim(self) -> bool:
        """A 1xx response: the final one is still to come (RFC 9110 section 15.2)."""
        return self.status < 200 and self.status != 101
