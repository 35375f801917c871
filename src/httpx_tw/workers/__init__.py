"""Worker threads: calls go to them from the reactor thread, results come back to it."""

from httpx_tw.workers.pool import WorkerPool, WorkerPoolConfig
from httpx_tw.workers.tasks import Task

__all__ = ["Task", "WorkerPool", "WorkerPoolConfig"]
