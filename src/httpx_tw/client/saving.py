"""Writing a body to a file while it comes, without waiting for the disk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from httpx_tw.client.part_file import PartFile
from httpx_tw.errors import ResponseTooLarge

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncIterator, Callable

    from httpx_tw.workers.disk import DiskThreads

__all__ = ["BATCH", "Progress", "Source", "save"]

BATCH: Final = 512 * 1024
"""Bytes given to a thread at once, while as many come in. See
docs/decisions/saving-downloads.md."""

Progress: TypeAlias = "Callable[[int, int | None], object]"
"""Called with the bytes so far, and with those in all; None: nobody knows."""


class Source(Protocol):
    """A response, as far as this is concerned."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Iterate over the pieces of the body."""

    def close(self) -> None:
        """Want no more of it; at its end already is fine."""


async def save(  # what ClientResponse.save has, and what it knows
    source: Source,
    path: str | os.PathLike[str],
    disk: DiskThreads,
    *,
    total: int | None = None,
    max_size: int | None = None,
    progress: Progress | None = None,
) -> int:
    """Write a body to the file at *path*, and return how many bytes it has.

    When something is raised, or it is cancelled, *source* is closed and there is no new
    file by then. See ClientResponse.save.
    """
    pieces = aiter(source)
    file = PartFile(path)
    writing = _Calls(disk)
    received = size = 0
    batch: list[bytes] = []
    try:
        if max_size and total is not None:
            _refuse_over(max_size, total)
        writing.start(file.open)
        if progress is not None:
            progress(0, total)
        async for piece in pieces:
            received += len(piece)
            if max_size:
                _refuse_over(max_size, received)
            batch.append(piece)
            size += len(piece)
            if size >= BATCH or not writing.is_busy:
                # While it is written nothing more is taken than the next batch: the
                # rest waits in the kernel, and so does the server.
                await writing.wait()
                writing.start(file.write, batch)
                batch, size = [], 0
            if progress is not None:
                progress(received, total)
        await writing.wait()
        writing.start(file.finish, batch)
        await writing.wait()
    except BaseException:
        source.close()
        await writing.end_with(file.discard)
        raise
    return received


def _refuse_over(max_size: int, size: int) -> None:
    if size > max_size:
        raise ResponseTooLarge(f"a response body of {size} bytes, limit {max_size}")


class _Calls:
    """Calls that wait for a disk, one at a time."""

    def __init__(self, disk: DiskThreads) -> None:
        self._disk = disk
        self.is_busy = False
        self._error: BaseException | None = None
        self._last: Callable[[], object] | None = None
        self._waiter: Deferred[None] | None = None

    def start(self, call: Callable[..., object], *args: Any) -> None:
        """Make *call*; only while none is going on."""
        self.is_busy = True
        self._disk.call(call, *args).addBoth(self._over)

    async def wait(self) -> None:
        """Wait for the one that is going on, and raise what it has raised.

        Cancelling that does not stop the call: a thread cannot be stopped.
        """
        if self.is_busy:
            self._waiter = Deferred(self._not_waited_for)
            await self._waiter
        if self._error is not None:
            raise self._error

    async def end_with(self, call: Callable[[], object]) -> None:
        """Make *call* behind the one that is going on, and wait for it."""
        self._error = None
        if self.is_busy:
            self._last = call
        else:
            self.start(call)
        await self.wait()

    def _over(self, result: object) -> None:
        last, self._last = self._last, None
        if last is not None:
            self.start(last)
            return
        self.is_busy = False
        if isinstance(result, Failure):
            self._error = result.value
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            waiter.callback(None)

    def _not_waited_for(self, _: Deferred[None]) -> None:
        self._waiter = None
