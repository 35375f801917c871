"""httpx_tw's BlockingClient, one thread for each request in flight."""

from __future__ import annotations

from asking import arguments
from threads import measure

from httpx_tw.client.blocking import BlockingClient
from httpx_tw.client.pool_facts import PoolConfig

task = arguments()

with BlockingClient(pool=PoolConfig(max_per_host=task.in_flight)) as client:

    def ask() -> None:
        """GET once."""
        response = client.get(task.url)
        task.answered(response.status, response.body)

    measure(task, ask)
