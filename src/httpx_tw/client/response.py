"""One response, as the caller sees it."""

from __future__ import annotations

import codecs
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from twisted.internet.defer import Deferred, succeed

from httpx_tw.client.saving import save
from httpx_tw.errors import BodyNotRead, StatusError
from httpx_tw.headers import Headers
from httpx_tw.workers.disk import DiskThreads

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncIterator

    from cryptography.x509 import Certificate

    from httpx_tw.client.body import ResponseBody
    from httpx_tw.client.outgoing import OutgoingRequest
    from httpx_tw.client.saving import Progress
    from httpx_tw.client.timing import DialTimes, Timing
    from httpx_tw.client.urls import URL
    from httpx_tw.protocol.events import ResponseHead

__all__ = ["ClientResponse", "ConnectionFacts", "TLSFacts"]

_CHARSET = re.compile(r';[ \t]*charset="?([^\s";]+)', re.IGNORECASE)

# Python's codecs also know some that are no text or cost the square of their input.
_NO_TEXT = frozenset({"idna", "punycode", "unicode_escape", "raw_unicode_escape"})


@dataclass(frozen=True, slots=True, kw_only=True)
class TLSFacts:
    """What the handshake of a connection has settled."""

    version: str
    """As OpenSSL writes it: ``TLSv1.3``."""

    cipher: str
    alpn: str | None
    """The application protocol; None: none was settled."""

    is_resumed: bool | None
    """Whether an earlier session was resumed. None: it cannot be told."""

    shown: Any = field(default=None, repr=False)
    """The server's certificate as TLS has it: an X509 of pyOpenSSL, or DER."""

    @property
    def certificate(self) -> Certificate | None:
        """The server's, as the cryptography package has it.

        Made when it is asked for: 60 µs, which hardly anybody needs.
        """
        if isinstance(self.shown, bytes):
            from cryptography.x509 import load_der_x509_certificate

            return load_der_x509_certificate(self.shown)
        return None if self.shown is None else self.shown.to_cryptography()


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionFacts:
    """The connection a response came on."""

    peer: tuple[str, int] | str | None
    """Address and port of the server or proxy; a Unix socket's path."""

    local: tuple[str, int] | None
    """Our own address and port. None: there is none."""

    tls: TLSFacts | None
    """None: it is not encrypted."""

    dialing: DialTimes | None = field(default=None, repr=False, compare=False)
    """When the phases of making it were over. None: nobody looked."""

    disk: DiskThreads = field(default_factory=DiskThreads, repr=False, compare=False)
    """What files are written by that its responses are saved to."""


