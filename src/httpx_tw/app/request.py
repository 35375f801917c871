"""One request, as the application sees it."""

from __future__ import annotations

import json
import re
from io import BytesIO
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from httpx_tw.app.body import RequestBody, check_size, pieces_of
from httpx_tw.app.body_delivery import BodyDelivery
from httpx_tw.app.cookies import parse_cookies
from httpx_tw.app.query import QueryParams
from httpx_tw.app.response_headers import ResponseHeaders
from httpx_tw.app.spool import SpooledBody
from httpx_tw.errors import BodyNotRead, HTTPError
from httpx_tw.headers import Headers, checked_value

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from typing import BinaryIO

    from cryptography.x509 import Certificate
    from twisted.python.failure import Failure

    from httpx_tw.app.route import Endpoint, Route
    from httpx_tw.headers import HeaderPairs, HeadersInput
    from httpx_tw.protocol.events import RequestHead

__all__ = ["Request", "RequestLink"]

_CHARSET = re.compile(r';[ \t]*charset="?([^\s";]+)', re.IGNORECASE)

# Named one by one: Python's codecs also know idna (quadratic), utf-7 and others that
# are no text, and remember for ever every name they were asked for and have not.
_CHARSETS = frozenset(
    """utf-8 utf8 us-ascii ascii utf-16 utf-16le utf-16be utf-32 utf-32le utf-32be
    iso-8859-1 iso-8859-2 iso-8859-3 iso-8859-4 iso-8859-5 iso-8859-6 iso-8859-7
    iso-8859-8 iso-8859-9 iso-8859-10 iso-8859-13 iso-8859-14 iso-8859-15 iso-8859-16
    latin-1 latin1 windows-1250 windows-1251 windows-1252 windows-1253 windows-1254
    windows-1255 windows-1256 windows-1257 windows-1258 koi8-r koi8-u shift_jis euc-jp
    iso-2022-jp euc-kr gb2312 gbk gb18030 big5""".split()
)


class ResponseWriter(Protocol):
    """What a worker thread writes a response with, as far as a request knows it."""

    def lose(self) -> None:
        """Tell the worker that nobody reads any more."""

    def returned(self, result: Any, failure: Failure | None) -> None:
        """Hear what the endpoint that writes has returned or raised."""


class RequestLink(Protocol):
    """The connection a request came on, as far as a request needs it."""

    @property
    def client_address(self) -> tuple[str, int] | None:
        """Host and port of the peer. None: it has none (a Unix socket)."""

    @property
    def scheme(self) -> str:
        """Either "http" or "https"."""

    @property
    def is_secure(self) -> bool:
        """The connection is encrypted."""

    @property
    def client_certificate(self) -> Certificate | None:
        """The certificate that the client has shown. None: none."""

    def body_wanted(self) -> None:
        """See BodyLink."""

    def body_sated(self) -> None:
        """See BodyLink."""

    def send_interim(self, request: Request, status: int, fields: HeaderPairs) -> None:
        """Send a 1xx response if *request* is the one going on, and not answered."""

    def call_endpoint(self, function: Endpoint, request: Request, place: int) -> Any:
        """Call *function*, or have a worker thread call it and return a Deferred.

        *place* is ANYWHERE or ON_WORKER of :mod:`httpx_tw.app.route`.
        """


