"""TlsSessionPool: the TLS sessions a client can resume, each under its key."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Final, NamedTuple

from twisted.logger import Logger

from httpx_tw.errors import ConfigurationError
from httpx_tw.tls.session_der import read_session
from httpx_tw.tls.session_file import read_entries, write_entries

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator

    from httpx_tw.tls.session_file import Entry

__all__ = [
    "MAX_PER_KEY",
    "SessionKey",
    "SessionStats",
    "StoredSession",
    "TlsSessionPool",
]

_log = Logger()

MAX_PER_KEY: Final = 8
"""Tickets kept for one key, as rustls: two come with each connection, and one is used
by the next."""


class SessionKey(NamedTuple):
    """Everything two connections must have in common for one to resume the other."""

    name: str
    """Whom the certificate must name."""

    port: int
    settings: str
    """A digest of trust, verification, ALPN, versions, ciphers, client certificate."""


@dataclass(frozen=True, slots=True, eq=False)
class StoredSession:
    """A session that a server gave us. Immutable; two are never equal."""

    der: bytes
    """As OpenSSL writes it, without the certificate. It holds secrets."""

    certificate: bytes | None
    """The server's certificate, in DER."""

    created_at: float
    """Seconds since the epoch."""

    lifetime: float
    """Seconds that it may be used for, as the server says."""

    is_single_use: bool
    """A TLS 1.3 ticket: used twice, it would tell the network that both connections
    are of one client (RFC 8446 appendix C.4)."""

    verified_name: str | None = None
    """The name that the certificate was verified for. None: nothing is remembered."""

    valid_until: float = 0.0
    """When the first certificate of the chain expires, in seconds since the epoch."""

    may_be_written: bool = True
    """It may go to a file."""

    group: int = 0
    """The group of the key exchange, by its number in TLS. 0: it is not known."""

    @classmethod
    def from_der(
        cls,
        der: bytes,
        certificate: bytes | None = None,
        *,
        verified_name: str | None = None,
        valid_until: float = 0.0,
        may_be_written: bool = True,
    ) -> StoredSession | None:
        """Return the session in *der*; None: it is none that could be resumed.

        :param certificate: the server's, where that is not in *der*.
        """
        found = read_session(der)
        if found is None or not found.lifetime:
            return None
        return cls(
            found.der,
            found.certificate or certificate,
            found.created_at,
            found.lifetime,
            found.is_tls_1_3,
            verified_name,
            valid_until,
            may_be_written,
            found.group,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionStats:
    """A pool's figures at one moment; counts are since it was made."""

    size: int
    """Sessions held."""
    hits: int
    """Times there was a session to offer."""
    misses: int
    """Times there was none."""
    stores: int
    evictions: int
    """Sessions dropped for want of room."""
    expired: int
    """Sessions dropped for their age."""

    @property
    def hit_rate(self) -> float:
        """The share of hits, 0.0 to 1.0; 0.0 before the first question."""
        asked = self.hits + self.misses
        return self.hits / asked if asked else 0.0


class TlsSessionPool:
    """Keeps TLS sessions, so that a client's next handshake with a server is short.

    The least recently used key gives way when there are too many. A TLS 1.3 ticket is
    given out once, the newest first; a TLS 1.2 session again and again until it has
    expired. All methods may be called from any thread.

    :param max_sessions: most sessions held. 0: none, so nothing is ever resumed.
    :param max_age: seconds a session is kept at most; the server may say less.
    :param path: a file that sessions are read from now and written to by :meth:`save`.
        None: they end with the process. The file holds secrets, so it is readable by
        its owner alone; one that others can read, or that is broken, is ignored with a
        warning. Its directory must exist.
    :param seconds: the time of day in seconds since the epoch.
    :raises ConfigurationError: when a number makes no sense.
    """

    def __init__(
        self,
        *,
        max_sessions: int = 1000,
        max_age: float = 3600.0,
        path: str | os.PathLike[str] | None = None,
        seconds: Callable[[], float] = time.time,
    ) -> None:
        if max_sessions < 0:
            raise ConfigurationError(f"max_sessions must be 0 or more: {max_sessions}")
        if not max_age > 0:
            raise ConfigurationError(f"max_age must be more than 0: {max_age}")
        self.max_sessions = max_sessions
        self.max_age = max_age
        self.path = path
        self.seconds = seconds
        self._lock = Lock()
        # By key, least recently used first; of one key, newest last.
        self._sessions: OrderedDict[SessionKey, deque[StoredSession]] = OrderedDict()
        self._size = 0
        self._hits = self._misses = self._stores = 0
        self._evictions = self._expired = 0
        if path is not None:
            self._load(path)

    def save_session(self, key: SessionKey, session: StoredSession) -> None:
        """Keep *session* for *key*, unless it has expired."""
        with self._lock:
            if not self.max_sessions or self._has_expired(session):
                return
            self._stores += 1
            held = self._sessions.setdefault(key, deque())
            self._sessions.move_to_end(key)
            if not session.is_single_use:
                self._drop_reusable(held)
            if len(held) == MAX_PER_KEY:
                held.popleft()
                self._size -= 1
                self._evictions += 1
            held.append(session)
            self._size += 1
            if self._size > self.max_sessions:
                self._evict()

    def get_session(self, key: SessionKey) -> StoredSession | None:
        """Return a session to offer for *key*, the newest; None: there is none.

        One that may be used only once is not held any more.
        """
        with self._lock:
            held = self._sessions.get(key)
            while held:
                session = held[-1]
                if self._has_expired(session):
                    held.pop()
                    self._size -= 1
                    self._expired += 1
                    continue
                self._hits += 1
                self._sessions.move_to_end(key)
                if session.is_single_use:
                    held.pop()
                    self._size -= 1
                    self._forget_if_empty(key, held)
                return session
            self._misses += 1
            if held is not None:
                del self._sessions[key]
            return None

    def discard(self, key: SessionKey, session: StoredSession) -> None:
        """Drop *session*, which must not be offered again; not held any more is fine.

        RFC 8446 section 6.2, RFC 5246 section 7.2.2: after a fatal alert.
        """
        with self._lock:
            held = self._sessions.get(key)
            if held is not None and session in held:
                held.remove(session)
                self._size -= 1
                self._forget_if_empty(key, held)

    def cleanup(self) -> int:
        """Drop what has expired, and return how many that were.

        Not needed: what has expired is not given out, and makes room when it must.
        """
        with self._lock:
            before = self._size
            for key, held in list(self._sessions.items()):
                alive = deque(s for s in held if not self._has_expired(s))
                self._size -= len(held) - len(alive)
                self._sessions[key] = alive
                self._forget_if_empty(key, alive)
            dropped = before - self._size
            self._expired += dropped
            return dropped

    def clear(self) -> None:
        """Drop everything; the figures stay."""
        with self._lock:
            self._sessions.clear()
            self._size = 0

    @property
    def stats(self) -> SessionStats:
        """The figures of this moment."""
        with self._lock:
            return SessionStats(
                size=self._size,
                hits=self._hits,
                misses=self._misses,
                stores=self._stores,
                evictions=self._evictions,
                expired=self._expired,
            )

    def __len__(self) -> int:
        return self._size

    # The file

    def save(self) -> None:
        """Write what is held to the file; without a path do nothing.

        What was made with a client certificate or pins is left out. When the file
        cannot be written there is a warning, and the old one stays.
        """
        if self.path is None:
            return
        with self._lock:
            entries = list(self._entries())
        try:
            write_entries(self.path, entries)
        except OSError as error:
            _log.warn(
                "TLS sessions could not be written to {path}: {reason}",
                path=self.path,
                reason=error.strerror,
            )

    def _entries(self) -> Iterator[Entry]:
        for key, held in self._sessions.items():
            for session in held:
                if session.may_be_written and not self._has_expired(session):
                    yield *key, session.der, session.certificate or b""

    def _load(self, path: str | os.PathLike[str]) -> None:
        # What the file says of itself is not believed: nothing of it counts as
        # verified, so each connection checks the certificate of what it resumes.
        for name, port, settings, der, certificate in read_entries(path):
            session = StoredSession.from_der(der, certificate or None)
            if session is not None:
                self.save_session(SessionKey(name, port, settings), session)
        self._stores = self._evictions = 0

    # Under the lock

    def _has_expired(self, session: StoredSession) -> bool:
        age = self.seconds() - session.created_at
        # Younger than nothing: the clock was set back, and nobody knows its age. One
        # second is what OpenSSL rounds away.
        return not -1 <= age < min(session.lifetime, self.max_age)

    def _drop_reusable(self, held: deque[StoredSession]) -> None:
        kept = [session for session in held if session.is_single_use]
        self._size -= len(held) - len(kept)
        held.clear()
        held.extend(kept)

    def _evict(self) -> None:
        key = next(iter(self._sessions))
        held = self._sessions[key]
        held.popleft()
        self._size -= 1
        self._evictions += 1
        self._forget_if_empty(key, held)

    def _forget_if_empty(self, key: SessionKey, held: deque[StoredSession]) -> None:
        if not held:
            del self._sessions[key]