class ClientResponse:
    """A response, with its body read or still to be read.

    What :meth:`Client.get` and its like give has its body: :attr:`body`, :meth:`text`
    and :meth:`json` have it at once. One from :meth:`Client.stream` has not: read it
    with ``await response.read()`` or ``async for``, and close it. Only on the reactor
    thread, but for one whose body was read.
    """

    # As in Exchange: class attributes are cheaper than slots that are all filled.

    history: list[ClientResponse] | tuple[()] = ()
    """The responses that redirected here, in order; their bodies were read."""
    elapsed = 0.0
    """Seconds from the call to the response; to its head if it streams."""
    timing: Timing | None = None
    """When its phases were over. None: the client was not asked for it."""
    stream: ResponseBody | None = None
    """The body on its way; None: it was read from the start."""
    _headers: Headers | None = None

    def __init__(
        self,
        head: ResponseHead,
        request: OutgoingRequest,
        connection: ConnectionFacts,
        body: bytes | None,
    ) -> None:
        self.head = head
        """The status line and fields as they came."""
        self.request = request
        """The request it answers: after redirects the last one."""
        self.connection = connection
        self._body = body

    # Head

    @property
    def status(self) -> int:
        """The status code."""
        return self.head.status

    @property
    def reason(self) -> str:
        """The reason phrase as it came; it means nothing, and may be empty."""
        return self.head.reason

    @property
    def http_version(self) -> str:
        """``HTTP/1.1`` or ``HTTP/1.0``."""
        return "HTTP/1.1" if self.head.is_http11 else "HTTP/1.0"

    @property
    def headers(self) -> Headers:
        """The header fields."""
        headers = self._headers
        if headers is None:
            headers = self._headers = Headers.from_pairs(self.head.headers.copy())
        return headers

    @property
    def url(self) -> URL:
        """Where it came from: after redirects the last URL."""
        return self.request.url

    @property
    def is_success(self) -> bool:
        """The status is 2xx."""
        return 200 <= self.head.status < 300

    @property
    def is_redirect(self) -> bool:
        """The status redirects, and says where to."""
        return self.head.status in {301, 302, 303, 307, 308} and (
            "location" in self.headers
        )

    @property
    def is_error(self) -> bool:
        """The status is 4xx or 5xx."""
        return self.head.status >= 400

    def raise_for_status(self) -> Self:
        """Return the response itself.

        :raises StatusError: when the status is 4xx or 5xx.
        """
        if self.head.status >= 400:
            raise StatusError(
                f"{self.head.status} {self.head.reason} for "
                f"{self.request.method} {self.request.url}",
                self.head.status,
                self,
            )
        return self

    # Body

    def read(self) -> Deferred[bytes]:
        """Return the whole body, waiting for its end; again and again if asked.

        :raises ResponseTooLarge: it is over the client's max_response_size.
        :raises BodyConsumed: pieces of it have been taken.
        """
        body = self._body
        if body is not None:
            return succeed(body)
        assert self.stream is not None
        return self.stream.read(self.request.limit)

    @property
    def body(self) -> bytes:
        """The whole body.

        :raises BodyNotRead: the response streams, and read() was not awaited.
        """
        body = self._body
        if body is None:
            assert self.stream is not None
            body = self.stream.whole
            if body is None:
                raise BodyNotRead("await response.read() first")
        return body

    @property
    def encoding(self) -> str:
        """The charset of Content-Type if Python has it, else UTF-8."""
        match = _CHARSET.search(self.headers.get("content-type", ""))
        if match is None:
            return "utf-8"
        try:
            codec = codecs.lookup(match[1])
        except LookupError:
            return "utf-8"
        # _is_text_encoding is how str.encode itself tells text from zlib and rot13.
        is_text = getattr(codec, "_is_text_encoding", True)
        return codec.name if is_text and codec.name not in _NO_TEXT else "utf-8"

    def text(self, encoding: str | None = None) -> str:
        """Return the body as text; what is not of the charset becomes U+FFFD.

        :param encoding: None: see :attr:`encoding`.
        :raises BodyNotRead: see :attr:`body`.
        """
        return self.body.decode(encoding or self.encoding, "replace")

    def json(self) -> Any:
        """Return what the body says as JSON, which is UTF-8 (RFC 8259 section 8.1).

        :raises BodyNotRead: see :attr:`body`.
        :raises ValueError: when it is not JSON.
        """
        return json.loads(self.body)

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Iterate over the pieces of the body, decoded, as they come.

        :raises BodyConsumed: when everything has been taken already.
        """
        if self._body is not None:
            return _pieces_of(self._body)
        assert self.stream is not None
        return aiter(self.stream)

    async def iter_text(self, encoding: str | None = None) -> AsyncIterator[str]:
        """Iterate over the body as text; see :meth:`text`."""
        decoder = codecs.getincrementaldecoder(encoding or self.encoding)("replace")
        async for piece in self:
            text = decoder.decode(piece)
            if text:
                yield text
        text = decoder.decode(b"", final=True)
        if text:
            yield text

    async def iter_lines(self, encoding: str | None = None) -> AsyncIterator[str]:
        """Iterate over the lines of the body, without their LF or CRLF."""
        held: list[str] = []
        async for text in self.iter_text(encoding):
            head, *rest = text.split("\n")
            held.append(head)
            for line in rest:
                yield "".join(held).removesuffix("\r")
                held = [line]
        if last := "".join(held):
            yield last.removesuffix("\r")

    def save(
        self,
        path: str | os.PathLike[str],
        *,
        progress: Progress | None = None,
        max_size: int | None = None,
    ) -> Deferred[int]:
        """Write the body, decoded, to the file at *path*; return its bytes.

        It comes no faster than the disk takes it, which the reactor does not wait for:
        threads of it write, half a MiB at a time. The file gets its name when the whole
        body is in it. If anything goes wrong before, or the Deferred is cancelled, what
        was at *path* is as it was, nothing is left beside it, and the rest of the
        response is dropped. See PartFile. Whatever the status is: look at it first.

        :param progress: called on the reactor thread with the bytes so far and the
            bytes in all (None: the server does not say, or the body is decoded), once
            with 0 and then for each piece. What it raises ends the whole; it must not
            cancel what it is called by.
        :param max_size: most bytes that are written. None or 0: no limit, not the
            client's max_response_size either: that is for what is held in memory.
        :raises OSError: it cannot be written, for no room is left (ENOSPC), for
            instance; ``filename`` is *path*.
        :raises IncompleteMessage: fewer bytes came than Content-Length says.
        :raises ConnectionLost, RequestTimeout, DecodingError: as read().
        :raises ResponseTooLarge: it is over *max_size*.
        :raises BodyConsumed: pieces of it have been taken to the end.
        """
        return Deferred.fromCoroutine(
            save(
                self,
                path,
                self.connection.disk,
                total=self._length,
                max_size=max_size,
                progress=progress,
            )
        )

    @property
    def _length(self) -> int | None:
        """Bytes of the body, decoded, as far as they are known before they come."""
        body = self._body
        if body is not None:
            return len(body)
        assert self.stream is not None
        whole = self.stream.whole
        if whole is not None:
            return len(whole)
        length = self.head.body_length
        return None if length < 0 or self.stream.is_decoded else length

    def close(self) -> None:
        """Want no more of the body; its connection is free, or dropped if much is left.

        A response whose body was read needs none of this.
        """
        if self.stream is not None:
            self.stream.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<ClientResponse {self.head.status} {self.request.url}>"


async def _pieces_of(body: bytes) -> AsyncIterator[bytes]:
    if body:
        yield body
