"""What an open file gives: a span where the kernel can send it, else what is read."""

from __future__ import annotations

import gzip
import io
import os
from pathlib import Path
from typing import Any

from httpx_tw.client.file_pieces import PIECE_SIZE, FileSpan, pieces_of_file
from httpx_tw.errors import ConfigurationError, FileChanged
from tests.own_directory import OwnDirectoryCase

CONTENT = b"0123456789"


class SpanTests(OwnDirectoryCase):
    def setUp(self) -> None:
        super().setUp()
        Path("file").write_bytes(CONTENT)
        self.file = Path("file").open("rb")  # noqa: SIM115  # closed behind the test
        self.addCleanup(self.file.close)

    def span(self, start: int = 0) -> FileSpan:
        pieces = pieces_of_file(self.file, start, len(CONTENT) - start)
        span = next(pieces)
        assert isinstance(span, FileSpan)
        self.addCleanup(pieces.close)  # type: ignore[attr-defined]  # a generator
        return span

    def test_a_file_on_a_disk_is_one_span(self) -> None:
        pieces = pieces_of_file(self.file, 2, 8)
        span = next(pieces)
        assert isinstance(span, FileSpan)
        self.assertEqual((span.offset, span.left), (2, 8))
        self.assertEqual(b"".join(span), CONTENT[2:])
        self.assertEqual(self.file.tell(), 0)
        self.assertIsNone(next(pieces, None))
        self.assertEqual(span.fd, -1)
        self.assertEqual(self.file.tell(), 10)  # as if it had been read

    def test_it_is_read_and_sent_by_turns(self) -> None:
        span = self.span()
        self.assertEqual(span.read(3), b"012")
        span.advance(2)
        self.assertEqual(span.read(99), b"56789")
        self.assertEqual(span.left, 0)

    def test_the_callers_file_may_be_closed_meanwhile(self) -> None:
        span = self.span()
        self.file.close()
        with Path("other").open("wb") as other:
            other.write(b"x" * 10)
            self.assertEqual(span.read(10), CONTENT)

    def test_let_go_of_it_is_closed(self) -> None:
        span = FileSpan(self.file.fileno(), 0, 10)
        fd = span.fd
        del span
        self.assertRaises(OSError, os.fstat, fd)
        span = FileSpan(self.file.fileno(), 0, 10)
        span.close()
        span.close()

    def test_a_change_of_its_length_is_noticed(self) -> None:
        span = self.span(4)
        span.check()
        span.advance(3)
        span.check()
        os.truncate("file", 8)
        error = self.assertRaises(FileChanged, span.check)
        self.assertIn("2 bytes shorter", str(error))
        os.truncate("file", 15)
        error = self.assertRaises(FileChanged, span.check)
        self.assertIn("5 bytes longer", str(error))
        os.truncate("file", 7)
        error = self.assertRaises(FileChanged, span.read, 3)
        self.assertIn("3 bytes shorter", str(error))


class ReadingTests(OwnDirectoryCase):
    def test_what_is_none_is_read_from_where_it_began(self) -> None:
        file = io.BytesIO(CONTENT)
        file.seek(5)
        self.assertEqual(b"".join(pieces_of_file(file, 2, 8)), CONTENT[2:])  # type: ignore[arg-type]  # all bytes
        large = io.BytesIO(bytes(PIECE_SIZE + 1))
        pieces: list[Any] = list(pieces_of_file(large, 0, PIECE_SIZE + 1))
        self.assertEqual([len(piece) for piece in pieces], [PIECE_SIZE, 1])

    def test_what_unpacks_is_read(self) -> None:
        with gzip.open("packed", "wb") as packed:
            packed.write(CONTENT)
        with gzip.open("packed") as file:
            self.assertEqual(list(pieces_of_file(file, 0, 10)), [CONTENT])

    def test_without_a_length_all_of_it_is_read(self) -> None:
        ours, theirs = os.pipe()
        os.write(theirs, CONTENT)
        os.close(theirs)
        with os.fdopen(ours, "rb") as pipe:
            self.assertEqual(list(pieces_of_file(pipe, None, None)), [CONTENT])

    def test_an_empty_one_is_nothing(self) -> None:
        Path("file").touch()
        with Path("file").open("rb") as file:
            self.assertEqual(list(pieces_of_file(file, 0, 0)), [])

    def test_a_change_of_its_length_is_noticed(self) -> None:
        for length, word in ((12, "2 bytes shorter"), (9, "longer")):
            pieces = pieces_of_file(io.BytesIO(CONTENT), 0, length)
            error = self.assertRaises(FileChanged, list, pieces)
            self.assertIn(word, str(error))

    def test_text_is_refused(self) -> None:
        with self.assertRaises(ConfigurationError):
            list(pieces_of_file(io.StringIO("x"), 0, 1))
