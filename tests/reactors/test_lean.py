"""The lean reactor does what a stock one does, and survives what it may not."""

from __future__ import annotations

import gc
import os
import signal
import socket
import threading
import time
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from twisted.internet import interfaces
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from twisted.internet.protocol import Factory, Protocol
from twisted.python import context, log  # noqa: TID251  # what is tested is its context
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import alsoProvides
from zope.interface.verify import verifyObject

from tests.reactors import made as reactors
from tests.reactors.descriptors import descriptors
from tests.reactors.ring_here import REFUSAL

if TYPE_CHECKING:
    from collections.abc import Callable

    Base = SynchronousTestCase
else:
    Base = object


class Scripted:
    """A selectable that does what it is told, and notes what is done to it."""

    def __init__(self, end: socket.socket, **script: Callable[[], Any]) -> None:
        self.end = end
        self.script = script
        self.notes: list[Any] = []

    def _play(self, name: str, otherwise: Any = None) -> Any:
        self.notes.append(name)
        return self.script.get(name, lambda: otherwise)()

    def fileno(self) -> int:
        if "fileno" in self.script:
            return int(self.script["fileno"]())
        return self.end.fileno()

    def logPrefix(self) -> str:
        return str(self.script.get("logPrefix", lambda: "scripted")())

    def doRead(self) -> Any:
        return self._play("doRead")

    def doWrite(self) -> Any:
        return self._play("doWrite")

    def connectionLost(self, reason: Failure) -> None:
        self.notes.append(reason.type)
        self._play("connectionLost")

    def readConnectionLost(self, reason: Failure) -> None:
        self.notes.append(reason.type)
        self._play("readConnectionLost")


def raising(error: BaseException) -> Callable[[], Any]:
    def play() -> None:
        raise error

    return play


# What a doRead or doWrite may return or raise. A class: made anew for each reactor.
OUTCOMES: dict[str, Callable[[], Any]] = {
    "nothing": lambda: None,
    "done": lambda: CONNECTION_DONE,
    "lost": lambda: CONNECTION_LOST,
    "another error": lambda: OSError(5, "Input/output error"),
    "raises": raising(ZeroDivisionError()),
    "raises done": raising(ConnectionDone()),
    "raises lost": raising(ConnectionLost()),
    "raises KeyboardInterrupt": raising(KeyboardInterrupt()),
    "raises SystemExit": raising(SystemExit(3)),
    "raises BaseException": raising(BaseException()),
}
AFTERWARDS: dict[str, dict[str, Callable[[], Any]]] = {
    "is told": {},
    "raises when told": {"connectionLost": raising(KeyError("told"))},
    "raises when half told": {"readConnectionLost": raising(KeyError("half"))},
    "is interrupted when told": {"connectionLost": raising(KeyboardInterrupt())},
}


