"""A name for each request, so that lines in several logs can be put together."""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred

from httpx_tw.app.response import Response
from httpx_tw.headers import checked_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from httpx_tw.app.middleware.onion import Middleware
    from httpx_tw.app.request import Request

__all__ = ["request_id"]

# What UUIDs, ULIDs, traceparent and base64 are written in: nothing that could be
# markup, a line break or a field separator where the name is logged.
_ACCEPTABLE = re.compile(r"[0-9A-Za-z._:/+=@~-]{1,128}")


def request_id(header: str = "X-Request-Id", *, accept: bool = True) -> Middleware:
    """Return a middleware that names each request.

    The name is in ``request.state["request_id"]`` and, as *header*, in the response.
    One that the client (a proxy before us) sent in *header* is kept if it is 1 to 128
    harmless characters; with *accept* False it is never kept. Else it is 128 random
    bits in hexadecimal. An exception passes by without the header.

    :raises InvalidHeader: when *header* is no header name.
    """
    name = checked_name(header)

    def name_request(request: Request, call_next: Callable[[Request], Any]) -> Any:
        sent = request.headers.get(name, "") if accept else ""
        chosen = sent if _ACCEPTABLE.fullmatch(sent) else secrets.token_hex(16)
        request.state["request_id"] = chosen

        def mark(answer: Any) -> Any:
            if isinstance(answer, Response):  # a SwitchProtocols has no place for it
                answer.headers.set(name, chosen)
            return answer

        answer = call_next(request)
        return (
            answer.addCallback(mark) if isinstance(answer, Deferred) else mark(answer)
        )

    return name_request
