"""Ten thousand requests into any weather: every slot, timer and Deferred comes back."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any
from unittest import mock

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionDone

from httpx_tw.client import call
from httpx_tw.client.timeouts import Timeout
from httpx_tw.client.wire import CLOSE_TIMEOUT
from httpx_tw.errors import ConnectFailed, HTTPXError
from tests.client.fakes import OK, ClientTestCase, Peer, response

if TYPE_CHECKING:
    from collections.abc import Callable

REQUESTS = 10_000

CALM = CLOSE_TIMEOUT + 2.5
"""Seconds, with the two ticks that a deadline may be late, in which all comes back: the
rest of a body that is read to keep its connection, and a connection that is closed."""

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
ANSWERS = [
    OK,
    OK[:-2],
    OK[:10],
    CHUNKED + b"3\r\nabc\r\n",
    CHUNKED + b"3\r\nabc\r\n0\r\n\r\n",
    CHUNKED + b"x\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n\r\nuntil",
    b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n",
    b"garbage",
    OK + OK,
    response(302, b"x", "Location: /again"),
    response(302, b"x", "Location: http://b.example/"),
    response(503, b"busy"),
    response(413, b"no", "Connection: close"),
    response(200, b"xxxx", "Content-Encoding: gzip"),
]


class Storm:
    """A history drawn from a seed."""

    def __init__(self, case: StormTests, seed: int) -> None:
        self.case = case
        self.chance = random.Random(seed)
        self.begun = 0
        self.ended = 0
        self.running: list[Deferred[Any]] = []
        self.outcomes: dict[str, int] = {}

    def ask(self) -> None:
        """Begin one more request, of any kind."""
        chance, client = self.chance, self.case.client
        url = f"http://{chance.choice('abc')}.example/"
        options: dict[str, Any] = {}
        if chance.random() < 0.3:
            options["timeout"] = Timeout(
                connect=chance.choice([0.5, 5]),
                read=chance.choice([0.5, 5]),
                pool=chance.choice([0.5, 5]),
                total=chance.choice([1, 20]),
            )
        if chance.random() < 0.1:
            options["wait"] = False
        if chance.random() < 0.2:
            options["retries"] = 2
        method = chance.choice(["GET", "GET", "GET", "POST", "PUT", "HEAD"])
        if method in {"POST", "PUT"}:
            options["content"] = chance.choice(
                [b"abc", b"x" * 200_000, iter([b"abc", b"def"])]
            )
            if chance.random() < 0.3:
                options["headers"] = {"Expect": "100-continue"}
        asked: Deferred[Any]
        if chance.random() < 0.3:
            asked = Deferred.fromCoroutine(self.stream(method, url, options))
        elif method == "GET":
            asked = client.get(url, **options)
        else:
            asked = client.request(method, url, **options)
        self.begun += 1
        self.running.append(asked)
        asked.addBoth(self.over, asked)

    async def stream(self, method: str, url: str, options: dict[str, Any]) -> None:
        """Read a response in part, in whole, or not."""
        async with self.case.client.stream(method, url, **options) as found:
            choice = self.chance.random()
            if choice < 0.3:
                await found.read()
            elif choice < 0.7:
                async for _ in found:
                    if self.chance.random() < 0.5:
                        break

    def over(self, result: Any, asked: Deferred[Any]) -> None:
        """Take note of an outcome: a result, an error of ours, or a cancel."""
        self.running.remove(asked)
        self.ended += 1
        value = getattr(result, "value", None)
        if value is not None and not isinstance(value, HTTPXError | CancelledError):
            raise value
        name = "well" if value is None else type(value).__name__
        self.outcomes[name] = self.outcomes.get(name, 0) + 1

    def peers(self) -> list[Peer]:
        """Return the ends of the connections that are open."""
        return [peer for peer in self.case.dialer.peers if not peer.transport.is_closed]

    def answer(self) -> None:
        """Let a server read, and say something."""
        if peers := self.peers():
            peer = self.chance.choice(peers)
            peer.transport.take(self.chance.choice([10, None]))
            if self.chance.random() < 0.8:
                peer.send(self.chance.choice(ANSWERS if self.is_rough else [OK]))

    @property
    def is_rough(self) -> bool:
        """Whether the server does not answer well this time."""
        return self.chance.random() < 0.6

    def lose(self) -> None:
        """Let a connection end."""
        if peers := self.peers():
            self.chance.choice(peers).transport.lose(
                self.chance.choice([None, ConnectionDone()])
            )

    def cancel(self) -> None:
        """Cancel some request."""
        if self.running:
            self.chance.choice(self.running).cancel()

    def dial(self) -> None:
        """Let a dial succeed or fail, or the next be slow or not."""
        dialer = self.case.dialer
        dialer.waiting = [d for d in dialer.waiting if not d.called]
        choice = self.chance.random()
        if dialer.waiting and choice < 0.6:
            dialer.land(self.chance.randrange(len(dialer.waiting)))
        elif dialer.waiting and choice < 0.8:
            dialer.fail(ConnectFailed("no"), self.chance.randrange(len(dialer.waiting)))
        else:
            dialer.is_slow = not dialer.is_slow

    def wait(self) -> None:
        """Let some time pass."""
        self.case.clock.advance(self.chance.choice([0, 0.1, 0.6]))
        self.case.turn()

    def blow(self, requests: int) -> None:
        """Have *requests* requests, and everything that can happen to them."""
        steps: list[Callable[[], None]] = [
            self.ask, self.ask, self.answer, self.answer, self.lose, self.cancel,
            self.dial, self.wait,
        ]  # fmt: skip
        dialer = self.case.dialer
        while self.begun < requests:
            self.chance.choice(steps)()
            figures = self.case.client.pool.stats()
            assert figures.total <= figures.max_connections
            dialer.peers = self.peers()
            open_or_coming = len(dialer.peers) + len(
                [deferred for deferred in dialer.waiting if not deferred.called]
            )
            assert open_or_coming == figures.total, (open_or_coming, figures)


class StormTests(ClientTestCase):
    def storm(self, seed: int, requests: int) -> dict[str, int]:
        self.client = self.made(self.pool(max_connections=6, max_per_host=3))
        storm = Storm(self, seed)
        # The delays of retries are drawn from the seed as well.
        with mock.patch.object(call, "random", storm.chance):
            storm.blow(requests)
            self.calm(storm)
        return storm.outcomes

    def calm(self, storm: Storm) -> None:
        # The weather calms down: whoever is left gets through, or is given up.
        self.dialer.is_slow = False
        for deferred in list(storm.running):
            deferred.cancel()
        for dial in self.dialer.waiting:
            if not dial.called:  # for nobody any more: it goes to the pool
                dial.callback(None)
        self.assertEqual(storm.running, [])
        self.advance(CALM)
        self.assertEqual(storm.ended, storm.begun)
        figures = self.client.pool.stats()
        self.assertEqual((figures.active, figures.waiting, figures.dialing), (0, 0, 0))
        self.client.pool.close_idle()
        self.advance(CALM)
        figures = self.client.pool.stats()
        self.assertEqual(figures.total, 0, figures)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_everything_comes_back(self) -> None:
        outcomes = self.storm(20260101, REQUESTS)
        for kind in (
            "well",
            "CancelledError",
            "ConnectFailed",
            "ConnectTimeout",
            "ConnectionLost",
            "DecodingError",
            "IncompleteMessage",
            "PoolExhausted",
            "PoolTimeout",
            "ReadTimeout",
            "RemoteProtocolError",
            "TotalTimeout",
        ):
            self.assertGreater(outcomes.get(kind, 0), 0, outcomes)

    def test_other_weather_too(self) -> None:
        for seed in range(20):
            self.storm(seed, 300)
