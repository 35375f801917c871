"""Two transports in memory that are one connection: what one writes the other reads."""

# ruff: noqa: N802  # Twisted calls these

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from twisted.internet.address import IPv4Address

from httpx_tw.testing.memory import MemoryTransport

if TYPE_CHECKING:
    from twisted.internet.interfaces import IProtocol

__all__ = ["Link"]

_HELD: Final = 64 * 1024
"""Bytes on the way to an end that does not read, as in a small socket buffer."""

_ROUNDS: Final = 64
"""Moves before others on the reactor have their turn."""

CLIENT: Final = IPv4Address("TCP", "192.0.2.1", 40000)
SERVER: Final = IPv4Address("TCP", "192.0.2.2", 80)


class Link:
    """A connection between *client* and *server*. It moves in turns of *clock*.

    With a reactor it moves by itself; a ``twisted.internet.task.Clock`` moves it with
    ``advance(0)``, as far as it goes without time passing.

    :param is_secure: both ends look like TLS, without being it.
    """

    def __init__(
        self,
        clock: Any,
        client: IProtocol,
        server: IProtocol,
        *,
        is_secure: bool = False,
    ) -> None:
        self._clock = clock
        self._is_stirred = False
        self.server = _End(self, server, peer=CLIENT, host=SERVER, is_secure=is_secure)
        self.client = _End(self, client, peer=SERVER, host=CLIENT, is_secure=is_secure)

    def stir(self) -> None:
        """Move in the next turn."""
        if not self._is_stirred:
            self._is_stirred = True
            self._clock.callLater(0, self._move_on)

    def _move_on(self) -> None:
        self._is_stirred = False
        for _ in range(_ROUNDS):
            # Both, and not only the first that moves.
            moved = [self.client.send_to(self.server), self.server.send_to(self.client)]
            if not any(moved):
                return
        self.stir()


class _End(MemoryTransport):
    """One end."""

    def __init__(self, link: Link, protocol: IProtocol, **options: Any) -> None:
        self._link = link
        self._has_told_end = False
        super().__init__(protocol, **options)

    # What makes something move

    def startWriting(self) -> None:
        """See FileDescriptor."""
        super().startWriting()  # type: ignore[no-untyped-call]  # Twisted's
        self._link.stir()

    def startReading(self) -> None:
        """See FileDescriptor."""
        super().startReading()  # type: ignore[no-untyped-call]  # Twisted's
        self._link.stir()

    def abortConnection(self) -> None:
        """See ITCPTransport."""
        super().abortConnection()
        self._link.stir()

    def connectionLost(self, reason: Any) -> None:
        """See MemoryTransport."""
        super().connectionLost(reason)
        self._link.stir()

    # What moves

    def send_to(self, other: _End) -> bool:
        """Hand on what was written; return whether anything moved."""
        if self._has_told_end:
            return False
        room = _HELD if other.is_closed else max(0, _HELD - len(other._incoming))
        held = len(self._incoming)
        data = self.take(room)
        if data and not other.is_closed:
            other.deliver(data)
        if self.is_closed or self.is_write_closed:
            self._has_told_end = self.is_closed
            self._tell_end(other)
            return True
        return bool(data) or len(self._incoming) < held  # then there is room again

    def _tell_end(self, other: _End) -> None:
        if other.is_closed:
            return
        if self.is_aborted:
            other.lose()
        else:
            other.deliver_eof()
