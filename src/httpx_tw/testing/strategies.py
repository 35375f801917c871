"""Hypothesis strategies for messages of HTTP/1.1: valid ones, split ones, broken ones.

They need Hypothesis, which httpx_tw itself does not. Use them with ``@given``::

    @given(requests(), splits())
    def test_split_requests_are_served(request, split):
        for piece in split(request.wire):
            ...
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Callable

    from hypothesis.strategies import SearchStrategy

__all__ = [
    "SampleRequest",
    "SampleResponse",
    "bodies",
    "broken",
    "chunked",
    "field_names",
    "field_values",
    "fields",
    "heads",
    "hosts",
    "methods",
    "requests",
    "responses",
    "splits",
    "targets",
    "tokens",
]

Pairs = list[tuple[bytes, bytes]]

# RFC 9110 section 5.6.2.
_TCHAR = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

# What means something to whoever reads a message, and so must not come about by chance.
_MEANINGFUL = frozenset(
    b"connection content-length expect host keep-alive proxy-connection te trailer "
    b"transfer-encoding upgrade".split()
)

# Bytes that have led parsers astray, for ``broken`` to put where they do not belong.
_HOSTILE = [
    *(
        b"\r",
        b"\n",
        b"\r\n",
        b"\r\n\r\n",
        b"\n\n",
        b"\x00",
        b" ",
        b"\t",
        b":",
        b";",
        b",",
    ),
    *(b"\x0b", b"\x0c", b"\x7f", b"\x80", b"\xa0", b"\xff", b'"', b"\\", b"#", b"*"),
    *(b"0", b"-", b"+", b"_", b"0x", b"\r\n ", b"\r\n\t", b"chunked", b"HTTP/2.0"),
    *(b"Content-Length: 5\r\n", b"Content-Length: 0\r\n", b"content-length:+1\r\n"),
    *(b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: gzip, chunked\r\n"),
    *(b"Transfer-Encoding:\x0bchunked\r\n", b"Host: b\r\n", b"Connection: close\r\n"),
    *(b"Connection: upgrade\r\nUpgrade: a\r\n", b"Expect: 100-continue\r\n"),
    *(b"HTTP/1.0", b"HTTP/1.1", b"0\r\n\r\n", b"5;a=b\r\n", b"ffffffffffffffff\r\n"),
]


@dataclass(slots=True)
class SampleRequest:
    """A valid request: what it says, and its bytes."""

    method: str
    target: str
    headers: Pairs
    """Every field in order, without those that frame the body."""

    body: bytes
    trailers: Pairs = field(default_factory=list)
    wire: bytes = b""
    """The whole message as it goes on the wire."""


@dataclass(slots=True)
class SampleResponse:
    """A valid response: what it says, and its bytes."""

    status: int
    headers: Pairs
    """Every field in order, without those that frame the body."""

    body: bytes
    trailers: Pairs = field(default_factory=list)
    wire: bytes = b""
    """The whole message as it goes on the wire."""


def tokens(max_size: int = 20) -> SearchStrategy[str]:
    """Return tokens of RFC 9110 section 5.6.2."""
    return st.text(_TCHAR, min_size=1, max_size=max_size)


def methods() -> SearchStrategy[str]:
    """Return methods: often registered ones, sometimes any token; CONNECT never.

    CONNECT has a target and a response of its own kind.
    """
    registered = "GET HEAD POST PUT DELETE OPTIONS PATCH TRACE".split()
    return st.sampled_from(registered) | tokens().filter(lambda m: m != "CONNECT")


def targets() -> SearchStrategy[str]:
    """Return targets in origin-form: a path, percent-encoded, and maybe a query."""
    character = st.sampled_from("abz09-._~!$&'()*+,;=:@") | st.integers(0, 255).map(
        lambda byte: f"%{byte:02X}"
    )
    segment = st.lists(character, max_size=8).map("".join)
    path = st.lists(segment, min_size=1, max_size=4).map(lambda s: "/" + "/".join(s))
    query = st.lists(character | st.sampled_from("/?"), max_size=12).map(
        lambda c: "?" + "".join(c)
    )
    return st.builds("{}{}".format, path, st.just("") | query)


def hosts() -> SearchStrategy[str]:
    """Return values of Host: names and addresses, with and without a port."""
    name = st.from_regex(r"\A[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?(\.[a-z]{2,5}){0,2}\Z")
    v4 = st.ip_addresses(v=4).map(str)
    v6 = st.ip_addresses(v=6).map("[{}]".format)
    port = st.just("") | st.integers(0, 65535).map(":{}".format)
    return st.builds("{}{}".format, name | v4 | v6, port)


def field_names() -> SearchStrategy[bytes]:
    """Return names of fields that neither frame a message nor rule the connection."""
    usual = st.sampled_from([b"Accept", b"Cookie", b"User-Agent", b"X-A", b"x-a"])
    any_name = tokens().map(str.encode)
    return usual | any_name.filter(lambda name: name.lower() not in _MEANINGFUL)


def field_values() -> SearchStrategy[bytes]:
    """Return values of RFC 9110 section 5.5, without whitespace round them."""
    character = st.sampled_from([9, 32]) | st.integers(33, 126) | st.integers(128, 255)
    return st.lists(character, max_size=30).map(lambda c: bytes(c).strip(b" \t"))


def fields(max_size: int = 8) -> SearchStrategy[Pairs]:
    """Return lists of fields; names may repeat."""
    return st.lists(st.tuples(field_names(), field_values()), max_size=max_size)


def bodies(max_size: int = 200) -> SearchStrategy[bytes]:
    """Return bodies, some of which look like heads and chunks."""
    return st.binary(max_size=max_size) | st.lists(
        st.sampled_from(_HOSTILE), max_size=10
    ).map(b"".join)


def _lines(pairs: Pairs) -> SearchStrategy[bytes]:
    """Return the field lines of *pairs* with any whitespace allowed round values."""
    space = st.sampled_from([b"", b" ", b"\t", b"  "])
    return st.lists(
        st.tuples(space, space), min_size=len(pairs), max_size=len(pairs)
    ).map(
        lambda spaces: b"".join(
            b"%b:%b%b%b\r\n" % (name, before, value, after)
            for (name, value), (before, after) in zip(pairs, spaces, strict=True)
        )
    )


def heads(first_line: bytes, pairs: Pairs) -> SearchStrategy[bytes]:
    """Return spellings of one head: *first_line*, without its end, and *pairs*."""
    return _lines(pairs).map(lambda lines: b"%b\r\n%b\r\n" % (first_line, lines))


@st.composite
def chunked(draw: st.DrawFn, body: bytes, trailers: Pairs | None = None) -> bytes:
    """Draw *body* in the chunked coding: chunks of any size, with any extensions."""
    extension = st.sampled_from(
        [b"", b"", b";a", b";a=b", b' ; a = "b;\\"c"', b";a;b=c", b'\t;a=""']
    )
    wire = []
    while body:
        size = draw(st.integers(1, len(body)))
        spelling = draw(st.sampled_from([b"%x", b"%X", b"0%x", b"000%X"]))
        wire += [spelling % size, draw(extension), b"\r\n", body[:size], b"\r\n"]
        body = body[size:]
    last = draw(st.sampled_from([b"0", b"00", b"0000"]))
    wire += [last, draw(extension), b"\r\n", draw(_lines(trailers or [])), b"\r\n"]
    return b"".join(wire)


_trailers = st.lists(
    st.tuples(st.sampled_from([b"Digest", b"X-Sum", b"x-sum"]), field_values()),
    max_size=3,
)


@st.composite
def _framed(
    draw: st.DrawFn, line: bytes, pairs: Pairs, body: bytes, trailers: Pairs | None
) -> bytes:
    """Draw the message; *trailers* None: of known length; else chunked."""
    framing = (
        (b"Content-Length", b"%d" % len(body))
        if trailers is None
        else (b"Transfer-Encoding", draw(st.sampled_from([b"chunked", b"Chunked"])))
    )
    place = draw(st.integers(0, len(pairs)))
    head = draw(heads(line, [*pairs[:place], framing, *pairs[place:]]))
    return head + (body if trailers is None else draw(chunked(body, trailers)))


@st.composite
def requests(draw: st.DrawFn) -> SampleRequest:
    """Draw a valid HTTP/1.1 request: without a body, of known length or chunked."""
    headers = draw(fields())
    host = (b"Host", draw(hosts()).encode())
    headers.insert(draw(st.integers(0, len(headers))), host)
    request = SampleRequest(draw(methods()), draw(targets()), headers, b"")
    line = f"{request.method} {request.target} HTTP/1.1".encode()
    kind = draw(st.sampled_from(["none", "length", "chunked"]))
    if kind == "none":
        request.wire = draw(heads(line, headers))
        return request
    request.body = draw(bodies())
    request.trailers = draw(_trailers) if kind == "chunked" else []
    request.wire = draw(
        _framed(
            line, headers, request.body, request.trailers if kind == "chunked" else None
        )
    )
    return request


@st.composite
def responses(draw: st.DrawFn) -> SampleResponse:
    """Draw a valid final response to a GET, of known length or chunked."""
    status = draw(st.sampled_from([200, 206, 299, 301, 404, 418, 500, 599]))
    response = SampleResponse(status, draw(fields()), draw(bodies()))
    is_chunked = draw(st.booleans())
    response.trailers = draw(_trailers) if is_chunked else []
    reason = draw(st.sampled_from([b"", b"OK", b"Not \xe9", b"a\tb"]))
    response.wire = draw(
        _framed(
            b"HTTP/1.1 %d %b" % (status, reason),
            response.headers,
            response.body,
            response.trailers if is_chunked else None,
        )
    )
    return response


def splits() -> SearchStrategy[Callable[[bytes], list[bytes]]]:
    """Return ways to part bytes as a network might: each a function to their pieces.

    Joined, the pieces are the bytes; none is empty.
    """
    by_step = st.integers(1, 7).map(_every)
    at_cuts = st.lists(st.floats(0, 1, exclude_max=True), max_size=6).map(_at)
    return st.one_of(st.just(_whole), by_step, at_cuts)


def _whole(data: bytes) -> list[bytes]:
    return [data] if data else []


def _every(step: int) -> Callable[[bytes], list[bytes]]:
    def split(data: bytes) -> list[bytes]:
        return [data[start : start + step] for start in range(0, len(data), step)]

    return split


def _at(cuts: list[float]) -> Callable[[bytes], list[bytes]]:
    def split(data: bytes) -> list[bytes]:
        places = [0, *sorted(int(cut * len(data)) for cut in cuts), len(data)]
        pieces = [data[a:b] for a, b in pairwise(places)]
        return [piece for piece in pieces if piece]

    return split


@st.composite
def broken(draw: st.DrawFn, wire: bytes) -> bytes:
    """Draw *wire* with one to three things put in, taken out or put in place of others.

    It may well be valid still.
    """
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(wire)))
        removed = draw(st.sampled_from([0, 0, 1, 2, 5]))
        put = draw(st.sampled_from(_HOSTILE) | st.binary(max_size=2))
        wire = wire[:start] + put + wire[start + removed :]
    return wire
