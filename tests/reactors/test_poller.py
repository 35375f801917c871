"""One contract for every poller: here epoll, poll and select keep it."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import socket
import struct
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock, skipUnless

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)
from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.reactors import poller as pollers
from httpx_tw.reactors.iocp_poller import IocpPoller
from httpx_tw.reactors.kqueue_poller import KqueuePoller
from httpx_tw.reactors.poller import (
    MAX_EVENTS,
    EpollPoller,
    Event,
    EventMask,
    Poller,
    PollPoller,
    SelectPoller,
    best_poller,
)
from tests.reactors import fake_kqueue
from tests.reactors.descriptors import (
    IS_WINDOWS,
    descriptors,
    has_room,
    is_open,
    many_readable,
    put_in_place_of,
    wait_until_writable,
)
from tests.reactors.test_wakeup import many_ringing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Base = SynchronousTestCase
else:
    Base = object

READABLE = EventMask.READABLE
WRITABLE = EventMask.WRITABLE
ERROR = EventMask.ERROR
HANGUP = EventMask.HANGUP
BOTH = READABLE | WRITABLE

LONG = 30.0
"""Seconds that no wait in a passing test lasts."""


class PollerContract(Base):
    """What holds for every poller, whatever the kernel offers."""

    tells_hangups = True
    """select(2) cannot: an end is readable, and that is all."""
    tells_errors = True

    def make(self) -> Poller:
        raise NotImplementedError

    def setUp(self) -> None:
        self.poller = self.make()
        self.addCleanup(self.poller.close)

    # What the tests are made of

    def pair(self) -> tuple[socket.socket, socket.socket]:
        pair = socket.socketpair()
        for end in pair:
            self.addCleanup(end.close)
            end.setblocking(False)
        return pair

    def tcp_pair(self) -> tuple[socket.socket, socket.socket]:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            client = socket.create_connection(listening.getsockname())
            server, _ = listening.accept()
        for end in (client, server):
            self.addCleanup(end.close)
            end.setblocking(False)
        return client, server

    def put_in_place_of(self, end: socket.socket) -> None:
        """Close it, and let a new socket, with nothing to read, have its number."""
        for fresh in put_in_place_of(end):
            self.addCleanup(fresh.close)

    def look(self) -> list[Event]:
        return list(self.poller.wait(0))

    def ready(self) -> dict[int, EventMask]:
        events = self.look()
        found = {event.fd: event.events for event in events}
        assert len(found) == len(events), "a descriptor was reported twice"
        return found

    # Registration

    def test_what_is_readable_is_reported_with_its_data(self) -> None:
        ours, theirs = self.pair()
        owner = object()
        self.poller.add(ours.fileno(), READABLE, owner)
        assert self.look() == []
        theirs.send(b"x")
        (event,) = self.look()
        assert event == Event(ours.fileno(), owner, READABLE)
        assert event.data is owner
        assert isinstance(event.events, EventMask)

    def test_it_is_reported_again_until_it_is_dealt_with(self) -> None:
        ours, theirs = self.pair()
        self.poller.add(ours.fileno(), READABLE)
        theirs.send(b"xy")
        for size in (0, 1, 1):
            assert self.ready() == {ours.fileno(): READABLE}
            assert len(ours.recv(size)) == size
        assert self.ready() == {}

    def test_what_is_writable_is_reported_until_its_buffer_is_full(self) -> None:
        ours, _ = self.pair()
        self.poller.add(ours.fileno(), WRITABLE)
        assert self.ready() == {ours.fileno(): WRITABLE}
        fill(ours)
        assert self.ready() == {}

    def test_both_are_one_event(self) -> None:
        ours, theirs = self.pair()
        self.poller.add(ours.fileno(), BOTH)
        theirs.send(b"x")
        assert self.look() == [Event(ours.fileno(), None, BOTH)]

    def test_modifying_takes_away_what_is_no_longer_wanted(self) -> None:
        ours, theirs = self.pair()
        theirs.send(b"x")
        fd = ours.fileno()
        self.poller.add(fd, READABLE)
        for events in (WRITABLE, BOTH, READABLE, WRITABLE, READABLE, BOTH, BOTH):
            self.poller.modify(fd, events)
            assert self.ready() == {fd: events}

    def test_nothing_is_reported_of_what_was_modified_away(self) -> None:
        # A filter left armed would be a busy loop: a socket is nearly always writable.
        ours, _ = self.pair()
        self.poller.add(ours.fileno(), WRITABLE)
        self.poller.modify(ours.fileno(), READABLE)
        for _ in range(10):
            assert self.poller.poll(0) == []
        assert self.poller.statistics().events == 0

    def test_modifying_keeps_the_data(self) -> None:
        ours, _ = self.pair()
        self.poller.add(ours.fileno(), READABLE, "owner")
        self.poller.modify(ours.fileno(), WRITABLE)
        assert [event.data for event in self.look()] == ["owner"]

    def test_what_is_removed_is_not_reported(self) -> None:
        ours, theirs = self.pair()
        theirs.send(b"x")
        for events in (READABLE, WRITABLE, BOTH):
            self.poller.add(ours.fileno(), events)
            self.poller.remove(ours.fileno())
            assert self.poller.poll(0) == []

    def test_mistakes_are_refused(self) -> None:
        ours, _ = self.pair()
        fd = ours.fileno()
        for wrong in (0, ERROR, HANGUP, READABLE | ERROR, 0x40):
            with self.assertRaises(ValueError):
                self.poller.add(fd, wrong)
        with self.assertRaises(ValueError):
            self.poller.modify(fd, READABLE)
        with self.assertRaises(ValueError):
            self.poller.remove(fd)
        self.poller.add(fd, WRITABLE)
        with self.assertRaises(ValueError):
            self.poller.add(fd, READABLE)
        with self.assertRaises(ValueError):
            self.poller.modify(fd, 0)
        assert self.ready() == {fd: WRITABLE}, "nothing of it has changed anything"
        assert self.poller.statistics().registered == 1

    def test_what_is_not_open_is_refused(self) -> None:
        ours, _ = self.pair()
        fd = ours.fileno()
        ours.close()
        with self.assertRaises(OSError) as caught:
            self.poller.add(fd, READABLE)
        self.assertEqual(caught.exception.errno, errno.EBADF)
        assert self.poller.statistics().registered == 0
        with self.assertRaises((ValueError, OSError)):
            self.poller.add(-1, READABLE)

    def test_plain_integers_are_taken(self) -> None:
        ours, _ = self.pair()
        self.poller.add(ours.fileno(), 4)
        assert self.ready() == {ours.fileno(): WRITABLE}

    # Closed, removed, reused

    def test_removing_what_was_closed_is_fine(self) -> None:
        for events in (READABLE, WRITABLE, BOTH):
            ours, _ = self.pair()
            fd = ours.fileno()
            self.poller.add(fd, events)
            ours.close()
            self.poller.remove(fd)
            assert self.poller.poll(0) == []
            assert self.poller.statistics().registered == 0

    def test_removing_what_was_closed_and_reused_is_fine(self) -> None:
        ours, _ = self.pair()
        fd = ours.fileno()
        self.poller.add(fd, BOTH)
        self.put_in_place_of(ours)
        self.poller.remove(fd)
        self.poller.add(fd, WRITABLE, "new")
        assert self.look() == [Event(fd, "new", WRITABLE)]

    def test_what_is_removed_in_a_batch_is_not_reported_by_it(self) -> None:
        pairs = [self.pair() for _ in range(5)]
        for ours, theirs in pairs:
            self.poller.add(ours.fileno(), READABLE)
            theirs.send(b"x")
        reported = []
        for event in self.poller.wait(0):
            reported.append(event.fd)
            for ours, _ in pairs:
                if ours.fileno() != event.fd:
                    self.poller.remove(ours.fileno())
        assert len(reported) == 1

    def test_what_is_removed_and_added_in_a_batch_waits_for_the_next(self) -> None:
        pairs = [self.pair() for _ in range(3)]
        for ours, theirs in pairs:
            self.poller.add(ours.fileno(), READABLE, "old")
            theirs.send(b"x")
        batch = self.poller.wait(0)
        first = next(batch)
        for ours, _ in pairs:
            self.poller.remove(ours.fileno())
            self.poller.add(ours.fileno(), READABLE, "new")
        assert list(batch) == []
        assert {event.data for event in self.look()} == {"new"}
        del first

    def test_news_of_a_closed_file_does_not_reach_who_has_its_number(self) -> None:
        pairs = [self.pair() for _ in range(4)]
        for ours, theirs in pairs:
            self.poller.add(ours.fileno(), READABLE, "old")
            theirs.send(b"x")
        batch = self.poller.wait(0)
        next(batch)
        for ours, _ in pairs:
            fd = ours.fileno()
            self.poller.remove(fd)
            self.put_in_place_of(ours)
            self.poller.add(fd, READABLE, "new")
        assert list(batch) == []
        assert self.poller.poll(0) == []

    def test_what_is_not_wanted_any_more_is_not_reported(self) -> None:
        pairs = [self.pair() for _ in range(2)]
        for ours, theirs in pairs:
            self.poller.add(ours.fileno(), BOTH)
            theirs.send(b"x")
        batch = self.poller.wait(0)
        first = next(batch)
        (other,) = (o.fileno() for o, _ in pairs if o.fileno() != first.fd)
        self.poller.modify(other, WRITABLE)
        assert [event.events for event in batch] == [WRITABLE]
        self.poller.modify(other, READABLE)
        self.poller.remove(first.fd)
        batch = self.poller.wait(0)
        self.poller.modify(other, WRITABLE)
        assert list(batch) == []

    def test_a_wait_ends_the_iteration_over_the_one_before(self) -> None:
        for _ in range(3):
            ours, _theirs = self.pair()
            self.poller.add(ours.fileno(), WRITABLE)
        batch = self.poller.wait(0)
        next(batch)
        assert len(self.look()) == 3
        assert list(batch) == []

    def test_what_was_closed_behind_its_back_stops_nothing(self) -> None:
        ours, theirs = self.pair()
        theirs.send(b"x")
        to_close = [self.pair()[0] for _ in range(3)]
        gone = [end.fileno() for end in to_close]
        for fd, events in zip(gone, (READABLE, WRITABLE, BOTH), strict=True):
            self.poller.add(fd, events)
        for end in to_close:
            end.close()
        self.poller.add(ours.fileno(), READABLE)
        deadline = time.monotonic() + LONG
        while ours.fileno() not in (found := self.ready()):
            # select(2) says only which are broken; they are reported, then removed.
            assert found, "nothing is said at all"
            assert time.monotonic() < deadline
            for fd in found:
                assert found[fd] & ERROR
                self.poller.remove(fd)
                gone.remove(fd)
        for fd in gone:
            self.poller.remove(fd)

    # Ends and errors

    def test_what_came_before_the_end_is_read_first(self) -> None:
        for make in (self.pair, self.tcp_pair):
            ours, theirs = make()
            fd = ours.fileno()
            for events in (READABLE, BOTH):
                self.poller.add(fd, events)
                self.poller.remove(fd)
            self.poller.add(fd, BOTH)
            theirs.send(b"last words")
            theirs.shutdown(socket.SHUT_WR)
            self.wait_for(fd, READABLE)
            assert ours.recv(4) == b"last"
            assert self.ready()[fd] & READABLE
            assert ours.recv(100) == b" words"
            assert self.ready()[fd] & READABLE
            assert ours.recv(100) == b"", "the end is read, as any other event"
            ours.send(b"answer")  # the other direction is open all the while
            self.poller.remove(fd)

    def test_what_came_before_a_hangup_can_be_read(self) -> None:
        for make in (self.pair, self.tcp_pair):
            ours, theirs = make()
            fd = ours.fileno()
            self.poller.add(fd, BOTH)
            theirs.send(b"last words")
            theirs.close()
            self.wait_for(fd, READABLE)
            assert ours.recv(100) == b"last words"
            assert self.ready()[fd] & READABLE
            assert ours.recv(100) == b""
            self.poller.remove(fd)

    def wait_for(self, fd: int, events: EventMask) -> EventMask:
        """Return what is true of *fd* when *events* are; loopback takes a moment."""
        deadline = time.monotonic() + LONG
        while time.monotonic() < deadline:
            for event in self.poller.wait(0.01):
                if event.fd == fd and event.events & events:
                    return event.events
        raise AssertionError(f"waited {LONG} s for {events!r}")

    def test_a_hangup_is_reported_to_who_only_writes(self) -> None:
        ours, theirs = self.pair()
        self.poller.add(ours.fileno(), WRITABLE)
        theirs.close()
        found = self.ready()[ours.fileno()]
        assert found & (HANGUP | WRITABLE)
        if self.tells_hangups:
            assert found & HANGUP

    @skipUnless(hasattr(os, "mkfifo"), "Windows waits for sockets only")
    def test_the_end_of_a_pipe_is_reported_to_its_writer(self) -> None:
        reader, writer = os.pipe()
        self.addCleanup(os.close, writer)
        self.poller.add(writer, WRITABLE)
        os.close(reader)
        found = self.ready()[writer]
        assert found & (HANGUP | ERROR | WRITABLE)
        if self.tells_hangups:
            assert found & (HANGUP | ERROR)

    @skipUnless(hasattr(os, "mkfifo"), "Windows waits for sockets only")
    def test_the_end_of_a_pipe_is_reported_to_its_reader(self) -> None:
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        self.poller.add(reader, READABLE)
        os.write(writer, b"x")
        os.close(writer)
        assert self.ready()[reader] & READABLE
        assert os.read(reader, 10) == b"x"
        assert self.ready()[reader] & (READABLE | HANGUP)
        assert os.read(reader, 10) == b""

    def test_a_reset_is_an_error(self) -> None:
        ours, theirs = self.tcp_pair()
        self.poller.add(ours.fileno(), READABLE)
        linger = struct.pack("hh" if IS_WINDOWS else "ii", 1, 0)
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        theirs.close()
        found = self.wait_for(ours.fileno(), READABLE | ERROR)
        if self.tells_errors:
            assert found & ERROR
        try:
            received = ours.recv(1)
        except ConnectionResetError:
            return
        # Linux tells an error once, and Wine asks for it when it polls.
        assert IS_WINDOWS
        assert received == b""

    # Waking

    def test_a_wake_up_before_the_wait_ends_it(self) -> None:
        self.poller.wake()
        assert list(self.poller.wait(None)) == []
        assert self.poller.poll(0) == []

    def test_wake_ups_are_one(self) -> None:
        for _ in range(100_000):
            self.poller.wake()
        assert list(self.poller.wait(None)) == []
        started = time.monotonic()
        assert list(self.poller.wait(0.05)) == []
        assert waited(started) >= 0.05

    def test_a_thread_ends_a_wait_without_end(self) -> None:
        for _ in range(20):
            thread = threading.Timer(0.001, self.poller.wake)
            thread.start()
            assert list(self.poller.wait(None)) == []
            thread.join()

    def test_threads_that_wake_at_once_leave_no_busy_loop(self) -> None:
        with many_ringing(self.poller.wake):
            for _ in range(100):
                self.poller.poll(1)
        self.poller.poll(0)
        started = time.monotonic()
        assert self.poller.poll(0.02) == []
        assert waited(started) >= 0.02
        self.poller.wake()
        assert self.poller.poll(None) == [], "and the next is heard"

    @skipUnless(hasattr(signal, "setitimer"), "Windows has no signal to send itself")
    def test_a_signal_handler_ends_a_wait_without_end(self) -> None:
        def wake(*_: object) -> None:
            self.poller.wake()

        self.addCleanup(signal.signal, signal.SIGALRM, signal.getsignal(signal.SIGALRM))
        signal.signal(signal.SIGALRM, wake)
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        assert list(self.poller.wait(None)) == []
        main = threading.get_ident()
        thread = threading.Timer(0.01, signal.pthread_kill, args=(main, signal.SIGALRM))
        thread.start()
        assert list(self.poller.wait(None)) == []
        thread.join()

    @skipUnless(hasattr(signal, "setitimer"), "Windows has no signal to send itself")
    def test_a_signal_does_not_cut_a_wait_short(self) -> None:
        hits: list[int] = []
        self.addCleanup(signal.signal, signal.SIGALRM, signal.getsignal(signal.SIGALRM))
        signal.signal(signal.SIGALRM, lambda *_: hits.append(1))
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
        try:
            started = time.monotonic()
            assert self.poller.poll(0.1) == []
            assert waited(started) >= 0.1
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        assert len(hits) > 3

    def test_what_is_ready_comes_with_the_wake_up(self) -> None:
        ours, _ = self.pair()
        self.poller.add(ours.fileno(), WRITABLE)
        self.poller.wake()
        assert [event.fd for event in self.poller.wait(None)] == [ours.fileno()]

    def test_waking_what_is_closed_is_nothing(self) -> None:
        self.poller.close()
        with mock.patch("os.write") as write:
            self.poller.wake()
        assert not write.called

    # Time

    def test_no_timeout_does_not_wait(self) -> None:
        started = time.monotonic()
        for timeout in (0, 0.0, -1, -0.001):
            assert self.poller.poll(timeout) == []
            assert list(self.poller.wait(timeout)) == []
        assert time.monotonic() - started < 1

    def test_a_wait_is_never_shorter_than_asked(self) -> None:
        # Early is worse than late: a loop that is early is a busy loop until then.
        for timeout in (0.0001, 0.0005, 0.001, 0.0011, 0.0109, 0.05):
            for _ in range(5):
                started = time.monotonic()
                assert self.poller.poll(timeout) == []
                assert waited(started) >= timeout

    def test_a_wait_may_be_longer_than_the_kernel_can_count(self) -> None:
        for timeout in (2**31 / 1000, 1e9, 1e30, float("inf")):
            self.poller.wake()
            assert self.poller.poll(timeout) == []

    def test_a_timeout_ends_with_the_first_event(self) -> None:
        ours, theirs = self.pair()
        self.poller.add(ours.fileno(), READABLE)
        thread = threading.Timer(0.01, theirs.send, args=(b"x",))
        thread.start()
        assert [event.fd for event in self.poller.wait(LONG)] == [ours.fileno()]
        thread.join()

    # Many

    def test_more_than_one_wait_holds_are_all_reported(self) -> None:
        count = 200 if isinstance(self.poller, SelectPoller) else MAX_EVENTS * 2 + 9
        fds = many_readable(count, self.addCleanup)
        for fd in fds:
            self.poller.add(fd, READABLE)
        seen: list[int] = []
        for _ in range(4):
            batch = self.poller.poll(0)
            seen += [fd for fd, _ in batch]
            assert len(set(batch)) == len(batch)
        assert set(seen) == set(fds), "some are never reported: they starve"
        # Nobody is reported often before others are reported at all.
        assert set(seen[:count]) == set(fds)
        for fd in fds:
            self.poller.remove(fd)

    # The rest

    def test_statistics_are_exact(self) -> None:
        figures = self.poller.statistics
        assert figures() == pollers.PollerStatistics(
            registered=0, waits=0, events=0, largest_batch=0
        )
        ends = [self.pair()[0] for _ in range(3)]
        for end in ends:
            self.poller.add(end.fileno(), WRITABLE)
        self.poller.poll(0)
        self.poller.wake()
        list(self.poller.wait(0))
        for end in ends[1:]:
            self.poller.remove(end.fileno())
        self.poller.poll(0)
        self.poller.modify(ends[0].fileno(), READABLE)
        self.poller.poll(0)
        self.poller.wake()
        self.poller.poll(None)
        assert figures() == pollers.PollerStatistics(
            registered=1, waits=5, events=7, largest_batch=3
        )
        with self.assertRaises(AttributeError):
            figures().waits = 0  # type: ignore[misc]

    def test_closing_gives_everything_back_and_leaves_what_was_watched(self) -> None:
        before = descriptors()
        ours, theirs = self.pair()
        with self.make() as poller:
            poller.add(ours.fileno(), READABLE)
            poller.wake()
        poller.close()
        assert poller.statistics().registered == 0
        assert descriptors() - before == {ours.fileno(), theirs.fileno()}

    def test_one_that_nobody_closed_is_closed_with_its_last_reference(self) -> None:
        before = descriptors()
        poller = self.make()
        assert descriptors() > before
        del poller
        assert descriptors() == before

    def test_one_that_cannot_be_made_leaves_nothing(self) -> None:
        before = descriptors()
        for owner, name in self.what_making_takes():
            what: Any = mock.patch.object(owner, name, side_effect=OSError(24, "full"))
            with what, self.assertRaises(OSError):
                self.make()
            del what  # holds the exception, which holds the frame
            assert descriptors() == before

    def what_making_takes(self) -> list[tuple[object, str]]:
        wakeup = "SocketWakeUp" if IS_WINDOWS else "WakeUp"
        return [(pollers, wakeup), (type(self.poller), "_watch")]

    def test_any_order_of_calls_agrees_with_a_model(self) -> None:
        run_state_machine_as_test(
            lambda: PollerMachine(self.make),  # type: ignore[arg-type]  # or a factory
            settings=settings(stateful_step_count=25, max_examples=40),
        )


def waited(started: float) -> float:
    """Return the seconds since *started*.

    Windows' clock tells whole milliseconds, which are no whole binary fractions: a
    difference may be less by a rounding.
    """
    return time.monotonic() - started + 1e-9


def fill(end: socket.socket) -> None:
    """Send until there is no room."""
    # Not by its bare name: trial takes a global "suppress" for its own.
    with contextlib.suppress(BlockingIOError):
        while True:
            end.send(bytes(65536))


SLOTS = st.integers(0, 4)
MASKS = st.sampled_from([READABLE, WRITABLE, BOTH])


class PollerMachine(RuleBasedStateMachine):
    """Socket pairs in slots, done to as a program might, and a model of each."""

    def __init__(self, make: Callable[[], Poller]) -> None:
        super().__init__()
        self.poller = make()
        self.pairs = [socket.socketpair() for _ in range(5)]
        for pair in self.pairs:
            for end in pair:
                end.setblocking(False)
        self.watched: dict[int, EventMask] = {}
        self.unread = dict.fromkeys(range(5), 0)
        self.is_full = dict.fromkeys(range(5), False)
        self.is_woken = False

    def fd(self, slot: int) -> int:
        return self.pairs[slot][0].fileno()

    @rule(slot=SLOTS, events=MASKS)
    def add(self, slot: int, events: EventMask) -> None:
        if slot in self.watched:
            try:
                self.poller.add(self.fd(slot), events)
            except ValueError:
                return
            raise AssertionError("it was added twice")
        self.poller.add(self.fd(slot), events, data=slot)
        self.watched[slot] = events

    @rule(slot=SLOTS, events=MASKS)
    def modify(self, slot: int, events: EventMask) -> None:
        if slot in self.watched:
            self.poller.modify(self.fd(slot), events)
            self.watched[slot] = events

    @rule(slot=SLOTS)
    def remove(self, slot: int) -> None:
        if slot in self.watched:
            self.poller.remove(self.fd(slot))
            del self.watched[slot]

    @rule(slot=SLOTS)
    def send(self, slot: int) -> None:
        self.unread[slot] += self.pairs[slot][1].send(b"x")

    @rule(slot=SLOTS)
    def receive(self, slot: int) -> None:
        if self.unread[slot]:
            self.pairs[slot][0].recv(self.unread[slot])
            self.unread[slot] = 0

    @rule(slot=SLOTS)
    def fill(self, slot: int) -> None:
        fill(self.pairs[slot][0])
        self.is_full[slot] = True

    @rule(slot=SLOTS)
    def drain(self, slot: int) -> None:
        try:
            while self.pairs[slot][1].recv(1 << 20):
                pass
        except BlockingIOError:
            wait_until_writable(self.pairs[slot][0])
            self.is_full[slot] = False

    @rule(slot=SLOTS, is_removed_first=st.booleans())
    def reopen(self, slot: int, is_removed_first: bool) -> None:
        """Close it, and let another socket have its number."""
        if is_removed_first:
            self.remove(slot)
        ours, theirs = self.pairs[slot]
        self.pairs[slot] = put_in_place_of(ours)
        for end in self.pairs[slot]:
            end.setblocking(False)
        theirs.close()
        self.unread[slot] = 0
        self.is_full[slot] = False
        if not is_removed_first:
            self.remove(slot)

    @rule()
    def wake(self) -> None:
        self.poller.wake()
        self.is_woken = True

    @rule(removed=st.sets(SLOTS), added=st.sets(SLOTS))
    def interfere(self, removed: set[int], added: set[int]) -> None:
        """Do things in the middle of a batch."""
        batch = self.poller.wait(0)
        next(batch, None)
        for slot in removed:
            self.remove(slot)
        new = added - set(self.watched)
        for slot in new:
            self.add(slot, BOTH)
        rest = {event.data for event in batch}
        assert rest <= set(self.watched) - new
        self.is_woken = False

    @rule()
    def wait_without_end(self) -> None:
        """Only where it must return."""
        if self.is_woken or self.expected():
            self.agree(self.poller.wait(None))
            self.is_woken = False

    def agree(self, events: Iterable[Event]) -> int:
        """Let the model and *events* be the same; return how many these are."""
        found = {event.data: event.events for event in events}
        # Over TCP, as pairs are on Windows, the peer acknowledges up to 40 ms late what
        # it has taken: a socket that was filled may find room by itself.
        self.look_for_room(slot for slot in found if WRITABLE in found[slot])
        assert found == self.expected()
        return len(found)

    def look_for_room(self, slots: Iterable[int]) -> None:
        for slot in slots:
            if self.is_full[slot] and has_room(self.pairs[slot][0]):
                self.is_full[slot] = False

    def expected(self) -> dict[int, EventMask]:
        found = {}
        for slot, events in self.watched.items():
            true = READABLE if self.unread[slot] else EventMask(0)
            if not self.is_full[slot]:
                true |= WRITABLE
            if true & events:
                found[slot] = true & events
        return found

    @invariant()
    def what_is_ready_is_reported_and_nothing_else(self) -> None:
        before = self.poller.statistics()
        self.look_for_room(range(5))
        reported = self.agree(self.poller.wait(0))
        self.is_woken = False
        after = self.poller.statistics()
        assert after.registered == len(self.watched)
        assert after.waits == before.waits + 1
        assert after.events == before.events + reported

    def teardown(self) -> None:
        self.poller.close()
        for pair in self.pairs:
            for end in pair:
                end.close()


class EpollPollerTests(PollerContract, SynchronousTestCase):
    if not hasattr(select, "epoll"):
        skip = "no epoll here"

    def make(self) -> Poller:
        return EpollPoller()

    def file(self) -> int:
        fd, path = tempfile.mkstemp()
        self.addCleanup(os.close, fd)
        Path(path).unlink()
        return fd

    def test_a_regular_file_is_always_ready(self) -> None:
        fd = self.file()
        ours, _ = self.pair()
        self.poller.add(fd, READABLE, "file")
        self.poller.add(ours.fileno(), WRITABLE, "socket")
        assert self.ready() == {fd: READABLE, ours.fileno(): WRITABLE}
        self.poller.modify(fd, WRITABLE)
        assert self.ready()[fd] == WRITABLE
        self.poller.modify(fd, BOTH)
        assert [e.data for e in self.poller.wait(None) if e.fd == fd] == ["file"]
        self.poller.remove(fd)
        assert self.ready() == {ours.fileno(): WRITABLE}
        self.poller.remove(ours.fileno())
        started = time.monotonic()
        assert self.poller.poll(0.02) == []
        assert waited(started) >= 0.02, "it waits again"

    def test_a_regular_file_that_was_closed_can_be_removed(self) -> None:
        fd = self.file()
        self.poller.add(fd, READABLE)
        os.dup2(self.pair()[0].fileno(), fd)
        self.poller.remove(fd)
        assert self.poller.poll(0) == []

    def test_it_can_be_watched_itself(self) -> None:
        check_that_it_can_be_watched(self, EpollPoller())


class PollPollerTests(PollerContract, SynchronousTestCase):
    if not hasattr(select, "poll"):
        skip = "no poll here"

    def make(self) -> Poller:
        return PollPoller()

    def test_a_regular_file_is_always_ready(self) -> None:
        with tempfile.TemporaryFile() as file:
            self.poller.add(file.fileno(), BOTH)
            assert self.ready() == {file.fileno(): BOTH}
            self.poller.remove(file.fileno())


class SelectPollerTests(PollerContract, SynchronousTestCase):
    tells_hangups = False
    tells_errors = False

    def make(self) -> Poller:
        return SelectPoller()

    @skipUnless(hasattr(os, "sysconf"), "on Windows any number will do")
    def test_a_descriptor_too_high_for_it_is_refused(self) -> None:
        ours, _ = self.pair()
        high = 1024
        if os.sysconf("SC_OPEN_MAX") <= high or is_open(high):
            return
        os.dup2(ours.fileno(), high)
        try:
            with self.assertRaises(ValueError):
                self.poller.add(high, WRITABLE)
            assert self.ready() == {}
        finally:
            os.close(high)

    def test_a_failure_that_is_nobodys_fault_is_raised(self) -> None:
        with (
            mock.patch("select.select", side_effect=OSError(12, "no memory")),
            self.assertRaises(OSError),
        ):
            self.poller.poll(0)


def check_that_it_can_be_watched(
    case: PollerContract, inner: EpollPoller | KqueuePoller
) -> None:
    case.addCleanup(inner.close)
    ours, theirs = case.pair()
    inner.add(ours.fileno(), READABLE)
    case.poller.add(inner.fileno(), READABLE)
    assert case.ready() == {}
    theirs.send(b"x")
    assert case.ready() == {inner.fileno(): READABLE}


class BestPollerTests(SynchronousTestCase):
    def test_it_is_the_best_this_platform_has(self) -> None:
        kinds = [("epoll", EpollPoller), ("kqueue", KqueuePoller), ("poll", PollPoller)]
        with best_poller() as poller:
            best = [kind for name, kind in kinds if hasattr(select, name)]
            rest = IocpPoller if IS_WINDOWS else SelectPoller
            assert type(poller) is (best or [rest])[0]

    @skipUnless(hasattr(select, "POLLRDHUP"), "the stand-in needs Linux's poll")
    def test_kqueue_where_there_is_no_epoll(self) -> None:
        with (
            mock.patch.object(pollers, "select", fake_kqueue),
            mock.patch.object(KqueuePoller.__init__, "__defaults__", (fake_kqueue,)),
            best_poller() as poller,
        ):
            assert type(poller) is KqueuePoller

    @skipUnless(hasattr(select, "poll"), "no poll here")
    def test_poll_or_select_where_there_is_nothing_better(self) -> None:
        bare = mock.Mock(spec=["poll", "select"], wraps=select)
        with mock.patch.object(pollers, "select", bare):
            with best_poller() as poller:
                assert type(poller) is PollPoller
            del bare.poll
            with best_poller() as poller:
                assert type(poller) is SelectPoller
