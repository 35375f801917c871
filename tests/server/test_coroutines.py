"""Driving coroutines: over at once, later, with a failure, or cancelled."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.errors import ConfigurationError
from httpx_tw.server import coroutines

VARIABLE: ContextVar[str] = ContextVar("variable", default="outside")


class Future:
    """A future of asyncio's as far as it is looked at."""

    def __init__(self, loop: Any) -> None:
        self._asyncio_future_blocking = True
        self._loop = loop

    def get_loop(self) -> Any:
        return self._loop

    def __await__(self) -> Any:
        return (yield self)


class StoppedLoop:
    """An event loop that does not run."""

    def is_running(self) -> bool:
        return False


class Coroutines(SynchronousTestCase):
    """See the module."""

    def setUp(self) -> None:
        self.results: list[Any] = []

    def start(self, coroutine: Any) -> coroutines.RunningCoroutine | None:
        return coroutines.start(coroutine, self.results.append, self.failed)

    def failed(self, failure: Failure) -> None:
        self.results.append(type(failure.value))

    def test_one_that_never_waits_is_over_at_once(self) -> None:
        async def at_once() -> int:
            return 1

        self.assertIsNone(self.start(at_once()))
        self.assertEqual(self.results, [1])

    def test_one_that_fails_at_once(self) -> None:
        async def fail() -> None:
            raise ValueError

        self.assertIsNone(self.start(fail()))
        self.assertEqual(self.results, [ValueError])

    def test_a_program_that_wants_to_exit_only_fails_its_request(self) -> None:
        async def leave() -> None:
            raise SystemExit

        self.assertIsNone(self.start(leave()))
        self.assertEqual(self.results, [SystemExit])

    def test_what_is_waited_for_is_given_or_thrown(self) -> None:
        first, second, third = (Deferred[int]() for _ in range(3))

        async def add() -> int:
            total = await first + await second
            try:
                await third
            except KeyError:
                total += 100
            return total

        running = self.start(add())
        assert running is not None
        first.callback(1)
        second.callback(2)
        third.errback(KeyError())
        self.assertTrue(running.is_over)
        self.assertEqual(self.results, [103])

    def test_one_that_fails_later(self) -> None:
        wait: Deferred[None] = Deferred()

        async def fail() -> None:
            await wait
            raise ValueError

        self.start(fail())
        wait.callback(None)
        self.assertEqual(self.results, [ValueError])

    def test_a_cancelled_future_is_a_failure_not_a_silence(self) -> None:
        wait: Deferred[None] = Deferred()

        async def cancelled() -> None:
            await wait

        self.start(cancelled())
        wait.errback(Failure(asyncio.CancelledError()))
        self.assertEqual(self.results, [asyncio.CancelledError])

    def test_each_has_its_own_context(self) -> None:
        wait: Deferred[None] = Deferred()

        async def change() -> str:
            before = VARIABLE.get()
            VARIABLE.set("inside")
            await wait
            return f"{before}, {VARIABLE.get()}"

        self.start(change())
        wait.callback(None)
        self.assertEqual(self.results, ["outside, inside"])
        self.assertEqual(VARIABLE.get(), "outside")

    def test_cancelling_cancels_what_is_waited_for_and_tells_nobody(self) -> None:
        steps: list[str] = []

        async def wait() -> None:
            try:
                await Deferred[None]()
            except CancelledError:
                steps.append("cancelled")
                raise
            finally:
                steps.append("finally")

        running = self.start(wait())
        assert running is not None
        running.cancel()
        self.assertEqual(steps, ["cancelled", "finally"])
        self.assertEqual(self.results, [])
        self.assertTrue(running.is_over)
        running.cancel()

    def test_one_that_is_disowned_goes_on(self) -> None:
        wait: Deferred[None] = Deferred()
        steps: list[str] = []

        async def go_on() -> None:
            await wait
            steps.append("went on")

        running = self.start(go_on())
        assert running is not None
        running.disown()
        wait.callback(None)
        self.assertEqual((steps, self.results), (["went on"], []))

    def test_waiting_for_something_else_is_an_error_in_its_place(self) -> None:
        caught: list[str] = []

        async def strange() -> int:
            for _ in range(2):
                try:
                    await Future(None) if not caught else await Strange()
                except TypeError as error:
                    caught.append(str(error))
            return 1

        class Strange:
            def __await__(self) -> Any:
                yield "nonsense"

        Future.get_loop = lambda self: StoppedLoop()  # type: ignore[method-assign]  # for this test
        self.assertIsNone(self.start(strange()))
        self.assertEqual(self.results, [1])
        self.assertEqual(len(caught), 2)
        self.assertIn("Deferreds", caught[0])

    def test_waiting_for_something_else_can_end_it(self) -> None:
        async def strange() -> None:
            await Future(StoppedLoop())

        self.assertIsNone(self.start(strange()))
        self.assertEqual(self.results, [TypeError])

    def test_asyncio_without_its_reactor_is_explained(self) -> None:
        async def sleep() -> None:
            await asyncio.sleep(1)

        wait: Deferred[None] = Deferred()

        async def later() -> None:
            await wait
            await asyncio.sleep(1)

        self.start(sleep())
        self.start(later())
        wait.callback(None)
        self.assertEqual(self.results, [ConfigurationError] * 2)

    def test_a_turn_can_be_given_to_a_running_loop(self) -> None:
        async def yield_turns() -> str:
            for _ in range(3):
                await asyncio.sleep(0)
            return "turned"

        async def main() -> None:
            self.start(yield_turns())
            cancelled = self.start(yield_turns())
            assert cancelled is not None
            cancelled.cancel()
            while not self.results:
                await asyncio.sleep(0.001)

        asyncio.run(main())
        self.assertEqual(self.results, ["turned"])

    def test_a_turn_without_a_loop_is_an_error(self) -> None:
        async def yield_turn() -> None:
            await asyncio.sleep(0)

        self.assertIsNone(self.start(yield_turn()))
        self.assertEqual(len(self.results), 1)

    def test_futures_of_a_running_loop_are_awaited(self) -> None:
        async def main() -> None:
            async def sleep() -> str:
                await asyncio.sleep(0.001)
                return "slept"

            self.start(sleep())
            cancelled = asyncio.get_running_loop().create_future()

            async def wait() -> None:
                await cancelled

            self.start(wait())
            cancelled.cancel()
            while len(self.results) < 2:
                await asyncio.sleep(0.001)

        asyncio.run(main())
        self.assertEqual(self.results, [asyncio.CancelledError, "slept"])
