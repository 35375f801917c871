"""Servers that are not there: requests of the real client are answered by the test."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Final, Self, TypeAlias

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol

from httpx_tw.client.client import Client
from httpx_tw.client.pool_facts import DropReason
from httpx_tw.client.urls import parse_url
from httpx_tw.errors import ConfigurationError, RemoteProtocolError
from httpx_tw.headers import Headers
from httpx_tw.limits import Limits
from httpx_tw.protocol.events import END_OF_MESSAGE, RequestHead
from httpx_tw.protocol.http1_reader import RequestHeadParser
from httpx_tw.protocol.http1_server import ServerSide
from httpx_tw.testing.in_memory import join
from httpx_tw.testing.stub_answers import (
    Silence,
    StubRequest,
    StubResponse,
    as_answer,
)

if TYPE_CHECKING:
    from twisted.python.failure import Failure

    from httpx_tw.client.connection import HTTP1Connection
    from httpx_tw.client.dialing import MakeConnection
    from httpx_tw.client.pool_facts import PoolKey
    from httpx_tw.protocol.http1 import Event

__all__ = ["Stubs", "UnexpectedRequest"]

_LIMITS: Final = Limits(max_body=0)
_PARSER: Final = RequestHeadParser(_LIMITS)

AnswerInput: TypeAlias = Any
"""See :func:`~httpx_tw.testing.stub_answers.as_answer`; or a callable that is given the
StubRequest and returns that, or a Deferred or coroutine of it."""


class UnexpectedRequest(AssertionError):
    """A request was made that no stub is for.

    An AssertionError, so that no ``except HTTPXError`` of the code under test hides it.
    """


class Stubs:
    """Answers to the requests of a client, by method and URL.

        stubs = Stubs()
        stubs.get("https://api.example/items/*", {"id": 7})
        stubs.post("https://api.example/items", lambda request: request.json())
        client = stubs.client()
        assert (await client.get("https://api.example/items/7")).json() == {"id": 7}
        assert [request.method for request in stubs.requests] == ["GET"]

    It takes the place of dialing, so all else is as ever: the pool, timeouts, retries,
    redirects, cookies. Give it as ``dialer`` to a Client, a BlockingClient or a
    ConnectionPool (and so to an Agent). There is no TLS, also with https.

    A request that no stub is for fails with :class:`UnexpectedRequest`; in a ``with``
    block the end of the block does, too, should the code have swallowed that.

    Callables are called on the reactor's thread.

    :param answer: what every request gets that no stub is for. Not given: see above.
    """

    def __init__(self, answer: AnswerInput = ...) -> None:
        self._default = answer
        self._stubs: list[_Stub] = []
        self.requests: list[StubRequest] = []
        """All that were made, in order; also the unexpected."""
        self.unexpected: list[StubRequest] = []
        """Those that no stub was for."""

    def add(
        self, method: str, url: str, answer: AnswerInput = "", *, times: int = 0
    ) -> None:
        """Answer requests of *method* for *url*.

        Of several that are for a request, the first that is not used up is taken.

        :param method: ``*``: any.
        :param url: with scheme and host. Without a query: any query, or none. A ``*``
            at its end: whatever begins with what is before it.
        :param times: how often. 0: again and again.
        :raises InvalidURL: *url* is none, or not absolute.
        :raises ConfigurationError: *times* is negative, or *answer* is nothing that can
            be answered.
        """
        if times < 0:
            raise ConfigurationError(f"times must not be negative, got {times}")
        if not url.endswith("*"):
            url = str(parse_url(url))
        if not callable(answer):
            answer = as_answer(answer)
        self._stubs.append(_Stub(method, url, answer, times))

    def get(self, url: str, answer: AnswerInput = "", *, times: int = 0) -> None:
        """Answer GET; see :meth:`add`."""
        self.add("GET", url, answer, times=times)

    def post(self, url: str, answer: AnswerInput = "", *, times: int = 0) -> None:
        """Answer POST; see :meth:`add`."""
        self.add("POST", url, answer, times=times)

    def put(self, url: str, answer: AnswerInput = "", *, times: int = 0) -> None:
        """Answer PUT; see :meth:`add`."""
        self.add("PUT", url, answer, times=times)

    def patch(self, url: str, answer: AnswerInput = "", *, times: int = 0) -> None:
        """Answer PATCH; see :meth:`add`."""
        self.add("PATCH", url, answer, times=times)

    def delete(self, url: str, answer: AnswerInput = "", *, times: int = 0) -> None:
        """Answer DELETE; see :meth:`add`."""
        self.add("DELETE", url, answer, times=times)

    def client(self, **options: Any) -> Client:
        """Return a Client that these stubs answer; *options* are its own."""
        return Client(dialer=self, **options)

    # What was asked

    def check(self) -> None:
        """Raise UnexpectedRequest if there was any."""
        if self.unexpected:
            made = ", ".join(f"{each.method} {each.url}" for each in self.unexpected)
            raise UnexpectedRequest(f"no stub was for {made}")

    @property
    def unused(self) -> list[str]:
        """Stubs that were not asked for, or less often than they were meant to be."""
        return [str(stub) for stub in self._stubs if stub.is_wanting]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.check()

    # Called by the pool: MakesConnections

    async def dial(self, key: PoolKey, make: MakeConnection) -> HTTP1Connection:
        """See MakesConnections."""
        connection = make(None)
        join(key, connection, _Server(self, key, connection))
        return connection

    def forget_addresses(self) -> None:
        """See MakesConnections: there are none."""

    def close(self) -> None:
        """See MakesConnections: connections are the pool's to close."""

    # Called by connections

    def answer_to(self, request: StubRequest) -> Any:
        """Return what is given, or what its callable returns.

        :raises UnexpectedRequest: there is none for it.
        """
        self.requests.append(request)
        answer = self._default
        for stub in self._stubs:
            if stub.is_for(request):
                answer = stub.use()
                break
        if answer is ...:
            self.unexpected.append(request)
            raise UnexpectedRequest(f"no stub is for {request.method} {request.url}")
        return answer(request) if callable(answer) else answer


