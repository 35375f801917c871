"""Heads of messages, from bytes: llhttp (by way of httptools) under stricter rules.

A head is only parsed once all of it is there. So one parser serves any number of
connections and an idle one owns none; a limit is a comparison of lengths; and however
the bytes were split on their way, llhttp sees the same call. The price is looking for
the blank line ourselves: 0.05 µs.
"""

from __future__ import annotations

import re
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import httptools

from httpx_tw.errors import HeadTooLarge, RemoteProtocolError
from httpx_tw.protocol.events import RequestHead, ResponseHead
from httpx_tw.protocol.framing import (
    refused_codings,
    request_body_length,
    response_body_length,
)
from httpx_tw.protocol.grammar import (
    HOST,
    HTTP_VERSION,
    UNPARSEABLE,
    is_token,
    list_members,
)
from httpx_tw.protocol.targets import check_authority, check_target, origin_form

if TYPE_CHECKING:
    from collections.abc import Callable

    from httpx_tw.headers import HeaderPairs
    from httpx_tw.limits import Limits

__all__ = [
    "BODILESS_METHODS",
    "END_OF_HEAD",
    "LONGEST_KNOWN",
    "MOST_KNOWN",
    "RequestHeadParser",
    "ResponseHeadParser",
    "refuse_partial",
]

END_OF_HEAD: Final = b"\r\n\r\n"

# llhttp gives the method as bytes; a look-up is cheaper than decoding.
_METHODS: Final = {
    name.encode("ascii"): name
    for name in "GET HEAD POST PUT DELETE OPTIONS PATCH TRACE CONNECT".split()
}

# RFC 9112 section 5: whitespace round a field value is not part of it. llhttp refuses
# it behind this one.
_SPACE_AFTER_CHUNKED: Final = re.compile(
    rb"(\r\ntransfer-encoding:[ \t]*chunked)[ \t]+(?=\r\n)", re.IGNORECASE
)

# How many different Host values are remembered as valid. A server has a handful; a
# client that sends a new one each time costs one regular expression each time.
_HOSTS_REMEMBERED: Final = 1024

# Heads that are known: 256 KiB at most, since a client may never send one twice, and
# since they may hold secrets.
MOST_KNOWN: Final = 256
LONGEST_KNOWN: Final = 1024
_MOST_MARKS: Final = 1024


class _Collector:
    """What llhttp calls back: one attribute a callback, no work.

    But to strip values: RFC 9112 section 5.1 wants it, llhttp leaves what is behind.
    Nothing may raise here: llhttp would lose the rest of the head.
    """

    parser: httptools.HttpRequestParser

    __slots__ = ("fields", "is_whole", "keep_alive", "on_header", "parser", "text")

    def __init__(self) -> None:
        self.fields: HeaderPairs = []
        self.on_header = _appending_to(self.fields)
        self.text = b""
        self.is_whole = False  # the head is the whole message
        self.keep_alive = False  # known of whole messages

    def on_url(self, url: bytes) -> None:
        self.text = url

    def on_message_complete(self) -> None:
        self.keep_alive = self.parser.should_keep_alive()
        self.is_whole = True


def _appending_to(fields: HeaderPairs) -> Callable[[bytes, bytes], None]:
    # A closure over append, for this is called for every field of every message: a
    # third less than a method that looks the list up.
    append = fields.append

    def on_header(name: bytes, value: bytes) -> None:
        append((name, value.rstrip()))

    return on_header


class _ResponseCollector:
    """The same for responses."""

    __slots__ = ("fields", "on_header", "reason")

    def __init__(self) -> None:
        self.fields: HeaderPairs = []
        self.on_header = _appending_to(self.fields)
        self.reason = b""

    def on_status(self, reason: bytes) -> None:
        self.reason = reason


