"""What a handler returns to leave HTTP behind: RFC 9110 section 7.8."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from twisted.internet.interfaces import IProtocol

    from httpx_tw.headers import Headers

__all__ = ["SwitchProtocols"]


@dataclass(slots=True)
class SwitchProtocols:
    """Answer 101 and give the connection to *protocol*.

    The request must have offered the switch (``request.head.upgrade``), or the client
    is answered 500 and the log says why. *protocol* is connected to the transport after
    the 101 was written, and first receives the bytes that came after the request.
    """

    name: str
    """The protocol's token for the Upgrade field, such as "websocket"."""

    protocol: IProtocol
    headers: Headers | None = field(default=None)
    """Further fields of the 101; None for none."""
