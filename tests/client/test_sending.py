"""The sender of a body: as fast as the transport takes it, fair, and able to stop."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from unittest.mock import patch

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.client.content import as_content
from httpx_tw.client.file_pieces import PIECE_SIZE, FileSpan
from httpx_tw.client.sending import BURST, BodySender
from httpx_tw.errors import FileChanged
from tests.own_directory import OwnDirectoryCase


class Link:
    """A connection as a sender sees it."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.is_sent = False
        self.errors: list[BaseException] = []
        self.sender: BodySender | None = None
        self.pauses_after = -1
        self.sends_files = False
        self.takes: list[
            int | None
        ] = []  # what the socket takes, call by call; None: see send_file
        self.waits_for_room = False
        self.fetched: list[tuple[int, int]] = []
        self.fetching: Deferred[None] | None = None

    def send_from_file(self, fd: int, offset: int, count: int) -> int | None:
        taken = self.takes.pop(0)
        if taken is None:
            return None
        taken = min(taken, count)
        if taken:
            self.pieces.append(os.pread(fd, taken, offset))
        return taken

    def wait_for_room(self) -> None:
        self.waits_for_room = True

    def fetch(self, span: FileSpan, count: int) -> Deferred[None]:
        self.fetched.append((span.offset, count))
        self.fetching = Deferred()
        return self.fetching

    def send_piece(self, data: bytes) -> None:
        if data == b"bad":
            raise ValueError("no")
        self.pieces.append(data)
        if len(self.pieces) == self.pauses_after:
            assert self.sender is not None
            self.sender.pauseProducing()

    def sent(self) -> None:
        self.is_sent = True

    def sending_failed(self, error: BaseException) -> None:
        self.errors.append(error)


class SenderCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.link = Link()

    def sender(self, content: Any) -> BodySender:
        self.link.sender = sender = BodySender(
            as_content(content), self.link, self.clock
        )
        return sender


class SenderTests(SenderCase):
    def asynchronous(self, *held: Deferred[Any]) -> Any:
        async def pieces() -> Any:
            for deferred in held:
                yield await deferred

        return pieces()

    def test_everything_is_sent_and_the_end_is_told(self) -> None:
        self.sender([b"a", b"", b"b"]).start()
        self.assertEqual(self.link.pieces, [b"a", b"b"])
        self.assertTrue(self.link.is_sent)

    def test_full_transport_is_waited_for(self) -> None:
        sender = self.sender([b"a", b"b", b"c"])
        self.link.pauses_after = 2
        sender.start()
        self.assertEqual(self.link.pieces, [b"a", b"b"])
        sender.resumeProducing()
        self.assertTrue(self.link.is_sent)

    def test_others_have_their_turn(self) -> None:
        sender = self.sender([b"x" * BURST, b"y"])
        sender.start()
        self.assertEqual(len(self.link.pieces), 1)
        sender.resumeProducing()  # it goes on by itself
        self.assertEqual(len(self.link.pieces), 1)
        self.clock.advance(0)
        self.assertTrue(self.link.is_sent)

    def test_what_comes_later_is_sent_then(self) -> None:
        first: Deferred[bytes] = Deferred()
        second: Deferred[bytes] = Deferred()
        sender = self.sender(self.asynchronous(first, second))
        sender.start()
        self.assertTrue(sender.waits_for_content)
        sender.resumeProducing()
        first.callback(b"a")
        self.assertEqual(self.link.pieces, [b"a"])
        second.callback(b"b")
        self.assertTrue(self.link.is_sent)
        self.assertFalse(sender.waits_for_content)

    def test_what_comes_while_paused_is_sent_and_no_more_asked_for(self) -> None:
        held = [Deferred(), Deferred()]  # type: ignore[var-annotated]  # of bytes
        sender = self.sender(self.asynchronous(*held))
        sender.start()
        sender.pauseProducing()
        held[0].callback(b"a")
        self.assertEqual(self.link.pieces, [b"a"])
        self.assertFalse(sender.waits_for_content)
        sender.resumeProducing()
        held[1].callback(b"b")
        self.assertTrue(self.link.is_sent)

    def test_content_that_raises_fails_it(self) -> None:
        def at_once() -> Any:
            yield b"a"
            raise OSError("disk")

        async def later() -> Any:
            yield b"a"
            raise OSError("disk")

        for content in (at_once(), later()):
            self.setUp()
            self.sender(content).start()
            self.assertIsInstance(self.link.errors[0], OSError)
            self.assertFalse(self.link.is_sent)

    def test_failure_that_comes_later_fails_it(self) -> None:
        held: Deferred[bytes] = Deferred()
        self.sender(self.asynchronous(held)).start()
        held.errback(OSError("disk"))
        self.assertIsInstance(self.link.errors[0], OSError)

    def test_piece_that_cannot_be_sent_fails_it(self) -> None:
        self.sender([b"bad"]).start()
        self.assertIsInstance(self.link.errors[0], ValueError)
        self.setUp()
        held: Deferred[bytes] = Deferred()
        self.sender(self.asynchronous(held)).start()
        held.callback(b"bad")
        self.assertIsInstance(self.link.errors[0], ValueError)

    def test_stopped_it_sends_no_more(self) -> None:
        held: Deferred[bytes] = Deferred()
        sender = self.sender(self.asynchronous(held))
        sender.start()
        sender.stopProducing()
        sender.stop()
        self.assertTrue(sender.is_over)
        self.assertEqual(self.link.errors, [])
        sender = self.sender([b"x" * BURST, b"y"])
        sender.start()
        sender.stop()
        self.clock.advance(0)
        self.assertEqual(self.link.pieces, [b"x" * BURST])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stopped_from_within_it_stops(self) -> None:
        sender = self.sender([b"a", b"b"])

        def stop(data: bytes) -> None:
            sender.stop()

        self.link.send_piece = stop  # type: ignore[method-assign]  # this once
        sender.start()
        self.assertFalse(self.link.is_sent)


