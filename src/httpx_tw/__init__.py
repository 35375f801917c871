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
    from httpx_tw.client.agent import Agent
    from httpx_tw.client.authentication import BasicAuth, BearerAuth, NetrcAuth
    from httpx_tw.client.blocking import BlockingClient
    from httpx_tw.client.client import Client
    from httpx_tw.client.cookies import CookieJar
    from httpx_tw.client.digest import DigestAuth
    from httpx_tw.client.pool import ConnectionPool
    from httpx_tw.client.pool_facts import PoolConfig
    from httpx_tw.client.redirects import RedirectPolicy
    from httpx_tw.client.retries import RetryBudget, RetryPolicy
    from httpx_tw.client.timeouts import Timeout
    from httpx_tw.tls.contexts import TLSPolicy

__all__ = [
    "Agent",
    "App",
    "BasicAuth",
    "BearerAuth",
    "BlockingClient",
    "Client",
    "ConnectionPool",
    "CookieJar",
    "DigestAuth",
    "EventServer",
    "HTTPError",
    "HTTPFactory",
    "HTTPXError",
    "Limits",
    "NetrcAuth",
    "PoolConfig",
    "RedirectPolicy",
    "Request",
    "Response",
    "RetryBudget",
    "RetryPolicy",
    "Server",
    "SwitchProtocols",
    "TLSPolicy",
    "Timeout",
    "Timeouts",
    "WorkerPool",
    "WorkerPoolConfig",
]

__version__ = "0.1.0.dev0"

# Imported when first asked for: 90 ms, most of it OpenSSL, that servers can do without.
__later = {
    "Agent": "httpx_tw.client.agent",
    "BasicAuth": "httpx_tw.client.authentication",
    "BearerAuth": "httpx_tw.client.authentication",
    "BlockingClient": "httpx_tw.client.blocking",
    "Client": "httpx_tw.client.client",
    "ConnectionPool": "httpx_tw.client.pool",
    "CookieJar": "httpx_tw.client.cookies",
    "DigestAuth": "httpx_tw.client.digest",
    "NetrcAuth": "httpx_tw.client.authentication",
    "PoolConfig": "httpx_tw.client.pool_facts",
    "RedirectPolicy": "httpx_tw.client.redirects",
    "RetryBudget": "httpx_tw.client.retries",
    "RetryPolicy": "httpx_tw.client.retries",
    "TLSPolicy": "httpx_tw.tls.contexts",
    "Timeout": "httpx_tw.client.timeouts",
    "parallel": "httpx_tw.client.parallel",  # the module itself
}


def __getattr__(name: str) -> Any:
    if name not in __later:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(__later[name])
    return getattr(module, name, module)