class LeanContract(Base):
    """What holds for the lean reactor over every poller."""

    interface: str
    has_stock = True

    def setUp(self) -> None:
        if self.interface not in reactors.OURS:
            reason = REFUSAL if self.interface == "io_uring" else ""
            self.skipTest(reason or f"no {self.interface} here")
        self.reactor = reactors.made(self, reactors.OURS[self.interface])

    def pair(self) -> tuple[socket.socket, socket.socket]:
        pair = socket.socketpair()
        for end in pair:
            end.setblocking(False)
            self.addCleanup(end.close)
        return pair

    def scripted(self, *, is_ready: bool = True, **script: Any) -> Scripted:
        ours, theirs = self.pair()
        if is_ready:
            theirs.send(b"x")
        return Scripted(ours, **script)

    def watched(self, reactor: Any = None) -> tuple[list[Any], list[Any]]:
        reactor = reactor or self.reactor
        internal = reactor._internalReaders
        readers = [each for each in reactor.getReaders() if each not in internal]
        return readers, reactor.getWriters()

    # As the stock reactor

    def test_every_outcome_is_dealt_with_as_in_stock_twisted(self) -> None:
        if not self.has_stock:
            return
        for way in ("doRead", "doWrite", "both"):
            for outcome, play in OUTCOMES.items():
                for afterwards, more in AFTERWARDS.items():
                    for is_half_closeable in (False, True):
                        script = {"doRead" if way == "both" else way: play, **more}
                        arguments = (way, script, is_half_closeable)
                        assert self.what_happens(self.reactor, *arguments) == (
                            self.what_happens(self.stock, *arguments)
                        ), (way, outcome, afterwards, is_half_closeable)

    @property
    def stock(self) -> Any:
        if not hasattr(self, "_stock"):
            make = reactors.stock
            self._stock = reactors.made(self, lambda: make(self.interface))
        return self._stock

    def what_happens(
        self, reactor: Any, way: str, script: dict[str, Any], is_half_closeable: bool
    ) -> Any:
        selectable = self.scripted(**script)
        if is_half_closeable:
            alsoProvides(selectable, interfaces.IHalfCloseableDescriptor)
        if way in ("doRead", "both"):
            reactor.addReader(selectable)
        if way in ("doWrite", "both"):
            reactor.addWriter(selectable)
        raised = None
        try:
            reactor.doIteration(0)
        except BaseException as error:  # noqa: BLE001  # whatever it is
            raised = type(error)
        reading, writing = self.watched(reactor)
        reactor.removeReader(selectable)
        reactor.removeWriter(selectable)
        errors = [failure.type for failure in self.flushLoggedErrors()]
        return selectable.notes, reading != [], writing != [], raised, errors

    def test_it_provides_what_it_says(self) -> None:
        for interface in (interfaces.IReactorFDSet, interfaces.IReactorCore):
            verifyObject(interface, self.reactor)

    def test_readers_and_writers_are_listed_and_removed_together(self) -> None:
        both, reader, writer = (self.scripted() for _ in range(3))
        for each in (both, reader):
            self.reactor.addReader(each)
            self.reactor.addReader(each)
        for each in (both, writer):
            self.reactor.addWriter(each)
            self.reactor.addWriter(each)
        readers, writers = self.watched()
        self.assertCountEqual(readers, [both, reader])
        self.assertCountEqual(writers, [both, writer])
        assert self.reactor.statistics().registered == 3 + self.wakers
        self.assertCountEqual(self.reactor.removeAll(), [both, reader, writer])
        assert self.watched() == ([], [])
        assert self.reactor.statistics().registered == self.wakers
        self.reactor.iterate(0)
        assert both.notes == reader.notes == writer.notes == []

    @property
    def wakers(self) -> int:
        return len(self.reactor._internalReaders)

    def test_removing_what_is_not_watched_is_nothing(self) -> None:
        stranger = self.scripted()
        self.reactor.removeReader(stranger)
        self.reactor.removeWriter(stranger)
        stranger.end.close()
        self.reactor.removeReader(stranger)
        self.reactor.removeWriter(stranger)

    # Logs

    def logged_by(self, speak: Callable[[], Any]) -> list[dict[str, Any]]:
        events: list[dict[str, Any]] = []
        log.addObserver(events.append)
        self.addCleanup(log.removeObserver, events.append)
        self.reactor.addReader(self.scripted(doRead=speak))
        self.reactor.iterate(0)
        return events

    def test_a_log_says_who_was_served(self) -> None:
        (event,) = self.logged_by(lambda: log.msg("read"))
        assert event["system"] == "scripted"

    def test_a_log_of_a_writer_says_so_too(self) -> None:
        events: list[dict[str, Any]] = []
        log.addObserver(events.append)
        self.addCleanup(log.removeObserver, events.append)
        self.reactor.addWriter(self.scripted(doWrite=lambda: log.msg("written")))
        self.reactor.iterate(0)
        (event,) = events
        assert event["system"] == "scripted"

    def test_a_failure_is_logged_with_who_was_served(self) -> None:
        (event,) = self.logged_by(raising(ZeroDivisionError()))
        assert event["system"] == "scripted"
        self.flushLoggedErrors(ZeroDivisionError)

    def test_the_context_is_a_mapping_as_in_stock_twisted(self) -> None:
        found: list[Any] = []

        def look() -> None:
            inherited = context.get(log.ILogContext)
            found.append((inherited["system"], inherited.get("system")))
            found.append(inherited.get("nothing", 7))
            found.append(dict(inherited.copy())["system"])
            log.callWithContext({"more": 1}, nested)

        def nested() -> None:
            inherited = context.get(log.ILogContext)
            found.append((inherited["system"], inherited["more"]))

        assert self.logged_by(look) == []
        name = "scripted"
        assert found == [(name, name), 7, name, (name, 1)]

    def test_a_context_around_the_reactor_is_kept(self) -> None:
        def speak() -> None:
            log.msg("x", seen=context.get("who"))

        events = context.call(
            {log.ILogContext: {"isError": 0, "site": "here"}, "who": "me"},
            self.logged_by,
            speak,
        )
        assert (events[0]["site"], events[0]["seen"]) == ("here", "me")

    def test_a_log_prefix_that_raises_harms_nobody(self) -> None:
        selectable = self.scripted(
            doRead=lambda: log.msg("x"), logPrefix=raising(ZeroDivisionError())
        )
        events: list[dict[str, Any]] = []
        log.addObserver(events.append)
        self.addCleanup(log.removeObserver, events.append)
        self.reactor.addReader(selectable)
        self.reactor.iterate(0)
        assert [event["system"] for event in events] == ["(buggy logPrefix method)"]
        assert selectable.notes == ["doRead"]

    def test_outside_of_a_batch_there_is_no_context_of_ours(self) -> None:
        before = context.get(log.ILogContext)
        self.logged_by(lambda: None)
        assert context.get(log.ILogContext) == before
        self.logged_by(raising(ZeroDivisionError()))
        assert context.get(log.ILogContext) == before
        self.flushLoggedErrors()

    # The loop

    def run_loop(self) -> None:
        """Run it until somebody calls ``stop_loop``, with nothing around it."""
        self.reactor._started = self.reactor.running = True
        self.reactor.mainLoop()

    def stop_loop(self) -> None:
        self.reactor._started = self.reactor.running = False

    def test_between_events_a_log_says_what_it_says_outside(self) -> None:
        events: list[dict[str, Any]] = []
        log.addObserver(events.append)
        self.addCleanup(log.removeObserver, events.append)

        def read() -> None:
            self.reactor.removeReader(reader)
            log.msg("read", seen=context.get("who"))
            self.reactor.callLater(0, timed)

        def timed() -> None:
            log.msg("timed", seen=context.get("who"))
            self.stop_loop()

        reader = self.scripted(doRead=read)
        self.reactor.addReader(reader)
        context.call(
            {log.ILogContext: {"isError": 0, "system": "around"}, "who": "me"},
            self.run_loop,
        )
        said = [(e["system"], e["seen"]) for e in events if "seen" in e]
        assert said == [("scripted", "me"), ("around", "me")]

    def test_what_a_thread_logs_is_logged_as_who_called_it(self) -> None:
        events: list[dict[str, Any]] = []
        log.addObserver(events.append)
        self.addCleanup(log.removeObserver, events.append)
        pool = ThreadPool(0, 2)
        pool.start()
        self.addCleanup(pool.stop)
        is_read = threading.Event()

        def speak() -> None:
            is_read.wait(10)
            log.msg("x", spoken=1)
            self.reactor.callFromThread(self.stop_loop)

        def read_first() -> None:
            self.reactor.removeReader(first)
            pool.callInThread(speak)
            self.reactor.addReader(second)

        def read_second() -> None:
            self.reactor.removeReader(second)
            is_read.set()

        first = self.scripted(doRead=read_first)
        second = self.scripted(doRead=read_second, logPrefix=lambda: "second")
        self.reactor.addReader(first)
        self.run_loop()
        assert [e["system"] for e in events if "spoken" in e] == ["scripted"]

    def test_what_is_in_a_context_around_the_loop_is_found_in_it(self) -> None:
        seen: list[Any] = []

        def read() -> None:
            pushed = context.theContextTracker.currentContext().contexts[-1]
            seen.extend((context.get("who"), context.get("nobody", 7)))
            seen.extend((pushed.get(log.ILogContext)["system"], pushed.get("who", 8)))
            self.stop_loop()

        self.reactor.addReader(self.scripted(doRead=read))
        context.call({"who": "me"}, self.run_loop)
        assert seen == ["me", 7, "scripted", 8]

    def test_when_the_loop_is_over_its_context_is(self) -> None:
        before = context.get(log.ILogContext)
        self.reactor.callLater(0, self.stop_loop)
        self.run_loop()
        assert context.get(log.ILogContext) is before

    def test_a_turn_that_fails_is_logged_and_the_loop_goes_on(self) -> None:
        turns: list[float | None] = []

        def fail_once(delay: float | None) -> None:
            turns.append(delay)
            if len(turns) == 2:
                self.stop_loop()
            else:
                raise ZeroDivisionError

        self.patch(self.reactor, "doIteration", fail_once)
        self.run_loop()
        assert turns == [None, None]
        assert len(self.flushLoggedErrors(ZeroDivisionError)) == 1

    def test_it_waits_as_long_as_nothing_is_due(self) -> None:
        delays: list[float | None] = []
        now = [100.0]
        self.patch(self.reactor, "seconds", lambda: now[0])
        due: list[str] = []
        self.reactor.callLater(0.25, due.append, "first")
        self.reactor.callLater(0.25, due.append, "never").cancel()

        def turn(delay: float | None) -> None:
            delays.append(delay)
            now[0] += 0.125
            if len(delays) == 3:
                self.reactor.callFromThread(due.append, "thread")
            if len(delays) == 5:
                self.reactor.running = False
            if len(delays) == 6:
                self.stop_loop()

        self.patch(self.reactor, "doIteration", turn)
        self.run_loop()
        assert delays == [0.25, 0.125, None, None, None, 0.0]
        assert due == ["first", "thread"]

    # What an event does to those behind it

    def test_who_is_removed_by_an_earlier_event_hears_nothing(self) -> None:
        group: list[Scripted] = []

        def remove_the_others() -> None:
            for each in group:
                if not each.notes:
                    self.reactor.removeReader(each)

        group += [self.scripted(doRead=remove_the_others) for _ in range(5)]
        for each in group:
            self.reactor.addReader(each)
        self.reactor.iterate(0)
        assert [each.notes for each in group].count(["doRead"]) == 1
        assert [each.notes for each in group].count([]) == 4

    def test_news_of_a_closed_socket_does_not_reach_who_has_its_number(self) -> None:
        group: list[Scripted] = []
        newcomers: list[Scripted] = []

        def replace_the_others() -> None:
            for each in [each for each in group if not each.notes]:
                group.remove(each)
                self.reactor.removeReader(each)
                fd = each.fileno()
                quiet, _ = self.pair()
                os.dup2(quiet.fileno(), fd)
                newcomers.append(Scripted(each.end))
                self.reactor.addReader(newcomers[-1])

        group += [self.scripted(doRead=replace_the_others) for _ in range(4)]
        for each in group:
            self.reactor.addReader(each)
        for _ in range(3):
            self.reactor.iterate(0)
        assert len(newcomers) == 3
        assert [each.notes for each in newcomers] == [[], [], []]

    def test_a_nested_iteration_leaves_the_outer_one_in_order(self) -> None:
        inner = self.scripted()
        outer = self.scripted(doRead=nest_once(self.reactor, inner))
        events: list[dict[str, Any]] = []
        log.addObserver(events.append)
        self.addCleanup(log.removeObserver, events.append)
        self.reactor.addReader(outer)
        self.reactor.iterate(0)
        assert inner.notes == ["doRead"]
        assert [event["system"] for event in events] == ["scripted"]

    # The end of a batch

    def test_what_is_asked_for_comes_after_the_batch_and_once(self) -> None:
        order: list[str] = []

        def ask_twice() -> None:
            order.append("read")
            for name in ("first", "second"):
                self.reactor.call_after_batch(partial(order.append, name))

        group = [self.scripted(doRead=ask_twice) for _ in range(2)]
        for each in group:
            self.reactor.addReader(each)
        self.reactor.callLater(0, order.append, "timer")
        self.reactor.doIteration(0)
        self.reactor.runUntilCurrent()
        for each in group:
            self.reactor.removeReader(each)
        self.reactor.iterate(0)
        assert order == ["read"] * 2 + ["first", "second"] * 2 + ["timer"]

    def test_what_a_timer_asks_for_comes_before_the_next_wait(self) -> None:
        order: list[str] = []
        later = partial(self.reactor.callLater, 0, order.append, "due")
        self.reactor.call_after_batch(later)
        self.reactor.doIteration(None)  # would wait for ever
        assert order == []
        self.reactor.iterate(0)
        assert order == ["due"]

    def test_what_it_asks_for_in_turn_comes_before_the_next_wait(self) -> None:
        order: list[str] = []

        def ask_again() -> None:
            order.append("once")
            self.reactor.call_after_batch(partial(order.append, "again"))

        reader = self.scripted(doRead=partial(self.reactor.call_after_batch, ask_again))
        self.reactor.addReader(reader)
        self.reactor.doIteration(0)
        self.reactor.removeReader(reader)
        assert order == ["once"]
        self.reactor.doIteration(None)
        assert order == ["once", "again"]

    def test_what_fails_after_a_batch_harms_nobody(self) -> None:
        order: list[str] = []
        for error in (ZeroDivisionError(), SystemExit(3)):
            self.reactor.call_after_batch(raising(error))
        self.reactor.call_after_batch(partial(order.append, "last"))
        self.reactor.doIteration(0)
        assert order == ["last"]
        assert len(self.flushLoggedErrors(ZeroDivisionError, SystemExit)) == 2
        self.reactor.call_after_batch(raising(KeyboardInterrupt()))
        self.reactor.call_after_batch(partial(order.append, "after all"))
        self.assertRaises(KeyboardInterrupt, self.reactor.doIteration, 0)
        self.reactor.doIteration(0)
        assert order == ["last", "after all"]

    def test_other_threads_end_a_wait_without_a_limit(self) -> None:
        called: list[str] = []
        thread = threading.Thread(
            target=self.reactor.callFromThread, args=(called.append, "here")
        )
        thread.start()
        self.reactor.doIteration(None)
        self.reactor.runUntilCurrent()
        thread.join()
        assert called == ["here"]

    # Closed behind its back

    def test_a_socket_closed_behind_its_back_is_forgotten_when_removed(self) -> None:
        for add in (["addReader"], ["addWriter"], ["addReader", "addWriter"]):
            for first, second in (
                ("removeReader", "removeWriter"),
                ("removeWriter", "removeReader"),
            ):
                selectable = self.scripted()
                for name in add:
                    getattr(self.reactor, name)(selectable)
                selectable.end.close()
                getattr(self.reactor, first)(selectable)
                getattr(self.reactor, second)(selectable)
                assert self.watched() == ([], [])
        assert self.reactor.statistics().registered == self.wakers

    def test_who_gets_the_number_of_a_socket_closed_behind_its_back(self) -> None:
        gone = self.scripted()
        fd = gone.fileno()
        self.reactor.addReader(gone)
        self.reactor.addWriter(gone)
        other, theirs = self.pair()
        gone.end.close()
        os.dup2(other.fileno(), fd)
        end = socket.socket(fileno=fd)
        self.addCleanup(end.close)
        newcomer = Scripted(end)
        self.reactor.addReader(newcomer)
        assert self.watched() == ([newcomer], [])
        theirs.send(b"x")
        self.reactor.iterate(0)
        assert newcomer.notes == ["doRead"]
        assert gone.notes == []
        self.reactor.removeReader(gone)
        assert self.watched() == ([newcomer], [])

    def test_a_descriptor_that_raises_is_disconnected(self) -> None:
        for way in ("addReader", "addWriter"):
            selectable = self.scripted()
            getattr(self.reactor, way)(selectable)
            selectable.script["fileno"] = raising(ValueError("it is closed"))
            self.reactor.iterate(0)
            assert selectable.notes == [ValueError, "connectionLost"]
            assert self.watched() == ([], [])
            assert len(self.flushLoggedErrors(ValueError)) == 1

    def test_two_may_share_a_descriptor(self) -> None:
        # As twisted.internet.stdio does for a terminal: one reads and one writes.
        reader = self.scripted()
        writer = Scripted(reader.end)
        self.reactor.addReader(reader)
        self.reactor.addWriter(writer)
        assert len(self.reactor.getReaders()) == 1 + self.wakers
        assert self.reactor.getWriters() == [writer]

    # The loop goes on

    def served(self) -> tuple[Any, socket.socket]:
        factory = Factory.forProtocol(Echo)
        port = self.reactor.listenTCP(0, factory, interface="127.0.0.1")
        client = socket.create_connection(("127.0.0.1", port.getHost().port))
        client.settimeout(10)
        self.addCleanup(client.close)
        return port, client

    def end(self, port: Any) -> None:
        """Stop listening, and run until all is closed."""
        port.stopListening()
        for _ in range(20):
            self.reactor.iterate(0)
        for each in self.reactor.removeAll():
            each.connectionLost(Failure(ConnectionDone()))
        assert self.watched() == ([], [])

    def test_an_exception_in_a_protocol_ends_its_connection_only(self) -> None:
        port, good = self.served()
        bad = socket.create_connection(good.getpeername())
        self.addCleanup(bad.close)
        bad.settimeout(10)
        answers: list[bytes] = []

        def talk() -> None:
            bad.send(b"boom")
            self.reactor.callLater(0.02, go_on)

        def go_on() -> None:
            answers.append(bad.recv(10))
            good.send(b"hello")
            self.reactor.callLater(0.02, finish)

        def finish() -> None:
            answers.append(good.recv(10))
            self.reactor.stop()

        self.reactor.callLater(0.02, talk)
        reactors.run(self.reactor)
        assert answers == [b"", b"hello"]
        assert len(self.flushLoggedErrors(ZeroDivisionError)) == 1
        self.end(port)

    def test_a_socket_closed_behind_its_back_stops_nobody_else(self) -> None:
        port, victim = self.served()
        bystander = socket.create_connection(victim.getpeername())
        self.addCleanup(bystander.close)
        answers: list[bytes] = []

        def close_it() -> None:
            (transport,) = (
                each
                for each in self.reactor.getReaders()
                if getattr(each, "client", None) == victim.getsockname()
            )
            transport.socket.close()
            self.reactor.callLater(0.02, go_on)

        def go_on() -> None:
            # It is likely to get the number that has become free.
            late = socket.create_connection(victim.getpeername())
            self.addCleanup(late.close)
            for client in (late, bystander):
                client.settimeout(10)
                client.send(b"hello")
            self.reactor.callLater(0.05, finish, late)

        def finish(late: socket.socket) -> None:
            answers.extend(client.recv(10) for client in (late, bystander))
            self.reactor.stop()

        self.reactor.callLater(0.02, close_it)
        reactors.run(self.reactor)
        assert answers == [b"hello", b"hello"]
        self.end(port)
        self.flushLoggedErrors()

    def test_a_storm_of_signals_interrupts_nothing(self) -> None:
        port, client = self.served()
        hits: list[int] = []
        self.addCleanup(signal.signal, signal.SIGALRM, signal.getsignal(signal.SIGALRM))
        signal.signal(signal.SIGALRM, lambda *_: hits.append(1))
        answered: list[bytes] = []

        def talk() -> None:
            if len(answered) == 60:
                self.reactor.stop()
                return
            client.send(b"hello")
            self.reactor.callLater(0.005, listen)

        def listen() -> None:
            answered.append(client.recv(10))
            talk()

        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
        try:
            self.reactor.callLater(0, talk)
            reactors.run(self.reactor)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        assert answered == [b"hello"] * 60
        assert len(hits) > 20
        assert self.flushLoggedErrors() == []
        self.end(port)

    def test_timers_are_not_kept_waiting_by_a_flood(self) -> None:
        # More that are always readable than one batch holds.
        ours, theirs = self.pair()
        theirs.send(b"x")
        flood = []
        for _ in range(700):
            fd = os.dup(ours.fileno())
            self.addCleanup(os.close, fd)
            selectable = Scripted(ours, fileno=partial(int, fd))
            self.reactor.addReader(selectable)
            flood.append(selectable)
        turns: list[int] = []

        def tick() -> None:
            turns.append(sum(len(each.notes) for each in flood))
            if len(turns) == 5:
                self.reactor.stop()
            else:
                self.reactor.callLater(0, tick)

        self.reactor.callLater(0, tick)
        reactors.run(self.reactor)
        assert max(b - a for a, b in pairwise(turns)) <= len(flood)
        for each in flood:
            self.reactor.removeReader(each)

    def test_it_waits_for_timers_and_not_longer(self) -> None:
        started = time.monotonic()
        moments: list[float] = []
        self.reactor.callLater(0.05, lambda: moments.append(time.monotonic()))
        self.reactor.callLater(0.06, self.reactor.stop)
        reactors.run(self.reactor)
        assert 0.05 <= moments[0] - started < 1
        # Not a busy loop: a handful of waits.
        assert self.reactor.statistics().waits < 10

    def test_a_thread_ends_its_wait(self) -> None:
        self.reactor.callWhenRunning(
            self.reactor.callInThread, self.reactor.callFromThread, self.reactor.stop
        )
        started = time.monotonic()
        reactors.run(self.reactor)
        assert time.monotonic() - started < 5

    def test_it_leaves_nothing(self) -> None:
        gc.collect()
        before = descriptors()
        reactor = reactors.OURS[self.interface]()
        assert descriptors() > before
        reactors.unmake(reactor)
        del reactor
        gc.collect()
        assert descriptors() == before


def nest_once(reactor: Any, inner: Scripted) -> Callable[[], None]:
    turns: list[int] = []

    def play() -> None:
        if not turns:
            turns.append(1)
            reactor.addReader(inner)
            reactor.iterate(0)
            reactor.removeReader(inner)
            log.msg("after the inner one")

    return play


class Echo(Protocol):
    """Says what it hears; one word is too much for it."""

    def dataReceived(self, data: bytes) -> None:
        if data == b"boom":
            raise ZeroDivisionError
        assert self.transport is not None
        self.transport.write(data)


class EpollTests(LeanContract, SynchronousTestCase):
    interface = "epoll"


class PollTests(LeanContract, SynchronousTestCase):
    interface = "poll"


class KqueueTests(LeanContract, SynchronousTestCase):
    interface = "kqueue"
    has_stock = False


class UringTests(LeanContract, SynchronousTestCase):
    interface = "io_uring"
