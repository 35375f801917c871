"""What stands in for the connection when requests are made by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from httpx_tw.app.request import Request
from httpx_tw.app.router import Router
from httpx_tw.headers import Headers
from httpx_tw.protocol.events import RequestHead

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

    from httpx_tw.app.body import RequestBody
    from httpx_tw.headers import HeaderPairs, HeadersInput


class FakeLink:
    """A connection that only notes what it was told about the body."""

    def __init__(self, scheme: str = "http") -> None:
        self.client_address: tuple[str, int] | None = ("192.0.2.1", 40000)
        self.scheme = scheme
        self.is_secure = scheme == "https"
        self.client_certificate: Certificate | None = None
        self.told: list[str] = []

    def body_wanted(self) -> None:
        """Note it."""
        self.told.append("wanted")

    def body_sated(self) -> None:
        """Note it."""
        self.told.append("sated")

    def send_interim(self, request: Request, status: int, fields: HeaderPairs) -> None:
        """Note it."""
        self.told.append(f"{status} {fields}")

    def call_endpoint(self, function: Any, request: Request, place: int) -> Any:
        """Note it, and call *function*."""
        self.told.append(f"call {place}")
        return function(request)


def make_request(
    target: str = "/",
    method: str = "GET",
    headers: HeadersInput = None,
    body: bytes | RequestBody = b"",
    finder: Any = None,
) -> Request:
    """Return a request as the server would make it, routed by *finder*."""
    path, _, query_string = target.partition("?")
    head = RequestHead(
        method,
        target,
        Headers(headers).raw,
        is_http11=True,
        keep_alive=True,
        path=path,
        query=query_string,
    )
    route, params = (finder or Router()).find(method, path)
    return Request(head, path, query_string, route, params, FakeLink(), body)
