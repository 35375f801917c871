"""How connections come in: in batches, up to a limit, never spinning on EMFILE."""

from __future__ import annotations

import errno
import os
import socket
import sys
from copy import copy
from typing import TYPE_CHECKING, Any, Final

from twisted.internet import tcp
from twisted.internet.endpoints import SSL4ServerEndpoint
from twisted.internet.interfaces import IReactorFDSet
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOFactory

from httpx_tw.errors import ConfigurationError
from httpx_tw.transport.stream_server import StreamServer
from httpx_tw.transport.tls_port import TLSListening, is_direct

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import (
        IListeningPort,
        IProtocolFactory,
        IStreamServerEndpoint,
    )

__all__ = [
    "ACCEPT_BATCH",
    "EXHAUSTED",
    "ITS_OWN_FAULT",
    "AcceptGate",
    "ListeningReactor",
    "StreamPort",
    "TLSStreamPort",
    "check_endpoint_kind",
]

_log = Logger()

ACCEPT_BATCH: Final = 64
"""Connections taken in one event: enough to empty a burst, too few (about 1 ms) to keep
timers and other connections waiting."""

TWISTED_BACKLOG: Final = 50
"""What endpoints ask for when nobody said: too few for a burst, so it means "ours"."""

# The process or the machine is out of something that closing connections gives back.
EXHAUSTED: Final = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}

# accept(2): errors of the connection that was to be accepted, already pending on it,
# and of the firewall; the listening socket is well.
ITS_OWN_FAULT: Final = {
    getattr(errno, name)
    for name in (
        "ECONNABORTED EPERM EPROTO ENETDOWN ENOPROTOOPT EHOSTDOWN ENONET EHOSTUNREACH "
        "EOPNOTSUPP ENETUNREACH EINTR ETIMEDOUT "
        "ECONNRESET ENOTCONN"  # on Windows: it was reset while it waited
    ).split()
    if hasattr(errno, name)
}


class AcceptGate:
    """Decides whether listening ports may accept; one for all ports of a server.

    It closes when there are *limit* connections (0: no limit), and when the process
    runs out of descriptors; meanwhile the kernel's backlog holds who is waiting. It
    opens when a connection ends, and :meth:`retry` tries again after running out.

    :param on_exhausted: called with no argument when descriptors run out, so that the
        owner can close connections it does not need.
    """

    def __init__(self, limit: int, on_exhausted: Callable[[], None]) -> None:
        self._limit = limit
        self._on_exhausted = on_exhausted
        self._ports: list[Any] = []
        self._is_exhausted = False
        self._reserve = -1
        self.is_open = True
        self.connections = 0
        self.times_exhausted = 0

    def add_port(self, port: IListeningPort) -> None:
        """Let this gate govern *port*, which is listening."""
        self._ports.append(port)
        self._take_reserve()
        if not self.is_open:
            self._pause(port)

    def remove_ports(self) -> None:
        """Forget the ports: they are closed, or about to be."""
        self._ports.clear()
        self._drop_reserve()

    @property
    def refuses(self) -> bool:
        """Over the limit, and no port that could wait: close what comes.

        So it is where the ports are somebody else's, and :meth:`add_port` was not
        called.
        """
        return not self.is_open and not any(map(_can_pause, self._ports))

    def connection_opened(self) -> None:
        """Count a connection."""
        self.connections += 1
        if self._limit and self.connections >= self._limit:
            self._close()

    def connection_closed(self) -> None:
        """Count one less; there may be room again."""
        self.connections -= 1
        if not self.is_open:
            self.retry()

    def exhausted(self) -> None:
        """Note that accepting failed for want of descriptors or memory."""
        self.times_exhausted += 1
        if not self._is_exhausted:
            self._is_exhausted = True
            _log.warn(
                "out of file descriptors with {connections} connections: accepting "
                "pauses; raise the limit (ulimit -n) or lower --max-connections",
                connections=self.connections,
            )
        self._close()
        # The rest of the process can go on opening a log or a resolver's socket: it is
        # us who have used the descriptors up.
        self._drop_reserve()
        self._on_exhausted()

    def retry(self) -> None:
        """Open again if there is room: when a connection has ended, and each tick."""
        if self.is_open or (self._limit and self.connections >= self._limit):
            return
        if self._is_exhausted:
            # Without a port there is nothing to keep a descriptor for.
            if self._ports and not self._take_reserve():
                return
            self._is_exhausted = False
        self.is_open = True
        for port in self._ports:
            if _can_pause(port):
                port.startReading()

    def _close(self) -> None:
        if self.is_open:
            self.is_open = False
            for port in self._ports:
                self._pause(port)

    @staticmethod
    def _pause(port: Any) -> None:
        if _can_pause(port):
            port.stopReading()

    def _take_reserve(self) -> bool:
        if self._reserve < 0:
            try:
                self._reserve = os.open(os.devnull, os.O_RDONLY)
            except OSError:
                return False
        return True

    def _drop_reserve(self) -> None:
        if self._reserve >= 0:
            os.close(self._reserve)
            self._reserve = -1


