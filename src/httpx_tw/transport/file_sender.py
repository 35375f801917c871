"""Files to sockets by sendfile(2): the bytes never enter the process.

Only where write-through is possible too (see stream.py): on the stock stream transports
over a plain socket. The transport's own buffer goes first, so the order is that of the
calls. While the socket takes no more, the transport is made to look as if its buffer
were over the high watermark: its push producer is resumed when there is room, and
closing, aborting and losing the connection stay Twisted's business.
"""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING, Any, Final

from httpx_tw.errors import FileChanged
from httpx_tw.transport.completion_stream import CompletionStream
from httpx_tw.transport.stream import can_write_through

if TYPE_CHECKING:
    from twisted.internet.interfaces import ITransport

__all__ = [
    "CHUNK",
    "HAS_SENDFILE",
    "can_send_files",
    "resume_when_writable",
    "send_file",
]

CHUNK: Final = 1024 * 1024
"""Bytes a call sends at most, and so a connection in one turn of the reactor: 0.1 ms
while the peer reads as fast. nginx sends 2 MiB."""

_sendfile: Final[Any] = getattr(os, "sendfile", None)

HAS_SENDFILE: Final = _sendfile is not None
"""Whether there is such a call on this platform."""

_MORE: Final[int] = getattr(socket, "MSG_MORE", 0)
"""Linux: there is more to come, wait for it. It saves a packet, and with it 3 of 32 µs
for 64 KiB."""

_IN_ONE_PACKET: Final = 64 * 1024
"""Bytes up to which that pays. More take several packets anyway, and a head in front
puts all their pages out of step: 128 KiB cost 70 µs with it and 45 without."""

# The file system has no pages to lend (EINVAL), or there is no such call after all.
_UNSUPPORTED: Final = {
    errno.EINVAL,
    errno.ENOSYS,
    errno.ENOTSUP,
    errno.EOPNOTSUPP,
    errno.EOVERFLOW,
}

# The peer is gone: the reactor meets it in its turn, as stream.py says.
_LOST: Final = {
    errno.EPIPE,
    errno.ECONNRESET,
    errno.ECONNABORTED,
    errno.ENOTCONN,
    errno.ESHUTDOWN,
    errno.ETIMEDOUT,
    errno.EBADF,
}


def can_send_files(transport: ITransport) -> bool:
    """Whether :func:`send_file` works on *transport* now: startTLS ends it."""
    return _sendfile is not None and (
        can_write_through(transport)
        or (isinstance(transport, CompletionStream) and not transport.TLS)
    )


def send_file(  # noqa: C901  # a call each for its parts is a tenth of 64 KiB
    transport: Any, fd: int, offset: int, count: int, head: bytes = b""
) -> int | None:
    """Send *head*, then up to *count* bytes of the open file *fd* from *offset* on.

    Return how many of these the socket took: at most a :data:`CHUNK`, 0 when it takes
    none now or the transport still holds other bytes; then see
    :func:`resume_when_writable`. None: this file has to be read. Either way *head* is
    sent, or queued. Only on the reactor thread. It never calls back, and a broken
    connection is no error of it.

    :raises FileChanged: when the file ends at *offset*: it has become shorter.
    :raises OSError: when the file cannot be read.
    """
    if (
        transport.dataBuffer
        or transport._tempDataLen  # noqa: SLF001  # Twisted's buffers, as in stream.py
        or not transport.connected
        or transport.TLS
    ):
        if head:
            transport.write(head)
        return 0
    if head:
        try:
            sent = transport.socket.send(head, _MORE if count <= _IN_ONE_PACKET else 0)
        except OSError:
            sent = 0  # as in write_through
        if sent != len(head):
            transport.write(head[sent:])
            return 0
    try:
        sent = int(_sendfile(transport.fileno(), fd, offset, min(count, CHUNK)))
    except (BlockingIOError, InterruptedError):
        return 0
    except OSError as error:
        if error.errno in _UNSUPPORTED:
            return None
        if error.errno in _LOST:
            return 0
        raise
    if not sent:
        raise FileChanged("the file has become shorter while it was sent")
    return sent


def resume_when_writable(transport: Any) -> None:
    """Have the transport resume its push producer when the socket takes more.

    Where the connection is broken it is lost in place of that. Only for transports of
    which :func:`can_send_files` said yes.
    """
    transport.producerPaused = True
    if isinstance(transport, CompletionStream):
        transport.wait_for_room()  # it would try at once: there is none
    else:
        transport.startWriting()
