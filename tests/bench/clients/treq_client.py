"""treq over Twisted's Agent, with as many connections as requests in flight."""

from __future__ import annotations

from asking import arguments
from twisted.internet import epollreactor
from twisted.internet.defer import Deferred, gatherResults

epollreactor.install()

import treq  # noqa: E402  # once it is installed
from twisted.internet import reactor  # noqa: E402, TID251  # as above
from twisted.web.client import Agent, HTTPConnectionPool  # noqa: E402  # as above

task = arguments()
pool = HTTPConnectionPool(reactor)
pool.maxPersistentPerHost = task.in_flight
client = treq.client.HTTPClient(Agent(reactor, pool=pool))


async def ask() -> None:
    """GET until nothing is left."""
    while task.take():
        response = await client.get(task.url)
        task.answered(response.code, await response.content())


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
