"""What tests of the pools share: reactors that run one test, calls that wait."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.python.failure import Failure

from httpx_tw.workers.pool import WorkerPool, WorkerPoolConfig
from httpx_tw.workers.stealing_pool import WorkStealingPool
from tests.reactors import made as reactors

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from twisted.trial.unittest import SynchronousTestCase

    Base = SynchronousTestCase
else:
    Base = object

PATIENCE = 20.0  # seconds a test may wait for what comes in a moment


def select_reactor() -> Any:
    from twisted.internet.selectreactor import SelectReactor

    return SelectReactor()


MAKES: dict[str, Callable[[], Any]] = {"Select": select_reactor}
if "epoll" in reactors.OURS:
    MAKES["Epoll"] = lambda: reactors.stock("epoll")
    MAKES["HttpxEpoll"] = reactors.OURS["epoll"]
if "io_uring" in reactors.OURS:
    MAKES["HttpxUring"] = reactors.OURS["io_uring"]

POOLS = {"Shared": WorkerPool, "Stealing": WorkStealingPool}


def on_every_reactor_and_pool(contract: type, cases: dict[str, Any]) -> None:
    """Put a test case of *contract* for each into *cases*, a module's names."""
    from twisted.trial.unittest import SynchronousTestCase

    for pool, pool_type in POOLS.items():
        for reactor, make in MAKES.items():
            name = f"{pool}On{reactor}Tests"
            attributes = {
                "pool_type": pool_type,
                "make_reactor": staticmethod(make),
                "__module__": cases["__name__"],
            }
            cases[name] = type(name, (contract, SynchronousTestCase), attributes)


class OnAReactor(Base):
    """A test that runs a reactor of its own."""

    pool_type: type[WorkerPool] = WorkerPool
    make_reactor: Callable[[], Any]

    def setUp(self) -> None:
        self.reactor = reactors.made(self, self.make_reactor)

    def run_async(self, test: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run *test* on the reactor thread, to its end; then stop the reactor."""
        outcome: list[Any] = []

        def end(result: object) -> None:
            outcome.append(result)
            if self.reactor.running:
                self.reactor.stop()

        self.reactor.callWhenRunning(lambda: ensureDeferred(test()).addBoth(end))
        reactors.run(self.reactor, PATIENCE)
        if isinstance(outcome[0], Failure):
            outcome[0].raiseException()

    def a_pool(self, **config: int) -> WorkerPool:
        pool = self.pool_type(WorkerPoolConfig(**{"num_workers": 2, **config}))
        pool.start(self.reactor)
        return pool

    async def turn(self, turns: int = 1) -> None:
        """Let the reactor go round."""
        for _ in range(turns):
            await self.later(0)

    def later(self, seconds: float) -> Deferred[None]:
        deferred: Deferred[None] = Deferred()
        self.reactor.callLater(seconds, deferred.callback, None)
        return deferred

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait for what other threads are about to do."""
        give_up = self.reactor.seconds() + PATIENCE
        while not is_so():
            assert self.reactor.seconds() < give_up, "it never was so"
            await self.later(0.001)


class Gate:
    """A function that waits in its worker until it is let through."""

    def __init__(self) -> None:
        self._open = threading.Event()
        self.entered: list[Any] = []
        self.left: list[Any] = []

    def __call__(self, argument: Any = None) -> Any:
        self.entered.append(argument)
        assert self._open.wait(PATIENCE)
        self.left.append(argument)
        return argument

    def open(self) -> None:
        self._open.set()


class Told:
    """A ``finished`` that remembers what it was told, and where."""

    def __init__(self) -> None:
        self.results: list[Any] = []
        self.threads: set[int] = set()

    def __call__(self, result: Any, failure: Failure | None) -> None:
        self.results.append(result if failure is None else failure.type)
        self.threads.add(threading.get_ident())


def in_thread(function: Callable[..., Any], *arguments: Any) -> Outcome:
    """Call it in a thread of its own."""
    return Outcome(function, arguments)


class Outcome:
    """What comes of a call in a thread of its own."""

    def __init__(self, function: Callable[..., Any], arguments: Any) -> None:
        self.result: Any = None
        self.error: BaseException | None = None
        self._call = (function, arguments)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        function, arguments = self._call
        try:
            self.result = function(*arguments)
        except BaseException as error:  # noqa: BLE001  # the test looks at it
            self.error = error

    @property
    def is_over(self) -> bool:
        return not self._thread.is_alive()

    def join(self) -> None:
        self._thread.join(PATIENCE)
        assert self.is_over


def adds_up(pool: WorkerPool) -> bool:
    """Whether each call is in exactly one place."""
    stats = pool.stats
    return stats.total == (
        stats.rejected + stats.waiting + stats.queue_depth + stats.active
        + stats.completed + stats.errors + stats.cancelled + stats.timed_out
        + stats.dropped
    ) and stats.active >= 0  # fmt: skip


def threads_of(name: str) -> list[str]:
    """Return the names of the threads there are that begin with *name*."""
    names = [thread.name for thread in threading.enumerate()]
    return [each for each in names if each.startswith(name)]


async def error_of(deferred: Deferred[Any]) -> BaseException:
    """Wait for what *deferred* fails with."""
    try:
        result = await deferred
    except BaseException as error:  # noqa: BLE001  # whatever it is
        return error
    raise AssertionError(f"it did not fail: {result!r}")
