"""Parts of a file as a body, read or to be sent."""

from __future__ import annotations

import gzip
import io
import os
import tempfile
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.app.files.body import PIECE, FileBody, body_of_file, pieces_of_file
from httpx_tw.app.files.opened import OpenFile
from httpx_tw.app.response import Response, to_response
from tests.app.files.trees import make_tree, put


class Bodies(SynchronousTestCase):
    def setUp(self) -> None:
        self.public = make_tree(self)
        self.path = self.public / "a.txt"

    def body(self, *parts: Any) -> FileBody:
        return FileBody(OpenFile.at(self.path), parts or None)

    def test_it_is_an_iterable_of_its_bytes(self) -> None:
        self.assertEqual(list(self.body()), [b"hello"])
        body = self.body(b"<", (1, 2), b"|", (4, 1), b">")
        self.assertEqual(body.length, 6)
        self.assertEqual(list(body), [b"<", b"el", b"|", b"o", b">"])
        self.assertEqual(list(body), [])  # once

    def test_large_ones_are_read_in_pieces(self) -> None:
        put(self.path, bytes(PIECE + 1))
        self.assertEqual([len(piece) for piece in self.body()], [PIECE, 1])

    def test_an_empty_file_has_no_parts(self) -> None:
        put(self.path, b"")
        body = self.body()
        self.assertEqual((body.parts, body.length, list(body)), ((), 0, []))

    def test_a_file_that_became_shorter_gives_less(self) -> None:
        body = self.body()
        os.truncate(self.path, 2)
        self.assertEqual(list(body), [b"he"])

    def test_closed_it_gives_nothing_more(self) -> None:
        body = self.body(b"<", (0, 5))
        self.assertEqual(next(body), b"<")
        body.close()
        self.assertEqual(list(body), [])
        self.assertEqual(body.parts, ())

    def test_a_file_of_its_own_is_closed_with_it(self) -> None:
        for owns_file in (True, False):
            file = OpenFile.at(self.path)
            FileBody(file, owns_file=owns_file).close()
            self.assertEqual(file.fd < 0, owns_file)

    def test_what_was_sent_is_skipped(self) -> None:
        body = self.body((0, 5), b"!")
        body.skip(2)
        self.assertEqual(body.parts, ((2, 3), b"!"))
        body.skip(3)
        self.assertEqual(body.parts, (b"!",))


class FileObjects(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = make_tree(self) / "a.txt"

    def test_a_plain_file_is_sent_from_where_it_stands(self) -> None:
        file = self.path.open("rb")
        file.read(1)
        body = body_of_file(file)
        assert body is not None
        self.assertEqual(body.parts, ((1, 4),))
        self.assertFalse(body.is_whole)
        del body
        self.assertTrue(file.closed)

    def test_what_was_written_is_flushed_first(self) -> None:
        file = self.path.open("r+b")
        file.write(b"J")
        file.seek(0)
        body = body_of_file(file)
        assert body is not None
        self.assertEqual(list(body), [b"Jello"])

    def test_behind_the_end_there_is_nothing(self) -> None:
        file = self.path.open("rb")
        file.seek(99)
        body = body_of_file(file)
        assert body is not None
        self.assertEqual((body.length, list(body)), (0, []))

    def test_others_are_read(self) -> None:
        read, write = os.pipe()
        with (
            os.fdopen(read, "rb") as pipe,
            io.BytesIO(b"a") as memory,
            self.path.open() as text,
            tempfile.SpooledTemporaryFile() as spooled,
        ):
            for file in (pipe, memory, text, spooled):
                self.assertIsNone(body_of_file(file))
        os.close(write)
        self.assertIsNone(body_of_file(pipe))  # closed

    def test_what_unpacks_is_read_and_not_the_packed_file(self) -> None:
        with gzip.open(self.path, "wb") as packed:
            packed.write(b"hello" * 1000)
        for wrap in (io.BufferedReader, lambda file: file):
            unpacking = gzip.open(self.path)  # noqa: SIM115  # closed with the body
            response = Response.stream(wrap(unpacking))
            self.assertIsNone(response.content_length)
            self.assertEqual(b"".join(response.body), b"hello" * 1000)  # type: ignore[arg-type]  # all bytes

    def test_one_that_is_read_is_closed_at_the_end_and_when_left(self) -> None:
        memory = io.BytesIO(bytes(PIECE + 1))
        pieces = pieces_of_file(memory)
        self.assertEqual(len(next(pieces)), PIECE)
        self.assertFalse(memory.closed)
        pieces.close()  # type: ignore[attr-defined]  # it is a generator
        self.assertTrue(memory.closed)
        text = self.path.open()
        self.assertEqual(list(pieces_of_file(text)), ["hello"])
        self.assertTrue(text.closed)


class Responses(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = make_tree(self) / "a.txt"

    def test_a_file_object_may_be_returned_and_has_a_length(self) -> None:
        response = to_response(self.path.open("rb"))
        self.assertEqual(response.content_length, 5)
        self.assertIsInstance(response.body, FileBody)
        response = Response.stream(io.BytesIO(b"abc"), content_type="text/plain")
        self.assertIsNone(response.content_length)

    def test_a_file_has_its_fields(self) -> None:
        response = Response.file(self.path)
        self.assertEqual(response.headers["content-type"], "text/plain; charset=utf-8")
        self.assertEqual(response.headers["accept-ranges"], "bytes")
        self.assertIn("etag", response.headers)
        self.assertIn("last-modified", response.headers)
        self.assertNotIn("content-disposition", response.headers)
        self.assertEqual(response.content_length, 5)

    def test_what_the_application_says_goes_before(self) -> None:
        response = Response.file(
            str(self.path),
            content_type="text/x-own",
            filename="b.txt",
            headers={"ETag": '"own"'},
        )
        self.assertEqual(response.headers["content-type"], "text/x-own")
        self.assertEqual(response.headers["etag"], '"own"')
        self.assertEqual(
            response.headers["content-disposition"], 'attachment; filename="b.txt"'
        )
        shown = Response.file(self.path, filename="b.txt", inline=True)
        self.assertIn("inline", shown.headers["content-disposition"])