class RequestHeadParser:
    """Parses request heads, one whole head a call.

    One object serves all connections of a thread.

    A client that uses a connection again mostly sends the same head again, and so do
    others of its kind: what was made of it is kept, and shared. Between two calls it
    keeps nothing that another head could depend on.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._max_headers = limits.max_headers
        # Shorter than both limits: no need to look where the request line ends.
        self._safe_size = min(limits.max_request_line, limits.max_header_bytes)
        self._collector = _Collector()
        self._valid_hosts: set[bytes] = set()
        self.known: dict[bytes, RequestHead] = {}
        """What ``parse`` has made of heads that came twice, by their bytes: of short
        ones with neither a body nor an offer to switch. For who asks ``parse``, which
        does not look here."""
        self._marks: set[int] = set()  # of heads that came once, or so it seems
        self._renew()

    def _renew(self) -> None:
        # llhttp cannot be reset: after a body, a close or an error, take a new one
        # (0.35 µs).
        self._parser = self._collector.parser = httptools.HttpRequestParser(
            self._collector
        )

    def parse(self, head: bytes) -> RequestHead:  # noqa: C901, PLR0912, PLR0915  # see below
        """Return the head that is all of *head*, which ends with its blank line.

        :raises RemoteProtocolError: with the status to answer; 414 and 431 as
            HeadTooLarge.
        """
        # The one long function of the codec: each call taken out of it costs every
        # request 0.06 µs, of 1.4.
        if len(head) > self._safe_size:
            # Had it come in pieces its first fault would be refused; so it is if whole.
            refuse_partial(head, 0, 0, self._limits)
        line_end = head.find(b"\r\n")
        # The version is read here and not asked of llhttp, which formats a string for
        # it (0.33 µs) and takes HTTP/2.0 for granted.
        version = head[line_end - 9 : line_end]
        is_http11 = version == b" HTTP/1.1"
        if not is_http11 and version != b" HTTP/1.0":
            return self._parse_other_version(head, line_end)
        if head.count(b" ", 0, line_end) != 2:
            # RFC 9112 section 3 allows reading runs of whitespace as one; llhttp does.
            raise RemoteProtocolError("malformed request line")
        collector = self._collector
        collector.fields.clear()
        collector.is_whole = False
        upgrade = False
        try:
            self._parser.feed_data(head)
        except httptools.HttpParserUpgrade:
            upgrade = True
        except httptools.HttpParserError as error:
            self._renew()
            if head.partition(b" ")[0] not in _METHODS:
                return self._parse_other_method(head)
            trimmed = _SPACE_AFTER_CHUNKED.sub(rb"\1", head)
            if trimmed != head:
                return self.parse(trimmed)
            raise _refusal(head, error) from error
        fields = collector.fields.copy()
        method = _METHODS.get(self._parser.get_method()) or _method_of(head)
        keep_alive = collector.keep_alive
        is_whole = collector.is_whole and not upgrade
        if not (is_whole and keep_alive and is_http11):
            # In the middle of a message llhttp still knows; after one it does not.
            keep_alive = (
                is_http11
                and not (collector.is_whole or upgrade)
                and self._parser.should_keep_alive()
                # It reads Proxy-Connection as Connection, and in HTTP/1.0 lets
                # keep-alive outrank close: its no is no last word.
            ) or _wants_keep_alive(fields, is_http11=is_http11)
            self._renew()
        hosts = 0
        for name, value in fields:
            if len(name) == 4 and name.lower() == b"host":
                hosts += 1
                if value not in self._valid_hosts:
                    self._check_host(value)
        if hosts != 1 and (is_http11 or hosts):
            raise RemoteProtocolError(f"{hosts} Host fields, expected one")
        if len(fields) > self._max_headers:
            raise HeadTooLarge(
                f"{len(fields)} header fields, limit {self._max_headers}", 431
            )
        try:
            target = collector.text.decode("ascii")
        except UnicodeDecodeError as error:  # pragma: no cover  # by a lenient llhttp
            raise RemoteProtocolError("the target is not ASCII") from error
        if target[0] != "/" or "#" in target:
            check_target(method, target)
        request = RequestHead(method, target, fields, is_http11, keep_alive)
        if target[0] != "/":
            target = origin_form(target)
        if "?" in target:
            request.path, _, request.query = target.partition("?")
        else:
            request.path = target
        if not is_whole:
            self._with_body(request, upgrade=upgrade)
        elif len(head) <= LONGEST_KNOWN:
            # To keep each as it came would cost a fifth of what a request costs where
            # none comes again: the garbage collector has to look at it.
            mark = hash(head)
            if mark in self._marks:
                if len(self.known) >= MOST_KNOWN:
                    self.known.clear()
                self.known[head] = request
            else:
                if len(self._marks) >= _MOST_MARKS:
                    self._marks.clear()
                self._marks.add(mark)
        return request

    def _with_body(self, request: RequestHead, *, upgrade: bool) -> None:
        """Fill in what only a request with a body, or with an offer to switch, has."""
        fields = request.headers
        request.body_length = request_body_length(fields, is_http11=request.is_http11)
        # RFC 9110 section 7.8: Upgrade in HTTP/1.0 must be ignored; CONNECT, which
        # llhttp also reports so, is no offer.
        if request.method == "CONNECT":
            check_authority(request.target)
        elif upgrade and request.is_http11:
            request.upgrade = b"upgrade" in _connection_options(fields)
        if request.body_length and request.is_http11:
            # RFC 9110 section 10.1.1: from HTTP/1.0, 100-continue must be ignored.
            for name, value in fields:
                if (
                    len(name) == 6
                    and name.lower() == b"expect"
                    and value.lower() == b"100-continue"
                ):
                    request.expects_continue = True

    def _check_host(self, value: bytes) -> None:
        if not HOST.fullmatch(value):
            raise RemoteProtocolError("invalid Host")
        if len(self._valid_hosts) >= _HOSTS_REMEMBERED:
            self._valid_hosts.clear()
        self._valid_hosts.add(value)

    def _parse_other_version(self, head: bytes, line_end: int) -> RequestHead:
        _, space, word = head[:line_end].rpartition(b" ")
        match = HTTP_VERSION.fullmatch(word)
        # A line that is the version and nothing else would come back here for ever.
        if match is None or not space:
            raise RemoteProtocolError("malformed request line")
        # Had it come in pieces, this would be refused before there was a version.
        refuse_partial(head, 0, 0, self._limits)
        if match[1] != b"1":
            raise RemoteProtocolError("only HTTP/1.0 and HTTP/1.1 are spoken here", 505)
        # RFC 9110 section 2.5: a higher minor version is served as our highest.
        return self.parse(head[: line_end - 1] + b"1" + head[line_end:])

    def _parse_other_method(self, head: bytes) -> RequestHead:
        # llhttp knows a list of methods, some for RTSP only; RFC 9110 section 9.1 knows
        # tokens. A stand-in takes their place: framing does not depend on it.
        method, _, rest = head.partition(b" ")
        if not is_token(method):
            raise RemoteProtocolError("malformed request line")
        return replace(self.parse(b"GET " + rest), method=method.decode("ascii"))


class ResponseHeadParser:
    """Parses response heads, one whole head a call; see RequestHeadParser."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._max_headers = limits.max_headers
        self.safe_size = min(limits.max_request_line, limits.max_header_bytes)
        """A head of no more bytes than this is under all limits of bytes."""
        self._collector = _ResponseCollector()

    def parse(self, head: bytes, method: str) -> ResponseHead:  # noqa: C901, PLR0912, PLR0915  # see below
        """Return the head that is all of *head*, an answer to *method*.

        :raises RemoteProtocolError: when it is malformed or over a limit.
        """
        # Long for the reason that RequestHeadParser.parse is.
        if not head.startswith(b"HTTP/1."):
            raise RemoteProtocolError("a response of another HTTP version")
        if len(head) > self.safe_size:
            refuse_partial(head, 0, 0, self._limits)
        collector = self._collector
        collector.fields.clear()
        collector.reason = b""
        # It waits for a body now, and cannot be told that there is none: 0.2 µs.
        parser = httptools.HttpResponseParser(collector)
        try:
            parser.feed_data(head)
        except httptools.HttpParserUpgrade:
            pass
        except httptools.HttpParserError as error:
            raise _refusal(head, error) from error
        fields = collector.fields.copy()
        if len(fields) > self._max_headers:
            raise HeadTooLarge(
                f"{len(fields)} header fields, limit {self._max_headers}"
            )
        status = parser.get_status_code()
        if status < 100:
            raise RemoteProtocolError(f"a response of status {status}")
        reason = _REASONS.get(collector.reason)
        if reason is None:
            reason = _checked_reason(collector.reason)
        is_http11 = head[7] != 48  # "0"
        keep_alive = is_http11
        length = None
        is_simple = status == 200
        sets_cookies = has_coding = False
        for name, value in fields:
            size = len(name)
            if size == 10:
                key = name.lower()
                if key == b"connection":
                    if value == b"close":
                        keep_alive = False  # whatever other options there are
                    elif value != b"keep-alive" or not is_http11:
                        keep_alive = _wants_keep_alive(fields, is_http11=is_http11)
                elif key == b"set-cookie":
                    sets_cookies = True
            elif size == 14:
                if name.lower() == b"content-length":
                    is_simple = is_simple and length is None
                    length = value
            elif size == 16:
                has_coding = has_coding or name.lower() == b"content-encoding"
            elif size == 17 and name.lower() == b"transfer-encoding":
                is_simple = False
        if (
            is_simple
            and length is not None
            and len(length) < 16
            and length.isdigit()
            and method not in BODILESS_METHODS
        ):
            # What nearly every response is; the others go by RFC 9112, step by step.
            body_length = int(length)
        else:
            body_length = response_body_length(
                fields, status=status, method=method, is_http11=is_http11
            )
        return ResponseHead(
            status,
            reason,
            fields,
            is_http11,
            keep_alive,
            body_length,
            sets_cookies,
            has_coding,
        )


