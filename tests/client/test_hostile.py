"""A hostile server: each trick ends in a named error, in time, and nothing after it.

The tricks are one table, played in memory with a Clock and again over real sockets.
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.task import LoopingCall

from httpx_tw import Timeout
from httpx_tw.client.pool_facts import DropReason
from httpx_tw.errors import (
    ConnectionLost,
    DecodingError,
    DecompressionBomb,
    HeadTooLarge,
    HTTPXError,
    IncompleteMessage,
    ReadTimeout,
    RemoteProtocolError,
    ResponseTooLarge,
    TooManyRedirects,
    TotalTimeout,
)
from tests.client.fakes import OK, URL, ClientTestCase, response
from tests.client.live import ClientLiveTestCase, Talker

if TYPE_CHECKING:
    from collections.abc import Iterator

HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
WHOLE = CHUNKED + b"3;a=b\r\nabc\r\n2\r\nde\r\n0\r\nX-Trailer: 1\r\n\r\n"
GZIP = gzip.compress(b"hello" * 100)
CODED = (
    HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(GZIP) + GZIP
)
BOMB = gzip.compress(bytes(50_000_000))


@dataclass(frozen=True)
class Trick:
    """What a server says, and what it does then."""

    name: str
    said: bytes
    error: type[HTTPXError]
    then: str = "waits"
    """Or it ``closes``, or ``resets``."""


def _lengths() -> Iterator[Trick]:
    for name, fields, error in (
        ("two lengths", b"Content-Length: 5\r\nContent-Length: 6\r\n", None),
        ("a list of lengths", b"Content-Length: 5, 6\r\n", None),
        ("a negative length", b"Content-Length: -5\r\n", None),
        ("a signed length", b"Content-Length: +5\r\n", None),
        ("a length in hex", b"Content-Length: 0x5\r\n", None),
        ("no number", b"Content-Length: many\r\n", None),
        ("an endless number", b"Content-Length: " + b"9" * 400 + b"\r\n", None),
        (
            "length and chunks",
            b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            None,
        ),
        ("unknown framing", b"Transfer-Encoding: gzip\r\n", None),
        ("chunks twice", b"Transfer-Encoding: chunked, chunked\r\n", None),
        ("chunks, but not last", b"Transfer-Encoding: chunked, gzip\r\n", None),
        ("more than it may be", b"Content-Length: 999999999999\r\n", ResponseTooLarge),
    ):
        yield Trick(name, HEAD + fields + b"\r\nhello", error or RemoteProtocolError)
    short = HEAD + b"Content-Length: 9\r\n\r\nhello"
    yield Trick("a body that is short", short, IncompleteMessage, "closes")
    yield Trick("a body that is short, and a reset", short, ConnectionLost, "resets")


def _heads() -> Iterator[Trick]:
    for name, said, error in (
        ("no HTTP", b"SSH-2.0-OpenSSH_9.6\r\n", RemoteProtocolError),
        ("HTTP/0.9", b"<html>hello</html>", RemoteProtocolError),
        ("HTTP/2", b"\0\0\x12\x04\0\0\0\0\0", RemoteProtocolError),
        ("a status of two digits", b"HTTP/1.1 20 OK\r\n\r\n", RemoteProtocolError),
        ("a status of letters", b"HTTP/1.1 abc OK\r\n\r\n", RemoteProtocolError),
        ("a space before the colon", HEAD + b"A : b\r\n\r\n", RemoteProtocolError),
        ("a folded line", HEAD + b"A: b\r\n c\r\n\r\n", RemoteProtocolError),
        ("NUL in a value", HEAD + b"A: b\0c\r\n\r\n", RemoteProtocolError),
        ("CR in a value", HEAD + b"A: b\rc\r\n\r\n", RemoteProtocolError),
        ("no colon", HEAD + b"nonsense\r\n\r\n", RemoteProtocolError),
        ("an endless line", HEAD + b"A: " + b"x" * 100_000, HeadTooLarge),
        ("an endless name", HEAD + b"x" * 100_000, HeadTooLarge),
        ("an endless status line", b"HTTP/1.1 200 " + b"x" * 100_000, HeadTooLarge),
        ("endless fields", HEAD + b"A: b\r\n" * 20_000, HeadTooLarge),
        ("fields without number", HEAD + b"A: b\r\n" * 300 + b"\r\n", HeadTooLarge),
        ("101 unasked", b"HTTP/1.1 101 Go\r\nUpgrade: x\r\n\r\n", RemoteProtocolError),
        ("a flood of 100", b"HTTP/1.1 100 Go on\r\n\r\n" * 17, RemoteProtocolError),
        (
            "a flood of 103",
            b"HTTP/1.1 103 Hm\r\nA: b\r\n\r\n" * 90,
            RemoteProtocolError,
        ),
    ):
        yield Trick(name, said, error)


def _chunks() -> Iterator[Trick]:
    for name, said, error in (
        ("a size that is none", b"x\r\nabc\r\n", RemoteProtocolError),
        ("a size of no digits", b"\r\nabc\r\n", RemoteProtocolError),
        ("a negative size", b"-3\r\nabc\r\n", RemoteProtocolError),
        ("a size with 0x", b"0x3\r\nabc\r\n", RemoteProtocolError),
        ("a size beyond counting", b"f" * 17 + b"\r\nabc", RemoteProtocolError),
        ("a chunk that is longer", b"3\r\nabcdef\r\n", RemoteProtocolError),
        ("a chunk that is shorter", b"3\r\nab\r\n0\r\n\r\n", RemoteProtocolError),
        ("a size that ends with LF", b"3\nabc\r\n", RemoteProtocolError),
        ("an endless extension", b"3;" + b"x" * 10_000, RemoteProtocolError),
        ("an endless trailer", b"0\r\nA: " + b"x" * 100_000, RemoteProtocolError),
        ("a trailer that is none", b"0\r\nnonsense\r\n\r\n", RemoteProtocolError),
    ):
        yield Trick(name, CHUNKED + said, error)


def _codings() -> Iterator[Trick]:
    coded = HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n"
    yield Trick("no gzip", coded % 5 + b"hello", DecodingError)
    torn = GZIP[:-9]
    yield Trick("half a gzip", coded % len(torn) + torn, DecodingError)
    more = GZIP + b"junk"
    yield Trick("junk behind a gzip", coded % len(more) + more, DecodingError)
    yield Trick("a bomb", coded % len(BOMB) + BOMB, DecompressionBomb)


TRICKS = [
    *_lengths(),
    *_heads(),
    *_chunks(),
    *_codings(),
    Trick("nothing, and an end", b"", ConnectionLost, "closes"),
    Trick("nothing, and a reset", b"", ConnectionLost, "resets"),
    Trick("silence", b"", ReadTimeout),
    Trick("half a head, and silence", OK[:20], ReadTimeout),
    Trick("half a body, and silence", OK[:-2], ReadTimeout),
    Trick("half a chunk, and silence", CHUNKED + b"9\r\nabc", ReadTimeout),
    Trick("chunks without an end", CHUNKED + b"3\r\nabc\r\n", ReadTimeout),
    Trick("100 and silence", b"HTTP/1.1 100 Go on\r\n\r\n", ReadTimeout),
]


class MemoryTests(ClientTestCase):
    """The tricks, step by step."""

    def setUp(self) -> None:
        super().setUp()
        self.client = self.made(timeout=Timeout(read=2, total=60))

    def nothing_is_left(self, trick: str) -> None:
        self.turn()
        figures = self.client.pool.stats()
        self.assertEqual((figures.total, figures.idle), (0, 0), trick)
        self.assertTrue(self.peer.is_closed, trick)

    def play(self, trick: Trick, *, streamed: bool = False) -> None:
        deferred: Deferred[Any] = (
            Deferred.fromCoroutine(self.streamed()) if streamed else self.get()
        )
        self.peer.take()
        self.peer.send(trick.said)
        if not self.peer.is_closed and trick.then != "waits":
            self.peer.transport.lose(
                ConnectionDone() if trick.then == "closes" else None
            )
        self.advance(0 if deferred.called else 4)
        error = self.error(deferred, trick.error)
        self.assertTrue(str(error), trick.name)
        if streamed and b"Content-Encoding" in trick.said:
            # All was here, and in order, when the reader came to what is wrong with it.
            self.client.pool.close_idle()
        self.nothing_is_left(trick.name)

    async def streamed(self) -> None:
        async with self.client.stream("GET", URL) as found:
            async for _ in found:
                pass

    def test_each_trick_has_its_error(self) -> None:
        for trick in TRICKS:
            self.play(trick)

    def test_each_trick_is_found_in_a_stream_too(self) -> None:
        for trick in TRICKS:
            if trick.error is not ResponseTooLarge:  # there is no limit to a stream
                self.play(trick, streamed=True)

    def test_the_end_at_every_offset_is_an_error(self) -> None:
        for whole in (response(200, b"hello", "A: b"), WHOLE, CODED):
            for cut in range(len(whole)):
                for reset in (False, True):
                    deferred = self.get()
                    self.peer.take()
                    self.peer.send(whole[:cut])
                    self.peer.transport.lose(None if reset else ConnectionDone())
                    self.failureResultOf(deferred, IncompleteMessage, ConnectionLost)
                    self.nothing_is_left(f"{whole[:cut]!r}")

    def test_bytes_one_by_one_are_the_same_bytes(self) -> None:
        for whole in (response(200, b"hello", "A: b"), WHOLE, CODED):
            deferred = self.get()
            self.peer.take()
            for index in range(len(whole)):
                self.assertNoResult(deferred)
                self.peer.send(whole[index : index + 1])
            self.assertEqual(self.result(deferred).status, 200)
            self.assertEqual(self.client.pool.stats().idle, 1)

    def test_junk_behind_the_body_ends_the_connection(self) -> None:
        for junk in (b"x", OK, b"\r\n", b"HTTP/1.1 200 OK\r\n"):
            for whole in (OK, WHOLE, response(204)):
                deferred = self.get()
                self.peer.take()
                self.peer.send(whole + junk)
                self.result(deferred)
                self.nothing_is_left(f"{whole + junk!r}")
        self.assertEqual(
            set(self.client.pool.stats().dropped), {DropReason.NOT_REUSABLE}
        )

    def test_junk_while_idle_ends_it_too(self) -> None:
        deferred = self.get()
        self.peer.answer()
        self.result(deferred)
        self.peer.send(OK)
        self.nothing_is_left("junk while idle")
        self.assertEqual(
            self.client.pool.stats().dropped, {DropReason.UNASKED_BYTES: 1}
        )

    def test_head_that_drips_has_one_timeout_for_all_of_it(self) -> None:
        deferred = self.get()
        self.peer.take()
        for index in range(40):
            self.peer.send(OK[index : index + 1])
            self.advance(0.1)
            if deferred.called:
                break
        self.error(deferred, ReadTimeout)
        self.nothing_is_left("a head that drips")

    def test_body_that_drips_is_ended_by_the_whole(self) -> None:
        deferred = self.get(timeout=Timeout(read=2, total=10))
        self.peer.take()
        self.peer.send(HEAD + b"Content-Length: 500\r\n\r\n")
        for _ in range(15):
            self.advance(1)
            if not self.peer.transport.is_closed:
                self.peer.send(b"x")
        self.error(deferred, TotalTimeout)
        self.nothing_is_left("a body that drips")

    def test_interim_responses_that_drip_have_the_same_timeout(self) -> None:
        deferred = self.get()
        self.peer.take()
        for _ in range(8):
            if not self.peer.transport.is_closed:
                self.peer.send(b"HTTP/1.1 100 Go on\r\n\r\n")
            self.advance(0.5)
        self.error(deferred, ReadTimeout)

    def test_redirects_without_end_have_one(self) -> None:
        deferred = self.get()
        for number in range(11):
            self.peer.answer(response(302, b"", f"Location: /{number % 2}"))
            self.turn()
        error = self.error(deferred, TooManyRedirects)
        self.assertIn("10 redirects followed", str(error))


class Hostile(Talker):
    """Plays one trick on every connection."""

    trick: Trick

    def asked(self, head: bytes) -> None:
        """See Talker."""
        self.count += 1
        assert self.count == 1, "a connection was used again"
        self.tcp.write(self.trick.said)
        if self.trick.then == "closes":
            self.tcp.loseConnection()
        elif self.trick.then == "resets":
            self.tcp.abortConnection()


class SocketTests(ClientLiveTestCase):
    """The same over real sockets."""

    timeout = 60

    async def test_each_trick_has_its_error(self) -> None:
        client = self.made(timeout=Timeout(read=0.1, total=5))

        class Playing(Hostile):
            pass

        port = await self.listen(Playing)
        for trick in TRICKS:
            Playing.trick = trick
            # What was written before a reset may be lost on the way: any error of it.
            expected = HTTPXError if trick.then == "resets" else trick.error
            with self.assertRaises(expected, msg=trick.name):
                await client.get(f"http://127.0.0.1:{port}/")
            self.assertEqual(client.pool.stats().idle, 0, trick.name)
        self.assertGreaterEqual(client.pool.stats().dialed, len(TRICKS))

    async def test_a_body_that_drips_is_ended_by_the_whole(self) -> None:
        class Dripping(Talker):
            def asked(self, head: bytes) -> None:
                self.tcp.write(HEAD + b"Content-Length: 500\r\n\r\n")
                self.drip = LoopingCall(self.tcp.write, b"x")
                self.drip.start(0.02)

            def connectionLost(self, reason: Any = None) -> None:
                self.drip.stop()

        port = await self.listen(Dripping)
        client = self.made(timeout=Timeout(read=0.2, total=0.4))
        with self.assertRaises(TotalTimeout):
            await client.get(f"http://127.0.0.1:{port}/")
        self.assertEqual(client.pool.stats().idle, 0)

    async def test_credentials_stay_with_their_origin(self) -> None:
        heard: list[bytes] = []

        class Thief(Talker):
            def asked(self, head: bytes) -> None:
                heard.append(head)
                super().asked(head)

        thief = await self.listen(Thief)

        class Leading(Talker):
            answers = (
                b"HTTP/1.1 302 Found\r\nSet-Cookie: own=1\r\nContent-Length: 0\r\n"
                b"Location: http://127.0.0.1:%d/\r\n\r\n" % thief,
            )

        port = await self.listen(Leading)
        client = self.made(auth=("me", "secret"))
        found = await client.get(
            f"http://localhost:{port}/",
            headers={"Cookie": "session=secret", "X-Mine": "may go"},
        )
        self.assertEqual(found.body, b"hello")
        (head,) = heard
        self.assertNotIn(b"secret", head)
        self.assertNotIn(b"Authorization", head)
        self.assertNotIn(b"Cookie", head)
        self.assertIn(b"X-Mine: may go", head)
