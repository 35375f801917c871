"""What is said to a proxy before the connection is ours: HTTP CONNECT (RFC 9110 9.3.6).

Like SOCKS in socks.py it does no I/O and has the face of :class:`Handshake`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from httpx_tw.errors import (
    HeadTooLarge,
    ProxyAuthenticationRequired,
    ProxyError,
    RemoteProtocolError,
)
from httpx_tw.limits import DEFAULT_LIMITS
from httpx_tw.protocol.http1_reader import (
    END_OF_HEAD,
    ResponseHeadParser,
    refuse_partial,
)
from httpx_tw.protocol.http1_writer import request_head

if TYPE_CHECKING:
    from httpx_tw.headers import HeaderPairs
    from httpx_tw.limits import Limits
    from httpx_tw.protocol.events import ResponseHead

__all__ = ["ConnectHandshake", "Handshake"]

_PREFIX: Final = b"HTTP/1."

# More interim responses than any proxy has a reason for.
_MOST_INTERIM: Final = 8


class Handshake(Protocol):
    """A conversation that makes of a connection to a proxy one to a server."""

    is_done: bool
    """The connection is ours."""

    leftover: bytes
    """What came behind the proxy's last word, once it is done: the server's first."""

    def start(self) -> bytes:
        """Return what to send first. Call it once."""

    def receive(self, data: bytes) -> bytes:
        """Take what came, and return what to send now; b"" is often all.

        After an error it is of no further use, and neither is the connection.

        :raises ProxyError: when the proxy refuses, or does not speak its protocol.
        """


class ConnectHandshake:
    """Asks an HTTP proxy for a tunnel to a server.

    :param host: as Origin has it. :param port: of the server.
    :param authorization: for Proxy-Authorization; None: no credentials.
    :param headers: more header fields for the proxy, checked.
    :param limits: for the head of the answer.
    """

    __slots__ = (
        "_authority",
        "_authorization",
        "_buffer",
        "_headers",
        "_interim",
        "_limits",
        "_parser",
        "_seen",
        "is_done",
        "leftover",
    )

    def __init__(
        self,
        host: str,
        port: int,
        *,
        authorization: str | None = None,
        headers: HeaderPairs | None = None,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        name = f"[{host}]" if ":" in host else host
        self._authority = f"{name}:{port}"
        self._authorization = authorization
        self._headers = headers or []
        self._limits = limits
        self._parser = ResponseHeadParser(limits)
        self._buffer = b""
        self._seen = 0
        self._interim = 0
        self.is_done = False
        self.leftover = b""

    def start(self) -> bytes:
        """See Handshake.start. RFC 9112 section 3.2.3: authority-form."""
        fields = [(b"Host", self._authority.encode("ascii")), *self._headers]
        if self._authorization is not None:
            credentials = self._authorization.encode("ascii")
            fields.append((b"Proxy-Authorization", credentials))
        return request_head("CONNECT", self._authority, fields)

    def receive(self, data: bytes) -> bytes:
        """See Handshake.receive.

        :raises ProxyAuthenticationRequired: for 407.
        """
        self._buffer += data
        if not _PREFIX.startswith(self._buffer[: len(_PREFIX)]):
            raise ProxyError("CONNECT was not answered with HTTP/1")
        while not self.is_done:
            head = self._next_head()
            if head is None:
                break
            self._take(head)
        return b""

    def _next_head(self) -> ResponseHead | None:
        try:
            end = self._buffer.find(END_OF_HEAD, max(0, self._seen - 3)) + 4
            if end == 3:
                if self._buffer:
                    refuse_partial(self._buffer, 0, self._seen, self._limits)
                self._seen = len(self._buffer)
                return None
            head = self._parser.parse(self._buffer[:end], "CONNECT")
        except (RemoteProtocolError, HeadTooLarge) as error:
            raise ProxyError(f"CONNECT was not answered with HTTP: {error}") from error
        self._buffer = self._buffer[end:]
        self._seen = 0
        return head

    def _take(self, head: ResponseHead) -> None:
        if 100 <= head.status < 200 and head.status != 101:
            self._interim += 1
            if self._interim > _MOST_INTERIM:
                raise ProxyError(f"more than {_MOST_INTERIM} interim responses")
        elif 200 <= head.status < 300:
            # Section 9.3.6: any 2xx; what it says of a body's length is ignored.
            self.is_done = True
            self.leftover, self._buffer = self._buffer, b""
        elif head.status == 407:
            raise ProxyAuthenticationRequired(
                f"the proxy wants credentials: 407 {head.reason}"
            )
        else:
            raise ProxyError(
                f"the proxy opens no tunnel to {self._authority}:"
                f" {head.status} {head.reason}"
            )
