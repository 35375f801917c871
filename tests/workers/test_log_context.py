"""A call comes with the contexts of its submission."""

from __future__ import annotations

import contextvars
import socket
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.python import context, log  # noqa: TID251  # what is tested is its context

from tests.workers.running import OnAReactor, on_every_reactor_and_pool

if TYPE_CHECKING:
    from collections.abc import Callable

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="-")


class Speaker:
    """A descriptor that does something when it is readable."""

    def __init__(self, name: str, speak: Callable[[str], object]) -> None:
        self.name = name
        self.speak = speak
        self.ours, self.theirs = socket.socketpair()
        self.theirs.send(b"x")

    def fileno(self) -> int:
        return self.ours.fileno()

    def logPrefix(self) -> str:
        if self.name == "buggy":
            raise ZeroDivisionError
        return self.name

    def doRead(self) -> None:
        self.ours.recv(10)
        self.speak(self.name)

    def connectionLost(self, reason: object) -> None:
        self.close()

    def close(self) -> None:
        self.ours.close()
        self.theirs.close()


class ContextContract(OnAReactor):
    """What comes along."""

    def setUp(self) -> None:
        super().setUp()
        self.events: list[Any] = []
        log.addObserver(self.events.append)
        self.addCleanup(log.removeObserver, self.events.append)

    def systems_of(self, key: str) -> list[Any]:
        return [(event[key], event["system"]) for event in self.events if key in event]

    def test_a_call_sees_the_context_variables_of_its_submission(self) -> None:
        async def test() -> None:
            pool = self.a_pool(num_workers=1)

            def use() -> str:
                seen = variable.get()
                variable.set("of the call before")
                return seen

            assert await pool.submit(use) == "-"
            token = variable.set("submitted")
            submitted = pool.submit(use)
            variable.reset(token)
            assert await submitted == "submitted"
            assert await pool.submit(use) == "-"
            await pool.stop()

        self.run_async(test)

    def test_what_a_call_logs_is_logged_as_its_submitters(self) -> None:
        names = ["a", "b", "buggy", "c"]

        async def test() -> None:
            pool = self.a_pool(num_workers=1)
            all_told: Deferred[None] = Deferred()
            told: list[object] = []

            def tell(*_: object) -> None:
                told.append(None)
                if len(told) == len(names):
                    all_told.callback(None)

            def speak(name: str) -> None:
                pool.offload(lambda _: log.msg("x", who=name), None, tell)

            speakers = [Speaker(name, speak) for name in names]
            for speaker in speakers:
                self.addCleanup(speaker.close)
                self.reactor.addReader(speaker)
            await all_told
            for speaker in speakers:
                self.reactor.removeReader(speaker)
            await pool.stop()

        self.run_async(test)
        self.flushLoggedErrors(ZeroDivisionError)  # stock reactors log it, too
        buggy = ("buggy", "(buggy logPrefix method)")
        assert sorted(self.systems_of("who")) == [
            ("a", "a"),
            ("b", "b"),
            buggy,
            ("c", "c"),
        ]

    def test_calls_that_submit_calls_hand_it_on(self) -> None:
        async def test() -> None:
            pool = self.a_pool()

            def speak() -> None:
                log.msg("x", outer=context.get("who"))
                pool.submit(log.msg, "x", inner=1).result()
                log.callWithContext(
                    {"system": "deeper"}, lambda: pool.submit(log.msg, "x", deep=1)
                ).result()

            submitted = context.call(
                {log.ILogContext: {"system": "of the call", "isError": 0}, "who": "me"},
                pool.submit,
                speak,
            )
            await submitted
            await pool.stop()

        self.run_async(test)
        assert self.systems_of("outer") == [("me", "of the call")]
        assert self.systems_of("inner") == [(1, "of the call")]
        assert self.systems_of("deep") == [(1, "deeper")]

    def test_the_context_is_a_mapping_as_in_stock_twisted(self) -> None:
        def look() -> tuple[Any, ...]:
            inherited = context.get(log.ILogContext)
            assert inherited is not None
            return (
                inherited["system"],
                inherited.get("system"),
                inherited.get("nothing", 7),
                context.get("nothing", 8),
            )

        async def test() -> None:
            pool = self.a_pool()
            seen = log.callWithContext({"system": "here"}, pool.submit, look)
            assert await seen == ("here", "here", 7, 8)
            await pool.stop()

        self.run_async(test)

    def test_between_calls_a_worker_logs_as_itself(self) -> None:
        async def test() -> None:
            pool = self.a_pool(num_workers=1)
            crew: Any = pool._crew
            park = crew._park

            def speak_and_park(*arguments: Any) -> Any:
                log.msg("x", parking=context.get("nothing", 1))
                return park(*arguments)

            crew._park = speak_and_park
            await pool.submit(str, 1)
            await pool.stop()

        self.run_async(test)
        assert {system for _, system in self.systems_of("parking")} == {"-"}


on_every_reactor_and_pool(ContextContract, globals())
