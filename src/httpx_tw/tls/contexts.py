"""TLSPolicy: what a client asks of TLS; ClientContexts: a context for each of them."""

from __future__ import annotations

import hashlib
import os
import string
from collections import OrderedDict
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.logger import Logger
from zope.interface import implementer

from httpx_tw.errors import ConfigurationError
from httpx_tw.tls.client_connection import ClientConnection, verify_callback
from httpx_tw.tls.identity import PeerName
from httpx_tw.tls.pem import load_pair
from httpx_tw.tls.sessions import SessionKey, TlsSessionPool

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["MIN_VERSIONS", "ClientContexts", "ClientCreator", "TLSPolicy"]

_log = Logger()

MIN_VERSIONS: Final = {"1.2": SSL.TLS1_2_VERSION, "1.3": SSL.TLS1_3_VERSION}

_CIPHERS: Final = (
    "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:DHE+CHACHA20:ECDHE+AES:DHE+AES:"
    "!aNULL:!eNULL:!aDSS:!SHA1:!AESCCM"
)
"""For TLS 1.2: forward secrecy always, CBC (with SHA-2) only where a server has
nothing better, as Python's ssl. The suites of TLS 1.3 are all sound: OpenSSL's own."""

_MAX_CONTEXTS: Final = 32
"""Contexts kept: with the platform's trust each has 780 KiB."""

_MAX_CREATORS: Final = 1000
"""Servers remembered of one policy; as many as there are sessions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TLSPolicy:
    """What a client asks of a TLS connection. Immutable and hashable.

    :raises ConfigurationError: when something makes no sense; whether files can be read
        shows in :meth:`ClientContexts.creator_for`.
    """

    verify: bool | str | os.PathLike[str] = True
    """Whom to trust. True: the authorities of the platform; a path: those of a PEM
    file, or of a directory in OpenSSL's hashed form. False: **anybody**. Then whoever
    is on the way can read and change everything; it is said in the log."""

    cert: str | os.PathLike[str] | tuple[str | os.PathLike[str], ...] | None = field(
        default=None, repr=False
    )
    """The client's own certificate, with its chain, and its key, in PEM: a file with
    both, or a tuple of certificate file, key file and, if it has one, the key's
    password. None: none."""

    min_version: Literal["1.2", "1.3"] = "1.2"

    ciphers: str | None = None
    """For TLS 1.2, in OpenSSL's notation. None: the sound ones."""

    alpn: tuple[str, ...] = ("http/1.1",)
    """Application protocols offered, the preferred first. Empty: ALPN is not used."""

    pins: frozenset[str] = frozenset()
    """SHA-256 digests, in hex, of public keys (SubjectPublicKeyInfo). One certificate
    of the verified chain must have one of them; with ``verify=False`` the server's own.
    Empty: any key will do."""

    server_hostname: str | None = None
    """Name sent (SNI) and verified. None: the host that is connected to."""

    def __post_init__(self) -> None:
        # The annotations say what callers should pass; this is for those who do not.
        verify: Any = self.verify
        if not isinstance(verify, bool):
            self._set("verify", _path(verify, "verify"))
        if self.cert is not None:
            self._set("cert", _pair(self.cert))
        if self.min_version not in MIN_VERSIONS:
            raise ConfigurationError(
                f"min_version must be one of {', '.join(MIN_VERSIONS)}, "
                f"got {self.min_version!r}"
            )
        self._set("alpn", _protocols(self.alpn))
        self._set("pins", frozenset(map(_pin, self.pins)))
        if self.server_hostname is not None:
            PeerName.of(self.server_hostname)

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)


def _path(value: Any, name: str) -> str:
    try:
        path = os.fspath(value)
    except TypeError:
        path = None
    if not isinstance(path, str) or not path:
        raise ConfigurationError(f"{name} must be a path, got {value!r}")
    return path


