"""Our Agent where Twisted's is expected: alone, in wrappers, in treq."""

# ruff: noqa: N802  # Twisted calls these

from __future__ import annotations

import gzip
from http.cookiejar import CookieJar
from io import BytesIO
from pathlib import Path
from typing import Any

import treq
from hyperlink import DecodedURL
from OpenSSL import SSL
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectError, DNSLookupError
from twisted.internet.error import ConnectionRefusedError as Refused
from twisted.internet.error import TimeoutError as ConnectTimedOut
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.task import deferLater
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import (
    BrowserLikeRedirectAgent,
    ContentDecoderAgent,
    CookieAgent,
    FileBodyProducer,
    GzipDecoder,
    HTTPConnectionPool,
    RedirectAgent,
    RequestGenerationFailed,
    ResponseFailed,
    ResponseNeverReceived,
    readBody,
)
from twisted.web.error import SchemeNotSupported
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IBodyProducer, IPolicyForHTTPS, IResponse
from zope.interface import implementer
from zope.interface.verify import verifyObject

from httpx_tw import Request, Response
from httpx_tw.client.agent import Agent, _as_twisteds
from httpx_tw.client.pool import ConnectionPool
from httpx_tw.client.timeouts import Timeout
from httpx_tw.errors import ClientClosed, ConfigurationError, ConnectFailed
from httpx_tw.tls.certificates import ServerTLS
from httpx_tw.tls.contexts import TLSPolicy
from tests.client.scripted import Scripted, ScriptedTestCase
from tests.server.live import reactor
from tests.tls.issuing import Authority, authority, new_authority

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def fields_of(request: Request) -> list[list[str]]:
    return [[n.decode().lower(), v.decode()] for n, v in request.headers.raw]


