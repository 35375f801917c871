"""OpenSSL on a socket: a pyOpenSSL Connection is given one, and moves bytes over it.

Twisted's connection creators return Connections that talk to memory, and pyOpenSSL has
no public way to give such a one a socket. Its private names, all used in this module
alone, are looked for when it is imported:

- those that attach a Connection to a socket: without them TLS is Twisted's own
  (``can_attach`` says so, and callers take TLSMemoryBIOProtocol);
- those that read and write without what pyOpenSSL puts around it, which costs a small
  exchange 4 to 8 of 20 µs: without them its public ``recv`` and ``send`` are called.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final, Protocol

from OpenSSL import SSL

if TYPE_CHECKING:
    import socket

__all__ = [
    "RECORD",
    "Direct",
    "Public",
    "Records",
    "attach",
    "can_attach",
    "is_truncation",
]

RECORD: Final = 16384
"""Most bytes of plain text in one record (RFC 8446 section 5.1)."""

_AT_ONCE: Final = 1 << 30  # OpenSSL counts in C's int

# Any: pyOpenSSL does not say what these are; they are cffi's.
_lib: Any = getattr(SSL, "_lib", None)
_ffi: Any = getattr(SSL, "_ffi", None)


def _has(*names: str) -> bool:
    return _ffi is not None and all(hasattr(_lib, name) for name in names)


_CAN_ATTACH = _has(
    "SSL_set_fd",
    "SSL_set_mode",
    "SSL_clear_mode",
    "SSL_MODE_AUTO_RETRY",
    "SSL_MODE_RELEASE_BUFFERS",
    "ERR_clear_error",
)
_IS_DIRECT = _has(
    "SSL_read", "SSL_write", "SSL_want_read", "SSL_want_write"
) and hasattr(SSL.Connection, "_raise_ssl_error")

# One look-up each on the hot path.
_clear_errors: Any = getattr(_lib, "ERR_clear_error", None)
_read: Any = getattr(_lib, "SSL_read", None)
_write: Any = getattr(_lib, "SSL_write", None)


class Records(Protocol):
    """What a TLS transport asks of OpenSSL.

    Each method may raise pyOpenSSL's errors: WantReadError and WantWriteError when the
    socket must be readable or writable first (call again then), ZeroReturnError when
    the peer has said goodbye, any other SSL.Error when the connection is over.
    """

    def handshake(self) -> None:
        """Go on with the handshake; returns when it is complete."""

    def read(self) -> bytes:
        """Return what is in one record: at most ``RECORD`` bytes, never none."""

    def write(self, data: bytes | memoryview) -> int:
        """Send *data*, which is not empty, and return how much of it was taken.

        What is left must be offered again, alone or with more behind it, before
        anything else: a part of it may be encrypted already.
        """

    def shutdown(self) -> bool:
        """Say goodbye (close_notify); return whether the peer has said it too."""

    def peer_has_ended(self) -> bool:
        """Whether the peer's goodbye was read."""

    def detach(self) -> None:
        """Let go of the socket: its number may soon be another connection's."""


class Public:
    """Records by what pyOpenSSL offers to everybody."""

    __slots__ = ("_connection",)

    def __init__(self, connection: SSL.Connection) -> None:
        self._connection = connection

    def handshake(self) -> None:
        """See Records."""
        _clear_errors()
        self._connection.do_handshake()

    def read(self) -> bytes:
        """See Records."""
        _clear_errors()
        return self._connection.recv(RECORD)

    def write(self, data: bytes | memoryview) -> int:
        """See Records."""
        size, sent = len(data), 0
        _clear_errors()
        try:
            while sent < size:
                # OpenSSL takes one record's worth at a time, as pyOpenSSL sets it up.
                rest = memoryview(data)[sent : sent + _AT_ONCE]
                sent += self._connection.send(rest)
        except SSL.Error:
            if not sent:
                raise
        return sent

    def shutdown(self) -> bool:
        """See Records."""
        _clear_errors()
        return self._connection.shutdown()

    def peer_has_ended(self) -> bool:
        """See Records."""
        return bool(self._connection.get_shutdown() & SSL.RECEIVED_SHUTDOWN)

    def detach(self) -> None:
        """See Records."""
        _lib.SSL_set_fd(self._connection._ssl, -1)  # noqa: SLF001  # see the module


