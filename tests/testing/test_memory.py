"""The transport in memory behaves as Twisted's do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IHalfCloseableProtocol,
    IPullProducer,
    IPushProducer,
    ISSLTransport,
    ITCPTransport,
)
from twisted.internet.protocol import Protocol
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from httpx_tw.testing.memory import MemoryTransport

if TYPE_CHECKING:
    from twisted.python.failure import Failure

KIB = 1024


class Told(Protocol):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def dataReceived(self, data: bytes) -> None:
        self.told.append(data)

    def connectionLost(self, reason: Failure | None = None) -> None:
        assert reason is not None
        self.told.append(reason.type)


@implementer(IHalfCloseableProtocol)
class ToldOfHalves(Told):
    """The same, of half-closes too."""

    def readConnectionLost(self) -> None:
        self.told.append("read end")

    def writeConnectionLost(self) -> None:
        self.told.append("write end")


@implementer(IPushProducer, IPullProducer)
class Producer:
    """Keeps what it is told, and writes a piece when it is resumed."""

    def __init__(self, transport: MemoryTransport, pieces: int = 0) -> None:
        self.transport = transport
        self.pieces = pieces
        self.told: list[str] = []

    def pauseProducing(self) -> None:
        self.told.append("pause")

    def resumeProducing(self) -> None:
        self.told.append("resume")
        if self.pieces:
            self.pieces -= 1
            self.transport.write(b"x" * KIB)

    def stopProducing(self) -> None:
        self.told.append("stop")


class Memory(SynchronousTestCase):
    """See the module."""

    def setUp(self) -> None:
        self.protocol = Told()
        self.transport = MemoryTransport(self.protocol)

    def test_it_is_a_tcp_transport(self) -> None:
        verifyObject(ITCPTransport, self.transport)
        self.assertIs(self.protocol.transport, self.transport)
        self.assertEqual(self.transport.getPeer().host, "192.0.2.1")
        self.assertEqual(self.transport.getHost().port, 80)
        self.transport.setTcpNoDelay(True)
        self.transport.setTcpKeepAlive(True)
        self.assertEqual(
            (self.transport.getTcpNoDelay(), self.transport.getTcpKeepAlive()),
            (True, False),
        )

    def test_it_can_look_like_tls(self) -> None:
        secure = MemoryTransport(Told(), is_secure=True)
        self.assertTrue(ISSLTransport.providedBy(secure))
        self.assertIsNone(secure.getPeerCertificate())
        self.assertFalse(ISSLTransport.providedBy(self.transport))

    def test_the_network_takes_as_much_as_it_is_told(self) -> None:
        self.transport.write(b"hello, ")
        self.transport.writeSequence([b"wor", b"ld"])
        self.assertEqual(self.transport.unsent, 12)
        self.assertEqual(self.transport.take(3), b"hel")
        self.assertEqual(self.transport.take(0), b"")
        self.assertEqual(self.transport.take(), b"lo, world")
        self.assertEqual((self.transport.take(), self.transport.unsent), (b"", 0))

    @given(st.lists(st.binary(max_size=300_000)), st.lists(st.integers(0, 200_000)))
    def test_any_steps_give_the_same_bytes(
        self, written: list[bytes], limits: list[int]
    ) -> None:
        transport = MemoryTransport(Told())
        for data in written:
            transport.write(data)
        taken = [transport.take(limit) for limit in limits]
        for data, limit in zip(taken, limits, strict=True):
            self.assertLessEqual(len(data), limit)
        self.assertEqual(b"".join([*taken, transport.take()]), b"".join(written))

    def test_what_the_peer_sends_waits_while_reading_is_paused(self) -> None:
        self.transport.pauseProducing()
        self.transport.deliver(b"abc")
        self.assertEqual((self.protocol.told, self.transport.is_reading), ([], False))
        self.transport.resumeProducing()
        self.transport.turn()
        self.assertEqual(self.protocol.told, [b"abc"])

    def test_much_is_read_in_pieces(self) -> None:
        self.transport.deliver(b"x" * 100 * KIB)
        self.assertEqual([len(d) for d in self.protocol.told], [64 * KIB, 36 * KIB])

    def test_a_push_producer_is_paused_over_the_watermark_until_all_is_gone(
        self,
    ) -> None:
        producer = Producer(self.transport)
        self.transport.registerProducer(producer, True)
        self.transport.write(b"x" * 64 * KIB)
        self.assertEqual(producer.told, [])
        self.transport.write(b"x")
        self.transport.take(64 * KIB)
        self.assertEqual(producer.told, ["pause"])
        self.transport.take(1)
        self.assertEqual(producer.told, ["pause", "resume"])

    def test_a_pull_producer_is_asked_when_nothing_is_left(self) -> None:
        producer = Producer(self.transport, 3)
        self.transport.registerProducer(producer, False)
        self.assertEqual(producer.told, ["resume"])
        self.assertEqual(len(self.transport.take(KIB)), KIB)
        self.transport.take(2 * KIB)
        self.transport.unregisterProducer()
        self.assertEqual(self.transport.take(), b"")
        self.assertEqual(producer.pieces, 0)

    def test_closing_waits_for_what_is_written(self) -> None:
        self.transport.write(b"bye")
        self.transport.loseConnection()
        self.transport.turn()
        self.assertFalse(self.transport.is_closed)
        self.transport.deliver(b"too late")
        self.assertEqual(self.transport.take(), b"bye")
        self.assertTrue(self.transport.is_closed)
        self.assertEqual(self.protocol.told, [ConnectionDone])

    def test_half_closing_waits_too_and_leaves_reading(self) -> None:
        self.transport.write(b"bye")
        self.transport.loseWriteConnection()
        self.transport.turn()
        self.assertFalse(self.transport.is_write_closed)
        self.transport.take()
        self.assertTrue(self.transport.is_write_closed)
        self.transport.write(b"nothing")
        self.transport.deliver(b"abc")
        self.assertEqual((self.transport.take(), self.protocol.told), (b"", [b"abc"]))
        self.transport.loseConnection()
        self.assertTrue(self.transport.is_closed)

    def test_an_end_is_a_loss_or_half_of_one(self) -> None:
        self.transport.deliver(b"abc")
        self.transport.deliver_eof()
        self.assertEqual(self.protocol.told, [b"abc", ConnectionDone])
        halves = ToldOfHalves()
        transport = MemoryTransport(halves)
        transport.deliver_eof()
        transport.loseWriteConnection()
        transport.take()
        self.assertEqual(halves.told, ["read end", "write end"])
        self.assertFalse(transport.is_closed)
        transport.resumeProducing()
        transport.turn()
        self.assertEqual(halves.told[2:], ["read end"])

    def test_an_end_waits_behind_what_was_sent(self) -> None:
        self.transport.pauseProducing()
        self.transport.deliver(b"abc")
        self.transport.deliver_eof()
        self.assertFalse(self.transport.is_closed)
        self.transport.resumeProducing()
        self.transport.turn()
        self.assertEqual(self.protocol.told, [b"abc", ConnectionDone])

    def test_abort_drops_everything_in_the_next_turn(self) -> None:
        producer = Producer(self.transport)
        self.transport.registerProducer(producer, True)
        self.transport.write(b"lost")
        self.transport.abortConnection()
        self.transport.abortConnection()
        self.assertTrue(self.transport.is_aborted)
        self.assertFalse(self.transport.is_closed)
        self.assertEqual(self.transport.take(), b"")
        self.transport.turn()
        self.assertEqual(self.protocol.told, [ConnectionAborted])
        self.assertEqual(producer.told, ["stop"])

    def test_a_loss_is_told_once(self) -> None:
        self.transport.lose()
        self.transport.lose(ConnectionDone())
        self.assertEqual(self.protocol.told, [ConnectionLost])
        assert self.transport.close_reason is not None
        self.assertIs(self.transport.close_reason.type, ConnectionLost)
