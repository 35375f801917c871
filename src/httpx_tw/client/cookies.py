"""The cookie jar: what servers set, kept and sent back as RFC 6265 has it."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, replace
from heapq import nsmallest
from typing import TYPE_CHECKING, Any, Final

from httpx_tw.client.public_suffixes import is_public_suffix
from httpx_tw.client.set_cookies import parse_set_cookie
from httpx_tw.client.urls import host_and_port, is_address
from httpx_tw.errors import ConfigurationError, InvalidHeader, InvalidURL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from httpx_tw.client.set_cookies import SetCookie
    from httpx_tw.client.urls import URL

__all__ = ["Cookie", "CookieJar"]

# RFC 6265 section 4.1.1 has less; servers send more, and only this breaks a field.
_NAME: Final = re.compile(r"[!-:<>-~\x80-\xff]+")
_VALUE: Final = re.compile(
    r"(?:[!-:<-~\x80-\xff](?:[\t -:<-~\x80-\xff]*[!-:<-~\x80-\xff])?)?"
)
_PATH: Final = re.compile(r"/[ -:<-~]*")

MAX_HEADER: Final = 8190
"""Longest Cookie field, in bytes, as in curl. What does not fit stays at home: else who
may set cookies could make every request too large for the server to take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cookie:
    """One cookie of a jar."""

    name: str
    value: str
    domain: str
    """The host that set it, or the domain that it set it for."""

    path: str = "/"
    host_only: bool = True
    """Sent to ``domain`` alone. False: to all hosts below it, too."""

    expires: float | None = None
    """Seconds since the epoch. None: it ends with the session, so with the jar."""

    secure: bool = False
    """Sent over https only."""

    http_only: bool = False
    """Not for scripts in a page; kept, and of no consequence here."""

    def has_expired(self, now: float) -> bool:
        """Whether it is over at *now*, in seconds since the epoch."""
        return self.expires is not None and self.expires <= now


_TYPES: Final[dict[str, Any]] = {
    "name": str,
    "value": str,
    "domain": str,
    "path": str,
    "host_only": bool,
    "expires": int | float | None,
    "secure": bool,
    "http_only": bool,
}


class _Kept:
    """A cookie and its turn: when it was first set, and when it was last sent."""

    __slots__ = ("cookie", "order", "used")

    def __init__(self, cookie: Cookie, order: int) -> None:
        self.cookie = cookie
        self.order = order
        self.used = order


