"""What a server offers, and connections made of it, with the certificates of now."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.logger import Logger
from zope.interface import implementer

from httpx_tw.errors import ConfigurationError
from httpx_tw.tls.contexts import MIN_VERSIONS
from httpx_tw.tls.pem import (
    Pair,
    content_digest,
    load_client_authorities,
    load_pair,
    look_of,
    names_and_end,
    pairs_in,
)

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Sequence

__all__ = ["CIPHERS", "ServerCertificates", "ServerTLS"]

_log = Logger()

CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""For TLS 1.2: forward secrecy and authenticated encryption, nothing else. What lacks
them has not been updated since 2013."""

_VERIFY: Final = {
    "none": SSL.VERIFY_NONE,
    "optional": SSL.VERIFY_PEER,
    "required": SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerTLS:
    """What a server offers: its certificates, and what it asks of clients.

    :raises ConfigurationError: when something makes no sense; whether the files do
        shows when they are read.
    """

    certfile: str | os.PathLike[str] | None = None
    """The certificate and after it its chain, in PEM."""

    keyfile: str | os.PathLike[str] | None = None
    """The key, in PEM. None: it is in *certfile*."""

    chainfile: str | os.PathLike[str] | None = None
    """More of the chain, in PEM, to follow what is in *certfile*. None: no more."""

    password: str | None = field(default=None, repr=False)
    """Of the keys, if they are encrypted. None: they are not."""

    cert_dir: str | os.PathLike[str] | None = None
    """A directory with a certificate for each of several names: ``NAME.pem`` with the
    chain and the key, or with the key in ``NAME.key`` beside it; or a directory with
    ``fullchain.pem`` and ``privkey.pem``, as certbot makes them. The client's SNI
    chooses: the very name, then a wildcard, and then the default: *certfile*, or
    without one ``default.pem``, or without that the first by name."""

    ca_certs: str | os.PathLike[str] | None = None
    """Authorities, in PEM, of which certificates of clients are accepted."""

    cert_reqs: Literal["none", "optional", "required"] | None = None
    """Whether clients are asked for a certificate. None becomes "required" with
    *ca_certs*, "none" without."""

    ciphers: str = CIPHERS
    """For TLS 1.2, in OpenSSL's notation."""

    min_version: Literal["1.2", "1.3"] = "1.2"

    alpn: tuple[str, ...] = ("http/1.1",)
    """Application protocols spoken, the preferred first. A client that offers only
    others gets a connection without one, instead of none."""

    hsts: float = 0.0
    """Seconds for which browsers are told, in every response of an HTTP server, to use
    HTTPS alone (RFC 6797, max-age). It cannot be taken back before. 0: they are not."""

    def __post_init__(self) -> None:
        if self.certfile is None and self.cert_dir is None:
            raise ConfigurationError("TLS needs a certificate: certfile or cert_dir")
        for name in ("keyfile", "chainfile"):
            if getattr(self, name) is not None and self.certfile is None:
                raise ConfigurationError(f"{name} is of no use without certfile")
        if self.min_version not in MIN_VERSIONS:
            raise ConfigurationError(
                f"min_version must be one of {', '.join(MIN_VERSIONS)}, "
                f"got {self.min_version!r}"
            )
        if self.cert_reqs not in {None, *_VERIFY}:
            raise ConfigurationError(
                f"cert_reqs must be one of {', '.join(_VERIFY)}, got {self.cert_reqs!r}"
            )
        if not self.hsts >= 0:
            raise ConfigurationError(f"hsts must not be negative, got {self.hsts!r}")
        if self.cert_reqs is None:
            meant = "none" if self.ca_certs is None else "required"
            object.__setattr__(self, "cert_reqs", meant)
        if (self.cert_reqs != "none") != (self.ca_certs is not None):
            raise ConfigurationError("cert_reqs and ca_certs need each other")


@dataclass(frozen=True, slots=True)
class _Loaded:
    """What was read from the files at one moment."""

    default: SSL.Context
    by_name: dict[str, SSL.Context]
    """In lower case; wildcards with their asterisk."""

    def context_for(self, server_name: bytes | None) -> SSL.Context:
        if server_name is None:
            return self.default
        name = server_name.decode("ascii", "replace").lower()
        found = self.by_name.get(name)
        if found is None:
            # One label, whole, as clients match it (RFC 6125 section 6.4.3).
            found = self.by_name.get(f"*.{name.partition('.')[2]}", self.default)
        return found


class _ServerConnection(SSL.Connection):
    """Keeps the context it was made of, besides the one it is changed to.

    Its callback is called once more when a ClientHello is asked for twice.
    """

    def __init__(self, base: SSL.Context) -> None:
        super().__init__(base, None)
        self._base = base


@implementer(IOpenSSLServerConnectionCreator)
class ServerCertificates:
    """Makes the TLS connections of a server; certificates can be replaced meanwhile.

    Give it to anything of Twisted that listens with TLS, or let Server do so. Sessions
    resume by tickets alone, so clients take up no memory while they are away. The keys
    of the tickets belong to the first context, which stays when certificates are
    replaced: tickets given out before go on to be good. They end with the process, and
    when *ca_certs* changes, for a ticket vouches for its client's certificate.

    Use it on the reactor thread.

    :raises ConfigurationError: when a file cannot be read, or key and certificate are
        no pair; also for ciphers that do not exist.
    """

    def __init__(self, options: ServerTLS) -> None:
        self.options = options
        self._look = self._look_of_files()
        self._digest = content_digest(self._files())
        self._authorities = self._digest_of_authorities()
        self._session_id = secrets.token_bytes(16)
        self._loaded = self._load(self._session_id)
        self._base = self._make_base(self._session_id)

    def serverConnectionForTLS(self, tlsProtocol: object) -> SSL.Connection:  # noqa: N802, N803  # Twisted's names
        """See IOpenSSLServerConnectionCreator."""
        del tlsProtocol
        return _ServerConnection(self._base)

    def reload(self, *, looks_may_deceive: bool = False) -> bool:
        """Read the files again if they have changed; return whether that was done.

        Connections that are open go on as they are. When the new files cannot be used
        that is logged, once for each state of them, and the old certificates stay.

        :param looks_may_deceive: read the files even when their times and sizes are
            what they were.
        """
        look = self._look_of_files()
        if look == self._look and not looks_may_deceive:
            return False
        try:
            # First the digest: what changes while being read differs from it later.
            digest = content_digest(self._files())
            self._look = look
            if digest == self._digest:
                return False
            self._digest = digest
            self._renew()
        except ConfigurationError as error:
            self._look = look
            _log.error(
                "the new TLS certificates are refused, the old ones stay: {reason}",
                reason=str(error),
            )
            return False
        return True

    def _renew(self) -> None:
        authorities = self._digest_of_authorities()
        if authorities == self._authorities:
            self._loaded = self._load(self._session_id)
        else:
            session_id = secrets.token_bytes(16)
            loaded, base = self._load(session_id), self._make_base(session_id)
            self._loaded, self._base = loaded, base
            self._authorities, self._session_id = authorities, session_id
        _log.info("the TLS certificates were replaced")

    # Files

    def _pairs(self) -> list[Pair]:
        options = self.options
        pairs = []
        if options.certfile is not None:
            key = options.certfile if options.keyfile is None else options.keyfile
            more = options.chainfile
            chain = None if more is None else Path(more)
            pairs.append(Pair(Path(options.certfile), Path(key), chain))
        if options.cert_dir is not None:
            pairs += pairs_in(Path(options.cert_dir))
        return pairs

    def _files(self) -> list[Path]:
        files = [path for pair in self._pairs() for path in pair if path is not None]
        if self.options.ca_certs is not None:
            files.append(Path(self.options.ca_certs))
        return files

    def _look_of_files(self) -> object:
        try:
            return look_of(self._files())
        except ConfigurationError as error:
            return str(error)

    def _digest_of_authorities(self) -> bytes:
        authorities = self.options.ca_certs
        return content_digest([] if authorities is None else [Path(authorities)])

    # Contexts

    def _load(self, session_id: bytes) -> _Loaded:
        contexts = []
        by_name: dict[str, tuple[float, SSL.Context]] = {}
        for pair in self._pairs():
            context = self._make_context(pair, session_id)
            contexts.append(context)
            names, end = names_and_end(pair.certfile)
            _report(pair.certfile, names, end)
            for name in names:
                # Two for one name: the one that lives longer.
                if name not in by_name or by_name[name][0] < end:
                    by_name[name] = end, context
        return _Loaded(
            contexts[0], {name: context for name, (_, context) in by_name.items()}
        )

    def _make_base(self, session_id: bytes) -> SSL.Context:
        """Make the context whose only use is to be there for good."""
        base = self._make_context(self._pairs()[0], session_id)
        base.set_tlsext_servername_callback(self._choose_certificate)
        return base

    def _choose_certificate(self, connection: SSL.Connection) -> None:
        # OpenSSL asks whether the client has named a server or not.
        connection.set_context(self._loaded.context_for(connection.get_servername()))

    def _make_context(self, pair: Pair, session_id: bytes) -> SSL.Context:
        options = self.options
        context = SSL.Context(SSL.TLS_SERVER_METHOD)
        context.set_min_proto_version(MIN_VERSIONS[options.min_version])
        context.set_options(SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION)
        context.set_mode(SSL.MODE_RELEASE_BUFFERS)
        # Tickets need no cache, and a cache is memory that strangers fill.
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        # Without it OpenSSL fails whoever resumes after showing a certificate.
        context.set_session_id(session_id)
        context.set_alpn_select_callback(_alpn_choice(options.alpn))
        try:
            context.set_cipher_list(options.ciphers.encode("ascii"))
        except (SSL.Error, UnicodeEncodeError) as error:
            raise ConfigurationError(f"no such ciphers: {options.ciphers!r}") from error
        certfile, keyfile, chainfile = pair
        load_pair(context, certfile, keyfile, options.password, chainfile=chainfile)
        if options.ca_certs is not None:
            load_client_authorities(context, options.ca_certs)
        assert options.cert_reqs is not None, "see ServerTLS"
        context.set_verify(_VERIFY[options.cert_reqs])
        return context


def _alpn_choice(protocols: Iterable[str]) -> Any:
    spoken = [name.encode("ascii") for name in protocols]

    def choose(_: SSL.Connection, offered: Sequence[bytes]) -> Any:
        for name in spoken:
            if name in offered:
                return name
        return SSL.NO_OVERLAPPING_PROTOCOLS

    return choose


def _report(certfile: Path, names: Sequence[str], end: float) -> None:
    if end <= time.time():
        _log.warn("the TLS certificate in {path} HAS EXPIRED", path=str(certfile))
    _log.info(
        "TLS certificate for {names}, until {end}, from {path}",
        names=", ".join(names) or "no name",
        end=datetime.fromtimestamp(end, UTC).date().isoformat(),
        path=str(certfile),
    )