class Request:
    """A request: what was asked, by whom, and the body that came with it.

    Everything derived (query, headers, cookies, url) is made when first asked for.
    Belongs to one exchange; use it on the thread its endpoint runs on.
    """

    __slots__ = (
        "_body",
        "_cookies",
        "_file",
        "_headers",
        "_query",
        "_state",
        "head",
        "link",
        "path",
        "path_params",
        "query_string",
        "route",
        "writer",
    )

    writer: ResponseWriter
    """Set when a worker thread begins to write the response by itself."""

    # Slots not set here stay unset until asked for: five stores would be a quarter of
    # what it costs to make a request.
    def __init__(  # noqa: PLR0913, PLR0917  positional and flat, for the same reason
        self,
        head: RequestHead,
        path: str,
        query_string: str,
        route: Route,
        path_params: Mapping[str, Any],
        link: RequestLink,
        body: bytes | RequestBody | SpooledBody,
    ) -> None:
        self.head = head
        self.path = path
        """The path, percent-decoded, without the query."""
        self.query_string = query_string
        """What follows "?", as it was sent; "" without."""
        self.route = route
        """What answers it."""
        self.path_params = path_params
        """The parameters of the path by name, converted."""
        self.link = link
        self._body = body

    def give_body(self, body: bytes | RequestBody | SpooledBody) -> None:
        """Take the body, in place of the one it was made with. For the server."""
        self._body = body

    # The request line.

    @property
    def method(self) -> str:
        """As it was sent; methods are case-sensitive."""
        return self.head.method

    @property
    def target(self) -> str:
        """The request-target as it was sent, percent-encoded."""
        return self.head.target

    @property
    def http_version(self) -> str:
        """Either "1.1" or "1.0"."""
        return "1.1" if self.head.is_http11 else "1.0"

    @property
    def query(self) -> QueryParams:
        """The query, decoded.

        :raises HTTPError: 400 when it has too many fields.
        """
        try:
            return self._query
        except AttributeError:
            self._query: QueryParams = QueryParams(self.query_string)
            return self._query

    # Header fields.

    @property
    def headers(self) -> Headers:
        """The header fields. See Headers."""
        try:
            return self._headers
        except AttributeError:
            # A list of its own: other requests may have the same head.
            self._headers: Headers = Headers.from_pairs(self.head.headers.copy())
            return self._headers

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies by name; see parse_cookies for what is tolerated."""
        try:
            return self._cookies
        except AttributeError:
            fields = self.headers.get_all("cookie")
            self._cookies: dict[str, str] = parse_cookies(fields)
            return self._cookies

    @property
    def content_type(self) -> str | None:
        """The media type of the body in lower case without parameters, or None."""
        value = self.headers.get("content-type", "")
        return str(value).partition(";")[0].strip().lower() or None

    @property
    def charset(self) -> str | None:
        """The charset parameter of Content-Type in lower case, or None."""
        match = _CHARSET.search(self.headers.get("content-type", ""))
        return match[1].lower() if match else None

    @property
    def content_length(self) -> int | None:
        """The length the client has announced, in bytes. None: it has not."""
        value = self.headers.get_bytes(b"content-length")
        return int(value) if value is not None and value.isdigit() else None

    # Where it came from, and to.

    @property
    def client(self) -> tuple[str, int] | None:
        """Host and port of the peer. None: it has none (a Unix socket)."""
        return self.link.client_address

    @property
    def scheme(self) -> str:
        """Either "http" or "https", by the connection."""
        return self.link.scheme

    @property
    def is_secure(self) -> bool:
        """The connection is encrypted."""
        return self.link.is_secure

    @property
    def client_certificate(self) -> Certificate | None:
        """The certificate that the client has shown, and TLS has verified.

        None: it has shown none, was not asked for one (ServerTLS.cert_reqs), or the
        connection is lost.
        """
        return self.link.client_certificate

    @property
    def host(self) -> str:
        """Host and port as the client wrote them; "" when it did not (HTTP/1.0).

        The target's own, if it has one, goes before Host (RFC 9112 section 3.2.2). It
        is the client's claim: do not build links in mails from it unchecked.
        """
        scheme, separator, rest = self.target.partition("://")
        if separator and scheme.isalpha():
            return re.split("[/?]", rest, maxsplit=1)[0]
        return str(self.headers.get("host", ""))

    @property
    def url(self) -> str:
        """The full URL, percent-encoded; without a host it is the target alone."""
        target = self.target
        if target == "*":
            target = ""
        elif not target.startswith("/"):
            return target
        return f"{self.scheme}://{self.host}{target}" if self.host else target

    def url_for(self, name: str, /, **params: Any) -> str:
        """Return the path of the route called *name*. See App.url_for."""
        return self.route.router.url_for(name, **params)

    @property
    def state(self) -> dict[str, Any]:
        """A place for middleware and endpoint to keep what belongs to this request."""
        try:
            return self._state
        except AttributeError:
            self._state: dict[str, Any] = {}
            return self._state

    # The body.

    async def read(self, limit: int | None = None) -> bytes:
        """Return the whole body, waiting for it. See RequestBody.read."""
        body = self._body
        if isinstance(body, RequestBody):
            return await body.read(limit)
        check_size(self.body_size, limit)
        return self.body

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Iterate over the pieces of the body. See RequestBody."""
        body = self._body
        return aiter(body) if isinstance(body, RequestBody) else pieces_of(self.file)

    @property
    def body(self) -> bytes:
        """The body: always here in ``def``, in ``async def`` after :meth:`read`.

        One of more than 1 MiB is read from a file each time: see :attr:`file`.

        :raises BodyNotRead: when it is not.
        """
        body = self._body
        if isinstance(body, bytes):
            return body
        if isinstance(body, SpooledBody):
            return body.whole()
        if body.whole is None:
            raise BodyNotRead("the body is not here yet: first `await request.read()`")
        return body.whole

    @property
    def file(self) -> BinaryIO:
        """The body as a file to read, once; it is gone with the request.

        In ``def`` it is a temporary one for a body of more than 1 MiB, which then is
        never in memory as a whole.

        :raises BodyNotRead: see :attr:`body`.
        """
        try:
            return self._file
        except AttributeError:
            body = self._body
            self._file: BinaryIO = (
                body.file if isinstance(body, SpooledBody) else BytesIO(self.body)
            )
            return self._file

    @property
    def body_size(self) -> int:
        """The size of the body in bytes.

        :raises BodyNotRead: see :attr:`body`.
        """
        body = self._body
        return body.size if isinstance(body, SpooledBody) else len(self.body)

    async def deliver_to(self, consumer: Any) -> None:
        """Write the body to *consumer*, a Twisted IConsumer, as fast as it takes it.

        It gets a push producer. When it stops that, the rest of the body is left
        unread and this returns. Raises as the iteration does.
        """
        await BodyDelivery(consumer).run(aiter(self))

    async def early_hints(self, *links: str, headers: HeadersInput = None) -> None:
        """Tell the client now what the answer will need: 103 (RFC 8297).

        Each of *links* is the value of a Link field, ``</style.css>; rel=preload;
        as=style``; *headers* are other fields. As often as wanted, before the answer.
        It does nothing for a client of HTTP/1.0. Not for HTML a proxy might cache, and
        some old clients take the first response they see for the last.

        :raises InvalidHeader: for a name or value that must not be sent.
        """
        fields = [(b"link", checked_value(link)) for link in links]
        fields += ResponseHeaders(headers).raw
        self.link.send_interim(self, 103, fields)

    @property
    def trailers(self) -> HeaderPairs:
        """The trailer fields, once the body has been read to its end; else empty."""
        return self._body.trailers if isinstance(self._body, RequestBody) else []

    def text(self, encoding: str | None = None) -> str:
        """Return the body as text; by default in its own charset, or UTF-8.

        :raises BodyNotRead: see :attr:`body`.
        :raises HTTPError: 415 for a charset we do not know, 400 when the body is not
            in it.
        """
        body = self.body
        if encoding is None:
            encoding = self.charset or "utf-8"
            if encoding not in _CHARSETS:
                raise HTTPError(415, "the charset of the body is not supported")
        try:
            return body.decode(encoding)
        except UnicodeError as error:
            raise HTTPError(400, "the body is not text in its charset") from error

    def json(self) -> Any:
        """Return what the body says as JSON, which is UTF-8 (RFC 8259 section 8.1).

        :raises BodyNotRead: see :attr:`body`.
        :raises HTTPError: 400 when it is not JSON (NaN and Infinity are not).
        """
        body = self.body
        try:
            return _from_json(body.decode("utf-8-sig"))
        except (ValueError, RecursionError) as error:
            raise HTTPError(400, "the body is not valid JSON") from error

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.target}>"


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


# json.loads makes a decoder a call when it is given options: 1.4 µs.
_from_json = json.JSONDecoder(parse_constant=_refuse_constant).decode
