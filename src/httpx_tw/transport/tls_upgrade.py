"""TLS on a plain connection that exists: after STARTTLS, CONNECT, or one's own dial."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet import tcp
from twisted.protocols.tls import TLSMemoryBIOFactory

from httpx_tw.transport.stream_client import StreamClient
from httpx_tw.transport.stream_server import StreamServer
from httpx_tw.transport.tls_client import TLSClient
from httpx_tw.transport.tls_ending import CLOSE_TIMEOUT
from httpx_tw.transport.tls_port import TLSServer, connection_maker, is_direct
from httpx_tw.transport.tls_stream import HANDSHAKE_TIMEOUT, TLSStream

if TYPE_CHECKING:
    from collections.abc import Callable

    from OpenSSL.SSL import Connection
    from twisted.internet.interfaces import ITLSTransport

__all__ = ["start_tls", "try_start_tls"]


class _TLSStreamClient(TLSStream, StreamClient):
    """What a StreamClient becomes."""

    peer_ends_first = True  # a client closes what the server closes, or has closed


# What a plain transport becomes: exactly these, a subclass may do things of its own.
_WITH_TLS: dict[type, type[TLSStream]] = {
    tcp.Client: TLSClient,
    tcp.Server: TLSServer,
    StreamClient: _TLSStreamClient,
    StreamServer: TLSServer,
}


def start_tls(
    transport: ITLSTransport,
    creator: Any,
    *,
    is_client: bool | None = None,
    handshake_timeout: float = HANDSHAKE_TIMEOUT,
    close_timeout: float = CLOSE_TIMEOUT,
) -> None:
    """Speak TLS on *transport*, which is connected, from now on.

    It is ITLSTransport.startTLS, and what that of a StreamServer calls.

    What was written before leaves unencrypted, and first. The transport remains the
    same object, with its protocol, its producer and its place in the reactor. A stock
    TCP transport, one of a StreamPort or of dial_tcp becomes a direct one; any other
    gets Twisted's TLS, without deadlines.

    :param creator: an IOpenSSLClientConnectionCreator or
        IOpenSSLServerConnectionCreator, as its side wants.
    :param is_client: None: who dialled is the client.
    :param handshake_timeout: seconds; 0: no limit. Then the connection is aborted.
    :param close_timeout: seconds that a peer has to answer our goodbye; 0: none.

    Call it on the reactor thread.

    :raises ConfigurationError: when the transport speaks TLS already.
    """
    # Any: what is asked of it here is what tcp.Connection has.
    plain: Any = transport
    dialled = bool(getattr(plain, "_tlsClientDefault", False))
    client = dialled if is_client is None else is_client
    if not try_start_tls(
        plain,
        creator,
        is_client=client,
        handshake_timeout=handshake_timeout,
        close_timeout=close_timeout,
    ):
        plain.startTLS(creator, client == dialled)


def try_start_tls(
    plain: Any,
    creator: Any,
    *,
    is_client: bool,
    handshake_timeout: float = HANDSHAKE_TIMEOUT,
    close_timeout: float = CLOSE_TIMEOUT,
) -> bool:
    """Make *plain* a direct transport; False, and nothing, where that cannot be."""
    maker = _maker_for(plain, creator, is_client=is_client)
    if maker is None:
        return False
    make, factory = maker
    before = type(plain)
    # Whoever holds the object goes on holding it: its protocol, its producer, the
    # reactor, the connector. A new one would have to be made known to all of them.
    plain.__class__ = _WITH_TLS[before]
    try:
        plain.attach(factory, make, plain.socket)
    except BaseException:
        plain.__class__ = before
        raise
    plain.handshake_timeout = handshake_timeout
    plain.close_timeout = close_timeout
    plain.take_over()
    return True


def _maker_for(
    plain: Any, creator: Any, *, is_client: bool
) -> tuple[Callable[[Any], Connection], TLSMemoryBIOFactory] | None:
    if type(plain) not in _WITH_TLS or plain.TLS or plain.disconnecting:
        return None
    # There is no factory below a transport; Twisted's startTLS gives None as well.
    nobody: Any = None
    factory = TLSMemoryBIOFactory(creator, is_client, nobody, clock=plain.reactor)
    maker = connection_maker(factory)
    if maker is None or not is_direct(factory, plain.reactor):
        return None
    return maker, factory
