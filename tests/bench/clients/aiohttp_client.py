"""aiohttp's ClientSession on uvloop."""

from __future__ import annotations

import asyncio

import aiohttp
import uvloop
from asking import arguments

task = arguments()


async def ask(session: aiohttp.ClientSession) -> None:
    """GET until nothing is left."""
    while task.take():
        async with session.get(task.url) as response:
            task.answered(response.status, await response.read())


async def main() -> None:
    """Warm up, and measure."""
    connector = aiohttp.TCPConnector(limit=task.in_flight)
    async with aiohttp.ClientSession(connector=connector) as session:
        for requests in (task.requests // 10, task.requests):
            task.begin(requests)
            await asyncio.gather(*[ask(session) for _ in range(task.in_flight)])
        task.report()


uvloop.run(main())
