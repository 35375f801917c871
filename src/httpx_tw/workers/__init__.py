"""Worker threads: calls go to them from the reactor thread, results come back to it."""

from httpx_tw.workers.pool import WorkerPool, WorkerPoolConfig, defer_to_pool
from httpx_tw.workers.statistics import Histogram, WorkerPoolStats
from httpx_tw.workers.stealing_pool import WorkStealingPool
from httpx_tw.workers.stopping import StopReport
from httpx_tw.workers.tasks import PoolFuture, Task

__all__ = [
    "Histogram",
    "PoolFuture",
    "StopReport",
    "Task",
    "WorkStealingPool",
    "WorkerPool",
    "WorkerPoolConfig",
    "WorkerPoolStats",
    "defer_to_pool",
]
