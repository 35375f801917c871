"""For tests: clients in memory, transports in memory, servers on free ports."""

from __future__ import annotations

from httpx_tw.testing.clients import TestClient
from httpx_tw.testing.conversation import PendingResponse, StillWaiting, TestResponse
from httpx_tw.testing.memory import MemoryTransport
from httpx_tw.testing.trial import ServesAppMixin
from httpx_tw.testing.workers import SteppedWorkerPool

__all__ = [
    "MemoryTransport",
    "PendingResponse",
    "ServesAppMixin",
    "SteppedWorkerPool",
    "StillWaiting",
    "TestClient",
    "TestResponse",
]
