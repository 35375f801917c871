#!/usr/bin/env python3
"""Start a server with worker threads, stop it under load, 200 times in one process.

    python tests/bench/stop_under_load.py
    python tests/bench/stop_under_load.py --rounds 5      # a smoke run

Eight clients each pipeline requests without end. What the server has taken in has to be
answered and received, no call of the pool may be given up, and no thread may be left.
"""

from __future__ import annotations

import argparse
import sys
import threading
from typing import TYPE_CHECKING, Any

from harness.report import verdict
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Protocol
from twisted.internet.task import react

from httpx_tw import Server, Timeouts, WorkerPoolConfig

if TYPE_CHECKING:
    from twisted.python.failure import Failure

CLIENTS = 8
BURST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 10
ANSWER = b"HTTP/1.1 200 OK\r\n"


class Client(Protocol):
    """Sends ten requests more whenever ten have been answered."""

    def __init__(self) -> None:
        self.received = b""
        self.answers = 0
        self.has_some: Deferred[None] = Deferred()
        self.over: Deferred[None] = Deferred()

    def connectionMade(self) -> None:
        self.send()

    def send(self) -> None:
        transport: Any = self.transport
        transport.write(BURST)

    def dataReceived(self, data: bytes) -> None:
        self.received += data
        before = self.answers
        self.answers = self.received.count(ANSWER)
        if self.answers // 10 > before // 10:
            self.send()
        if self.answers >= 3 and not self.has_some.called:
            self.has_some.callback(None)

    def connectionLost(self, reason: Failure | None = None) -> None:
        del reason
        if not self.has_some.called:
            self.has_some.callback(None)
        self.over.callback(None)


async def one_round(reactor: Any) -> list[str]:
    """Return what was wrong."""
    server = Server(port=0, timeouts=Timeouts(drain=10))
    server.enable_threading(WorkerPoolConfig(num_workers=4))
    server.get("/", lambda _: "hello")
    port = await server.start(reactor)
    endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", port)
    clients = [Client() for _ in range(CLIENTS)]
    for client in clients:
        await connectProtocol(endpoint, client)
    for client in clients:
        await client.has_some
    await server.stop()
    left = [t.name for t in threading.enumerate() if t.name.startswith("workers")]
    for client in clients:
        await client.over
    received = sum(client.answers for client in clients)
    figures, workers = server.statistics(), server.worker_stats
    assert workers is not None
    found = {
        "threads left": left,
        "answered and not received": figures.responses_2xx - received,
        "called and not answered": workers.total - received,
        "calls given up": workers.cancelled + workers.dropped + workers.timed_out,
        "other answers": figures.requests - figures.responses_2xx,
    }
    return [f"{what}: {count}" for what, count in found.items() if count]


async def run(reactor: Any, rounds: int) -> None:
    wrong: list[str] = []
    for number in range(rounds):
        wrong += [f"round {number + 1}: {words}" for words in await one_round(reactor)]
    words = (
        f"stop() under load {rounds} times: {'; '.join(wrong[:5]) or 'nothing lost'}"
    )
    if not verdict(words, holds=not wrong):
        raise SystemExit(1)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=200, help="default %(default)s")
    options = parser.parse_args()
    react(lambda reactor: Deferred.fromCoroutine(run(reactor, options.rounds)))


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
