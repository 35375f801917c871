"""What OpenSSL writes into the DER of a session, as far as keeping it depends on that.

OpenSSL's ``SSL_SESSION_ASN1`` is a SEQUENCE: format version, protocol version, cipher
suite, session id, master secret, and then optional fields by their tags: [1] when it
was made, [2] for how long the context would keep it, [9] the ticket's lifetime as the
server hinted, [10] the ticket. pyOpenSSL binds no function that would tell.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["SessionFacts", "read_session"]

_SEQUENCE: Final = 0x30
_SESSION_ID: Final = 3  # position among the fields that are always there
_CREATED: Final = 0xA1
_TIMEOUT: Final = 0xA2
_LIFETIME_HINT: Final = 0xA9
_TICKET: Final = 0xAA
_TLS_1_3: Final = 0x0304

_MAX_LIFETIME: Final = 7 * 24 * 3600
"""RFC 8446 section 4.6.1: whatever the server says, no ticket lives longer."""


@dataclass(frozen=True, slots=True)
class SessionFacts:
    """What a session says of itself."""

    is_tls_1_3: bool
    created_at: float
    """Seconds since the epoch."""
    lifetime: float
    """Seconds that the session may be used for, from then on. 0: it may not."""


def read_session(der: bytes) -> SessionFacts | None:
    """Return what the session in *der* says of itself; None: none that resumes."""
    try:
        return _read(der)
    except (ValueError, IndexError):
        return None


def _read(der: bytes) -> SessionFacts | None:
    ((tag, content),) = _elements(der)
    if tag != _SEQUENCE:
        return None
    fields = list(_elements(content))
    tagged = {tag: content for tag, content in fields if tag & 0xC0 == 0x80}
    is_tls_1_3 = _number(fields[1][1]) == _TLS_1_3
    has_ticket = _TICKET in tagged
    if not has_ticket and (is_tls_1_3 or not fields[_SESSION_ID][1]):
        return None
    lifetime = _MAX_LIFETIME
    if _TIMEOUT in tagged:
        lifetime = min(lifetime, _tagged_number(tagged[_TIMEOUT]))
    if _LIFETIME_HINT in tagged:
        lifetime = min(lifetime, _tagged_number(tagged[_LIFETIME_HINT]))
    elif is_tls_1_3:
        # OpenSSL leaves a zero out. In TLS 1.3 it says "discard at once" (RFC 8446
        # section 4.6.1), in TLS 1.2 "unspecified" (RFC 5077 section 3.3).
        lifetime = 0
    return SessionFacts(is_tls_1_3, _tagged_number(tagged[_CREATED]), lifetime)


def _elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield tag and content of each element in *data*; tags are of one byte here.

    :raises ValueError: when they do not end where *data* does.
    """
    at = 0
    while at < len(data):
        tag, length = data[at], data[at + 1]
        at += 2
        if length & 0x80:
            octets = length & 0x7F
            length = int.from_bytes(data[at : at + octets], "big")
            at += octets
        end = at + length
        if end > len(data):
            raise ValueError(f"an element of {length} bytes, {len(data) - at} left")
        yield tag, data[at:end]
        at = end


def _number(content: bytes) -> int:
    return int.from_bytes(content, "big", signed=True)


def _tagged_number(content: bytes) -> int:
    ((_, inner),) = _elements(content)
    return max(0, _number(inner))
