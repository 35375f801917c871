"""Write-through: bytes go to the socket at once where nothing is queued before them.

A stock ``FileDescriptor.write`` only queues. Each response then costs two epoll_ctl
calls and one more event, together 6 of the 23 µs of a small exchange. Here ``send`` is
tried first and only what the kernel did not take goes to Twisted's buffer, so order,
producers, ``loseConnection`` and errors stay Twisted's business.

It works on the stock stream transports of every POSIX reactor, whoever made them:
endpoint strings, adopted sockets, somebody else's port. Any other transport (TLS, IOCP,
memory, a wrapper) gets an ordinary ``write``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet import tcp
from twisted.internet.interfaces import IHalfCloseableDescriptor, ISSLTransport
from twisted.protocols.tls import TLSMemoryBIOProtocol

from httpx_tw.transport.completion_stream import CompletionStream
from httpx_tw.transport.tls_stream import TLSStream

try:
    from twisted.internet import unix
except ImportError:  # no UNIX sockets on this platform
    unix = None  # type: ignore[assignment]  # mypy wants a module

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import ITransport

__all__ = [
    "can_half_close",
    "can_write_through",
    "hang_up",
    "unsent_bytes",
    "write_through",
    "writer_for",
]

_STOCK_WRITES = {tcp.Connection.write, tcp.Server.write, tcp.Client.write}
if unix is not None:
    _STOCK_WRITES |= {unix.Server.write, unix.Client.write}


def can_write_through(transport: ITransport) -> bool:
    """Whether *transport* is a stock stream transport over a plain socket.

    Asked once, when a connection is made. A subclass that writes in its own way is
    left alone.
    """
    return (
        isinstance(transport, tcp.Connection)
        and not transport.TLS
        and type(transport).write in _STOCK_WRITES
    )


def writer_for(transport: ITransport) -> Callable[[Any, bytes], None]:
    """Return the function that writes to *transport*: ``write(transport, data)``.

    Of a TLSStream it is its own ``write``, which sends at once by the same rules; of a
    CompletionStream, too, which sends with all others of the batch.
    """
    if isinstance(transport, TLSStream | CompletionStream):
        return type(transport).write
    return write_through if can_write_through(transport) else _write


def _write(transport: Any, data: bytes) -> None:
    transport.write(data)


def write_through(transport: Any, data: bytes) -> None:
    """Send *data* now if nothing is in the way, else let the transport queue it.

    Only for transports of which :func:`can_write_through` said yes. Call it on the
    reactor thread. It never calls the protocol or a producer back, and never reports an
    error: a broken connection is met by the reactor, in its turn.
    """
    if (
        transport._tempDataLen  # noqa: SLF001  # the buffers are Twisted's; see above
        or transport.dataBuffer
        or not transport.connected
        or transport.TLS  # startTLS came in between
        # A pull producer is resumed from doWrite alone: sending everything here would
        # leave it waiting for ever.
        or (transport.producer is not None and not transport.streamingProducer)
    ):
        transport.write(data)
        return
    # Whether the transport is ending its side makes no difference: stock write queues
    # the bytes all the same, and they leave before the end; after it the kernel refuses
    # them, and write drops them.
    try:
        sent = transport.socket.send(data)
    except OSError:
        # EAGAIN is no error; EPIPE and ECONNRESET are met again by doWrite, which may
        # call connectionLost, as nothing that is called from the protocol may.
        sent = 0
    if sent != len(data):
        transport.write(data[sent:] if sent else data)


def can_half_close(transport: ITransport) -> bool:
    """Whether ``loseWriteConnection`` ends our side, and what comes is still delivered.

    Twisted's TLS has no such thing: what is below it must not end its side alone.
    """
    return isinstance(transport, TLSStream) or (
        IHalfCloseableDescriptor.providedBy(transport)
        and not ISSLTransport.providedBy(transport)
    )


def hang_up(transport: Any) -> None:
    """End *transport* when what was written is sent, whatever the peer says to that.

    As ``loseConnection``, with which Twisted's TLS waits for the peer's goodbye, and
    without end: a client that pools connections and does not look says none. Nor does
    that of a TLSStreamPort wait; see there.
    """
    transport.loseConnection()
    if isinstance(transport, TLSMemoryBIOProtocol):
        below: Any = transport.transport
        if not transport._appSendBuffer:  # noqa: SLF001  # behind that is our goodbye
            below.loseConnection()


def unsent_bytes(transport: Any) -> int | None:
    """Return how many bytes wait in the transport's own buffer; None: it does not say.

    What the kernel has taken counts as sent. Of a transport over another (TLS) the
    lowest is asked: what is above hands everything down at once.
    """
    while transport is not None:
        try:
            waiting = len(transport.dataBuffer) - transport.offset
            return int(waiting + transport._tempDataLen)  # noqa: SLF001  # Twisted's, on POSIX and IOCP alike
        except AttributeError:
            transport = getattr(transport, "transport", None)
    return None
