"""The wake-up call: one write for many rings, from any thread, and none lost."""

from __future__ import annotations

import os
import select
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.reactors.wakeup import SocketWakeUp, WakeUp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Base = SynchronousTestCase
else:
    Base = object


def is_readable(fd: int) -> bool:
    return bool(select.select([fd], [], [], 0)[0])


@contextmanager
def many_ringing(ring: Callable[[], None]) -> Iterator[None]:
    """Have threads ring without pause, and change places as often as they can."""
    stop = threading.Event()

    def ring_on() -> None:
        while not stop.is_set():
            ring()

    threads = [threading.Thread(target=ring_on) for _ in range(3)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        sys.setswitchinterval(interval)


class WakeUpContract(Base):
    """What holds for both kinds."""

    kind: type[WakeUp | SocketWakeUp]

    def make(self) -> WakeUp | SocketWakeUp:
        wakeup = self.kind()
        self.addCleanup(wakeup.close)
        return wakeup

    def test_a_ring_is_readable_until_it_is_answered(self) -> None:
        wakeup = self.make()
        assert not is_readable(wakeup.fd)
        wakeup.ring()
        assert is_readable(wakeup.fd)
        wakeup.answer()
        assert not is_readable(wakeup.fd)

    def test_threads_that_ring_at_once_leave_nothing_behind(self) -> None:
        wakeup = self.make()
        with many_ringing(wakeup.ring):
            for _ in range(300):
                if select.select([wakeup.fd], [], [], 1)[0]:
                    wakeup.answer()
        if not wakeup.token:
            wakeup.answer()
        assert not is_readable(wakeup.fd)

    def test_one_that_is_closed_can_be_rung(self) -> None:
        for is_rung in (False, True):
            wakeup = self.kind()
            if is_rung:
                wakeup.ring()
            wakeup.close()
            wakeup.ring()


class SocketWakeUpTests(WakeUpContract, SynchronousTestCase):
    kind = SocketWakeUp

    def test_many_rings_are_one_message(self) -> None:
        wakeup = self.make()
        for _ in range(1000):
            wakeup.ring()
        wakeup.answer()
        assert not is_readable(wakeup.fd)


class WakeUpTests(WakeUpContract, SynchronousTestCase):
    kind = WakeUp

    if os.name == "nt":
        skip = "Windows waits for sockets only"

    def test_many_rings_are_one_write(self) -> None:
        wakeup = self.make()
        with mock.patch("os.write", wraps=os.write) as write:
            for _ in range(100_000):
                wakeup.ring()
        assert write.call_count == 1
        wakeup.answer()
        assert not is_readable(wakeup.fd)

    def test_who_rings_between_the_write_and_the_answer_is_not_needed(self) -> None:
        wakeup = self.make()
        wakeup.ring()
        read = os.read

        def read_late(fd: int, size: int) -> bytes:
            wakeup.ring()
            got = read(fd, size)
            wakeup.ring()
            return got

        with mock.patch("os.read", read_late):
            wakeup.answer()
        assert not is_readable(wakeup.fd)
        wakeup.ring()
        assert is_readable(wakeup.fd), "and the next ring is heard"

    def test_who_is_stopped_between_token_and_write_is_heard_later(self) -> None:
        wakeup = self.make()
        write = os.write

        def write_late(fd: int, data: bytes) -> int:
            # As a signal handler may, between two instructions of ring().
            wakeup.ring()
            assert not is_readable(wakeup.fd)
            return write(fd, data)

        with mock.patch("os.write", write_late):
            wakeup.ring()
        assert is_readable(wakeup.fd)
        wakeup.answer()
        assert not is_readable(wakeup.fd), "and only once"

    def test_ringing_when_it_is_closed_touches_nobody(self) -> None:
        for is_rung in (False, True):
            wakeup = WakeUp()
            if is_rung:
                wakeup.ring()
            fd = wakeup.fd
            wakeup.close()
            reader, writer = os.pipe()  # very likely takes the number
            with mock.patch("os.write") as write:
                wakeup.ring()
            assert not write.called, fd
            os.close(reader)
            os.close(writer)

    def test_it_works_by_a_pipe_too(self) -> None:
        if not hasattr(os, "eventfd"):
            return  # it is what all other tests have used
        with mock.patch.object(os, "eventfd"):
            del os.eventfd
            wakeup = self.make()
        for _ in range(3):
            wakeup.ring()
            wakeup.ring()
            assert is_readable(wakeup.fd)
            wakeup.answer()
            assert not is_readable(wakeup.fd)
        assert not os.get_blocking(wakeup.fd)
        assert not os.get_inheritable(wakeup.fd)