class AgentTestCase(ScriptedTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.pool = ConnectionPool(reactor=reactor)
        self.agent = Agent(reactor, pool=self.pool)
        self.addCleanup(self.pool.close)
        self.app.get("/gzip", self.gzipped)
        self.app.get("/to/", lambda _: self.redirect("/"))
        self.app.get("/to/to/fields", lambda _: self.redirect("/to/fields"))
        self.app.get("/to/fields", lambda _: self.redirect("/fields"))
        self.app.get("/set", self.set_cookie)
        self.app.get("/fields", lambda request: {"fields": fields_of(request)})
        self.app.post("/echo", self.echo)

    async def echo(self, request: Request) -> dict[str, Any]:
        return {
            "body": (await request.read()).decode("latin-1"),
            "query": [list(item) for item in request.query.items()],
            "fields": fields_of(request),
        }

    def gzipped(self, _: Request) -> Response:
        body = gzip.compress(b"hello" * 1000)
        return Response(body, headers={"Content-Encoding": "gzip"})

    def redirect(self, location: str) -> Response:
        return Response(status=302, headers={"Location": location})

    def set_cookie(self, _: Request) -> Response:
        response = Response("set")
        response.set_cookie("a", "1")
        return response

    async def url(self, path: str = "/") -> bytes:
        return (await self.serve(self.app) + path).encode()

    async def failure(
        self, deferred: Deferred[Any], *errors: type[BaseException]
    ) -> Any:
        return await self.assertFailure(deferred, *errors)


class RequestTests(AgentTestCase):
    async def test_it_gives_what_an_agent_gives(self) -> None:
        verifyObject(IAgent, self.agent)
        url = await self.url()
        response = await self.agent.request(b"GET", url)
        verifyObject(IResponse, response)
        self.assertEqual(response.code, 200)
        self.assertEqual(response.phrase, b"OK")
        self.assertEqual(response.version, (b"HTTP", 1, 1))
        self.assertEqual(response.length, 5)
        self.assertEqual(await readBody(response), b"hello")
        self.assertEqual(response.request.method, b"GET")
        self.assertEqual(response.request.absoluteURI, url)

    async def test_connections_of_a_pool_are_used_again(self) -> None:
        url = await self.url()
        for _ in range(5):
            await readBody(await self.agent.request(b"GET", url))
        self.assertEqual(self.pool.stats().dialed, 1)

    async def test_without_a_pool_none_are_kept(self) -> None:
        agent = Agent(reactor)
        url = await self.url()
        for _ in range(3):
            await readBody(await agent.request(b"GET", url))
        self.assertEqual(agent.pool.stats().dialed, 3)
        self.assertEqual(agent.pool.stats().idle, 0)
        await agent.pool.close()

    async def test_fields_are_sent_as_they_are_given(self) -> None:
        fields = Headers({"x-a": ["1", "2"], "Host": ["other.example"]})
        response = await self.agent.request(b"GET", await self.url("/fields"), fields)
        found = (await treq.json_content(response))["fields"]
        self.assertEqual(
            sorted(found), [["host", "other.example"], ["x-a", "1"], ["x-a", "2"]]
        )

    async def test_a_body_is_produced(self) -> None:
        url = await self.url("/echo")
        content = b"0123456789" * 20000
        response = await self.agent.request(
            b"POST", url, None, FileBodyProducer(BytesIO(content))
        )
        echoed = await treq.json_content(response)
        self.assertEqual(echoed["body"].encode(), content)
        self.assertIn(["content-length", "200000"], echoed["fields"])

    async def test_a_stale_connection_is_replaced_and_the_request_sent_again(
        self,
    ) -> None:
        def answer_and_go(connection: Scripted) -> None:
            if len(self.connections) == 1 and connection.raw.count(b"GET") == 2:
                connection.tcp.abortConnection()  # it was closed already, in spirit
            else:
                connection.tcp.write(OK)

        url = (await self.script(answer_and_go)).encode()
        for _ in range(2):
            response = await self.agent.request(b"GET", url)
            self.assertEqual(await readBody(response), b"ok")
        self.assertEqual(len(self.connections), 2)

    async def test_it_is_not_sent_again_by_a_pool_that_is_closed(self) -> None:
        def answer_and_close(connection: Scripted) -> None:
            if connection.raw.count(b"GET") == 2:
                self.pool.is_closed = True
                connection.tcp.abortConnection()
            else:
                connection.tcp.write(OK)

        url = (await self.script(answer_and_close)).encode()
        await readBody(await self.agent.request(b"GET", url))
        await self.failure(self.agent.request(b"GET", url), ClientClosed)
        self.pool.is_closed = False  # so that it can be

    async def test_it_leaves_from_where_it_is_told(self) -> None:
        url = (await self.script(lambda connection: connection.tcp.write(OK))).encode()
        for bind in ("127.0.0.2", b"127.0.0.3", ("127.0.0.4", 0), (b"127.0.0.5", 0)):
            agent = Agent(reactor, bindAddress=bind)
            await readBody(await agent.request(b"GET", url))
            await agent.pool.close()
        hosts = [connection.tcp.getPeer().host for connection in self.connections]
        self.assertEqual(hosts, [f"127.0.0.{n}" for n in (2, 3, 4, 5)])

    async def test_userinfo_becomes_credentials(self) -> None:
        url = (await self.url("/fields")).replace(b"//", b"//me:pw@")
        response = await self.agent.request(b"GET", url)
        found = (await treq.json_content(response))["fields"]
        self.assertIn(["authorization", "Basic bWU6cHc="], found)
        self.assertNotIn(b"pw", response.request.absoluteURI)


class ErrorTests(AgentTestCase):
    async def test_what_cannot_be_sent_is_refused_at_once(self) -> None:
        request = self.agent.request
        bad_fields = Headers({"Transfer-Encoding": ["gzip"]})
        for call in (
            lambda: request(b"G T", b"http://a/"),
            lambda: request(b"GET", b"http://a b/"),
            lambda: request(b"GET", b"http://a/\r\nX: y"),
            lambda: request(b"GET", b"http://\xff/"),
            lambda: request(b"GET", b"http://a/", bad_fields),
        ):
            self.assertRaises(ValueError, call)

    async def test_other_schemes_are_not_supported(self) -> None:
        for uri in (b"ftp://a/", b"a", b"unix:///x"):
            await self.failure(self.agent.request(b"GET", uri), SchemeNotSupported)

    async def test_a_refused_connection_is_what_it_is(self) -> None:
        url = await self.script(lambda _: None)
        await self.doCleanups_of_script()
        error = await self.failure(self.agent.request(b"GET", url.encode()), Refused)
        self.assertNotIsInstance(error, ConnectFailed)

    async def doCleanups_of_script(self) -> None:
        function, arguments, _ = self._cleanups.pop()
        await function(*arguments)

    async def test_a_name_without_an_address(self) -> None:
        known = reactor.installNameResolver(NoNames())
        self.addCleanup(reactor.installNameResolver, known)
        await self.failure(
            self.agent.request(b"GET", b"http://absent.invalid/"), DNSLookupError
        )

    async def test_a_response_that_never_comes(self) -> None:
        url = await self.script(lambda connection: connection.tcp.loseConnection())
        error = await self.failure(
            self.agent.request(b"POST", url.encode()), ResponseNeverReceived
        )
        self.assertTrue(error.reasons)

    async def test_a_response_that_is_none(self) -> None:
        url = await self.script(
            lambda connection: connection.tcp.write(b"SSH-2.0\r\n\r\n")
        )
        await self.failure(self.agent.request(b"GET", url.encode()), ResponseFailed)

    async def test_silence_is_not_waited_out(self) -> None:
        url = (await self.script(lambda _: None)).encode()
        agent = Agent(reactor, pool=self.pool, timeout=Timeout(read=0.05))
        error = await self.failure(agent.request(b"GET", url), ResponseNeverReceived)
        self.assertIn("ReadTimeout", repr(error.reasons))

    async def test_a_producer_that_fails_is_told_of(self) -> None:
        @implementer(IBodyProducer)
        class Failing:
            length = 10

            def startProducing(self, consumer: Any) -> Deferred[None]:
                return deferLater(reactor, 0, self.fail)

            def fail(self) -> None:
                raise KeyError("no body")

            def stopProducing(self) -> None:
                pass

            pauseProducing = resumeProducing = stopProducing

        url = (await self.script(lambda _: None)).encode()
        error = await self.failure(
            self.agent.request(b"POST", url, None, Failing()), RequestGenerationFailed
        )
        error.reasons[0].trap(KeyError)

    async def test_a_request_can_be_cancelled(self) -> None:
        url = (await self.script(lambda _: None)).encode()
        request = self.agent.request(b"GET", url)
        reactor.callLater(0.05, request.cancel)
        await self.failure(request, CancelledError, ResponseNeverReceived)
        self.assertEqual(self.pool.stats().active, 0)

    async def test_errors_of_the_pool_stay_what_they_are(self) -> None:
        await self.pool.close()
        request = self.agent.request(b"GET", b"http://127.0.0.1/")
        await self.failure(request, ClientClosed)

    def test_no_connection_for_another_reason_is_an_error_of_connecting(self) -> None:
        error = _as_twisteds(ConnectFailed("a proxy would not"))
        self.assertIsInstance(error, ConnectError)
        self.assertIn("would not", str(error))


class NoNames:
    """A resolver that knows nobody."""

    def resolveHostName(self, receiver: Any, *_: Any, **__: Any) -> Any:
        receiver.resolutionBegan(None)
        receiver.resolutionComplete()
        return receiver


class OptionTests(SynchronousTestCase):
    def test_a_pool_of_twisted_is_not_ours(self) -> None:
        reactor = MemoryReactorClock()
        for pool in (HTTPConnectionPool(reactor), object()):
            self.assertRaises(ConfigurationError, Agent, reactor, pool=pool)

    def test_a_policy_is_one(self) -> None:
        reactor = MemoryReactorClock()
        self.assertRaises(ConfigurationError, Agent, reactor, object())
        Agent(reactor, TLSPolicy(verify=False))

    def test_it_leaves_from_no_port_in_particular(self) -> None:
        bind = ("127.0.0.2", 1)
        self.assertRaises(
            ConfigurationError, Agent, MemoryReactorClock(), bindAddress=bind
        )

    def test_it_waits_for_a_connection_no_longer_than_told(self) -> None:
        reactor = MemoryReactorClock()
        agent = Agent(reactor, connectTimeout=2)
        request = agent.request(b"GET", b"http://127.0.0.1/")
        reactor.pump([0.5] * 10)
        self.failureResultOf(request, ConnectTimedOut)


class WrapperTests(AgentTestCase):
    async def test_redirects_are_followed_by_twisteds_own(self) -> None:
        url = await self.url("/to/to/fields")
        for wrapper in (RedirectAgent, BrowserLikeRedirectAgent):
            response = await wrapper(self.agent).request(b"GET", url)
            self.assertEqual(response.code, 200)
            self.assertIsNotNone(await treq.json_content(response))
            previous = response.previousResponse
            self.assertEqual(previous.code, 302)
            self.assertEqual(previous.previousResponse.request.absoluteURI, url)

    async def test_cookies_are_kept_by_twisteds_own(self) -> None:
        agent = CookieAgent(self.agent, CookieJar())
        base = await self.url("")
        await readBody(await agent.request(b"GET", base + b"/set"))
        response = await agent.request(b"GET", base + b"/fields")
        self.assertIn(["cookie", "a=1"], (await treq.json_content(response))["fields"])

    async def test_codings_are_undone_by_twisteds_own(self) -> None:
        url = await self.url("/gzip")
        raw = await readBody(await self.agent.request(b"GET", url))
        self.assertEqual(gzip.decompress(raw), b"hello" * 1000)
        agent = ContentDecoderAgent(self.agent, [(b"gzip", GzipDecoder)])
        response = await agent.request(b"GET", url)
        self.assertEqual(await readBody(response), b"hello" * 1000)
        self.assertFalse(response.headers.hasHeader("content-encoding"))


class TreqTests(AgentTestCase):
    """What treq's documentation shows."""

    def setUp(self) -> None:
        super().setUp()
        self.client = treq.client.HTTPClient(self.agent)

    async def test_basic_get(self) -> None:
        response = await treq.get(await self.url(), agent=self.agent)
        self.assertEqual(response.code, 200)
        self.assertEqual(await response.text(), "hello")
        self.assertEqual(await response.content(), b"hello")  # it is buffered

    async def test_basic_post(self) -> None:
        response = await treq.post(
            await self.url("/echo"), json={"msg": "Hello!"}, agent=self.agent
        )
        echoed = await response.json()
        self.assertEqual(echoed["body"], '{"msg":"Hello!"}')
        self.assertIn(
            ["content-type", "application/json; charset=UTF-8"], echoed["fields"]
        )

    async def test_query_parameters(self) -> None:
        response = await self.client.post(
            await self.url("/echo?foo=bar"), params={"baz": ["1", "2"]}
        )
        self.assertEqual(
            (await response.json())["query"],
            [["foo", "bar"], ["baz", "1"], ["baz", "2"]],
        )

    async def test_forms_and_files(self) -> None:
        url = await self.url("/echo")
        response = await self.client.post(url, data={"a": "b"})
        self.assertEqual((await response.json())["body"], "a=b")
        files: Any = {"f": ("n.txt", BytesIO(b"content"))}
        response = await self.client.post(url, data={"a": "b"}, files=files)
        self.assertIn('filename="n.txt"', (await response.json())["body"])

    async def test_downloading_a_large_file(self) -> None:
        self.app.get(
            "/big", lambda _: Response.stream(b"x" * 65536 for _ in range(100))
        )
        destination = bytearray()
        response = await self.client.get(await self.url("/big"), unbuffered=True)
        await treq.collect(response, destination.extend)
        self.assertEqual(len(destination), 6553600)

    async def test_a_collector_that_raises(self) -> None:
        response = await self.client.get(await self.url(), unbuffered=True)
        collected = treq.collect(response, self.fail_to_collect)
        await self.failure(collected, ZeroDivisionError)
        await deferLater(reactor, 0)

    def fail_to_collect(self, _: bytes) -> None:
        raise ZeroDivisionError

    async def test_basic_auth(self) -> None:
        response = await self.client.get(
            await self.url("/fields"), auth=("treq", "treq")
        )
        fields = (await response.json())["fields"]
        self.assertIn(["authorization", "Basic dHJlcTp0cmVx"], fields)

    async def test_redirects_and_their_history(self) -> None:
        url = await self.url("/to/")
        response = await self.client.get(url)
        self.assertEqual(response.code, 200)
        self.assertEqual([one.code for one in response.history()], [302])
        response = await self.client.get(url, allow_redirects=False)
        self.assertEqual(response.code, 302)

    async def test_cookies(self) -> None:
        base = await self.url("")
        response = await self.client.get(base + b"/set")
        jar = response.cookies()
        response = await self.client.get(base + b"/fields", cookies=jar)
        self.assertIn(["cookie", "a=1"], (await response.json())["fields"])

    async def test_codings(self) -> None:
        response = await self.client.get(await self.url("/gzip"))
        self.assertEqual(await response.text(), "hello" * 1000)

    async def test_timeouts(self) -> None:
        url = await self.script(lambda _: None)
        await self.failure(
            self.client.get(url, timeout=0.05), CancelledError, ResponseNeverReceived
        )

    async def test_urls_as_objects(self) -> None:
        base = DecodedURL.from_text((await self.url("/fields")).decode())
        response = await self.client.get(base.add("foo", "&"))
        self.assertEqual(response.code, 200)
        self.assertEqual(response.request.absoluteURI[-8:], b"?foo=%26")

    async def test_an_agent_of_ones_own_around_it(self) -> None:
        # As custom authentication is written: request, passed on with one field more.
        inner = self.agent

        class Adding:
            def request(
                self, method: bytes, uri: bytes, headers: Any = None, body: Any = None
            ) -> Any:
                headers = headers or Headers({})
                headers.setRawHeaders(b"x-silly-auth", [b"secret"])
                return inner.request(method, uri, headers, body)

        client: Any = treq.client.HTTPClient(Adding())  # type: ignore[arg-type]  # it says not that it is one
        response = await client.get(await self.url("/fields"))
        fields = (await response.json())["fields"]
        self.assertIn(["x-silly-auth", "secret"], fields)

    async def test_every_method(self) -> None:
        for method in ("get", "put", "patch", "delete"):
            getattr(self.app, method)("/any", lambda request: request.method)
        url = await self.url("/any")
        for method in ("get", "put", "patch", "delete"):
            response = await getattr(self.client, method)(url)
            self.assertEqual(await response.text(), method.upper())
        response = await self.client.head(url)
        self.assertEqual((response.code, await response.content()), (200, b""))

    async def test_many_at_once(self) -> None:
        url = await self.url()
        requests = [self.client.get(url) for _ in range(50)]
        for request in requests:
            self.assertEqual(await (await request).text(), "hello")
        self.assertLessEqual(self.pool.stats().dialed, 10)


@implementer(IPolicyForHTTPS)
class Trusting:
    """A policy that trusts one authority, made as Twisted's documentation shows."""

    def __init__(self, trusted: Authority) -> None:
        self._context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        self._context.set_verify(SSL.VERIFY_PEER)
        name = str(Path(f"{id(self)}.pem").absolute())
        self._context.load_verify_locations(trusted.write_certificate(Path(name)))

    def creatorForNetloc(self, hostname: bytes, port: int) -> Any:
        """See IPolicyForHTTPS."""
        return _Creator(self._context)


@implementer(IOpenSSLClientConnectionCreator)
class _Creator:
    def __init__(self, context: SSL.Context) -> None:
        self._context = context

    def clientConnectionForTLS(self, _: Any) -> SSL.Connection:
        """See IOpenSSLClientConnectionCreator."""
        return SSL.Connection(self._context, None)


class PolicyTests(AgentTestCase):
    async def secure_url(self) -> bytes:
        certfile = authority().issue("127.0.0.1").write(Path("server.pem"))
        url = await self.serve(self.app, tls=ServerTLS(certfile=certfile))
        return url.replace("http:", "https:").encode() + b"/"

    async def test_a_policy_of_twisted_says_who_is_trusted(self) -> None:
        url = await self.secure_url()
        agent = Agent(reactor, Trusting(authority()), pool=self.pool)
        for _ in range(2):
            self.assertEqual(await readBody(await agent.request(b"GET", url)), b"hello")
        self.assertEqual(self.pool.stats().dialed, 1)
        # Another policy is another trust: it shares no connection.
        stranger = Agent(reactor, Trusting(new_authority()), pool=self.pool)
        await self.failure(stranger.request(b"GET", url), ResponseNeverReceived)

    async def test_a_policy_of_ours_does_too(self) -> None:
        url = await self.secure_url()
        agent = Agent(reactor, TLSPolicy(verify=False), pool=self.pool)
        self.assertEqual(await readBody(await agent.request(b"GET", url)), b"hello")
        await self.failure(self.agent.request(b"GET", url), ResponseNeverReceived)