_REASONS: Final = {
    status.phrase.encode("ascii"): status.phrase for status in HTTPStatus
} | {b"": ""}

# Methods whose successful responses have no body, whatever their length says.
BODILESS_METHODS: Final = frozenset({"HEAD", "CONNECT"})


def _checked_reason(raw: bytes) -> str:
    reason = raw.decode("latin-1")
    if not reason.isprintable() and UNPARSEABLE.search(raw):
        # RFC 9112 section 4; llhttp lets them through.
        raise RemoteProtocolError("a control character in the reason phrase")
    return reason


def _wants_keep_alive(fields: HeaderPairs, *, is_http11: bool) -> bool:
    """RFC 9112 section 9.3: its steps in order (the body's end is elsewhere)."""
    options = _connection_options(fields)
    if b"close" in options:
        return False
    return is_http11 or b"keep-alive" in options


def _connection_options(fields: HeaderPairs) -> set[bytes]:
    return {
        member
        for name, value in fields
        if len(name) == 10 and name.lower() == b"connection"
        for member in list_members(value)
    }


def _method_of(head: bytes) -> str:
    return head.partition(b" ")[0].decode("ascii")


def _refusal(head: bytes, error: httptools.HttpParserError) -> RemoteProtocolError:
    """Say in our words, and with the right status, why llhttp refused *head*."""
    message = str(error).lower()
    if "transfer-encoding" in message and UNPARSEABLE.search(head) is None:
        return _transfer_coding_refusal(head)
    return RemoteProtocolError(f"malformed head: {error}")


