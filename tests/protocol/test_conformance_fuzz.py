"""Properties of both sides: any bytes, any split, and a second opinion.

Whatever we accept, h11 accepts and reads the same; for exceptions see ``H11_REFUSES``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import h11
from hypothesis import assume, event, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.headers import Headers
from httpx_tw.limits import DEFAULT_LIMITS, Limits
from httpx_tw.protocol.events import END_OF_MESSAGE, RequestHead, ResponseHead
from httpx_tw.protocol.http1_client import ClientSide
from httpx_tw.protocol.http1_reader import RequestHeadParser, ResponseHeadParser
from httpx_tw.protocol.http1_server import ServerSide
from httpx_tw.testing.strategies import (
    SampleRequest,
    SampleResponse,
    bodies,
    broken,
    fields,
    hosts,
    methods,
    requests,
    responses,
    splits,
    targets,
)
from tests.protocol.conversations import Heard, Message, to_client, to_server

if TYPE_CHECKING:
    from collections.abc import Callable

    from httpx_tw.headers import HeaderPairs

# Small enough for random messages to meet them.
SMALL = Limits(
    max_request_line=40, max_header_bytes=60, max_headers=4, max_chunk_extension=12
)
LIMITS = st.sampled_from([DEFAULT_LIMITS, SMALL])

# Framing fields are in a head but not in what a sample says.
FRAMING = {b"content-length", b"transfer-encoding"}

HEADS_THAT_WERE_TROUBLE = [
    b"GET",
    b"\r",
    b"\r\n\r",
    b"\n",
    b"\rGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"\r\n\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /" + b"a" * 26 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /" + b"a" * 27 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /" + b"a" * 26 + b" HTTP/1.1\rXHost: a\r\n\r\n",
    b"GET / HTTP/2.0\r\nA: b\nc\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nA: %b\x00\r\n\r\n" % (b"b" * 60),
    b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"1;aaaaaaaaaa\r\nb\r\n0\r\n\r\n",
]


def without_framing(pairs: HeaderPairs) -> HeaderPairs:
    return [pair for pair in pairs if pair[0].lower() not in FRAMING]


def lowered(pairs: HeaderPairs) -> HeaderPairs:
    return [(name.lower(), value) for name, value in pairs]


class AnyBytesTests(SynchronousTestCase):
    """Any bytes are accepted, or refused with an error of ours and a status of ours."""

    @given(st.binary(), splits(), LIMITS)
    def test_any_bytes_to_a_server(
        self, data: bytes, split: Callable[[bytes], list[bytes]], limits: Limits
    ) -> None:
        to_server(split(data), limits)

    @given(st.binary(), splits(), LIMITS)
    def test_any_bytes_to_a_client(
        self, data: bytes, split: Callable[[bytes], list[bytes]], limits: Limits
    ) -> None:
        to_client(split(data), limits)

    @given(st.binary(), splits())
    def test_any_bytes_behind_the_beginning_of_a_response(
        self, data: bytes, split: Callable[[bytes], list[bytes]]
    ) -> None:
        to_client(
            split(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n" + data), SMALL
        )


class AnySplitTests(SynchronousTestCase):
    """However bytes are split on their way, they say the same."""

    def same(
        self,
        heard: Callable[[list[bytes]], Heard],
        data: bytes,
        split: Callable[[bytes], list[bytes]],
    ) -> Heard:
        whole = heard([data] if data else [])
        parted = heard(split(data))
        bytewise = heard([data[i : i + 1] for i in range(len(data))])
        self.assertEqual(whole, parted)
        self.assertEqual(whole, bytewise)
        return whole

    @given(st.lists(requests(), min_size=1, max_size=3), st.integers(0, 2), splits())
    def test_valid_requests_are_read_as_they_were_meant(
        self,
        sent: list[SampleRequest],
        empty_lines: int,
        split: Callable[[bytes], list[bytes]],
    ) -> None:
        data = (b"\r\n" * empty_lines).join([b"", *(sample.wire for sample in sent)])
        heard = self.same(lambda p: to_server(p, DEFAULT_LIMITS), data, split)
        self.assertIsNone(heard.refusal)
        self.assertEqual(len(heard.messages), len(sent))
        for message, sample in zip(heard.messages, sent, strict=True):
            head = message.head
            assert isinstance(head, RequestHead)
            self.assertEqual((head.method, head.target), (sample.method, sample.target))
            self.assertEqual(without_framing(head.headers), sample.headers)
            self.assertEqual(message.body, sample.body)
            self.assertEqual(message.trailers, sample.trailers)
            self.assertTrue(message.is_whole)

    @given(st.data(), st.lists(requests(), min_size=1, max_size=2), splits(), LIMITS)
    def test_broken_requests_are_taken_or_refused_alike(
        self,
        data: st.DataObject,
        sent: list[SampleRequest],
        split: Callable[[bytes], list[bytes]],
        limits: Limits,
    ) -> None:
        wire = data.draw(broken(b"".join(sample.wire for sample in sent)))
        heard = self.same(lambda p: to_server(p, limits), wire, split)
        event(f"refused: {heard.refusal}")

    @given(st.data(), st.lists(requests(), min_size=1, max_size=3), splits(), LIMITS)
    def test_what_a_server_heard_before_changes_nothing(
        self,
        data: st.DataObject,
        sent: list[SampleRequest],
        split: Callable[[bytes], list[bytes]],
        limits: Limits,
    ) -> None:
        parser = RequestHeadParser(limits)
        for each in (*sent, *sent):
            to_server([each.wire], limits, parser)
        again = [*sent, *data.draw(st.lists(st.sampled_from(sent), max_size=2))]
        wire = b"".join(each.wire for each in again)
        if data.draw(st.booleans()):
            wire = data.draw(broken(wire))
        expected = to_server(split(wire), limits)
        for pieces in (split(wire), [wire]):
            self.assertEqual(to_server(pieces, limits, parser), expected)

    @given(st.sampled_from(HEADS_THAT_WERE_TROUBLE), splits(), LIMITS)
    def test_what_was_trouble_once_is_taken_or_refused_alike(
        self, data: bytes, split: Callable[[bytes], list[bytes]], limits: Limits
    ) -> None:
        self.same(lambda p: to_server(p, limits), data, split)

    @given(st.binary(), splits(), LIMITS)
    def test_random_bytes_are_refused_alike(
        self, data: bytes, split: Callable[[bytes], list[bytes]], limits: Limits
    ) -> None:
        self.same(lambda p: to_server(p, limits), data, split)

    @given(responses(), splits())
    def test_valid_responses_are_read_as_they_were_meant(
        self, sent: SampleResponse, split: Callable[[bytes], list[bytes]]
    ) -> None:
        heard = self.same(lambda p: to_client(p, DEFAULT_LIMITS), sent.wire, split)
        self.assertIsNone(heard.refusal)
        (message,) = heard.messages
        assert isinstance(message.head, ResponseHead)
        self.assertEqual(message.head.status, sent.status)
        self.assertEqual(without_framing(message.head.headers), sent.headers)
        self.assertEqual(message.body, sent.body)
        self.assertEqual(message.trailers, sent.trailers)
        self.assertTrue(message.is_whole)

    @given(st.data(), responses(), splits(), LIMITS)
    def test_broken_responses_are_taken_or_refused_alike(
        self,
        data: st.DataObject,
        sent: SampleResponse,
        split: Callable[[bytes], list[bytes]],
        limits: Limits,
    ) -> None:
        wire = data.draw(broken(sent.wire))
        heard = self.same(lambda p: to_client(p, limits), wire, split)
        event(f"refused: {heard.refusal is not None}")


# What we accept and h11 0.16 does not. It also takes no empty line before a head.
H11_REFUSES = (
    # RFC 9112 section 7.1.1: whitespace before a chunk extension is to be read over.
    re.compile(rb"[0-9A-Fa-f][ \t]+;"),
)


class SecondOpinionTests(SynchronousTestCase):
    """What h11 says to the same bytes."""

    def h11_reads(self, data: bytes) -> tuple[h11.Request, bytes, HeaderPairs] | None:
        """Return the first request in *data* as h11 reads it; None: it is incomplete.

        h11 raises RemoteProtocolError for what it refuses.
        """
        peer = h11.Connection(h11.SERVER, max_incomplete_event_size=64 * 1024)
        while data.startswith(b"\r\n"):  # it takes no empty line before a head
            data = data[2:]
        peer.receive_data(data)
        body = b""
        head: h11.Request | None = None
        while True:
            said = peer.next_event()
            if isinstance(said, h11.Request):
                head = said
            elif isinstance(said, h11.Data):
                body += said.data
            elif isinstance(said, h11.EndOfMessage):
                assert head is not None
                return head, body, list(said.headers)
            else:
                return None

    def agrees(
        self, ours: Message, theirs: tuple[h11.Request, bytes, HeaderPairs]
    ) -> None:
        head, (request, body, _) = ours.head, theirs
        assert isinstance(head, RequestHead)
        self.assertEqual(head.method.encode(), request.method)
        self.assertEqual(head.target.encode(), request.target)
        # h11 lower-cases Transfer-Encoding's value too.
        self.assertEqual(
            lowered(without_framing(head.headers)),
            without_framing(list(request.headers)),
        )
        self.assertEqual(ours.body, body)

    @given(requests())
    def test_both_read_valid_requests_alike(self, sent: SampleRequest) -> None:
        assume(not any(refused.search(sent.wire) for refused in H11_REFUSES))
        (ours,) = to_server([sent.wire], DEFAULT_LIMITS).messages
        theirs = self.h11_reads(sent.wire)
        assert theirs is not None
        self.agrees(ours, theirs)

    @given(st.data(), requests())
    def test_what_we_accept_h11_accepts_and_reads_alike(
        self, data: st.DataObject, sent: SampleRequest
    ) -> None:
        wire = data.draw(broken(sent.wire))
        whole = to_server([wire], DEFAULT_LIMITS).whole()
        if not whole or any(refused.search(wire) for refused in H11_REFUSES):
            return
        theirs = self.h11_reads(wire)  # raises when it refuses
        assert theirs is not None, "h11 waits for more"
        self.agrees(whole[0], theirs)
        event("both accept")


class RoundTripTests(SynchronousTestCase):
    """What one side writes the other reads back."""

    @given(methods(), targets(), hosts(), fields(), bodies(), st.booleans(), splits())
    def test_requests_are_read_back(  # noqa: PLR0917  # all drawn
        self,
        method: str,
        target: str,
        host: str,
        others: HeaderPairs,
        body: bytes,
        is_chunked: bool,
        split: Callable[[bytes], list[bytes]],
    ) -> None:
        headers = Headers([("Host", host), *others])
        side = ClientSide(ResponseHeadParser(DEFAULT_LIMITS), DEFAULT_LIMITS)
        length = None if is_chunked else len(body)
        wire = side.request_head(method, target, headers.raw, length)
        for piece in split(body):
            wire += side.data(piece)
        wire += side.end()
        (message,) = to_server(split(wire), DEFAULT_LIMITS).messages
        head = message.head
        assert isinstance(head, RequestHead)
        self.assertEqual((head.method, head.target), (method, target))
        self.assertEqual(without_framing(head.headers), headers.raw)
        self.assertEqual(message.body, body)
        self.assertTrue(message.is_whole)
        self.assertTrue(head.keep_alive)

    @given(
        st.sampled_from([200, 204, 205, 304, 404, 599]),
        fields(),
        bodies(),
        st.sampled_from(["whole", "length", "unknown"]),
        st.sampled_from(["GET", "HEAD"]),
        st.sampled_from(["1.0", "1.1"]),
        splits(),
    )
    def test_responses_are_read_back(  # noqa: PLR0917  # all drawn
        self,
        status: int,
        pairs: HeaderPairs,
        body: bytes,
        kind: str,
        method: str,
        version: str,
        split: Callable[[bytes], list[bytes]],
    ) -> None:
        side = ServerSide(RequestHeadParser(DEFAULT_LIMITS), DEFAULT_LIMITS)
        side.receive(f"{method} / HTTP/{version}\r\nHost: a\r\n\r\n".encode())
        headers = Headers(pairs).raw
        bodiless = method == "HEAD" or status in {204, 304}
        expected = b"" if bodiless else body
        if kind == "whole":
            wire = side.response(status, b"", headers, body)
        else:
            length = len(body) if kind == "length" else None
            wire = side.response_head(status, b"", headers, length)
            for piece in split(expected):
                wire += side.data(piece)
            wire += side.end()
        heard = to_client(split(wire), DEFAULT_LIMITS, method)
        self.assertIsNone(heard.refusal)
        (message,) = heard.messages
        head = message.head
        assert isinstance(head, ResponseHead)
        self.assertEqual(head.status, status)
        said = [pair for pair in head.headers if pair[0] != b"connection"]
        self.assertEqual(without_framing(said), headers)
        self.assertEqual(message.body, expected)
        self.assertTrue(message.is_whole)
        self.assertEqual(head.keep_alive, side.keep_alive)

    @given(st.lists(requests(), min_size=1, max_size=4), splits())
    def test_pipelined_answers_leave_in_the_order_of_their_requests(
        self, sent: list[SampleRequest], split: Callable[[bytes], list[bytes]]
    ) -> None:
        side = ServerSide(RequestHeadParser(DEFAULT_LIMITS), DEFAULT_LIMITS)
        targets_read = []
        for piece in split(b"".join(sample.wire for sample in sent)):
            said = side.receive(piece)
            while True:
                if isinstance(said, RequestHead):
                    targets_read.append(said.target)
                if side.request is None:
                    break
                if side.body_is_read:
                    side.response(200, b"", [], b"")
                    side.start_next_cycle()
                elif not isinstance(said, bytes | RequestHead) and (
                    said is not END_OF_MESSAGE
                ):
                    break
                said = side.next_event()
        self.assertEqual(targets_read, [sample.target for sample in sent])
        self.assertTrue(side.is_idle)
        self.assertEqual(side._buffer, b"")
