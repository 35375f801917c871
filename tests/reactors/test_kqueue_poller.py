"""The poller over kqueue keeps the contract of every poller, real and emulated."""

from __future__ import annotations

import errno
import os
import select
from typing import TYPE_CHECKING
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.reactors import kqueue_poller
from httpx_tw.reactors.kqueue_poller import KqueuePoller
from tests.reactors import fake_kqueue, test_poller
from tests.reactors.descriptors import is_open
from tests.reactors.test_poller import (
    BOTH,
    ERROR,
    HANGUP,
    READABLE,
    check_that_it_can_be_watched,
)

if TYPE_CHECKING:
    from httpx_tw.reactors.poller import Poller


class EmulatedKqueuePollerTests(test_poller.PollerContract, SynchronousTestCase):
    if not hasattr(select, "POLLRDHUP"):
        skip = "the stand-in needs Linux's poll"

    def make(self) -> Poller:
        return KqueuePoller(fake_kqueue)

    def test_one_end_of_a_pipe_that_takes_one_filter_only(self) -> None:
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        self.addCleanup(os.close, writer)
        for fd in (reader, writer):
            with self.assertRaises(OSError) as caught:
                self.poller.add(fd, BOTH)
            self.assertEqual(caught.exception.errno, errno.EINVAL)
        os.write(writer, b"x")
        assert self.poller.poll(0) == [], "the filter that was taken is gone"
        self.poller.add(reader, READABLE)
        with self.assertRaises(OSError):
            self.poller.modify(reader, BOTH)
        assert self.ready() == {reader: READABLE}, "as before"

    def test_a_failure_of_one_filter_does_not_keep_the_other(self) -> None:
        # Both are deleted, one call each, though the first is not there any more.
        ours, theirs = self.pair()
        fd = ours.fileno()
        theirs.send(b"x")
        for kind in (fake_kqueue.KQ_FILTER_READ, fake_kqueue.KQ_FILTER_WRITE):
            poller = KqueuePoller(fake_kqueue)
            poller.add(fd, BOTH)
            gone = fake_kqueue.kevent(fd, kind, fake_kqueue.KQ_EV_DELETE)
            poller._kqueue.control([gone], 0, 0)
            poller.remove(fd)
            assert poller.poll(0) == []
            poller.close()

    def test_a_hangup_does_not_come_before_the_bytes(self) -> None:
        # Its two filters may be in different batches: here only one event fits in one.
        ours, theirs = self.pair()
        fd = ours.fileno()
        self.poller.add(fd, BOTH)
        theirs.send(b"last words")
        theirs.close()
        with mock.patch.object(kqueue_poller, "MAX_EVENTS", 1):
            batches = [self.poller.poll(0) for _ in range(3)]
        for batch in batches:
            ((_, events),) = batch
            assert events & READABLE
        assert any(events & HANGUP for ((_, events),) in batches)

    def test_an_error_event_is_an_error(self) -> None:
        event = fake_kqueue.kevent(3, flags=fake_kqueue.KQ_EV_ERROR, data=errno.EBADF)
        poller = self.poller
        assert isinstance(poller, KqueuePoller)
        assert poller._meaning(event) == ERROR

    def test_it_can_be_asked_for_its_own_descriptor(self) -> None:
        poller = self.poller
        assert isinstance(poller, KqueuePoller)
        assert is_open(poller.fileno())


class KqueuePollerTests(test_poller.PollerContract, SynchronousTestCase):
    if not hasattr(select, "kqueue"):
        skip = "no kqueue here"

    def make(self) -> Poller:
        return KqueuePoller()

    def test_it_can_be_watched_itself(self) -> None:
        check_that_it_can_be_watched(self, KqueuePoller())
