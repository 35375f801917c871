"""Reactors whose TLS is the direct transport, for Twisted's own tests.

``listenSSL`` and ``connectSSL`` are listen_tls and connect_tls, and what accepted and
dialled connections become by ``startTLS`` is what start_tls makes of them.
"""

# ruff: noqa: N802  # IReactorSSL's names

from __future__ import annotations

from typing import Any

from twisted.internet import tcp
from twisted.internet.epollreactor import EPollReactor
from twisted.internet.pollreactor import PollReactor
from twisted.internet.selectreactor import SelectReactor

from httpx_tw.reactors.epoll import EpollReactor
from httpx_tw.transport.tls_client import connect_tls
from httpx_tw.transport.tls_port import listen_tls
from httpx_tw.transport.tls_upgrade import start_tls


class DirectTLS:
    """The methods of IReactorSSL."""

    def listenSSL(
        self,
        port: int,
        factory: Any,
        contextFactory: Any,  # noqa: N803  # IReactorSSL's
        backlog: int = 50,
        interface: str = "",
    ) -> Any:
        return listen_tls(self, port, factory, contextFactory, backlog, interface)

    def connectSSL(
        self,
        host: str,
        port: int,
        factory: Any,
        contextFactory: Any,  # noqa: N803  # IReactorSSL's
        timeout: float = 30,
        bindAddress: Any = None,  # noqa: N803  # IReactorSSL's
    ) -> Any:
        return connect_tls(
            self, host, port, contextFactory, factory, timeout, bindAddress
        )


class DirectEpoll(DirectTLS, EPollReactor):
    pass


class DirectPoll(DirectTLS, PollReactor):
    pass


class DirectSelect(DirectTLS, SelectReactor):
    pass


class DirectLean(DirectTLS, EpollReactor):
    pass


_stock = tcp.Connection.startTLS


def _start(self: Any, ctx: Any, normal: bool = True) -> None:
    if type(self) in {tcp.Client, tcp.Server}:
        start_tls(self, ctx, is_client=self._tlsClientDefault is normal)
    else:
        _stock(self, ctx, normal)


def upgrade_directly() -> None:
    """Let every plain TCP transport of this process become a direct one."""
    tcp.Connection.startTLS = _start  # type: ignore[method-assign]  # the point of it
