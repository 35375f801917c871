"""Calls that wait for a disk: a few at a time, off the reactor where that can be."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IReactorThreads
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface import alsoProvides

from httpx_tw.app.files.opened import OpenFile
from httpx_tw.workers.disk import AT_ONCE, DiskThreads
from tests.server.live import reactor


class ThreadsByHand:
    """A reactor and its pool, whose threads are moved by the test."""

    def __init__(self) -> None:
        alsoProvides(self, IReactorThreads)
        self.calls: list[Any] = []
        self.joined = False

    def getThreadPool(self) -> ThreadsByHand:  # noqa: N802
        return self

    def callFromThread(self, call: Any, *args: Any) -> None:  # noqa: N802
        call(*args)

    def callInThreadWithCallback(  # noqa: N802
        self, on_result: Any, call: Any, *args: Any
    ) -> None:
        self.calls.append((on_result, lambda: call(*args)))

    def run_one(self) -> None:
        on_result, call = self.calls.pop(0)
        on_result(True, call())


class Fetching(SynchronousTestCase):
    def setUp(self) -> None:
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        path = Path(holder.name) / "file"
        path.write_bytes(bytes(300_000))
        self.path = path
        self.file = OpenFile.at(path)
        self.addCleanup(self.file.close)
        self.threads = ThreadsByHand()
        self.reads = DiskThreads(self.threads)

    def test_it_fires_when_the_thread_is_done(self) -> None:
        fetched = self.reads.fetch(self.file, 0, 300_000)
        self.assertNoResult(fetched)
        self.threads.run_one()
        self.successResultOf(fetched)

    def test_few_threads_wait_at_a_time(self) -> None:
        fetched = [self.reads.fetch(self.file, n, 1) for n in range(AT_ONCE + 2)]
        self.assertEqual(len(self.threads.calls), AT_ONCE)
        self.threads.run_one()
        self.assertEqual(len(self.threads.calls), AT_ONCE)
        while self.threads.calls:
            self.threads.run_one()
        for one in fetched:
            self.successResultOf(one)

    def test_what_is_cancelled_is_forgotten(self) -> None:
        fetched = [self.reads.fetch(self.file, n, 1) for n in range(AT_ONCE + 2)]
        fetched[0].cancel()
        fetched[-2].cancel()
        for _ in range(AT_ONCE + 1):
            self.threads.run_one()
        self.assertEqual(self.threads.calls, [])
        for one in (fetched[0], fetched[-2]):
            self.failureResultOf(one, CancelledError)
        self.successResultOf(fetched[-1])

    def test_a_file_that_has_become_shorter_is_left_to_who_sends_it(self) -> None:
        os.truncate(self.path, 10)
        fetched = self.reads.fetch(self.file, 0, 300_000)
        self.threads.run_one()
        self.successResultOf(fetched)

    def test_the_thread_keeps_the_file_open(self) -> None:
        fetched = self.reads.fetch(OpenFile.at(self.path), 0, 10)
        fetched.addErrback(lambda _: None)
        fetched.cancel()
        self.threads.run_one()

    def test_without_threads_it_is_done_at_once(self) -> None:
        reads = DiskThreads(Clock())
        self.successResultOf(reads.fetch(self.file, 0, 300_000))
        self.file.close()
        self.failureResultOf(reads.fetch(self.file, 0, 10), OSError)


class Calling(SynchronousTestCase):
    def setUp(self) -> None:
        self.threads = ThreadsByHand()
        self.disk = DiskThreads(self.threads)

    def test_it_fires_with_what_the_call_returns(self) -> None:
        result = self.disk.call(max, 1, 2)
        self.assertNoResult(result)
        self.threads.run_one()
        self.assertEqual(self.successResultOf(result), 2)

    def test_cancelled_before_its_turn_it_is_not_called(self) -> None:
        called: list[int] = []
        results = [self.disk.call(called.append, n) for n in range(AT_ONCE + 1)]
        results[-1].cancel()
        self.failureResultOf(results[-1], CancelledError)
        while self.threads.calls:
            self.threads.run_one()
        self.assertEqual(called, list(range(AT_ONCE)))

    def test_threads_that_are_stopped_are_not_waited_for(self) -> None:
        self.threads.joined = True
        self.assertEqual(self.successResultOf(self.disk.call(max, 1, 2)), 2)

    def test_without_a_reactor_it_is_called_at_once(self) -> None:
        disk = DiskThreads()
        self.assertEqual(self.successResultOf(disk.call(max, 1, 2)), 2)
        self.failureResultOf(disk.call(max), TypeError)


class RealThreads(TestCase):
    """On the reactor that runs."""

    timeout = 10

    async def test_it_is_fetched_by_a_thread(self) -> None:
        with tempfile.NamedTemporaryFile() as file:
            file.write(bytes(300_000))
            file.flush()
            opened = OpenFile.at(file.name)
            await DiskThreads(reactor).fetch(opened, 0, 300_000)
            opened.close()
