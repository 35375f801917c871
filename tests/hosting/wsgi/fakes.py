"""A connection that is not one, and WSGI applications called on it by hand."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from twisted.python.failure import Failure

from httpx_tw.app.request import Request
from httpx_tw.app.response import Response
from httpx_tw.hosting.wsgi import WSGIApp
from httpx_tw.protocol.events import CHUNKED, RequestHead
from httpx_tw.protocol.targets import origin_form
from httpx_tw.server.on_workers import ResponseWriter, call_on_worker
from httpx_tw.server.whole_responses import ReadyResponse

if TYPE_CHECKING:
    from collections.abc import Callable

    from httpx_tw.headers import HeaderPairs

Address = Any


@dataclass
class FakeAddress:
    """An address with a host and a port."""

    host: str
    port: int


class FakeTransport:
    """A transport that knows its own address, as long as it is open."""

    def __init__(self, host: Address) -> None:
        self.host = host
        self.asked = 0

    def getHost(self) -> Address:
        """See ITransport."""
        self.asked += 1
        if isinstance(self.host, Exception):
            raise self.host
        return self.host


class FakeLink:
    """A connection whose reactor turns when :meth:`turn` is called."""

    def __init__(
        self,
        scheme: str = "http",
        host: Address = None,
        client: tuple[str, int] | None = ("192.0.2.1", 40000),
    ) -> None:
        self.scheme = scheme
        self.is_secure = scheme == "https"
        self.client_address = client
        self.transport = FakeTransport(host or FakeAddress("192.0.2.2", 80))
        self.hosted: Any = None
        self.begun: Response | None = None
        self._posted: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()

    def post(self, function: Callable[..., object], *arguments: Any) -> None:
        """See Answering.post."""
        self._posted.append((function, arguments))

    def begin_response(self, request: Request, response: Response) -> None:
        """See Answering.begin_response."""
        assert self.begun is None
        self.begun = response

    def turn(self) -> None:
        """Do what was posted."""
        while self._posted:
            function, arguments = self._posted.popleft()
            function(*arguments)


def make_request(  # a keyword for each thing that an environ shows
    target: str = "/",
    method: str = "GET",
    headers: HeaderPairs | None = None,
    *,
    app: WSGIApp | None = None,
    body: bytes = b"",
    is_http11: bool = True,
    is_chunked: bool = False,
    link: FakeLink | None = None,
    path: str | None = None,
) -> Request:
    """Return a request as the server would make it for a path without percents."""
    raw_path, _, query = origin_form(target).partition("?")
    head = RequestHead(
        method,
        target,
        headers or [],
        is_http11=is_http11,
        keep_alive=True,
        body_length=CHUNKED if is_chunked else len(body),
        path=raw_path,
        query=query,
    )
    path = raw_path if path is None else path
    route, params = (app or WSGIApp(lambda *_: [])).find(method, path)
    connection: Any = link or FakeLink()
    return Request(head, path, query, route, params, connection, body)


@dataclass
class Answer:
    """What became of a call."""

    status: int
    fields: list[tuple[str, str]]
    body: bytes
    length: int | None
    """As the server would be told; None: it is not known."""
    error: BaseException | None = None
    """Why the response was given up."""
    pieces: list[bytes] = field(default_factory=list)


def call(application: Any, *arguments: Any, app: Any = None, **options: Any) -> Answer:
    """Call *application* as a worker thread does; return what the client would get.

    Raises what would be answered with a 500.
    """
    if app is None:
        app = WSGIApp(application)
    request = make_request(*arguments, app=app, **options)
    try:
        result = call_on_worker(request)
    except BaseException:
        result = getattr(request, "writer", None)
        if result is None:
            raise
        result.returned(None, Failure())
    link: Any = request.link
    link.turn()
    if isinstance(result, ResponseWriter):
        response = link.begun
        pieces, error = _read(result)
        link.turn()
    else:
        if isinstance(result, ReadyResponse):
            result = result.as_response()
        assert isinstance(result, Response), result
        response = result
        error = None
        # Of what is not bytes only the () of a HEAD comes back.
        pieces = [response.body] if isinstance(response.body, bytes) else []
    assert response is not None
    fields = [
        (n.decode("latin-1"), v.decode("latin-1")) for n, v in response.headers.raw
    ]
    length = response.content_length
    if isinstance(response.body, bytes):
        length = len(response.body)
    body = b"".join(pieces)
    return Answer(response.status, fields, body, length, error, pieces)


def _read(writer: ResponseWriter) -> tuple[list[bytes], BaseException | None]:
    """Read what was written. The worker is done: nothing has to be waited for."""
    pieces = []
    while True:
        try:
            writer.__anext__().send(None)
        except StopIteration as found:
            pieces.append(found.value)
        except StopAsyncIteration:
            return pieces, None
        except BaseException as error:  # noqa: BLE001  # it is what a test asks for
            return pieces, error
        else:
            raise AssertionError("the response was not ended")