class _Stub:
    def __init__(self, method: str, url: str, answer: Any, times: int) -> None:
        self._method = method
        self._url = url
        self._answer = answer
        self._times = times
        self._used = 0

    def is_for(self, request: StubRequest) -> bool:
        if self._times and self._used >= self._times:
            return False
        if self._method not in {"*", request.method}:
            return False
        url, wanted = request.url, self._url
        if wanted.endswith("*"):
            return url.startswith(wanted[:-1])
        if "?" not in wanted:
            url = url.partition("?")[0]
        return url == wanted

    def use(self) -> Any:
        self._used += 1
        return self._answer

    @property
    def is_wanting(self) -> bool:
        return self._used < max(1, self._times)

    def __str__(self) -> str:
        return f"{self._method} {self._url}"


class _Server(Protocol):
    """The server's end of one connection."""

    def __init__(self, stubs: Stubs, key: PoolKey, connection: HTTP1Connection) -> None:
        self._stubs = stubs
        self._key = key
        self._connection = connection
        self._side = ServerSide(_PARSER, _LIMITS)
        self._head: RequestHead
        self._body: list[bytes] = []
        self._answering: Deferred[Any] | None = None

    @property
    def _tcp(self) -> Any:
        return self.transport

    def dataReceived(self, data: bytes) -> None:
        """See IProtocol."""
        try:
            self._take(self._side.receive(data))
        except RemoteProtocolError as error:
            # What we send ourselves is HTTP: this is a mistake of ours, or a request
            # that no server would take.
            self._fail(error)

    def connectionLost(self, reason: Failure | None = None) -> None:
        """See IProtocol."""
        del reason
        answering, self._answering = self._answering, None
        if answering is not None:
            answering.cancel()

    def _take(self, event: Event) -> None:
        while True:
            if isinstance(event, RequestHead):
                self._head = event
                self._body = []
                if event.expects_continue:
                    self._tcp.write(self._side.interim(100))
                if not event.body_length:
                    self._asked()
                    return
            elif isinstance(event, bytes):
                self._body.append(event)
            elif event is END_OF_MESSAGE:
                self._asked()
                return
            else:
                return
            event = self._side.next_event()

    def _asked(self) -> None:
        self._answering = Deferred.fromCoroutine(self._answer(self._request()))
        self._answering.addErrback(self._answering_failed)

    def _request(self) -> StubRequest:
        head = self._head
        headers = Headers.from_pairs(list(head.headers))
        url = head.target
        if "://" not in url:
            url = f"{self._key.scheme}://{headers.get('host', '')}{url}"
        return StubRequest(head.method, url, headers, b"".join(self._body))

    async def _answer(self, request: StubRequest) -> None:
        answer = self._stubs.answer_to(request)
        if inspect.isawaitable(answer):
            answer = await answer
        answer = as_answer(answer)
        if isinstance(answer, Exception):
            self._fail(answer)
        elif isinstance(answer, StubResponse):
            if answer.delay:
                await _later(self._connection.reactor, answer.delay)
            self._send(answer)
        else:
            assert isinstance(answer, Silence)

    def _send(self, answer: StubResponse) -> None:
        side = self._side
        if answer.raw is not None:
            self._tcp.write(answer.raw)
        else:
            side.keep_alive = side.keep_alive and not (answer.close or answer.reset)
            self._tcp.write(
                side.response(answer.status, b"", answer.fields.raw, answer.content)
            )
        if answer.reset:
            self._reset()
        elif answer.close or not side.keep_alive:
            self._tcp.loseConnection()
        elif answer.raw is None:
            side.start_next_cycle()

    def _reset(self) -> None:
        # Behind what was written: an abort would throw that away.
        self._connection.reactor.callLater(0, self._tcp.abortConnection)

    def _answering_failed(self, failure: Failure) -> None:
        if self._answering is not None:  # else the client has gone, which is no error
            assert isinstance(failure.value, BaseException)
            self._fail(failure.value)

    def _fail(self, error: BaseException) -> None:
        self._connection.fail(error, DropReason.FAILED)  # type: ignore[arg-type]  # it takes any


async def _later(clock: Any, seconds: float) -> None:
    waiting: Deferred[None] = Deferred(lambda _: call.cancel())
    call = clock.callLater(seconds, waiting.callback, None)
    await waiting
