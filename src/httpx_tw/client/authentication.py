"""Who we say we are: Basic, Bearer, netrc, and the interface that others fit."""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass
from netrc import NetrcParseError, netrc
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from httpx_tw.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from httpx_tw.client.urls import URL

__all__ = [
    "Auth",
    "AuthInput",
    "AuthRequest",
    "BasicAuth",
    "BearerAuth",
    "NetrcAuth",
    "auth_from",
    "basic_credentials",
]

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_VISIBLE: Final = re.compile(r"[!-~]+")


@dataclass(slots=True)
class AuthRequest:
    """What an Auth is told of a request."""

    method: str
    url: URL
    body: bytes | None = b""
    """The whole body, b"" for none; None when it is a stream, not to be looked at."""


class Auth(Protocol):
    """Adds credentials to requests, and answers challenges.

    One object may serve many requests at a time, on the reactor thread. A client never
    uses it for an origin that a redirect has led to. Write your own by having these two
    methods.
    """

    def apply(self, request: AuthRequest) -> list[tuple[str, str]]:
        """Return the header fields to add; none is fine, for instance at first."""

    def challenged(
        self,
        request: AuthRequest,
        sent: str | None,
        status: int,
        challenges: Sequence[str],
    ) -> bool:
        """Return whether to call ``apply`` again and send *request* once more.

        Called for each response of status 401, at most a few times for one request.

        :param sent: the Authorization field of the request, None if it had none.
        :param challenges: the value of each WWW-Authenticate field of the response.
        """


AuthInput: TypeAlias = "Auth | tuple[str, str] | None"
"""What a caller may give: a pair is user name and password for Basic."""


def auth_from(auth: AuthInput) -> Auth | None:
    """Return the Auth that *auth* stands for.

    :raises ConfigurationError: for what is neither an Auth nor a pair of str.
    """
    if isinstance(auth, tuple):
        if [type(part) for part in auth] != [str, str]:
            raise ConfigurationError("auth as a tuple is (user name, password), of str")
        return BasicAuth(*auth)
    if auth is None or (hasattr(auth, "apply") and hasattr(auth, "challenged")):
        return auth
    raise ConfigurationError(f"not an Auth: {type(auth).__name__}")


def basic_credentials(username: str, password: str) -> str:
    """Return credentials for Authorization and Proxy-Authorization (RFC 7617).

    :raises ConfigurationError: for a user name with a colon, which would end it, and
        for control characters (section 2).
    """
    if ":" in username:
        raise ConfigurationError("a user name for Basic cannot hold a colon")
    if _CONTROL.search(username) or _CONTROL.search(password):
        raise ConfigurationError("credentials for Basic hold no control characters")
    try:
        pair = f"{username}:{password}".encode()
    except UnicodeEncodeError as error:
        raise ConfigurationError("credentials for Basic must fit into UTF-8") from error
    return "Basic " + b64encode(pair).decode("ascii")


class _Constant:
    """The same credentials with every request, whatever is asked for."""

    __slots__ = ("_credentials",)

    def __init__(self, credentials: str) -> None:
        self._credentials = credentials

    def apply(self, request: AuthRequest) -> list[tuple[str, str]]:  # noqa: ARG002  # they do not depend on it
        """See Auth.apply."""
        return [("Authorization", self._credentials)]

    def challenged(
        self,
        request: AuthRequest,  # noqa: ARG002
        sent: str | None,  # noqa: ARG002
        status: int,  # noqa: ARG002
        challenges: Sequence[str],  # noqa: ARG002  # there is nothing better to say
    ) -> bool:
        """See Auth.challenged."""
        return False

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


class BasicAuth(_Constant):
    """User name and password, readable by whoever sees the request: use https.

    They are sent as UTF-8, without waiting to be asked.

    :raises ConfigurationError: see :func:`basic_credentials`.
    """

    __slots__ = ()

    def __init__(self, username: str, password: str) -> None:
        super().__init__(basic_credentials(username, password))


class BearerAuth(_Constant):
    """A token that is as good as its bearer (RFC 6750): use https.

    :raises ConfigurationError: when it is not visible ASCII without spaces.
    """

    __slots__ = ()

    def __init__(self, token: str) -> None:
        if not _VISIBLE.fullmatch(token):
            raise ConfigurationError("a bearer token is visible ASCII, without spaces")
        super().__init__(f"Bearer {token}")


class NetrcAuth:
    """Basic credentials by host, from a netrc file.

    The file is read once, here. Its ``default`` entry is not used: it would hand one
    password to every host there is.

    :param path: of the file; None: ``~/.netrc``.
    :raises ConfigurationError: when it cannot be read, makes no sense, or is readable
        by others (checked of ``~/.netrc``, as other programs do).
    """

    __slots__ = ("_credentials",)

    def __init__(self, path: str | Path | None = None) -> None:
        file = Path.home() / ".netrc" if path is None else Path(path)
        try:
            # Given no name, it checks owner and mode.
            entries = netrc(None if path is None else str(file))
        except (OSError, NetrcParseError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"cannot use {file}: {error}") from error
        self._credentials = {
            host.lower(): basic_credentials(login, password)
            for host, (login, _, password) in entries.hosts.items()
            if host != "default" and login and password
        }

    def apply(self, request: AuthRequest) -> list[tuple[str, str]]:
        """See Auth.apply."""
        credentials = self._credentials.get(request.url.host)
        return [("Authorization", credentials)] if credentials else []

    def challenged(
        self,
        request: AuthRequest,  # noqa: ARG002
        sent: str | None,  # noqa: ARG002
        status: int,  # noqa: ARG002
        challenges: Sequence[str],  # noqa: ARG002  # there is nothing better to say
    ) -> bool:
        """See Auth.challenged."""
        return False

    def __repr__(self) -> str:
        return f"<NetrcAuth for {len(self._credentials)} hosts>"
