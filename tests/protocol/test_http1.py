"""Tests of both sides of a connection: what is read when, and how it is answered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import h11
from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.errors import (
    HeadTooLarge,
    IncompleteMessage,
    LocalProtocolError,
    RemoteProtocolError,
)
from httpx_tw.limits import DEFAULT_LIMITS, Limits
from httpx_tw.protocol.events import (
    CHUNKED,
    END_OF_MESSAGE,
    NEED_DATA,
    PAUSED,
    PEER_CLOSED,
    UNTIL_CLOSE,
    RequestHead,
    ResponseHead,
)
from httpx_tw.protocol.http1_client import ClientSide
from httpx_tw.protocol.http1_reader import (
    LONGEST_KNOWN,
    RequestHeadParser,
    ResponseHeadParser,
)
from httpx_tw.protocol.http1_server import ServerSide
from tests.protocol.work import assert_linear

if TYPE_CHECKING:
    from httpx_tw.headers import HeaderPairs
    from httpx_tw.protocol.http1 import Event

PARSER = RequestHeadParser(DEFAULT_LIMITS)
RESPONSE_PARSER = ResponseHeadParser(DEFAULT_LIMITS)
FIXED = b"date: now\r\n"


def request(
    target: bytes = b"/", version: bytes = b"1.1", fields: bytes = b""
) -> bytes:
    return b"GET %b HTTP/%b\r\nHost: a\r\n%b\r\n" % (target, version, fields)


def post(body: bytes, target: bytes = b"/") -> bytes:
    return b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (
        target,
        len(body),
        body,
    )


def server_side(limits: Limits = DEFAULT_LIMITS) -> ServerSide:
    return ServerSide(RequestHeadParser(limits), limits)


class ServerCase(SynchronousTestCase):
    """What the tests of the server's side say."""

    def target(self, event: Event) -> str:
        assert isinstance(event, RequestHead), event
        return event.target

    def answer(self, side: ServerSide) -> bytes:
        response = side.response(200, b"", [], b"ok")
        side.start_next_cycle()
        return response


