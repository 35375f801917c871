"""A stream transport that speaks TLS itself: OpenSSL reads and writes the socket.

Twisted runs TLS as a protocol between transport and protocol, over memory: each piece
is copied four times and passes through a dozen calls, 20 µs a small exchange. Here the
socket's ``recv`` and ``send`` are OpenSSL's, and the rest is Twisted's stream transport
as it is: what the socket does not take waits, unencrypted, in its buffers, so that
producers, ``loseConnection`` and errors work as they always do.
"""

# ruff: noqa: N802  # Twisted calls these

from __future__ import annotations

import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from OpenSSL.SSL import Error, WantReadError, WantWriteError, ZeroReturnError
from twisted.internet.abstract import FileDescriptor
from twisted.internet.interfaces import (
    IHandshakeListener,
    INegotiated,
    ISSLTransport,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from httpx_tw.errors import ConfigurationError, DeadlinePassed
from httpx_tw.transport.openssl import RECORD, attach
from httpx_tw.transport.tls_ending import READ_BATCH, Stage, TLSEnding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from OpenSSL.crypto import X509
    from OpenSSL.SSL import Connection
    from twisted.protocols.tls import TLSMemoryBIOFactory

__all__ = ["HANDSHAKE_TIMEOUT", "TLSStream"]

HANDSHAKE_TIMEOUT: Final = 10.0
"""Seconds for the whole handshake; a client across the world needs one."""

_OPEN: Final = Stage.OPEN  # a global is 20 ns nearer than an enum's member


@implementer(ISSLTransport, INegotiated)
class TLSStream(TLSEnding):
    """What the two sides of a TLS connection have in common.

    To protocols it is what Twisted's TLS is: ``getPeerCertificate``, ``getHandle`` (the
    pyOpenSSL Connection), ``negotiatedProtocol``; ``handshakeCompleted`` is called on a
    protocol that is an IHandshakeListener; ``connectionLost`` gets the SSL.Error of a
    handshake that failed, DeadlinePassed of one that took too long, ConnectionLost when
    the peer ended without saying goodbye, and ConnectionDone when it did.

    Two things differ. After ``loseConnection`` nothing is delivered any more, as over
    plain TCP; and ``loseWriteConnection`` says goodbye and reads on, so that a server
    can refuse an upload and still see it off.

    Use it on the reactor thread.
    """

    TLS = True
    handshake_timeout = HANDSHAKE_TIMEOUT
    """Seconds; 0: no limit."""
    factory: TLSMemoryBIOFactory
    """Where Twisted's connection creators look for ``wrappedFactory``."""

    _is_paused = False  # by the application
    _waits_to_write = False  # for the handshake
    _clear_text = b""  # written before TLS was started, not sent yet

    # Beginning, by who makes it

    def attach(
        self,
        factory: TLSMemoryBIOFactory,
        make_connection: Callable[[TLSStream], Connection],
        sock: socket.socket,
    ) -> None:
        """Prepare TLS on *sock*; nothing is sent or read yet."""
        self.factory = factory
        self._connection = connection = make_connection(self)
        self._records = attach(connection, sock)
        # A handshake ends with a small write, and what is said first follows it:
        # Nagle's algorithm would hold that back for a round trip.
        with suppress(OSError):  # no TCP
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def begin(self, *, speaks_first: bool) -> None:
        """Shake hands from now on; who speaks first does so at once."""
        self._when_readable(self._shake_hands)
        self._when_writable(self._shake_hands)
        if self.handshake_timeout:
            self._deadline = self.reactor.callLater(
                self.handshake_timeout, self._handshake_took_too_long
            )
        if speaks_first:
            why = self._shake_hands()
            if why is not None:
                self._end_soon(why)

    def take_over(self) -> None:
        """Begin with what was written before TLS, unencrypted: see start_tls."""
        left = [self.dataBuffer[self.offset :], *self._tempDataBuffer]
        self._clear_text = b"".join(left)
        self.dataBuffer, self.offset = b"", 0
        self._tempDataBuffer, self._tempDataLen = [], 0
        self.startReading()
        self.begin(speaks_first=True)

    # The handshake

    def _shake_hands(self) -> Exception | None:
        """Take the handshake as far as it goes: doRead and doWrite until it is done."""
        if self._clear_text and not self._clear_text_left():
            self._waits_to_write = True
            self.startWriting()
            return None
        try:
            self._records.handshake()
        except WantReadError:
            self._write_no_more()
        except WantWriteError:
            self._waits_to_write = True
            self.startWriting()
        except Error as error:
            return self._failed(error)
        else:
            # A callback of OpenSSL may have aborted it.
            if self._stage is Stage.HANDSHAKE:
                self._handshake_completed()
        return None

    def _write_no_more(self) -> None:
        if self._waits_to_write:  # to ask the reactor costs five calls
            self._waits_to_write = False
            self.stopWriting()

    def _clear_text_left(self) -> bool:
        """Send what was written before TLS was started; whether all of it is gone."""
        try:
            sent = self.socket.send(self._clear_text)
        except BlockingIOError:
            return False
        except OSError:
            sent = len(self._clear_text)  # the handshake meets it again
        self._clear_text = self._clear_text[sent:]
        return not self._clear_text

    def _handshake_completed(self) -> None:
        self._when_readable(None)
        self._when_writable(None)
        self._cancel_deadline()
        self._stage = Stage.OPEN
        self._write_no_more()
        if self._is_paused or self.disconnecting:
            self.stopReading()
        if self._is_anything_queued or self._is_pulled or self._writeDisconnecting:
            self.startWriting()
        if IHandshakeListener.providedBy(self.protocol):
            self.protocol.handshakeCompleted()

    def _handshake_took_too_long(self) -> None:
        self._deadline = None
        seconds = f"{self.handshake_timeout:g} s"
        self._reason = Failure(
            DeadlinePassed(f"the TLS handshake was not complete in {seconds}")
        )
        self.abortConnection()

    # Reading

    def doRead(self) -> Any:
        """Read a record, and hand over what is in it."""
        try:
            data = self._records.read()
        except Error as error:
            return self._read_nothing(error)
        self.protocol.dataReceived(data)
        return self._read_on() if len(data) == RECORD else None

    def _read_on(self) -> Exception | None:
        """After a full record there is likely another: save an event for each."""
        for _ in range(READ_BATCH - 1):
            if self._is_paused or self.disconnecting or self._stage is not _OPEN:
                return None
            try:
                data = self._records.read()
            except Error as error:
                return self._read_nothing(error)
            self.protocol.dataReceived(data)
            if len(data) < RECORD:
                return None
        return None

    def _read_nothing(self, error: Error) -> Exception | None:
        if isinstance(error, WantReadError):
            return None  # a part of a record, or one that is not for the application
        if isinstance(error, WantWriteError):
            # The answer to a key update does not fit into the socket. Reading waits:
            # what is readable meanwhile would wake us for nothing, again and again.
            self.stopReading()
            self._when_writable(self._read_again)
            self.startWriting()
            return None
        if isinstance(error, ZeroReturnError):
            return self._peer_has_said_goodbye()
        return self._failed(error)

    def _read_again(self) -> Exception | None:
        self._when_writable(None)
        if not self._is_anything_queued:
            self.stopWriting()
        if not (self._is_paused or self.disconnecting):
            self.startReading()
        why: Exception | None = self.doRead()
        return why

    # Writing

    @property
    def _is_pulled(self) -> bool:
        """Whether a pull producer writes, in the turns that doWrite alone gives it."""
        return self.producer is not None and not self.streamingProducer

    def write(self, data: bytes) -> None:
        """Send *data* now if nothing is in the way, else queue it. See ITransport.

        It never calls the protocol or a producer's ``resumeProducing``, and never
        reports an error: the reactor meets it.

        :raises TypeError: when *data* is not bytes.
        """
        if (
            self._stage is not _OPEN
            or self._tempDataLen
            or self.dataBuffer
            or not data
            or type(data) is not bytes
            or self._writeDisconnecting
            or self.disconnecting
            or (self.producer is not None and not self.streamingProducer)
        ):
            self._queue(data)
            return
        try:
            sent = self._records.write(data)
        except Error:
            sent = 0
        if sent != len(data):
            self._queue(data[sent:] if sent else data)

    def _queue(self, data: bytes) -> None:
        if not isinstance(data, bytes):
            raise TypeError(f"data must be bytes, not {type(data).__name__}")
        if (
            not data
            or not self.connected
            or self._stage > _OPEN
            or self._writeDisconnected
            # A producer may go on until it unregisters; nobody else may.
            or (self.disconnecting and self.producer is None)
        ):
            return
        self._tempDataBuffer.append(data)
        self._tempDataLen += len(data)
        self._maybePauseProducer()  # type: ignore[no-untyped-call]  # Twisted's
        if self._stage is _OPEN:
            self.startWriting()

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        """Write the pieces as one. See ITransport."""
        self.write(b"".join(iovec))

    def writeSomeData(self, data: bytes) -> int | Exception:  # type: ignore[override]  # Twisted's type knows one exception
        """Send what the socket takes of *data*: what doWrite, which is stock, calls."""
        if not data:
            return 0
        try:
            return self._records.write(memoryview(data)[: self.SEND_LIMIT])
        except WantWriteError:
            return 0
        except WantReadError:
            self._write_after_reading()
            return 0
        except Error as error:
            return self._failed(error) or 0

    def _write_after_reading(self) -> None:
        """OpenSSL wants to read before it writes on: the peer is changing keys."""
        self.stopWriting()
        self._when_readable(self._read_and_write)
        self.startReading()

    def _read_and_write(self) -> Exception | None:
        self._when_readable(None)
        if self._is_paused or self.disconnecting:
            self.stopReading()
        self.startWriting()
        why: Exception | None = self.doRead()
        return why

    # IPushProducer, about our reading; IConsumer, about our writing

    def pauseProducing(self) -> None:
        """Deliver nothing until ``resumeProducing``; the handshake goes on."""
        self._is_paused = True
        if self._stage is _OPEN:
            self.stopReading()

    def resumeProducing(self) -> None:
        """Undo ``pauseProducing``."""
        if self.connected and not self.disconnecting:
            self._is_paused = False
            if self._stage is _OPEN:
                self.startReading()

    # Twisted's TLS mixin, which looks at ``TLS``, would ask the protocol.

    def registerProducer(self, producer: Any, streaming: bool) -> None:  # IConsumer's
        """See IConsumer."""
        FileDescriptor.registerProducer(self, producer, streaming)
        if self._is_pulled and self._stage is _OPEN:
            # One that was not ready in its first turn gets another, from doWrite, for
            # what was written before it may all have left at once.
            self.startWriting()

    def unregisterProducer(self) -> None:
        """See IConsumer."""
        FileDescriptor.unregisterProducer(self)

    # ISSLTransport, INegotiated, ISystemHandle

    def getHandle(self) -> Any:
        """Return the pyOpenSSL Connection, None after the end."""
        return self._connection

    def getPeerCertificate(self) -> X509 | None:
        """Return the peer's certificate; None: it has none, or after the end."""
        connection = self._connection
        return None if connection is None else connection.get_peer_certificate()

    @property
    def negotiatedProtocol(self) -> bytes | None:
        """What ALPN chose; None: nothing, or the handshake is not over."""
        connection = self._connection
        if connection is None:
            return None
        return connection.get_alpn_proto_negotiated() or None

    def startTLS(self, ctx: object, normal: bool = True) -> None:  # ITLSTransport's
        """Refuse: it runs.

        :raises ConfigurationError: always. For TLS within TLS, wrap the protocol
            (twisted.protocols.tls.TLSMemoryBIOFactory).
        """
        del ctx, normal
        raise ConfigurationError("this connection speaks TLS already")
