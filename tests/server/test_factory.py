"""What connections share: figures, limits, and a life between ports."""

# ruff: noqa: N802  # Twisted calls these

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from httpx_tw import App, HTTPFactory, Limits, Request, Response
from httpx_tw.server.wire import Phase
from tests.server.fakes import LogSpy, Peer, ServerTestCase


class Port:
    """A listening port that can pause."""

    is_reading = True

    def startReading(self) -> None:
        self.is_reading = True

    def stopReading(self) -> None:
        self.is_reading = False


class Lives(ServerTestCase):
    """Starting, resting, and what happens without a port."""

    def setUp(self) -> None:
        super().setUp()
        self.app.get("/", lambda _: "hello")

    def test_it_ticks_while_there_is_a_port_or_a_connection(self) -> None:
        factory = self.serve()
        factory.doStart()
        factory.doStop()
        self.assertTrue(factory.tick.is_running)
        peer = self.connect()
        factory.doStop()
        self.assertTrue(factory.tick.is_running)
        peer.transport.lose()
        self.assertFalse(factory.tick.is_running)
        self.assertGreater(self.log.flushes, 0)
        factory.doStart()

    def test_without_a_log_it_rests_as_well(self) -> None:
        factory = HTTPFactory(self.app, self.clock)
        factory.doStart()
        self.clock.advance(1)
        factory.doStop()
        self.assertFalse(factory.tick.is_running)

    def test_a_connection_without_a_port_has_deadlines_and_a_date(self) -> None:
        self.clock.advance(784111777)
        self.factory = HTTPFactory(self.app, self.clock, wall_clock=self.clock.seconds)
        peer, silent = self.connect(), self.connect()
        peer.get()
        self.assertIn("1994", peer.answer().headers["date"])
        self.advance(12)
        self.assertTrue(silent.transport.is_closed)
        peer.transport.lose()
        self.assertFalse(self.factory.tick.is_running)

    def test_uptime_counts_from_the_first_start(self) -> None:
        factory = HTTPFactory(self.app, self.clock)
        self.assertEqual(factory.statistics().uptime, 0.0)
        factory.doStart()
        self.clock.advance(5)
        self.assertEqual(factory.statistics().uptime, 5.0)
        factory.doStop()

    def test_the_date_goes_with_the_clock(self) -> None:
        peer = self.connect()
        peer.get()
        self.advance(2)
        peer.get()
        first, second = peer.answers()
        self.assertNotEqual(first.headers["date"], second.headers["date"])

    def test_over_the_limit_ports_that_can_wait_do(self) -> None:
        factory = self.serve(Limits(max_connections=2))
        port: Any = Port()
        factory.gate.add_port(port)
        self.addCleanup(factory.gate.remove_ports)
        first, _ = self.connect(), self.connect()
        self.assertFalse(port.is_reading)
        self.assertFalse(factory.statistics().accepting)
        self.assertIsNotNone(factory.buildProtocol(None))
        first.transport.lose()
        self.assertTrue(port.is_reading)
        self.assertTrue(factory.statistics().accepting)

    def test_over_the_limit_other_ports_are_refused(self) -> None:
        factory = self.serve(Limits(max_connections=1))
        peer = self.connect()
        self.assertIsNone(factory.buildProtocol(None))
        peer.transport.lose()
        self.assertIsNotNone(factory.buildProtocol(None))

    def test_the_longest_idle_make_room_for_descriptors(self) -> None:
        self.app.get("/wait", lambda _: Deferred())
        waiting = self.connect()
        waiting.get("/wait")
        idle = []
        for _ in range(40):
            idle.append(peer := self.connect())
            peer.get()
            peer.take()
            self.advance(0.5)
        self.factory._shed_idle()
        self.turn()
        closed = [peer.transport.is_closed for peer in idle]
        self.assertEqual(closed, [True] * 32 + [False] * 8)
        self.assertFalse(waiting.transport.is_closed)

    def test_abort_ends_all(self) -> None:
        peers = [self.connect() for _ in range(3)]
        self.factory.abort()
        self.turn()
        self.assertTrue(all(peer.transport.is_closed for peer in peers))

    def test_refusals_are_counted_and_logged(self) -> None:
        peer = self.connect()
        peer.send("nonsense\n\n")
        peer.take()
        self.assertEqual(self.log.lines[0][:5], ("192.0.2.1", "-", "-", "1.1", 400))
        factory = HTTPFactory(self.app, self.clock)
        factory.refused("-", 400, 0)
        self.assertEqual(factory.statistics().responses_4xx, 1)

    def test_each_answer_is_logged_with_its_size(self) -> None:
        self.app.get("/pieces", lambda _: Response.stream([b"abc", b"de"]))
        peer = self.connect()
        peer.get()
        peer.get("/pieces?x")
        peer.send("GET / HTTP/1.0\n\n")
        self.assertEqual(
            self.log.lines,
            [
                ("192.0.2.1", "GET", "/", "1.1", 200, 5),
                ("192.0.2.1", "GET", "/pieces?x", "1.1", 200, 5),
                ("192.0.2.1", "GET", "/", "1.0", 200, 5),
            ],
        )

    def test_bytes_are_counted(self) -> None:
        peer = self.connect()
        request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
        peer.send(request)
        figures = self.factory.statistics()
        self.assertEqual(figures.bytes_received, len(request))
        self.assertEqual(figures.bytes_sent, len(peer.take()))

    def test_each_connection_is_in_one_column(self) -> None:
        self.app.get("/wait", lambda _: Deferred())
        idle, processing, refused = (self.connect() for _ in range(3))
        idle.get()
        processing.get("/wait")
        refused.send("nonsense\n\n")
        figures = self.factory.statistics()
        self.assertEqual(
            (figures.reading_request, figures.processing, figures.closing), (1, 1, 1)
        )