class ReceivingTests(ServerCase):
    def test_head_is_the_whole_message_when_there_is_no_body(self) -> None:
        side = server_side()
        self.assertEqual(self.target(side.receive(request(b"/a"))), "/a")
        self.assertIs(side.next_event(), PAUSED)
        self.assertIs(side.next_event(), PAUSED)
        self.assertTrue(side.body_is_read)
        self.assertEqual(side.body_left, 0)

    def test_head_comes_together_from_any_pieces(self) -> None:
        data = b"\r\n\r\n" + request(b"/a")
        for first in range(len(data) + 1):
            for second in range(first, len(data) + 1):
                side = server_side()
                pieces = (data[:first], data[first:second], data[second:])
                *waiting, event = [side.receive(p) for p in pieces if p]
                self.assertEqual(set(waiting) - {NEED_DATA}, set())
                self.assertEqual(self.target(event), "/a")

    def test_first_segment_of_three_bytes_is_no_head(self) -> None:
        side = server_side()
        self.assertIs(side.receive(b"GET"), NEED_DATA)
        self.assertEqual(self.target(side.receive(request(b"/a")[3:])), "/a")

    def test_nothing_received_says_nothing(self) -> None:
        side = server_side()
        self.assertIs(side.receive(b""), NEED_DATA)
        self.assertIs(side.next_event(), NEED_DATA)
        self.assertTrue(side.is_idle)

    def test_only_what_may_be_a_known_head_is_looked_up(self) -> None:
        lengths: list[int] = []

        class Noting(dict[bytes, RequestHead]):
            def get(self, key: bytes, default: Any = None) -> Any:
                lengths.append(len(key))
                return super().get(key, default)

        parser = RequestHeadParser(DEFAULT_LIMITS)
        parser.known = Noting()
        for data in (request(), request(b"/" + b"a" * LONGEST_KNOWN), post(b"a" * 65)):
            ServerSide(parser, DEFAULT_LIMITS).receive(data)
        ServerSide(parser, DEFAULT_LIMITS).receive(post(b"a" * 65536))
        # Of the last the head alone: to hash all of it would take 27 µs.
        head = len(post(b"a" * 65536)) - 65536
        whole = len(post(b"a" * 65))
        self.assertEqual(lengths, [len(request()), whole, whole - 65, head])

    def test_empty_lines_before_a_request_are_ignored(self) -> None:
        side = server_side()
        self.assertIs(side.receive(b"\r\n\r\n\r"), NEED_DATA)
        self.assertFalse(side.is_idle)
        self.assertIs(side.receive(b"\n"), NEED_DATA)
        self.assertTrue(side.is_idle)
        self.assertEqual(self.target(side.receive(b"\r\n" + request(b"/a"))), "/a")

    def test_half_an_empty_line_before_a_request_is_refused(self) -> None:
        for start in (b"\n", b"\r", b"\r\n\n", b"\r\n\r", b"\r\r\n"):
            for data in (start + request(), start + b"GET /"):
                error = self.assertRaises(
                    RemoteProtocolError, server_side().receive, data
                )
                self.assertEqual(error.status, 400, data)

    def test_body_of_known_length_comes_in_pieces(self) -> None:
        side = server_side()
        head = side.receive(post(b"hello")[:-3])
        assert isinstance(head, RequestHead)
        self.assertEqual(head.body_length, 5)
        self.assertEqual(side.body_left, 5)
        self.assertEqual(side.next_event(), b"he")
        self.assertIs(side.next_event(), NEED_DATA)
        self.assertIs(side.next_event(), NEED_DATA)
        self.assertEqual(side.body_left, 3)
        self.assertFalse(side.body_is_read)
        self.assertEqual(side.receive(b"llo"), b"llo")
        self.assertIs(side.next_event(), END_OF_MESSAGE)
        self.assertIs(side.next_event(), PAUSED)
        self.assertTrue(side.body_is_read)
        self.assertEqual(side.trailers, [])

    def test_chunked_body_comes_in_pieces_and_ends_with_its_trailers(self) -> None:
        side = server_side()
        head = side.receive(request(fields=b"Transfer-Encoding: chunked\r\n"))
        assert isinstance(head, RequestHead)
        self.assertEqual(head.body_length, CHUNKED)
        self.assertEqual(side.body_left, -1)
        self.assertEqual(side.receive(b"5\r\nhe"), b"he")
        self.assertIs(side.next_event(), NEED_DATA)
        self.assertEqual(side.receive(b"llo\r\n0\r\nA: b\r\n\r\n"), b"llo")
        self.assertEqual(side.trailers, [])
        self.assertIs(side.next_event(), END_OF_MESSAGE)
        self.assertEqual(side.trailers, [(b"A", b"b")])
        self.assertEqual(side.body_left, 0)
        self.answer(side)
        self.assertEqual(side.trailers, [])

    def test_nothing_is_kept_for_an_idle_connection(self) -> None:
        for data in (request(), post(b"hello"), b"\r\n" + request(), request() * 3):
            side = server_side()
            event = side.receive(data)
            while event is not NEED_DATA:
                if event is PAUSED:
                    self.answer(side)
                event = side.next_event()
            self.assertTrue(side.is_idle)
            self.assertEqual(side._buffer, b"")
            self.assertEqual(side.unread, b"")

    def test_fault_in_the_body_is_raised_where_it_is(self) -> None:
        side = server_side()
        side.receive(request(fields=b"Transfer-Encoding: chunked\r\n"))
        self.assertEqual(side.receive(b"1\r\naXX"), b"a")
        self.assertRaises(RemoteProtocolError, side.next_event)

    def test_oversize_head_is_refused_before_its_end(self) -> None:
        limits = Limits(max_request_line=30, max_header_bytes=30)
        for data, status in (
            (b"GET /" + b"a" * 26, 414),
            (b"GET / HTTP/1.1\r\nA: " + b"b" * 40, 431),
        ):
            for step in (1, 7, len(data)):
                side = server_side(limits)
                error = self.assertRaises(HeadTooLarge, self.feed, side, data, step)
                self.assertEqual(error.status, status)

    def test_request_line_at_its_limit_is_taken_however_it_is_split(self) -> None:
        limits = Limits(max_request_line=20, max_header_bytes=20)
        data = request(b"/" + b"a" * 6)
        for split in range(1, len(data)):
            side = server_side(limits)
            self.assertIs(side.receive(data[:split]), NEED_DATA)
            self.target(side.receive(data[split:]))

    def feed(self, side: ServerSide, data: bytes, step: int) -> None:
        for start in range(0, len(data), step):
            self.assertIs(side.receive(data[start : start + step]), NEED_DATA)

    def test_tls_client_hello_is_refused_at_its_first_byte(self) -> None:
        self.assertRaises(RemoteProtocolError, server_side().receive, b"\x16")

    def test_held_bytes_wait_to_be_asked_for(self) -> None:
        side = server_side()
        side.hold(request(b"/a")[:9])
        side.hold(request(b"/a")[9:])
        self.assertFalse(side.is_idle)
        self.assertEqual(self.target(side.next_event()), "/a")

    def test_reading_a_head_byte_by_byte_costs_each_byte_a_few_times(self) -> None:
        limits = Limits(max_request_line=100_000, max_header_bytes=100_000)

        def trickle(data: bytes) -> None:
            side = server_side(limits)
            for start in range(0, len(data), 8):
                side.receive(data[start : start + 8])

        assert_linear(self, trickle, b"GET / HTTP/1.1\r\nA: ", b"b", b"")
        assert_linear(self, trickle, b"GET / HTTP/1.1\r\n", b"A:\r\n", b"")
        assert_linear(self, trickle, b"GET /", b"a", b"")

    def test_reading_a_body_byte_by_byte_costs_each_byte_a_few_times(self) -> None:
        def trickle(data: bytes) -> None:
            side = server_side()
            side.receive(request(fields=b"Transfer-Encoding: chunked\r\n"))
            for start in range(0, len(data), 2):
                event = side.receive(data[start : start + 2])
                while event is not NEED_DATA:
                    event = side.next_event()

        assert_linear(self, trickle, b"", b"1\r\na\r\n", b"")
        assert_linear(self, trickle, b"fffff\r\n", b"a", b"")

    def test_many_pipelined_requests_in_one_read_cost_the_same_each(self) -> None:
        def serve(data: bytes) -> None:
            side = server_side()
            event = side.receive(data)
            while event is not NEED_DATA:
                self.answer(side)
                event = side.next_event()

        assert_linear(self, serve, b"", request(), b"")
        assert_linear(self, serve, b"", b"\r\n", request())


