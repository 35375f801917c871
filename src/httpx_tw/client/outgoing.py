"""One request, ready to be sent: everything about it is decided."""

from __future__ import annotations

from typing import TYPE_CHECKING

from httpx_tw.client.retries import is_idempotent
from httpx_tw.protocol.http1_client import request_framing
from httpx_tw.protocol.http1_writer import request_head

if TYPE_CHECKING:
    from httpx_tw.client.content import Content
    from httpx_tw.client.pool_facts import PoolKey
    from httpx_tw.client.urls import URL
    from httpx_tw.headers import HeaderPairs

__all__ = ["OutgoingRequest"]


class OutgoingRequest:
    """A request as it goes on the wire. Nothing changes it: it may be sent again.

    :raises LocalProtocolError: when the method is no token.
    """

    __slots__ = (
        "content",
        "decodes",
        "expects_continue",
        "head",
        "headers",
        "is_idempotent",
        "key",
        "limit",
        "method",
        "url",
    )

    def __init__(  # noqa: PLR0913  # what a request is
        self,
        method: str,
        url: URL,
        headers: HeaderPairs,
        *,
        key: PoolKey,
        limit: float,
        content: Content | None = None,
        target: str | None = None,
    ) -> None:
        self.method = method
        self.url = url
        """Where it goes; ``str()`` gives it without userinfo."""
        self.headers = headers
        """The fields, checked, Host among them, without those about framing."""
        self.content = content
        self.key = key
        self.limit = limit
        """Most bytes that reading its response whole may take."""
        self.decodes = True
        """Content codings of the response are undone. For an Agent they are not."""
        self.expects_continue = content is not None and any(
            name.lower() == b"expect" and value.lower() == b"100-continue"
            for name, value in headers
        )
        """The body waits until the server wants it: the caller said ``Expect``."""
        self.is_idempotent = is_idempotent(
            method, [name.decode("latin-1").lower() for name, _ in headers]
        )
        """It may be sent a second time if nobody knows about the first."""
        length = 0 if content is None else content.length
        framing = request_framing(method, length)
        self.head = request_head(method, target or url.target, [*headers, *framing])

    @property
    def can_replay(self) -> bool:
        """Whether its body, if it has one, can be sent again."""
        return self.content is None or self.content.can_replay

    def __repr__(self) -> str:
        return f"<OutgoingRequest {self.method} {self.url}>"
