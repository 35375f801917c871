"""What threads bring is dealt with on the reactor thread, in order."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.workers.return_path import ReturnPath
from tests.workers.running import (
    OnAReactor,
    on_every_reactor_and_pool,
)


class HeldTests(SynchronousTestCase):
    """Who rings while the reactor thread is in the middle of its batch."""

    def setUp(self) -> None:
        self.rung: list[bool] = []
        self.path = ReturnPath(lambda: self.rung.append(True), lambda _: None)

    def test_nobody_rings_until_it_is_let_go(self) -> None:
        self.path.hold()
        self.path.bring((id, (1,)))
        assert not self.rung
        self.path.release()
        self.path.bring((id, (1,)))
        assert self.rung == [True]

    def test_it_is_let_go_once_however_often_it_was_held(self) -> None:
        self.path.hold()
        self.path.hold()
        self.path.release()
        self.path.bring((id, (1,)))
        assert self.rung == [True]

    def test_who_has_rung_is_not_forgotten_by_who_holds_it(self) -> None:
        self.path.bring((id, (1,)))
        self.path.hold()
        self.path.release()
        self.path.bring((id, (1,)))
        assert self.rung == [True]
        self.path.answer()
        self.path.bring((id, (1,)))
        assert self.rung == [True, True]


class PostContract(OnAReactor):
    """Calls from any thread to the reactor's."""

    def test_posts_come_in_order_and_before_the_end_of_their_call(self) -> None:
        async def test() -> None:
            pool = self.a_pool()
            heard: list[Any] = []

            def speak(_: Any) -> None:
                for number in range(100):
                    pool.post(heard.append, number)

            pool.offload(speak, None, lambda *_: heard.append("end"))
            await self.until(lambda: len(heard) == 101)
            assert heard == [*range(100), "end"]
            await pool.stop()

        self.run_async(test)

    def test_a_post_that_fails_is_logged(self) -> None:
        async def test() -> None:
            pool = self.a_pool()
            pool.post(int, "x")
            heard = Deferred[None]()
            pool.post(heard.callback, None)
            await heard
            await pool.stop()

        self.run_async(test)
        assert len(self.flushLoggedErrors(ValueError)) == 1

    def test_a_thread_that_posts_without_end_leaves_the_reactor_time(self) -> None:
        async def test() -> None:
            pool = self.a_pool()
            is_over: list[bool] = []

            def speak() -> None:
                while not is_over:
                    pool.post(id, 1)

            speaking = pool.submit(speak)
            await self.turn(20)
            is_over.append(True)
            await speaking
            await pool.stop()

        self.run_async(test)


on_every_reactor_and_pool(PostContract, globals())


class HoldTests(SynchronousTestCase):
    """The reactor thread keeps others from ringing, for a while."""

    def test_who_holds_it_twice_lets_go_of_it(self) -> None:
        rung: list[None] = []
        path = ReturnPath(lambda: rung.append(None), lambda _: None)
        path.hold()
        path.hold()
        path.bring((str, ()))
        assert not rung
        path.release()
        assert not path.brought
        path.bring((str, ()))
        assert len(rung) == 1
