"""The poller over a completion port: Windows' own, and a stand-in elsewhere."""

from __future__ import annotations

import os
import select
from typing import TYPE_CHECKING
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.reactors import iocp_poller
from httpx_tw.reactors.iocp_poller import IocpPoller
from tests.reactors.fake_afd import FakeAfd
from tests.reactors.test_poller import (
    BOTH,
    ERROR,
    READABLE,
    WRITABLE,
    PollerContract,
)

if TYPE_CHECKING:
    from httpx_tw.reactors.poller import Poller


class IocpContract(PollerContract):
    tells_hangups = False  # of both sides closed, the driver tells the peer's only

    def test_one_that_was_closed_is_an_error_until_it_is_removed(self) -> None:
        ours, theirs = self.pair()
        fd = ours.fileno()
        self.poller.add(fd, READABLE)
        assert self.ready() == {}, "an operation is under way now"
        ours.close()
        for _ in range(3):
            assert self.ready() == {fd: ERROR}
        self.poller.remove(fd)
        assert self.ready() == {}
        del theirs


class IocpPollerTests(IocpContract, SynchronousTestCase):
    if os.name != "nt":
        skip = "no completion ports here"

    def make(self) -> Poller:
        return IocpPoller()

    def what_making_takes(self) -> list[tuple[object, str]]:
        from httpx_tw.reactors.afd import AfdCalls

        return [(AfdCalls, "open_port")]


class EmulatedIocpPollerTests(IocpContract, SynchronousTestCase):
    if not hasattr(select, "POLLRDHUP"):
        skip = "the stand-in needs Linux's poll"

    def setUp(self) -> None:
        self.afd = FakeAfd()
        super().setUp()

    def make(self) -> Poller:
        return IocpPoller(self.afd)

    def what_making_takes(self) -> list[tuple[object, str]]:
        return [(self.afd, "open_port")]

    def test_old_news_is_looked_into_before_it_is_told(self) -> None:
        ours, theirs = self.pair()
        fd = ours.fileno()
        self.poller.add(fd, READABLE)
        assert self.ready() == {}
        theirs.send(b"x")
        self.afd.settle()
        assert not self.afd.under_way, "it has completed"
        ours.recv(1)
        assert self.ready() == {}, "and is not true any more"
        theirs.send(b"y")
        self.afd.settle()
        assert self.ready() == {fd: READABLE}, "but this is"

    def test_nothing_is_begun_for_what_is_under_way(self) -> None:
        for _ in range(3):
            self.poller.add(self.pair()[0].fileno(), READABLE)
        for _ in range(5):
            assert self.ready() == {}
        assert self.afd.begun == 3

    def test_what_is_modified_to_the_same_is_left_alone(self) -> None:
        fd = self.pair()[0].fileno()
        self.poller.add(fd, READABLE)
        self.ready()
        self.poller.modify(fd, READABLE)
        self.ready()
        assert self.afd.begun == 1

    def test_a_cancelled_operation_is_kept_until_it_comes_back(self) -> None:
        ours, _theirs = self.pair()
        self.poller.add(ours.fileno(), READABLE)
        self.ready()
        poller = self.poller
        assert isinstance(poller, IocpPoller)
        (operation,) = poller._under_way.values()
        poller.remove(ours.fileno())
        assert list(poller._under_way.values()) == [operation]
        assert self.ready() == {}
        assert not poller._under_way

    def test_a_device_takes_so_many_sockets_and_then_there_is_another(self) -> None:
        ends = [self.pair()[0] for _ in range(5)]
        with mock.patch.object(iocp_poller, "_SOCKETS_PER_DEVICE", 2):
            for end in ends:
                self.poller.add(end.fileno(), WRITABLE)
            assert len(self.afd.port_of) == 3
            self.poller.remove(ends[0].fileno())
            self.poller.add(ends[0].fileno(), WRITABLE)
            assert len(self.afd.port_of) == 3, "the room is used again"
        assert set(self.ready()) == {end.fileno() for end in ends}

    def test_a_driver_that_keeps_an_operation_does_not_hang_us(self) -> None:
        ours, _theirs = self.pair()
        self.poller.add(ours.fileno(), BOTH)
        self.poller.modify(ours.fileno(), READABLE)
        self.ready()
        with (
            mock.patch.object(self.afd, "cancel"),
            mock.patch.object(self.afd, "close"),
            mock.patch.object(iocp_poller, "_PATIENCE", 1),
        ):
            self.poller.close()
        (kept,) = iocp_poller._never_returned
        assert kept.address in self.afd.under_way, "its memory is still the kernel's"
        iocp_poller._never_returned.clear()
        self.afd.under_way.clear()
        for handle in [*self.afd.port_of, *self.afd._bells]:
            self.afd.close(handle)