class PipeliningTests(ServerCase):
    """CVE-2023-46137, CVE-2024-41671: a request is read when its turn has come."""

    def test_requests_come_one_at_a_time_in_order(self) -> None:
        side = server_side()
        event = side.receive(request(b"/1") + post(b"two", b"/2") + request(b"/3"))
        self.assertEqual(self.target(event), "/1")
        self.assertIs(side.next_event(), PAUSED)
        self.answer(side)
        self.assertEqual(self.target(side.next_event()), "/2")
        self.assertEqual(side.next_event(), b"two")
        self.assertIs(side.next_event(), END_OF_MESSAGE)
        self.assertIs(side.next_event(), PAUSED)
        self.answer(side)
        self.assertEqual(self.target(side.next_event()), "/3")
        self.answer(side)
        self.assertIs(side.next_event(), NEED_DATA)

    def test_bytes_behind_a_chunked_body_wait_too(self) -> None:
        side = server_side()
        side.receive(
            request(b"/1", fields=b"Transfer-Encoding: chunked\r\n")
            + b"1\r\na\r\n0\r\n\r\n"
            + request(b"/2")
        )
        self.assertEqual(side.next_event(), b"a")
        self.assertIs(side.next_event(), END_OF_MESSAGE)
        self.assertIs(side.next_event(), PAUSED)
        self.assertIs(side.receive(request(b"/3")), PAUSED)
        self.answer(side)
        self.assertEqual(self.target(side.next_event()), "/2")
        self.answer(side)
        self.assertEqual(self.target(side.next_event()), "/3")

    def test_malformed_request_behind_another_is_refused_in_its_turn(self) -> None:
        side = server_side()
        self.assertEqual(self.target(side.receive(request(b"/1") + b"\x00")), "/1")
        self.assertIs(side.next_event(), PAUSED)
        self.answer(side)
        self.assertRaises(RemoteProtocolError, side.next_event)

    def test_side_is_full_at_its_limit_of_requests(self) -> None:
        side = server_side(Limits(max_pipelined=2))
        side.receive(request())
        self.assertFalse(side.is_full)
        for full in (False, True, True):
            self.assertIs(side.receive(request()), PAUSED)
            self.assertEqual(side.is_full, full)
        for full in (True, False, False):
            self.answer(side)
            self.target(side.next_event())
            self.assertEqual(side.is_full, full)

    def test_side_that_holds_no_requests_is_full_with_one_byte(self) -> None:
        side = server_side(Limits(max_pipelined=0))
        side.receive(request())
        self.assertFalse(side.is_full)
        side.receive(b"G")
        self.assertTrue(side.is_full)

    def test_side_is_full_with_one_read_of_anything(self) -> None:
        side = server_side()
        side.receive(request())
        side.receive(b"a" * (64 * 1024 - 1))
        self.assertFalse(side.is_full)
        side.receive(b"a")
        self.assertTrue(side.is_full)

    def test_next_cycle_waits_for_the_end_of_the_body(self) -> None:
        side = server_side()
        side.receive(post(b"hello")[:-1])
        side.next_event()
        self.assertRaises(LocalProtocolError, side.start_next_cycle)
        side.receive(b"o")
        self.assertRaises(LocalProtocolError, side.start_next_cycle)
        self.assertIs(side.next_event(), END_OF_MESSAGE)
        side.start_next_cycle()
        self.assertIs(side.next_event(), NEED_DATA)

    def test_switching_protocols_hands_over_what_was_read_beyond(self) -> None:
        side = server_side()
        offer = request(fields=b"Upgrade: a\r\nConnection: upgrade\r\n")
        event = side.receive(offer + b"\x81\x05hello")
        assert isinstance(event, RequestHead)
        self.assertTrue(event.upgrade)
        self.assertEqual(side.unread, b"\x81\x05hello")
        self.assertEqual(side.switch_protocols(), b"\x81\x05hello")
        self.assertEqual(side.unread, b"")


