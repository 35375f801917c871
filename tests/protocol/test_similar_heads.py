"""What is told of a head from one like it is what the parser says of it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.errors import HTTPXError
from httpx_tw.limits import DEFAULT_LIMITS
from httpx_tw.protocol.events import ResponseHead
from httpx_tw.protocol.http1_client import ClientSide
from httpx_tw.protocol.http1_reader import ResponseHeadParser
from httpx_tw.protocol.similar_heads import similar_head

PARSER = ResponseHeadParser(DEFAULT_LIMITS)
BASE = [
    b"HTTP/1.1 200 OK",
    b"Server: nginx",
    b"Date: Fri, 27 Nov 2026 11:44:29 GMT",
    b"Content-Length: 13",
    b"Set-Cookie: a=b",
    b"Connection: keep-alive",
    b"X-Request-Id: 1",
    b"",
    b"",
]

names = st.sampled_from(
    b"Server:|Date:|Content-Length:|Set-Cookie:|Connection:|X-Request-Id:|connection:"
    b"|Transfer-Encoding:|Upgrade:|Content-Encoding:|Server :| Server:|Server|".split(
        b"|"
    )
)
values = st.one_of(
    st.sampled_from(
        b"|13|007|1 3|-1|+5|99999999999999999999|close|chunked|gzip|keep-alive".split(
            b"|"
        )
    ),
    st.binary(max_size=12),
)
lines = st.builds(
    lambda name, space, value, end: name + space + value + end,
    names,
    st.sampled_from([b"", b" ", b"\t ", b"\r", b"\n "]),
    values,
    st.sampled_from([b"", b" ", b"\t", b"\r", b"\n", b"\0"]),
)
changes = st.dictionaries(
    st.integers(0, 6),
    lines | st.sampled_from([b"HTTP/1.1 404 Not Found", b"HTTP/1.0 200 OK"]),
    max_size=3,
)


def changed(change: dict[int, bytes]) -> bytes:
    return b"\r\n".join(change.get(i, line) for i, line in enumerate(BASE))


def parsed(head: bytes) -> ResponseHead | None:
    try:
        return PARSER.parse(head, "GET")
    except HTTPXError:
        return None


class SimilarHeadTests(SynchronousTestCase):
    known = PARSER.parse(b"\r\n".join(BASE), "GET")

    def similar(
        self, *change: tuple[int, bytes], counts: bool = True
    ) -> ResponseHead | None:
        head = changed(dict(change))
        return similar_head(head.split(b"\r\n"), BASE, self.known, length_counts=counts)

    @given(changes)
    def test_what_is_told_is_what_the_parser_says(
        self, change: dict[int, bytes]
    ) -> None:
        head = changed(change)
        if head.find(b"\r\n\r\n") + 4 != len(head):
            return  # it is not one head
        told = similar_head(head.split(b"\r\n"), BASE, self.known, length_counts=True)
        if told is not None:
            self.assertEqual(told, parsed(head))

    def test_other_values_are_told(self) -> None:
        told = self.similar((3, b"Content-Length: 5"), (6, b"X-Request-Id:\t2 "))
        assert told is not None
        self.assertEqual(told.body_length, 5)
        self.assertEqual(told.headers[5], (b"X-Request-Id", b"2"))
        self.assertEqual(self.known.headers[5], (b"X-Request-Id", b"1"))

    def test_what_decides_is_left_to_the_parser(self) -> None:
        for change in (
            (0, b"HTTP/1.1 404 Not Found"),
            (1, b"Via: nginx"),
            (1, b"Server"),
            (1, b"Server: a\0"),
            (3, b"Content-Length: 0x5"),
            (3, b"Content-Length: 1000000000000000"),
            (5, b"Connection: close"),
            (6, b"Other: 1\r\nX-Request-Id: 1"),
        ):
            self.assertIsNone(self.similar(change), change)

    def test_length_that_is_of_no_body_stays(self) -> None:
        self.assertIsNone(self.similar((3, b"Content-Length: 5"), counts=False))


class ShortcutTests(SynchronousTestCase):
    """A response that is taken whole is the one that the events make."""

    @staticmethod
    def by_events(side: ClientSide, data: bytes) -> object:
        try:
            head = side.receive(data)
            assert isinstance(head, ResponseHead)
            body = side.take_whole_body() if head.body_length else b""
        except (HTTPXError, AssertionError):
            return None
        return None if body is None else (head, body, side.keep_alive)

    @given(st.lists(st.tuples(changes, st.binary(max_size=14)), max_size=4))
    def test_shortcut_and_long_way_agree(
        self, conversation: list[tuple[dict[int, bytes], bytes]]
    ) -> None:
        short = ClientSide(PARSER, DEFAULT_LIMITS)
        for change, body in [({}, b"Hello, World!"), *conversation]:
            data = changed(change) + body
            long = ClientSide(PARSER, DEFAULT_LIMITS)
            long.ask("GET")
            expected = self.by_events(long, data)
            short.ask("GET")
            taken = short.take_whole(data, 100)
            found: object
            if taken is None:
                found = self.by_events(short, data)
            else:
                found = (short.response, taken, short.keep_alive)
            self.assertEqual(found, expected)
            if found is None or not short.keep_alive:
                return

    def test_same_head_is_the_same_object(self) -> None:
        side = ClientSide(PARSER, DEFAULT_LIMITS)
        head = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
        side.ask("GET")
        self.assertIsNone(side.take_whole(head + b"hello", 10))
        side.receive(head + b"hello")
        side.take_whole_body()
        known = side.response
        side.ask("GET")
        self.assertEqual(side.take_whole(head + b"HELLO", 10), b"HELLO")
        self.assertIs(side.response, known)
        side.ask("GET")
        for data, limit in (
            (head + b"hello", 4),  # more than is wanted
            (head + b"hell", 10),
            (head + b"hello!", 10),
            (head[:-2], 10),
        ):
            self.assertIsNone(side.take_whole(data, limit))

    def test_who_sends_a_body_or_another_method_takes_the_long_way(self) -> None:
        side = ClientSide(PARSER, DEFAULT_LIMITS)
        whole = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
        side.ask("GET")
        side.receive(whole)
        side.take_whole_body()
        side.begin("GET", 0)
        self.assertIsNone(side.take_whole(whole, 10))
        side.receive(whole)
        side.take_whole_body()
        side.ask("POST")
        self.assertIsNone(side.take_whole(whole, 10))
        side.receive(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        self.assertIsNone(side.take_whole(whole, 10))

    def test_head_over_the_safe_size_is_parsed(self) -> None:
        side = ClientSide(PARSER, DEFAULT_LIMITS)
        for value in (b"a", b"b" * PARSER.safe_size):
            whole = b"HTTP/1.1 204 No\r\nX: %b\r\n\r\n" % value
            side.ask("GET")
            self.assertIsNone(side.take_whole(whole, 10))
            side.receive(whole)
