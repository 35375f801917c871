"""The figures of a server, as one immutable record."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["ServerStats"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerStats:
    """A server's figures at one moment; counts are since it started."""

    connections_accepted: int
    connections_open: int
    connections_closed: int
    reading_request: int
    """Open connections waiting for a request, or in the middle of one."""
    processing: int
    """Open connections whose request a handler is working on."""
    writing_response: int
    """Open connections whose response has begun and is not over."""
    closing: int
    """Open connections that are being ended."""
    accepting: bool
    """False while the connection limit or a want of descriptors holds accepting up."""
    requests: int
    """Exchanges answered, refusals of bad requests included."""
    responses_1xx: int
    responses_2xx: int
    responses_3xx: int
    responses_4xx: int
    responses_5xx: int
    bytes_received: int
    bytes_sent: int
    """Bytes handed to the transport."""
    protocol_errors: int
    """Requests refused because they broke HTTP or a limit."""
    handler_errors: int
    """Handlers that failed unexpectedly (500)."""
    deadlines_passed: int
    """Connections or exchanges ended by one of the timeouts."""
    disconnects: int
    """Clients that left before their answer was complete."""
    times_out_of_descriptors: int
    uptime: float
    """Seconds since the server started; 0.0 before that."""

    def as_dict(self) -> dict[str, Any]:
        """Return the figures under their names, for JSON and the like."""
        return asdict(self)