class CookieJar:
    """Cookies, each sent back only to where it belongs.

    A server can set cookies for its own host, or for a domain above it that is no
    public suffix; over http it can neither set a cookie that is Secure nor replace one.
    ``__Secure-`` and ``__Host-`` names are held to their promise. Cookies over the
    limits push out others: expired ones, then of the same domain those not Secure, in
    the order in which they were last sent.

    Times are in seconds since the epoch and are passed in: a jar has no clock. Not
    thread-safe; its client uses it on the reactor thread.

    :param max_cookies: in all. :param max_per_domain: of one domain. Both as browsers.
    :param rejects_suffixes: says of a domain in lower case whether it is public.
    """

    def __init__(
        self,
        *,
        max_cookies: int = 3000,
        max_per_domain: int = 150,
        rejects_suffixes: Callable[[str], bool] = is_public_suffix,
    ) -> None:
        if max_cookies < 1 or max_per_domain < 1:
            raise ConfigurationError("a jar keeps at least one cookie per domain")
        self._max_cookies = max_cookies
        self._max_per_domain = max_per_domain
        self._is_public_suffix = rejects_suffixes
        self._domains: dict[str, dict[tuple[str, str], _Kept]] = {}
        self.count = 0
        self._turn = 0

    # For the client.

    def receive(self, url: URL, set_cookies: Iterable[str], now: float) -> None:
        """Keep what the Set-Cookie fields of a response to *url* say.

        *set_cookies* has one str for each field, Latin-1. Nothing is ever raised: what
        must not be kept is ignored.
        """
        for field in set_cookies:
            parsed = parse_set_cookie(field, now)
            if parsed is None:
                continue
            cookie = self._admitted(url, parsed)
            if cookie is not None:
                self._store(cookie, now)

    def header_for(
        self, url: URL, now: float, extra: Mapping[str, str] | None = None
    ) -> str | None:
        """Return the value of the Cookie field for a request to *url*; None: send none.

        Longer paths come first, then what was set earlier (RFC 6265 section 5.4).

        :param extra: cookies of this request alone; they stand in for the jar's.
        :raises InvalidHeader: for a name or value in *extra* that is none.
        """
        pairs = [
            f"{kept.cookie.name}={kept.cookie.value}"
            for kept in self._matching(url, now)
            if extra is None or kept.cookie.name not in extra
        ]
        if extra:
            for name, value in extra.items():
                _check_pair(name, value)
            pairs = [f"{name}={value}" for name, value in extra.items()] + pairs
        return _joined(pairs) if pairs else None

    # For people.

    def set(self, name: str, value: str, *, domain: str, **attributes: Any) -> None:
        """Put a cookie in. *domain* is a host; see Cookie for *attributes*.

        :raises InvalidHeader: for a name or value that no Cookie field can hold.
        :raises ConfigurationError: for a domain that is none, a path without ``/``, or
            an attribute that there is not.
        """
        self._put(
            {"name": name, "value": value, "domain": domain.removeprefix(".")}
            | attributes
        )

    def get(self, name: str, default: Any = None, *, domain: str | None = None) -> Any:
        """Return the value of the first cookie called *name*, or *default*.

        *domain*: None looks at every domain.
        """
        for cookie in self:
            if cookie.name == name and domain in (None, cookie.domain):
                return cookie.value
        return default

    def delete(
        self, name: str, *, domain: str | None = None, path: str | None = None
    ) -> int:
        """Take out every cookie called *name*, and return how many there were.

        *domain*, *path*: None takes them whatever theirs is.
        """
        doomed = [
            cookie
            for cookie in self
            if cookie.name == name
            and domain in (None, cookie.domain)
            and path in (None, cookie.path)
        ]
        for cookie in doomed:
            self._remove(cookie)
        return len(doomed)

    def clear(self, domain: str | None = None) -> None:
        """Take out everything. *domain*: only the cookies of this one."""
        for cookie in list(self):
            if domain in (None, cookie.domain):
                self._remove(cookie)

    def remove_expired(self, now: float) -> int:
        """Take out what is over at *now*, and return how many there were."""
        return self._remove_all(k for k in self._kept() if k.cookie.has_expired(now))

    def remove_session(self) -> int:
        """Take out what has no expiry, as a browser does at its end: how many."""
        return self._remove_all(k for k in self._kept() if k.cookie.expires is None)

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return everything as plain dicts, ready for JSON, in the order it was set."""
        return [asdict(cookie) for cookie in self]

    def load_dicts(self, cookies: Iterable[Mapping[str, Any]]) -> None:
        """Put in what :meth:`to_dicts` returned; of two alike the later one stays.

        :raises ConfigurationError: for something else; InvalidHeader: see :meth:`set`.
        """
        for cookie in cookies:
            self._put(dict(cookie))

    def __iter__(self) -> Iterator[Cookie]:
        """Iterate over the cookies, in the order they were first set."""
        return iter([k.cookie for k in sorted(self._kept(), key=_by_order)])

    def __len__(self) -> int:
        return self.count

    def __contains__(self, name: object) -> bool:
        return any(kept.cookie.name == name for kept in self._kept())

    def __repr__(self) -> str:
        return f"<CookieJar of {self.count} for {len(self._domains)} domains>"

    # Admission: RFC 6265 section 5.3, and its successor's section 5.7.

    def _admitted(self, url: URL, parsed: SetCookie) -> Cookie | None:
        """Return the cookie to be kept, or None: this server must not set it."""
        scope = self._scope(url.host, parsed.domain)
        if scope is None:
            return None
        domain, host_only = scope
        cookie = Cookie(
            name=parsed.name,
            value=parsed.value,
            domain=domain,
            path=parsed.path or _default_path(url.path),
            host_only=host_only,
            expires=parsed.expires,
            secure=parsed.secure,
            http_only=parsed.http_only,
        )
        if not _keeps_promise(cookie, named_path=parsed.path):
            return None
        if url.scheme != "https" and (cookie.secure or self._hides_secure(cookie)):
            return None
        return cookie

    def _scope(self, host: str, domain: str | None) -> tuple[str, bool] | None:
        """Return the domain of a cookie and whether it is its host's alone, or None."""
        if domain is None:
            return host, True
        if domain == host:
            # Step 5: a registry's own host may set cookies, for itself.
            return host, is_address(host) or self._is_public_suffix(host)
        if not _domain_matches(host, domain) or self._is_public_suffix(domain):
            return None
        return domain, False

    def _hides_secure(self, cookie: Cookie) -> bool:
        """Whether *cookie*, from http, could be sent in place of one that is Secure."""
        return any(
            kept.cookie.secure
            and kept.cookie.name == cookie.name
            and _path_matches(cookie.path, kept.cookie.path)
            for domain, kepts in self._domains.items()
            if _domain_matches(cookie.domain, domain)
            or _domain_matches(domain, cookie.domain)
            for kept in kepts.values()
        )

    # Keeping.

    def _store(self, cookie: Cookie, now: float) -> None:
        if cookie.has_expired(now):  # how a server deletes
            self._remove(cookie)
            return
        domain = self._insert(cookie)
        if len(domain) > self._max_per_domain:
            self._make_room(domain, now)
        if self.count > self._max_cookies:
            self._remove_all(k for k in self._kept() if k.cookie.has_expired(now))
            # A tenth at once, or each further cookie would cost a look at all of them.
            excess = self.count - self._max_cookies
            if excess > 0:
                excess += self._max_cookies // 10
                self._remove_all(nsmallest(excess, self._kept(), key=_by_use))

    def _insert(self, cookie: Cookie) -> dict[tuple[str, str], _Kept]:
        self._turn += 1
        domain = self._domains.setdefault(cookie.domain, {})
        key = (cookie.path, cookie.name)
        kept = _Kept(cookie, self._turn)
        previous = domain.get(key)
        if previous is None:
            self.count += 1
        else:
            kept.order = previous.order  # step 11.3: it keeps its place
        domain[key] = kept
        return domain

    def _make_room(self, domain: dict[tuple[str, str], _Kept], now: float) -> None:
        self._remove_all(k for k in domain.values() if k.cookie.has_expired(now))
        excess = len(domain) - self._max_per_domain
        if excess > 0:
            self._remove_all(nsmallest(excess, domain.values(), key=_by_worth))

    def _put(self, attributes: dict[str, Any]) -> None:
        for name, value in attributes.items():
            if name not in _TYPES:
                raise ConfigurationError(f"a cookie has no {name}")
            if not isinstance(value, _TYPES[name]):
                raise ConfigurationError(f"the {name} of a cookie cannot be {value!r}")
        try:
            cookie = Cookie(**attributes)
        except TypeError as error:
            raise ConfigurationError(f"not a cookie: {error}") from error
        _check_pair(cookie.name, cookie.value)
        if not _PATH.fullmatch(cookie.path):
            raise ConfigurationError(f"not the path of a cookie: {cookie.path!r}")
        self._insert(replace(cookie, domain=_checked_domain(cookie.domain)))

    def _remove(self, cookie: Cookie) -> None:
        domain = self._domains.get(cookie.domain)
        if domain is None:
            return
        if domain.pop((cookie.path, cookie.name), None) is not None:
            self.count -= 1
        if not domain:
            del self._domains[cookie.domain]

    def _remove_all(self, doomed: Iterable[_Kept]) -> int:
        cookies = [kept.cookie for kept in doomed]
        for cookie in cookies:
            self._remove(cookie)
        return len(cookies)

    # Finding.

    def _kept(self) -> Iterator[_Kept]:
        for domain in self._domains.values():
            yield from domain.values()

    def _matching(self, url: URL, now: float) -> list[_Kept]:
        """RFC 6265 section 5.4, steps 1 to 3."""
        found: list[_Kept] = []
        is_secure = url.scheme == "https"
        path = url.path
        for domain in _domains_of(url.host):
            for kept in self._domains.get(domain, {}).values():
                cookie = kept.cookie
                if (
                    (not cookie.host_only or domain == url.host)
                    and (is_secure or not cookie.secure)
                    and _path_matches(path, cookie.path)
                    and not cookie.has_expired(now)
                ):
                    found.append(kept)
        self._turn += 1
        for kept in found:
            kept.used = self._turn
        found.sort(key=lambda kept: (-len(kept.cookie.path), kept.order))
        return found


