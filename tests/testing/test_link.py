"""Two ends in memory that are one connection."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import ISSLTransport
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.testing.link import Link


class Keeper(Protocol):
    """Keeps what it gets."""

    def __init__(self) -> None:
        self.got = b""
        self.reason: Any = None

    @property
    def tcp(self) -> Any:
        return self.transport

    def dataReceived(self, data: bytes) -> None:
        self.got += data

    def connectionLost(self, reason: Any = None) -> None:
        self.reason = reason.type


class LinkTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.client, self.server = Keeper(), Keeper()
        self.link = Link(self.clock, self.client, self.server)
        self.clock.advance(0)

    def test_what_one_writes_the_other_reads(self) -> None:
        self.client.tcp.write(b"hel")
        self.client.tcp.write(b"lo")
        self.server.tcp.write(b"hi")
        self.assertEqual(self.server.got, b"")
        self.clock.advance(0)
        self.assertEqual((self.server.got, self.client.got), (b"hello", b"hi"))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_closing_is_an_end_for_both_behind_what_was_written(self) -> None:
        self.client.tcp.write(b"x" * 1_000_000)
        self.client.tcp.loseConnection()
        self.clock.advance(0)
        self.assertEqual(len(self.server.got), 1_000_000)
        self.assertEqual(self.server.reason, ConnectionDone)
        self.assertEqual(self.client.reason, ConnectionDone)

    def test_aborting_is_a_reset_for_the_other(self) -> None:
        self.server.tcp.abortConnection()
        self.clock.advance(0)
        self.assertEqual(self.client.reason, ConnectionLost)
        self.assertIsNotNone(self.server.reason)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_who_does_not_read_holds_the_other_back(self) -> None:
        self.server.tcp.pauseProducing()
        self.client.tcp.write(b"x" * 1_000_000)
        self.clock.advance(0)
        self.assertEqual(self.server.got, b"")
        self.assertGreater(self.link.client.unsent, 900_000)
        self.server.tcp.resumeProducing()
        self.clock.advance(0)
        self.assertEqual(len(self.server.got), 1_000_000)

    def test_writing_to_who_has_gone_is_no_error(self) -> None:
        self.server.tcp.abortConnection()
        self.client.tcp.write(b"x" * 200_000)
        self.clock.advance(0)
        self.assertEqual(self.client.reason, ConnectionLost)

    def test_it_may_look_like_tls(self) -> None:
        link = Link(self.clock, Keeper(), Keeper(), is_secure=True)
        for end in (link.client, link.server):
            self.assertTrue(ISSLTransport.providedBy(end))
        self.assertFalse(ISSLTransport.providedBy(self.link.client))

    @given(pieces=st.lists(st.tuples(st.booleans(), st.binary(max_size=99_999))))
    def test_bytes_arrive_whole_and_in_order(
        self, pieces: list[tuple[bool, bytes]]
    ) -> None:
        clock, ends = Clock(), (Keeper(), Keeper())
        Link(clock, *ends)
        for which, data in pieces:
            ends[which].tcp.write(data)
            if len(data) % 3 == 0:
                clock.advance(0)
        clock.advance(0)
        for which, other in ((True, ends[0]), (False, ends[1])):
            self.assertEqual(other.got, b"".join(d for w, d in pieces if w is which))
