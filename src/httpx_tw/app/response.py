"""What an application answers with, and how other results become that."""

from __future__ import annotations

import json
import json.encoder
from collections.abc import AsyncIterable, Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeAlias, Unpack

from twisted.web.iweb import UNKNOWN_LENGTH, IBodyProducer

from httpx_tw.app.cookies import CookieAttributes, set_cookie_line
from httpx_tw.app.disposition import content_disposition
from httpx_tw.app.files.body import FileBody, body_of_file, pieces_of_file
from httpx_tw.app.files.opened import OpenFile
from httpx_tw.app.files.ready import ReadyFile
from httpx_tw.app.media_types import media_type
from httpx_tw.app.percent import encoded_reference
from httpx_tw.app.response_headers import ResponseHeaders
from httpx_tw.app.trailers import Trailers, trailer_field
from httpx_tw.errors import LocalProtocolError

if TYPE_CHECKING:
    import os

    from httpx_tw.app.cookies import CookieOptions
    from httpx_tw.headers import HeaderPairs, HeadersInput

__all__ = ["Body", "Response", "Stream", "to_json", "to_response"]

Stream: TypeAlias = Iterable[bytes | str] | AsyncIterable[bytes | str] | IBodyProducer
"""A body in pieces; str pieces are sent as UTF-8."""

Body: TypeAlias = bytes | Stream

_TEXT = "text/plain; charset=utf-8"
_HTML = "text/html; charset=utf-8"
_JSON = "application/json"
_BINARY = "application/octet-stream"

# Field lines of the usual types, checked once: a response should not pay for it.
_KNOWN_TYPES = {
    kind: (b"Content-Type", kind.encode()) for kind in (_TEXT, _HTML, _JSON, _BINARY)
}


def _make_to_json() -> Callable[[Any], str]:
    encoder = json.JSONEncoder(
        separators=(",", ":"), ensure_ascii=False, allow_nan=False, check_circular=False
    )
    make = json.encoder.c_make_encoder  # type: ignore[attr-defined]  # left out of typeshed
    if make is None:  # an interpreter without the C accelerator
        return encoder.encode
    # JSONEncoder.encode makes one of these a call: half of what a small dict costs.
    chunks = make(
        None,  # no look-out for cycles
        encoder.default,
        json.encoder.encode_basestring,
        None,  # no indent
        encoder.key_separator,
        encoder.item_separator,
        False,  # keys in their own order
        False,  # a key that JSON cannot have is an error
        False,  # so are NaN and infinity
    )
    return lambda value: "".join(chunks(value, 0))


_TO_JSON = _make_to_json()

_REDIRECTS = frozenset((301, 302, 303, 307, 308))


