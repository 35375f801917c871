"""For tests: clients in memory, transports in memory, servers on free ports."""

from __future__ import annotations

from httpx_tw.testing.clients import TestClient
from httpx_tw.testing.conversation import PendingResponse, StillWaiting, TestResponse
from httpx_tw.testing.in_memory import AppDialer
from httpx_tw.testing.memory import MemoryTransport
from httpx_tw.testing.stub_answers import Silence, StubRequest, StubResponse
from httpx_tw.testing.stubs import Stubs, UnexpectedRequest
from httpx_tw.testing.trial import ServesAppMixin
from httpx_tw.testing.workers import SteppedWorkerPool

__all__ = [
    "AppDialer",
    "MemoryTransport",
    "PendingResponse",
    "ServesAppMixin",
    "Silence",
    "SteppedWorkerPool",
    "StillWaiting",
    "StubRequest",
    "StubResponse",
    "Stubs",
    "TestClient",
    "TestResponse",
    "UnexpectedRequest",
]
