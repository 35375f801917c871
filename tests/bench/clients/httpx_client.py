"""httpx's AsyncClient on asyncio."""

from __future__ import annotations

import asyncio

import httpx
from asking import arguments

task = arguments()


async def ask(client: httpx.AsyncClient) -> None:
    """GET until nothing is left."""
    while task.take():
        response = await client.get(task.url)
        task.answered(response.status_code, response.content)


async def main() -> None:
    """Warm up, and measure."""
    limits = httpx.Limits(max_connections=task.in_flight)
    async with httpx.AsyncClient(limits=limits) as client:
        for requests in (task.requests // 10, task.requests):
            task.begin(requests)
            await asyncio.gather(*[ask(client) for _ in range(task.in_flight)])
        task.report()


asyncio.run(main())
