"""One connection: what servers say, honest and hostile, and what becomes of it."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import CancelledError
from twisted.internet.error import ConnectionDone

from httpx_tw.client.pool_facts import DropReason
from httpx_tw.client.wire import MAX_INTERIM
from httpx_tw.errors import (
    BodyConsumed,
    ConnectionLost,
    DecodingError,
    DecompressionBomb,
    HeadTooLarge,
    HTTPXError,
    IncompleteMessage,
    ReadTimeout,
    RemoteProtocolError,
    ResponseTooLarge,
    TotalTimeout,
    WriteTimeout,
)
from tests.client.fakes import OK, URL, ClientTestCase, response

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from httpx_tw.client.response import ClientResponse
    from httpx_tw.testing.memory import MemoryTransport

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
UNTIL_CLOSE = b"HTTP/1.1 200 OK\r\n\r\n"


class ExchangeTests(ClientTestCase):
    def test_response_in_one_piece_is_given_with_its_body(self) -> None:
        deferred = self.get()
        self.peer.answer()
        found = self.result(deferred)
        self.assertEqual((found.status, found.body), (200, b"hello"))

    def test_request_has_its_fields_and_nothing_else(self) -> None:
        self.client = self.made(user_agent="me", headers={"Accept-Encoding": "br"})
        deferred = self.get("http://a.example:81/x?y=z#fragment")
        self.assertEqual(
            self.peer.answer(),
            b"GET /x?y=z HTTP/1.1\r\nHost: a.example:81\r\nAccept-Encoding: br\r\n"
            b"User-Agent: me\r\nAccept: */*\r\n\r\n",
        )
        self.result(deferred)

    def test_any_split_of_a_response_gives_the_same(self) -> None:
        whole = (
            b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"5\r\nhello\r\n1;x=y\r\n!\r\n0\r\nT: u\r\n\r\n"
        )
        for size in range(1, len(whole) + 1):
            deferred = self.get()
            self.peer.take()
            for start in range(0, len(whole), size):
                self.assertNoResult(deferred)
                self.peer.send(whole[start : start + size])
            self.assertEqual(self.result(deferred).body, b"hello!")
        self.assertEqual(len(self.dialer.peers), 1)

    def test_connection_is_used_again(self) -> None:
        for _ in range(5):
            deferred = self.get()
            self.peer.answer()
            self.result(deferred)
        self.assertEqual(len(self.dialer.peers), 1)
        self.assertEqual(self.client.pool.stats().reused, 4)

    def test_responses_without_a_body_are_over_with_their_head(self) -> None:
        for method, answer in (
            ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"),
            ("HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
            ("HEAD", b"HTTP/1.1 200 OK\r\n\r\n"),
            ("GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
            ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n"),
            ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
            ("GET", b"HTTP/1.1 204 No\r\nContent-Encoding: gzip\r\n\r\n"),
            ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n"),
        ):
            deferred = self.client.request(method, URL)
            self.peer.answer(answer)
            self.assertEqual(self.result(deferred).body, b"")
        self.assertEqual(len(self.dialer.peers), 1)

    def test_body_until_close_ends_with_the_connection(self) -> None:
        deferred = self.get()
        self.peer.answer(UNTIL_CLOSE + b"hel")
        self.peer.send(b"lo")
        self.assertNoResult(deferred)
        self.peer.transport.deliver_eof()
        self.assertEqual(self.result(deferred).body, b"hello")
        self.assertTrue(self.client.pool.stats().dropped[DropReason.NOT_REUSABLE])

    def test_connection_the_server_closes_is_not_used_again(self) -> None:
        for answer in (
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello",
            b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        ):
            deferred = self.get()
            peer = self.peer
            peer.answer(answer)
            self.assertEqual(self.result(deferred).body, b"hello")
            self.assertTrue(peer.is_closed)
        self.assertEqual(len(self.dialer.peers), 2)

    def test_http_1_0_may_keep_it(self) -> None:
        deferred = self.get()
        self.peer.answer(
            b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\n"
            b"hello"
        )
        self.assertEqual(self.result(deferred).http_version, "HTTP/1.0")
        self.assertEqual(self.client.pool.stats().idle, 1)

    def test_interim_responses_are_passed_over(self) -> None:
        deferred = self.get()
        self.peer.answer(b"HTTP/1.1 100 Continue\r\n\r\n" * MAX_INTERIM + OK)
        self.assertEqual(self.result(deferred).body, b"hello")

    def test_coded_body_is_decoded(self) -> None:
        deferred = self.get()
        body = zlib.compress(b"hello")
        self.peer.answer(response(200, body, "Content-Encoding: deflate"))
        self.assertEqual(self.result(deferred).body, b"hello")
        deferred = self.get()
        self.peer.answer(response(200, b"hello", "Content-Encoding: unheard-of"))
        self.assertEqual(self.result(deferred).body, b"hello")


class HostileTests(ClientTestCase):
    """Whatever a server says, there is a named error, and a new connection next."""

    def refused(
        self, kind: type[HTTPXError], *pieces: bytes, lost: Any = None, **options: Any
    ) -> Any:
        """Return the error that a response of *pieces* ends in."""
        deferred = self.get(**options)
        peer = self.peer
        peer.take()
        for piece in pieces:
            peer.send(piece)
        if lost is not None:
            peer.transport.lose(lost)
        error = self.error(deferred, kind)
        self.assertIs(type(error), kind)
        self.turn()
        self.assertTrue(peer.is_closed)
        self.assertEqual(self.client.pool.stats().total, 0)
        return error

    def test_early_end_is_an_incomplete_message(self) -> None:
        for sent in (b"H", HEAD[:-1], HEAD + b"abc", CHUNKED, CHUNKED + b"5\r\nhel"):
            self.refused(IncompleteMessage, sent, lost=ConnectionDone())

    def test_end_before_anything_is_a_connection_lost(self) -> None:
        self.refused(ConnectionLost, lost=ConnectionDone())

    def test_reset_is_a_connection_lost(self) -> None:
        reset = self._reset
        for sent in (b"", b"H", HEAD, HEAD + b"abc", CHUNKED, UNTIL_CLOSE + b"abc"):
            error = self.refused(ConnectionLost, sent, lost=reset())
            self.assertIsNotNone(error.__cause__)

    @staticmethod
    def _reset() -> Exception:
        from twisted.internet.error import ConnectionLost as Reset

        return Reset()

    def test_what_is_no_http_is_refused_as_it_comes(self) -> None:
        for sent in (
            b"SSH-2.0-OpenSSH_9.6\r\n",
            b"\x15\x03\x01\x00\x02",
            b"HTTP/2.0 200 OK\r\n\r\n",
            b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
            b"HTTP/1.1 20 OK\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nA b: c\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nA : c\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nA: b\0c\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
        ):
            self.refused(RemoteProtocolError, sent)

    def test_wrong_lengths_are_refused(self) -> None:
        for field in (
            b"Content-Length: x",
            b"Content-Length: -1",
            b"Content-Length: +1",
            b"Content-Length: 1_0",
            b"Content-Length: 5\r\nContent-Length: 5",
            b"Content-Length: 5, 5",
            b"Content-Length: 5\r\nTransfer-Encoding: chunked",
            b"Transfer-Encoding: gzip, chunked",
            b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        ):
            self.refused(RemoteProtocolError, b"HTTP/1.1 200 OK\r\n%b\r\n\r\n" % field)

    def test_endless_heads_are_cut_off(self) -> None:
        self.refused(
            HeadTooLarge,
            b"HTTP/1.1 200 OK\r\n",
            *[b"A: " + b"b" * 60_000 + b"\r\n"] * 2,
        )
        self.refused(HeadTooLarge, b"HTTP/1.1 200 " + b"a" * 20_000)
        self.refused(HeadTooLarge, b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 300 + b"\r\n")

    def test_floods_of_interim_responses_are_cut_off(self) -> None:
        self.refused(
            RemoteProtocolError, b"HTTP/1.1 102 Go on\r\n\r\n" * (MAX_INTERIM + 1)
        )

    def test_damaged_chunks_are_refused(self) -> None:
        for sent in (
            b"g\r\n",
            b"-5\r\n",
            b"0x5\r\nhello\r\n",
            b"5\r\nhelloX\r\n",
            b"5\nhello\r\n",
            b"5;" + b"a" * 2000,
            b"ffffffffffffffffff\r\n",
            b"0\r\nA b: c\r\n\r\n",
        ):
            self.refused(RemoteProtocolError, CHUNKED + sent)

    def test_body_over_the_limit_is_refused_before_it_comes(self) -> None:
        self.refused(ResponseTooLarge, HEAD, max_response_size=9)

    def test_body_over_the_limit_is_refused_as_it_comes(self) -> None:
        for head in (CHUNKED, UNTIL_CLOSE):
            body = b"a\r\n0123456789\r\n" if head is CHUNKED else b"0123456789"
            self.refused(ResponseTooLarge, head, body, max_response_size=9)

    def test_whole_body_over_the_limit_is_refused(self) -> None:
        self.refused(ResponseTooLarge, HEAD + b"0123456789", max_response_size=9)

    def test_bomb_is_refused_at_the_limit(self) -> None:
        bomb = zlib.compress(b"\0" * 10_000_000)
        self.refused(
            DecompressionBomb, response(200, bomb, "Content-Encoding: deflate")
        )
        small = zlib.compress(b"\0" * 100_000)
        self.refused(
            ResponseTooLarge,
            response(200, small, "Content-Encoding: deflate"),
            max_response_size=50_000,
        )

    def test_damaged_coding_is_refused(self) -> None:
        self.refused(DecodingError, response(200, b"xxxx", "Content-Encoding: gzip"))

    def test_coding_that_is_cut_off_is_refused(self) -> None:
        cut = zlib.compress(b"hello" * 100)[:-3]
        deferred = self.get()
        self.peer.answer(response(200, cut, "Content-Encoding: deflate"))
        self.error(deferred, DecodingError)
        # Where the next response begins is beyond doubt; not so who it is that answers.
        self.assertEqual(self.client.pool.stats().idle, 0)
        self.client.pool.close_idle()
        self.turn()
        until_close = b"HTTP/1.1 200 OK\r\nContent-Encoding: deflate\r\n\r\n"
        self.refused(DecodingError, until_close + cut, lost=ConnectionDone())

    def test_bytes_behind_a_response_spoil_the_connection_alone(self) -> None:
        for more in (b"x", OK):
            deferred = self.get()
            peer = self.peer
            peer.answer(OK + more)
            self.assertEqual(self.result(deferred).body, b"hello")
            self.turn()
            self.assertTrue(peer.is_closed)

    def test_bytes_while_idle_spoil_the_connection(self) -> None:
        deferred = self.get()
        self.peer.answer()
        self.result(deferred)
        self.peer.send(OK)
        self.turn()
        dropped = self.client.pool.stats().dropped
        self.assertEqual(dropped, {DropReason.UNASKED_BYTES: 1})
        self.assertTrue(self.peer.is_closed)

    def test_end_while_idle_is_noticed_at_once(self) -> None:
        for lost in (ConnectionDone(), None):
            deferred = self.get()
            self.peer.answer()
            self.result(deferred)
            self.peer.transport.lose(lost)
            self.assertEqual(self.client.pool.stats().total, 0)
        self.assertEqual(self.client.pool.stats().dropped, {DropReason.PEER_CLOSED: 2})


class TimeoutTests(ClientTestCase):
    def begun(self, **timeout: float | None) -> Deferred[ClientResponse]:
        from httpx_tw.client.timeouts import Timeout

        return self.get(timeout=Timeout(**timeout))

    def test_silence_is_a_read_timeout(self) -> None:
        deferred = self.begun(read=5)
        self.peer.take()
        self.advance(4.9)
        self.assertNoResult(deferred)
        self.advance(2.6)
        self.error(deferred, ReadTimeout)
        self.assertTrue(self.peer.is_closed)

    def test_silence_within_a_body_is_a_read_timeout(self) -> None:
        for sent in (HEAD[:5], HEAD, HEAD + b"abc", CHUNKED + b"5\r\n"):
            deferred = self.begun(read=5)
            self.peer.answer(sent)
            self.advance(8)
            self.error(deferred, ReadTimeout)

    def test_slow_drip_is_a_total_timeout(self) -> None:
        deferred = self.begun(read=5, total=20)
        self.peer.answer(CHUNKED)
        for _ in range(5):
            self.peer.send(b"1\r\nx\r\n")
            self.advance(4)
        self.advance(2)
        self.error(deferred, TotalTimeout)

    def test_drip_of_a_head_is_a_read_timeout(self) -> None:
        # A head that is not whole is nothing yet: the time goes on.
        deferred = self.begun(read=5)
        self.peer.take()
        for byte in range(10):
            self.peer.send(HEAD[byte : byte + 1])
            self.advance(1)
        self.error(deferred, ReadTimeout)

    def test_server_that_takes_nothing_is_a_write_timeout(self) -> None:
        from httpx_tw.client.timeouts import Timeout

        deferred = self.client.post(
            URL, content=b"x" * 300_000, timeout=Timeout(write=5, read=5)
        )
        self.advance(4)
        self.peer.transport.take(1000)
        self.advance(4)
        self.assertNoResult(deferred)
        self.advance(8)
        self.error(deferred, WriteTimeout)
        self.assertTrue(self.peer.is_closed)

    def test_no_timeout_waits_for_ever(self) -> None:
        deferred = self.get(timeout=None)
        self.peer.take()
        self.advance(100_000, step=1000)
        self.peer.send(OK)
        self.result(deferred)

    def test_timeouts_do_not_outlive_the_exchange(self) -> None:
        deferred = self.begun(read=5, total=6)
        self.peer.answer()
        self.result(deferred)
        self.advance(20)
        self.assertEqual(self.client.pool.stats().idle, 1)

    def test_timeout_of_a_second_names_it_in_time(self) -> None:
        deferred = self.begun(read=0.1)
        self.advance(0.2, step=0.01)
        self.error(deferred, ReadTimeout)


class CancellingTests(ClientTestCase):
    def test_cancelled_at_any_point_the_connection_is_closed(self) -> None:
        for sent in (b"", HEAD[:5], HEAD, HEAD + b"abc", b"HTTP/1.1 100 C\r\n\r\n"):
            deferred = self.get()
            peer = self.peer
            peer.take()
            peer.send(sent)
            deferred.cancel()
            self.error(deferred, CancelledError)
            self.turn()
            self.assertTrue(peer.is_closed)
        self.assertEqual(self.client.pool.stats().dropped, {DropReason.CANCELLED: 5})

    def test_bytes_that_come_all_the_same_are_dropped(self) -> None:
        deferred = self.get()
        self.peer.take()
        deferred.cancel()
        self.peer.connection.dataReceived(OK)
        self.error(deferred, CancelledError)
        self.turn()


class StreamTests(ClientTestCase):
    def streaming(self, sent: bytes, **options: Any) -> ClientResponse:
        deferred = self.client.request("GET", URL, stream=True, **options)
        self.peer.answer(sent)
        found: ClientResponse = self.result(deferred)
        return found

    def test_response_is_given_at_its_head(self) -> None:
        found = self.streaming(HEAD)
        self.assertEqual(found.status, 200)
        body = found.read()
        self.assertNoResult(body)
        self.peer.send(b"01234")
        self.assertNoResult(body)
        self.peer.send(b"56789")
        self.assertEqual(self.result(body), b"0123456789")
        self.assertEqual(self.client.pool.stats().idle, 1)

    def test_pieces_come_as_they_are_sent(self) -> None:
        found = self.streaming(CHUNKED)
        self.peer.send(b"3\r\nabc\r\n")
        pieces = aiter(found)
        self.assertEqual(self.result(anext(pieces)), b"abc")
        self.peer.send(b"3\r\ndef\r\n0\r\n\r\n")
        self.assertEqual(self.result(anext(pieces)), b"def")
        self.assertEqual(self.result(anext(pieces, None)), None)

    def test_nobody_reading_stops_the_connection(self) -> None:
        found = self.streaming(CHUNKED)
        piece = b"10000\r\n" + b"x" * 65536 + b"\r\n"
        for _ in range(5):
            self.peer.send(piece)
        self.assertFalse(self.peer.transport.is_reading)
        self.advance(100)  # it is us who are slow
        body = found.read()
        self.assertTrue(self.peer.transport.is_reading)
        self.peer.send(b"0\r\n\r\n")
        self.assertEqual(len(self.result(body)), 5 * 65536)

    def test_failure_is_raised_in_the_reader(self) -> None:
        found = self.streaming(HEAD)
        body = found.read()
        self.peer.transport.lose(ConnectionDone())
        self.error(body, IncompleteMessage)
        self.error(found.read(), IncompleteMessage)

    def test_closing_early_reads_what_little_is_left(self) -> None:
        found = self.streaming(HEAD + b"01234")
        found.close()
        self.assertEqual(self.client.pool.stats().active, 1)
        self.peer.send(b"56789")
        self.assertEqual(self.client.pool.stats().idle, 1)
        self.error(found.read(), BodyConsumed)

    def test_closing_early_drops_the_connection_if_much_is_left(self) -> None:
        for sent in (b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", CHUNKED):
            found = self.streaming(sent)
            found.close()
            self.turn()
            self.assertTrue(self.peer.is_closed)
        self.assertEqual(self.client.pool.stats().dropped, {DropReason.UNREAD: 2})

    def test_little_that_does_not_come_is_not_waited_for(self) -> None:
        found = self.streaming(HEAD)
        found.close()
        self.advance(5)
        self.assertEqual(self.client.pool.stats().dropped, {DropReason.UNREAD: 1})

    def test_closing_behind_the_end_changes_nothing(self) -> None:
        found = self.streaming(OK)
        found.close()
        self.assertEqual(self.client.pool.stats().idle, 1)

    def test_stream_over_the_limit_is_refused_when_read_whole(self) -> None:
        found = self.streaming(HEAD + b"01234", max_response_size=8)
        body = found.read()
        self.peer.send(b"56789")
        self.error(body, ResponseTooLarge)
        self.assertEqual(self.client.pool.stats().idle, 1)  # for it was nearly here

    def test_stream_without_a_body_is_over(self) -> None:
        found = self.streaming(b"HTTP/1.1 204 No Content\r\n\r\n")
        self.assertEqual(self.client.pool.stats().idle, 1)
        self.assertEqual(self.result(found.read()), b"")

    def test_reader_that_times_out_is_told(self) -> None:
        found = self.streaming(HEAD)
        body = found.read()
        self.advance(40)
        self.error(body, ReadTimeout)

    def test_total_timeout_covers_a_body_nobody_reads(self) -> None:
        found = self.streaming(HEAD)
        self.advance(400, step=1)
        self.error(found.read(), TotalTimeout)
        self.assertEqual(self.client.pool.stats().total, 0)


class SendingTests(ClientTestCase):
    def test_small_body_leaves_with_the_head(self) -> None:
        deferred = self.client.post(URL, content=b"hello")
        self.assertTrue(self.peer.answer().endswith(b"content-length: 5\r\n\r\nhello"))
        self.result(deferred)

    def test_body_of_unknown_length_is_chunked(self) -> None:
        deferred = self.client.post(URL, content=iter([b"hel", b"", b"lo"]))
        self.assertTrue(
            self.peer.answer().endswith(
                b"transfer-encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"
            )
        )
        self.result(deferred)
        self.assertEqual(self.client.pool.stats().idle, 1)

    def test_large_body_waits_for_the_transport(self) -> None:
        taken: list[int] = []

        def pieces() -> Any:
            for number in range(100):
                taken.append(number)
                yield b"x" * 10_000

        deferred = self.client.post(URL, content=pieces())
        self.assertLess(len(taken), 20)
        whole = self.peer.take()
        self.assertGreater(len(whole), 1_000_000)
        self.assertEqual(len(taken), 100)
        self.peer.send(OK)
        self.result(deferred)

    def test_response_before_the_end_of_the_request_stops_it(self) -> None:
        deferred = self.client.post(URL, content=b"x" * 1_000_000)
        self.peer.transport.take(1000)
        self.peer.send(response(413, b"no"))
        self.assertEqual(self.result(deferred).status, 413)
        self.turn()
        self.assertTrue(self.peer.is_closed)
        self.assertEqual(self.client.pool.stats().dropped, {DropReason.NOT_REUSABLE: 1})

    def test_good_response_before_the_end_lets_it_go_on(self) -> None:
        deferred = self.client.request("POST", URL, content=b"x" * 200_000, stream=True)
        self.peer.transport.take(1000)
        self.peer.send(CHUNKED + b"2\r\nhi\r\n")
        found = self.result(deferred)
        self.assertGreater(len(self.peer.take()), 190_000)
        self.peer.send(b"0\r\n\r\n")
        self.assertEqual(self.result(found.read()), b"hi")

    def test_body_that_is_not_as_long_as_it_said_fails(self) -> None:
        from httpx_tw.errors import LocalProtocolError

        for pieces in ([b"abc"], [b"abcdef"]):
            deferred = self.client.post(
                URL, content=iter(pieces), headers={"Content-Length": "5"}
            )
            self.error(deferred, LocalProtocolError)
            self.turn()
            self.assertTrue(self.peer.is_closed)

    def test_iterator_that_raises_fails_the_request(self) -> None:
        def pieces() -> Any:
            yield b"abc"
            raise OSError("disk on fire")

        deferred = self.client.post(URL, content=pieces())
        self.error(deferred, OSError)
        self.turn()
        self.assertTrue(self.peer.is_closed)

    def test_cancelled_while_sending_it_stops(self) -> None:
        closed: list[bool] = []

        def pieces() -> Any:
            try:
                while True:
                    yield b"x" * 10_000
            finally:
                closed.append(True)

        deferred = self.client.post(URL, content=pieces())
        deferred.cancel()
        self.error(deferred, CancelledError)
        self.assertEqual(closed, [True])
        self.turn()

    def test_connection_lost_while_sending_is_told(self) -> None:
        deferred = self.client.post(URL, content=b"x" * 1_000_000)
        self.peer.transport.take(1000)
        self.peer.transport.lose()
        self.error(deferred, ConnectionLost)


class ClosingTests(ClientTestCase):
    def idle(self) -> MemoryTransport:
        """Return the transport of an idle connection that does not close in order."""
        deferred = self.get()
        self.peer.answer()
        self.result(deferred)
        transport = self.peer.transport
        transport.loseConnection = lambda: None  # type: ignore[method-assign]  # as TLS does until the peer answers
        return transport

    def check_that_it_is_aborted(self, transport: MemoryTransport) -> None:
        self.advance(1)
        self.assertFalse(transport.is_aborted)
        self.advance(3)
        self.assertTrue(transport.is_aborted)
        self.turn()
        self.assertEqual(self.client.pool.stats().total, 0)

    def test_connection_that_does_not_close_is_aborted(self) -> None:
        transport = self.idle()
        self.client.pool.close_idle()
        self.check_that_it_is_aborted(transport)

    def test_it_is_no_later_after_a_while_with_nothing_to_do(self) -> None:
        # The pool looks at idle connections every five seconds only.
        transport = self.idle()
        self.advance(6)
        self.client.pool.close_idle()
        self.check_that_it_is_aborted(transport)

    def test_it_is_no_later_when_it_was_idle_too_long(self) -> None:
        self.client = self.made(self.pool(idle_timeout_ms=60_000))
        transport = self.idle()
        while not self.client.pool.stats().closing:
            self.advance(0.25)
        self.check_that_it_is_aborted(transport)
