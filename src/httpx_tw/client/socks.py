"""What is said to a SOCKS5 proxy before the connection is ours (RFC 1928, RFC 1929)."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

from httpx_tw.client.urls import is_address
from httpx_tw.errors import (
    ConfigurationError,
    ProxyAuthenticationRequired,
    ProxyError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["SocksHandshake"]

_VERSION: Final = 5
_NO_AUTHENTICATION: Final = 0
_USER_AND_PASSWORD: Final = 2
_NONE_ACCEPTABLE: Final = 0xFF
_CONNECT: Final = 1
_IPV4: Final = 1
_NAME: Final = 3
_IPV6: Final = 4

# RFC 1928 section 6.
_REPLIES: Final = {
    1: "general failure",
    2: "not allowed by its rules",
    3: "network unreachable",
    4: "host unreachable",
    5: "connection refused",
    6: "TTL expired",
    7: "command not supported",
    8: "address type not supported",
}


class SocksHandshake:
    """Asks a SOCKS5 proxy for a connection to a server; a Handshake of tunnels.py.

    A name is handed on as it is, for the proxy to resolve; for ``socks5`` without the
    h, resolve it first and give the address.

    :param host: name or address, as Origin has it. :param port: of the server.
    :param credentials: user name and password; None: none are offered.
    :raises ConfigurationError: for a name or credentials of more than 255 bytes.
    """

    __slots__ = (
        "_buffer",
        "_credentials",
        "_destination",
        "_next",
        "is_done",
        "leftover",
    )

    def __init__(
        self, host: str, port: int, credentials: tuple[str, str] | None = None
    ) -> None:
        self._destination = _destination(host) + port.to_bytes(2, "big")
        self._credentials = None
        if credentials is not None:
            user, password = (_counted(part.encode()) for part in credentials)
            self._credentials = user + password
        self._buffer = b""
        self._next: Callable[[], bytes | None] = self._method_selected
        self.is_done = False
        self.leftover = b""

    def start(self) -> bytes:
        """See Handshake.start. RFC 1928 section 3: what we could do."""
        if self._credentials is None:
            return bytes((_VERSION, 1, _NO_AUTHENTICATION))
        return bytes((_VERSION, 2, _NO_AUTHENTICATION, _USER_AND_PASSWORD))

    def receive(self, data: bytes) -> bytes:
        """See Handshake.receive.

        :raises ProxyAuthenticationRequired: when it wants credentials, or others.
        """
        self._buffer += data
        answer = b""
        while not self.is_done:
            step = self._next()
            if step is None:
                break
            answer += step
        return answer

    # Each reads one message, if all of it is there, and returns what to say to it.

    def _method_selected(self) -> bytes | None:
        """RFC 1928 section 3."""
        self._check_version(_VERSION)
        if len(self._buffer) < 2:
            return None
        method = self._taken(2)[1]
        if method == _NO_AUTHENTICATION:
            return self._request()
        if method == _USER_AND_PASSWORD and self._credentials is not None:
            self._next = self._authenticated
            return b"\x01" + self._credentials  # RFC 1929 section 2
        if method == _NONE_ACCEPTABLE:
            raise ProxyAuthenticationRequired(
                "the SOCKS proxy wants to know who we are"
            )
        raise ProxyError(f"the SOCKS proxy chose method {method}, not on offer")

    def _authenticated(self) -> bytes | None:
        """RFC 1929 section 2."""
        self._check_version(1)
        if len(self._buffer) < 2:
            return None
        if self._taken(2)[1] != 0:
            raise ProxyAuthenticationRequired("the SOCKS proxy refused the credentials")
        return self._request()

    def _request(self) -> bytes:
        """RFC 1928 section 4."""
        self._next = self._replied
        return bytes((_VERSION, _CONNECT, 0)) + self._destination

    def _replied(self) -> bytes | None:
        """RFC 1928 section 6."""
        self._check_version(_VERSION)
        buffer = self._buffer
        if len(buffer) >= 2 and buffer[1] != 0:
            # Some close behind the code, and send no address.
            reason = _REPLIES.get(buffer[1], f"reply {buffer[1]}")
            raise ProxyError(f"the SOCKS proxy made no connection: {reason}")
        if len(buffer) < 5:
            return None
        size = 4 + _size_of_address(buffer[3], buffer[4]) + 2
        if len(buffer) < size:
            return None
        self._taken(size)  # the address it uses, which is of no use to us
        self.is_done = True
        self.leftover, self._buffer = self._buffer, b""
        return b""

    def _check_version(self, version: int) -> None:
        if self._buffer and self._buffer[0] != version:
            raise ProxyError(
                f"expected version {version} of the SOCKS proxy, got {self._buffer[0]}"
            )

    def _taken(self, size: int) -> bytes:
        message, self._buffer = self._buffer[:size], self._buffer[size:]
        return message


def _size_of_address(kind: int, first: int) -> int:
    if kind == _IPV4:
        return 4
    if kind == _IPV6:
        return 16
    if kind == _NAME:
        return 1 + first
    raise ProxyError(f"the SOCKS proxy answered with address type {kind}")


def _destination(host: str) -> bytes:
    """RFC 1928 section 5."""
    if not is_address(host):
        return bytes((_NAME,)) + _counted(host.encode("ascii"))
    address = ip_address(host)
    return bytes((_IPV4 if address.version == 4 else _IPV6,)) + address.packed


def _counted(text: bytes) -> bytes:
    if not 1 <= len(text) <= 255:
        raise ConfigurationError(f"SOCKS takes 1 to 255 bytes, got {len(text)}")
    return bytes((len(text),)) + text
