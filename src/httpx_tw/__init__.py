"""An HTTP engine for Twisted: server, client, reactors and worker threads."""

from __future__ import annotations

from httpx_tw.app.app import App
from httpx_tw.app.request import Request
from httpx_tw.app.response import Response
from httpx_tw.app.upgrade import SwitchProtocols
from httpx_tw.errors import HTTPError, HTTPXError
from httpx_tw.limits import Limits, Timeouts
from httpx_tw.server.event_server import EventServer
from httpx_tw.server.factory import HTTPFactory
from httpx_tw.server.server import Server

__all__ = [
    "App",
    "EventServer",
    "HTTPError",
    "HTTPFactory",
    "HTTPXError",
    "Limits",
    "Request",
    "Response",
    "Server",
    "SwitchProtocols",
    "Timeouts",
]

__version__ = "0.1.0.dev0"
