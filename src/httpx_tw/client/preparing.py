"""From what a caller says to a request that is ready to be sent."""

from __future__ import annotations

import json as json_module
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from httpx_tw.client.authentication import AuthRequest, BasicAuth
from httpx_tw.client.content import BytesContent, as_content
from httpx_tw.client.fields import urlencoded
from httpx_tw.client.multipart import MultipartBody
from httpx_tw.client.outgoing import OutgoingRequest
from httpx_tw.client.pool_facts import PoolKey, Via
from httpx_tw.client.proxies import ProxySettings
from httpx_tw.client.urls import join_base, parse_base, parse_url, with_params
from httpx_tw.errors import ConfigurationError, LocalProtocolError
from httpx_tw.headers import Headers, checked_value
from httpx_tw.tls.contexts import TLSPolicy

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from httpx_tw.client.authentication import Auth
    from httpx_tw.client.content import Content, ContentInput
    from httpx_tw.client.cookies import CookieJar
    from httpx_tw.client.fields import FieldsInput
    from httpx_tw.client.multipart import FilesInput
    from httpx_tw.client.proxies import Proxy
    from httpx_tw.client.redirects import Redirect
    from httpx_tw.client.urls import URL
    from httpx_tw.headers import HeaderPairs, HeadersInput

__all__ = ["Draft", "RequestMaker", "Route", "content_from"]

_URLS_REMEMBERED: Final = 1024

