"""A stream whose bytes a reactor receives and sends for it, a batch at a time.

A stock transport is told that it can read or write, and makes the system call itself.
This one says what it wants; at the end of each batch the reactor compares that with
what is going on, and asks the kernel for all of it at once. What was received while
nobody wanted to read is held here, and delivered first.

Small writes wait for the end of the batch, unless they are alone in it. Whatever else
there is to writing (a producer that waits, the end of a side, bytes that the socket did
not take) is Twisted's own doWrite, called in the stream's turn or when there is room.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any, Final, Protocol

from twisted.internet import tcp
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST

from httpx_tw.transport.stream_server import StreamServer

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Sequence

__all__ = ["CompletionServer", "CompletionStream", "Completions", "WantsCompletions"]

_OWN_TURN: Final = 8192
"""Bytes up to which a write waits for the others of its batch. To send more is mostly
to copy, and the peer can begin with it meanwhile."""


_ENDED_BY_US: Final = {-errno.ECANCELED, -errno.ENOBUFS}
"""It was stopped, or the buffers have run out: it begins anew when it is wanted."""


class Completions(Protocol):
    """What a reactor does for its streams and ports: ``reactor.completions``."""

    wanting: set[Any]
    """Who wants to receive or to accept."""
    completed: deque[Any]
    """What is still to be told in this batch."""
    senders: list[Any]
    """Who has something to send at the end of this batch."""
    unsettled: list[Any]
    """Whose ``settle`` is called at the end of this batch."""
    turns: list[Any]
    """Whose ``take_turn`` is called in the next batch, which does not wait."""

    def receive(self, stream: Any) -> int:
        """Go on receiving: ``completed`` is called with bytes, at last with an int.

        The int is 0 at the end of the peer's side, else a negative errno. Return the
        number to stop it by.
        """

    def accept(self, port: Any) -> int:
        """Go on accepting: ``completed`` is called with descriptors; see receive."""

    def stop(self, number: int) -> None:
        """End what has this number. What came before is still delivered."""

    def forget(self, number: int, *, at_once: bool) -> None:
        """End it, and deliver nothing; *at_once*: the kernel has let go on return."""


class WantsCompletions:
    """A mixin for what receives or accepts by a reactor's ``completions``.

    What is wanted may change many times in a batch. At its end ``settle`` is called,
    and compares it with what is going on.
    """

    reactor: Any
    _is_wanting = False
    _is_settling = False
    _is_stopping = False
    _going = 0
    """The number of what is going on, 0: nothing."""

    def startReading(self) -> None:  # noqa: N802  # FileDescriptor's
        """Want to receive, or to accept."""
        if not self._is_wanting:
            self._is_wanting = True
            self.reactor.completions.wanting.add(self)
            self._settle_later()

    def stopReading(self) -> None:  # noqa: N802  # FileDescriptor's
        """Want it no longer: nothing is delivered or served from now on."""
        if self._is_wanting:
            self._is_wanting = False
            self.reactor.completions.wanting.discard(self)
            self._settle_later()

    def start_over(self) -> None:
        """Begin anew with the reactor's new ``completions``."""
        self._going = 0
        self._is_stopping = False
        if self._is_wanting:
            self.reactor.completions.wanting.add(self)
        self._is_settling = False
        self._settle_later()

    def _settle_later(self) -> None:
        if not self._is_settling:
            self._is_settling = True
            self.reactor.completions.unsettled.append(self)

    def _stop_what_goes_on(self) -> None:
        if self._going and not self._is_stopping:
            self._is_stopping = True
            self.reactor.completions.stop(self._going)


