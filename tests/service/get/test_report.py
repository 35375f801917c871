"""What people are shown."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from httpx_tw.client.outgoing import OutgoingRequest
from httpx_tw.client.pool_facts import PoolKey
from httpx_tw.client.response import ClientResponse, ConnectionFacts, TLSFacts
from httpx_tw.client.timing import Timing
from httpx_tw.client.urls import parse_url
from httpx_tw.limits import DEFAULT_LIMITS
from httpx_tw.protocol.http1_reader import ResponseHeadParser
from httpx_tw.service.get.report import (
    connection_line,
    request_head,
    response_head,
    size,
    timing_lines,
    tls_lines,
)
from tests.tls.issuing import authority

FACTS = ConnectionFacts(peer=("192.0.2.1", 80), local=("192.0.2.2", 4000), tls=None)


def request(*fields: tuple[bytes, bytes]) -> OutgoingRequest:
    url = parse_url("http://a.example/x?y")
    return OutgoingRequest(
        "GET", url, list(fields), key=PoolKey("http", "a.example", 80), limit=0
    )


def test_a_head_is_shown_line_by_line() -> None:
    head = ResponseHeadParser(DEFAULT_LIMITS).parse(
        b"HTTP/1.1 200 Fine\r\nX-Name: caf\xe9\r\n\r\n", "GET"
    )
    response = ClientResponse(head, request(), FACTS, b"")
    assert response_head(response) == ["HTTP/1.1 200 Fine", "X-Name: café"]


def test_nothing_that_a_terminal_obeys_is_shown() -> None:
    hidden: Any = request((b"X", b"a\x1b[2Jb\x9b1m"))
    assert request_head(hidden)[1] == "X: a\\x1b[2Jb\\x9b1m"


def test_credentials_are_not_shown() -> None:
    lines = request_head(
        request(
            (b"Authorization", b"Bearer abc"),
            (b"Proxy-Authorization", b"abc"),
            (b"Cookie", b"session=abc; other=abc"),
            (b"Accept", b"*/*"),
        )
    )
    assert lines == [
        "GET /x?y HTTP/1.1",
        "Authorization: Bearer (not shown)",
        "Proxy-Authorization: (not shown)",
        "Cookie: (not shown)",
        "Accept: */*",
    ]


def test_a_connection_says_where_it_goes() -> None:
    assert connection_line(FACTS, is_new=True) == (
        "new connection to 192.0.2.1 port 80, from port 4000"
    )
    facts = ConnectionFacts(peer="/run/web.sock", local=None, tls=None)
    assert connection_line(facts, is_new=False) == (
        "connection used again to /run/web.sock"
    )
    nowhere = ConnectionFacts(peer=None, local=None, tls=None)
    assert connection_line(nowhere, is_new=True) == "new connection to ?"


def test_tls_says_what_was_settled_and_whose_certificate_it_is() -> None:
    issued = authority().issue("a.example")
    certificate = issued.certificate
    facts = TLSFacts(
        version="TLSv1.3",
        cipher="TLS_AES_256_GCM_SHA384",
        alpn="http/1.1",
        is_resumed=False,
        shown=_Shown(certificate),
    )
    day = timedelta(days=1)
    first, second = tls_lines(facts, certificate.not_valid_after_utc - day)
    assert first == "TLS: TLSv1.3, TLS_AES_256_GCM_SHA384, ALPN http/1.1, new session"
    assert second.startswith("certificate: CN=a.example, issued by CN=")
    assert second.endswith("UTC (1 day left)")
    _, second = tls_lines(facts, certificate.not_valid_after_utc + day)
    assert second.endswith("(EXPIRED)")


def test_tls_without_a_certificate_or_alpn_says_less() -> None:
    facts = TLSFacts(version="TLSv1.2", cipher="X", alpn=None, is_resumed=True)
    assert tls_lines(facts, datetime.now(UTC)) == ["TLS: TLSv1.2, X, session resumed"]
    facts = TLSFacts(version="TLSv1.2", cipher="", alpn=None, is_resumed=None)
    assert tls_lines(facts, datetime.now(UTC)) == ["TLS: TLSv1.2"]


class _Shown:
    """A certificate as pyOpenSSL has it."""

    def __init__(self, certificate: Any) -> None:
        self._certificate = certificate

    def to_cryptography(self) -> Any:
        return self._certificate


def test_phases_are_in_order_and_add_up() -> None:
    timing = Timing()
    timing.dialed, timing.resolved, timing.connected = 0.0, 0.001, 0.003
    timing.sent, timing.started, timing.ended = 0.003, 0.013, 0.0135
    assert timing_lines(timing) == [
        "DNS                1.0 ms",
        "connect            2.0 ms",
        "request sent       0.0 ms",
        "first byte        10.0 ms",
        "body               0.5 ms",
        "total             13.5 ms",
    ]


def test_waiting_is_shown_if_there_was_any() -> None:
    timing = Timing()
    timing.dialed, timing.resolved = 0.5, 0.5
    assert timing_lines(timing)[0] == "waiting          500.0 ms"


def test_sizes_have_units() -> None:
    assert [size(n) for n in (0, 1023, 1024, 5 << 20, 3 << 30, 7 << 40)] == [
        "0 bytes", "1023 bytes", "1.0 KiB", "5.0 MiB", "3.0 GiB", "7.0 TiB",
    ]  # fmt: skip