def _can_pause(port: Any) -> bool:
    """Whether *port* can leave connections in the kernel: not on IOCP."""
    return hasattr(port, "stopReading")


class StreamPort(tcp.Port):
    """A TCP port that accepts in batches and heeds an AcceptGate.

    Use it as tcp.Port, on any reactor with readable descriptors (IReactorFDSet).
    """

    transport = StreamServer
    gate: AcceptGate
    keep_alive = False
    """Have the kernel probe silent connections (SO_KEEPALIVE)."""

    def startListening(self) -> None:
        """Bind and listen. The options set here are inherited by what is accepted."""
        tcp.Port.startListening(self)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.keep_alive:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def doRead(self) -> None:
        """Accept up to a batch of connections."""
        gate = self.gate
        for _ in range(ACCEPT_BATCH):
            try:
                connected, peer = self.socket.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in EXHAUSTED:
                    gate.exhausted()
                    return
                if error.errno in ITS_OWN_FAULT:
                    continue
                raise
            self.accepted(connected, peer)
            if not gate.is_open or self.disconnecting:
                return

    def accepted(self, connected: socket.socket, peer: tuple[Any, ...]) -> None:
        """Serve a connection; one that cannot be served is closed, and logged."""
        try:
            self._serve(connected, peer)
        except Exception:  # noqa: BLE001  # one connection must not end the port
            _log.failure("a new connection could not be served")

    def _serve(self, connected: socket.socket, peer: tuple[Any, ...]) -> None:
        try:
            if len(peer) == 4 and peer[3]:
                # IPv6 with a scope: its name is part of the address, as in Twisted.
                numeric = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
                peer = (socket.getnameinfo(peer, numeric)[0], *peer[1:])
            assert self.factory is not None
            protocol = self.factory.buildProtocol(self._buildAddr(peer))  # type: ignore[no-untyped-call]  # Twisted's
        except BaseException:
            connected.close()
            raise
        if protocol is None:
            connected.close()
            return
        number = self.sessionno
        self.sessionno = number + 1
        transport = self.transport(
            connected, protocol, peer, self, number, self.reactor
        )
        try:
            protocol.makeConnection(transport)
        except BaseException:
            # The reactor knows the descriptor by now: it must hear that it is gone.
            transport.abortConnection()  # type: ignore[no-untyped-call]  # Twisted's
            raise


class TLSStreamPort(TLSListening, StreamPort):
    """The same for connections that speak TLS: see TLSListening."""

    # HTTP says itself where a message ends, and the kernel delivers what it has after a
    # close as well. To wait for the peer's goodbye would hold a connection 15 s for
    # each client that pools them and does not look. nginx does not wait either.
    close_timeout = 0.0


def check_endpoint_kind(reactor: Any, description: str) -> None:
    """Refuse an endpoint string that this platform or *reactor* cannot serve.

    Twisted would say it by an AttributeError or an assertion, and when it listens.

    :raises ConfigurationError: Unix sockets on Windows, inherited ones on IOCP.
    """
    kind, _, _ = description.partition(":")
    if kind == "unix" and not hasattr(socket, "AF_UNIX"):
        raise ConfigurationError(f"no Unix sockets on {sys.platform}: {description}")
    if kind in ("fd", "systemd") and not hasattr(reactor, "adoptStreamPort"):
        name = type(reactor).__name__
        raise ConfigurationError(f"{name} cannot take over a socket: {description}")