class CompletionStream(WantsCompletions, tcp.Connection):
    """A mixin for stream transports, in front of the stock class.

    It is used as that is used, and on reactors that have ``completions``.
    """

    _held: Sequence[Any] = ()
    """What completed while nobody wanted to read."""
    _is_sender = False
    _waits_for_room = False

    # Called by the reactor

    def completed(self, result: Any) -> Any:
        """Take what was received, or hold it; an int is the end of the receive."""
        if type(result) is bytes:
            if self._is_wanting and not self._held:
                self.protocol.dataReceived(result)
            elif self.connected:
                self._hold(result)
            return None
        if result is None:
            return self.take_turn()
        self._going = 0
        self._is_stopping = False
        if result in _ENDED_BY_US:
            self._settle_later()
            return None
        if not self.connected:
            return None
        if self._held or not self._is_wanting:
            self._hold(result)
            return None
        return self._ended(result)

    def _hold(self, result: Any) -> None:
        if not self._held:
            self._held = []
        self._held.append(result)  # type: ignore[attr-defined]  # a list by now

    def _ended(self, result: int) -> Exception:
        self._is_wanting = False
        self.reactor.completions.wanting.discard(self)
        return CONNECTION_LOST if result else CONNECTION_DONE

    def settle(self) -> None:
        """Begin or stop receiving, as is wanted by the end of the batch."""
        self._is_settling = False
        completions = self.reactor.completions
        if not self._is_wanting:
            self._stop_what_goes_on()
        elif self._held:
            completions.turns.append(self)
        elif not self._going and self.connected:
            self._going = completions.receive(self)

    def take_turn(self) -> Any:
        """Deliver what was held, and write on, as if the reactor had said it can."""
        if self._is_sender:
            self._is_sender = False
            why = self.doWrite()  # type: ignore[no-untyped-call]  # Twisted's
            if why or not self.connected:
                return why
            if self._tempDataLen or self.dataBuffer:
                self.wait_for_room()
        while self._held and self._is_wanting:
            why = self._deliver()
            if why:
                return why
        return None

    def _deliver(self) -> Any:
        result = self._held.pop(0)  # type: ignore[attr-defined]  # a list while it is true
        if type(result) is bytes:
            self.protocol.dataReceived(result)
            if self.connected and self._is_wanting and not self._held:
                self._settle_later()
            return None
        return self._ended(result)

    # Called by Twisted, and by ourselves

    def write(self, data: bytes) -> None:
        """Send *data* with all others at the end of the batch; a large one now.

        So is one that is alone in its batch: it would wait for nobody, and a request to
        the ring costs more than the call it saves. It never calls the protocol back,
        and never reports an error: see ITransport.
        """
        if (
            self._tempDataLen
            or self.dataBuffer
            or not self.connected
            or self.TLS
            or type(data) is not bytes
            or (self.producer is not None and not self.streamingProducer)
        ):
            super().write(data)  # type: ignore[no-untyped-call]  # Twisted's
            return
        size = len(data)
        completions = self.reactor.completions
        if size > _OWN_TURN or not (completions.completed or completions.senders):
            try:
                sent = self.socket.send(data)
            except OSError:
                sent = 0  # doWrite meets it again
            if sent != size:
                super().write(data[sent:] if sent else data)  # type: ignore[no-untyped-call]  # Twisted's
        elif size and not self._writeDisconnected:
            self._tempDataBuffer.append(data)
            self._tempDataLen = size
            if not self._is_sender:
                self._is_sender = True
                completions.senders.append(self)

    def startWriting(self) -> None:  # noqa: N802  # FileDescriptor's
        """Have something to write: it is tried at the end of the batch."""
        if not self._is_sender and not self._waits_for_room:
            self._is_sender = True
            self.reactor.completions.senders.append(self)

    def stopWriting(self) -> None:  # noqa: N802  # FileDescriptor's
        """Have nothing to write."""
        self._is_sender = False
        if self._waits_for_room:
            self._waits_for_room = False
            self.reactor.removeWriter(self)

    def wait_for_room(self) -> None:
        """Have doWrite called when the socket takes more."""
        self._is_sender = False
        if not self._waits_for_room:
            self._waits_for_room = True
            self.reactor.addWriter(self)

    # Called by the reactor, about sending

    def take_outgoing(self) -> bytes | None:
        """Return what is to be sent now; None: there is more to it, it needs a turn."""
        if (
            self.disconnecting
            or self._writeDisconnecting
            or self.dataBuffer
            or self._tempDataLen > _OWN_TURN
            or (
                self.producer is not None
                and (self.producerPaused or not self.streamingProducer)
            )
        ):
            return None
        self._is_sender = False
        chunks = self._tempDataBuffer
        data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        self._tempDataBuffer = []
        self._tempDataLen = 0
        return data

    def put_back(self, data: bytes) -> None:
        """Take back what the socket did not take of what ``take_outgoing`` returned."""
        self.dataBuffer = data
        self.offset = 0
        self.wait_for_room()

    # The end

    def _closeSocket(self, orderly: bool) -> None:  # noqa: N802  # Twisted calls it
        self._held = ()
        if self._going:
            # What receives has the socket open: a reset would wait for it.
            self.reactor.completions.forget(self._going, at_once=not orderly)
            self._going = 0
        super()._closeSocket(orderly)  # type: ignore[no-untyped-call]  # Twisted's


class CompletionServer(CompletionStream, StreamServer):
    """The server side of a connection that a CompletionPort has accepted."""