class HalfCloseTests(ServerCase):
    """A client that shuts down its side still gets what it is owed."""

    def test_end_between_two_exchanges_is_said(self) -> None:
        for before in (b"", b"\r\n"):
            side = server_side()
            side.receive(before)
            self.assertIs(side.receive_eof(), PEER_CLOSED)
            self.assertIs(side.next_event(), PEER_CLOSED)
            self.assertTrue(side.peer_has_closed)

    def test_end_in_a_head_is_an_incomplete_message(self) -> None:
        for before in (b"G", b"\r", b"\r\n\r", request()[:-1]):
            side = server_side()
            side.receive(before)
            self.assertRaises(IncompleteMessage, side.receive_eof)

    def test_end_in_a_body_is_an_incomplete_message(self) -> None:
        side = server_side()
        side.receive(post(b"hello")[:-1])
        self.assertEqual(side.next_event(), b"hell")
        self.assertRaises(IncompleteMessage, side.receive_eof)
        side = server_side()
        side.receive(request(fields=b"Transfer-Encoding: chunked\r\n"))
        self.assertRaises(IncompleteMessage, side.receive_eof)

    def test_whole_body_that_was_not_read_yet_is_still_read(self) -> None:
        side = server_side()
        side.receive(post(b"hello"))
        self.assertEqual(side.receive_eof(), b"hello")
        self.assertIs(side.next_event(), END_OF_MESSAGE)
        self.assertIs(side.next_event(), PAUSED)

    def test_every_request_sent_before_is_answered_and_the_last_closes(self) -> None:
        side = server_side()
        side.receive(request(b"/1") + request(b"/2"))
        self.assertIs(side.receive_eof(), PAUSED)
        self.assertNotIn(b"connection:", self.answer(side))
        self.assertEqual(self.target(side.next_event()), "/2")
        self.assertIn(b"connection: close", self.answer(side))
        self.assertFalse(side.keep_alive)
        self.assertIs(side.next_event(), PEER_CLOSED)

    def test_end_may_be_held_like_bytes(self) -> None:
        side = server_side()
        side.receive(request(b"/1"))
        side.hold_eof()
        self.assertTrue(side.peer_has_closed)
        self.assertIs(side.next_event(), PAUSED)
        self.answer(side)
        self.assertIs(side.next_event(), PEER_CLOSED)


class RespondingTests(SynchronousTestCase):
    def side_after(self, data: bytes) -> ServerSide:
        side = server_side()
        side.receive(data)
        return side

    def response(
        self, data: bytes, status: int = 200, body: bytes = b"hello"
    ) -> tuple[bytes, bytes]:
        """Return head and body of a response to *data*."""
        whole = self.side_after(data).response(status, FIXED, [(b"A", b"b")], body)
        head, separator, rest = whole.partition(b"\r\n\r\n")
        return head + separator, rest

    def test_whole_response_is_written_in_one_piece(self) -> None:
        self.assertEqual(
            self.response(request()),
            (
                b"HTTP/1.1 200 OK\r\ndate: now\r\nA: b\r\ncontent-length: 5\r\n\r\n",
                b"hello",
            ),
        )

    def test_response_to_nothing_is_a_refusal(self) -> None:
        side = server_side()
        side.keep_alive = False
        self.assertEqual(
            side.response(400, b"", [], b"no"),
            b"HTTP/1.1 400 Bad Request\r\ncontent-length: 2\r\n"
            b"connection: close\r\n\r\nno",
        )

    def test_answer_to_head_has_the_length_and_not_the_body(self) -> None:
        head, body = self.response(request().replace(b"GET", b"HEAD"))
        self.assertIn(b"content-length: 5\r\n", head)
        self.assertEqual(body, b"")

    def test_some_statuses_have_neither_length_nor_body(self) -> None:
        for status in (204, 304):
            for text in (b"", b"hello"):
                head, body = self.response(request(), status, text)
                self.assertNotIn(b"content-length", head)
                self.assertEqual(body, b"")

    def test_status_without_a_phrase_is_written(self) -> None:
        self.assertTrue(self.response(request(), 299)[0].startswith(b"HTTP/1.1 299 \r"))
        self.assertRaises(LocalProtocolError, self.response, request(), 1000)

    def test_connection_field_says_what_the_version_wants(self) -> None:
        for version, fields, line in (
            (b"1.1", b"", None),
            (b"1.1", b"Connection: close\r\n", b"close"),
            (b"1.0", b"", b"close"),
            (b"1.0", b"Connection: keep-alive\r\n", b"keep-alive"),
        ):
            data = request(version=version, fields=fields)
            for side in (self.side_after(data), self.side_after(b"\r\n" + data)):
                whole = side.response(200, b"", [], b"")
                head = self.side_after(data).response_head(200, b"", [], 0)
                if line is None:
                    self.assertNotIn(b"connection", whole + head)
                else:
                    self.assertIn(b"\r\nconnection: %b\r\n" % line, whole)
                    self.assertIn(b"\r\nconnection: %b\r\n" % line, head)
                self.assertEqual(side.keep_alive, line != b"close")

    def test_body_of_declared_length_is_sent_as_it_is(self) -> None:
        side = self.side_after(request())
        head = side.response_head(200, FIXED, [], 5)
        self.assertIn(b"\r\ncontent-length: 5\r\n", head)
        self.assertEqual(side.data(b"hel"), b"hel")
        self.assertEqual(side.data(b""), b"")
        self.assertEqual(side.data(b"lo"), b"lo")
        self.assertEqual(side.end(), b"")

    def test_longer_body_than_declared_is_refused(self) -> None:
        side = self.side_after(request())
        side.response_head(200, b"", [], 5)
        self.assertRaises(LocalProtocolError, side.data, b"hello!")
        self.assertEqual(side.data(b"hello"), b"hello")
        self.assertRaises(LocalProtocolError, side.data, b"!")

    def test_shorter_body_than_declared_is_refused(self) -> None:
        side = self.side_after(request())
        side.response_head(200, b"", [], 5)
        side.data(b"hell")
        self.assertRaises(LocalProtocolError, side.end)

    def test_body_of_unknown_length_is_chunked(self) -> None:
        side = self.side_after(request())
        head = side.response_head(200, b"", [], None)
        self.assertIn(b"\r\ntransfer-encoding: chunked\r\n", head)
        self.assertEqual(side.data(b"hello"), b"5\r\nhello\r\n")
        self.assertEqual(side.data(b""), b"")
        self.assertEqual(side.end([(b"A", b"b")]), b"0\r\nA: b\r\n\r\n")

    def test_body_of_unknown_length_ends_with_the_connection_for_http_1_0(self) -> None:
        side = self.side_after(
            request(version=b"1.0", fields=b"Connection: keep-alive\r\n")
        )
        head = side.response_head(200, b"", [], None)
        self.assertNotIn(b"transfer-encoding", head)
        self.assertIn(b"connection: close\r\n", head)
        self.assertEqual(side.data(b"hello"), b"hello")
        self.assertEqual(side.end(), b"")
        self.assertFalse(side.keep_alive)

    def test_nothing_can_be_sent_behind_the_end(self) -> None:
        # It would be read as the next response.
        for version, length in ((b"1.1", None), (b"1.1", 5), (b"1.0", None)):
            side = self.side_after(request(version=version))
            side.response_head(200, b"", [], length)
            side.data(b"hello")
            side.end()
            self.assertRaises(LocalProtocolError, side.data, b"more")
            self.assertEqual(side.end(), b"")

    def test_nothing_can_be_sent_before_a_head(self) -> None:
        side = self.side_after(request())
        self.assertRaises(LocalProtocolError, side.data, b"hello")

    def test_body_in_pieces_to_head_is_not_sent(self) -> None:
        for length, line in ((5, b"content-length: 5"), (None, b"chunked")):
            side = self.side_after(request().replace(b"GET", b"HEAD"))
            self.assertIn(line, side.response_head(200, b"", [], length))
            self.assertEqual(side.data(b"hello"), b"")
            self.assertEqual(side.end(), b"")

    def test_statuses_without_a_body_take_none(self) -> None:
        for status in (204, 304):
            for length in (None, 5):
                side = self.side_after(request())
                head = side.response_head(status, b"", [], length)
                self.assertNotIn(b"transfer-encoding", head)
                self.assertNotIn(b"content-length", head)
                self.assertRaises(LocalProtocolError, side.data, b"hello")
                self.assertEqual(side.end(), b"")

    def test_interim_response_is_a_head_alone(self) -> None:
        side = self.side_after(request())
        self.assertEqual(side.interim(100), b"HTTP/1.1 100 Continue\r\n\r\n")
        self.assertEqual(
            side.interim(103, [(b"Link", b"</a>")]),
            b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
        )
        for status in (99, 200):
            self.assertRaises(LocalProtocolError, side.interim, status)

    def test_http_1_0_is_sent_no_interim_response(self) -> None:
        self.assertEqual(self.side_after(request(version=b"1.0")).interim(103), b"")


