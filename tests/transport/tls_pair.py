"""One TLS transport and a peer that is moved by hand, over a pair of sockets."""

# ruff: noqa: N802  # Twisted's names

from __future__ import annotations

import datetime as dt
import ipaddress
import select
import socket
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from OpenSSL import SSL
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import (
    IHandshakeListener,
    IOpenSSLClientConnectionCreator,
    IOpenSSLServerConnectionCreator,
    IReactorFDSet,
)
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from httpx_tw.transport.tls_port import TLSListening, TLSServer
from tests.reactors.descriptors import IS_WINDOWS

TURNS = 2000
"""A conversation that takes more turns of the reactor has got stuck."""


@cache
def pem() -> tuple[bytes, bytes]:
    """Return a certificate for localhost and its key, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName(
                [
                    x509.DNSName("localhost"),
                    x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
                ]
            ),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    return (
        certificate.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )


@cache
def server_context() -> SSL.Context:
    """Return a context with the certificate, that chooses "http/1.1" by ALPN."""
    context = SSL.Context(SSL.TLS_METHOD)
    with tempfile.TemporaryDirectory() as directory:
        for text, name in zip(pem(), ("certificate", "key"), strict=True):
            Path(directory, name).write_bytes(text)
        context.use_certificate_file(f"{directory}/certificate")
        context.use_privatekey_file(f"{directory}/key")

    def choose(_: SSL.Connection, offered: list[bytes]) -> Any:
        return b"http/1.1" if b"http/1.1" in offered else SSL.NO_OVERLAPPING_PROTOCOLS

    context.set_alpn_select_callback(choose)
    return context


@cache
def client_context(version: int | None = None) -> SSL.Context:
    """Return a context that trusts everybody, for TLS *version* alone, or any."""
    context = SSL.Context(SSL.TLS_METHOD)
    if version is not None:
        context.set_max_proto_version(version)
    return context


@implementer(IOpenSSLServerConnectionCreator)
class Serves:
    """A creator of server connections."""

    def serverConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:  # noqa: N803  # Twisted's
        return SSL.Connection(server_context())


@implementer(IOpenSSLClientConnectionCreator)
class Trusts:
    """A creator of client connections that trust everybody."""

    def clientConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:  # noqa: N803  # Twisted's
        connection = SSL.Connection(client_context())
        connection.set_alpn_protos([b"h3", b"http/1.1"])
        return connection


@implementer(IReactorFDSet)
class HandReactor(Clock):
    """A reactor whose turns are taken by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.readers: list[Any] = []
        self.writers: list[Any] = []

    def addReader(self, reader: Any) -> None:
        if reader not in self.readers:
            self.readers.append(reader)

    def removeReader(self, reader: Any) -> None:
        self.readers = [each for each in self.readers if each is not reader]

    def addWriter(self, writer: Any) -> None:
        if writer not in self.writers:
            self.writers.append(writer)

    def removeWriter(self, writer: Any) -> None:
        self.writers = [each for each in self.writers if each is not writer]

    def removeAll(self) -> list[Any]:
        return []

    def getReaders(self) -> list[Any]:
        return self.readers

    def getWriters(self) -> list[Any]:
        return self.writers

    def turn(self) -> bool:
        """Do what is ready; whether anything was."""
        self.advance(0)
        readable: list[Any] = []
        writable: list[Any] = []
        if self.readers or self.writers:  # Windows refuses to wait for nothing
            readable, writable, _ = select.select(self.readers, self.writers, [], 0)
        for descriptor in readable:
            if descriptor in self.readers:
                self._ended(descriptor, descriptor.doRead(), is_read=True)
        for descriptor in writable:
            if descriptor in self.writers:
                self._ended(descriptor, descriptor.doWrite(), is_read=False)
        self.advance(0)
        return bool(readable or writable)

    def _ended(self, descriptor: Any, why: Any, *, is_read: bool) -> None:
        # As PosixReactorBase._disconnectSelectable.
        if why:
            self.removeReader(descriptor)
            if is_read and type(why) is ConnectionDone:
                descriptor.readConnectionLost(Failure(why))
            else:
                self.removeWriter(descriptor)
                descriptor.connectionLost(Failure(why))


