"""A pool as Twisted's own thread pool: for WSGIResource, adbapi, deferToThreadPool."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from twisted.logger import Logger
from twisted.python.failure import Failure

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ThreadPoolFace"]


class ThreadPoolFace(ABC):
    """What users of ``twisted.python.threadpool.ThreadPool`` call, with its names.

    Two things differ. The queue is bounded: where Twisted's pool takes everything,
    this one raises QueueFull on the reactor thread and waits for room on others. And a
    call after the end is refused with PoolStopped, not forgotten.
    """

    _log = Logger()

    def callInThread(  # noqa: N802  # Twisted's name; so are the next two
        self, func: Callable[..., object], *args: Any, **kw: Any
    ) -> None:
        """Call *func* in a worker; log what it raises. From any thread.

        :raises QueueFull: on the reactor thread; on others it waits for room.
        :raises PoolStopped: when the pool is not running.
        """
        self.callInThreadWithCallback(None, func, *args, **kw)

    def callInThreadWithCallback(  # noqa: N802
        self,
        onResult: Callable[[bool, Any], object] | None,  # noqa: N803
        func: Callable[..., object],
        *args: Any,
        **kw: Any,
    ) -> None:
        """Call *func* in a worker, then, in the worker, *onResult*. From any thread.

        :param onResult: called with True and the result, or with False and a Failure;
            on another thread when the call is given up. None: see callInThread.
        :raises QueueFull: on the reactor thread; on others it waits for room.
        :raises PoolStopped: when the pool is not running.
        """

        def tell(result: Any, error: BaseException | None) -> None:
            failure = None if error is None else Failure(error)
            try:
                if onResult is not None:
                    onResult(failure is None, result if failure is None else failure)
                elif failure:
                    self._log.failure("a call in a thread failed", failure)
            except Exception:  # noqa: BLE001  # it is not the worker's fault
                self._log.failure("{callable} failed", callable=onResult)

        self._call_in_worker((func, args, kw), tell)

    def adjustPoolsize(  # noqa: N802
        self, minthreads: int | None = None, maxthreads: int | None = None
    ) -> None:
        """Keep so many threads whatever comes, and have so many at most. Any thread.

        None leaves a number as it is. Threads over the number end when they are idle.

        :raises ValueError: when a number is negative, or the least over the most.
        """
        least, most = self._least_and_most
        least = least if minthreads is None else minthreads
        most = most if maxthreads is None else maxthreads
        if not 0 <= least <= most:
            raise ValueError(f"at least {least} threads and at most {most}")
        self._resize(least, most)

    @property
    @abstractmethod
    def _least_and_most(self) -> tuple[int, int]: ...

    @abstractmethod
    def _resize(self, least: int, most: int) -> None: ...

    @abstractmethod
    def _call_in_worker(
        self,
        call: tuple[Callable[..., object], tuple[Any, ...], dict[str, Any]],
        tell: Callable[[Any, BaseException | None], object],
    ) -> None: ...
