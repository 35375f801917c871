"""What of a file a client gets: all of it, a part, or the word that it has it."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

from httpx_tw.app.conditions import (
    Validators,
    Verdict,
    evaluate,
    is_conditional,
    range_is_wanted,
)
from httpx_tw.app.files.body import FileBody, Part
from httpx_tw.app.files.opened import is_cached
from httpx_tw.app.http_dates import parse_http_date
from httpx_tw.app.ranges import Span, content_range, requested_spans, unsatisfied
from httpx_tw.app.response import Response
from httpx_tw.errors import HTTPError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from httpx_tw.app.request import Request
    from httpx_tw.headers import HeaderPairs, Headers

__all__ = ["as_asked"]

READ_LIMIT: Final = 16 * 1024
"""Bytes up to which a body is read and sent with its head, in place of sendfile: one
system call of two is saved, and below this copying costs less than the other."""

# What describes the content, which a 304 has not (RFC 9110 section 15.4.5). All else
# stays: ETag, Vary, Cache-Control, and what middleware has added.
_OF_THE_CONTENT: Final = frozenset(
    (
        b"accept-ranges",
        b"content-disposition",
        b"content-encoding",
        b"content-language",
        b"content-range",
        b"content-type",
        b"last-modified",
    )
)


def as_asked(request: Request, response: Response) -> Response:
    """Return what to send in place of *response*, whose body is a FileBody.

    Preconditions and Range (RFC 9110 sections 13 and 14) are looked at where it is a
    200 to GET or HEAD with the whole file; and what is small is read.

    :raises HTTPError: 412 or 416.
    :raises OSError: when the file cannot be read.
    """
    body = response.body
    assert isinstance(body, FileBody)
    method = request.method
    if (
        body.is_whole
        and is_conditional(request.head.headers)
        and response.status == 200
        and method in ("GET", "HEAD")
    ):
        response = _selected(request, response, body)
        if not isinstance(response.body, FileBody):
            return response
        body = response.body
    if method != "HEAD":
        whole = _in_one_piece(body)
        if whole is not None:
            return _with_body(response, whole, response.headers.raw, response.status)
    return response


def _selected(request: Request, response: Response, body: FileBody) -> Response:
    headers = request.headers
    current = _validators(response, body)
    verdict = evaluate(request.method, headers, current)
    if verdict is Verdict.FAILED:
        raise HTTPError(412)
    if verdict is Verdict.NOT_MODIFIED:
        return _not_modified(response)
    if range_is_wanted(request.method, headers, current):
        size = body.file.size
        spans = requested_spans(headers["range"], size)
        if spans is not None:
            if not spans:
                raise HTTPError(416, headers=(("Content-Range", unsatisfied(size)),))
            return _partial(response, body, spans)
    return response


def _validators(response: Response, body: FileBody) -> Validators:
    """Return those of the file, unless the application has set its own."""
    of_file = body.file.validators
    headers: Headers = response.headers
    date = headers.get("last-modified")
    return Validators(
        etag=headers.get("etag"),
        last_modified=None if date is None else parse_http_date(date),
        date_is_strong=of_file.date_is_strong,
    )


def _not_modified(response: Response) -> Response:
    fields = [
        pair for pair in response.headers.raw if pair[0].lower() not in _OF_THE_CONTENT
    ]
    return _with_body(response, b"", fields, 304)


def _partial(response: Response, body: FileBody, spans: list[Span]) -> Response:
    size = body.file.size
    fields = response.headers.raw
    if len(spans) == 1:
        value = content_range(spans[0], size).encode("ascii")
        fields = [*fields, (b"content-range", value)]
        return _with_body(response, _parts_of(body, spans), fields, 206)
    # Random: who knew it could put it into a file of theirs.
    boundary = secrets.token_hex(16)
    kind = response.headers.get("content-type", "application/octet-stream")
    parts: list[Part] = []
    for span in spans:
        head = (
            f"\r\n--{boundary}\r\nContent-Type: {kind}\r\n"
            f"Content-Range: {content_range(span, size)}\r\n\r\n"
        )
        parts += [head.encode("latin-1"), span]
    parts.append(f"\r\n--{boundary}--\r\n".encode("ascii"))
    multipart = f"multipart/byteranges; boundary={boundary}".encode("ascii")
    fields = [pair for pair in fields if pair[0].lower() != b"content-type"]
    fields.append((b"content-type", multipart))
    return _with_body(response, _parts_of(body, parts), fields, 206)


def _parts_of(body: FileBody, parts: Sequence[Part]) -> FileBody:
    return FileBody(body.file, tuple(parts), owns_file=body.owns_file)


def _in_one_piece(body: FileBody) -> bytes | None:
    """Return all of *body*, if it is small and no disk has to be waited for."""
    file = body.file
    if body.length > READ_LIMIT and file.content is None:
        return None
    spans = [part for part in body.parts if not isinstance(part, bytes)]
    if file.fd >= 0 and not all(is_cached(file.fd, *span) for span in spans):
        return None
    whole = b"".join(body)
    # It became shorter: the way of the large ones deals with that.
    return whole if len(whole) == body.length else None


def _with_body(
    response: Response, body: FileBody | bytes, fields: HeaderPairs, status: int
) -> Response:
    made = Response.of_file(body, fields)
    made.status = status
    made.headers.closes = response.headers.closes
    return made