# These say how the message is framed, which is our business; see RequestMaker.draft.
_FRAMING: Final = {b"transfer-encoding", b"content-length"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """How connections are made, as far as it is the same for all requests."""

    tls: Hashable
    """The policy for https."""

    local_address: str | None = None
    uds: str | None = None
    proxies: ProxySettings = field(default_factory=ProxySettings)

    def key_for(self, url: URL) -> PoolKey:
        """Return what kind of connection goes to *url*."""
        scheme, host, port = url.scheme, url.host, url.port
        tls = self.tls if scheme == "https" else None
        via = None
        proxy = self.proxies.proxy_for(url.origin) if self.proxies else None
        if proxy is not None:
            is_tunnel = proxy.is_socks or scheme == "https"
            via = Via(proxy, is_tunnel, self._tls_to(proxy))
            if not is_tunnel:
                host, port = proxy.host, proxy.port
        return PoolKey(scheme, host, port, via, tls, self.local_address, self.uds)

    def _tls_to(self, proxy: Proxy) -> Hashable:
        if proxy.scheme != "https":
            return None
        if isinstance(self.tls, TLSPolicy):
            # What is spoken inside the tunnel is not the proxy's business, and some
            # end the handshake over a protocol they do not know.
            return replace(self.tls, alpn=())
        return self.tls


@dataclass(slots=True)
class Draft:
    """A request that may still change: by redirects, by challenges."""

    method: str
    url: URL
    fields: HeaderPairs
    """Without Host and what cookies and credentials add, unless the caller said so."""
    content: Content | None = None
    cookies: Mapping[str, str] | None = None
    """Cookies of this request alone."""
    auth: Auth | None = None
    limit: float = 0
    given: frozenset[bytes] = field(default_factory=frozenset)
    """Names, in lower case, of what the fields have."""

    def redirect(self, redirect: Redirect) -> None:
        """Become the request that *redirect* asks for."""
        stripped = {name.encode("ascii") for name in redirect.strips}
        self.fields = [pair for pair in self.fields if pair[0].lower() not in stripped]
        self.given = frozenset(name.lower() for name, _ in self.fields)
        self.method = redirect.method
        self.url = redirect.url
        if not redirect.keeps_body:
            self.content = None
        if redirect.crosses_origin:
            self.cookies = None
            self.auth = None

    def expect_nothing(self) -> bool:
        """Wait for no 100 (Continue) any more; return whether it did."""
        expected = b"expect" in self.given
        self.fields = [pair for pair in self.fields if pair[0].lower() != b"expect"]
        self.given -= {b"expect"}
        return expected

    @property
    def auth_request(self) -> AuthRequest:
        """What an Auth is told of it."""
        content = self.content
        if content is None:
            return AuthRequest(self.method, self.url)
        return AuthRequest(self.method, self.url, content.data)


class RequestMaker:
    """Makes requests from what callers say and what a client adds to each."""

    def __init__(
        self,
        route: Route,
        *,
        base_url: str | None,
        params: FieldsInput,
        headers: HeadersInput,
        defaults: HeaderPairs,
        jar: CookieJar,
    ) -> None:
        self._route = route
        self._base = None if base_url is None else parse_base(base_url)
        self._params = params
        self._jar = jar
        own = Headers(headers)
        self._fields = own.raw + [
            pair for pair in defaults if pair[0].decode("ascii") not in own
        ]
        self._names = frozenset(name.lower() for name, _ in self._fields)
        self._urls: dict[str, URL] = {}
        self._keys: dict[tuple[str, str, int], PoolKey] = {}

    def url(self, text: str, params: FieldsInput = None) -> URL:
        """Return the URL that *text* means for this client.

        :raises InvalidURL: it is none, or not absolute and there is no base_url.
        """
        url = self._urls.get(text)
        if url is None:
            base = self._base
            url = parse_url(text) if base is None else join_base(base, text)
            url = with_params(url, self._params)
            if len(self._urls) >= _URLS_REMEMBERED:
                self._urls.clear()
            self._urls[text] = url
        return url if params is None else with_params(url, params)

    def draft(  # noqa: PLR0913  # what a request is made of
        self,
        method: str,
        url: URL,
        *,
        headers: HeadersInput,
        content: tuple[Content, str | None] | None,
        cookies: Mapping[str, str] | None,
        auth: Auth | None,
        limit: float,
    ) -> Draft:
        """Return a request with the client's own fields added.

        :raises InvalidHeader: for a name or value that cannot be sent.
        :raises LocalProtocolError: for Transfer-Encoding: how a body is framed follows
            from what it is.
        """
        fields, names = self._fields, self._names
        if headers is not None:
            own = Headers(headers)
            given = {name.lower() for name, _ in own.raw}
            fields = own.raw + [p for p in fields if p[0].lower() not in given]
            names = names | given
        body, content_type = (None, None) if content is None else content
        if names & _FRAMING:
            fields, body = _without_framing(fields, body)
        if content_type is not None and b"content-type" not in names:
            fields = [*fields, (b"Content-Type", checked_value(content_type))]
        if url.userinfo is not None:
            if auth is None:
                auth = BasicAuth(*url.userinfo)
            url = replace(url, userinfo=None)
        return Draft(method, url, fields, body, cookies, auth, limit, names)

    def _key_for(self, url: URL) -> PoolKey:
        place = (url.scheme, url.host, url.port)
        key = self._keys.get(place)
        if key is None:
            if len(self._keys) >= _URLS_REMEMBERED:
                self._keys.clear()
            key = self._keys[place] = self._route.key_for(url)
        return key

    def finish(self, draft: Draft, now: float) -> OutgoingRequest:
        """Return *draft* as it is to be sent now, with cookies and credentials.

        :param now: seconds since the epoch.
        :raises LocalProtocolError: when the method is no token.
        """
        url = draft.url
        added: HeaderPairs = []
        if b"host" not in draft.given:
            added.append((b"Host", url.host_header.encode("ascii")))
        if (self._jar or draft.cookies) and b"cookie" not in draft.given:
            cookies = self._jar.header_for(url, now, draft.cookies)
            if cookies is not None:
                added.append((b"Cookie", checked_value(cookies)))
        if draft.auth is not None and b"authorization" not in draft.given:
            added += [
                (name.encode("ascii"), checked_value(value))
                for name, value in draft.auth.apply(draft.auth_request)
            ]
        key = self._key_for(url)
        target = None
        if key.via is not None and not key.via.is_tunnel:
            # RFC 9112 section 3.2.2: absolute-form.
            target = f"{url.scheme}://{url.host_header}{url.target}"
            authorization = key.via.proxy.authorization
            if authorization is not None:
                added.append((b"Proxy-Authorization", checked_value(authorization)))
        return OutgoingRequest(
            draft.method,
            url,
            added + draft.fields,
            key=key,
            limit=draft.limit,
            content=draft.content,
            target=target,
        )


class _Sized:
    """A content of which the caller says how long it is."""

    __slots__ = ("_content", "length")

    def __init__(self, content: Content, length: int) -> None:
        self._content = content
        self.length = length

    @property
    def data(self) -> bytes | None:
        """See Content."""
        return self._content.data

    @property
    def can_replay(self) -> bool:
        """See Content."""
        return self._content.can_replay

    def open(self) -> Any:
        """See Content."""
        return self._content.open()


def _without_framing(
    fields: HeaderPairs, content: Content | None
) -> tuple[HeaderPairs, Content | None]:
    kept: HeaderPairs = []
    for name, value in fields:
        key = name.lower()
        if key == b"transfer-encoding":
            raise LocalProtocolError("Transfer-Encoding is set by what the body is")
        if key != b"content-length":
            kept.append((name, value))
        elif not value.isdigit():
            raise LocalProtocolError(f"not a Content-Length: {value!r}")
        elif content is not None and content.length is None:
            content = _Sized(content, int(value))
        elif int(value) != (0 if content is None else content.length):
            raise LocalProtocolError(
                f"Content-Length {int(value)} for a body of another length"
            )
    return kept, content


def content_from(
    *,
    content: ContentInput | None,
    data: FieldsInput | ContentInput | None,
    json: Any,
    files: FilesInput,
) -> tuple[Content, str | None] | None:
    """Return the content of a request, and its type if it says so itself.

    None: it has none.

    :raises ConfigurationError: when there are two, or one that cannot be sent.
    """
    if content is data is json is files is None:  # nearly every GET
        return None
    if sum(each is not None for each in (content, json, files)) > 1 or (
        data is not None and (content is not None or json is not None)
    ):
        raise ConfigurationError("give one of content, data, json and files")
    if json is not None:
        text = json_module.dumps(json, ensure_ascii=False, separators=(",", ":"))
        return BytesContent(text.encode()), "application/json"
    if files is not None:
        return _multipart(data, files)
    if content is not None:
        return as_content(content), getattr(content, "content_type", None)
    if isinstance(data, str | bytes | bytearray | memoryview) or hasattr(data, "read"):
        return as_content(data), None
    form: Any = data
    return (
        BytesContent(urlencoded(form).encode("ascii")),
        "application/x-www-form-urlencoded",
    )


def _multipart(data: Any, files: FilesInput) -> tuple[Content, str | None]:
    body = MultipartBody(data, files)
    return body, body.content_type
