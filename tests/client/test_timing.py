"""The timing of a request: each phase at its moment, and what hooks are told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.client.response import ConnectionFacts
from httpx_tw.client.timing import DialTimes, Timing
from httpx_tw.observe.moments import PHASES
from httpx_tw.tls.certificates import ServerTLS
from tests.client.fakes import OK, URL, ClientTestCase, FakeDialer, response
from tests.client.live import ClientLiveTestCase, Talker, TunnelProxy
from tests.tls.issuing import authority


class TimingTests(SynchronousTestCase):
    def test_durations_add_up(self) -> None:
        timing = Timing()
        timing.dialed, timing.resolved, timing.connected = 1.0, 1.5, 3.0
        timing.sent, timing.started = 3.25, 4.25
        self.assertEqual(
            timing.durations(),
            {
                "waited": 1.0,
                "resolved": 0.5,
                "connected": 1.5,
                "sent": 0.25,
                "started": 1.0,
            },
        )
        self.assertEqual(list(dict(timing.passed())), list(timing.durations())[1:])

    def test_dial_of_somebody_else_may_be_older(self) -> None:
        timing = Timing()
        timing.dialed = timing.resolved = timing.connected = 0.0
        timing.secured = timing.sent = 2.0
        self.assertEqual(sum(timing.durations().values()), 2.0)

    def test_repr_says_what_passed(self) -> None:
        timing = Timing()
        timing.sent = 0.5
        self.assertEqual(repr(timing), "<Timing sent=0.500000>")


class SlowDialer(FakeDialer):
    """Says that its phases took a while."""

    async def dial(self, key: Any, make: Any) -> Any:
        connection = await super().dial(key, make)
        facts = connection.facts
        connection.facts = ConnectionFacts(
            peer=facts.peer,
            local=facts.local,
            tls=None,
            dialing=DialTimes(1_000_000.0, 1_000_001.0, 1_000_003.0, None, 1_000_006.0),
        )
        return connection


class ExchangeTests(ClientTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.told: list[tuple[str, float]] = []
        self.dialer = SlowDialer()
        hooks: Any = {
            phase: [lambda request, at, phase=phase: self.told.append((phase, at))]
            for phase in PHASES
        }
        self.client = self.made(event_hooks=hooks)

    def test_each_phase_has_its_moment(self) -> None:
        deferred = self.get()
        self.assertEqual(dict(self.told)["secured"], 6)
        self.peer.take()
        self.advance(1)
        self.peer.send(OK[:20])
        self.advance(1)
        self.peer.send(OK[20:-2])
        self.advance(1)
        self.peer.send(OK[-2:])
        timing = self.result(deferred).timing
        self.assertEqual(list(timing.passed()), self.told)
        self.assertEqual(
            self.told,
            [
                ("resolved", 1),
                ("connected", 3),
                ("secured", 6),
                ("sent", 0),  # the fake dialer has made it up
                ("started", 2),
                ("ended", 3),
            ],
        )

    def test_connection_that_was_there_has_no_dial(self) -> None:
        for _ in range(2):
            deferred = self.get()
            self.peer.answer()
            self.result(deferred)
        phases = [phase for phase, _ in self.told]
        self.assertEqual(phases[-3:], ["sent", "started", "ended"])
        self.assertEqual(len(phases), 6 + 3)

    def test_stream_ends_when_it_ends(self) -> None:
        deferred = self.client.request("GET", URL, stream=True)
        self.peer.take()
        self.peer.send(OK[:-2])
        found = self.result(deferred)
        self.assertIsNone(found.timing.ended)
        self.advance(2)
        self.peer.send(OK[-2:])
        self.assertEqual(found.timing.ended, 2)

    def test_body_in_pieces_is_sent_when_it_is(self) -> None:
        deferred = self.client.post(URL, content=b"x" * 1_000_000)
        self.advance(2)
        self.assertNotIn("sent", dict(self.told))
        self.peer.answer()
        timing = self.result(deferred).timing
        self.assertEqual(timing.sent, 2)

    def test_early_answer_ends_the_sending(self) -> None:
        deferred = self.client.post(URL, content=b"x" * 1_000_000)
        self.advance(2)
        self.peer.send(response(413, b"no"))
        timing = self.result(deferred).timing
        self.assertEqual((timing.sent, timing.started), (2, 2))

    def test_expected_body_is_sent_when_it_is(self) -> None:
        deferred = self.client.post(
            URL, content=b"x", headers={"Expect": "100-continue"}
        )
        self.advance(0.5)
        self.peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        self.peer.answer()
        self.assertEqual(self.result(deferred).timing.sent, 0.5)

    def test_redirects_have_a_timing_each(self) -> None:
        deferred = self.get()
        self.advance(1)
        self.peer.answer(response(302, b"", "Location: /there"))
        self.advance(1)
        self.peer.answer()
        found = self.result(deferred)
        self.assertEqual(found.history[0].timing.ended, 1)
        self.assertEqual(found.timing.ended, 1)
        self.assertEqual(found.elapsed, 2)

    def test_hook_that_raises_disturbs_nothing(self) -> None:
        def hook(*_: object) -> None:
            raise ValueError("not mine")

        self.client = self.made(event_hooks={"started": [hook], "sent": [hook]})
        deferred = self.get()
        self.peer.answer()
        self.assertEqual(self.result(deferred).status, 200)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 2)

    def test_it_can_be_had_without_hooks(self) -> None:
        self.client = self.made(timing=True)
        deferred = self.get()
        self.advance(1)
        self.peer.answer()
        self.assertEqual(self.result(deferred).timing.started, 1)

    def test_nobody_asked_is_nothing_noted(self) -> None:
        self.client = self.made()
        deferred = self.get()
        self.peer.answer()
        self.assertIsNone(self.result(deferred).timing)


class LiveTests(ClientLiveTestCase):
    async def test_dial_has_its_phases(self) -> None:
        port = await self.listen(Talker)
        client = self.made(timing=True)
        found = await client.get(f"http://localhost:{port}/")
        assert found.timing is not None
        moments = list(found.timing.passed())
        self.assertEqual(
            [phase for phase, _ in moments],
            ["resolved", "connected", "sent", "started", "ended"],
        )
        self.assertEqual(moments, sorted(moments, key=lambda each: each[1]))
        self.assertGreater(found.timing.durations()["connected"], 0)

    async def test_tunnel_and_tls_are_phases(self) -> None:
        class Proxy(TunnelProxy):
            log: list[bytes] = []

        ca = authority().write_certificate(Path("ca.pem").absolute())
        pem = authority().issue("localhost").write(Path("server.pem").absolute())
        url = await self.serve(self.app, tls=ServerTLS(certfile=pem))
        proxy = await self.listen(Proxy)
        client = self.made(timing=True, proxy=f"http://127.0.0.1:{proxy}", verify=ca)
        found = await client.get(f"https://localhost:{url.rpartition(':')[2]}/")
        assert found.timing is not None
        self.assertEqual(list(dict(found.timing.passed())), list(PHASES))
