"""Where a request over HTTP is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from httpx_tw.app.https_redirect import https_redirect
from httpx_tw.server.factory import HTTPFactory

if TYPE_CHECKING:
    from collections.abc import Callable


def answer_to(
    request: str, port: int | Callable[[], int] = 443, version: str = "1.1"
) -> tuple[int, str]:
    """Return status and Location of the answer to what begins with *request*."""
    factory = HTTPFactory(https_redirect(port), Clock())
    protocol = factory.buildProtocol(None)
    assert protocol is not None
    transport = StringTransport()
    protocol.makeConnection(transport)
    line, _, rest = request.partition("\n")
    sent = f"{line} HTTP/{version}\r\n{rest}\r\nConnection: close\r\n\r\n"
    protocol.dataReceived(sent.lstrip().encode())
    head = transport.value().decode().split("\r\n")
    fields = dict(line.lower().split(": ", 1) for line in head[1:] if ": " in line)
    return int(head[0].split()[1]), fields.get("location", "")


@pytest.mark.parametrize(
    ("port", "host", "target", "location"),
    [
        (443, "a.test", "/", "https://a.test/"),
        (443, "a.test:80", "/x?y=%20z", "https://a.test/x?y=%20z"),
        (443, "a.test:", "/", "https://a.test/"),
        (8443, "a.test:8080", "/", "https://a.test:8443/"),
        (443, "[::1]:80", "//b.test/", "https://[::1]//b.test/"),
        (lambda: 444, "192.0.2.1", "/", "https://192.0.2.1:444/"),
        (443, "a.test", "http://b.test:80/x?y", "https://b.test/x?y"),
        (443, "a.test", "http://b.test?y", "https://b.test/?y"),
    ],
)
def test_it_is_the_same_place(
    port: int | Callable[[], int], host: str, target: str, location: str
) -> None:
    for method, status in (("GET", 301), ("HEAD", 301), ("POST", 308), ("PUT", 308)):
        request = f"{method} {target}\nHost: {host}"
        assert answer_to(request, port) == (status, location)


@pytest.mark.parametrize("host", ["", "a.test/x", "user@a.test", "a b", "[::1", "a:b"])
def test_without_a_proper_host_it_is_refused(host: str) -> None:
    assert answer_to(f"GET /\nHost: {host}") == (400, "")


def test_nobody_needs_a_host_in_http_1_0() -> None:
    assert answer_to("GET /\nAccept: */*", version="1.0") == (400, "")
