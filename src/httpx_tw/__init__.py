"""An HTTP engine for Twisted: server, client, reactors and worker threads."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from httpx_tw.app.app import App
from httpx_tw.app.request import Request
from httpx_tw.app.response import Response
from httpx_tw.app.upgrade import SwitchProtocols
from httpx_tw.errors import HTTPError, HTTPXError
from httpx_tw.limits import Limits, Timeouts
from httpx_tw.server.event_server import EventServer
from httpx_tw.server.factory import HTTPFactory
from httpx_tw.server.server import Server
from httpx_tw.workers.pool import WorkerPool, WorkerPoolConfig

if TYPE_CHECKING:
    from httpx_tw.client import parallel as parallel
    from httpx_tw.client.client import Client
    from httpx_tw.client.pool import ConnectionPool
    from httpx_tw.client.pool_facts import PoolConfig
    from httpx_tw.client.timeouts import Timeout

__all__ = [
    "App",
    "Client",
    "ConnectionPool",
    "EventServer",
    "HTTPError",
    "HTTPFactory",
    "HTTPXError",
    "Limits",
    "PoolConfig",
    "Request",
    "Response",
    "Server",
    "SwitchProtocols",
    "Timeout",
    "Timeouts",
    "WorkerPool",
    "WorkerPoolConfig",
]

__version__ = "0.1.0.dev0"

# Imported when first asked for: 90 ms, most of it OpenSSL, that servers can do without.
__later = {
    "Client": "httpx_tw.client.client",
    "ConnectionPool": "httpx_tw.client.pool",
    "PoolConfig": "httpx_tw.client.pool_facts",
    "Timeout": "httpx_tw.client.timeouts",
    "parallel": "httpx_tw.client.parallel",  # the module itself
}


def __getattr__(name: str) -> Any:
    if name not in __later:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(__later[name])
    return getattr(module, name, module)