def _transfer_coding_refusal(head: bytes) -> RemoteProtocolError:
    # RFC 9112 section 6.1: a coding we do not understand is answered 501; everything
    # else that is wrong with the field is 400.
    first, *lines = head.split(b"\r\n")
    if not first.endswith(b"HTTP/1.1"):
        return RemoteProtocolError("Transfer-Encoding in an HTTP/1.0 message")
    if any(line[:15].lower() == b"content-length:" for line in lines):
        return RemoteProtocolError("both Transfer-Encoding and Content-Length")
    return refused_codings(
        [
            line.partition(b":")[2]
            for line in lines
            if line[:18].lower() == b"transfer-encoding:"
        ]
    )


def refuse_partial(buffer: bytes, start: int, fresh: int, limits: Limits) -> None:
    """Refuse what can no longer become a head, before all of it is there.

    *start* is where the head begins in *buffer*, *fresh* where the part begins that was
    not looked at before. Without this a TLS ClientHello, or line ends of LF alone,
    would wait for the head's deadline.

    :raises RemoteProtocolError: with the status to answer.
    """
    first = buffer[start : start + 2]
    if not is_token(first[:1]) and first != b"\r":  # half an empty line before a head
        raise RemoteProtocolError("this is not the beginning of a head")
    end, too_large = _first_oversize(buffer, start, limits)
    # One byte back, for a CR that came at the end of the part before. And no further
    # than the limit: the answer is to the first fault, however the bytes were split.
    if UNPARSEABLE.search(buffer, max(start, fresh - 1), end):
        raise RemoteProtocolError("a bare CR or LF, or a control character, in a head")
    if too_large is not None:
        raise too_large


def _first_oversize(
    buffer: bytes, start: int, limits: Limits
) -> tuple[int, HeadTooLarge | None]:
    """Return where a head gets too large, and the error; else the end of *buffer*."""
    size = len(buffer)
    line_limit = start + limits.max_request_line
    line_end = buffer.find(b"\r\n", start, line_limit + 2)
    if line_end >= 0:
        block_limit = line_end + limits.max_header_bytes + len(END_OF_HEAD)
        if size > block_limit:
            return block_limit + 1, HeadTooLarge(
                f"header block of more than {limits.max_header_bytes} bytes", 431
            )
    elif size > line_limit and (
        buffer[line_limit] != 13 or size > line_limit + 1  # CR: the LF may yet come
    ):
        return line_limit + 1 + (buffer[line_limit] == 13), HeadTooLarge(
            f"request line of more than {limits.max_request_line} bytes", 414
        )
    return size, None
