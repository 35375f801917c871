"""The moments of a client's request: what can be watched, by its name."""

from __future__ import annotations

from typing import Final

__all__ = ["DIAL_PHASES", "MOMENTS", "PHASES", "STEPS"]

STEPS: Final = {
    "request": "a request is about to be sent: the request",
    "response": "a response is there, if only its head: the response",
    "redirect": "a redirect is followed: the response, and the request to come",
    "retry": "a request is tried again: the request, the error or response, seconds",
}
"""The steps of a call, with what a hook is given. They wait for their hooks, and fail
with them."""

DIAL_PHASES: Final = {
    "resolved": "the name of the server, or of its proxy, has an address",
    "connected": "TCP is connected, or the Unix socket",
    "tunneled": "the proxy has opened a tunnel",
    "secured": "the TLS handshake with the server is over",
}
"""Phases of making a connection, which a request has only if its own is new."""

PHASES: Final = {
    **DIAL_PHASES,
    "sent": "the request is sent, with its body",
    "started": "the head of the final response is there",
    "ended": "the response is there to its last byte",
}
"""The phases of one exchange, each named by its end, in their order. Hooks are given
the request, and the seconds since it was begun; nothing waits for them, and what they
raise is logged. Those of the dial are told of when the connection is there."""

MOMENTS: Final = {**STEPS, **PHASES}
"""What hooks may be called at."""
