"""Request bodies: how long they are, whether they can be sent again, what they give."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.iweb import UNKNOWN_LENGTH, IBodyProducer
from zope.interface import implementer

from httpx_tw.client.content import Content, as_content
from httpx_tw.client.file_pieces import PIECE_SIZE, FileSpan
from httpx_tw.errors import BodyConsumed, ConfigurationError
from tests.own_directory import OwnDirectoryCase


@implementer(IBodyProducer)
class Producer:
    """An IBodyProducer moved by hand."""

    def __init__(self, length: Any = UNKNOWN_LENGTH) -> None:
        self.length = length
        self.said: list[str] = []
        self.done: Deferred[None] = Deferred()

    def startProducing(self, consumer: Any) -> Deferred[None]:  # noqa: N802  # Twisted's name
        self.consumer = consumer
        self.said.append("start")
        return self.done

    def pauseProducing(self) -> None:
        self.said.append("pause")

    def resumeProducing(self) -> None:
        self.said.append("resume")

    def stopProducing(self) -> None:
        self.said.append("stop")


async def _pieces() -> Any:
    yield b"ab"
    yield b"c"


class ContentTests(OwnDirectoryCase):
    def read(self, content: Content) -> bytes:
        pieces = content.open()
        found = b""
        while True:
            piece: Any = pieces.next()
            if isinstance(piece, Deferred):
                piece = self.successResultOf(piece)
            if piece is None:
                pieces.close()
                return found
            found += b"".join(piece) if isinstance(piece, FileSpan) else piece

    def test_what_is_sent_is_what_was_given(self) -> None:
        for value in (
            "é",
            b"\xc3\xa9",
            bytearray(b"\xc3\xa9"),
            memoryview(b"\xc3\xa9"),
        ):
            content = as_content(value)
            self.assertEqual((content.data, content.length), (b"\xc3\xa9", 2))
            self.assertEqual(self.read(content), b"\xc3\xa9")
        parts: list[Any] = [[b"ab", b"c"], iter([b"ab", b"c"]), _pieces()]
        for part in parts:
            content = as_content(part)
            self.assertEqual((content.data, content.length), (None, None))
            self.assertEqual(self.read(content), b"abc")

    def test_large_bytes_come_in_pieces(self) -> None:
        data = os.urandom(3 * PIECE_SIZE + 5)
        content = as_content(data)
        self.assertIsNone(content.data)
        self.assertEqual(content.length, len(data))
        self.assertEqual(self.read(content), data)

    def test_some_can_be_sent_again_and_some_cannot(self) -> None:
        for value in (b"abc", "abc", [b"abc"], io.BytesIO(b"abc")):
            content = as_content(value)
            self.assertTrue(content.can_replay)
            for _ in range(2):
                self.assertEqual(self.read(content), b"abc")
        for once in (iter([b"abc"]), _pieces(), Producer()):
            content = as_content(once)
            self.assertTrue(content.can_replay)  # nothing was read yet
            content.open().close()
            self.assertFalse(content.can_replay)
            with self.assertRaises(BodyConsumed):
                content.open()

    def test_file_is_read_from_where_it_stands(self) -> None:
        file = io.BytesIO(b"xxabc")
        file.seek(2)
        content = as_content(file)
        self.assertEqual(content.length, 3)
        for _ in range(2):
            self.assertEqual(self.read(content), b"abc")
        self.assertFalse(file.closed)

    def test_path_is_opened_for_each_sending(self) -> None:
        Path("file").write_bytes(b"abc")
        content = as_content(Path("file"))
        self.assertEqual((content.data, content.length), (None, 3))
        self.assertTrue(content.can_replay)
        for _ in range(2):
            self.assertEqual(self.read(content), b"abc")
        pieces = content.open()
        pieces.next()
        pieces.close()  # and no descriptor is left: see conftest

    def test_path_without_a_file_is_refused(self) -> None:
        Path("directory").mkdir()
        for name in ("absent", "directory", "/dev/null"):
            with self.assertRaises(ConfigurationError) as caught:
                as_content(Path(name))
            self.assertIn(name, str(caught.exception))

    def test_file_on_a_disk_is_sent_from_where_it_stands(self) -> None:
        Path("file").write_bytes(b"xxabc")
        with Path("file").open("rb") as file:
            file.read(2)
            content = as_content(file)
            for _ in range(2):
                self.assertIsInstance(content.open().next(), FileSpan)
                self.assertEqual(self.read(content), b"abc")
                self.assertEqual(file.tell(), 5)

    def test_pipe_has_no_length(self) -> None:
        ours, theirs = os.pipe()
        os.write(theirs, b"abc")
        os.close(theirs)
        with os.fdopen(ours, "rb") as pipe:
            content = as_content(pipe)
            self.assertIsNone(content.length)
            self.assertFalse(content.can_replay)
            self.assertEqual(self.read(content), b"abc")

    def test_text_file_is_refused(self) -> None:
        content = as_content(io.StringIO("abc"))
        with self.assertRaises(ConfigurationError):
            content.open().next()

    def test_what_is_no_body_is_refused(self) -> None:
        with self.assertRaises(ConfigurationError):
            as_content(5)

    def test_generator_that_is_not_wanted_is_closed(self) -> None:
        closed: list[int] = []

        def pieces() -> Any:
            try:
                yield b"a"
                yield b"b"
            finally:
                closed.append(1)

        reading = as_content(pieces()).open()
        reading.next()
        reading.close()
        self.assertEqual(closed, [1])

    def test_asynchronous_generator_that_is_not_wanted_is_closed(self) -> None:
        closed: list[int] = []

        async def pieces() -> Any:
            try:
                yield b"a"
                yield b"b"
            finally:
                closed.append(1)

        reading = as_content(pieces()).open()
        first: Any = reading.next()
        self.assertEqual(self.successResultOf(first), b"a")
        reading.close()
        self.assertEqual(closed, [1])


class ProducerTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.producer = Producer(5)
        self.content = as_content(self.producer)
        self.pieces = self.content.open()

    def next(self) -> Deferred[Any]:
        piece: Any = self.pieces.next()
        assert isinstance(piece, Deferred)
        return piece

    def test_length_is_the_producers(self) -> None:
        self.assertEqual(self.content.length, 5)
        self.assertIsNone(as_content(Producer()).length)

    def test_producer_is_started_when_it_is_first_asked(self) -> None:
        self.assertEqual(self.producer.said, [])
        self.next()
        self.assertEqual(self.producer.said, ["start"])

    def test_what_it_pushes_is_held_until_it_is_asked_for(self) -> None:
        first = self.next()
        self.producer.consumer.write(b"a")
        self.assertEqual(self.successResultOf(first), b"a")
        self.producer.consumer.write(b"b")
        self.producer.consumer.write(b"c")
        self.assertEqual(self.producer.said, ["start", "pause"])
        self.assertEqual(self.pieces.next(), b"bc")
        third = self.next()
        self.assertEqual(self.producer.said, ["start", "pause", "resume"])
        self.producer.done.callback(None)
        self.assertIsNone(self.successResultOf(third))
        self.assertIsNone(self.pieces.next())

    def test_failure_is_the_senders(self) -> None:
        waiting = self.next()
        self.producer.done.errback(OSError("gone"))
        self.failureResultOf(waiting, OSError)
        with self.assertRaises(OSError):
            self.pieces.next()

    def test_failure_while_nobody_asks_is_kept(self) -> None:
        first = self.next()
        self.producer.consumer.write(b"a")
        self.successResultOf(first)
        self.producer.done.errback(OSError("gone"))
        with self.assertRaises(OSError):
            self.pieces.next()

    def test_producer_that_is_not_wanted_is_stopped_once(self) -> None:
        self.next()
        self.pieces.close()
        self.pieces.close()
        self.assertEqual(self.producer.said, ["start", "stop"])
        self.producer.consumer.write(b"late")

    def test_producer_that_was_never_started_is_not_stopped(self) -> None:
        self.pieces.close()
        self.assertEqual(self.producer.said, [])
