"""What people are shown of a response: head, connection, times. Only text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from datetime import datetime

    from cryptography.x509 import Certificate, Name

    from httpx_tw.client.outgoing import OutgoingRequest
    from httpx_tw.client.response import ClientResponse, ConnectionFacts, TLSFacts
    from httpx_tw.client.timing import Timing

__all__ = [
    "connection_line",
    "request_head",
    "response_head",
    "size",
    "timing_lines",
    "tls_lines",
]

PHASE_NAMES: Final = {
    "waited": "waiting",
    "resolved": "DNS",
    "connected": "connect",
    "tunneled": "proxy",
    "secured": "TLS",
    "sent": "request sent",
    "started": "first byte",
    "ended": "body",
}

_SECRETS: Final = {"authorization", "proxy-authorization", "cookie"}


def response_head(response: ClientResponse) -> list[str]:
    """Return the status line and fields, a line each."""
    head = response.head
    lines = [f"{response.http_version} {head.status} {head.reason}".rstrip()]
    lines += [f"{_text(name)}: {_text(value)}" for name, value in head.headers]
    return [_shown(line) for line in lines]


def request_head(request: OutgoingRequest) -> list[str]:
    """Return the head as it is sent, a line each; credentials are left out."""
    line, *fields = request.head.decode("latin-1").rstrip("\r\n").split("\r\n")
    return [_shown(line), *(_shown(_without_secret(field)) for field in fields)]


def _without_secret(field: str) -> str:
    name, _, value = field.partition(": ")
    if name.lower() not in _SECRETS:
        return field
    scheme, space, _ = value.partition(" ")
    known = f"{scheme} " if space and name.lower() != "cookie" else ""
    return f"{name}: {known}(not shown)"


def connection_line(facts: ConnectionFacts, *, is_new: bool) -> str:
    """Return where it is connected to."""
    kind = "new connection" if is_new else "connection used again"
    peer = facts.peer
    where = f"{peer[0]} port {peer[1]}" if isinstance(peer, tuple) else peer or "?"
    ours = "" if facts.local is None else f", from port {facts.local[1]}"
    return f"{kind} to {where}{ours}"


def tls_lines(tls: TLSFacts, now: datetime) -> list[str]:
    """Return what the handshake has settled, and whom the certificate is for."""
    facts = [tls.version, tls.cipher]
    if tls.alpn is not None:
        facts.append(f"ALPN {tls.alpn}")
    if tls.is_resumed is not None:
        facts.append("session resumed" if tls.is_resumed else "new session")
    lines = ["TLS: " + ", ".join(filter(None, facts))]
    certificate = tls.certificate
    if certificate is not None:
        lines.append("certificate: " + _certificate(certificate, now))
    return [_shown(line) for line in lines]


def _certificate(certificate: Certificate, now: datetime) -> str:
    left = certificate.not_valid_after_utc - now
    until = f"valid until {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
    if left.total_seconds() < 0:
        remains = "EXPIRED"
    else:
        remains = f"{left.days} day{'' if left.days == 1 else 's'} left"
    who, issuer = _name(certificate.subject), _name(certificate.issuer)
    return f"{who}, issued by {issuer}, {until} ({remains})"


def _name(name: Name) -> str:
    return name.rfc4514_string() or "(nobody in particular)"


def timing_lines(timing: Timing) -> list[str]:
    """Return how long each phase took, and the sum, a line each."""
    durations = timing.durations()
    if durations.get("waited", 1.0) < 0.0005:
        del durations["waited"]  # for a slot: nobody else was there
    rows = [(PHASE_NAMES[phase], seconds) for phase, seconds in durations.items()]
    rows.append(("total", sum(timing.durations().values())))
    return [f"{name:<12} {1000 * seconds:>9.1f} ms" for name, seconds in rows]


def size(count: float) -> str:
    """Return *count* bytes as people read it: "12 bytes", "3.4 MiB"."""
    if count < 1024:
        return f"{count:.0f} bytes"
    for unit in ("KiB", "MiB", "GiB"):
        count /= 1024
        if count < 1024:
            return f"{count:.1f} {unit}"
    return f"{count / 1024:.1f} TiB"


def _text(value: bytes | str) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _shown(line: str) -> str:
    """Return *line* without what a terminal might obey."""
    return "".join(
        char if char.isprintable() or char == "\t" else f"\\x{ord(char):02x}"
        for char in line
    )
