"""urllib3's PoolManager, one thread for each request in flight."""

from __future__ import annotations

import urllib3
from asking import arguments
from threads import measure

task = arguments()
pool = urllib3.PoolManager(maxsize=task.in_flight, block=True)


def ask() -> None:
    """GET once."""
    response = pool.request("GET", task.url)
    task.answered(response.status, response.data)


measure(task, ask)
