"""The client's end of a TCP connection, dialled with half the calls of a stock one.

Twisted's connectTCP makes a connector, a transport that begins to connect in the next
turn of the reactor, watches the socket for reading as well, asks the kernel twice, and
builds a protocol that is only in the way of ours: a fifth of what a request over a new
connection costs. What follows once it is connected is Twisted's transport.
"""

from __future__ import annotations

import errno
import os
import socket
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from twisted.internet import tcp
from twisted.internet.abstract import FileDescriptor
from twisted.internet.address import IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.error import (
    ConnectBindError,
    ConnectError,
    ConnectionAborted,
    getConnectError,
)
from twisted.internet.protocol import Protocol

from httpx_tw.transport.stream_server import StreamServer

if TYPE_CHECKING:
    from twisted.python.failure import Failure

__all__ = ["StreamClient", "dial_tcp"]

_UNDER_WAY: Final = {errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EALREADY}

_CONNECTED: Final = {0, errno.EISCONN}

_NOBODY: Final = Protocol()
"""The protocol until somebody takes the connection over: it ignores everything."""


class StreamClient(tcp.Client):
    """As tcp.Client; it has no connector, and whoever dialled it gives it a protocol.

    Use it on the reactor thread.
    """

    reactor: Any  # Twisted's type knows descriptors, and no time
    _landed: Deferred[StreamClient] | None = None  # who waits while it is dialled

    def __init__(
        self, sock: socket.socket, address: tuple[Any, ...], reactor: Any
    ) -> None:
        # Not Client's: it would make a socket, and begin to connect it.
        tcp.Connection.__init__(self, sock, _NOBODY, reactor)
        self.addr = self.realAddress = address
        if len(address) > 2:
            self.addressFamily = socket.AF_INET6
            self._addressType = IPv6Address  # type: ignore[assignment]  # as Client does it

    # Dialling

    def dial(self, bind_address: tuple[str, int] | None) -> Deferred[StreamClient]:
        """Connect: see dial_tcp."""
        landed = self._landed = Deferred(lambda _: self._let_go())
        # Not at once: whoever dials has not seen the Deferred yet, and what else ends
        # in this turn of the reactor should be closed before more is opened.
        call_soon = getattr(self.reactor, "call_after_batch", None)
        if call_soon is None:
            self.reactor.callLater(0, self._connect, bind_address)
        else:
            call_soon(partial(self._connect, bind_address))
        return landed

    def _connect(self, bind_address: tuple[str, int] | None) -> None:
        if self._landed is None:
            return  # cancelled
        try:
            if bind_address is not None:
                self.socket.bind(bind_address)
        except OSError as error:
            self._dial_failed(ConnectBindError(error.errno, error.strerror))
            return
        try:
            number = self.socket.connect_ex(self.realAddress)
            if number in _UNDER_WAY and self._is_near:
                # To this machine the kernel has connected it already, and says so when
                # it is asked again: that saves a turn of the reactor.
                number = self.socket.connect_ex(self.realAddress)
        except (OSError, OverflowError) as error:  # no address, no port
            self._dial_failed(ConnectError(string=str(error)))
            return
        if number in _CONNECTED:
            self._connected()
        elif number in _UNDER_WAY:
            # In place of the class's own, until it is connected: nothing is asked then.
            vars(self)["doWrite"] = self._finish_dialing
            self.startWriting()  # type: ignore[no-untyped-call]  # Twisted's
        else:
            # Asked again, Windows says only that it has given up. Linux has told it by
            # then, and forgotten.
            cause = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            self._dial_failed(_error_of(cause or number))

    @property
    def _is_near(self) -> bool:
        address: str = self.realAddress[0]
        return address.startswith("127.") or address == "::1"

    def _finish_dialing(self) -> None:
        number = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number:
            self._dial_failed(_error_of(number))
            return
        self._connected()

    def _connected(self) -> None:
        landed, self._landed = self._landed, None
        assert landed is not None
        self.connected = 1
        vars(self).pop("doWrite", None)
        # In this order: the reactor keeps the descriptor, and changes what it is for.
        self.startReading()  # type: ignore[no-untyped-call]  # Twisted's
        self.stopWriting()  # type: ignore[no-untyped-call]  # Twisted's
        landed.callback(self)

    def _dial_failed(self, error: Exception) -> None:
        landed, self._landed = self._landed, None
        assert landed is not None
        self._let_go()
        landed.errback(error)

    def _let_go(self) -> None:
        self._landed = None
        self.disconnected = 1
        vars(self).pop("doWrite", None)
        self.stopWriting()  # type: ignore[no-untyped-call]  # Twisted's
        self.socket.close()
        del self.socket, self.fileno

    # Called by the reactor

    doRead = StreamServer.doRead  # it asks for nothing that is a server's

    def connectionLost(self, reason: Failure) -> None:
        """End the dial, or tell the protocol."""
        if self.connected:
            # tcp.Connection's, without Failure.check, which makes six names for it.
            FileDescriptor.connectionLost(self, reason)
            is_orderly = not isinstance(reason.value, ConnectionAborted)
            self._closeSocket(is_orderly)  # type: ignore[no-untyped-call]  # Twisted's
            protocol = self.protocol
            del self.protocol, self.socket, self.fileno
            protocol.connectionLost(reason)
        elif self._landed is not None:
            # Pollers say of a connection that was refused just that it is over.
            number = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            self._dial_failed(
                _error_of(number) if number else ConnectError(string=str(reason.value))
            )

    def logPrefix(self) -> str:
        """Say who logs: worked out when somebody does."""
        return f"{self._getLogPrefix(self.protocol)},client"


def _error_of(number: int) -> Exception:
    error: Exception = getConnectError((number, os.strerror(number)))
    return error


def dial_tcp(
    reactor: Any,
    address: str,
    port: int,
    bind_address: tuple[str, int] | None = None,
) -> Deferred[StreamClient]:
    """Return a connection to *address*, an IP address; there is no time limit.

    Give it a protocol at once: set ``protocol`` and call its ``makeConnection``.
    Cancelling it closes the socket.

    :param reactor: provides IReactorFDSet.
    :param bind_address: address and port to connect from; None: the system chooses.
    :raises ConnectError: Twisted's, of the kind that fits; ConnectBindError when it
        cannot be made from *bind_address*.
    """
    target: tuple[Any, ...] = (address, port)
    family = socket.AF_INET
    try:
        if ":" in address:
            family = socket.AF_INET6
            flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
            found = socket.getaddrinfo(address, port, family, 0, 0, flags)
            target = (address, *found[0][4][1:])  # with the number of its zone
        sock = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        failed: Deferred[StreamClient] = Deferred()
        failed.errback(ConnectError(error.errno, str(error)))
        return failed
    return StreamClient(sock, target, reactor).dial(bind_address)
