"""A client that calls an App in memory, through the whole server but the sockets."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, Self, TypedDict, Unpack
from urllib.parse import urlencode, urljoin, urlsplit

from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock, deferLater

from httpx_tw.app.cookies import parse_cookies
from httpx_tw.errors import ConnectionLost, HTTPError, HTTPXError, RemoteProtocolError
from httpx_tw.headers import Headers
from httpx_tw.limits import DEFAULT_LIMITS, DEFAULT_TIMEOUTS, Limits, Timeouts
from httpx_tw.protocol.http1_client import ClientSide
from httpx_tw.protocol.http1_reader import ResponseHeadParser
from httpx_tw.server.factory import HTTPFactory
from httpx_tw.testing.conversation import (
    Connection,
    PendingResponse,
    StillWaiting,
    TestResponse,
)
from httpx_tw.testing.memory import MemoryTransport

if TYPE_CHECKING:
    from collections.abc import Mapping

    from twisted.python.failure import Failure

    from httpx_tw.app.app import App
    from httpx_tw.headers import HeadersInput
    from httpx_tw.observe.access_log import AccessLog
    from httpx_tw.observe.stats import ServerStats

__all__ = ["RequestOptions", "TestClient"]

_MAX_REDIRECTS = 10

_POLL = 0.001
"""Seconds between two looks at a request that is awaited."""


class RequestOptions(TypedDict, total=False):
    """What get, post and the others take besides the URL."""

    params: Mapping[str, Any] | list[tuple[str, Any]]
    """Added to the query; a list in a mapping is sent as several fields."""

    headers: HeadersInput
    """Added to the client's own; one of the same name replaces it."""

    cookies: Mapping[str, str]
    """Sent with this request, besides those that were set before."""

    content: bytes | str
    """The body as it is."""

    data: Mapping[str, Any] | list[tuple[str, Any]]
    """The body as a form (application/x-www-form-urlencoded)."""

    json: Any
    """The body as JSON."""

    follow_redirects: bool
    """See TestClient."""


