"""Finds out whether addresses can be listened on, before anything has been started.

twistd tells its services to listen when it is a daemon already: what goes wrong then
reaches the terminal cut short, if at all, and a pid file has been written. So each
address is bound once beforehand and let go. It may be taken in between; then the second
time fails, with less grace.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from twisted.internet.abstract import isIPv6Address
from twisted.internet.endpoints import (
    AdoptedStreamServerEndpoint,
    SSL4ServerEndpoint,
    TCP4ServerEndpoint,
    TCP6ServerEndpoint,
    UNIXServerEndpoint,
)
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import Factory
from twisted.python.lockfile import isLocked

from httpx_tw.service.addresses import (
    InheritedSocketEndpoint,
    cannot_listen,
    endpoint_from,
    stream_socket_family,
)
from httpx_tw.transport.listener import check_endpoint_kind

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["check_addresses"]

# Endpoints that do nothing but call one method of the reactor.
_TRANSPARENT = (
    SSL4ServerEndpoint,
    TCP4ServerEndpoint,
    TCP6ServerEndpoint,
    UNIXServerEndpoint,
)


def check_addresses(reactor: Any, descriptions: Iterable[str]) -> None:
    """Check that each endpoint string makes sense and that its address is free.

    Endpoints of plugins are parsed, but not tried: listening may mean anything there.

    :raises ConfigurationError: for the first that does not.
    """
    probe = _BindingReactor(reactor)
    for description in descriptions:
        check_endpoint_kind(reactor, description)  # by its own name, not the probe's
        endpoint = endpoint_from(probe, description)
        if isinstance(endpoint, AdoptedStreamServerEndpoint):
            stream_socket_family(endpoint.fileno)
        elif isinstance(endpoint, InheritedSocketEndpoint):
            stream_socket_family(endpoint.descriptor)
        elif isinstance(endpoint, _TRANSPARENT):
            problems: list[Any] = []
            endpoint.listen(Factory()).addErrback(problems.append)  # type: ignore[no-untyped-call]  # Twisted has no types for it
            if problems:
                error = problems[0].value
                raise cannot_listen(error, description) from error


class _BindingReactor:
    """A reactor as endpoints see it, that binds and lets go instead of listening."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)

    def listenTCP(
        self, port: int, factory: object, backlog: int = 0, interface: str = ""
    ) -> None:
        """See IReactorTCP.listenTCP."""
        del factory, backlog
        is_ipv6 = isIPv6Address(interface)
        family = socket.AF_INET6 if is_ipv6 else socket.AF_INET
        with socket.socket(family) as probe:
            if os.name == "posix":  # as Twisted does; elsewhere it means "take over"
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(_resolved(interface, port, is_ipv6=is_ipv6))
            except (OSError, OverflowError) as error:
                raise CannotListenError(interface, port, error) from error

    def listenSSL(
        self,
        port: int,
        factory: object,
        contextFactory: object,  # noqa: N803  # Twisted's name
        backlog: int = 0,
        interface: str = "",
    ) -> None:
        """See IReactorSSL.listenSSL."""
        del contextFactory
        self.listenTCP(port, factory, backlog, interface)

    def listenUNIX(  # noqa: N802  # Twisted's name, as below
        self,
        address: str | bytes,
        factory: object,
        backlog: int = 0,
        mode: int = 0o666,
        wantPID: int = 0,  # noqa: N803
    ) -> None:
        """See IReactorUNIX.listenUNIX."""
        del factory, backlog, mode
        path = Path(os.fsdecode(address))
        if "\0" in str(path):
            return  # Linux's abstract names: no file, no directory
        if len(os.fsencode(path)) > 107:
            _refuse(path, "the path is too long for a Unix socket")
        if not path.parent.is_dir():
            _refuse(path, f"there is no directory {path.parent}")
        if not os.access(path.parent, os.W_OK | os.X_OK):
            _refuse(path, f"no permission to write to {path.parent}")
        if path.exists():
            if not path.is_socket():
                _refuse(path, "there is a file, which is no socket")
            if not wantPID or isLocked(f"{path}.lock"):
                _refuse(path, "Address already in use")


def _resolved(interface: str, port: int, *, is_ipv6: bool) -> Any:
    if not is_ipv6:
        return interface, port
    # With its scope, if it names one: fe80::1%eth0.
    return socket.getaddrinfo(interface, port, type=socket.SOCK_STREAM)[0][4]


def _refuse(path: Path, reason: str) -> NoReturn:
    raise CannotListenError(None, str(path), reason)
