"""Provided buffers: taken in order or not, they come back, and run out in peace."""

from __future__ import annotations

import errno
import socket
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.reactors import provided_buffers
from httpx_tw.reactors.provided_buffers import GROUP, ProvidedBuffers
from httpx_tw.reactors.ring import (
    BUFFER_SELECT,
    HAS_BUFFER,
    HAS_MORE,
    RECV,
    RECV_MULTISHOT,
    Ring,
)
from tests.reactors.ring_here import REFUSAL

COUNT = 4
SIZE = 8


class ProvidedBuffersTests(SynchronousTestCase):
    if REFUSAL:
        skip = REFUSAL

    def setUp(self) -> None:
        self.ring = Ring()
        self.buffers = ProvidedBuffers(self.ring.fd, COUNT, SIZE)
        self.addCleanup(self.buffers.close)
        self.addCleanup(self.ring.close)
        self.ours, self.theirs = socket.socketpair()
        for end in (self.ours, self.theirs):
            self.addCleanup(end.close)

    def receive(self) -> None:
        fd = self.ours.fileno()
        self.ring.push(
            RECV, BUFFER_SELECT, RECV_MULTISHOT, fd, 0, 0, 0, 0, 1, GROUP
        )  # fmt: skip

    def found(self) -> list[tuple[int, int, int]]:
        self.ring.enter(0, 0.0)
        return self.ring.reap()

    def test_what_comes_is_in_the_buffer_that_the_kernel_says(self) -> None:
        self.receive()
        for turn in range(3 * COUNT):
            self.theirs.send(b"%d" % turn)
            ((_, result, flags),) = self.found()
            assert flags & HAS_BUFFER
            assert flags & HAS_MORE
            assert self.buffers.take(flags >> 16, result) == b"%d" % turn
            self.buffers.give_back()

    def test_more_than_one_holds_is_in_several(self) -> None:
        self.receive()
        self.theirs.send(b"0123456789")
        pieces = [self.buffers.take(f >> 16, result) for _, result, f in self.found()]
        assert b"".join(pieces) == b"0123456789"
        assert len(pieces[0]) == SIZE

    def test_where_they_run_out_the_receive_ends_and_nothing_is_lost(self) -> None:
        self.receive()
        content = bytes(range(3 * COUNT * SIZE))
        self.theirs.send(content)
        read = b""
        endings = []
        while len(read) < len(content):
            for _, result, flags in self.found():
                if flags & HAS_BUFFER:
                    read += self.buffers.take(flags >> 16, result)
                if not flags & HAS_MORE:
                    endings.append(result)
                    self.receive()
            self.buffers.give_back()
        assert read == content
        assert -errno.ENOBUFS in endings

    @given(order=st.permutations(range(COUNT)), rounds=st.integers(1, 3))
    def test_they_may_come_back_in_any_order(
        self, order: list[int], rounds: int
    ) -> None:
        if self.buffers._order != list(range(COUNT)):
            self.buffers._order = list(range(COUNT))
            for number in range(COUNT):
                self.buffers._write(number, number)
        for _ in range(rounds):
            for number in order:
                self.buffers.take(number, 0)
        # Each entry says what the kernel will take there.
        written = [
            provided_buffers._ENTRY.unpack_from(self.buffers._entries, entry * 16)[2]
            for entry in range(COUNT)
        ]
        assert written == self.buffers._order
        assert sorted(written) == list(range(COUNT))

    def test_a_kernel_that_refuses_them_is_heard(self) -> None:
        with (
            mock.patch.object(
                provided_buffers, "ring_register", side_effect=OSError(22, "old")
            ),
            self.assertRaises(OSError),
        ):
            ProvidedBuffers(self.ring.fd, COUNT, SIZE)

    def test_closing_again_is_fine(self) -> None:
        self.ring.close()
        self.buffers.close()
        self.buffers.close()
