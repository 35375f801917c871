"""A Deferred that is awaited is fired as Twisted's own is, however it is waited for."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import (
    AlreadyCalledError,
    Deferred,
    inlineCallbacks,  # noqa: TID251  # what users may still write
)
from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.client.awaited import Awaited


class FiringTests(SynchronousTestCase):
    def waited(self, deferred: Deferred[str], log: list[Any]) -> None:
        async def wait() -> None:
            log.append(await deferred)
            deferred.addCallback(log.append)
            log.append("after")

        Deferred.fromCoroutine(wait())

    def test_coroutine_finds_what_it_does_with_twisteds_own(self) -> None:
        logs: list[list[Any]] = []
        for made in (Deferred, Awaited):
            deferred: Deferred[str] = made()
            log: list[Any] = []
            self.waited(deferred, log)
            getattr(deferred, "fire", deferred.callback)("a")
            deferred.addCallback(log.append)
            logs.append(log)
        self.assertEqual(logs[0], ["a", "after", None, None])
        self.assertEqual(logs[1], logs[0])

    def test_generator_is_resumed(self) -> None:
        deferred: Awaited[str] = Awaited()

        @inlineCallbacks
        def wait() -> Any:
            return (yield deferred)

        waiting = wait()
        deferred.fire("a")
        self.assertEqual(self.successResultOf(waiting), "a")

    def test_callbacks_are_called(self) -> None:
        deferred: Awaited[str] = Awaited()
        deferred.addCallback(str.upper)
        deferred.fire("a")
        self.assertEqual(self.successResultOf(deferred), "A")

    def test_who_waits_later_or_for_a_paused_one_is_served(self) -> None:
        deferred: Awaited[str] = Awaited()
        log: list[Any] = []
        self.waited(deferred, log)
        deferred.pause()
        deferred.fire("a")
        self.assertEqual(log, [])
        deferred.unpause()
        self.assertEqual(log, ["a", "after", None])

    def test_several_wait_for_one(self) -> None:
        deferred: Awaited[str] = Awaited()
        log: list[Any] = []
        self.waited(deferred, log)
        deferred.addCallback(log.append)
        deferred.fire("a")
        self.assertEqual(log, ["a", "after", None, None])

    def test_error_of_the_coroutine_is_its_own(self) -> None:
        deferred: Awaited[str] = Awaited()

        async def wait() -> None:
            await deferred
            raise ZeroDivisionError

        waiting = Deferred.fromCoroutine(wait())
        deferred.fire("a")
        self.failureResultOf(waiting, ZeroDivisionError)
        self.assertIsNone(self.successResultOf(deferred))

    def test_second_firing_is_refused(self) -> None:
        deferred: Awaited[str] = Awaited()
        self.waited(deferred, [])
        deferred.fire("a")
        self.assertRaises(AlreadyCalledError, deferred.fire, "b")