class ListeningReactor:
    """A reactor as endpoints see it, whose TCP ports are StreamPorts.

    Endpoint strings (``tcp:``, ``tcp6:``, ``systemd:``, ``ssl:``, ``tls:``) call
    ``listenTCP``, ``listenSSL`` and ``adoptStreamPort``; everything else is the
    reactor's own. A factory that Twisted has wrapped in TLS gets the direct transport.
    """

    def __init__(
        self, reactor: Any, gate: AcceptGate, backlog: int, *, keep_alive: bool = False
    ) -> None:
        self._reactor = reactor
        self._gate = gate
        self._backlog = backlog
        self._keep_alive = keep_alive

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)

    def listenTCP(
        self,
        port: Any,
        factory: IProtocolFactory,
        backlog: int = TWISTED_BACKLOG,
        interface: str = "",
    ) -> IListeningPort:
        """See IReactorTCP.listenTCP."""
        if backlog == TWISTED_BACKLOG:
            backlog = self._backlog
        if not IReactorFDSet.providedBy(self._reactor):
            listening: IListeningPort = self._reactor.listenTCP(
                port, factory, backlog, interface
            )
            return listening
        kind, inner = self._kind_for(factory)
        made = kind(port, inner, backlog, interface, self._reactor)
        return self._start(made, factory)

    def listenSSL(
        self,
        port: Any,
        factory: IProtocolFactory,
        contextFactory: Any,  # noqa: N803  # IReactorSSL's
        backlog: int = TWISTED_BACKLOG,
        interface: str = "",
    ) -> IListeningPort:
        """See IReactorSSL.listenSSL."""
        wrapped = TLSMemoryBIOFactory(
            contextFactory, False, factory, clock=self._reactor
        )
        return self.listenTCP(port, wrapped, backlog, interface)

    def adoptStreamPort(
        self, fd: int, family: socket.AddressFamily, factory: IProtocolFactory
    ) -> IListeningPort:
        """See IReactorSocket.adoptStreamPort."""
        if family not in (socket.AF_INET, socket.AF_INET6):
            adopted: IListeningPort = self._reactor.adoptStreamPort(fd, family, factory)
            return adopted
        kind, inner = self._kind_for(factory)
        made = kind._fromListeningDescriptor(self._reactor, fd, family, inner)  # type: ignore[no-untyped-call]  # noqa: SLF001  # what the reactor's own method calls
        return self._start(made, factory)

    def taken_over(self, endpoint: IStreamServerEndpoint) -> IStreamServerEndpoint:
        """Return *endpoint*, an object, as if it had been made on this reactor.

        That is Twisted's own for TLS, made on the reactor beneath, which by itself
        would ask that for Twisted's TLS. Any other is returned as it is.
        """
        # By a private name: without it the endpoint just stays what it is.
        made_on = getattr(endpoint, "_reactor", None)
        if type(endpoint) is not SSL4ServerEndpoint or made_on is not self._reactor:
            return endpoint
        ours: Any = copy(endpoint)
        ours._reactor = self  # noqa: SLF001  # as above
        result: IStreamServerEndpoint = ours
        return result

    def _kind_for(
        self, factory: IProtocolFactory
    ) -> tuple[type[StreamPort], IProtocolFactory]:
        if is_direct(factory, self._reactor):
            assert isinstance(factory, TLSMemoryBIOFactory)
            return TLSStreamPort, factory.wrappedFactory
        # A reactor that accepts and receives by itself has ports for that.
        return getattr(self._reactor, "stream_port", StreamPort), factory

    def _start(self, port: StreamPort, factory: IProtocolFactory) -> IListeningPort:
        port.gate = self._gate
        port.keep_alive = self._keep_alive
        if isinstance(port, TLSStreamPort):
            assert isinstance(factory, TLSMemoryBIOFactory)
            port.tls_factory = factory
        port.startListening()
        return port