@implementer(IHandshakeListener)
class Notes(Protocol):
    """A protocol that notes what happens to it."""

    def __init__(self) -> None:
        self.received = b""
        self.pieces: list[int] = []
        self.reasons: list[Any] = []
        self.handshakes = 0

    @property
    def tls(self) -> Any:
        """The transport."""
        return self.transport

    @property
    def reason(self) -> Any:
        """Why the connection was lost; None: it was not."""
        return self.reasons[0] if self.reasons else None

    def handshakeCompleted(self) -> None:
        self.handshakes += 1

    def dataReceived(self, data: bytes) -> None:
        self.received += data
        self.pieces.append(len(data))

    def connectionLost(self, reason: Any = None) -> None:
        self.reasons.append(reason.value)


class FakePort(TLSListening):
    """What a TLSServer asks of its port."""

    def __init__(self, creator: Any, clock: Any) -> None:
        factory = Factory()
        self.tls_factory = TLSMemoryBIOFactory(creator, False, factory, clock=clock)


class Peer:
    """A client with OpenSSL in memory: every byte passes through our hands."""

    def __init__(self, sock: socket.socket, context: SSL.Context) -> None:
        self.socket = sock
        sock.setblocking(False)  # a socket's own name
        self.tls = SSL.Connection(context)
        self.tls.set_connect_state()
        self.received = b""
        self.has_ended = False
        """Whether the transport has said goodbye."""
        self.saw_fin = False
        self.error: SSL.Error | None = None

    def outgoing(self) -> bytes:
        """Take what OpenSSL wants to send."""
        data = b""
        while True:
            try:
                data += self.tls.bio_read(1 << 20)
            except SSL.Error:
                return data

    def step(self) -> bool:
        """Read, think, and send; whether anything was read."""
        came = self._take_in()
        try:
            if not (self.has_ended or self.error):
                self.received += self.tls.recv(1 << 20)
                came = True
        except SSL.WantReadError:
            pass
        except SSL.ZeroReturnError:
            self.has_ended = True
        except SSL.Error as error:
            self.error = error
        self.flush()
        return came

    def _take_in(self) -> bool:
        try:
            data = self.socket.recv(1 << 20)
        except BlockingIOError:
            return False
        except ConnectionError:
            data = b""
        if data:
            self.tls.bio_write(data)
        elif not self.saw_fin:
            self.saw_fin = True
            return True
        return bool(data)

    def flush(self) -> None:
        """Send what OpenSSL wants to send; it fits."""
        data = self.outgoing()
        if data:
            try:
                assert self.socket.send(data) == len(data)
            except OSError:
                self.saw_fin = True

    def send(self, data: bytes) -> None:
        """Encrypt and send *data*."""
        self.tls.sendall(data)
        self.flush()

    def say_goodbye(self) -> None:
        """Send close_notify."""
        self.tls.shutdown()
        self.flush()


class Pair:
    """A TLSServer and its peer."""

    def __init__(
        self,
        *,
        creator: Any = None,
        context: SSL.Context | None = None,
        protocol: Any = None,
        buffer: int = 0,
        **timeouts: float,
    ) -> None:
        self.reactor = HandReactor()
        ours, theirs = socket.socketpair()
        if buffer:
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
        port = FakePort(creator or Serves(), self.reactor)
        vars(port).update(timeouts)
        self.protocol = protocol or Notes()
        try:
            self.transport: Any = TLSServer(
                ours, self.protocol, ("192.0.2.1", 1), port, 0, self.reactor
            )
        except BaseException:
            theirs.close()
            raise
        self.peer = Peer(theirs, context or client_context())
        self.protocol.makeConnection(self.transport)

    def run(self) -> None:
        """Go on until nothing happens any more."""
        for _ in range(TURNS):
            ours = self.reactor.turn()
            theirs = self.peer.step()
            if not (ours or theirs or self._is_more_under_way()):
                return
        raise AssertionError("the conversation does not end")

    def _is_more_under_way(self) -> bool:
        """Wait a moment where a pair is one over TCP: its bytes do."""
        if not IS_WINDOWS:
            return False
        waiting = [*self.reactor.readers]
        if not self.peer.saw_fin:
            waiting.append(self.peer.socket)
        if not waiting:
            return False
        readable, writable, _ = select.select(waiting, self.reactor.writers, [], 0.05)
        return bool(readable or writable)

    def shake_hands(self) -> None:
        """Take the handshake to its end."""
        try:
            self.peer.tls.do_handshake()
        except SSL.WantReadError:
            self.peer.flush()
        self.run()

    def close(self) -> None:
        """Leave nothing behind."""
        self.peer.socket.close()
        if self.transport.connected:
            self.transport.abortConnection()
        self.reactor.advance(0)
