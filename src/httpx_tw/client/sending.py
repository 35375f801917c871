"""Sending a request body piece by piece, no faster than the server takes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from twisted.python.failure import Failure
from zope.interface import implementer

if TYPE_CHECKING:
    from httpx_tw.client.content import Content, Pieces

__all__ = ["BURST", "BodySender", "SendingLink"]

BURST = 1024 * 1024
"""Bytes sent before others have their turn: a fast server could else keep the reactor
busy with one body for as long as that takes."""


class SendingLink(Protocol):
    """What a connection offers to the sender of a body."""

    def send_piece(self, data: bytes) -> None:
        """Write *data* as a piece of the body."""

    def sent(self) -> None:
        """The body is sent: end it."""

    def sending_failed(self, error: BaseException) -> None:
        """The body cannot be sent."""


@implementer(IPushProducer)
class BodySender:
    """Sends one content over one connection. Reactor thread only."""

    __slots__ = (
        "_is_paused",
        "_is_pumping",
        "_later",
        "_link",
        "_pieces",
        "_reactor",
        "_waiting",
        "is_over",
    )

    def __init__(self, content: Content, link: SendingLink, reactor: Any) -> None:
        self._pieces: Pieces = content.open()
        self._link = link
        self._reactor = reactor
        self._waiting: Deferred[Any] | None = None
        self._later: Any = None
        self._is_paused = False
        self._is_pumping = False
        self.is_over = False
        """All is sent, or nothing more will be."""

    def start(self) -> None:
        """Send what the transport takes now; the rest follows."""
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
        count = 0
        while not (self._is_paused or self.is_over):
            coming = self._pieces.next()
            if isinstance(coming, Deferred):
                if not coming.called or coming.paused:
                    self._waiting = coming
                    coming.addCallbacks(self._came, self._came_not)
                    return
                coming = _result_of(coming)
            piece = coming
            if piece is None:
                self._over()
                return
            if piece:
                self._link.send_piece(piece)
                count += len(piece)
            if count >= BURST and not self._is_paused:
                self._later = self._reactor.callLater(0, self._go_on)
                return

    def _go_on(self) -> None:
        self._later = None
        self._pump()

    def _came(self, piece: bytes | None) -> None:
        self._waiting = None
        if self.is_over:
            return
        try:
            if piece is None:
                self._over()
                return
            if piece:
                self._link.send_piece(piece)
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


def _result_of(fired: Deferred[bytes | None]) -> bytes | None:
    """Return the result of a Deferred that has one, or raise it."""
    outcome: list[Any] = []
    fired.addBoth(outcome.append)
    if isinstance(outcome[0], Failure):
        outcome[0].raiseException()
    piece: bytes | None = outcome[0]
    return piece