def _keeps_promise(cookie: Cookie, *, named_path: str | None) -> bool:
    """Whether *cookie* is what its name says (RFC 6265bis section 4.1.3)."""
    lowered = cookie.name.lower()
    if lowered.startswith("__host-"):
        return cookie.secure and cookie.host_only and named_path == "/"
    return cookie.secure or not lowered.startswith("__secure-")


def _by_order(kept: _Kept) -> int:
    return kept.order


def _by_use(kept: _Kept) -> int:
    return kept.used


def _by_worth(kept: _Kept) -> tuple[bool, int]:
    return kept.cookie.secure, kept.used


def _joined(pairs: list[str]) -> str:
    size = 0
    for index, pair in enumerate(pairs):
        size += len(pair) + 2
        if size - 2 > MAX_HEADER:
            del pairs[index:]
            break
    return "; ".join(pairs)


def _check_pair(name: str, value: str) -> None:
    if not _NAME.fullmatch(name):
        raise InvalidHeader(f"not a cookie name: {name!r}")
    if not _VALUE.fullmatch(value):
        raise InvalidHeader(f"cookie {name} must not hold this: {value!r}")


def _checked_domain(domain: str) -> str:
    try:
        return host_and_port(f"[{domain}]" if ":" in domain else domain, 80)[0]
    except InvalidURL as error:
        raise ConfigurationError(f"not the domain of a cookie: {error}") from error


def _domains_of(host: str) -> Iterator[str]:
    """Yield *host* and every domain above it."""
    yield host
    if not is_address(host):
        at = host.find(".")
        while at >= 0:
            yield host[at + 1 :]
            at = host.find(".", at + 1)


def _domain_matches(host: str, domain: str) -> bool:
    """RFC 6265 section 5.1.3."""
    return host == domain or (host.endswith("." + domain) and not is_address(host))


def _path_matches(path: str, cookie_path: str) -> bool:
    """RFC 6265 section 5.1.4."""
    return path.startswith(cookie_path) and (
        len(path) == len(cookie_path)
        or cookie_path.endswith("/")
        or path[len(cookie_path)] == "/"
    )


def _default_path(path: str) -> str:
    """RFC 6265 section 5.1.4: up to the last slash, without it."""
    return path[: path.rfind("/")] or "/"
