"""A server in memory with a clock, and the clients that talk to it byte by byte."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.app.app import App
from httpx_tw.errors import HTTPXError
from httpx_tw.headers import Headers
from httpx_tw.limits import Limits, Timeouts
from httpx_tw.protocol.events import END_OF_MESSAGE, NEED_DATA, ResponseHead
from httpx_tw.protocol.http1_client import ClientSide
from httpx_tw.protocol.http1_reader import ResponseHeadParser
from httpx_tw.server.factory import HTTPFactory
from httpx_tw.testing.memory import MemoryTransport

if TYPE_CHECKING:
    from httpx_tw.headers import HeaderPairs
    from httpx_tw.server.connection import HTTP1Connection

LIMITS = Limits()
HOST: HeaderPairs = [(b"host", b"a")]


@dataclass
class Answer:
    """A response as a client read it."""

    status: int
    headers: Headers
    body: bytes = b""
    is_whole: bool = True
    is_http11: bool = True
    missing: int = 0
    """Bytes of the body still to come, at least."""
    interim: list[int] = field(default_factory=list)


def answers_in(data: bytes, methods: str = "", *, eof: bool = False) -> list[Answer]:
    """Parse responses to *methods* (GET when they run out); the last may be partial."""
    found: list[Answer] = []
    wanted = methods.split()
    interim: list[int] = []
    while data:
        side = ClientSide(ResponseHeadParser(LIMITS), LIMITS)
        side.request_head(wanted.pop(0) if wanted else "GET", "/", HOST, 0)
        event = side.receive(data)
        while isinstance(event, ResponseHead) and event.is_interim:
            interim.append(event.status)
            event = side.next_event()
        if not isinstance(event, ResponseHead):
            break
        answer = Answer(event.status, Headers.from_pairs(event.headers))
        answer.is_http11 = event.is_http11
        answer.interim, interim = interim, []
        found.append(answer)
        answer.is_whole = not event.body_length or _read_body(answer, side, eof=eof)
        if not answer.is_whole:
            answer.missing = side.body_left or 1
            break
        data = side.unread
    if interim:
        found.append(Answer(interim[-1], Headers(), interim=interim, is_whole=False))
    return found


def _read_body(answer: Answer, side: ClientSide, *, eof: bool) -> bool:
    pieces: list[bytes] = []
    while isinstance(event := side.next_event(), bytes):
        pieces.append(event)
    answer.body = b"".join(pieces)
    if event is NEED_DATA and eof:
        with contextlib.suppress(HTTPXError):
            event = side.receive_eof()
    return event is END_OF_MESSAGE


class Peer:
    """A client that is a list of bytes."""

    def __init__(self, connection: HTTP1Connection, **options: Any) -> None:
        self.connection = connection
        self.raw = b""
        self.transport = MemoryTransport(connection, **options)

    def send(self, data: str | bytes) -> None:
        """Send *data*; in str, lines end with LF and it is sent as CRLF."""
        if isinstance(data, str):
            data = data.replace("\n", "\r\n").encode("latin-1")
        self.transport.deliver(data)

    def get(self, target: str = "/", *fields: str, method: str = "GET") -> None:
        """Send a request without a body."""
        lines = [f"{method} {target} HTTP/1.1", "Host: a", *fields]
        self.send("\n".join(lines) + "\n\n")

    def post(self, target: str, body: bytes, *fields: str) -> None:
        """Send a request with a body and its length."""
        self.get(target, f"Content-Length: {len(body)}", *fields, method="POST")
        self.send(body)

    def take(self, limit: int | None = None) -> bytes:
        """Read what the server has sent."""
        data = self.transport.take(limit)
        self.raw += data
        return data

    def answers(self, methods: str = "") -> list[Answer]:
        """Read, and parse all that was ever read."""
        self.take()
        ended = self.transport.is_closed or self.transport.is_write_closed
        return answers_in(self.raw, methods, eof=ended)

    def statuses(self, methods: str = "") -> list[int]:
        """Read, and return the status of each answer so far."""
        return [answer.status for answer in self.answers(methods)]

    def answer(self, methods: str = "") -> Answer:
        """Read, and return the only answer."""
        (answer,) = self.answers(methods)
        return answer

    @property
    def sees_end(self) -> bool:
        """The server has ended its side."""
        self.take()
        return self.transport.is_closed or self.transport.is_write_closed


class LogSpy:
    """An access log that keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[tuple[object, ...]] = []
        self.flushes = 0

    def record(  # noqa: PLR0917  # as AccessLog has it
        self,
        client: str,
        method: str,
        target: str,
        version: str,
        status: int,
        length: int,
        headers: HeaderPairs,
    ) -> None:
        """See AccessLog."""
        self.lines.append((client, method, target, version, status, length))

    def flush(self) -> None:
        """See AccessLog."""
        self.flushes += 1


class ServerTestCase(SynchronousTestCase):
    """An App on an HTTPFactory with a Clock; nothing may be left at the end."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.app = App()
        self.log = LogSpy()
        self.peers: list[Peer] = []
        self.made: list[HTTPFactory] = []
        self.errors: list[Any] = []
        self.app.on_error(lambda _, failure: self.errors.append(failure))
        self.serve()

    def serve(
        self,
        limits: Limits = LIMITS,
        timeouts: Timeouts | None = None,
        app: App | None = None,
    ) -> HTTPFactory:
        """Take another factory, with these limits and timeouts."""
        self.factory = HTTPFactory(
            app or self.app,
            self.clock,
            limits=limits,
            timeouts=timeouts or Timeouts(),
            access_log=self.log,  # type: ignore[arg-type]  # a fake
            wall_clock=self.clock.seconds,
        )
        self.factory.doStart()
        self.made.append(self.factory)
        return self.factory

    def connect(self, **options: Any) -> Peer:
        """Open a connection."""
        connection = self.factory.buildProtocol(None)
        assert connection is not None
        peer = Peer(connection, **options)
        self.peers.append(peer)
        return peer

    def advance(self, seconds: float) -> None:
        """Let *seconds* pass, tick by tick."""
        until = self.clock.seconds() + seconds
        while (left := until - self.clock.seconds()) > 1e-9:
            self.clock.advance(min(left, self.factory.tick.interval))
            for peer in self.peers:
                peer.transport.turn()

    def turn(self, times: int = 1) -> None:
        """Let the reactor go round, without time passing."""
        for _ in range(times):
            self.clock.advance(0)
            for peer in self.peers:
                peer.transport.turn()

    def tearDown(self) -> None:
        for peer in self.peers:
            peer.transport.lose()
        for factory in self.made:
            factory.doStop()
            figures = factory.statistics()
            self.assertEqual(figures.connections_open, 0)
            self.assertEqual(figures.connections_accepted, figures.connections_closed)
        self.clock.advance(0)
        self.assertEqual(self.clock.getDelayedCalls(), [])
