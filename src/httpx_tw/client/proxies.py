"""Which proxy a request goes through, and which requests go through none."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, Final, Self, TypeAlias
from urllib.parse import unquote

from httpx_tw.client.authentication import basic_credentials
from httpx_tw.client.urls import host_and_port, is_address
from httpx_tw.errors import ConfigurationError, InvalidURL

if TYPE_CHECKING:
    from httpx_tw.origin import Origin

__all__ = ["NoProxy", "ProxiesInput", "Proxy", "ProxySettings"]

# As requests and httpx have it; curl's is 1080 for http, too.
_DEFAULT_PORTS: Final = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}

_URL: Final = re.compile(r"(?:([A-Za-z0-9]+)://)?(?:([^@/?#]*)@)?([^@/?#]*)/?")
_CONTROL: Final = re.compile(r"[\x00-\x20\x7f]")


@dataclass(frozen=True, slots=True)
class Proxy:
    """One proxy. Two that differ in anything share no connections."""

    scheme: str
    """``http``, ``https`` (TLS to the proxy itself), ``socks5`` (names are resolved
    here) or ``socks5h`` (names are resolved by the proxy)."""

    host: str
    port: int
    username: str | None = None
    """None: no credentials."""

    password: str = field(default="", repr=False)

    @classmethod
    def from_url(cls, url: str) -> Self:
        """Take ``scheme://[user:password@]host[:port]`` apart; no scheme means http.

        :raises ConfigurationError: for another scheme, a path, or no host.
        """
        match = _URL.fullmatch(url)
        if match is None or _CONTROL.search(url) or "\\" in url:
            raise ConfigurationError(f"not the URL of a proxy: {_shown(url)}")
        scheme = (match[1] or "http").lower()
        if scheme not in _DEFAULT_PORTS:
            known = ", ".join(_DEFAULT_PORTS)
            raise ConfigurationError(f"a proxy speaks one of {known}; not {scheme!r}")
        try:
            host, port = host_and_port(match[3], _DEFAULT_PORTS[scheme])
        except InvalidURL as error:
            raise ConfigurationError(f"not the host of a proxy: {error}") from error
        proxy = cls(scheme, host, port, *_userinfo(match[2]))
        proxy.check()
        return proxy

    def check(self) -> None:
        """Refuse credentials that the protocol cannot carry.

        :raises ConfigurationError: says which.
        """
        if self.username is None:
            return
        if self.is_socks:
            # RFC 1929 section 2: a byte tells the length.
            for part in (self.username, self.password):
                if not 1 <= len(part.encode()) <= 255:
                    raise ConfigurationError("SOCKS credentials have 1 to 255 bytes")
        else:
            basic_credentials(self.username, self.password)

    @property
    def is_socks(self) -> bool:
        """Whether it speaks SOCKS5, and not HTTP."""
        return self.scheme.startswith("socks")

    @property
    def resolves_names(self) -> bool:
        """Whether it is given names, and not addresses."""
        return self.scheme != "socks5"

    @property
    def authorization(self) -> str | None:
        """The value for Proxy-Authorization; None: it has no credentials, or SOCKS."""
        if self.username is None or self.is_socks:
            return None
        return basic_credentials(self.username, self.password)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


def _userinfo(text: str | None) -> tuple[str | None, str]:
    if text is None:
        return None, ""
    username, _, password = text.partition(":")
    try:
        return unquote(username, errors="strict"), unquote(password, errors="strict")
    except UnicodeDecodeError as error:
        raise ConfigurationError("the credentials of a proxy are not UTF-8") from error


def _shown(url: str) -> str:
    return repr(url.rpartition("@")[2])


class NoProxy:
    """Who is reached directly, as ``NO_PROXY`` lists them.

    A list with commas or spaces. ``example.com``, ``.example.com``, ``*.example.com``
    stand for the name and all names below it; ``10.1.2.3``, ``::1`` and ``10.0.0.0/8``
    for addresses; ``:8080`` behind one, for that port alone; ``*`` for everything.
    Names are not resolved: a network matches hosts given as addresses only.

    :raises ConfigurationError: for an entry that is none of these.
    """

    __slots__ = ("_addresses", "_all", "_names", "_networks")

    def __init__(self, text: str = "") -> None:
        self._all = False
        # Each with its port, None for any.
        self._names: set[tuple[str, int | None]] = set()
        self._addresses: set[tuple[str, int | None]] = set()
        self._networks: list[IPv4Network | IPv6Network] = []
        for entry in text.replace(",", " ").split():
            self._add(entry.lower())

    def _add(self, entry: str) -> None:
        if entry == "*":
            self._all = True
        elif "/" in entry:
            try:
                self._networks.append(ip_network(entry, strict=False))
            except ValueError as error:
                raise ConfigurationError(f"no_proxy: {error}") from error
        else:
            host, port = _entry(entry)
            known = self._addresses if is_address(host) else self._names
            known.add((host, port))

    def matches(self, origin: Origin) -> bool:
        """Whether *origin* is reached directly."""
        if self._all:
            return True
        host, port = origin.host.removesuffix("."), origin.port
        if is_address(host):
            return (
                (host, None) in self._addresses
                or (host, port) in self._addresses
                or any(ip_address(host) in network for network in self._networks)
            )
        while host:
            if (host, None) in self._names or (host, port) in self._names:
                return True
            host = host.partition(".")[2]
        return False

    def __bool__(self) -> bool:
        return bool(self._all or self._names or self._addresses or self._networks)


def _entry(entry: str) -> tuple[str, int | None]:
    name = entry.removeprefix("*").removeprefix(".")
    if name.count(":") > 1 and not name.startswith("["):
        name = f"[{name}]"  # an address of version 6 as people write it
    try:
        # No port is port 0: there is none with that number.
        host, port = host_and_port(name, 0)
    except InvalidURL as error:
        raise ConfigurationError(f"no_proxy: {error}") from error
    return host.removesuffix("."), port or None


ProxiesInput: TypeAlias = "str | Proxy | Mapping[str, str | Proxy | None] | None"
"""One for everything; or by scheme: ``{"https": …}``, where ``all`` is for the rest."""


@dataclass(frozen=True)
class ProxySettings:
    """Which proxy for which scheme."""

    http: Proxy | None = None
    https: Proxy | None = None
    no_proxy: NoProxy = field(default_factory=NoProxy)

    @classmethod
    def of(cls, proxies: ProxiesInput, no_proxy: str = "") -> Self:
        """Return the settings that a caller means.

        :raises ConfigurationError: for what is no proxy, or another scheme than
            ``http``, ``https`` or ``all``.
        """
        if isinstance(proxies, Mapping):
            unknown = proxies.keys() - {"http", "https", "all"}
            if unknown:
                raise ConfigurationError(f"no proxies for {', '.join(sorted(unknown))}")
            default = proxies.get("all")
            http, https = (proxies.get(s, default) for s in ("http", "https"))
        else:
            http = https = proxies
        return cls(_proxy(http), _proxy(https), NoProxy(no_proxy))

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Return what ``http_proxy``, ``https_proxy``, ``all_proxy``, ``no_proxy`` say.

        In lower case or, if that is not set, upper case. An empty one counts as set,
        and means none. ``HTTP_PROXY`` is not looked at in a CGI program, where it is
        what the client wrote into a ``Proxy`` field (httpoxy, CVE-2016-1000111 and many
        more).

        :raises ConfigurationError: for what is no proxy.
        """

        def value_of(name: str) -> str | None:
            value = environment.get(name)
            if value is None and not (
                name == "http_proxy" and "REQUEST_METHOD" in environment
            ):
                value = environment.get(name.upper())
            return value

        default = value_of("all_proxy")
        http, https = value_of("http_proxy"), value_of("https_proxy")
        return cls(
            _proxy((default if http is None else http) or None),
            _proxy((default if https is None else https) or None),
            NoProxy(value_of("no_proxy") or ""),
        )

    def proxy_for(self, origin: Origin) -> Proxy | None:
        """Return the proxy to *origin*; None: go directly."""
        proxy = self.https if origin.scheme == "https" else self.http
        return None if proxy is None or self.no_proxy.matches(origin) else proxy

    def __bool__(self) -> bool:
        return self.http is not None or self.https is not None


def _proxy(proxy: str | Proxy | None) -> Proxy | None:
    if isinstance(proxy, str):
        return Proxy.from_url(proxy)
    if proxy is not None:
        if not isinstance(proxy, Proxy):
            raise ConfigurationError(f"not a proxy: {proxy!r}")
        proxy.check()
    return proxy
