"""Tests of body lengths and body readers: RFC 9112 sections 6 and 7."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.errors import HeadTooLarge, RemoteProtocolError
from httpx_tw.limits import DEFAULT_LIMITS, Limits
from httpx_tw.protocol.events import (
    CHUNKED,
    END_OF_MESSAGE,
    NEED_DATA,
    UNTIL_CLOSE,
    Signal,
)
from httpx_tw.protocol.framing import (
    NOT_IN_TRAILERS,
    ChunkedReader,
    LengthReader,
    UntilCloseReader,
    body_reader,
    request_body_length,
    response_body_length,
)

if TYPE_CHECKING:
    from httpx_tw.headers import HeaderPairs
    from httpx_tw.protocol.framing import BodyReader


def lengths(*values: bytes) -> HeaderPairs:
    return [(b"Content-Length", value) for value in values]


def codings(*values: bytes) -> HeaderPairs:
    return [(b"Transfer-Encoding", value) for value in values]


def read_all(
    reader: BodyReader, data: bytes, *, step: int = 0
) -> tuple[bytes, Signal, bytes]:
    """Return the body in *data*, what stopped it, and what is left.

    *step* bytes come at a time; 0: all at once.
    """
    body = b""
    rest = b""
    event: bytes | Signal = NEED_DATA
    for start in range(0, len(data), step or len(data)):
        rest += data[start : start + (step or len(data))]
        position = 0
        while True:
            event, position = reader.read(rest, position)
            if isinstance(event, Signal):
                break
            body += event
        rest = rest[position:]
        if event is END_OF_MESSAGE:
            return body, event, rest + data[start + (step or len(data)) :]
    assert isinstance(event, Signal)
    return body, event, rest


class RequestBodyLengthTests(SynchronousTestCase):
    def test_neither_field_is_no_body(self) -> None:
        self.assertEqual(request_body_length([(b"A", b"b")], is_http11=True), 0)

    def test_content_length_is_a_number_of_bytes(self) -> None:
        for value, length in (
            (b"0", 0),
            (b"5", 5),
            (b"005", 5),
            (b"0" * 5000 + b"5", 5),
            (b"9" * 18, 10**18 - 1),
        ):
            self.assertEqual(
                request_body_length(lengths(value), is_http11=True), length
            )

    def test_any_other_content_length_is_refused(self) -> None:
        for value in (
            *(
                b"",
                b" ",
                b"+5",
                b"-5",
                b"5_0",
                b"0x5",
                b"5, 5",
                b"5,6",
                b"5.0",
                b"five",
            ),
            *(b"\xb2", b"5\x00", b"5 5", b"9" * 19, b"1" + b"0" * 5000),
        ):
            error = self.assertRaises(
                RemoteProtocolError,
                request_body_length,
                lengths(value),
                is_http11=True,
            )
            self.assertEqual(error.status, 400, value)

    def test_second_content_length_is_refused(self) -> None:
        for second in (b"5", b"6"):
            error = self.assertRaises(
                RemoteProtocolError,
                request_body_length,
                lengths(b"5", second),
                is_http11=True,
            )
            self.assertEqual(error.status, 400)

    def test_chunked_is_known_in_any_case_of_letters(self) -> None:
        for value in (b"chunked", b"Chunked", b"CHUNKED"):
            self.assertEqual(
                request_body_length(codings(value), is_http11=True), CHUNKED
            )

    def test_codings_that_are_not_exactly_chunked_are_not_implemented(self) -> None:
        for values in (
            [b"gzip"],
            [b"identity"],
            [b"gzip, chunked"],
            [b"chunked, gzip"],
            [b"chunked, chunked"],
            [b"chunked", b"chunked"],
            [b"xchunked"],
            [b"chunked,"],
            [b"", b"chunked"],
        ):
            self.refused(codings(*values), 501)

    def test_what_is_no_list_of_codings_is_malformed(self) -> None:
        for value in (b"", b",", b"chun ked", b"chunked;a=b", b'"chunked"', b"\xff"):
            self.refused(codings(value), 400)

    def test_both_fields_together_are_refused(self) -> None:
        self.refused(codings(b"chunked") + lengths(b"5"), 400)
        self.refused(lengths(b"0") + codings(b"gzip"), 400)

    def test_transfer_codings_in_http_1_0_are_refused(self) -> None:
        for value in (b"chunked", b"gzip", b"identity"):
            self.refused(codings(value), 400, is_http11=False)

    def refused(
        self, headers: HeaderPairs, status: int, *, is_http11: bool = True
    ) -> None:
        error = self.assertRaises(
            RemoteProtocolError, request_body_length, headers, is_http11=is_http11
        )
        self.assertEqual(error.status, status, headers)


class ResponseBodyLengthTests(SynchronousTestCase):
    """RFC 9112 section 6.3, in its order."""

    def length(
        self,
        headers: HeaderPairs,
        *,
        status: int = 200,
        method: str = "GET",
        is_http11: bool = True,
    ) -> int:
        return response_body_length(
            headers, status=status, method=method, is_http11=is_http11
        )

    def test_some_responses_never_have_a_body(self) -> None:
        for headers in (lengths(b"5"), codings(b"chunked"), []):
            self.assertEqual(self.length(headers, method="HEAD"), 0)
            for status in (100, 101, 103, 199, 204, 304):
                self.assertEqual(self.length(headers, status=status), 0)

    def test_successful_connect_is_a_tunnel(self) -> None:
        for headers in (lengths(b"5"), codings(b"chunked"), []):
            self.assertEqual(self.length(headers, status=200, method="CONNECT"), 0)
        self.assertEqual(self.length(lengths(b"5"), status=407, method="CONNECT"), 5)

    def test_either_field_tells_the_length(self) -> None:
        self.assertEqual(self.length(lengths(b"5")), 5)
        self.assertEqual(self.length(codings(b"Chunked")), CHUNKED)

    def test_neither_field_means_until_the_connection_closes(self) -> None:
        self.assertEqual(self.length([]), UNTIL_CLOSE)
        self.assertEqual(self.length([], is_http11=False), UNTIL_CLOSE)

    def test_contradictions_are_refused(self) -> None:
        for headers in (
            lengths(b"5", b"6"),
            lengths(b"5", b"5"),
            lengths(b"5, 6"),
            lengths(b""),
            codings(b"gzip"),
            codings(b"gzip, chunked"),
            codings(b"chunked") + lengths(b"5"),
        ):
            self.assertRaises(RemoteProtocolError, self.length, headers)

    def test_transfer_codings_in_http_1_0_are_refused(self) -> None:
        self.assertRaises(
            RemoteProtocolError, self.length, codings(b"chunked"), is_http11=False
        )


class ReaderTests(SynchronousTestCase):
    def test_each_length_has_its_reader(self) -> None:
        self.assertIsInstance(body_reader(CHUNKED, DEFAULT_LIMITS), ChunkedReader)
        self.assertIsInstance(
            body_reader(UNTIL_CLOSE, DEFAULT_LIMITS), UntilCloseReader
        )
        self.assertIsInstance(body_reader(5, DEFAULT_LIMITS), LengthReader)

    def test_body_of_known_length_ends_there_and_leaves_the_rest(self) -> None:
        for step in (0, 1, 2):
            reader = LengthReader(5)
            self.assertFalse(reader.at_eof())
            self.assertEqual(
                read_all(reader, b"hello, you", step=step),
                (b"hello", END_OF_MESSAGE, b", you"),
            )
            self.assertTrue(reader.at_eof())
            self.assertEqual(reader.left, 0)
            self.assertEqual(reader.trailers, [])

    def test_what_is_left_of_a_known_length_is_counted(self) -> None:
        reader = LengthReader(5)
        self.assertEqual(read_all(reader, b"hel"), (b"hel", NEED_DATA, b""))
        self.assertEqual(reader.left, 2)
        self.assertFalse(reader.at_eof())

    def test_body_until_close_takes_everything(self) -> None:
        reader = UntilCloseReader()
        self.assertEqual(read_all(reader, b"hello", step=2), (b"hello", NEED_DATA, b""))
        self.assertTrue(reader.at_eof())
        self.assertEqual(reader.trailers, [])


class ChunkedReaderTests(SynchronousTestCase):
    """RFC 9112 section 7.1; most of these were a CVE somewhere."""

    def body_of(self, data: bytes, limits: Limits = DEFAULT_LIMITS) -> bytes:
        """Return the body that *data* is, however it is split; nothing may be left."""
        bodies = set()
        for step in (0, 1, 2, 3):
            reader = ChunkedReader(limits)
            body, event, rest = read_all(reader, data, step=step)
            self.assertIs(event, END_OF_MESSAGE)
            self.assertEqual(rest, b"")
            self.assertTrue(reader.at_eof())
            bodies.add(body)
        (body,) = bodies
        return body

    def refused(
        self, data: bytes, status: int = 400, limits: Limits = DEFAULT_LIMITS
    ) -> RemoteProtocolError:
        """Expect *data* to be refused with *status*, however it is split."""
        error: RemoteProtocolError
        for step in (1, 2, 3, 0):
            error = self.assertRaises(
                RemoteProtocolError, read_all, ChunkedReader(limits), data, step=step
            )
            self.assertEqual(error.status, status, (data, step))
        return error

    def waits(self, data: bytes, limits: Limits = DEFAULT_LIMITS) -> None:
        for step in (0, 1, 2, 3):
            reader = ChunkedReader(limits)
            self.assertIs(read_all(reader, data, step=step)[1], NEED_DATA, data)
            self.assertFalse(reader.at_eof())

    def test_chunks_are_joined_to_a_body(self) -> None:
        self.assertEqual(self.body_of(b"5\r\nhello\r\n0\r\n\r\n"), b"hello")
        self.assertEqual(
            self.body_of(b"5\r\nhello\r\n00A\r\n0123456789\r\n000\r\n\r\n"),
            b"hello0123456789",
        )
        self.assertEqual(self.body_of(b"0\r\n\r\n"), b"")

    def test_what_follows_the_body_is_left(self) -> None:
        data = b"1\r\na\r\n0\r\n\r\nGET / HTTP/1.1\r\n"
        self.assertEqual(
            read_all(ChunkedReader(DEFAULT_LIMITS), data),
            (b"a", END_OF_MESSAGE, b"GET / HTTP/1.1\r\n"),
        )

    def test_every_prefix_of_a_body_waits_for_more(self) -> None:
        data = b'5;a="b"\r\nhello\r\n0;c\r\nD: e\r\n\r\n'
        for end in range(1, len(data)):
            self.waits(data[:end])

    def test_two_bytes_after_a_chunk_are_checked(self) -> None:
        # CVE-2025-43859
        for ending in (b"xx", b"\r\r", b"\n\r", b"\n\n", b"x\n", b"\rx", b"0\r", b"  "):
            self.refused(b"5\r\nhello" + ending + b"0\r\n\r\n")

    def test_longer_chunk_than_it_says_is_refused(self) -> None:
        self.refused(b"5\r\nhello!\r\n0\r\n\r\n")

    def test_only_hexadecimal_digits_are_a_size(self) -> None:
        # CVE-2022-24801 and its kin
        for size in (
            *(b"+5", b"-5", b"0x5", b"5_0", b" 5", b"5 ", b"5\t", b"g", b"", b"5h"),
            *(b"\xb2", b"5\x00", b"5\x0b", b"ffffffffffffffff", b"0" * 16),
        ):
            self.refused(size + b"\r\nhello\r\n0\r\n\r\n")

    def test_line_ends_of_half_the_characters_are_refused_at_once(self) -> None:
        # CVE-2025-22871: a bare LF ended the line for some and not for others.
        for data in (
            b"5\nhello",
            b"5;a\nhello",
            b"5;a=b\rc",
            b"5\r\rhello",
            b'5;a="\n"',
        ):
            self.refused(data)

    def test_line_ends_hidden_in_an_extension_are_refused(self) -> None:
        # CVE-2025-55315
        for line in (
            b"5;a\nb",
            b"5;\n",
            b"5;a=\nb",
            b'5;a="b\nc"',
            b"5;a\rb",
            b"5;\rb",
        ):
            self.refused(line + b"\r\nhello\r\n0\r\n\r\n")

    def test_extensions_are_read_over(self) -> None:
        for extension in (
            *(b";a", b";a=b", b' ; a = "b; c"', b"\t;a", b';a="\\"";b=c', b';a=""'),
        ):
            data = b"5%b\r\nhello\r\n0%b\r\n\r\n" % (extension, extension)
            self.assertEqual(self.body_of(data), b"hello")

    def test_malformed_extensions_are_refused(self) -> None:
        for extension in (b";", b";=", b";a=b=c", b';a="', b";a b", b";a;", b";\x00"):
            self.refused(b"5%b\r\nhello\r\n0\r\n\r\n" % extension)

    def test_line_at_the_limit_is_taken_and_one_byte_more_is_refused(self) -> None:
        limits = Limits(max_chunk_extension=16)
        for line in (b"5;" + b"a" * 13, b"5;" + b"a" * 14):
            self.assertEqual(
                self.body_of(b"%b\r\nhello\r\n0\r\n\r\n" % line, limits), b"hello"
            )
        self.refused(b"5;%b\r\nhello\r\n0\r\n\r\n" % (b"a" * 15), limits=limits)
        self.refused(b"5;" + b"a" * 16, limits=limits)

    def test_default_limit_of_a_line_is_one_kibibyte(self) -> None:
        self.body_of(b"0;%b\r\n\r\n" % (b"a" * 1022))
        self.refused(b"0;%b\r\n\r\n" % (b"a" * 1023))

    def test_extensions_of_all_chunks_together_are_limited(self) -> None:
        # CVE-2023-39326
        limits = Limits(max_header_bytes=100)
        chunk = b"1;aaaaaaaaa\r\nx\r\n"
        self.assertEqual(self.body_of(chunk * 10 + b"0\r\n\r\n", limits), b"x" * 10)
        self.refused(chunk * 10 + b"1;b\r\nx\r\n0\r\n\r\n", limits=limits)

    def test_trailers_come_after_the_last_chunk(self) -> None:
        reader = ChunkedReader(DEFAULT_LIMITS)
        data = b"1\r\na\r\n0\r\nDigest: b \r\nX:\r\nX: c\r\n\r\n"
        self.assertEqual(read_all(reader, data, step=1), (b"a", END_OF_MESSAGE, b""))
        self.assertEqual(
            reader.trailers, [(b"Digest", b"b"), (b"X", b""), (b"X", b"c")]
        )

    def test_trailers_that_would_change_the_message_are_dropped(self) -> None:
        # RFC 9110 section 6.5.1
        lines = b"".join(name.title() + b": 1\r\n" for name in sorted(NOT_IN_TRAILERS))
        reader = ChunkedReader(DEFAULT_LIMITS)
        read_all(reader, b"0\r\n%bX: 1\r\n\r\n" % lines)
        self.assertEqual(reader.trailers, [(b"X", b"1")])
        self.assertLessEqual(
            {b"content-length", b"transfer-encoding", b"host", b"authorization"},
            NOT_IN_TRAILERS,
        )

    def test_malformed_trailers_are_refused(self) -> None:
        for line in (b"A", b": b", b"A : b", b" A: b", b"A: b\n", b"A: \x00", b"A\n"):
            self.refused(b"0\r\n%b\r\n\r\n" % line)
        self.refused(b"0\r\nA: b\r\n c\r\n\r\n")

    def test_trailer_section_at_the_limit_is_taken_and_more_is_refused(self) -> None:
        limits = Limits(max_header_bytes=40)
        # Two lines of 20 bytes with their ends.
        line = b"A: %b\r\n" % (b"b" * 15)
        self.body_of(b"0\r\n%b%b\r\n" % (line, line), limits)
        self.refused(b"0\r\n%bA%b\r\n" % (line, line), 431, limits)

    def test_one_trailer_line_over_the_limit_is_refused_before_its_end(self) -> None:
        limits = Limits(max_header_bytes=40)
        error = self.refused(b"0\r\nA: " + b"b" * 60, 431, limits)
        self.assertIsInstance(error, HeadTooLarge)

    def test_extensions_and_trailers_are_counted_apart(self) -> None:
        limits = Limits(max_header_bytes=20)
        self.body_of(b"1;aaaaaaaaaaa\r\nx\r\n0\r\nA: bbbbbbbbbbb\r\n\r\n", limits)

    def test_number_of_trailers_is_limited(self) -> None:
        limits = replace(DEFAULT_LIMITS, max_headers=3)
        self.body_of(b"0\r\n" + b"A: b\r\n" * 3 + b"\r\n", limits)
        error = self.refused(b"0\r\n" + b"A: b\r\n" * 4 + b"\r\n", 431, limits)
        self.assertIsInstance(error, HeadTooLarge)

    def test_end_is_said_again_when_asked_again(self) -> None:
        reader = ChunkedReader(DEFAULT_LIMITS)
        self.assertEqual(reader.read(b"0\r\n\r\nGET", 0), (END_OF_MESSAGE, 5))
        self.assertEqual(reader.read(b"0\r\n\r\nGET", 5), (END_OF_MESSAGE, 5))