class Response:
    """An answer: status, headers, and a body that is bytes or comes in pieces.

    A str body is sent as UTF-8 and is text/plain unless *content_type* (or a
    Content-Type in *headers*) says otherwise; bytes are application/octet-stream; an
    empty body has no type. For pieces see :meth:`stream`.

    The server writes Content-Length, Transfer-Encoding, Connection and Date. May be
    made on any thread.

    :raises ValueError: for a status that is not 200 to 599.
    :raises InvalidHeader: for a header name or value that must not be sent.
    :raises LocalProtocolError: for a header that is the server's to write, and for a
        body where HTTP has none (204, 205, 304).
    :raises TypeError: for a body that is neither bytes nor str.
    """

    __slots__ = ("body", "content_length", "headers", "status", "trailers")

    def __init__(
        self,
        body: bytes | bytearray | memoryview | str = b"",
        status: int = 200,
        headers: HeadersInput = None,
        content_type: str | None = None,
    ) -> None:
        self.body: Body
        """bytes, or an iterable or asynchronous iterable of bytes and str."""
        if type(body) is bytes:
            self.body = body
            kind = _BINARY
        elif isinstance(body, str):
            self.body = body.encode()
            kind = _TEXT
        else:
            self.body = _checked_body(body)
            kind = _BINARY
        if content_type is not None:
            kind = content_type
        elif not body:
            kind = ""
        self.content_length: int | None = None
        """Bytes a stream will give; None: unknown (chunked), or the body is bytes."""
        self.trailers: Trailers | None = None
        """Fields behind the body; see :meth:`stream`."""
        if status != 200:
            status = _checked_status(status)
            if body and status in (204, 205, 304):
                raise LocalProtocolError(f"a response of status {status} has no body")
        self.status = status
        self.headers = ResponseHeaders(headers)
        """Change it, do not replace it."""
        if headers is None and kind in _KNOWN_TYPES:
            self.headers.raw.append(_KNOWN_TYPES[kind])
        elif kind and (content_type is not None or "content-type" not in self.headers):
            self.headers.set("Content-Type", kind)

    # Constructors.

    @classmethod
    def text(
        cls, text: str, status: int = 200, headers: HeadersInput = None
    ) -> Response:
        """Answer with *text* as text/plain in UTF-8."""
        return cls(text.encode(), status, headers, _TEXT)

    @classmethod
    def html(
        cls, html: str, status: int = 200, headers: HeadersInput = None
    ) -> Response:
        """Answer with *html* as text/html in UTF-8. Nothing is escaped."""
        return cls(html.encode(), status, headers, _HTML)

    @classmethod
    def json(
        cls, value: Any, status: int = 200, headers: HeadersInput = None
    ) -> Response:
        """Answer with *value* as JSON.

        :raises ValueError: for NaN and infinity, which JSON has not, and for cycles.
        :raises TypeError: for what JSON cannot say.
        """
        return cls(to_json(value), status, headers, _JSON)

    @classmethod
    def redirect(
        cls, url: str, status: int = 302, headers: HeadersInput = None
    ) -> Response:
        """Send the client to *url*, absolute or relative.

        What a URL must not hold is percent-encoded, CR and LF among it. Whether *url*
        leads to a foreign host is not checked: do not pass on what a client gave.

        :raises ValueError: for an empty url, and a status other than 301, 302, 303,
            307 and 308.
        """
        if status not in _REDIRECTS:
            raise ValueError(
                f"{status} is not a redirect: use one of 301 302 303 307 308"
            )
        if not url:
            raise ValueError("the url of a redirect is empty")
        response = cls(b"", status, headers)
        response.headers.set("Location", encoded_reference(url))
        return response

    @classmethod
    def empty(cls, status: int = 204, headers: HeadersInput = None) -> Response:
        """Answer without a body."""
        return cls(b"", status, headers)

    @classmethod
    def stream(
        cls,
        pieces: Stream,
        status: int = 200,
        content_type: str = _BINARY,
        content_length: int | None = None,
        headers: HeadersInput = None,
        trailers: Trailers | None = None,
    ) -> Response:
        """Answer with *pieces*, sent as they come and as fast as the client reads.

        *pieces* is an iterable or asynchronous iterable of bytes and str, a file object
        (read from where it stands, and closed), or a Twisted IBodyProducer.
        *content_length* is the sum of their lengths in bytes; None: as the producer or
        the file says, or unknown and the message is chunked. The server closes
        (``aclose`` or ``close``) a generator that is not used up.

        *trailers* are fields that are known only at the end, a checksum for instance:
        names, and for each what to call for its value when all pieces have been sent.
        They go where the body is chunked: not to HTTP/1.0, and not with a length.

        :raises TypeError: when *pieces* cannot be iterated, or is one piece.
        :raises ValueError: for a negative content_length, and for one with trailers.
        :raises LocalProtocolError: for a trailer that must stand in front (RFC 9110
            section 6.5.1).
        """
        # A Request has a read of its own, and is no file.
        if hasattr(pieces, "read") and not isinstance(pieces, AsyncIterable):
            pieces = body_of_file(pieces) or pieces_of_file(pieces)
        elif not _is_stream(pieces):
            raise TypeError(f"not a stream of pieces: {type(pieces).__name__}")
        if content_length is None and not trailers:
            content_length = _known_length(pieces)
        if content_length is not None and content_length < 0:
            raise ValueError(f"content_length must not be negative: {content_length}")
        response = cls(b"", status, headers, content_type)
        if response.status in (204, 205, 304):
            raise LocalProtocolError(f"a response of status {status} has no body")
        response.body = pieces
        response.content_length = content_length
        if trailers:
            if content_length is not None:
                raise ValueError("a body of declared length has no trailers")
            response.headers.raw.append(trailer_field(trailers))
            response.trailers = trailers
        return response

    @classmethod
    def file(
        cls,
        path: str | os.PathLike[str],
        *,
        content_type: str | None = None,
        filename: str | None = None,
        inline: bool = False,
        headers: HeadersInput = None,
    ) -> Response:
        """Answer with the file at *path*, sent by the kernel where it can.

        To a GET or HEAD the server answers 304, 412 or a range if the client asks for
        it. The file is opened here, and closed with the response. *path* is followed
        wherever it leads: do not make it of what a client sent (see App.static).

        :param content_type: None: by the name.
        :param filename: offer to save it under this name; None: nothing is said.
        :param inline: with *filename*: show it, if it can be.
        :raises HTTPError: 404 when there is no regular file.
        :raises OSError: when it cannot be opened for another reason.
        """
        opened = OpenFile.at(path)
        response = cls(b"", 200, headers, content_type or media_type(opened.name))
        for name, value in (*opened.fields(), (b"accept-ranges", b"bytes")):
            response.headers.setdefault(name, value)
        if filename is not None:
            disposition = content_disposition(filename, inline=inline)
            response.headers.set("Content-Disposition", disposition)
        response.body = FileBody(opened, owns_file=True)
        response.content_length = opened.size
        return response

    @classmethod
    def of_file(cls, body: FileBody | bytes, fields: HeaderPairs) -> Response:
        """Answer with *body* and *fields*, which have been checked. For StaticFiles."""
        # As __init__ does it, without the questions: 1 of the 20 µs of a small file.
        response = cls.__new__(cls)
        response.body = body
        response.content_length = None if isinstance(body, bytes) else body.length
        response.trailers = None
        response.status = 200
        response.headers = ResponseHeaders.from_checked(fields.copy())
        return response

    # Cookies.

    def set_cookie(
        self, name: str, value: str = "", **attributes: Unpack[CookieOptions]
    ) -> None:
        """Set a cookie. By default it ends with the browser's session and is HttpOnly.

        *max_age* is in seconds; *expires* a datetime with time zone; *path* "/";
        *domain* None for this host alone; *secure* False; *http_only* True;
        *same_site* "Lax", "Strict", "None" (only if secure) or None to leave it out.

        :raises InvalidHeader: (a ValueError) for what RFC 6265 forbids. A value is
            never quoted or encoded here.
        """
        line = set_cookie_line(name, value, CookieAttributes(**attributes))
        self.headers.add("Set-Cookie", line)

    def delete_cookie(
        self, name: str, path: str | None = "/", domain: str | None = None
    ) -> None:
        """Make the browser forget a cookie set with this *path* and *domain*."""
        is_prefixed = name.lower().startswith(("__secure-", "__host-"))
        self.set_cookie(
            name, "", max_age=0, path=path, domain=domain, secure=is_prefixed
        )

    def __repr__(self) -> str:
        size = len(self.body) if isinstance(self.body, bytes) else "stream"
        return f"<Response {self.status} {size}>"


