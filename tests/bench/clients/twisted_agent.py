"""Twisted's own Agent, with as many persistent connections as requests in flight."""

from __future__ import annotations

from asking import arguments
from twisted.internet import epollreactor
from twisted.internet.defer import Deferred, gatherResults

epollreactor.install()

from twisted.internet import reactor  # noqa: E402, TID251  # once it is installed
from twisted.web.client import Agent, HTTPConnectionPool, readBody  # noqa: E402

task = arguments()
pool = HTTPConnectionPool(reactor)
pool.maxPersistentPerHost = task.in_flight
agent = Agent(reactor, pool=pool)


async def ask() -> None:
    """GET until nothing is left."""
    url = task.url.encode()
    while task.take():
        response = await agent.request(b"GET", url)
        task.answered(response.code, await readBody(response))


async def main() -> None:
    """Warm up, and measure."""
    for requests in (task.requests // 10, task.requests):
        task.begin(requests)
        await gatherResults(
            [Deferred.fromCoroutine(ask()) for _ in range(task.in_flight)]
        )
    task.report()
    await pool.closeCachedConnections()
    reactor.stop()


reactor.callWhenRunning(lambda: Deferred.fromCoroutine(main()))
reactor.run()
