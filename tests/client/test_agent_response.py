"""The body of an Agent's response, delivered in every way it can be."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.protocol import Protocol
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone, ResponseFailed, readBody
from twisted.web.http import PotentialDataLoss
from twisted.web.iweb import UNKNOWN_LENGTH, IClientRequest
from zope.interface.verify import verifyObject

from httpx_tw.client.agent import Agent
from httpx_tw.client.pool import ConnectionPool
from tests.client.scripted import Scripted, ScriptedTestCase
from tests.server.live import reactor

HEAD = b"HTTP/1.1 200 OK\r\n"
PIECE = b"x" * 65536


class Taking(Protocol):
    """Takes a body, and notes what happens."""

    def __init__(self) -> None:
        self.count = 0
        self.seen: list[str] = []
        self.ended: Deferred[BaseException] = Deferred()

    @property
    def delivery(self) -> Any:
        """The transport it was given."""
        return self.transport

    def connectionMade(self) -> None:
        """See IProtocol."""
        self.seen.append("made")

    def dataReceived(self, data: bytes) -> None:
        """See IProtocol."""
        self.count += len(data)

    def connectionLost(self, reason: Failure | None = None) -> None:
        """See IProtocol."""
        assert reason is not None
        assert reason.value is not None
        self.seen.append("lost")
        self.ended.callback(reason.value)


class DeliveryTests(ScriptedTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.pool = ConnectionPool(reactor=reactor)
        self.agent = Agent(reactor, pool=self.pool)
        self.addCleanup(self.pool.close)

    async def response(self, wire: bytes, method: bytes = b"GET", **then: bool) -> Any:
        """Return the response to a request that is answered with *wire*."""

        def answer(connection: Scripted) -> None:
            connection.tcp.write(wire)
            if then.get("close"):
                connection.tcp.loseConnection()

        url = (await self.script(answer)).encode()
        return await self.agent.request(method, url)

    async def delivered(self, response: Any) -> tuple[int, BaseException]:
        taking = Taking()
        response.deliverBody(taking)
        reason = await taking.ended
        self.assertEqual(taking.seen, ["made", "lost"])
        return taking.count, reason

    async def test_a_body_of_a_known_length_is_done(self) -> None:
        response = await self.response(HEAD + b"Content-Length: 5\r\n\r\nhello")
        self.assertEqual(response.length, 5)
        count, reason = await self.delivered(response)
        self.assertEqual(count, 5)
        self.assertIsInstance(reason, ResponseDone)

    async def test_a_chunked_body_is_done(self) -> None:
        wire = b"Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"
        response = await self.response(HEAD + wire)
        self.assertIs(response.length, UNKNOWN_LENGTH)
        count, reason = await self.delivered(response)
        self.assertEqual(count, 5)
        self.assertIsInstance(reason, ResponseDone)

    async def test_a_body_that_ends_with_the_connection_may_be_incomplete(self) -> None:
        response = await self.response(HEAD + b"\r\nhello", close=True)
        self.assertIs(response.length, UNKNOWN_LENGTH)
        count, reason = await self.delivered(response)
        self.assertEqual(count, 5)
        self.assertIsInstance(reason, PotentialDataLoss)

    async def test_a_body_that_breaks_off_has_failed(self) -> None:
        wire = HEAD + b"Content-Length: 50\r\n\r\nhello"
        response = await self.response(wire, close=True)
        count, reason = await self.delivered(response)
        self.assertEqual(count, 5)
        assert isinstance(reason, ResponseFailed)
        self.assertIs(reason.response, response)
        self.assertTrue(all(isinstance(one, Failure) for one in reason.reasons))

    async def test_without_a_body_it_is_done_at_once(self) -> None:
        for head, method in (
            (b"HTTP/1.1 204 No Content\r\n\r\n", b"GET"),
            (HEAD + b"Content-Length: 0\r\n\r\n", b"GET"),
            (HEAD + b"Content-Length: 9\r\n\r\n", b"HEAD"),
        ):
            response = await self.response(head, method)
            self.assertEqual(response.length, 0)
            count, reason = await self.delivered(response)
            self.assertEqual(count, 0)
            self.assertIsInstance(reason, ResponseDone)

    async def test_it_is_delivered_once(self) -> None:
        response = await self.response(HEAD + b"Content-Length: 5\r\n\r\nhello")
        await self.delivered(response)
        self.assertRaises(RuntimeError, response.deliverBody, Taking())

    async def test_a_body_waits_until_somebody_takes_it(self) -> None:
        response = await self.response(HEAD + b"Content-Length: 655360\r\n\r\n" + PIECE)
        for _ in range(9):
            self.connections[0].tcp.write(PIECE)
        await deferLater(reactor, 0.01)
        count, _ = await self.delivered(response)
        self.assertEqual(count, 655360)

    async def test_who_pauses_gets_no_more_and_the_server_has_to_wait(self) -> None:
        total = 400 * len(PIECE)
        response = await self.response(HEAD + b"Content-Length: %d\r\n\r\n" % total)
        taking = Taking()
        response.deliverBody(taking)
        taking.delivery.pauseProducing()
        for _ in range(400):
            self.connections[0].tcp.write(PIECE)
        await deferLater(reactor, 0.05)
        self.assertEqual(taking.count, 0)
        self.assertTrue(self.connections[0].tcp.dataBuffer)  # 25 MiB fit nowhere else
        taking.delivery.resumeProducing()
        await taking.ended
        self.assertEqual(taking.count, total)

    async def test_who_closes_hears_of_it_later(self) -> None:
        for name in ("loseConnection", "abortConnection", "stopProducing"):
            response = await self.response(HEAD + b"Content-Length: 9\r\n\r\nhello")
            taking = Taking()
            response.deliverBody(taking)
            getattr(taking.delivery, name)()
            self.assertEqual(taking.seen, ["made"])
            self.assertIsInstance(await taking.ended, ResponseFailed)

    async def test_read_body_can_be_cancelled(self) -> None:
        response = await self.response(HEAD + b"Content-Length: 999999\r\n\r\nhello")
        reading = readBody(response)
        reading.cancel()
        await self.assertFailure(reading, CancelledError)
        await deferLater(reactor, 0.01)
        self.assertEqual(self.pool.stats().active, 0)

    async def test_fields_about_the_connection_are_kept_back(self) -> None:
        fields = b"X-A: 1\r\nX-A: 2\r\nConnection: x\r\nContent-Length: 0\r\n\r\n"
        response = await self.response(HEAD + fields)
        headers = response.headers
        self.assertEqual(list(headers.getAllRawHeaders()), [(b"X-A", [b"1", b"2"])])
        self.assertIs(response.headers, headers)
        response = await self.response(HEAD + fields, b"HEAD")
        self.assertEqual(response.headers.getRawHeaders("content-length"), ["0"])

    async def test_it_says_what_it_answers(self) -> None:
        response = await self.response(b"HTTP/1.0 404 N\xf6\r\n\r\n", close=True)
        self.assertEqual(response.version, (b"HTTP", 1, 0))
        self.assertEqual((response.code, response.phrase), (404, b"N\xf6"))
        verifyObject(IClientRequest, response.request)
        self.assertTrue(response.request.headers.hasHeader("host"))
        self.assertIn("404", repr(response))
        response.setPreviousResponse(response)
        self.assertIs(response.previousResponse, response)
        await self.delivered(response)
