"""A body on its way to a file: batches, backpressure, and every way it may end."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.python.failure import Failure

from httpx_tw.client.saving import BATCH, save
from httpx_tw.errors import IncompleteMessage, ResponseTooLarge
from tests.own_directory import OwnDirectoryCase

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable


class Coming:
    """A response whose pieces come when the test says so."""

    def __init__(self, *pieces: bytes | Exception | None) -> None:
        self.pieces: list[Any] = list(pieces)
        self.asked = 0
        self.is_closed = False
        self.waiting: Deferred[bytes | None] | None = None

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        self.asked += 1
        if self.pieces:
            piece = self.pieces.pop(0)
        else:
            self.waiting = Deferred()
            piece = await self.waiting
        if isinstance(piece, Exception):
            raise piece
        if piece is None:
            raise StopAsyncIteration
        return piece  # type: ignore[no-any-return]  # bytes is left

    def close(self) -> None:
        self.is_closed = True

    def come(self, piece: bytes | Exception | None) -> None:
        waiting, self.waiting = self.waiting, None
        assert waiting is not None
        waiting.callback(piece)  # type: ignore[arg-type]  # an error is raised there


class Disk:
    """Threads that are moved by hand."""

    def __init__(self) -> None:
        self.calls: list[tuple[Deferred[Any], Callable[..., Any], Any]] = []
        self.is_quick = False
        self.error: Exception | None = None

    def call(self, function: Callable[..., Any], *args: Any) -> Deferred[Any]:
        if self.is_quick:
            return succeed(function(*args))
        result: Deferred[Any] = Deferred()
        self.calls.append((result, function, args))
        return result

    def run(self) -> str:
        """Make the call that waits; return its name."""
        ((result, function, args),) = self.calls
        self.calls.clear()
        if self.error is not None and function.__name__ != "discard":
            result.errback(Failure(self.error))
        else:
            result.callback(function(*args))
        return function.__name__


class SavingCase(OwnDirectoryCase):
    def setUp(self) -> None:
        super().setUp()
        self.disk = Disk()

    def save(self, source: Coming, **options: Any) -> Deferred[int]:
        disk: Any = self.disk
        return Deferred.fromCoroutine(save(source, "file", disk, **options))

    def assert_nothing_left(self) -> None:
        self.assertEqual(list(Path().iterdir()), [])
        self.assertEqual(self.disk.calls, [])


class WellTests(SavingCase):
    def test_it_is_all_there_and_counted(self) -> None:
        self.disk.is_quick = True
        saved = self.save(Coming(b"he", b"", b"llo", None))
        self.assertEqual(self.successResultOf(saved), 5)
        self.assertEqual(Path("file").read_bytes(), b"hello")
        self.assertEqual(list(Path().iterdir()), [Path("file")])

    def test_nothing_is_a_file_too(self) -> None:
        self.disk.is_quick = True
        self.assertEqual(self.successResultOf(self.save(Coming(None))), 0)
        self.assertEqual(Path("file").read_bytes(), b"")

    def test_what_comes_while_one_batch_is_written_is_the_next(self) -> None:
        source = Coming()
        saved = self.save(source)
        source.come(b"a")
        source.come(b"b")
        self.assertEqual(self.disk.run(), "open")
        source.come(b"c")
        ((_, _, (batch,)),) = self.disk.calls
        self.assertEqual(batch, [b"a", b"b", b"c"])
        source.come(b"d")
        source.come(None)
        self.assertEqual(self.disk.run(), "write")
        self.assertNoResult(saved)
        self.assertEqual(self.disk.run(), "finish")
        self.assertEqual(self.successResultOf(saved), 4)
        self.assertEqual(Path("file").read_bytes(), b"abcd")

    def test_nothing_more_is_taken_than_a_batch_while_the_disk_is_busy(self) -> None:
        half = bytes(BATCH // 2)
        source = Coming(half, half, half, half, half, None)
        saved = self.save(source)
        self.assertEqual(source.asked, 2)
        self.disk.run()
        self.assertEqual(source.asked, 4)
        while self.disk.calls:
            self.disk.run()
        self.assertEqual(self.successResultOf(saved), 5 * (BATCH // 2))
        self.assertEqual(Path("file").stat().st_size, 5 * (BATCH // 2))

    def test_progress_is_told_from_the_start(self) -> None:
        self.disk.is_quick = True
        told: list[Any] = []
        self.save(
            Coming(b"ab", b"c", None), total=3, progress=lambda *of: told.append(of)
        )
        self.assertEqual(told, [(0, 3), (2, 3), (3, 3)])
        told.clear()
        self.save(Coming(b"ab", None), progress=lambda *of: told.append(of))
        self.assertEqual(told, [(0, None), (2, None)])


class FailureTests(SavingCase):
    def failed(self, saved: Deferred[int], kind: type[BaseException]) -> Any:
        while self.disk.calls:
            self.disk.run()
        error = self.failureResultOf(saved, kind).value
        self.assert_nothing_left()
        return error

    def test_a_body_that_breaks_off_leaves_nothing(self) -> None:
        source = Coming(b"a", IncompleteMessage("gone"))
        self.failed(self.save(source), IncompleteMessage)
        self.assertTrue(source.is_closed)

    def test_what_was_there_is_as_it_was(self) -> None:
        Path("file").write_bytes(b"old")
        saved = self.save(Coming(b"a", IncompleteMessage("gone")))
        while self.disk.calls:
            self.disk.run()
        self.failureResultOf(saved, IncompleteMessage)
        self.assertEqual(list(Path().iterdir()), [Path("file")])
        self.assertEqual(Path("file").read_bytes(), b"old")

    def test_a_full_disk_ends_it(self) -> None:
        source = Coming(b"a")
        saved = self.save(source)
        self.disk.run()
        source.come(b"b")
        self.disk.error = OSError(errno.ENOSPC, "full", "file")
        self.disk.run()
        self.assertNoResult(saved)  # it waits for the next piece
        source.come(b"c")
        self.assertEqual(self.failed(saved, OSError).errno, errno.ENOSPC)
        self.assertTrue(source.is_closed)

    def test_a_full_disk_at_the_end_ends_it(self) -> None:
        saved = self.save(Coming(b"a", None))
        self.disk.run()
        self.disk.error = OSError(errno.ENOSPC, "full", "file")
        self.assertEqual(self.failed(saved, OSError).errno, errno.ENOSPC)

    def test_what_is_too_large_is_refused(self) -> None:
        source = Coming(b"ab", b"cd", None)
        error = self.failed(self.save(source, max_size=3), ResponseTooLarge)
        self.assertIn("limit 3", str(error))
        source = Coming()
        self.failed(self.save(source, max_size=3, total=4), ResponseTooLarge)
        self.assertEqual(source.asked, 0)

    def test_no_limit_is_no_limit_and_the_limit_itself_is_allowed(self) -> None:
        self.disk.is_quick = True
        for most in (None, 0, 4):
            saved = self.save(Coming(b"abcd", None), max_size=most, total=4)
            self.assertEqual(self.successResultOf(saved), 4)

    def test_progress_that_raises_ends_it(self) -> None:
        for calls in (0, 2):
            told: list[Any] = []

            def tell(*of: Any, told: list[Any] = told, calls: int = calls) -> None:
                told.append(of)
                if len(told) > calls:
                    raise KeyError("mine")

            source = Coming(b"a", b"b", None)
            self.failed(self.save(source, progress=tell), KeyError)
            self.assertTrue(source.is_closed)

    def test_cancelled_at_any_moment_it_leaves_nothing(self) -> None:
        for runs in range(3):
            with self.subTest(runs=runs):
                source = Coming(b"a", bytes(BATCH), bytes(BATCH))
                saved = self.save(source)
                for _ in range(runs):
                    self.disk.run()
                saved.cancel()
                self.assertTrue(source.is_closed)
                self.failed(saved, CancelledError)

    def test_cancelled_twice_it_still_leaves_nothing(self) -> None:
        saved = self.save(Coming(b"a"))
        self.disk.run()
        saved.cancel()
        self.assertNoResult(saved)  # the file is being removed
        saved.cancel()
        self.failed(saved, CancelledError)

    def test_the_call_that_is_going_on_is_waited_for(self) -> None:
        saved = self.save(Coming(b"a", ValueError("mine")))
        ((_, function, _),) = self.disk.calls
        self.assertEqual(function.__name__, "open")
        self.assertEqual(self.disk.run(), "open")
        self.assertNoResult(saved)
        self.assertEqual(self.disk.run(), "discard")
        self.failureResultOf(saved, ValueError)
        self.assert_nothing_left()

    def test_a_body_that_cannot_be_read_makes_no_file(self) -> None:
        class Consumed(Coming):
            def __aiter__(self) -> AsyncIterator[bytes]:
                raise IncompleteMessage("taken")

        self.failureResultOf(self.save(Consumed()), IncompleteMessage)
        self.assertEqual(self.disk.calls, [])