def to_json(value: Any) -> bytes:
    """Return *value* as JSON in UTF-8, without needless space.

    :raises ValueError: for NaN and infinity, which JSON has not, and for cycles.
    :raises TypeError: for what JSON cannot say.
    """
    try:
        # Lone surrogates can only be inside strings, where \ud800 is good JSON.
        return _TO_JSON(value).encode("utf-8", "backslashreplace")
    except RecursionError as error:
        # Looking out for cycles all the way costs a third more.
        raise ValueError("a cycle, or too deep for JSON") from error


def to_response(result: object) -> Response:  # noqa: PLR0911  # one a type
    """Make a Response of what an endpoint returned.

    A Response stays; str is text; bytes, bytearray and memoryview are
    application/octet-stream; dict and list are JSON; None is 204 without a body; a
    generator, another iterator or an asynchronous iterable is a stream of
    application/octet-stream, since nobody knows what will come: use Response.stream to
    say it.

    :raises TypeError: for everything else.
    """
    if isinstance(result, Response):
        return result
    if isinstance(result, str):
        return Response.text(result)
    if isinstance(result, dict | list):
        return Response.json(result)
    if isinstance(result, bytes | bytearray | memoryview):
        return Response(result)
    if result is None:
        return Response.empty()
    if isinstance(result, ReadyFile):
        return Response.of_file(FileBody(result.file), result.fields)
    if isinstance(result, Iterator | AsyncIterable):
        return Response.stream(result)
    raise TypeError(
        f"an endpoint returned {type(result).__name__}; it may return a Response, str,"
        " bytes, dict, list, None, or an iterator of bytes or str"
    )


def _is_stream(pieces: object) -> bool:
    return IBodyProducer.providedBy(pieces) or (
        isinstance(pieces, Iterable | AsyncIterable)
        and not isinstance(pieces, bytes | str | bytearray | memoryview)
    )


def _known_length(pieces: Any) -> int | None:
    if isinstance(pieces, FileBody):
        return pieces.length
    if IBodyProducer.providedBy(pieces) and pieces.length != UNKNOWN_LENGTH:
        return int(pieces.length)
    return None


def _checked_body(body: object) -> bytes:
    if isinstance(body, bytes | bytearray | memoryview):
        return bytes(body)
    raise TypeError(
        f"a body is bytes or str, not {type(body).__name__}; see Response.json and"
        " Response.stream"
    )


def _checked_status(status: object) -> int:
    # bool is an int, and 1xx are the server's: they are no final answer.
    if isinstance(status, bool) or not isinstance(status, int):
        raise ValueError(f"a status is an int, not {status!r}")  # noqa: TRY004  as below
    if not 200 <= status <= 599:
        raise ValueError(f"a status is 200 to 599, not {status}")
    return int(status)
