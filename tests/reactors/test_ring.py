"""The ring: requests, completions, and what becomes of buffers."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import gc
import mmap
import os
import signal
import socket
import threading
import time
import weakref
from typing import Any
from unittest import mock

import pytest
from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.reactors import ring as rings
from httpx_tw.reactors import ring_calls
from httpx_tw.reactors.ring import (
    HAS_MORE,
    SEND,
    SKIP_SUCCESS,
    Completion,
    Ring,
)
from tests.reactors.descriptors import descriptors
from tests.reactors.ring_here import REFUSAL
from tests.reactors.test_poller import fill

LONG = 10.0
NOT_WAITING = socket.MSG_DONTWAIT | socket.MSG_WAITALL | socket.MSG_NOSIGNAL


class RingTests(SynchronousTestCase):
    if REFUSAL:
        skip = REFUSAL

    def setUp(self) -> None:
        self.ring = self.made()

    def made(self, **options: int) -> Ring:
        ring = Ring(**options)
        self.addCleanup(ring.close)
        return ring

    def pair(self) -> tuple[socket.socket, socket.socket]:
        pair = socket.socketpair()
        for end in pair:
            end.setblocking(False)
            self.addCleanup(end.close)
        return pair

    # The surface

    def test_what_is_read_is_in_the_buffer(self) -> None:
        ours, theirs = self.pair()
        buffer = bytearray(10)
        self.ring.submit_read(ours.fileno(), buffer, 7)
        assert self.ring.wait_completion(0) == []
        theirs.send(b"hello")
        (done,) = self.ring.wait_completion(LONG)
        assert done == Completion(7, 5, 0)
        assert done.is_last
        assert buffer == b"hello" + bytes(5)

    def test_the_end_is_a_read_of_nothing(self) -> None:
        ours, theirs = self.pair()
        theirs.close()
        self.ring.submit_read(ours.fileno(), bytearray(10), 7)
        assert self.ring.wait_completion(LONG) == [Completion(7, 0, 0)]

    def test_what_is_written_arrives(self) -> None:
        ours, theirs = self.pair()
        contents: list[Any] = [b"one", bytearray(b"two"), memoryview(b"3")]
        for number, content in enumerate(contents):
            self.ring.submit_write(ours.fileno(), content, number + 1)
        results = {done.user_data: done.result for done in self.completions(3)}
        assert results == {1: 3, 2: 3, 3: 1}
        assert theirs.recv(100) == b"onetwo3"

    def completions(self, count: int) -> list[Completion]:
        found: list[Completion] = []
        while len(found) < count:
            more = self.ring.wait_completion(LONG)
            assert more, "nothing came"
            found += more
        return found

    def test_files_are_read_and_written_at_an_offset(self) -> None:
        fd = os.open(".", os.O_TMPFILE | os.O_RDWR)
        self.addCleanup(os.close, fd)
        buffer = bytearray(4)
        self.ring.submit_write(fd, b"0123456789", 1, offset=0)
        self.completions(1)
        self.ring.submit_read(fd, buffer, 2, offset=3)
        self.completions(1)
        assert buffer == b"3456"

    def test_a_connection_is_accepted(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            self.ring.submit_accept(listening.fileno(), 7)
            self.ring.submit()
            with socket.create_connection(listening.getsockname()):
                (done,) = self.ring.wait_completion(LONG)
            assert done.is_last
            with socket.socket(fileno=done.result) as accepted:
                assert not accepted.get_inheritable()
                assert not os.get_blocking(accepted.fileno())

    def test_several_are_accepted_for_one_request(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            self.ring.submit_accept(listening.fileno(), 7, multishot=True)
            for _ in range(3):
                with socket.create_connection(listening.getsockname()):
                    (done,) = self.ring.wait_completion(LONG)
                os.close(done.result)
                assert not done.is_last
            self.ring.cancel(7)
            assert self.ring.wait_completion(LONG) == [
                Completion(7, -errno.ECANCELED, 0)
            ]

    def test_failures_are_results(self) -> None:
        self.ring.submit_read(-1, bytearray(1), 1)
        self.ring.submit_write(-1, b"x", 2)
        self.ring.submit_accept(-1, 3)
        results = {done.user_data: done.result for done in self.completions(3)}
        assert results == dict.fromkeys((1, 2, 3), -errno.EBADF)

    def test_mistakes_are_refused(self) -> None:
        ours, _ = self.pair()
        for wrong in (0, -1):
            with self.assertRaises(ValueError):
                self.ring.submit_read(ours.fileno(), bytearray(1), wrong)
            with self.assertRaises(ValueError):
                self.ring.submit_write(ours.fileno(), b"", wrong)
            with self.assertRaises(ValueError):
                self.ring.submit_accept(ours.fileno(), wrong)
            with self.assertRaises(ValueError):
                self.ring.cancel(wrong)
        with self.assertRaises(TypeError):
            self.ring.submit_read(ours.fileno(), b"read-only", 1)
        self.ring.submit_read(ours.fileno(), bytearray(1), 1)
        with self.assertRaises(ValueError):
            self.ring.submit_read(ours.fileno(), bytearray(1), 1)
        assert self.ring.unsubmitted == 1

    # Buffers

    def test_a_buffer_is_held_until_its_completion_and_not_longer(self) -> None:
        ours, theirs = self.pair()
        buffer = bytearray(10)
        self.ring.submit_read(ours.fileno(), buffer, 7)
        self.ring.submit()
        with self.assertRaises(BufferError):
            buffer.extend(b"x")  # it would move, and the kernel write to where it was
        theirs.send(b"x")
        self.completions(1)
        buffer.extend(b"x")

    def test_a_buffer_that_nobody_else_holds_stays(self) -> None:
        class Array(bytearray):
            """One that can be watched."""

        ours, theirs = self.pair()
        buffer = Array(10)
        is_gone = weakref.ref(buffer)
        self.ring.submit_read(ours.fileno(), buffer, 7)
        del buffer
        gc.collect()
        assert is_gone() is not None
        theirs.send(b"x")
        self.completions(1)
        assert is_gone() is None

    def test_what_is_cancelled_is_over(self) -> None:
        ours, theirs = self.pair()
        buffer = bytearray(10)
        self.ring.submit_read(ours.fileno(), buffer, 7)
        self.ring.submit()
        self.ring.cancel(7)
        assert self.completions(1) == [Completion(7, -errno.ECANCELED, 0)]
        theirs.send(b"x")
        assert self.ring.wait_completion(0) == []
        assert bytes(buffer) == bytes(10)
        self.ring.cancel(7)  # nothing to cancel is no error
        assert self.ring.wait_completion(0) == []

    def test_closing_waits_until_the_kernel_has_let_go(self) -> None:
        ours, theirs = self.pair()
        buffer = bytearray(10)
        self.ring.submit_read(ours.fileno(), buffer, 7)
        self.ring.submit()
        self.ring.close()
        theirs.send(b"late")
        buffer.extend(b"x")
        assert bytes(buffer) == bytes(10) + b"x"
        assert ours.recv(10) == b"late"

    def test_what_another_thread_closes_keeps_its_buffers_for_ever(self) -> None:
        ours, _ = self.pair()
        buffer = bytearray(10)
        self.ring.submit_read(ours.fileno(), buffer, 7)
        self.ring.submit()
        kept: list[Any] = []
        with mock.patch.object(rings, "_kept_for_ever", kept):
            thread = threading.Thread(target=self.ring.close)
            thread.start()
            thread.join()
        assert len(kept) == 1
        with self.assertRaises(BufferError):
            buffer.extend(b"x")

    # Queues that are full

    def test_a_full_submission_queue_is_submitted(self) -> None:
        self.ring = self.made(entries=4)
        ours, theirs = self.pair()
        for number in range(1, 11):
            self.ring.submit_write(ours.fileno(), b"%d" % (number % 10), number)
            assert self.ring.unsubmitted <= 4
        assert len(self.completions(10)) == 10
        assert theirs.recv(100) == b"1234567890"

    def test_more_completions_than_the_queue_holds_are_kept(self) -> None:
        self.ring = self.made(entries=4, completions=8)
        ours, theirs = self.pair()
        for number in range(1, 101):
            self.ring.submit_write(ours.fileno(), b"x", number)
        found = self.completions(100)
        assert [done.user_data for done in found] == list(range(1, 101))
        assert len(theirs.recv(200)) == 100

    def test_the_counters_of_the_queues_wrap(self) -> None:
        self.ring = self.made(entries=2, completions=4)
        ours, theirs = self.pair()
        for number in range(1, 50):
            self.ring.submit_write(ours.fileno(), b"x", number)
            assert [done.user_data for done in self.completions(1)] == [number]
        assert len(theirs.recv(100)) == 49

    def test_memory_that_is_short_for_a_moment_is_waited_for(self) -> None:
        ours, theirs = self.pair()
        enter = ring_calls.ring_enter
        shortages = [errno.EAGAIN, errno.EBUSY]

        def short(*arguments: Any) -> int:
            if shortages:
                raise OSError(shortages.pop(), "short")
            return enter(*arguments)

        self.ring.submit_write(ours.fileno(), b"x", 1)
        with mock.patch.object(rings, "ring_enter", short):
            self.ring.submit()
        assert self.ring.unsubmitted == 0
        assert theirs.recv(10) == b"x"

    def test_what_is_taken_in_parts_is_submitted_whole(self) -> None:
        ours, theirs = self.pair()
        enter = ring_calls.ring_enter

        def one_by_one(fd: int, count: int, *rest: Any) -> int:
            return enter(fd, min(count, 1), *rest)

        for number in (1, 2, 3):
            self.ring.submit_write(ours.fileno(), b"x", number)
        with mock.patch.object(rings, "ring_enter", one_by_one):
            self.ring.submit()
        assert theirs.recv(10) == b"xxx"

    # A send that does not wait: see completions.py

    def send(self, fd: int, buffer: Any, number: int) -> None:
        at = ctypes.addressof(buffer)
        size = len(buffer)
        self.ring.push(SEND, SKIP_SUCCESS, 0, fd, 0, at, size, NOT_WAITING, number)

    def test_a_send_is_over_when_it_is_submitted(self) -> None:
        ours, theirs = self.pair()
        buffer = ctypes.create_string_buffer(b"before", 6)
        self.send(ours.fileno(), buffer, 1)
        self.ring.submit()
        buffer.value = b"behind"
        assert theirs.recv(100) == b"before"
        assert self.ring.reap() == [], "all of it is sent: nothing to tell"

    def test_a_send_that_falls_short_says_so_at_once(self) -> None:
        ours, theirs = self.pair()
        fill(ours)
        buffer = ctypes.create_string_buffer(1 << 20)
        self.send(ours.fileno(), buffer, 1)
        self.ring.submit()
        assert self.ring.reap() == [(1, -errno.EAGAIN, 0)]
        while True:
            try:
                theirs.recv(1 << 20)
            except BlockingIOError:
                break
        self.send(ours.fileno(), buffer, 2)
        self.ring.submit()
        ((number, result, _),) = self.ring.reap()
        assert number == 2
        assert 0 < result < len(buffer)
        theirs.close()
        self.send(ours.fileno(), buffer, 3)
        self.ring.submit()
        assert self.ring.reap() == [(3, -errno.EPIPE, 0)]

    # Waiting

    def test_a_wait_is_as_long_as_asked(self) -> None:
        for timeout in (0.02, 1e-9, 0.0, -1.0):
            started = time.monotonic()
            assert self.ring.wait_completion(timeout) == []
            assert max(timeout, 0) <= time.monotonic() - started < 5

    def test_a_signal_does_not_end_it(self) -> None:
        hits: list[int] = []
        before = signal.signal(signal.SIGALRM, lambda *_: hits.append(1))
        self.addCleanup(signal.signal, signal.SIGALRM, before)
        signal.setitimer(signal.ITIMER_REAL, 0.005, 0.005)
        try:
            started = time.monotonic()
            assert self.ring.wait_completion(0.05) == []
            assert time.monotonic() - started >= 0.05
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        assert hits

    def test_other_threads_run_meanwhile(self) -> None:
        ours, theirs = self.pair()
        self.ring.submit_read(ours.fileno(), bytearray(1), 1)
        thread = threading.Timer(0.01, theirs.send, [b"x"])
        thread.start()
        assert len(self.ring.wait_completion(None)) == 1
        thread.join()

    # Whose it is, and its end

    def test_the_thread_that_enters_first_is_the_one_that_uses_it(self) -> None:
        found: list[Any] = []

        def use() -> None:
            try:
                found.append(ring.wait_completion(0))
            except OSError as error:
                found.append(error.errno)

        ring = self.made()
        for _ in range(2):
            thread = threading.Thread(target=use)
            thread.start()
            thread.join()
        assert found == [[], errno.EEXIST]

    def test_closing_gives_everything_back(self) -> None:
        before = descriptors()
        with Ring() as ring:
            assert descriptors() > before
            ring.wait_completion(0)
        ring.close()
        assert descriptors() == before
        ring = Ring()
        del ring
        assert descriptors() == before

    def test_one_that_cannot_be_made_leaves_nothing(self) -> None:
        before = descriptors()
        with (
            mock.patch.object(mmap, "mmap", side_effect=OSError(12, "full")),
            self.assertRaises(OSError),
        ):
            Ring()
        assert descriptors() == before

    def test_a_child_process_cannot_use_it_and_does_no_harm(self) -> None:
        ours, theirs = self.pair()
        self.ring.submit_read(ours.fileno(), bytearray(1), 1)
        self.ring.submit()
        child = os.fork()
        if not child:
            status = 1
            with contextlib.suppress(OSError):
                self.ring.close()
                status = 0
            os._exit(status)
        _, status = os.waitpid(child, 0)
        assert status == 0
        theirs.send(b"x")
        assert self.ring.wait_completion(LONG) == [Completion(1, 1, 0)]


def test_more_to_come_is_not_the_last() -> None:
    assert not Completion(1, 1, HAS_MORE).is_last


@pytest.mark.skipif(bool(REFUSAL), reason=REFUSAL)
def test_the_seeds_surface_is_there() -> None:
    names = "submit_read submit_write submit_accept submit wait_completion".split()
    assert all(callable(getattr(Ring, name)) for name in names)
