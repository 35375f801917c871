"""The poller over a ring keeps the contract of every poller, and completes besides."""

from __future__ import annotations

import errno
from unittest import mock

from httpx_tw.reactors.poller import EpollPoller, Poller
from httpx_tw.reactors.ring import Ring
from httpx_tw.reactors.ring_calls import RingRefused
from httpx_tw.reactors.uring_poller import UringPoller
from tests.reactors import test_poller
from tests.reactors.descriptors import descriptors
from tests.reactors.ring_here import REFUSAL
from tests.reactors.test_poller import READABLE, WRITABLE


class UringPollerTests(test_poller.EpollPollerTests):
    if REFUSAL:
        skip = REFUSAL

    def make(self) -> Poller:
        return UringPoller()

    def test_it_says_nothing_of_completions_where_there_are_none(self) -> None:
        assert not self.poller.completed
        with EpollPoller() as other:
            assert not other.completed

    def test_a_wait_ends_with_what_is_completed(self) -> None:
        poller = self.poller
        assert isinstance(poller, UringPoller)
        ours, theirs = self.pair()
        number = poller.completions.receive(ours)
        assert poller.poll(0) == []
        theirs.send(b"x")
        assert poller.poll(None) == []
        assert poller.completed.popleft() == (ours, b"x")
        poller.completions.stop(number)
        assert poller.poll(None) == []
        assert poller.completed.popleft() == (ours, -errno.ECANCELED)

    def test_what_nobody_waits_for_does_not_end_a_wait(self) -> None:
        poller = self.poller
        assert isinstance(poller, UringPoller)
        ours, _ = self.pair()
        poller.completions.forget(poller.completions.receive(ours), at_once=True)
        assert poller.poll(0.01) == []
        assert not poller.completed

    def test_what_is_ready_and_what_is_completed_come_together(self) -> None:
        poller = self.poller
        assert isinstance(poller, UringPoller)
        ours, theirs = self.pair()
        received, sent = self.pair()
        poller.add(ours.fileno(), READABLE)
        poller.completions.receive(received)
        poller.poll(0)
        theirs.send(b"x")
        sent.send(b"y")
        assert poller.poll(None) == [(ours.fileno(), READABLE)]
        assert list(poller.completed) == [(received, b"y")]
        poller.completed.clear()
        # The file is ready, whatever else is going on.
        poller.modify(ours.fileno(), WRITABLE)
        assert poller.poll(None) == [(ours.fileno(), WRITABLE)]

    def test_a_refusal_leaves_nothing(self) -> None:
        before = descriptors()
        refused = RingRefused(errno.EPERM)
        with self.assertRaises(RingRefused):
            UringPoller(mock.Mock(side_effect=refused))
        assert descriptors() == before

    def test_a_ring_without_buffers_is_a_refusal(self) -> None:
        before = descriptors()
        with (
            mock.patch(
                "httpx_tw.reactors.provided_buffers.ring_register",
                side_effect=OSError(errno.EINVAL, "old"),
            ),
            self.assertRaises(RingRefused),
        ):
            UringPoller(Ring)
        assert descriptors() == before