class Direct(Public):
    """Records with nothing between us and OpenSSL."""

    __slots__ = ("_buffer", "_ssl", "_view")

    def __init__(self, connection: SSL.Connection) -> None:
        super().__init__(connection)
        self._ssl = connection._ssl  # noqa: SLF001  # see the module
        self._buffer, self._view = _buffer_of_this_thread()

    # What others have left in the error queue would be taken for the end of this
    # connection, says OpenSSL's manual of SSL_get_error, and wants it to be cleared
    # before each call. That costs 0.2 of 2.6 µs, and only a call that fails has to
    # know: see _fail.

    def read(self) -> bytes:
        """See Records."""
        count = _read(self._ssl, self._buffer, RECORD)
        if count <= 0:
            self._fail(count)
        data: bytes = self._view[:count]
        return data

    def write(self, data: bytes | memoryview) -> int:
        """See Records."""
        size = len(data)
        if size > RECORD or type(data) is not bytes:
            return self._write_many(data)
        count: int = _write(self._ssl, data, size)
        if count <= 0:
            self._fail(count)
        return count

    def _write_many(self, data: bytes | memoryview) -> int:
        size, sent = len(data), 0
        with _ffi.from_buffer(data) as start:
            while sent < size:
                left = min(size - sent, _AT_ONCE)
                count = _write(self._ssl, start + sent, left)
                if count <= 0:
                    if not sent:
                        self._fail(count)
                    break  # if it was an error, the next call meets it again
                sent += count
        return sent

    def _fail(self, count: int) -> None:
        """Raise what recv and send of pyOpenSSL would raise."""
        # SSL_get_error looks into the queue first. What the call itself says it waits
        # for is none of the queue's, nor is the peer's goodbye.
        ssl = self._ssl
        if _lib.SSL_want_read(ssl):
            _clear_errors()
            raise SSL.WantReadError
        if _lib.SSL_want_write(ssl):
            _clear_errors()
            raise SSL.WantWriteError
        if self.peer_has_ended():
            _clear_errors()
            raise SSL.ZeroReturnError
        try:
            self._connection._raise_ssl_error(ssl, count)  # noqa: SLF001  # see the module
        finally:
            _clear_errors()  # of a failed system call it leaves the traces


class _Buffers(threading.local):
    """Where OpenSSL writes plain text, one for all connections of a reactor.

    A reactor has a thread; OpenSSL runs without Python's lock, so two threads must not
    share one.
    """

    def __init__(self) -> None:
        self.buffer = _ffi.new("char[]", RECORD)
        self.view = _ffi.buffer(self.buffer)


_buffers: _Buffers | None = None


def _buffer_of_this_thread() -> tuple[Any, Any]:
    global _buffers  # made at first use: importing takes no memory
    if _buffers is None:
        _buffers = _Buffers()
    return _buffers.buffer, _buffers.view


def can_attach(connection: SSL.Connection | None = None) -> bool:
    """Whether Connections, and *connection* in particular, can be given a socket."""
    if connection is None:
        return _CAN_ATTACH
    return _CAN_ATTACH and all(
        hasattr(connection, name) for name in ("_ssl", "_into_ssl", "_from_ssl")
    )


def attach(connection: SSL.Connection, sock: socket.socket) -> Records:
    """Let *connection*, which talks to memory, talk over *sock* from now on.

    *sock* must be non-blocking, and stay open until ``detach``. Renegotiation, which
    TLS 1.3 does not have any more, is refused to the peer (CVE-2009-3555 and a cheap
    way to keep our processor busy), and buffers are released between records.
    """
    # Any: the private attributes below.
    opened: Any = connection
    ssl = opened._ssl  # noqa: SLF001  # see the module
    _lib.SSL_set_mode(ssl, _lib.SSL_MODE_RELEASE_BUFFERS)
    # pyOpenSSL has it set: SSL_read then goes on to the next record after one that is
    # not for the application, and does not return while a peer sends key updates, 3 MB
    # of them a second.
    _lib.SSL_clear_mode(ssl, _lib.SSL_MODE_AUTO_RETRY)
    if hasattr(_lib, "SSL_set_options"):
        _lib.SSL_set_options(ssl, SSL.OP_NO_RENEGOTIATION)
    # It frees the two memory buffers; pyOpenSSL must not touch them again.
    opened._into_ssl = opened._from_ssl = None  # noqa: SLF001  # see the module
    if _lib.SSL_set_fd(ssl, sock.fileno()) != 1:
        raise MemoryError("OpenSSL could not take the socket")
    return Direct(connection) if _IS_DIRECT else Public(connection)


def is_truncation(error: SSL.Error) -> bool:
    """Whether *error* is the end of the socket, not of TLS: no close_notify came.

    The socket's own errors (a reset, a pipe that is broken) count too.
    """
    if isinstance(error, SSL.SysCallError):
        return True
    queue = error.args[0] if error.args else ()
    # OpenSSL 4 reports an unexpected end with nothing in its queue.
    return not queue or str(queue[-1][-1]).casefold().startswith("unexpected eof")
