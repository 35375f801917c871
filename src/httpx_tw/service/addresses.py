"""Where to listen: endpoint strings made into endpoints, addresses made into URLs."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred, execute
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IStreamServerEndpoint
from zope.interface import implementer

from httpx_tw.errors import ConfigurationError
from httpx_tw.service.quantities import parse_count
from httpx_tw.transport.listener import ListeningReactor, check_endpoint_kind

if TYPE_CHECKING:
    from twisted.internet.interfaces import IListeningPort

    from httpx_tw.server.factory import HTTPFactory

__all__ = [
    "InheritedSocketEndpoint",
    "cannot_listen",
    "endpoint_from",
    "stream_socket_family",
    "url_of",
]


def endpoint_from(reactor: Any, description: str) -> IStreamServerEndpoint:
    """Return the endpoint that *description* names: Twisted's words, or ``fd:N``.

    :raises ConfigurationError: when it makes no sense.
    """
    check_endpoint_kind(reactor, description)
    kind, _, rest = description.partition(":")
    try:
        if kind == "fd":
            return InheritedSocketEndpoint(reactor, parse_count(rest))
        made: IStreamServerEndpoint = serverFromString(reactor, description)
    except Exception as error:
        # The parsers are plugins, and Twisted's own raise whatever they stumble over.
        reason = _reason_of(error, kind)
        raise ConfigurationError(f"bad endpoint {description!r}: {reason}") from error
    return made


def _reason_of(error: Exception, kind: str) -> str:
    match error:
        case ValueError() if str(error).startswith("Unknown endpoint type"):
            return f"there is no endpoint type {kind!r}"
        case KeyError() | IndexError() if kind == "systemd":
            return "systemd passed on no such socket"
        case TypeError() | KeyError() | IndexError():
            return f"wrong arguments for {kind!r}"
        case OSError(strerror=str(reason), filename=name) if name is not None:
            return f"{reason}: {os.fsdecode(name)}"
        case _:
            return str(error) or type(error).__name__


def stream_socket_family(descriptor: int) -> socket.AddressFamily:
    """Return the family of an inherited socket.

    :raises ConfigurationError: when *descriptor* is not open, or no stream socket.
    """
    borrowed = -1
    try:
        borrowed = os.dup(descriptor)
        looked_at = socket.socket(fileno=borrowed)
    except OSError as error:
        if borrowed >= 0:
            os.close(borrowed)
        raise ConfigurationError(
            f"descriptor {descriptor} is no socket: {error.strerror}"
        ) from error
    with looked_at:
        if looked_at.type != socket.SOCK_STREAM:
            raise ConfigurationError(f"descriptor {descriptor} is no stream socket")
        return socket.AddressFamily(looked_at.family)


@implementer(IStreamServerEndpoint)
class InheritedSocketEndpoint:
    """Serves on a socket that whoever started us has bound.

    For HTTPFactory alone, with TLS or without: what comes in this way heeds its limit
    like any other port.
    """

    def __init__(self, reactor: Any, descriptor: int) -> None:
        self._reactor = reactor
        self.descriptor = descriptor

    def listen(self, protocolFactory: Any) -> Deferred[IListeningPort]:  # noqa: N803  # Twisted's name
        """See IStreamServerEndpoint.listen."""
        listening: Deferred[IListeningPort] = execute(self._listen, protocolFactory)
        return listening

    def _listen(self, factory: Any) -> IListeningPort:
        family = stream_socket_family(self.descriptor)
        served: HTTPFactory = getattr(factory, "wrappedFactory", factory)
        backlog = served.limits.backlog
        with socket.socket(fileno=os.dup(self.descriptor)) as inherited:
            inherited.setblocking(False)
            inherited.listen(backlog)  # some pass on sockets that are only bound
            reactor = ListeningReactor(self._reactor, served.gate, backlog)
            return reactor.adoptStreamPort(inherited.fileno(), family, factory)


def cannot_listen(error: BaseException, description: str) -> ConfigurationError:
    """Return *error*, which came up while listening, as one line."""
    if isinstance(error, ConfigurationError):
        return error
    cause: object = error
    if isinstance(error, CannotListenError):
        cause = error.socketError
    reason = (isinstance(cause, OSError) and cause.strerror) or str(cause)
    return ConfigurationError(f"cannot listen on {description}: {reason}")


def url_of(address: Any, description: str, *, is_secure: bool = False) -> str:
    """Return how a client would name *address*, which came of *description*.

    :param is_secure: TLS is spoken there, whatever *description* says.
    """
    is_secure = is_secure or description.startswith(("ssl:", "tls:"))
    scheme = "https" if is_secure else "http"
    match address:
        case IPv4Address():
            return f"{scheme}://{address.host}:{address.port}"
        case IPv6Address():
            return f"{scheme}://[{address.host}]:{address.port}"
        case UNIXAddress():
            return f"{scheme}+unix:{_unix_path(address)}"
        case _:
            return f"{scheme} on {address}"


def _unix_path(address: UNIXAddress) -> str:
    name = address.name
    if not name:
        return ""
    path = os.fsdecode(name)
    return quote(path.replace("\0", "@", 1), safe="/@")