def _pair(cert: Any) -> tuple[str, ...]:
    parts = cert if isinstance(cert, tuple) else (cert,)
    if not 1 <= len(parts) <= 3:
        raise ConfigurationError(
            "cert must be a file, or (certificate file, key file, password); "
            f"got a tuple of {len(parts)}"
        )
    password = parts[2:]
    if any(not isinstance(part, str) for part in password):
        raise ConfigurationError("the password of cert must be a string")
    return (*(_path(part, "cert") for part in parts[:2]), *password)


def _protocols(names: Any) -> tuple[str, ...]:
    if isinstance(names, str):
        raise ConfigurationError(f"alpn must be several names, got {names!r}")
    for name in names:
        if not (isinstance(name, str) and name.isascii() and 0 < len(name) < 256):
            raise ConfigurationError(f"alpn: {name!r} is no name of a protocol")
    return tuple(names)


def _pin(text: Any) -> str:
    pin = text.replace(":", "").lower() if isinstance(text, str) else ""
    if len(pin) != 64 or set(pin) - set(string.hexdigits):
        raise ConfigurationError(f"a pin is a SHA-256 in 64 hex digits, got {text!r}")
    return str(pin)


class ClientContexts:
    """Makes the TLS connections of a client; policies share contexts and sessions.

    A context costs 5 ms and 780 KiB to make, so there is one for each policy. The files
    it names are read when it is made. Use it on one thread.

    :param sessions: None: a pool of its own. To resume nothing, give it one of size 0.
    """

    def __init__(self, sessions: TlsSessionPool | None = None) -> None:
        self.sessions = TlsSessionPool() if sessions is None else sessions
        self._contexts: OrderedDict[TLSPolicy, _Prepared] = OrderedDict()

    def creator_for(
        self, host: str, port: int, policy: TLSPolicy | None = None
    ) -> ClientCreator:
        """Return what makes connections to *host*, a name or an address.

        Connections send its name (SNI), verify it in every handshake, and resume only
        sessions made for the same name, port and policy.

        :param policy: None: the default, ``TLSPolicy()``.
        :raises ConfigurationError: when the host is none, a file cannot be read or
            OpenSSL does not take what is in it.
        """
        policy = _DEFAULT if policy is None else policy
        found = self._contexts.get(policy)
        if found is None:
            found = _Prepared(_make_context(policy), _digest_of(policy))
            self._contexts[policy] = found
            if len(self._contexts) > _MAX_CONTEXTS:
                self._contexts.popitem(last=False)
        else:
            self._contexts.move_to_end(policy)
        creator = found.creators.get((host, port))
        if creator is None:
            name = PeerName.of(policy.server_hostname or host)
            key = SessionKey(name.text, port, found.settings)
            creator = ClientCreator(found.context, policy, name, key, self.sessions)
            if len(found.creators) == _MAX_CREATORS:
                found.creators.popitem(last=False)
            found.creators[host, port] = creator
        return creator

    def clear(self) -> None:
        """Forget the contexts: the files are read again when they are next needed."""
        self._contexts.clear()

    def close(self) -> None:
        """Forget the contexts, and have the sessions written to their file, if any."""
        self.clear()
        self.sessions.save()


class _Prepared:
    """What the connections of one policy share."""

    __slots__ = ("context", "creators", "settings")

    def __init__(self, context: SSL.Context, settings: str) -> None:
        self.context = context
        self.settings = settings
        # By host and port, the oldest first: to read a name takes 8 µs.
        self.creators: OrderedDict[tuple[str, int], ClientCreator] = OrderedDict()


