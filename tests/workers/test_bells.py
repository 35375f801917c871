"""How a parked worker is woken."""

from __future__ import annotations

import os
from typing import Any

import pytest
from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.workers.bells import SILENT, Bell, EventBell, LockBell, a_bell
from tests.workers.running import PATIENCE, in_thread

HAS_EVENTS = hasattr(os, "eventfd")


class BellContract(SynchronousTestCase):
    """What a bell promises."""

    make: Any = LockBell

    def test_it_was_rung_or_it_was_not(self) -> None:
        bell: Bell = self.make()
        assert not bell.wait(0)
        bell.ring()
        assert bell.wait(0)
        assert not bell.wait(0)

    def test_each_ring_ends_one_wait(self) -> None:
        bell: Bell = self.make()
        for _ in range(100):
            bell.ring()
            assert bell.wait(-1)
        assert not bell.wait(0.001)

    def test_who_waits_is_woken_by_another_thread(self) -> None:
        bell: Bell = self.make()
        for timeout in (PATIENCE, -1):
            waiting = in_thread(bell.wait, timeout)
            bell.ring()
            waiting.join()
            assert waiting.result is True

    def test_it_can_be_closed_twice(self) -> None:
        bell: Bell = self.make()
        bell.close()
        bell.close()


@pytest.mark.skipif(not HAS_EVENTS, reason="eventfd(2) is Linux's")
class EventBellTests(BellContract):
    make = EventBell

    def test_its_descriptors_go_with_it(self) -> None:
        bell = EventBell()
        before = {bell._event, bell._epoll.fileno()}
        del bell
        for descriptor in before:
            self.assertRaises(OSError, os.fstat, descriptor)

    def test_its_descriptors_are_closed_with_it_whoever_holds_it(self) -> None:
        bell = EventBell()
        held = {bell._event, bell._epoll.fileno()}
        bell.close()
        for descriptor in held:
            self.assertRaises(OSError, os.fstat, descriptor)


class ChoiceTests(SynchronousTestCase):
    def test_the_best_one_is_taken(self) -> None:
        assert type(a_bell()) is (EventBell if HAS_EVENTS else LockBell)

    @pytest.mark.skipif(not HAS_EVENTS, reason="it is one in any case")
    def test_without_a_descriptor_to_be_had_it_is_a_lock(self) -> None:
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
        assert type(a_bell()) is LockBell

    def test_that_of_nobody_can_be_rung_and_waited_for(self) -> None:
        SILENT.ring()
        assert SILENT.wait(-1)
        SILENT.close()
