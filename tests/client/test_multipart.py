"""Forms with files: what is sent, how long it is, and what is held meanwhile."""

from __future__ import annotations

import io
import os
import tracemalloc
from email import message_from_bytes
from email.policy import HTTP
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.client.file_pieces import PIECE_SIZE, FileSpan
from httpx_tw.client.multipart import MultipartBody
from httpx_tw.errors import (
    BodyConsumed,
    ConfigurationError,
    FileChanged,
    InvalidHeader,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

MIB = 1024 * 1024
CRLF = "\r\n"


def sent(data: Any = None, files: Any = None) -> str:
    return b"".join(MultipartBody(data, files, "x")).decode()


def lines(*texts: str) -> str:
    return CRLF.join(texts)


class WireTests(SynchronousTestCase):
    def test_fields_come_before_files(self) -> None:
        self.assertEqual(
            sent({"a": "1", "b": ["2", 3]}, {"f": ("n.txt", b"content")}),
            lines(
                *("--x", 'Content-Disposition: form-data; name="a"', "", "1"),
                *("--x", 'Content-Disposition: form-data; name="b"', "", "2"),
                *("--x", 'Content-Disposition: form-data; name="b"', "", "3"),
                "--x",
                'Content-Disposition: form-data; name="f"; filename="n.txt"',
                *("Content-Type: text/plain", "", "content"),
                *("--x--", ""),
            ),
        )

    def test_an_empty_form_is_its_end(self) -> None:
        self.assertEqual(sent(), lines("--x--", ""))

    def test_a_file_may_have_a_type_and_headers(self) -> None:
        text = sent(files=[("f", ("n", "\u00e9", "image/x", {"X-A": "b"}))])
        self.assertIn(
            lines('filename="n"', "Content-Type: image/x", "X-A: b", "", "\u00e9", ""),
            text,
        )

    def test_a_type_is_guessed_from_the_name(self) -> None:
        for name, expected in (
            ("a.png", "image/png"),
            ("a.html", "text/html"),
            ("a", "application/octet-stream"),
            ("a.unknown-type", "application/octet-stream"),
        ):
            text = sent(files={"f": (name, b"")})
            self.assertIn(f"Content-Type: {expected}\r\n", text)

    def test_a_file_without_a_name_is_a_field(self) -> None:
        self.assertEqual(sent(files={"f": (None, "v")}), sent({"f": "v"}))
        text = sent(files={"f": (None, "{}", "application/json")})
        self.assertIn('name="f"\r\nContent-Type: application/json\r\n\r\n{}', text)

    def test_a_content_alone_is_named_as_it_is(self) -> None:
        Path("n.txt").write_bytes(b"x")
        with Path("n.txt").open("rb") as file:
            self.assertIn('filename="n.txt"', sent(files={"f": file}))
        self.assertIn('filename="n.txt"', sent(files={"f": Path.cwd() / "n.txt"}))
        self.assertIn('filename="f"', sent(files={"f": b"x"}))
        self.assertIn('filename="f"', sent(files={"f": io.BytesIO(b"x")}))
        descriptor = os.open("n.txt", os.O_RDONLY)
        with os.fdopen(descriptor, "rb") as file:  # its name is a number
            self.assertIn('filename="f"', sent(files={"f": file}))

    def test_names_are_escaped_as_browsers_do(self) -> None:
        text = sent({'a"b\r\nc': "1"}, {"f": ('x"\ny\\%22\u00e9', b"")})
        self.assertIn('name="a%22b%0D%0Ac"', text)
        self.assertIn('filename="x%22%0Ay\\%22\u00e9"', text)

    def test_the_boundary_is_random_and_said(self) -> None:
        bodies = [MultipartBody() for _ in range(9)]
        self.assertEqual(len({body.content_type for body in bodies}), 9)
        for body in bodies:
            prefix, _, boundary = body.content_type.partition("=")
            self.assertEqual(prefix, "multipart/form-data; boundary")
            self.assertEqual(b"".join(body), f"--{boundary}--\r\n".encode())

    def test_a_boundary_that_is_no_token_is_quoted(self) -> None:
        body = MultipartBody(boundary="a b:c")
        self.assertEqual(body.content_type, 'multipart/form-data; boundary="a b:c"')

    contents = st.binary() | st.text(st.characters(codec="utf-8"))
    names = st.text(st.characters(codec="utf-8"), min_size=1)

    @given(st.lists(st.tuples(names, contents)), st.lists(st.tuples(names, contents)))
    def test_what_is_sent_is_read_back(self, data: Any, files: Any) -> None:
        body = MultipartBody(data, [(name, (name, value)) for name, value in files])
        wire = b"".join(body)
        self.assertEqual(body.length, len(wire))
        self.assertIn(body.data, (wire, None))
        head = f"Content-Type: {body.content_type}\r\n\r\n".encode()
        message = message_from_bytes(head + wire, policy=HTTP)
        payload: Any = message.get_payload()
        parts = payload if message.is_multipart() else []
        found = [part.get_payload(decode=True) for part in parts]
        expected = [
            value.encode() if isinstance(value, str) else value
            for _, value in (*data, *files)
        ]
        if all(b"\r" not in value and b"\n" not in value for value in expected):
            self.assertEqual(found, expected)  # the e-mail parser mends line ends


class LengthTests(SynchronousTestCase):
    def test_it_is_known_if_that_of_each_part_is(self) -> None:
        Path("p").write_bytes(b"x" * 1000)
        file = io.BytesIO(b"y" * 1000)
        file.seek(400)
        files: Any = {"p": Path("p"), "f": file, "b": b"z", "s": "\u00e9"}
        body = MultipartBody({"a": "\u00e9"}, files)
        self.assertEqual(body.length, len(b"".join(body)))

    def test_it_is_not_if_one_is_a_stream(self) -> None:
        self.assertIsNone(MultipartBody(None, {"f": iter([b"x"])}).length)
        self.assertIsNone(MultipartBody(None, {"f": OnlyRead(b"x")}).length)

    def test_an_open_file_is_sent_from_where_it_stands(self) -> None:
        file = io.BytesIO(b"abcdef")
        file.seek(3)
        self.assertIn("\r\n\r\ndef\r\n", sent(files={"f": file}))
        self.assertFalse(file.closed)

    def test_small_ones_are_there_at_once(self) -> None:
        body = MultipartBody({"a": "1"}, {"f": b"x"})
        self.assertEqual(body.data, b"".join(body))
        self.assertIsNone(MultipartBody(files={"f": bytes(PIECE_SIZE)}).data)
        self.assertIsNone(MultipartBody(files={"f": io.BytesIO(b"x")}).data)
        self.assertIsNone(MultipartBody(files={"f": [b"x"]}).data)

    def test_a_file_that_became_shorter_is_an_error(self) -> None:
        Path("p").write_bytes(b"x" * 1000)
        body = MultipartBody(files={"f": Path("p")})
        Path("p").write_bytes(b"x" * 900)
        error = self.assertRaises(FileChanged, b"".join, body)
        self.assertIn("100 bytes", str(error))

    def test_an_open_file_that_became_longer_is_an_error(self) -> None:
        file = io.BytesIO(b"x" * 10)
        body = MultipartBody(files={"f": file})
        file.write(b"x" * 1000)
        self.assertRaises(FileChanged, b"".join, body)

    def test_a_file_on_a_disk_is_a_span(self) -> None:
        Path("p").write_bytes(b"x" * 10)
        reading = MultipartBody(files={"f": Path("p")}).open()
        kinds = [type(piece) for piece in iter(reading.next, None)]
        self.assertEqual(kinds, [bytes, FileSpan, bytes])


class OnlyRead:
    """A file that can do nothing else, as a pipe."""

    def __init__(self, content: bytes) -> None:
        self.content = io.BytesIO(content)

    def read(self, size: int) -> bytes:
        return self.content.read(size)


class ReplayTests(SynchronousTestCase):
    def test_what_can_be_wound_back_is_sent_again(self) -> None:
        Path("p").write_bytes(b"path")
        file = io.BytesIO(b"a file")
        file.seek(2)
        files: Any = {"f": file, "p": Path("p"), "b": b"bytes", "l": [b"li", b"st"]}
        body = MultipartBody({"a": "1"}, files)
        self.assertTrue(body.can_replay)
        first = b"".join(body)
        self.assertEqual(b"".join(body), first)
        self.assertIn(b"list", first)

    def test_what_cannot_is_refused(self) -> None:
        for content in (iter([b"x"]), OnlyRead(b"x"), (piece for piece in [b"x"])):
            body = MultipartBody(files={"f": content})
            self.assertTrue(body.can_replay)
            b"".join(body)
            self.assertFalse(body.can_replay)
            self.assertRaises(BodyConsumed, iter, body)
            self.assertRaises(BodyConsumed, body.open)

    def test_a_reading_gives_piece_after_piece_and_lets_go(self) -> None:
        Path("p").write_bytes(bytes(3 * PIECE_SIZE))
        body = MultipartBody(files={"f": Path("p")})
        self.assertEqual(sum(map(len, body)), body.length)
        reading = body.open()
        self.assertIsNotNone(reading.next())
        span = reading.next()
        assert isinstance(span, FileSpan)
        self.assertEqual(len(span.read(2 * PIECE_SIZE)), 2 * PIECE_SIZE)
        reading.close()
        self.assertIsNone(reading.next())  # and no descriptor is left: see conftest


class MemoryTests(SynchronousTestCase):
    def test_no_file_is_held_whole(self) -> None:
        Path("p").write_bytes(bytes(16 * MIB))
        files: Any = {"f": Path("p"), "g": self.pieces()}
        body = MultipartBody(files=files)
        tracemalloc.start()
        try:
            largest = max(len(piece) for piece in body)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        self.assertLess(peak, MIB)
        self.assertLessEqual(largest, PIECE_SIZE)

    def pieces(self) -> Iterator[bytes]:
        for _ in range(100):
            yield b"x" * 1000

    def test_large_bytes_are_not_copied_into_a_larger_piece(self) -> None:
        content = bytes(PIECE_SIZE)
        body = MultipartBody(files={"f": content})
        self.assertTrue(any(piece is content for piece in body))
        self.assertEqual(sum(map(len, body)), body.length)

    def test_many_small_fields_are_few_pieces(self) -> None:
        body = MultipartBody({f"n{index}": "value" for index in range(2000)})
        pieces = list(body)
        self.assertEqual(sum(map(len, pieces)), body.length)
        self.assertLess(len(pieces), 4)


class RefusalTests(SynchronousTestCase):
    def test_what_is_no_file_is_refused(self) -> None:
        Path("t").write_text("x")
        with Path("t").open() as text_file:
            contents: list[Any] = [
                text_file,
                io.StringIO("x"),
                None,
                1,
                ("n",),
                ("n", b"", "t/p", {}, 5),
                ("n", None),
                Path("absent"),
                ("\ud800", b""),
                "\ud800",
            ]
            for content in contents:
                self.assertRaises(
                    ConfigurationError, MultipartBody, None, {"f": content}
                )

    def test_what_turns_out_to_be_none_is_refused_then(self) -> None:
        liar: Any = ["text"]
        body = MultipartBody(None, {"f": liar})
        self.assertRaises(ConfigurationError, b"".join, body)

    def test_names_are_text(self) -> None:
        bad: Any = {1: b"x"}
        self.assertRaises(ConfigurationError, MultipartBody, bad)
        self.assertRaises(ConfigurationError, MultipartBody, None, bad)

    def test_headers_of_a_part_cannot_end_it(self) -> None:
        for content_type, headers in (
            ("a/b\r\nX: y", {}),
            ("a/b", {"X": "y\r\n\r\n"}),
            ("a/b", {"X: y": "z"}),
        ):
            file = ("n", b"", content_type, headers)
            self.assertRaises(InvalidHeader, MultipartBody, None, {"f": file})

    def test_a_boundary_is_one(self) -> None:
        for boundary in ("", "a\r\nb", "a" * 71, "a ", "\u00e9", 'a"b'):
            self.assertRaises(ConfigurationError, MultipartBody, None, None, boundary)
