"""Digest authentication: proof of a password without sending it (RFC 7616)."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from httpx_tw.client.challenges import parse_challenges, quoted
from httpx_tw.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from httpx_tw.client.authentication import AuthRequest
    from httpx_tw.client.challenges import Challenge
    from httpx_tw.origin import Origin

__all__ = ["DigestAuth"]

# Strongest first: with one out of several a server gets what it wants, and who sits
# between us and it does not get to choose MD5.
_ALGORITHMS: Final = {
    "sha-256": "sha256",
    "sha-256-sess": "sha256",
    "md5": "md5",
    "md5-sess": "md5",
}

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")

# What our own answers say.
_NONCE: Final = re.compile(r', nonce=("(?:[^"\\]|\\.)*")')
_FIRST_USE: Final = re.compile(r", nc=00000001\b")

# Origins whose challenge is remembered; the one not used for longest is forgotten.
_MOST_ORIGINS: Final = 64


@dataclass(slots=True)
class _Session:
    """A challenge, chosen, and how often it was answered."""

    challenge: Challenge
    algorithm: str
    qop: str
    """``auth``, ``auth-int``, or "" for a server that knows RFC 2069 only."""

    count: int = 0

    @property
    def is_sess(self) -> bool:
        """Whether the secret is made anew from the nonce: the ``-sess`` variants."""
        return self.algorithm.endswith("-sess")

    def hash(self, *parts: str | bytes) -> str:
        """Return the hash of *parts*, with colons between them, in hexadecimal."""
        name = _ALGORITHMS[self.algorithm]
        is_utf8 = self.challenge.parameters.get("charset", "").upper() == "UTF-8"
        joined = b":".join([_encoded(part, is_utf8=is_utf8) for part in parts])
        return hashlib.new(name, joined, usedforsecurity=False).hexdigest()


def _encoded(part: str | bytes, *, is_utf8: bool) -> bytes:
    if isinstance(part, bytes):
        return part
    if not is_utf8:
        # Section 4: without charset there is no telling. Latin-1 is how the server's
        # own fields came, and what browsers use for a name that fits into it.
        with suppress(UnicodeEncodeError):
            return part.encode("latin-1")
    return part.encode("utf-8", "surrogatepass")


class DigestAuth:
    """User name and password, proven by hashes.

    The first request to an origin goes without credentials and is challenged; from then
    on each request carries an answer, until the server wants a new nonce. Algorithms
    MD5, SHA-256 and their ``-sess`` variants; qop ``auth``, and ``auth-int`` for bodies
    that are bytes.

    :param make_cnonce: returns a fresh random string; for tests.
    :raises ConfigurationError: for control characters in either.
    """

    def __init__(
        self,
        username: str,
        password: str,
        *,
        make_cnonce: Callable[[], str] = secrets.token_hex,
    ) -> None:
        if _CONTROL.search(username) or _CONTROL.search(password):
            raise ConfigurationError(
                "credentials for Digest hold no control characters"
            )
        self._username = username
        self._password = password
        self._make_cnonce = make_cnonce
        self._sessions: OrderedDict[Origin, _Session] = OrderedDict()

    def apply(self, request: AuthRequest) -> list[tuple[str, str]]:
        """See Auth.apply."""
        session = self._sessions.get(request.url.origin)
        if session is None or (session.qop == "auth-int" and request.body is None):
            return []
        self._sessions.move_to_end(request.url.origin)
        session.count += 1
        answer = _answer(
            session, request, self._username, self._password, self._make_cnonce()
        )
        return [("Authorization", answer)]

    def challenged(
        self,
        request: AuthRequest,
        sent: str | None,
        status: int,
        challenges: Sequence[str],
    ) -> bool:
        """See Auth.challenged.

        False when the credentials were refused, or nothing was asked that we know.
        """
        if status != 401:
            return False
        origin = request.url.origin
        session = _chosen(challenges, can_hash_body=request.body is not None)
        if session is None or not _may_answer(session.challenge, sent):
            self._sessions.pop(origin, None)  # what it asks now, nobody has answered
            return False
        self._sessions[origin] = session
        self._sessions.move_to_end(origin)
        if len(self._sessions) > _MOST_ORIGINS:
            self._sessions.popitem(last=False)
        return True

    def __repr__(self) -> str:
        return f"<DigestAuth of {self._username!r}>"


def _may_answer(challenge: Challenge, sent: str | None) -> bool:
    """Whether *challenge* asks for more than a better password than *sent* has."""
    if sent is None:
        return True
    nonce = _NONCE.search(sent)
    if nonce is None or nonce[1] == quoted(challenge.parameters["nonce"]):
        return False  # the same question once more, even if it is called stale
    if challenge.parameters.get("stale", "").lower() == "true":
        return True  # RFC 7616 section 3.3: only the nonce was too old
    # Many servers do not say so. But who took a nonce once knew the password was right.
    return ", nc=" in sent and _FIRST_USE.search(sent) is None


def _chosen(challenges: Sequence[str], *, can_hash_body: bool) -> _Session | None:
    """Return the strongest challenge that can be answered."""
    possible: dict[str, _Session] = {}
    for challenge in parse_challenges(challenges):
        parameters = challenge.parameters
        algorithm = parameters.get("algorithm", "MD5").lower()
        if challenge.scheme != "digest" or algorithm not in _ALGORITHMS:
            continue
        if "nonce" not in parameters or "realm" not in parameters:
            continue
        qop = _chosen_qop(parameters.get("qop"), can_hash_body=can_hash_body)
        if qop is not None:
            possible.setdefault(algorithm, _Session(challenge, algorithm, qop))
    return next((possible[name] for name in _ALGORITHMS if name in possible), None)


def _chosen_qop(offered: str | None, *, can_hash_body: bool) -> str | None:
    """Return the quality of protection to use, "" for none; None: no offer will do."""
    if offered is None:
        return ""
    options = {option.strip().lower() for option in offered.split(",")}
    if "auth" in options:
        return "auth"
    return "auth-int" if "auth-int" in options and can_hash_body else None


def _answer(
    session: _Session,
    request: AuthRequest,
    username: str,
    password: str,
    cnonce: str,
) -> str:
    """Return the Authorization field (RFC 7616 section 3.4)."""
    parameters = session.challenge.parameters
    is_hashed = parameters.get("userhash", "").lower() == "true"
    shown = session.hash(username, parameters["realm"]) if is_hashed else username
    fields = [
        _user_field(shown),
        f"realm={quoted(parameters['realm'])}",
        f"nonce={quoted(parameters['nonce'])}",
        f"uri={quoted(request.url.target)}",
        f'response="{_response(session, request, username, password, cnonce)}"',
    ]
    if "algorithm" in parameters:
        fields.append(f"algorithm={parameters['algorithm']}")
    if session.qop:
        fields += [f"qop={session.qop}", f"nc={session.count:08x}"]
    if session.qop or session.is_sess:
        fields.append(f'cnonce="{cnonce}"')
    if "opaque" in parameters:
        fields.append(f"opaque={quoted(parameters['opaque'])}")
    if is_hashed:
        fields.append("userhash=true")
    return "Digest " + ", ".join(fields)


def _response(
    session: _Session,
    request: AuthRequest,
    username: str,
    password: str,
    cnonce: str,
) -> str:
    """Return the proof (RFC 7616 section 3.4.1)."""
    h = session.hash
    parameters = session.challenge.parameters
    nonce = parameters["nonce"]
    # Section 3.4.2: A1.
    secret = h(username, parameters["realm"], password)
    if session.is_sess:
        secret = h(secret, nonce, cnonce)
    # Section 3.4.3: A2.
    demand = [request.method, request.url.target]
    if session.qop == "auth-int":
        demand.append(h(request.body or b""))
    if not session.qop:  # as RFC 2069 had it
        return h(secret, nonce, h(*demand))
    return h(secret, nonce, f"{session.count:08x}", cnonce, session.qop, h(*demand))


def _user_field(username: str) -> str:
    if username.isascii():
        return f"username={quoted(username)}"
    # Section 3.4.4: as RFC 8187 has it, when it does not fit into a quoted string.
    return f"username*=UTF-8''{quote(username, safe='', errors='surrogatepass')}"