class ClientCase(SynchronousTestCase):
    """What the tests of the client's side say."""

    def asked(self, method: str = "GET", length: int | None = 0) -> ClientSide:
        side = ClientSide(RESPONSE_PARSER, DEFAULT_LIMITS)
        side.request_head(method, "/", [(b"Host", b"a")], length)
        return side

    def status(self, event: Event) -> int:
        assert isinstance(event, ResponseHead), event
        return event.status


class AskingTests(ClientCase):
    def head(self, method: str, length: int | None) -> bytes:
        side = ClientSide(RESPONSE_PARSER, DEFAULT_LIMITS)
        return side.request_head(method, "/a", [(b"Host", b"b")], length)

    def test_request_without_a_body_is_a_head(self) -> None:
        self.assertEqual(self.head("GET", 0), b"GET /a HTTP/1.1\r\nHost: b\r\n\r\n")

    def test_methods_that_anticipate_content_say_there_is_none(self) -> None:
        # RFC 9110 section 8.6
        for method in ("POST", "PUT", "PATCH"):
            self.assertIn(b"content-length: 0\r\n", self.head(method, 0))
        self.assertNotIn(b"content-length", self.head("DELETE", 0))

    def test_body_has_a_length_or_is_chunked(self) -> None:
        self.assertIn(b"content-length: 5\r\n", self.head("GET", 5))
        self.assertIn(b"transfer-encoding: chunked\r\n", self.head("GET", None))

    def test_body_of_declared_length_is_sent_as_it_is(self) -> None:
        side = self.asked("POST", 5)
        self.assertEqual(side.data(b"hell"), b"hell")
        self.assertEqual(side.data(b""), b"")
        self.assertRaises(LocalProtocolError, side.end)
        self.assertRaises(LocalProtocolError, side.data, b"oo")
        self.assertEqual(side.data(b"o"), b"o")
        self.assertEqual(side.end(), b"")
        self.assertRaises(LocalProtocolError, side.data, b"more")

    def test_body_of_unknown_length_is_chunked(self) -> None:
        side = self.asked("POST", None)
        self.assertEqual(side.data(b"hello"), b"5\r\nhello\r\n")
        self.assertEqual(side.data(b""), b"")
        self.assertEqual(side.end([(b"A", b"b")]), b"0\r\nA: b\r\n\r\n")
        self.assertEqual(side.end(), b"")
        self.assertRaises(LocalProtocolError, side.data, b"more")

    def test_second_request_waits_for_the_first_exchange(self) -> None:
        side = self.asked()
        self.assertRaises(LocalProtocolError, side.request_head, "GET", "/", [], 0)

    def test_malformed_request_begins_no_exchange(self) -> None:
        side = ClientSide(RESPONSE_PARSER, DEFAULT_LIMITS)
        self.assertRaises(LocalProtocolError, side.request_head, "G T", "/", [], 0)
        side.request_head("GET", "/", [], 0)


