"""The event-driven preset: Server, set up for ten thousand connections and more."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from httpx_tw.limits import DEFAULT_LIMITS, DEFAULT_TIMEOUTS, Limits, Timeouts
from httpx_tw.server.server import Server

if TYPE_CHECKING:
    from httpx_tw.app.app import App
    from httpx_tw.observe.access_log import AccessLog
    from httpx_tw.tls.certificates import ServerCertificates, ServerTLS

__all__ = ["EventServer"]


class EventServer(Server):
    """A Server for very many connections, most of them idle.

    Routes, middleware, ``start``, ``stop`` and all the rest are Server's. What differs
    is what it starts from, and the names of four options:

    :param max_connections: open connections; then accepting pauses. 0: no limit but
        that of descriptors (``ulimit -n``).
    :param backlog: length of the kernel's accept queue.
    :param idle_timeout_ms: milliseconds a connection may idle between requests. 0:
        for ever.
    :param tcp_keepalive: have the kernel probe connections that are silent for hours,
        so that those whose peer has vanished end.

    These four go before what *limits* and *timeouts* say of the same.
    """

    def __init__(  # noqa: PLR0913  # all but one are keywords with defaults
        self,
        app: App | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 8080,
        max_connections: int = 10_000,
        backlog: int = 1024,
        idle_timeout_ms: int = 30_000,
        tcp_keepalive: bool = True,
        limits: Limits = DEFAULT_LIMITS,
        timeouts: Timeouts = DEFAULT_TIMEOUTS,
        access_log: AccessLog | None = None,
        server_name: str = "httpx-tw",
        tls: ServerTLS | ServerCertificates | None = None,
    ) -> None:
        super().__init__(
            app,
            host=host,
            port=port,
            limits=replace(limits, max_connections=max_connections, backlog=backlog),
            timeouts=replace(timeouts, keep_alive=idle_timeout_ms / 1000),
            access_log=access_log,
            server_name=server_name,
            tcp_keepalive=tcp_keepalive,
            tls=tls,
        )
