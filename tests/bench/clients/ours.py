"""httpx_tw's Client; the fourth argument names the reactor, as twistd does.

With a fifth one no TLS session is resumed.
"""

from __future__ import annotations

import sys

from asking import arguments
from twisted.application.reactors import installReactor
from twisted.internet.defer import Deferred, gatherResults

installReactor(sys.argv[4])

from twisted.internet import reactor  # noqa: E402, TID251  # once it is installed

from httpx_tw import Client, PoolConfig  # noqa: E402  # as above
from httpx_tw.tls.contexts import ClientContexts  # noqa: E402  # as above
from httpx_tw.tls.sessions import TlsSessionPool  # noqa: E402  # as above

task = arguments()
kept = 0 if len(sys.argv) > 5 else 1000
client = Client(
    pool=PoolConfig(max_per_host=task.in_flight, max_requests_per_connection=0),
    contexts=ClientContexts(TlsSessionPool(max_sessions=kept)),
)


async def ask() -> None:
    """GET until nothing is left."""
    while task.take():
        response = await client.get(task.url)
        task.answered(response.status, response.body)


async def main() -> None:
    """Warm up, and measure."""
    for requests in (task.requests // 10, task.requests):
        task.begin(requests)
        await gatherResults(
            [Deferred.fromCoroutine(ask()) for _ in range(task.in_flight)]
        )
    task.report()
    await client.close()
    reactor.stop()


reactor.callWhenRunning(lambda: Deferred.fromCoroutine(main()))
reactor.run()