class ReadyMadeHeadTests(ClientCase):
    """Requests whose head was made before: begin, and whole bodies at once."""

    def begun(self, method: str = "GET", length: int | None = 0) -> ClientSide:
        side = ClientSide(RESPONSE_PARSER, DEFAULT_LIMITS)
        side.begin(method, length)
        return side

    def test_exchange_begun_so_is_one_like_any(self) -> None:
        side = self.begun()
        self.assertRaises(LocalProtocolError, side.begin, "GET", 0)
        self.assertEqual(self.status(side.receive(b"HTTP/1.1 204 No\r\n\r\n")), 204)
        side.begin("GET", 0)
        side.receive(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        side.receive_eof()
        self.assertRaises(LocalProtocolError, side.begin, "GET", 0)

    def test_body_of_the_request_follows(self) -> None:
        side = self.begun("POST", 3)
        self.assertEqual(side.data(b"abc"), b"abc")
        side = self.begun("POST", None)
        self.assertEqual(side.data(b"abc"), b"3\r\nabc\r\n")

    def test_body_that_came_with_the_head_is_taken_at_once(self) -> None:
        side = self.begun()
        head = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
        for _ in range(2):
            side.receive(head + b"hello")
            self.assertEqual(side.body_left, 5)
            self.assertEqual(side.take_whole_body(), b"hello")
            self.assertEqual(side.body_left, 0)
            self.assertTrue(side.keep_alive)
            self.assertIs(side.next_event(), PAUSED)
            side.begin("GET", 0)

    def test_same_head_to_another_method_is_read_anew(self) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
        side = self.begun("HEAD")
        for _ in range(2):
            event = side.receive(head)
            assert isinstance(event, ResponseHead)
            self.assertEqual(event.body_length, 0)
            side.begin("GET", 0)
            event = side.receive(head + b"hello")
            assert isinstance(event, ResponseHead)
            self.assertEqual(event.body_length, 5)
            self.assertEqual(side.take_whole_body(), b"hello")
            side.begin("HEAD", 0)

    def test_same_head_closes_the_connection_again(self) -> None:
        head = b"HTTP/1.1 102 Go on\r\n\r\n"
        side = self.begun()
        for _ in range(3):
            event = side.receive(head)
            assert isinstance(event, ResponseHead)
            self.assertTrue(event.is_interim)
        side.receive(b"HTTP/1.1 204 No\r\nConnection: close\r\n\r\n")
        self.assertFalse(side.keep_alive)

    def test_other_bodies_are_taken_by_events(self) -> None:
        for rest in (
            b"Content-Length: 5\r\n\r\nhell",
            b"Content-Length: 5\r\n\r\nhello, and more",
            b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            b"\r\nhello",
        ):
            side = self.begun()
            side.receive(b"HTTP/1.1 200 OK\r\n" + rest)
            self.assertIsNone(side.take_whole_body())
            self.assertIn(side.next_event(), (b"hell", b"hello"))

    def test_what_is_left_is_known_of_bodies_of_known_length(self) -> None:
        for rest, left in (
            (b"Content-Length: 5\r\n\r\nhe", 3),
            (b"Transfer-Encoding: chunked\r\n\r\n5\r\nhe", None),
            (b"\r\nhe", None),
        ):
            side = self.begun()
            side.receive(b"HTTP/1.1 200 OK\r\n" + rest)
            side.next_event()
            self.assertEqual(side.body_left, left)

    def test_what_cannot_begin_a_response_is_refused_as_it_comes(self) -> None:
        for sent in (b"S", b"SSH-2.0-x\r\n", b"HTTP/2", b"\r\n", b"HTTP/1.1\n"):
            side = self.begun()
            with self.assertRaises(RemoteProtocolError):
                side.receive(sent)


class AnsweredTests(ClientCase):
    def test_body_of_known_length_ends_the_exchange(self) -> None:
        side = self.asked()
        event = side.receive(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel")
        self.assertEqual(self.status(event), 200)
        self.assertEqual(side.next_event(), b"hel")
        self.assertIs(side.next_event(), NEED_DATA)
        self.assertEqual(side.receive(b"lo"), b"lo")
        self.assertIs(side.next_event(), END_OF_MESSAGE)
        self.assertIs(side.next_event(), PAUSED)
        self.assertIs(side.next_event(), PAUSED)
        self.assertTrue(side.keep_alive)
        self.assertEqual(side._buffer, b"")
        side.request_head("GET", "/", [], 0)

    def test_head_may_come_in_pieces(self) -> None:
        data = b"HTTP/1.1 204 No Content\r\nA: b\r\n\r\n"
        for split in range(1, len(data)):
            side = self.asked()
            self.assertIs(side.receive(data[:split]), NEED_DATA)
            self.assertEqual(self.status(side.receive(data[split:])), 204)
            self.assertTrue(side.keep_alive)

    def test_chunked_body_ends_with_its_trailers(self) -> None:
        side = self.asked()
        side.receive(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"5\r\nhello\r\n0\r\nA: b\r\n\r\n"
        )
        self.assertEqual(side.next_event(), b"hello")
        self.assertIs(side.next_event(), END_OF_MESSAGE)
        self.assertEqual(side.trailers, [(b"A", b"b")])
        self.assertTrue(side.keep_alive)
        side.request_head("GET", "/", [], 0)
        self.assertEqual(side.trailers, [])

    def test_body_until_close_ends_there(self) -> None:
        side = self.asked()
        event = side.receive(b"HTTP/1.1 200 OK\r\n\r\nhel")
        assert isinstance(event, ResponseHead)
        self.assertEqual(event.body_length, UNTIL_CLOSE)
        self.assertEqual(side.next_event(), b"hel")
        self.assertEqual(side.receive(b"lo"), b"lo")
        self.assertIs(side.next_event(), NEED_DATA)
        self.assertIs(side.receive_eof(), END_OF_MESSAGE)
        self.assertIs(side.next_event(), PEER_CLOSED)
        self.assertFalse(side.keep_alive)

    def test_interim_responses_come_before_the_final_one(self) -> None:
        side = self.asked()
        event = side.receive(
            b"HTTP/1.1 100 Continue\r\n\r\n"
            b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
            b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
        )
        self.assertEqual(self.status(event), 100)
        self.assertEqual(self.status(side.next_event()), 103)
        self.assertEqual(self.status(side.next_event()), 200)
        self.assertIs(side.next_event(), PAUSED)
        self.assertTrue(side.keep_alive)

    def test_some_responses_have_no_body_whatever_they_say(self) -> None:
        for method, status in (("HEAD", 200), ("GET", 204), ("GET", 304)):
            side = self.asked(method)
            side.receive(b"HTTP/1.1 %d X\r\nContent-Length: 5\r\n\r\n" % status)
            self.assertIs(side.next_event(), PAUSED)
            self.assertTrue(side.keep_alive)

    def test_end_in_a_response_is_an_incomplete_message(self) -> None:
        for data in (
            b"",
            b"HTTP/1.1 200",
            b"HTTP/1.1 100 Continue\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
        ):
            side = self.asked()
            side.receive(data)
            self.assertRaises(IncompleteMessage, side.receive_eof)
            self.assertFalse(side.keep_alive)

    def test_end_behind_a_whole_body_is_fine(self) -> None:
        side = self.asked()
        side.receive(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
        self.assertEqual(side.receive_eof(), b"hello")
        self.assertIs(side.next_event(), END_OF_MESSAGE)
        self.assertIs(side.next_event(), PEER_CLOSED)

    def test_bytes_outside_an_exchange_are_refused(self) -> None:
        # RFC 9112 section 9.2: nor may they answer the next request.
        whole = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b"
        for body in (b"", b"hello"):
            side = self.asked()
            event = side.receive(whole % (len(body), body) + whole % (0, b""))
            while side.keep_alive and event is not END_OF_MESSAGE:
                event = side.next_event()
            self.assertFalse(side.keep_alive)
            self.assertRaises(LocalProtocolError, side.request_head, "GET", "/", [], 0)
            self.assertRaises(RemoteProtocolError, side.next_event)

    def test_bytes_that_come_while_idle_are_refused(self) -> None:
        side = ClientSide(RESPONSE_PARSER, DEFAULT_LIMITS)
        self.assertRaises(RemoteProtocolError, side.receive, b"HTTP/1.1 408 X\r\n\r\n")
        self.assertFalse(side.keep_alive)
        self.assertRaises(LocalProtocolError, side.request_head, "GET", "/", [], 0)

    def test_connection_that_will_close_takes_no_other_request(self) -> None:
        side = self.asked()
        side.receive(b"HTTP/1.1 204 X\r\nConnection: close\r\n\r\n")
        self.assertFalse(side.keep_alive)
        self.assertRaises(LocalProtocolError, side.request_head, "GET", "/", [], 0)

    def test_connection_that_was_closed_takes_no_request(self) -> None:
        side = ClientSide(RESPONSE_PARSER, DEFAULT_LIMITS)
        self.assertIs(side.receive_eof(), PEER_CLOSED)
        self.assertRaises(LocalProtocolError, side.request_head, "GET", "/", [], 0)

    def test_answer_before_the_request_was_all_sent_ends_the_connection(self) -> None:
        for length in (5, None):
            side = self.asked("POST", length)
            side.data(b"hell")
            side.receive(b"HTTP/1.1 413 X\r\nContent-Length: 0\r\n\r\n")
            self.assertFalse(side.keep_alive)

    def test_connection_that_changed_its_protocol_takes_no_request(self) -> None:
        switching = b"HTTP/1.1 101 X\r\nUpgrade: a\r\nConnection: upgrade\r\n\r\nrest"
        for method, data in (
            ("GET", switching),
            ("CONNECT", b"HTTP/1.1 200 X\r\n\r\nrest"),
        ):
            side = self.asked(method)
            self.status(side.receive(data))
            self.assertEqual(side.unread, b"rest")
            self.assertFalse(side.keep_alive)

    def test_refused_connect_is_a_response_like_any_other(self) -> None:
        side = self.asked("CONNECT")
        side.receive(b"HTTP/1.1 407 X\r\nContent-Length: 2\r\n\r\nno")
        self.assertEqual(side.next_event(), b"no")
        self.assertIs(side.next_event(), END_OF_MESSAGE)
        self.assertTrue(side.keep_alive)

    def test_faults_are_raised(self) -> None:
        for data in (
            b"\x15\x03\x01",
            b"HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
            b"HTTP/1.1 200 OK\n",
            b"HTTP/1.1 " + b"2" * 9000,
        ):
            self.assertRaises(RemoteProtocolError, self.asked().receive, data)

    def test_head_over_its_limits_is_refused_however_it_is_split(self) -> None:
        for size, fits in ((16 * 1024 - 3, True), (16 * 1024 - 2, False)):
            head = b"HTTP/1.1 200 OK\r\nA:%b\r\n\r\n" % (b"b" * (size - 1))
            for step in (1000, 16 * 1024 + 10, len(head)):
                side = self.asked()
                try:
                    for start in range(0, len(head), step):
                        side.receive(head[start : start + step])
                except HeadTooLarge:
                    self.assertFalse(fits)
                else:
                    self.assertTrue(fits)


class SecondOpinionTests(SynchronousTestCase):
    """h11 reads what we write as we meant it."""

    def read_response(
        self, method: bytes, data: bytes
    ) -> tuple[h11.Response, bytes, HeaderPairs]:
        peer = h11.Connection(h11.CLIENT)
        peer.send(h11.Request(method=method, target=b"/", headers=[("Host", "a")]))
        peer.send(h11.EndOfMessage())
        peer.receive_data(data)
        peer.receive_data(b"")
        head = peer.next_event()
        assert isinstance(head, h11.Response)
        body = b""
        while isinstance(event := peer.next_event(), h11.Data):
            body += event.data
        assert isinstance(event, h11.EndOfMessage)
        return head, body, list(event.headers)

    def test_every_kind_of_response_is_understood(self) -> None:
        for method in (b"GET", b"HEAD", b"POST"):
            for version in (b"1.0", b"1.1"):
                for status in (200, 204, 206, 304, 404, 500):
                    self.response_is_understood(method, version, status)

    def response_is_understood(
        self, method: bytes, version: bytes, status: int
    ) -> None:
        asked = request(version=version).replace(b"GET", method)
        bodiless = method == b"HEAD" or status in {204, 304}
        expected = b"" if bodiless else b"hello"
        for length in (None, 5, -1):
            side = server_side()
            side.receive(asked)
            if length == -1:
                data = side.response(status, FIXED, [(b"A", b"b")], b"hello")
            else:
                data = side.response_head(status, FIXED, [(b"A", b"b")], length)
                if not bodiless:
                    data += side.data(b"hel") + side.data(b"lo")
                data += side.end()
            head, body, _ = self.read_response(method, data)
            self.assertEqual(head.status_code, status)
            self.assertEqual(body, expected)
            self.assertIn((b"date", b"now"), list(head.headers))
            self.assertIn((b"a", b"b"), list(head.headers))

    def test_trailers_are_understood(self) -> None:
        side = server_side()
        side.receive(request())
        data = side.response_head(200, b"", [], None) + side.data(b"hello")
        data += side.end([(b"A", b"b")])
        _, body, trailers = self.read_response(b"GET", data)
        self.assertEqual((body, trailers), (b"hello", [(b"a", b"b")]))

    def test_requests_are_understood(self) -> None:
        for method in ("GET", "POST", "BREW"):
            for length in (None, 0, 5):
                side = ClientSide(RESPONSE_PARSER, DEFAULT_LIMITS)
                data = side.request_head(method, "/a?b", [(b"Host", b"c")], length)
                body = b"" if length == 0 else b"hello"
                data += side.data(body[:2]) + side.data(body[2:]) + side.end()
                peer = h11.Connection(h11.SERVER)
                peer.receive_data(data)
                head = peer.next_event()
                assert isinstance(head, h11.Request)
                self.assertEqual((head.method, head.target), (method.encode(), b"/a?b"))
                received = b""
                while isinstance(event := peer.next_event(), h11.Data):
                    received += event.data
                self.assertIsInstance(event, h11.EndOfMessage)
                self.assertEqual(received, body)