class FileTests(OwnDirectoryCase, SenderCase):
    """Files on a disk, by the kernel and not."""

    def setUp(self) -> None:
        super().setUp()
        self.content = os.urandom(3 * PIECE_SIZE + 5)
        Path("file").write_bytes(self.content)
        self.link.sends_files = True

    def begun(self, *takes: int | None) -> BodySender:
        self.link.takes = list(takes)
        sender = self.sender(Path("file"))
        sender.start()
        return sender

    def assert_sent(self) -> None:
        self.assertEqual(self.link.errors, [])
        self.assertTrue(self.link.is_sent)
        self.assertEqual(b"".join(self.link.pieces), self.content)

    def test_the_kernel_sends_it(self) -> None:
        self.begun(len(self.content))
        self.assert_sent()
        self.assertEqual(len(self.link.pieces), 1)

    def test_what_the_socket_does_not_take_waits_for_room(self) -> None:
        sender = self.begun(1000, 0, 5, 10_000_000)
        for count in (1, 1, 2):
            self.assertTrue(self.link.waits_for_room)
            self.assertEqual(len(self.link.pieces), count)
            self.link.waits_for_room = False
            sender.resumeProducing()
        self.assert_sent()

    def test_where_the_kernel_cannot_it_is_read(self) -> None:
        self.link.sends_files = False
        self.begun()
        self.assert_sent()
        self.assertEqual(len(self.link.pieces), 4)

    def test_where_the_file_system_cannot_it_is_read(self) -> None:
        self.begun(None, None, None, None)
        self.assert_sent()

    def test_what_is_not_in_memory_is_fetched_first(self) -> None:
        for by_kernel in (True, False):
            self.setUp()
            self.link.sends_files = by_kernel
            with patch("httpx_tw.client.sending.is_cached", lambda *_: False):
                sender = self.begun(len(self.content))
            self.assertEqual(self.link.fetched, [(0, len(self.content))])
            self.assertEqual(self.link.pieces, [])
            sender.pauseProducing()
            sender.resumeProducing()  # it still waits for the disk
            self.assertEqual(self.link.pieces, [])
            assert self.link.fetching is not None
            self.link.fetching.callback(None)
            self.assert_sent()

    def test_what_is_fetched_at_once_is_sent_at_once(self) -> None:
        os.truncate("file", 3_000 * PIECE_SIZE)
        self.link.sends_files = False
        self.link.fetch = lambda *_: succeed(None)  # type: ignore[method-assign]  # where there are no threads
        with patch("httpx_tw.client.sending.is_cached", lambda *_: False):
            self.begun()
            while not self.link.is_sent:
                self.clock.advance(0)
        self.assertEqual(sum(map(len, self.link.pieces)), 3_000 * PIECE_SIZE)

    def test_what_cannot_be_fetched_fails_it(self) -> None:
        with patch("httpx_tw.client.sending.is_cached", lambda *_: False):
            self.begun()
        assert self.link.fetching is not None
        self.link.fetching.errback(OSError("disk"))
        self.assertIsInstance(self.link.errors[0], OSError)
        self.assertFalse(self.link.is_sent)

    def test_stopped_it_waits_for_no_disk(self) -> None:
        with patch("httpx_tw.client.sending.is_cached", lambda *_: False):
            sender = self.begun()
        assert self.link.fetching is not None
        sender.stop()
        self.assertTrue(self.link.fetching.called)
        self.assertEqual(self.link.errors, [])

    def test_a_file_that_changes_is_never_sent_to_its_end(self) -> None:
        for by_kernel in (True, False):
            for length in (PIECE_SIZE, len(self.content) + 1):
                self.setUp()
                self.link.sends_files = by_kernel
                self.link.takes = [1000, 100_000_000]
                sender = self.sender(Path("file"))
                self.link.pauses_after = 1
                sender.start()
                os.truncate("file", length)
                sender.resumeProducing()
                self.assertIsInstance(self.link.errors[0], FileChanged)
                self.assertFalse(self.link.is_sent)
                self.assertLess(sum(map(len, self.link.pieces)), len(self.content))


class ProgressTests(SenderCase):
    def setUp(self) -> None:
        super().setUp()
        self.told: list[Any] = []

    def send(self, content: Any) -> None:
        BodySender(
            as_content(content), self.link, self.clock, lambda *of: self.told.append(of)
        ).start()

    def test_it_is_told_from_the_start(self) -> None:
        self.send(b"x" * (PIECE_SIZE + 1))
        total = PIECE_SIZE + 1
        self.assertEqual(self.told, [(0, total), (PIECE_SIZE, total), (total, total)])
        self.told.clear()
        self.send([b"a", b"", b"bc"])
        self.assertEqual(self.told, [(0, None), (1, None), (3, None)])

    def test_what_it_raises_fails_the_sending(self) -> None:
        def never(*_: Any) -> None:
            raise KeyError("mine")

        def later(sent: int, _: int | None) -> None:
            if sent:
                raise KeyError("mine")

        for progress in (never, later):
            sender = BodySender(as_content([b"a"]), self.link, self.clock, progress)
            sender.start()
            self.assertIsInstance(self.link.errors.pop(), KeyError)
            self.assertTrue(sender.is_over)
