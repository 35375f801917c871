"""A client's TLS connection, which knows whom it has to be connected to.

OpenSSL asks for a verdict on the certificate in a full handshake only. In a resumed one
there is no certificate on the wire, and whoever checks names in the verify callback, as
Twisted's own client does, checks nothing: a session of one name is taken for another.
So here ``do_handshake`` does not succeed before the identity is established, in
whichever way the handshake went, and nothing is sent or received before that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from OpenSSL import SSL
from OpenSSL.crypto import FILETYPE_ASN1, load_certificate
from OpenSSL.crypto import Error as CryptoError
from twisted.logger import Logger

from httpx_tw.errors import CertificateRejected, HandshakeFailed
from httpx_tw.tls.identity import check_name, complaint_of, pin_of, valid_until
from httpx_tw.tls.openssl_sessions import (
    copy_session,
    info_watcher,
    offer_session,
    still_has,
    was_resumed,
)
from httpx_tw.tls.sessions import MAX_PER_KEY, StoredSession

if TYPE_CHECKING:
    from cryptography.x509 import Certificate
    from OpenSSL.crypto import X509

    from httpx_tw.tls.identity import PeerName
    from httpx_tw.tls.sessions import SessionKey, TlsSessionPool

__all__ = ["ClientConnection", "Expectation", "verify_callback"]

_log = Logger()

_TICKET_STATE: Final = b"SSLv3/TLS read server session ticket"
_HARMLESS_ALERTS: Final = {(0, False), (0, True), (90, False), (50, True)}
"""Codes, and whether we have sent them: close_notify, and user_canceled. Any other is
fatal (RFC 8446 section 6). But a decode_error is also what OpenSSL says when the server
just hangs up, as it does with idle connections: that proves nothing against it."""


class Expectation(Protocol):
    """What a connection has to live up to; all connections to one server share it."""

    @property
    def name(self) -> PeerName:
        """Whom the certificate must name."""

    @property
    def key(self) -> SessionKey:
        """Under which sessions are kept."""

    @property
    def sessions(self) -> TlsSessionPool:
        """Where sessions are kept."""

    @property
    def verifies(self) -> bool:
        """Whether the certificate must name the server and be of who is trusted."""

    @property
    def pins(self) -> frozenset[str]:
        """Public keys of which the chain must have one; empty: any will do."""

    @property
    def sessions_may_be_written(self) -> bool:
        """Whether sessions may go to a file."""


class _Refused(HandshakeFailed, SSL.Error):
    """For Twisted and for us: its TLS fails a connection for an SSL.Error alone.

    Whose arguments are OpenSSL's queue of errors, which Twisted looks into.
    """

    def __init__(self, message: str) -> None:
        super().__init__([("httpx_tw", "", message)])
        self._message = message

    def __str__(self) -> str:
        return self._message


class _Rejected(CertificateRejected, _Refused):
    """The same for a certificate."""


def verify_callback(
    connection: SSL.Connection, certificate: Any, code: int, depth: int, ok: int
) -> bool:
    """Pass OpenSSL's question about one certificate on: the callback of a context."""
    assert isinstance(connection, ClientConnection)
    return connection.certificate_found(
        certificate, code, is_leaf=not depth, is_sound=bool(ok)
    )


def _something_happened(connection: SSL.Connection, where: int, value: int) -> None:
    # A function, not a method: a bound one would tie the connection to itself.
    assert isinstance(connection, ClientConnection)
    try:
        connection.something_happened(where, value)
    except Exception:  # noqa: BLE001  # cffi would print it to standard error
        _log.failure("while looking at what TLS does")


_watch = info_watcher(_something_happened)


