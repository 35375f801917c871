"""Time: what is cut, when, and with which answer."""

from __future__ import annotations

import contextlib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from httpx_tw import Request, Response, Timeouts
from httpx_tw.server.deadlines import MAX_INTERVAL, Pace, Tick, interval_for
from httpx_tw.server.wire import Phase
from tests.server.fakes import Peer, ServerTestCase

KIB = 1024


class Rules(ServerTestCase):
    """Each row of the table of deadlines, through the whole server."""

    def setUp(self) -> None:
        super().setUp()
        self.app.get("/", lambda _: "hello")
        self.app.get("/never", lambda _: Deferred())
        self.app.post("/collect", lambda request: request.body)
        self.peer = self.connect()

    def passed(self) -> int:
        return self.factory.statistics().deadlines_passed

    def test_a_silent_client_is_closed_without_an_answer(self) -> None:
        self.advance(9.5)
        self.assertFalse(self.peer.sees_end)
        self.advance(3)
        self.assertTrue(self.peer.transport.is_closed)
        self.assertEqual((self.peer.raw, self.passed()), (b"", 1))

    def test_a_trickled_head_is_answered_408_however_lively(self) -> None:
        self.peer.send("GET / HTTP/1.1\nX-Slow: ")
        for _ in range(9):
            self.advance(1)
            self.peer.send("x")
        self.assertEqual(self.peer.statuses(), [])
        self.advance(3)
        self.assertEqual(self.peer.answer().status, 408)
        self.assertTrue(self.peer.sees_end)
        self.assertEqual(self.passed(), 1)

    def test_the_next_heads_time_counts_from_its_first_byte(self) -> None:
        self.peer.get()
        self.advance(30)
        self.peer.send("GET / HTTP/1.1\n")
        self.advance(9)
        self.peer.send("Host: a\n\n")
        self.assertEqual(self.peer.statuses(), [200, 200])
        self.peer.send("GET / HTTP/1.1\n")
        self.advance(12)
        self.assertEqual(self.peer.statuses(), [200, 200, 408])

    def test_heads_that_share_reads_each_have_their_time(self) -> None:
        head = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
        self.peer.send(head[:5])
        for _ in range(30):
            self.advance(1)
            self.peer.send(head[5:] + head[:5])
        self.assertEqual(self.peer.statuses(), [200] * 30)

    def test_an_idle_connection_is_closed(self) -> None:
        self.peer.get()
        self.peer.take()
        self.advance(59)
        self.assertFalse(self.peer.sees_end)
        self.advance(3)
        self.assertTrue(self.peer.transport.is_closed)
        self.assertEqual(self.peer.statuses(), [200])

    def test_a_request_begins_a_new_time_of_idling(self) -> None:
        for _ in range(4):
            self.peer.get()
            self.advance(50)
        self.assertEqual(self.peer.statuses(), [200] * 4)

    def test_a_body_that_stops_is_answered_408(self) -> None:
        self.serve(timeouts=Timeouts(body_min_rate=0))
        peer = self.connect()
        peer.get("/collect", "Content-Length: 100000", method="POST")
        for _ in range(10):
            peer.send(b"x")
            self.advance(29)
        self.assertEqual(peer.statuses(), [])
        self.advance(3)
        self.assertEqual(peer.statuses(), [408])

    def test_a_trickled_body_is_answered_408_by_its_rate(self) -> None:
        self.peer.get("/collect", "Content-Length: 100000", method="POST")
        for _ in range(5):
            self.peer.send(b"x")
            self.advance(1)
        self.assertEqual(self.peer.statuses(), [])
        self.advance(2)
        self.assertEqual(self.peer.statuses(), [408])

    def test_a_body_fast_enough_may_take_long(self) -> None:
        self.peer.get("/collect", "Content-Length: 50000", method="POST")
        for _ in range(200):
            self.peer.send(b"x" * 250)
            self.advance(1)
        self.assertEqual(self.peer.statuses(), [200])

    def test_a_coroutine_that_reads_a_trickled_body_is_cancelled(self) -> None:
        seen: list[Exception] = []

        @self.app.post("/read")
        async def read(request: Request) -> bytes:
            try:
                return await request.read()
            except Exception as error:
                seen.append(error)
                raise

        self.peer.get("/read", "Content-Length: 100000", method="POST")
        self.advance(8)
        self.assertEqual(self.peer.statuses(), [408])
        self.assertEqual(len(seen), 1)
        self.assertEqual(self.errors, [])

    def test_a_body_held_up_by_us_is_not_slow(self) -> None:
        wait: Deferred[None] = Deferred()

        @self.app.post("/hold", timeout=0)
        async def hold(request: Request) -> bytes:
            await wait
            return b"%d" % len(await request.read())

        self.peer.get("/hold", f"Content-Length: {200 * KIB}", method="POST")
        self.peer.send(b"x" * 200 * KIB)
        self.advance(600)
        wait.callback(None)
        self.turn()
        self.assertEqual(self.peer.answer().body, b"%d" % (200 * KIB))

    def test_a_response_nobody_reads_is_aborted(self) -> None:
        self.app.get("/big", lambda _: "x" * KIB * KIB)
        self.peer.get("/big")
        self.peer.take(100)
        self.advance(5)
        self.assertFalse(self.peer.transport.is_aborted)
        self.advance(28)
        self.assertTrue(self.peer.transport.is_aborted)
        self.assertEqual(self.passed(), 1)

    def test_without_a_rate_a_response_nobody_reads_is_aborted_when_idle(self) -> None:
        self.serve(timeouts=Timeouts(response_min_rate=0))
        self.app.get("/big", lambda _: "x" * KIB * KIB)
        peer = self.connect()
        peer.get("/big")
        peer.take(100)
        self.advance(29)
        self.assertFalse(peer.transport.is_aborted)
        self.advance(3)
        self.assertTrue(peer.transport.is_aborted)

    def read_slowly(self, peer: Peer, rate: int) -> bool:
        """Read *rate* bytes a second; return whether it all came."""
        while not peer.transport.is_aborted and peer.transport.unsent:
            peer.take(rate)
            self.advance(1)
        return not peer.transport.is_aborted

    def test_a_slow_reader_gets_it_all_however_long_it_takes(self) -> None:
        self.app.get("/text", lambda _: "x" * KIB * KIB)
        self.app.get("/bytes", lambda _: b"x" * KIB * KIB)
        self.app.get("/json", lambda _: ["x" * KIB * KIB])
        self.app.get("/stream", lambda _: Response.stream(iter([b"x" * KIB * KIB])))
        for target in ("/text", "/bytes", "/json", "/stream"):
            for fields in ([], ["Connection: close"]):
                with self.subTest(target=target, fields=fields):
                    peer = self.connect()
                    peer.get(target, *fields)
                    self.assertTrue(self.read_slowly(peer, 5 * KIB))
                    self.assertEqual(len(peer.answer().body) // KIB, KIB)

    def test_a_slow_reader_over_tls_gets_it_all(self) -> None:
        self.app.get("/bytes", lambda _: b"x" * KIB * KIB)
        peer = self.connect(is_secure=True)
        peer.get("/bytes", "Connection: close")
        self.assertTrue(self.read_slowly(peer, 5 * KIB))

    def test_a_reader_that_stops_at_the_end_is_aborted(self) -> None:
        self.app.get("/bytes", lambda _: b"x" * KIB * KIB)
        self.peer.get("/bytes", "Connection: close")
        self.assertIs(self.peer.connection.phase, Phase.CLOSING)
        self.peer.take(500 * KIB)
        self.advance(40)
        self.assertTrue(self.peer.transport.is_aborted)

    def test_a_close_that_never_comes_to_an_end_is_an_abort(self) -> None:
        # TLS waits for the other side's farewell.
        self.peer.transport.loseConnection = lambda *_: None  # type: ignore[method-assign]
        self.peer.get()
        self.peer.take()
        self.peer.connection.close()
        self.advance(29)
        self.assertFalse(self.peer.transport.is_aborted)
        self.advance(3)
        self.assertTrue(self.peer.transport.is_aborted)

    def test_a_reader_below_the_rate_is_aborted(self) -> None:
        self.app.get("/bytes", lambda _: b"x" * KIB * KIB)
        for fields in ([], ["Connection: close"]):
            peer = self.connect()
            peer.get("/bytes", *fields)
            self.assertFalse(self.read_slowly(peer, 200))

    def test_a_handlers_time_is_up_503_cancelled_late_result_ignored(self) -> None:
        events: list[str] = []
        late: Deferred[str] = Deferred()

        @self.app.get("/slow")
        async def slow(_: Request) -> str:
            try:
                return await late
            except CancelledError:
                events.append("cancelled")
                raise
            finally:
                events.append("cleaned up")

        self.peer.get("/slow")
        self.peer.get("/")
        self.advance(29)
        self.assertEqual(self.peer.statuses(), [])
        self.advance(3)
        answers = self.peer.answers()
        self.assertEqual([a.status for a in answers], [503, 200])
        self.assertEqual(events, ["cancelled", "cleaned up"])
        late.callback("too late")
        self.assertEqual(self.peer.statuses(), [503, 200])
        self.assertEqual(self.errors, [])

    def test_a_deferreds_time_is_up_likewise(self) -> None:
        self.peer.get("/never")
        self.advance(32)
        self.assertEqual(self.peer.statuses(), [503])
        self.assertFalse(self.peer.sees_end)
        self.assertEqual(self.errors, [])

    def test_a_coroutine_that_will_not_be_cancelled_is_ignored(self) -> None:
        more: Deferred[str] = Deferred()

        @self.app.get("/stubborn")
        async def stubborn(_: Request) -> str:
            with contextlib.suppress(CancelledError):
                await Deferred()
            return await more

        self.peer.get("/stubborn")
        self.advance(32)
        more.callback("at last")
        self.assertEqual(self.peer.statuses(), [503])

    def test_a_route_may_have_its_own_time(self) -> None:
        self.app.get("/quick", lambda _: Deferred(), timeout=2)
        self.app.get("/free", lambda _: Deferred(), timeout=0)
        free = self.connect()
        free.get("/free")
        self.peer.get("/quick")
        self.advance(4)
        self.assertEqual(self.peer.statuses(), [503])
        self.advance(1000)
        self.assertEqual(free.statuses(), [])

    def test_a_handlers_time_counts_from_the_last_byte_of_the_request(self) -> None:
        @self.app.post("/read-and-wait")
        async def read_and_wait(request: Request) -> None:
            await request.read()
            await Deferred()

        self.peer.get("/read-and-wait", "Content-Length: 40000", method="POST")
        for _ in range(40):
            self.advance(1)
            self.peer.send(b"x" * 1000)
        self.advance(28)
        self.assertEqual(self.peer.statuses(), [])
        self.advance(4)
        self.assertEqual(self.peer.statuses(), [503])

    def test_a_stream_may_take_as_long_as_it_likes(self) -> None:
        async def pieces() -> Any:
            yield b"begun"
            await Deferred()

        self.app.get("/events", lambda _: pieces())
        self.peer.get("/events")
        self.advance(1000)
        self.assertFalse(self.peer.answer().is_whole)
        self.assertFalse(self.peer.sees_end)

    def test_lingering_ends(self) -> None:
        self.peer.send("nonsense\n\n")
        self.assertEqual(self.peer.statuses(), [400])
        self.advance(4)
        self.assertFalse(self.peer.transport.is_closed)
        self.advance(3)
        self.assertTrue(self.peer.transport.is_closed)

    def test_discarding_ends(self) -> None:
        self.app.get("/only-get", lambda _: "")
        self.peer.get("/only-get", "Content-Length: 1000", method="POST")
        self.assertEqual(self.peer.statuses(), [405])
        self.assertIs(self.peer.connection.phase, Phase.DISCARDING)
        self.advance(7)
        self.assertTrue(self.peer.transport.is_closed)
        self.assertEqual(self.peer.statuses(), [405])

    def test_discarding_ends_for_who_does_not_read_either(self) -> None:
        @self.app.post("/big")
        async def big(_: Request) -> bytes:
            return b"x" * 200 * KIB

        self.peer.get("/big", "Content-Length: 1000", method="POST")
        self.peer.take(150 * KIB)
        self.peer.send(b"x" * 500)
        self.peer.take(100 * KIB)
        self.assertIs(self.peer.connection.phase, Phase.DISCARDING)
        self.advance(50)
        self.assertTrue(self.peer.transport.is_closed)

    def test_zero_turns_a_rule_off(self) -> None:
        off = Timeouts(
            head=0, body_idle=0, body_min_rate=0, response_idle=0,
            response_min_rate=0, keep_alive=0, handler=0,
        )  # fmt: skip
        self.serve(timeouts=off)
        self.app.get("/big", lambda _: "x" * KIB * KIB)
        silent, body, big, idle, handler = (self.connect() for _ in range(5))
        body.get("/collect", "Content-Length: 10", method="POST")
        big.get("/big")
        idle.get()
        idle.take()
        handler.get("/never")
        self.advance(10_000)
        for peer in (silent, body, big, idle, handler):
            self.assertFalse(peer.transport.is_closed)
        self.assertEqual(self.passed(), 0)

    def test_one_connection_that_fails_does_not_keep_time_from_others(self) -> None:
        def fail(_: float) -> None:
            raise RuntimeError("on purpose")

        class Broken:
            deadline = 0.0
            exchange = None
            is_watched = False
            phase = Phase.IDLE
            check = staticmethod(fail)
            transport = self.peer.transport

        others = [self.connect() for _ in range(5)]
        self.factory._connections.add(Broken())  # type: ignore[arg-type]  # a fake
        self.advance(1)
        self.assertTrue(self.peer.transport.is_aborted)
        self.advance(12)
        self.assertTrue(all(peer.transport.is_closed for peer in others))
        self.factory._connections.clear()
        self.flushLoggedErrors(RuntimeError)


class Ticks(SynchronousTestCase):
    """One coarse tick for all."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.times: list[float] = []
        self.tick = Tick(self.clock, 0.5, self.times.append)

    def test_it_ticks_between_start_and_stop(self) -> None:
        self.tick.start()
        self.tick.start()
        self.clock.pump([0.5, 0.5, 0.5])
        self.assertEqual(self.times, [0.5, 1.0, 1.5])
        self.assertTrue(self.tick.is_running)
        self.tick.stop()
        self.tick.stop()
        self.clock.advance(5)
        self.assertEqual(self.times, [0.5, 1.0, 1.5])
        self.assertFalse(self.tick.is_running)
        self.assertEqual(self.tick.interval, 0.5)

    def test_latest_is_never_early(self) -> None:
        self.tick.start()
        self.assertEqual(self.tick.latest, 0.5)
        self.clock.advance(0.5)
        self.assertEqual(self.tick.latest, 1.0)

    def test_what_fails_in_a_tick_does_not_stop_the_next(self) -> None:
        def fail(_: float) -> None:
            raise RuntimeError("on purpose")

        tick = Tick(self.clock, 1, fail)
        tick.start()
        with self.assertRaises(RuntimeError):
            self.clock.advance(1)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)

    def test_the_interval_suits_the_shortest_timeout(self) -> None:
        self.assertEqual(interval_for(Timeouts()), MAX_INTERVAL)
        self.assertEqual(interval_for(Timeouts(head=0.4)), 0.1)
        self.assertEqual(interval_for(Timeouts(head=0.001)), 0.02)
        off = Timeouts(
            head=0, body_idle=0, response_idle=0, keep_alive=0, handler=0, rate_grace=0
        )
        self.assertEqual(interval_for(off), MAX_INTERVAL)


class Paces(SynchronousTestCase):
    """How fast a transfer goes."""

    def is_slow(self, pace: Pace, now: float, **rules: float) -> bool:
        return pace.is_too_slow(now, **{"idle": 0, "rate": 0, "grace": 0} | rules)

    def test_idle_counts_from_the_last_movement(self) -> None:
        pace = Pace(0)
        self.assertFalse(self.is_slow(pace, 9, idle=10))
        pace.moved(1, 9)
        self.assertFalse(self.is_slow(pace, 18, idle=10))
        self.assertTrue(self.is_slow(pace, 19, idle=10))

    def test_the_rate_counts_after_the_grace(self) -> None:
        pace = Pace(0)
        self.assertFalse(self.is_slow(pace, 5, rate=10, grace=5))
        self.assertTrue(self.is_slow(pace, 6, rate=10, grace=5))
        pace.moved(10, 6)
        self.assertFalse(self.is_slow(pace, 6, rate=10, grace=5))

    def test_time_held_does_not_count(self) -> None:
        pace = Pace(0)
        pace.go_on(0)
        pace.hold(1)
        pace.hold(5)
        self.assertFalse(self.is_slow(pace, 1000, idle=2, rate=1))
        pace.go_on(1001)
        self.assertFalse(self.is_slow(pace, 1001.5, idle=2))
        self.assertTrue(self.is_slow(pace, 1002, idle=2))

    @given(st.lists(st.tuples(st.floats(0.01, 5), st.integers(0, 5000)), max_size=30))
    def test_one_at_the_rate_is_never_too_slow(
        self, steps: list[tuple[float, int]]
    ) -> None:
        pace, now = Pace(0), 0.0
        for duration, extra in steps:
            now += duration
            pace.moved(int(duration * 240) + 1 + extra, now)
            self.assertFalse(pace.is_too_slow(now, idle=30, rate=240, grace=5))
