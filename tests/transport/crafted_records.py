"""TLS records made by hand, for what no library sends.

RFC 8446 section 5.2 (TLS 1.3); RFC 5246 section 6.3 and RFC 5288 section 3 (TLS 1.2).
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from OpenSSL import SSL

if TYPE_CHECKING:
    from tests.transport.tls_pair import Peer

APPLICATION_DATA: Final = 23
ALERT: Final = 21
HANDSHAKE: Final = 22
_KEY_UPDATE: Final = 24


def telling_context(secrets: dict[bytes, bytes]) -> SSL.Context:
    """Return a client's context that writes the secrets of a handshake down."""
    context = SSL.Context(SSL.TLS_METHOD)

    def write_down(_: SSL.Connection, line: bytes) -> None:
        name, _random, secret = line.split()
        secrets[name] = bytes.fromhex(secret.decode("ascii"))

    context.set_keylog_callback(write_down)
    return context


class OldRecords:
    """Encrypts what a client of TLS 1.2 sends; AES-256-GCM with SHA-384."""

    def __init__(self, peer: Peer) -> None:
        tls = peer.tls
        assert tls.get_cipher_name() == "ECDHE-ECDSA-AES256-GCM-SHA384"
        secret = tls.master_key()
        server, client = tls.server_random(), tls.client_random()
        assert secret is not None
        assert server is not None
        assert client is not None
        keys = _expand_for_1_2(secret, b"key expansion" + server + client)
        self._key, self._salt = AESGCM(keys[:32]), keys[64:68]
        self._number = 1  # Finished was 0

    def record(self, kind: int, content: bytes) -> bytes:
        """Return *content* as a record of this *kind*."""
        number = self._number.to_bytes(8, "big")
        self._number += 1
        head = bytes([kind]) + b"\3\3"
        known = number + head + len(content).to_bytes(2, "big")
        sealed = number + self._key.encrypt(self._salt + number, content, known)
        return head + len(sealed).to_bytes(2, "big") + sealed


def _expand_for_1_2(secret: bytes, seed: bytes) -> bytes:
    """Return the first 96 bytes of P_SHA384 (RFC 5246 section 5)."""
    link, out = seed, b""
    for _ in range(2):
        link = hmac.digest(secret, link, "sha384")
        out += hmac.digest(secret, link + seed, "sha384")
    return out


class Records:
    """Encrypts what a client of TLS 1.3 sends; AES-256-GCM with SHA-384."""

    def __init__(self, peer: Peer, secrets: dict[bytes, bytes]) -> None:
        assert peer.tls.get_cipher_name() == "TLS_AES_256_GCM_SHA384"
        self._secret = secrets[b"CLIENT_TRAFFIC_SECRET_0"]
        self._renew()

    def _renew(self) -> None:
        self._key = AESGCM(_expand(self._secret, b"key", 32))
        self._iv = int.from_bytes(_expand(self._secret, b"iv", 12), "big")
        self._number = 0

    def record(self, kind: int, content: bytes) -> bytes:
        """Return *content* as a record of this *kind*."""
        inner = content + bytes([kind])
        head = b"\x17\x03\x03" + (len(inner) + 16).to_bytes(2, "big")
        nonce = (self._iv ^ self._number).to_bytes(12, "big")
        self._number += 1
        return head + self._key.encrypt(nonce, inner, head)

    def key_update(self, *, wants_answer: bool = False) -> bytes:
        """Return a KeyUpdate (section 4.6.3); what follows has other keys."""
        message = bytes([_KEY_UPDATE, 0, 0, 1, wants_answer])
        record = self.record(HANDSHAKE, message)
        self._secret = _expand(self._secret, b"traffic upd", 48)
        self._renew()
        return record


def _expand(secret: bytes, label: bytes, length: int) -> bytes:
    """Return HKDF-Expand-Label with no context (section 7.1)."""
    full = b"tls13 " + label
    told = length.to_bytes(2, "big") + bytes([len(full)]) + full + b"\0"
    return HKDFExpand(hashes.SHA384(), length, told).derive(secret)
