"""Real sockets on the reactor that runs the tests, and nothing left open after one."""

from __future__ import annotations

import gc
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.internet import reactor as installed_reactor  # noqa: TID251  # tests run on it
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import clientFromString, connectProtocol
from twisted.internet.protocol import Protocol
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from httpx_tw.app.app import App
from httpx_tw.limits import Timeouts
from httpx_tw.testing.trial import ServesAppMixin
from tests.server.fakes import Answer, answers_in

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.python.failure import Failure

reactor: Any = installed_reactor

QUICK = Timeouts(
    head=0.4, body_idle=0.4, body_min_rate=0, response_idle=0.4, response_min_rate=0,
    keep_alive=5, handler=5, linger=0.3, drain=2,
)  # fmt: skip


class RawClient(Protocol):
    """A client of bytes over a real socket."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self.count = 0
        self.is_closed = False
        self.reason: Failure | None = None
        self.keeps = True
        self._waiting: list[tuple[Callable[[], bool], Deferred[None]]] = []

    def dataReceived(self, data: bytes) -> None:
        """See IProtocol."""
        self.count += len(data)
        if self.keeps:
            self._pieces.append(data)
        self._look()

    def connectionLost(self, reason: Failure | None = None) -> None:
        """See IProtocol."""
        self.is_closed = True
        self.reason = reason
        self._look()

    def _look(self) -> None:
        for entry in list(self._waiting):
            condition, deferred = entry
            if condition() or self.is_closed:
                self._waiting.remove(entry)
                deferred.callback(None)

    def until(self, condition: Callable[[], bool]) -> Deferred[None]:
        """Return a Deferred that fires when *condition* is met, or at the end."""
        deferred: Deferred[None] = Deferred()
        self._waiting.append((condition, deferred))
        self._look()
        return deferred

    @property
    def raw(self) -> bytes:
        """All that has come."""
        # Joined when it is asked for: megabytes come in thousands of pieces on IOCP.
        if len(self._pieces) > 1:
            self._pieces = [b"".join(self._pieces)]
        return self._pieces[0] if self._pieces else b""

    @raw.setter
    def raw(self, data: bytes) -> None:
        self._pieces = [data]

    @property
    def tcp(self) -> Any:
        """The transport."""
        return self.transport

    def send(self, data: str | bytes) -> None:
        """Send *data*; in str, lines end with LF and it is sent as CRLF."""
        if isinstance(data, str):
            data = data.replace("\n", "\r\n").encode("latin-1")
        self.tcp.write(data)

    async def answers(self, count: int, methods: str = "") -> list[Answer]:
        """Wait for *count* whole answers (or the end), and return what is there."""
        needed = 0

        def enough() -> bool:
            nonlocal needed
            if self.count < needed:
                return False  # megabytes are not parsed again for each piece of them
            found = answers_in(self.raw, methods)
            if found:
                needed = self.count + found[-1].missing
            return len(found) >= count and found[-1].is_whole

        await self.until(enough)
        return answers_in(self.raw, methods, eof=self.is_closed)

    async def closed(self) -> None:
        """Wait until the server has closed."""
        await self.until(lambda: self.is_closed)


class LiveTestCase(ServesAppMixin, TestCase):
    """Serves ``self.app`` on a free port; afterwards no descriptor may be left."""

    timeout = 24 if os.name == "nt" else 8  # Wine asks a server of its own each time

    def setUp(self) -> None:
        self.app = App()
        self.app.get("/", lambda _: "hello")
        self.clients: list[RawClient] = []
        self.before = open_descriptors()
        self.addCleanup(self._nothing_is_left)

    async def connect(self, endpoint: str) -> RawClient:
        """Connect to an endpoint string."""
        return await self.connect_by(clientFromString(reactor, endpoint))

    async def connect_by(self, endpoint: Any) -> RawClient:
        """Connect to an endpoint; it is cut before the server is stopped."""
        client = RawClient()
        await connectProtocol(endpoint, client)
        # On IOCP Twisted begins to read after connectionMade, where we are still, even
        # if reading is paused in there.
        await deferLater(reactor, 0)
        self.clients.append(client)
        self.addCleanup(self._end, client)
        return client

    async def connect_to(self, url: str) -> RawClient:
        """Connect to the server at *url*."""
        return await self.connect(f"tcp:127.0.0.1:{url.rpartition(':')[2]}")

    async def _end(self, client: RawClient) -> None:
        if not client.is_closed:
            client.tcp.abortConnection()
        await client.closed()

    async def _nothing_is_left(self) -> None:
        for _ in range(50):
            left = open_descriptors() - self.before
            if not left:
                return
            gc.collect()  # takes a tenth of a second among so many tests
            await deferLater(reactor, 0.01)
        self.fail(f"left open: {left}")


def open_descriptors() -> set[str]:
    """Return the sockets this process has open; none where that cannot be seen."""
    found = set()
    directory = Path("/proc/self/fd")
    for entry in directory.iterdir() if directory.exists() else ():
        try:
            target = os.readlink(entry)  # noqa: PTH115  # a Path of "socket:[1]" is none
        except FileNotFoundError:
            continue
        if target.startswith("socket:") and not _is_waker(int(entry.name)):
            found.add(target)
    return found


def _is_waker(descriptor: int) -> bool:
    # The asyncio reactor's loop has a pair of sockets, and so have wakers of others.
    for waker in getattr(reactor, "_internalReaders", ()):
        for end in (getattr(waker, "i", None), getattr(waker, "o", None)):
            number: Any = end if isinstance(end, int | None) else end.fileno()
            if number == descriptor:
                return True
    return False
