"""httpx_tw's Agent, as Twisted's is used."""

from __future__ import annotations

from typing import Any

from asking import arguments
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import react
from twisted.web.client import readBody

from httpx_tw.client.agent import Agent
from httpx_tw.client.pool import ConnectionPool
from httpx_tw.client.pool_facts import PoolConfig

task = arguments()
url = task.url.encode("ascii")


async def ask(agent: Agent) -> None:
    """GET until nothing is left."""
    while task.take():
        response = await agent.request(b"GET", url)
        task.answered(response.code, await readBody(response))


async def main(reactor: Any) -> None:
    """Warm up, and measure."""
    pool = ConnectionPool(PoolConfig(max_per_host=task.in_flight), reactor=reactor)
    agent = Agent(reactor, pool=pool)
    for requests in (task.requests // 10, task.requests):
        task.begin(requests)
        await gatherResults(
            [Deferred.fromCoroutine(ask(agent)) for _ in range(task.in_flight)]
        )
    task.report()
    await pool.close()


react(lambda reactor: Deferred.fromCoroutine(main(reactor)))
