"""Conversations with proxies over a transport in memory."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError
from twisted.internet.protocol import Protocol
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.client.negotiating import negotiate, take_over
from httpx_tw.client.tunnels import ConnectHandshake
from httpx_tw.errors import ProxyError
from httpx_tw.testing.memory import MemoryTransport


class Noting(Protocol):
    """Notes what it receives."""

    def __init__(self) -> None:
        self.heard = b""

    def dataReceived(self, data: bytes) -> None:
        """See IProtocol."""
        self.heard += data


class NegotiationTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.transport = MemoryTransport(Noting())
        self.done = negotiate(self.transport, ConnectHandshake("a.example", 443))

    def test_tunnel_is_asked_for_and_handed_over(self) -> None:
        self.assertIn(b"CONNECT a.example:443 HTTP/1.1\r\n", self.transport.take())
        self.transport.deliver(b"HTTP/1.1 200 Conn")
        self.assertNoResult(self.done)
        self.transport.deliver(b"ected\r\n\r\n")
        self.successResultOf(self.done)
        after = Noting()
        take_over(self.transport, after)
        self.transport.deliver(b"hello")
        self.assertEqual(after.heard, b"hello")

    def refused(self) -> None:
        self.failureResultOf(self.done, ProxyError)
        self.transport.turn()
        self.assertTrue(self.transport.is_closed)

    def test_refusal_ends_it(self) -> None:
        self.transport.deliver(b"HTTP/1.1 403 Forbidden\r\n\r\n")
        self.refused()

    def test_bytes_behind_the_answer_end_it(self) -> None:
        self.transport.deliver(b"HTTP/1.1 200 Connected\r\n\r\nSSH-2.0")
        self.refused()

    def test_hanging_up_ends_it(self) -> None:
        self.transport.lose()
        self.refused()

    def test_cancelling_ends_it(self) -> None:
        self.done.cancel()
        self.failureResultOf(self.done, CancelledError)
        self.transport.turn()
        self.assertTrue(self.transport.is_closed)

    def test_transport_below_twisteds_tls_is_taken_over_above_it(self) -> None:
        nobody: Any = None  # its factory is not asked
        wrapper = ProtocolWrapper(WrappingFactory(nobody), Noting())
        transport = MemoryTransport(Noting())
        transport.protocol = wrapper
        after = Noting()
        take_over(transport, after)
        self.assertIs(wrapper.wrappedProtocol, after)
        self.assertIs(transport.protocol, wrapper)