class ClientConnection(SSL.Connection):
    """An OpenSSL connection of a client, over memory or a socket.

    Its context has :func:`verify_callback`. It offers a session, if there is one to
    offer, and keeps those that come in.
    """

    def __init__(self, context: SSL.Context, expected: Expectation) -> None:
        super().__init__(context, None)
        self._expected = expected
        self._is_trusted = False  # a full handshake has verified it
        self._valid_until = float("inf")
        self._has_pin = not expected.pins
        self._refusal: _Refused | None = None
        self._is_established = False
        self._received: list[StoredSession] = []
        self._offered_as: Any = None
        self._resumed: StoredSession | None = None
        self._offered = self._offer()

    def _offer(self) -> StoredSession | None:
        expected = self._expected
        session = expected.sessions.get_session(expected.key)
        if session is None:
            return None
        self._offered_as = offer_session(self, session.der, session.group)
        return None if self._offered_as is None else session

    # The handshake

    def do_handshake(self) -> None:
        """See SSL.Connection.do_handshake.

        :raises SSL.Error: as there. A failure that is no want is a HandshakeFailed too;
            a CertificateRejected when it is about the certificate.
        """
        try:
            super().do_handshake()
        except (SSL.WantReadError, SSL.WantWriteError):
            raise
        except SSL.Error as error:
            self._forget_offered()
            if self._refusal is not None:
                raise self._refusal from error
            if isinstance(error, SSL.SysCallError):
                raise  # the connection ended; Twisted knows it by its type
            raise _Refused(f"the TLS handshake failed: {_reason_of(error)}") from error
        if not self._is_established:
            self._establish()

    def certificate_found(
        self, certificate: Any, code: int, *, is_leaf: bool, is_sound: bool
    ) -> bool:
        """Judge one certificate of the chain: the authority's first, the leaf last."""
        try:
            if not is_sound:
                raise _Rejected(f"the certificate {complaint_of(code)}")
            self._look_at(certificate.to_cryptography(), is_leaf=is_leaf)
        except CertificateRejected as error:
            self._refusal = _as_refusal(error)
            return False
        return True

    def _look_at(self, certificate: Certificate, *, is_leaf: bool) -> None:
        expected = self._expected
        self._valid_until = min(self._valid_until, valid_until(certificate))
        if not self._has_pin:
            self._has_pin = pin_of(certificate) in expected.pins
        if is_leaf:
            check_name(certificate, expected.name)
            if not self._has_pin:
                raise _Rejected("no certificate of the chain has a pinned key")
            self._is_trusted = True

    def _establish(self) -> None:
        expected = self._expected
        if was_resumed(self):
            self._resumed = self._offered
        try:
            if expected.verifies:
                if not self._is_trusted:
                    self._check_resumed()
            elif not self._has_pin:
                self._check_pin_of_leaf()
        except CertificateRejected as error:
            self._forget_offered()
            raise _as_refusal(error) from error
        self._is_established = True
        # Only now: in the handshake it would be called 15 times, to no purpose.
        _watch(self)
        if self.get_protocol_version() < SSL.TLS1_3_VERSION and not (
            self._resumed is not None and still_has(self, self._offered_as)
        ):
            self._keep_session()

    def _check_resumed(self) -> None:
        """Check who it is without a certificate on the wire.

        What was resumed is what was offered, and that was kept under this very key:
        the same trust. It remembers for which name, and until when, that was verified.
        """
        resumed = self._resumed
        if resumed is None:
            raise _Rejected("the server has shown no certificate")
        expected = self._expected
        if resumed.verified_name == expected.name.text:
            self._valid_until = resumed.valid_until
        else:
            leaf = self._leaf()
            check_name(leaf, expected.name)
            self._valid_until = valid_until(leaf)
        if expected.sessions.seconds() >= self._valid_until:
            raise _Rejected("the certificate has expired")

    def _check_pin_of_leaf(self) -> None:
        if pin_of(self._leaf()) not in self._expected.pins:
            raise _Rejected("the certificate has no pinned key")

    def _leaf(self) -> Certificate:
        try:
            certificate: X509 | None = self.get_peer_certificate()
        except CryptoError as error:
            raise _Rejected("the certificate of the session is broken") from error
        if certificate is None:
            raise _Rejected("the server has shown no certificate")
        return certificate.to_cryptography()

    def get_peer_certificate(self, **options: Any) -> Any:
        """See SSL.Connection.get_peer_certificate."""
        shown = self.shown_certificate()
        if not isinstance(shown, bytes):
            return super().get_peer_certificate(**options)
        found = load_certificate(FILETYPE_ASN1, shown)
        return found.to_cryptography() if options.get("as_cryptography") else found

    def shown_certificate(self) -> X509 | bytes | None:
        """Return the server's certificate as it is at hand: an X509, or in DER."""
        # Sessions are kept without it, see read_session.
        if self._resumed is not None and self._resumed.certificate is not None:
            return self._resumed.certificate
        found: X509 | None = super().get_peer_certificate()
        return found

    # Sessions

    def something_happened(self, where: int, value: int) -> None:
        """See SSL_set_info_callback: a message after the handshake, or an alert."""
        if where == SSL.SSL_CB_CONNECT_LOOP:
            if self.get_state_string() == _TICKET_STATE:
                self._keep_session()
        elif where & SSL.SSL_CB_ALERT:
            sent = bool(where & SSL.SSL_CB_WRITE)
            if (value & 0xFF, sent) not in _HARMLESS_ALERTS:
                self._forget_all()

    def _keep_session(self) -> None:
        der = copy_session(self)
        if der is None or (self._offered is not None and der == self._offered.der):
            return
        expected = self._expected
        session = StoredSession.from_der(
            der,
            None if self._resumed is None else self._resumed.certificate,
            verified_name=expected.name.text if expected.verifies else None,
            valid_until=self._valid_until,
            may_be_written=expected.sessions_may_be_written,
        )
        if session is not None:
            self._received.append(session)
            # A server may send tickets without end; the pool keeps no more either.
            del self._received[:-MAX_PER_KEY]
            expected.sessions.save_session(expected.key, session)

    def _forget_all(self) -> None:
        self._forget_offered()
        for session in self._received:
            self._expected.sessions.discard(self._expected.key, session)

    def _forget_offered(self) -> None:
        if self._offered is not None:
            self._expected.sessions.discard(self._expected.key, self._offered)

    # OpenSSL finishes a handshake inside these as well, past do_handshake.

    def send(self, buf: Any, flags: int = 0) -> int:
        """See SSL.Connection.send."""
        if not self._is_established:
            self.do_handshake()
        return SSL.Connection.send(self, buf, flags)

    write = send

    def sendall(self, buf: Any, flags: int = 0) -> int:
        """See SSL.Connection.sendall."""
        if not self._is_established:
            self.do_handshake()
        return SSL.Connection.sendall(self, buf, flags)

    def recv(self, bufsiz: int, flags: int | None = None) -> bytes:
        """See SSL.Connection.recv."""
        if not self._is_established:
            self.do_handshake()
        return SSL.Connection.recv(self, bufsiz, flags)

    read = recv

    def recv_into(
        self, buffer: Any, nbytes: int | None = None, flags: int | None = None
    ) -> int:
        """See SSL.Connection.recv_into."""
        if not self._is_established:
            self.do_handshake()
        return SSL.Connection.recv_into(self, buffer, nbytes, flags)


def _as_refusal(error: CertificateRejected) -> _Refused:
    if isinstance(error, _Refused):
        return error
    refusal = _Rejected(str(error))
    refusal.__cause__ = error.__cause__
    return refusal


def _reason_of(error: SSL.Error) -> str:
    # pyOpenSSL: a list of (library, function, reason), the first error first.
    match error.args:
        case ([(_, _, str(reason)), *_],) if reason:
            return reason
        case _:
            return str(error) or type(error).__name__
