"""What follows from a redirect: which request comes next, and what it leaves behind."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Self

from httpx_tw.client.urls import resolve
from httpx_tw.errors import (
    ConfigurationError,
    InvalidURL,
    RemoteProtocolError,
    TooManyRedirects,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from httpx_tw.client.urls import URL

__all__ = [
    "REDIRECT_STATUSES",
    "Redirect",
    "RedirectPolicy",
    "next_request",
    "redirect_policy_from",
]

REDIRECT_STATUSES: Final = frozenset({301, 302, 303, 307, 308})
"""Not 300, which asks a person to choose, nor 304 to 306, which lead nowhere."""

# RFC 9110 section 15.4, item 2: what must not go to somebody else. Host is the
# connection's own; a hand-written one names the origin we are leaving.
_FOR_ONE_ORIGIN: Final = frozenset(
    {"authorization", "cookie", "host", "proxy-authorization"}
)

# Item 5: what describes content that is not sent any more. Expect waits for it.
_OF_THE_CONTENT: Final = frozenset(
    "content-digest content-disposition content-encoding content-language "
    "content-length content-location content-type digest expect last-modified "
    "repr-digest trailer transfer-encoding".split()
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RedirectPolicy:
    """Whether and how far redirects are followed.

    :raises ConfigurationError: when ``max_redirects`` is negative.
    """

    follow_redirects: bool = True
    """False: the response that redirects is the answer."""

    max_redirects: int = 10
    """How many in a row; the next one raises. 0: the first one does. 10 as Go."""

    preserve_method: bool = False
    """True: POST stays POST after 301 and 302. Browsers, and so servers, have made it
    GET since 1996, and RFC 9110 section 15.4 lets them."""

    allow_cross_origin: bool = True
    """False: a redirect to another scheme, host or port is the answer."""

    def __post_init__(self) -> None:
        if self.max_redirects < 0:
            raise ConfigurationError(
                f"max_redirects must not be negative, got {self.max_redirects}"
            )

    @classmethod
    def no_follow(cls) -> Self:
        """Return a policy that follows nothing."""
        return cls(follow_redirects=False)

    @classmethod
    def strict(cls) -> Self:
        """Return a policy that stays at the origin, and with the method."""
        return cls(preserve_method=True, allow_cross_origin=False)


def redirect_policy_from(
    value: bool | RedirectPolicy,
    max_redirects: int,
) -> RedirectPolicy:
    """Return what *value* means: whether to follow, no more than so many.

    :raises ConfigurationError: see RedirectPolicy.
    """
    if isinstance(value, RedirectPolicy):
        return value
    return RedirectPolicy(follow_redirects=bool(value), max_redirects=max_redirects)


@dataclass(slots=True)
class Redirect:
    """The request to make instead."""

    method: str
    url: URL
    """Where to; never with userinfo."""

    keeps_body: bool
    """Send the body again. False: send none."""

    crosses_origin: bool
    """Somebody else will answer: use no credentials, also not from an Auth."""

    strips: frozenset[str]
    """Names, in lower case, of header fields that must not be sent on, from here to the
    end of the chain: a redirect back must not bring them back."""


def next_request(  # noqa: PLR0913  # the facts it takes to decide
    policy: RedirectPolicy,
    *,
    status: int,
    method: str,
    url: URL,
    locations: Sequence[str],
    can_replay: bool,
    redirects: int,
) -> Redirect | None:
    """Return the request that a response asks for, or None: it is the answer itself.

    It is the answer when the status does not redirect, when the policy forbids it, when
    there is no Location, and when the body would have to be sent again but cannot be
    (as in Go: the caller sees the 307). Pure: any thread may call.

    :param status: of the response; *method* and *url* are of its request.
    :param locations: the value of each Location field.
    :param can_replay: there was no body, or it can be sent a second time.
    :param redirects: how many have been followed before this one.
    :raises TooManyRedirects: when ``max_redirects`` have been; so a loop ends, too.
    :raises RemoteProtocolError: when Location is not one http or https URL, or it holds
        userinfo (RFC 9110 section 4.2.4).
    """
    if status not in REDIRECT_STATUSES or not policy.follow_redirects or not locations:
        return None
    target = _target(url, locations)
    crosses_origin = target.origin != url.origin
    if crosses_origin and not policy.allow_cross_origin:
        return None
    new_method = _next_method(status, method, preserve=policy.preserve_method)
    keeps_body = new_method == method
    if keeps_body and not can_replay:
        return None
    if redirects >= policy.max_redirects:
        raise TooManyRedirects(
            f"{redirects} redirects followed, and one more to {target}"
        )
    strips: frozenset[str] = frozenset()
    if crosses_origin:
        strips |= _FOR_ONE_ORIGIN
    if not keeps_body:
        strips |= _OF_THE_CONTENT
    return Redirect(new_method, target, keeps_body, crosses_origin, strips)


def _next_method(status: int, method: str, *, preserve: bool) -> str:
    """RFC 9110 sections 15.4.2 to 15.4.9."""
    if status == 303:
        return method if method in {"GET", "HEAD"} else "GET"
    if status in {301, 302} and method == "POST" and not preserve:
        return "GET"
    return method


def _target(url: URL, locations: Sequence[str]) -> URL:
    if len(set(locations)) > 1:
        # Which of them is followed differs from client to client, and from cache to
        # client: a way to send them to different places.
        raise RemoteProtocolError(f"{len(locations)} Location fields, expected one")
    try:
        target = resolve(url, _as_text(locations[0]))
    except InvalidURL as error:
        raise RemoteProtocolError(f"cannot follow Location: {error}") from error
    if target.userinfo is not None:
        raise RemoteProtocolError("cannot follow Location: it holds userinfo")
    if target.fragment is None:
        # RFC 9110 section 10.2.2: it inherits the one it was reached with.
        target = replace(target, fragment=url.fragment)
    return target


def _as_text(location: str) -> str:
    """Return *location*, which header fields give as Latin-1, as what was meant."""
    # Beyond ASCII a Location is not a URI at all; what servers write there is UTF-8.
    try:
        return location.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return location