class Traffic(RuleBasedStateMachine):
    """Any requests, refusals, aborts and timeouts: the figures always add up."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.app = App()
        self.waiting: list[Deferred[str]] = []
        self.app.get("/", lambda _: "hello")
        self.app.get("/wait", self.wait)
        self.app.get("/coroutine", self.coroutine)
        self.app.get("/stream", lambda _: Response.stream([b"x" * 50_000] * 3))
        self.app.post("/collect", lambda request: request.body)
        self.log = LogSpy()
        self.factory = HTTPFactory(
            self.app,
            self.clock,
            limits=Limits(max_requests_per_connection=20, max_connections=0),
            access_log=self.log,  # type: ignore[arg-type]  # a fake
        )
        self.factory.doStart()
        self.peers: list[Peer] = []

    def wait(self, _: Request) -> Deferred[str]:
        self.waiting.append(Deferred())
        return self.waiting[-1]

    async def coroutine(self, request: Request) -> str:
        return await self.wait(request)

    def peer(self, number: int) -> Peer | None:
        return self.peers[number % len(self.peers)] if self.peers else None

    @rule()
    def connect(self) -> None:
        connection = self.factory.buildProtocol(None)
        assert connection is not None
        self.peers.append(Peer(connection))

    @rule(
        number=st.integers(0, 50),
        path=st.sampled_from(["/", "/wait", "/coroutine", "/stream", "/no"]),
        method=st.sampled_from(["GET", "HEAD"]),
    )
    def get(self, number: int, path: str, method: str) -> None:
        if (peer := self.peer(number)) is not None:
            peer.get(path, method=method)

    @rule(number=st.integers(0, 50), size=st.integers(0, 200))
    def post(self, number: int, size: int) -> None:
        if (peer := self.peer(number)) is not None:
            peer.get("/collect", "Content-Length: 100", method="POST")
            peer.send(b"x" * size)

    @rule(number=st.integers(0, 50), data=st.binary(max_size=30))
    def nonsense(self, number: int, data: bytes) -> None:
        if (peer := self.peer(number)) is not None:
            peer.send(data)

    @rule(number=st.integers(0, 50), limit=st.integers(0, 200_000))
    def read(self, number: int, limit: int) -> None:
        if (peer := self.peer(number)) is not None:
            peer.take(limit)

    @rule(number=st.integers(0, 50))
    def end(self, number: int) -> None:
        if (peer := self.peer(number)) is not None:
            peer.transport.deliver_eof()

    @rule(number=st.integers(0, 50))
    def lose(self, number: int) -> None:
        if (peer := self.peer(number)) is not None:
            peer.transport.lose()

    @rule(number=st.integers(0, 50))
    def fire(self, number: int) -> None:
        if self.waiting:
            deferred = self.waiting.pop(number % len(self.waiting))
            if not deferred.called:
                deferred.callback("done")

    @rule(seconds=st.integers(0, 70))
    def pass_time(self, seconds: int) -> None:
        for _ in range(seconds):
            self.clock.advance(1)
            for peer in self.peers:
                peer.transport.turn()

    @rule()
    def drain(self) -> None:
        self.factory.drain()

    @invariant()
    def figures_add_up(self) -> None:
        figures = self.factory.statistics()
        is_open = [not peer.transport.is_closed for peer in self.peers]
        assert figures.connections_accepted == len(self.peers)
        assert figures.connections_open == sum(is_open)
        assert (
            figures.connections_accepted
            == figures.connections_open + figures.connections_closed
        )
        assert figures.connections_open == (
            figures.reading_request
            + figures.processing
            + figures.writing_response
            + figures.closing
        )
        assert (
            figures.requests
            == len(self.log.lines)
            == (
                figures.responses_1xx
                + figures.responses_2xx
                + figures.responses_3xx
                + figures.responses_4xx
                + figures.responses_5xx
            )
        )
        assert figures.as_dict()["requests"] == figures.requests

    @invariant()
    def phases_fit_exchanges(self) -> None:
        for peer in self.peers:
            connection = peer.connection
            if connection.exchange is None:
                assert connection.phase not in {Phase.PROCESSING, Phase.COLLECTING}
            else:
                assert connection.phase in {
                    Phase.PROCESSING,
                    Phase.COLLECTING,
                    Phase.WRITING,
                }

    def teardown(self) -> None:
        self.pass_time(70)
        for peer in self.peers:
            peer.transport.lose()
        self.factory.doStop()
        assert self.factory.statistics().connections_open == 0
        assert self.clock.getDelayedCalls() == []


class Statistics(SynchronousTestCase):
    """The machine above, run."""

    def test_the_figures_always_add_up(self) -> None:
        case = Traffic.TestCase
        case.settings = settings(
            max_examples=settings().max_examples // 4, stateful_step_count=30
        )
        case("runTest").runTest()
