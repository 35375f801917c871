"""What OpenSSL writes into the DER of a session, as far as keeping it depends on that.

OpenSSL's ``SSL_SESSION_ASN1`` is a SEQUENCE: format version, protocol version, cipher
suite, session id, master secret, and then optional fields by their tags: [1] when it
was made, [2] for how long the context would keep it, [3] the server's certificate, [9]
the ticket's lifetime as the server hinted, [10] the ticket, [19] the group of the key
exchange. pyOpenSSL binds no function that would tell.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ReadSession", "read_session"]

_SEQUENCE: Final = 0x30
_VERSION, _SESSION_ID = 1, 3  # positions among the fields that are always there
_CREATED: Final = 0xA1
_TIMEOUT: Final = 0xA2
_CERTIFICATE: Final = 0xA3
_LIFETIME_HINT: Final = 0xA9
_TICKET: Final = 0xAA
_GROUP: Final = 0xB3
_TLS_1_3: Final = b"\x03\x04"

_MAX_LIFETIME: Final = 7 * 24 * 3600
"""RFC 8446 section 4.6.1: whatever the server says, no ticket lives longer."""


@dataclass(frozen=True, slots=True)
class ReadSession:
    """A session taken apart."""

    der: bytes
    """The session without its certificate, which OpenSSL would parse each time it is
    resumed: 23 of the 31 µs that offering a session costs."""
    certificate: bytes | None
    """The server's certificate, in DER. None: there was none in it."""
    is_tls_1_3: bool
    created_at: float
    """Seconds since the epoch."""
    lifetime: float
    """Seconds that the session may be used for, from then on. 0: it may not."""
    group: int
    """The group of the key exchange, by its number in TLS. 0: it is not said."""


def read_session(der: bytes) -> ReadSession | None:
    """Take the session in *der* apart; None: it is none that could be resumed."""
    try:
        return _read(der)
    except (ValueError, IndexError, KeyError):
        return None


def _read(der: bytes) -> ReadSession | None:
    ((tag, _, start, end),) = _elements(der, 0, len(der))
    if tag != _SEQUENCE:
        return None
    fields = list(_elements(der, start, end))
    content = {tag: der[start:end] for tag, _, start, end in fields}
    is_tls_1_3 = der[fields[_VERSION][2] : fields[_VERSION][3]] == _TLS_1_3
    _, _, start, end = fields[_SESSION_ID]
    if _TICKET not in content and (is_tls_1_3 or start == end):
        return None
    lifetime = _MAX_LIFETIME
    if _TIMEOUT in content:
        lifetime = min(lifetime, _number(content[_TIMEOUT]))
    if _LIFETIME_HINT in content:
        lifetime = min(lifetime, _number(content[_LIFETIME_HINT]))
    elif is_tls_1_3:
        # OpenSSL leaves a zero out. In TLS 1.3 it says "discard at once" (RFC 8446
        # section 4.6.1), in TLS 1.2 "unspecified" (RFC 5077 section 3.3).
        lifetime = 0
    certificate = content.get(_CERTIFICATE)
    if certificate is not None:
        rest = [der[at:end] for tag, at, _, end in fields if tag != _CERTIFICATE]
        der = _sequence(b"".join(rest))
    return ReadSession(
        der,
        certificate,
        is_tls_1_3,
        _number(content[_CREATED]),
        lifetime,
        _number(content[_GROUP]) if _GROUP in content else 0,
    )


def _elements(der: bytes, at: int, stop: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield tag, position, and where the content begins and ends, of each element.

    Tags are of one byte here.

    :raises ValueError: when the last does not end at *stop*.
    """
    while at < stop:
        tag, length, start = der[at], der[at + 1], at + 2
        if length & 0x80:
            octets = length & 0x7F
            length = int.from_bytes(der[start : start + octets], "big")
            start += octets
        end = start + length
        if end > stop:
            raise ValueError(f"an element of {length} bytes, {stop - start} left")
        yield tag, at, start, end
        at = end


def _number(content: bytes) -> int:
    """Return the INTEGER that is all of *content*."""
    ((_, _, start, end),) = _elements(content, 0, len(content))
    return max(0, int.from_bytes(content[start:end], "big", signed=True))


def _sequence(content: bytes) -> bytes:
    length = len(content)
    if length < 0x80:
        return bytes((_SEQUENCE, length)) + content
    octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((_SEQUENCE, 0x80 | len(octets))) + octets + content
