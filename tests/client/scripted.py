"""A server that says what it was told to, whatever it is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.protocol import Factory, Protocol

from tests.server.live import LiveTestCase, reactor

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.python.failure import Failure


class Scripted(Protocol):
    """One connection of it. What arrives is kept in ``raw``."""

    def __init__(self, script: Callable[[Scripted], None]) -> None:
        self.script = script
        self.raw = b""
        self.lost: Deferred[None] = Deferred()

    @property
    def tcp(self) -> Any:
        """The transport."""
        return self.transport

    def dataReceived(self, data: bytes) -> None:
        """See IProtocol."""
        self.raw += data
        if self.raw.endswith(b"\r\n\r\n"):
            self.script(self)

    def connectionLost(self, reason: Failure | None = None) -> None:
        """See IProtocol."""
        self.lost.callback(None)


class ScriptedTestCase(LiveTestCase):
    """Has such servers; they are gone after each test."""

    def setUp(self) -> None:
        super().setUp()
        self.connections: list[Scripted] = []

    async def script(self, script: Callable[[Scripted], None]) -> str:
        """Listen; *script* is called for each request. Return the URL."""
        factory = Factory.forProtocol(lambda: self._made(script))
        endpoint = serverFromString(reactor, "tcp:0:interface=127.0.0.1")
        port = await endpoint.listen(factory)
        self.addCleanup(self._stop, port)
        return f"http://127.0.0.1:{port.getHost().port}/"

    def _made(self, script: Callable[[Scripted], None]) -> Scripted:
        connection = Scripted(script)
        self.connections.append(connection)
        return connection

    async def _stop(self, port: Any) -> None:
        await port.stopListening()
        for connection in self.connections:
            connection.tcp.abortConnection()
            if not connection.lost.called:
                await connection.lost
