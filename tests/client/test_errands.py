"""Calls made for other threads, with a reactor that is moved by hand."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.client.errands import Errand, Errands
from httpx_tw.errors import ClientClosed, LocalProtocolError
from tests.client.threaded_server import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable


class Reactor:
    """Keeps what it is to call until it is told to."""

    def __init__(self) -> None:
        self.calls: list[tuple[Callable[..., Any], tuple[Any, ...]]] = []
        self.rings = 0
        self.triggers: dict[int, Callable[[], Any]] = {}

    def callFromThread(self, function: Callable[..., Any], *args: Any) -> None:  # noqa: N802
        self.rings += 1
        self.calls.append((function, args))

    def turn(self) -> None:
        calls, self.calls = self.calls, []
        for function, args in calls:
            function(*args)

    def addSystemEventTrigger(  # noqa: N802
        self, phase: str, event: str, function: Callable[[], Any]
    ) -> int:
        assert (phase, event) == ("before", "shutdown")
        self.triggers[len(self.triggers)] = function
        return len(self.triggers) - 1

    def removeSystemEventTrigger(self, trigger: int) -> None:  # noqa: N802
        del self.triggers[trigger]


class Waiting(threading.Thread):
    """A thread that makes one call, and waits for it."""

    def __init__(self, function: Callable[[], Any]) -> None:
        super().__init__()
        self.function = function
        self.outcome: Any = None
        self.start()

    def run(self) -> None:
        try:
            self.outcome = self.function()
        except Exception as error:  # noqa: BLE001  # to be looked at
            self.outcome = error

    def joined(self) -> Any:
        self.join(10)
        return self.outcome


class ErrandTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = Reactor()
        self.errands = Errands(self.reactor, -1)

    def calls(self, function: Callable[..., Any], *args: Any) -> Waiting:
        before = self.brought
        waiting = Waiting(lambda: self.errands.call(function, *args))
        wait_until(lambda: self.brought > before or not waiting.is_alive())
        return waiting

    @property
    def brought(self) -> int:
        return len(self.errands._returns.brought)

    def test_a_result_comes_back(self) -> None:
        waiting = self.calls(lambda a, b: a + b, 1, 2)
        self.reactor.turn()
        self.assertEqual(waiting.joined(), 3)

    def test_a_deferred_is_waited_for(self) -> None:
        deferred: Deferred[str] = Deferred()
        waiting = self.calls(lambda: deferred)
        self.reactor.turn()
        self.assertTrue(waiting.is_alive())
        deferred.callback("late")
        self.assertEqual(waiting.joined(), "late")

    def test_an_error_is_raised_where_it_is_waited_for(self) -> None:
        deferred: Deferred[str] = Deferred()
        late = self.calls(lambda: deferred)
        now = self.calls(lambda: 1 / 0)
        self.reactor.turn()
        self.assertIsInstance(now.joined(), ZeroDivisionError)
        deferred.errback(KeyError("late"))
        self.assertIsInstance(late.joined(), KeyError)

    def test_the_reactor_is_woken_once_for_a_batch(self) -> None:
        waiting = [self.calls(lambda: None) for _ in range(5)]
        self.assertEqual(self.reactor.rings, 1)
        self.reactor.turn()
        for each in waiting:
            self.assertIsNone(each.joined())
        self.calls(self.reactor.turn)
        self.assertEqual(self.reactor.rings, 2)
        self.reactor.turn()

    def test_the_reactors_own_thread_must_not_wait_for_itself(self) -> None:
        self.errands.reactor_thread = threading.get_ident()
        self.assertRaises(LocalProtocolError, self.errands.call, lambda: None)

    def test_who_is_interrupted_cancels_what_goes_on(self) -> None:
        cancelled: list[str] = []
        deferred: Deferred[None] = Deferred(lambda _: cancelled.append("yes"))

        class Interrupted:
            def get(inbox) -> Any:  # noqa: N805
                self.reactor.turn()  # it has begun
                raise KeyboardInterrupt

            def put(inbox, _: Any) -> None:  # noqa: N805
                """Nobody listens any more."""

        errand = Errand(self.errands)
        errand._inbox = Interrupted()  # type: ignore[assignment]  # as the signal would
        self.assertRaises(KeyboardInterrupt, errand.run, lambda: deferred)
        self.assertEqual(cancelled, [])
        self.reactor.turn()
        self.assertEqual(cancelled, ["yes"])

    def test_who_is_interrupted_before_it_begun_cancels_nothing(self) -> None:
        self.errands.abandon(Errand(self.errands))


class FetchTests(ErrandTests):
    def fetching(self, function: Callable[[], Any]) -> tuple[Waiting, Deferred[Any]]:
        """Begin a call whose thread is sent for something."""
        done: Deferred[Any] = Deferred()
        errand = Errand(self.errands)
        waiting = Waiting(lambda: errand.run(lambda: done))
        wait_until(lambda: self.brought)
        self.reactor.turn()
        fetched = errand.fetch(function)
        wait_until(lambda: self.brought)
        self.done = done
        return waiting, fetched

    def test_what_blocks_is_done_by_the_thread_that_waits(self) -> None:
        waiting, fetched = self.fetching(threading.get_ident)
        self.assertNoResult(fetched)
        self.reactor.turn()
        self.assertEqual(self.successResultOf(fetched), waiting.ident)
        self.done.callback("over")
        self.assertEqual(waiting.joined(), "over")

    def test_its_error_is_for_who_sent_it(self) -> None:
        waiting, fetched = self.fetching(lambda: 1 / 0)
        self.reactor.turn()
        self.failureResultOf(fetched, ZeroDivisionError)
        self.done.callback(None)
        self.assertIsNone(waiting.joined())

    def test_what_nobody_wants_any_more_is_dropped(self) -> None:
        for function in (lambda: 1, lambda: 1 / 0):
            waiting, fetched = self.fetching(function)
            fetched.cancel()
            self.failureResultOf(fetched, CancelledError)
            self.reactor.turn()
            self.done.callback(None)
            waiting.joined()


class EndTests(ErrandTests):
    def test_when_the_reactor_stops_everybody_is_told(self) -> None:
        cancelled: list[str] = []
        self.errands.watch()
        begun = self.calls(lambda: Deferred(lambda _: cancelled.append("yes")))
        self.reactor.turn()
        brought = self.calls(lambda: "too late")
        (stop,) = self.reactor.triggers.values()
        stop()
        for waiting in (begun, brought, self.calls(lambda: "much too late")):
            self.assertIsInstance(waiting.joined(), ClientClosed)
        self.assertEqual(cancelled, ["yes"])
        stop()

    def test_a_reactor_that_is_gone_may_say_so_in_its_own_way(self) -> None:
        def wake_up(*_: object) -> None:
            raise OSError("not a socket")  # Twisted's waker on Windows

        self.patch(self.reactor, "callFromThread", wake_up)
        self.assertRaises(OSError, self.errands.bring, id, 1)
        self.errands = Errands(self.reactor, -1)
        self.errands.end()
        self.assertRaises(ClientClosed, self.errands.call, id, 1)

    def test_who_no_longer_watches_is_not_called(self) -> None:
        self.errands.watch()
        self.errands.unwatch()
        self.errands.unwatch()
        self.assertEqual(self.reactor.triggers, {})