@implementer(IOpenSSLClientConnectionCreator)
class ClientCreator:
    """Makes TLS connections to one server. See :meth:`ClientContexts.creator_for`.

    Give it to Twisted's ``wrapClientTLS``, ``startTLS`` or ``TLSMemoryBIOFactory``. A
    handshake that fails ends the connection: the reason that ``connectionLost`` is
    given is a HandshakeFailed or CertificateRejected, and a ConnectionLost of Twisted
    when the server has just hung up.
    """

    def __init__(
        self,
        context: SSL.Context,
        policy: TLSPolicy,
        name: PeerName,
        key: SessionKey,
        sessions: TlsSessionPool,
    ) -> None:
        self.name = name
        """Whom the certificate must name."""
        self.key = key
        """Under which sessions are kept."""
        self.sessions = sessions
        self.verifies = policy.verify is not False
        self.pins = policy.pins
        # Others read the file with other rights than the key or the pins demand.
        self.sessions_may_be_written = policy.cert is None and not policy.pins
        self._context = context
        self._server_name = name.server_name

    def clientConnectionForTLS(self, tlsProtocol: object) -> ClientConnection:  # noqa: N802, N803  # Twisted's names
        """See IOpenSSLClientConnectionCreator."""
        del tlsProtocol  # failures are raised by do_handshake
        connection = ClientConnection(self._context, self)
        if self._server_name is not None:
            connection.set_tlsext_host_name(self._server_name)
        return connection


_DEFAULT: Final = TLSPolicy()


def _make_context(policy: TLSPolicy) -> SSL.Context:
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_min_proto_version(MIN_VERSIONS[policy.min_version])
    context.set_options(SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    try:
        context.set_cipher_list((policy.ciphers or _CIPHERS).encode("ascii"))
    except (SSL.Error, UnicodeEncodeError) as error:
        raise ConfigurationError(f"no such ciphers: {policy.ciphers!r}") from error
    if policy.alpn:
        context.set_alpn_protos([name.encode("ascii") for name in policy.alpn])
    if policy.verify is False:
        _log.warn(
            "TLS certificates are NOT VERIFIED (verify=False): whoever is on the way "
            "to the server can read and change everything"
        )
        context.set_verify(SSL.VERIFY_NONE)
    else:
        _add_trust(context, policy.verify)
        context.set_verify(
            SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, verify_callback
        )
    if policy.cert is not None:
        load_pair(context, *_parts_of(policy))
    return context


def _parts_of(policy: TLSPolicy) -> tuple[str, ...]:
    return cast("tuple[str, ...]", policy.cert or ())  # see __post_init__


def _add_trust(context: SSL.Context, verify: Any) -> None:
    if verify is True:
        context.set_default_verify_paths()
        return
    try:
        if Path(verify).is_dir():
            context.load_verify_locations(None, verify)
        else:
            Path(verify).open("rb").close()  # for its error, which says more
            context.load_verify_locations(verify)
    except OSError as error:
        raise ConfigurationError(f"cannot read {verify}: {error.strerror}") from error
    except SSL.Error as error:
        raise ConfigurationError(f"{verify} has no certificates in PEM") from error


def _digest_of(policy: TLSPolicy) -> str:
    """Return what tells *policy* from any other, with what is in its files.

    All its fields count, so a new one cannot be forgotten here: keys that were not
    complete are the one mistake that session caches keep making.
    """
    digest = hashlib.sha256()
    for part in fields(policy):
        value = getattr(policy, part.name)
        if isinstance(value, frozenset):
            value = tuple(sorted(value))
        digest.update(f"{part.name}={value!r};".encode())
    paths = [policy.verify] if isinstance(policy.verify, str) else []
    for content in map(_content_of, [*paths, *_parts_of(policy)[:2]]):
        digest.update(hashlib.sha256(content).digest())
    return digest.hexdigest()


def _content_of(path: Any) -> bytes:
    place = Path(path)
    if not place.is_dir():
        return place.read_bytes()
    return b"".join(_files_in(place))


def _files_in(directory: Path) -> Iterator[bytes]:
    # Hashed names change with what they name.
    for file in sorted(directory.iterdir()):
        yield file.name.encode("utf-8", "surrogateescape") + b"\0"
        if file.is_file():
            yield hashlib.sha256(file.read_bytes()).digest()