class TestClient:
    """Calls *app* as a client would, in memory.

    Each request goes through the server's own connection, codec, deadlines and limits::

        client = TestClient(app)
        response = client.post("/users", json={"name": "Ada"})
        assert response.status == 201
        assert response.json()["id"] == 1

    Every endpoint is called on the thread that asks, also with ``thread=True``.

    Time stands still: :attr:`clock` moves only by :meth:`advance`. A handler that waits
    cannot answer a plain call, which then raises :class:`StillWaiting`. Either take it
    in steps::

        pending = client.send("GET", "/slow")
        client.advance(31)
        assert pending.result().status == 503

    or, where a reactor runs (pytest-twisted, trial), await it, and the clock goes with
    the reactor's::

        response = await client.async_get("/slow")

    :param base_url: where the app is said to be; with https it is told the connection
        is encrypted.
    :param headers: sent with every request.
    :param follow_redirects: up to 10, within the app.
    :param raise_handler_errors: raise what a handler raised and did not mean for the
        client, with its traceback; False: give the 500 a client would see. Either way
        it is logged, so trial wants it flushed (``flushLoggedErrors``).
    :param client_address: the peer's, as the app sees it.

    Cookies that are set are sent with later requests: see :attr:`cookies`. Close it, or
    use it in a ``with`` statement, to have unfinished handlers cancelled.
    """

    __test__ = False  # pytest: no test case

    def __init__(  # noqa: PLR0913  # options, keyword-only
        self,
        app: App,
        *,
        base_url: str = "http://testserver",
        headers: HeadersInput = None,
        follow_redirects: bool = False,
        raise_handler_errors: bool = True,
        client_address: tuple[str, int] = ("192.0.2.1", 40000),
        limits: Limits = DEFAULT_LIMITS,
        timeouts: Timeouts = DEFAULT_TIMEOUTS,
        access_log: AccessLog | None = None,
    ) -> None:
        self.base_url = base_url
        self.headers = Headers(headers)
        """Sent with every request."""
        self.cookies: dict[str, str] = {}
        """Sent with every request, by name; path and domain are not looked at."""
        self.follow_redirects = follow_redirects
        self.clock = Clock()
        """The server's time."""
        self._witness = _Witness(app)
        self.factory = HTTPFactory(
            self._witness,  # type: ignore[arg-type]  # it has what a factory uses
            self.clock,
            limits=limits,
            timeouts=timeouts,
            access_log=access_log,
            wall_clock=self.clock.seconds,
        )
        self.factory.doStart()
        self._raise_handler_errors = raise_handler_errors
        self._client_address = client_address
        self._parser = ResponseHeadParser(limits)
        self._connections: list[Connection] = []
        self._followed_to = 0.0
        self._is_closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Requests, one verb each

    def get(self, url: str, **options: Unpack[RequestOptions]) -> TestResponse:
        """Ask for *url*. See :meth:`request`."""
        return self.request("GET", url, **options)

    def head(self, url: str, **options: Unpack[RequestOptions]) -> TestResponse:
        """Ask for the head of *url*. See :meth:`request`."""
        return self.request("HEAD", url, **options)

    def post(self, url: str, **options: Unpack[RequestOptions]) -> TestResponse:
        """Post to *url*. See :meth:`request`."""
        return self.request("POST", url, **options)

    def put(self, url: str, **options: Unpack[RequestOptions]) -> TestResponse:
        """Put to *url*. See :meth:`request`."""
        return self.request("PUT", url, **options)

    def patch(self, url: str, **options: Unpack[RequestOptions]) -> TestResponse:
        """Patch *url*. See :meth:`request`."""
        return self.request("PATCH", url, **options)

    def delete(self, url: str, **options: Unpack[RequestOptions]) -> TestResponse:
        """Delete *url*. See :meth:`request`."""
        return self.request("DELETE", url, **options)

    def options(self, url: str, **options: Unpack[RequestOptions]) -> TestResponse:
        """Ask for the options of *url*. See :meth:`request`."""
        return self.request("OPTIONS", url, **options)

    def request(
        self, method: str, url: str, **options: Unpack[RequestOptions]
    ) -> TestResponse:
        """Send a request and return its response.

        *url* is a path, with or without a query, or a whole URL. For the options see
        :class:`RequestOptions`.

        :raises StillWaiting: when the handler has to wait for something.
        :raises ConnectionLost: when the server ended the connection in between.
        """
        follow = options.pop("follow_redirects", self.follow_redirects)
        response = self.send(method, url, **options).result()
        history: list[TestResponse] = []
        while follow and response.is_redirect:
            history.append(_not_too_many(response, history))
            method, url = _redirected(method, response, options)
            response = self.send(method, url, **options).result()
        response.history = history
        return response

    # The same, awaited

    async def async_get(
        self, url: str, **options: Unpack[RequestOptions]
    ) -> TestResponse:
        """Ask for *url*. See :meth:`async_request`."""
        return await self.async_request("GET", url, **options)

    async def async_post(
        self, url: str, **options: Unpack[RequestOptions]
    ) -> TestResponse:
        """Post to *url*. See :meth:`async_request`."""
        return await self.async_request("POST", url, **options)

    async def async_request(
        self, method: str, url: str, **options: Unpack[RequestOptions]
    ) -> TestResponse:
        """As :meth:`request`, but wait for a handler that waits.

        Needs a running reactor; the client's clock follows the reactor's meanwhile.
        """
        follow = options.pop("follow_redirects", self.follow_redirects)
        response = await self._awaited(self.send(method, url, **options))
        history: list[TestResponse] = []
        while follow and response.is_redirect:
            history.append(_not_too_many(response, history))
            method, url = _redirected(method, response, options)
            response = await self._awaited(self.send(method, url, **options))
        response.history = history
        return response

    async def _awaited(self, pending: PendingResponse) -> TestResponse:
        reactor: Any = sys.modules.get("twisted.internet.reactor")
        if reactor is None:
            raise StillWaiting("awaiting a response needs a reactor, and none is there")
        last = reactor.seconds()
        try:
            while not pending.is_over:
                await deferLater(reactor, _POLL)
                now = reactor.seconds()
                # Several requests may be awaited at once: time passes for all, once.
                passed = now - max(last, self._followed_to)
                last = self._followed_to = now
                self.advance(max(0.0, passed))
        except BaseException:
            pending.cancel()
            raise
        return pending.result()

    # Step by step

    def send(
        self, method: str, url: str, **options: Unpack[RequestOptions]
    ) -> PendingResponse:
        """Send a request and return what its response is going to be.

        Several may be under way at once, each on a connection of its own. Redirects are
        not followed.
        """
        if self._is_closed:
            raise HTTPXError("the client is closed")
        options.pop("follow_redirects", None)
        url = urljoin(self.base_url, url)
        parts = urlsplit(url)
        target = parts.path or "/"
        query = "&".join(filter(None, [parts.query, _encoded(options.get("params"))]))
        if query:
            target = f"{target}?{query}"
        headers, body = self._head_and_body(parts.netloc, options)
        connection = self._idle_connection(is_secure=parts.scheme == "https")
        pending = PendingResponse(self, connection, url)
        connection.send(pending, method, target, headers.raw, body)
        self.advance(0)
        return pending

    def _head_and_body(
        self, host: str, options: RequestOptions
    ) -> tuple[Headers, bytes]:
        body, kind = _body(options)
        headers = Headers([("Host", host)])
        if kind:
            headers.add("Content-Type", kind)
        cookies = {**self.cookies, **options.get("cookies", {})}
        if cookies:
            headers.add("Cookie", "; ".join(f"{n}={v}" for n, v in cookies.items()))
        for fields in (self.headers, Headers(options.get("headers"))):
            for name in {name.lower() for name, _ in fields.raw}:
                headers.remove(name)
            for name, value in fields.raw:
                headers.add(name, value)
        return headers, body

    def advance(self, seconds: float = 0.0) -> None:
        """Let *seconds* pass for the server, and everything happen that is due."""
        self._settle()
        if seconds:
            # In steps: what happens on the way may set new timers.
            until = self.clock.seconds() + seconds
            while True:
                due = [call.getTime() for call in self.clock.getDelayedCalls()]
                step = min([until, *due])
                self.clock.advance(max(0.0, step - self.clock.seconds()))
                self._settle()
                if step >= until:
                    break

    def _settle(self) -> None:
        """Let everything happen that needs no time."""
        moved = True
        while moved:
            moved = False
            now = self.clock.seconds()
            if any(call.getTime() <= now for call in self.clock.getDelayedCalls()):
                self.clock.advance(0)
                moved = True
            for connection in list(self._connections):
                moved = connection.pump() or moved
                if connection.transport.is_closed:
                    self._connections.remove(connection)

    def close(self) -> None:
        """End all connections; handlers that have not finished are cancelled."""
        self._is_closed = True
        for connection in self._connections:
            connection.transport.lose()
        self._connections.clear()
        if self.factory.tick.is_running:
            self.factory.doStop()

    def statistics(self) -> ServerStats:
        """Return the server's figures. See HTTPFactory.statistics."""
        return self.factory.statistics()

    # Called by responses

    def raise_what_happened(self) -> None:
        """Raise what a handler raised, if that is wanted."""
        failures = self._witness.failures
        if failures and self._raise_handler_errors:
            failure = failures[0]
            failures.clear()
            failure.raiseException()

    def keep_cookies(self, headers: Headers) -> None:
        """Note the cookies that a response sets."""
        for line in headers.get_all("set-cookie"):
            pair, _, attributes = line.partition(";")
            lowered = attributes.lower().replace(" ", "")
            for name, value in parse_cookies([pair]).items():
                if "max-age=0" in lowered.split(";") or "max-age=-" in lowered:
                    self.cookies.pop(name, None)
                else:
                    self.cookies[name] = value

    # Ours

    def _idle_connection(self, *, is_secure: bool) -> Connection:
        for connection in self._connections:
            if connection.is_idle and connection.is_secure is is_secure:
                return connection
        server = self.factory.buildProtocol(None)
        if server is None:
            raise ConnectionLost("over the limit of connections")
        transport = MemoryTransport(
            server,
            peer=IPv4Address("TCP", *self._client_address),
            is_secure=is_secure,
        )
        side = ClientSide(self._parser, self.factory.limits)
        made = Connection(transport, side, is_secure=is_secure)
        self._connections.append(made)
        return made


