"""Tests of what turns heads and pieces of bodies to bytes."""

from __future__ import annotations

from http import HTTPStatus

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.errors import LocalProtocolError
from httpx_tw.protocol.http1_writer import (
    LAST_CHUNK,
    STATUS_LINES,
    chunk,
    field_lines,
    last_chunk,
    reason_phrase,
    request_head,
    status_line,
)


class StatusLineTests(SynchronousTestCase):
    def test_registered_statuses_have_their_phrase(self) -> None:
        self.assertEqual(status_line(200), b"HTTP/1.1 200 OK\r\n")
        self.assertEqual(status_line(413), b"HTTP/1.1 413 Content Too Large\r\n")
        self.assertEqual(reason_phrase(404), "Not Found")
        self.assertEqual(set(STATUS_LINES), {status.value for status in HTTPStatus})

    def test_others_have_none_but_keep_the_space(self) -> None:
        self.assertEqual(status_line(299), b"HTTP/1.1 299 \r\n")
        self.assertEqual(reason_phrase(299), "")

    def test_what_is_not_three_digits_is_refused(self) -> None:
        for status in (-1, 0, 99, 1000):
            self.assertRaises(LocalProtocolError, status_line, status)


class FieldLinesTests(SynchronousTestCase):
    def test_fields_become_lines_in_order(self) -> None:
        self.assertEqual(field_lines([]), b"")
        self.assertEqual(field_lines([(b"b", b"1"), (b"A", b"")]), b"b: 1\r\nA: \r\n")


class ChunkTests(SynchronousTestCase):
    def test_chunk_says_its_size_in_hexadecimal(self) -> None:
        self.assertEqual(chunk(b"hello"), b"5\r\nhello\r\n")
        self.assertEqual(chunk(b"a" * 255), b"ff\r\n" + b"a" * 255 + b"\r\n")

    def test_last_chunk_may_have_trailers(self) -> None:
        self.assertEqual(last_chunk([]), LAST_CHUNK)
        self.assertEqual(last_chunk([(b"A", b"b")]), b"0\r\nA: b\r\n\r\n")


class RequestHeadTests(SynchronousTestCase):
    def test_head_ends_with_a_blank_line(self) -> None:
        self.assertEqual(
            request_head("GET", "/a?b", [(b"Host", b"c")]),
            b"GET /a?b HTTP/1.1\r\nHost: c\r\n\r\n",
        )

    def test_method_must_be_a_token(self) -> None:
        for method in (
            "",
            "G T",
            "GET\r\n",
            "GET\n",
            "\x00",
            "GÉT",
            "GET/",
            "(",
            "\x7f",
        ):
            self.assertRaises(LocalProtocolError, request_head, method, "/", [])

    def test_target_must_be_visible_ascii(self) -> None:
        for target in ("", "/a b", "/\r\nX: y", "/\n", "/\t", "/\x00", "/é", "/\x7f"):
            self.assertRaises(LocalProtocolError, request_head, "GET", target, [])

    @given(st.text(), st.text())
    def test_no_text_makes_more_than_one_line(self, method: str, target: str) -> None:
        try:
            head = request_head(method, target, [])
        except LocalProtocolError:
            return
        self.assertEqual(head.count(b"\r"), 2)
        self.assertEqual(head.count(b"\n"), 2)
        self.assertEqual(head.count(b" "), 2)
