"""Who is told what has completed, and what becomes of what nobody waits for."""

from __future__ import annotations

import errno
import os
import socket
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.reactors import completions as module
from httpx_tw.reactors.completions import Completions
from httpx_tw.reactors.ring import HAS_BUFFER, HAS_MORE, Ring
from tests.reactors.descriptors import descriptors
from tests.reactors.ring_here import REFUSAL
from tests.reactors.test_poller import fill


class Sender:
    """What Completions needs of a stream that sends."""

    def __init__(self, end: socket.socket, data: bytes | None) -> None:
        self.fileno = end.fileno
        self.data = data
        self.back: list[bytes] = []
        self._is_sender = True

    def take_outgoing(self) -> bytes | None:
        return self.data

    def put_back(self, data: bytes) -> None:
        self.back.append(data)


class CompletionsTests(SynchronousTestCase):
    if REFUSAL:
        skip = REFUSAL

    def setUp(self) -> None:
        self.completions = Completions(Ring())
        self.addCleanup(self.completions.close)

    def pair(self) -> tuple[socket.socket, socket.socket]:
        pair = socket.socketpair()
        for end in pair:
            end.setblocking(False)
            self.addCleanup(end.close)
        return pair

    def turn(self) -> list[tuple[Any, Any]]:
        self.completions.flush()
        self.completions.ring.enter(0, 0.0)
        self.completions.collect()
        told = list(self.completions.completed)
        self.completions.completed.clear()
        return told

    def test_what_is_received_is_told_in_order_and_its_end_last(self) -> None:
        ours, theirs = self.pair()
        self.completions.receive(ours)
        assert self.turn() == []
        theirs.send(b"one")
        theirs.send(b"two")
        theirs.close()
        told = self.turn() + self.turn()
        assert b"".join(what for _, what in told[:-1]) == b"onetwo"
        assert told[-1] == (ours, 0)
        assert self.completions._owners == {}

    def test_several_buffers_of_a_stream_are_one_piece(self) -> None:
        ours, theirs = self.pair()
        other, others = self.pair()
        self.completions.receive(ours)
        self.completions.receive(other)
        self.turn()
        theirs.send(bytes(50_000))
        others.send(b"x")
        told = dict(self.turn())
        assert told == {ours: bytes(50_000), other: b"x"}

    def test_a_receive_that_ends_with_bytes_begins_again(self) -> None:
        # As when the completion queue is full.
        ours, _ = self.pair()
        number = self.completions.receive(ours)
        self.completions._buffers.take(0, 0)
        events, _ = self.completions._sorted_out([(number, 3, HAS_BUFFER)])
        assert [what for _, what in events][1:] == [-errno.ECANCELED]
        assert len(events[0][1]) == 3

    def test_bytes_behind_the_news_of_another_are_a_piece_of_their_own(self) -> None:
        (ours, _), (other, _) = self.pair(), self.pair()
        number, another = (
            self.completions.receive(ours),
            self.completions.receive(other),
        )
        more = HAS_BUFFER | HAS_MORE
        events, _ = self.completions._sorted_out(
            [
                (number, 1, more),
                (number, 1, more | 1 << 16),
                (another, 0, 0),
                (number, 1, more | 2 << 16),
            ]
        )
        assert [owner for owner, _ in events] == [ours, other, ours]
        assert [type(what) for _, what in events] == [bytes, int, bytes]

    def test_an_end_that_brings_a_buffer_gives_it_back(self) -> None:
        # As kernels before 6.4 do.
        ours, _ = self.pair()
        number = self.completions.receive(ours)
        before = self.completions._buffers._tail
        events, _ = self.completions._sorted_out([(number, 0, HAS_BUFFER)])
        assert events == [(ours, 0)]
        assert self.completions._buffers._tail == before + 1

    def test_what_is_stopped_is_told_and_what_is_forgotten_is_not(self) -> None:
        ours, theirs = self.pair()
        self.completions.stop(self.completions.receive(ours))
        assert self.turn() == [(ours, -errno.ECANCELED)]
        number = self.completions.receive(ours)
        self.turn()
        theirs.send(b"too late")
        self.completions.forget(number, at_once=False)
        assert self.turn() == []
        assert self.turn() == []

    def test_what_is_forgotten_at_once_is_closed_when_it_returns(self) -> None:
        ours, theirs = self.pair()
        number = self.completions.receive(ours)
        self.turn()
        self.completions.forget(number, at_once=True)
        ours.close()
        assert theirs.recv(1) == b""

    def test_a_connection_accepted_for_a_port_that_is_gone_is_closed(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            number = self.completions.accept(listening)
            self.turn()
            before = descriptors()
            with socket.create_connection(listening.getsockname()) as client:
                self.completions.forget(number, at_once=False)
                self.completions.ring.enter(0, 0.0)
                self.completions.collect()
                client.settimeout(10)
                assert client.recv(1) == b"" if descriptors() == before else True
                self.turn()
        assert descriptors() < before

    def test_an_accept_that_ends_with_a_connection_begins_again(self) -> None:
        ours, _ = self.pair()
        number = self.completions.accept(ours)
        events, _ = self.completions._sorted_out([(number, 7, 0)])
        assert events == [(ours, 7), (ours, -errno.ECANCELED)]
        number = self.completions.accept(ours)
        events, _ = self.completions._sorted_out([(number, 7, HAS_MORE)])
        assert events == [(ours, 7)]

    def test_an_orphan_is_closed(self) -> None:
        fd = os.open(os.devnull, os.O_RDONLY)
        events, _ = self.completions._sorted_out([(module._ACCEPT | 77, fd, HAS_MORE)])
        assert events == []
        with self.assertRaises(OSError):
            os.close(fd)

    # Sending

    def test_all_that_is_to_be_sent_leaves_by_one_call(self) -> None:
        pairs = [self.pair() for _ in range(5)]
        senders = [Sender(ours, b"%d" % n) for n, (ours, _) in enumerate(pairs)]
        self.completions.senders += senders
        assert self.turn() == []
        assert [theirs.recv(10) for _, theirs in pairs] == [
            b"0",
            b"1",
            b"2",
            b"3",
            b"4",
        ]
        assert all(sender.back == [] for sender in senders)

    def test_what_falls_short_goes_back_before_anybody_is_told(self) -> None:
        pairs = [self.pair() for _ in range(3)]
        fill(pairs[0][0])
        pairs[1][1].close()
        senders = [Sender(ours, b"abc") for ours, _ in pairs]
        self.completions.senders += senders
        assert self.turn() == []
        assert [sender.back for sender in senders] == [[b"abc"], [b"abc"], []]

    def test_more_than_the_arena_holds_is_sent_in_between(self) -> None:
        pairs = [self.pair() for _ in range(80)]
        for ours, _ in pairs:
            self.completions.senders.append(Sender(ours, bytes(8192)))
        assert self.turn() == []
        assert {len(theirs.recv(10_000)) for _, theirs in pairs} == {8192}
        assert self.completions._used == 0

    def test_more_than_the_queue_holds_is_sent_in_between(self) -> None:
        ours, theirs = self.pair()
        senders = [Sender(ours, b"x") for _ in range(1200)]
        self.completions.senders += senders
        assert self.turn() == []
        back = sum(len(sender.back) for sender in senders)
        assert len(theirs.recv(2000)) + back == 1200

    def test_who_stopped_meanwhile_sends_nothing(self) -> None:
        ours, theirs = self.pair()
        sender = Sender(ours, b"x")
        sender._is_sender = False
        self.completions.senders.append(sender)
        assert self.turn() == []
        with self.assertRaises(BlockingIOError):
            theirs.recv(1)

    def test_who_has_more_to_do_than_to_send_gets_a_turn(self) -> None:
        ours, _ = self.pair()
        sender = Sender(ours, None)
        self.completions.senders.append(sender)
        assert self.turn() == [(sender, None)]

    def test_closing_ends_what_is_going_on(self) -> None:
        before = descriptors()
        completions = Completions(Ring())
        ours, theirs = socket.socketpair()
        completions.receive(ours)
        completions.ring.enter(0, 0.0)
        completions.close()
        completions.close()
        ours.close()
        assert theirs.recv(1) == b""
        theirs.close()
        assert descriptors() == before