class _Witness:
    """The app as the factory sees it, with somebody watching for its errors."""

    def __init__(self, app: App) -> None:
        self._app = app
        self.find = app.find
        self.failures: list[Failure] = []

    def error_response(self, request: Any, failure: Failure) -> Any:
        """See App.error_response."""
        if not isinstance(failure.value, HTTPError | RemoteProtocolError):
            self.failures.append(failure)
        return self._app.error_response(request, failure)


def _body(options: RequestOptions) -> tuple[bytes, str]:
    given = options.keys() & {"content", "data", "json"}
    if len(given) > 1:
        raise TypeError(f"give one body, not {' and '.join(sorted(given))}")
    if "content" in given:
        content = options["content"]
        return (content.encode() if isinstance(content, str) else content), ""
    if "data" in given:
        form = _encoded(options["data"]).encode()
        return form, "application/x-www-form-urlencoded"
    if "json" in given:
        return json.dumps(options["json"]).encode(), "application/json"
    return b"", ""


def _encoded(fields: Mapping[str, Any] | list[tuple[str, Any]] | None) -> str:
    return urlencode(fields or {}, doseq=True)


def _not_too_many(response: TestResponse, history: list[TestResponse]) -> TestResponse:
    if len(history) >= _MAX_REDIRECTS:
        raise HTTPXError(f"more than {_MAX_REDIRECTS} redirects")
    return response


def _redirected(
    method: str, response: TestResponse, options: RequestOptions
) -> tuple[str, str]:
    """Return what to ask next: RFC 9110 section 15.4."""
    options.pop("params", None)
    if response.status in {301, 302, 303} and method not in {"GET", "HEAD"}:
        method = "GET"
        options.pop("content", None)
        options.pop("data", None)
        options.pop("json", None)
    return method, urljoin(response.url, response.headers["location"])
