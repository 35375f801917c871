"""Sending a request body piece by piece, no faster than the server takes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from twisted.python.failure import Failure
from zope.interface import implementer

from httpx_tw.app.files.opened import is_cached
from httpx_tw.client.file_pieces import PIECE_SIZE, FileSpan
from httpx_tw.transport.file_sender import CHUNK
from httpx_tw.workers.disk import AHEAD

if TYPE_CHECKING:
    from collections.abc import Callable

    from httpx_tw.client.content import Content, Piece, Pieces

__all__ = ["BURST", "BodySender", "SendingLink"]

BURST = 1024 * 1024
"""Bytes sent before others have their turn: a fast server could else keep the reactor
busy with one body for as long as that takes."""


class SendingLink(Protocol):
    """What a connection offers to the sender of a body."""

    def send_piece(self, data: bytes) -> None:
        """Write *data* as a piece of the body."""

    @property
    def sends_files(self) -> bool:
        """Whether the kernel can send a part of the body from a file."""

    def send_from_file(self, fd: int, offset: int, count: int) -> int | None:
        """Send a piece of the body. See transport.file_sender.send_file."""

    def wait_for_room(self) -> None:
        """Have the sender resumed when the socket takes more."""

    def fetch(self, span: FileSpan, count: int) -> Deferred[None]:
        """Have the next *count* bytes of *span* in memory. See DiskThreads.fetch."""

    def sent(self) -> None:
        """The body is sent: end it."""

    def sending_failed(self, error: BaseException) -> None:
        """The body cannot be sent."""


@implementer(IPushProducer)
class BodySender:
    """Sends one content over one connection. Reactor thread only.

    :param progress: called with the bytes that were handed to the transport and those
        in all (None: unknown), once with 0 and then for each piece.
    """

    __slots__ = (
        "_fetched_to",
        "_is_paused",
        "_is_pumping",
        "_later",
        "_link",
        "_pieces",
        "_progress",
        "_reactor",
        "_span",
        "_waiting",
        "is_over",
        "sent",
        "total",
    )

    def __init__(
        self,
        content: Content,
        link: SendingLink,
        reactor: Any,
        progress: Callable[[int, int | None], object] | None = None,
    ) -> None:
        self.total = content.length
        self._pieces: Pieces = content.open()
        self._link = link
        self._reactor = reactor
        self._progress = progress
        self.sent = 0
        """Bytes of the body, without what chunks add."""
        self._span: FileSpan | None = None  # what is being sent of a file
        self._fetched_to = 0
        self._waiting: Deferred[Any] | None = None
        self._later: Any = None
        self._is_paused = False
        self._is_pumping = False
        self.is_over = False
        """All is sent, or nothing more will be."""

    def start(self) -> None:
        """Send what the transport takes now; the rest follows."""
        if self._progress is not None:
            try:
                self._progress(0, self.total)
            except Exception as error:  # noqa: BLE001  # the caller's
                self._failed(error)
                return
        self._pump()

    # Called by the transport: IPushProducer

    def pauseProducing(self) -> None:
        """See IPushProducer."""
        self._is_paused = True

    def resumeProducing(self) -> None:
        """See IPushProducer."""
        self._is_paused = False
        if self._waiting is None and self._later is None and not self._is_pumping:
            self._pump()

    def stopProducing(self) -> None:
        """See IProducer."""
        self.stop()

    def stop(self) -> None:
        """Send no more; stopped or over already is fine."""
        if self.is_over:
            return
        self.is_over = True
        if self._later is not None:
            self._later.cancel()
            self._later = None
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.cancel()
        self._pieces.close()

    # Ours

    @property
    def waits_for_content(self) -> bool:
        """Whether it is the caller's turn: the next piece is not there yet."""
        return self._waiting is not None

    def _pump(self) -> None:
        self._is_pumping = True
        try:
            self._send_on()
        except Exception as error:  # noqa: BLE001  # whatever the caller's iterator raises
            self._failed(error)
        finally:
            self._is_pumping = False

    def _send_on(self) -> None:
        until = self.sent + BURST
        while not self._has_stopped:
            if self._span is not None:
                waiting = self._send_span(self._span)
            else:
                waiting = self._send_next()
            if waiting is not None:
                self._waiting = waiting
                waiting.addCallbacks(self._came, self._came_not)
                return
            if self.sent >= until and not self._has_stopped:
                self._later = self._reactor.callLater(0, self._go_on)
                return

    @property
    def _has_stopped(self) -> bool:
        return self._is_paused or self.is_over

    def _send_next(self) -> Deferred[Any] | None:
        """Send the next piece; return what has to be waited for."""
        coming = self._pieces.next()
        if isinstance(coming, Deferred):
            if not coming.called or coming.paused:
                return coming
            coming = _result_of(coming)
        self._send_piece(coming)
        return None

    def _send_piece(self, piece: Piece | None) -> None:
        if piece is None:
            self._over()
        elif isinstance(piece, FileSpan):
            self._span = piece
            self._fetched_to = piece.offset
        elif piece:
            self._link.send_piece(piece)
            self._note(len(piece))

    def _send_span(self, span: FileSpan) -> Deferred[Any] | None:
        """Send some of *span*; return what has to be waited for."""
        link = self._link
        by_kernel = link.sends_files
        count = min(span.left, CHUNK if by_kernel else PIECE_SIZE)
        if span.offset + count > self._fetched_to:
            # A disk that stalls must not stall the reactor.
            self._fetched_to = span.offset + count
            if not is_cached(span.fd, span.offset, count):
                ahead = min(span.left, AHEAD)
                self._fetched_to = span.offset + ahead
                fetching = link.fetch(span, ahead)
                if not fetching.called or fetching.paused:
                    return fetching
                _result_of(fetching)
        if count == span.left:
            span.check()
        sent = link.send_from_file(span.fd, span.offset, count) if by_kernel else None
        if sent is None:
            piece = span.read(min(count, PIECE_SIZE))
            sent = len(piece)
            link.send_piece(piece)
        else:
            span.advance(sent)
            if span.left and sent < count:
                self._is_paused = True
                link.wait_for_room()
        if not span.left:
            self._span = None
        if sent:
            self._note(sent)
        return None

    def _note(self, count: int) -> None:
        self.sent += count
        if self._progress is not None:
            self._progress(self.sent, self.total)

    def _go_on(self) -> None:
        self._later = None
        self._pump()

    def _came(self, piece: Piece | None) -> None:
        self._waiting = None
        if self.is_over:
            return
        try:
            if self._span is None:
                self._send_piece(piece)
        except Exception as error:  # noqa: BLE001  # more than was declared, or no bytes
            self._failed(error)
            return
        self._pump()

    def _came_not(self, failure: Failure) -> None:
        self._waiting = None
        if not self.is_over and failure.value is not None:
            self._failed(failure.value)

    def _over(self) -> None:
        self.is_over = True
        self._link.sent()

    def _failed(self, error: BaseException) -> None:
        if not self.is_over:
            self.is_over = True
            self._pieces.close()
            self._link.sending_failed(error)


def _result_of(fired: Deferred[Any]) -> Piece | None:
    """Return the result of a Deferred that has one, or raise it."""
    outcome: list[Any] = []
    fired.addBoth(outcome.append)
    if isinstance(outcome[0], Failure):
        outcome[0].raiseException()
    piece: Piece | None = outcome[0]
    return piece
