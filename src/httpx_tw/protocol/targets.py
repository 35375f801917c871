"""Request targets, and what of them names a resource (RFC 9112 section 3.2)."""

from __future__ import annotations

from httpx_tw.errors import RemoteProtocolError
from httpx_tw.protocol.grammar import HOST

__all__ = ["check_authority", "check_target", "origin_form"]


def check_target(method: str, target: str) -> None:
    """Refuse a target that is not of a form for *method*, or holds a fragment.

    Those in origin-form, without a fragment, need not be asked about.

    :raises RemoteProtocolError: when it is to be answered 400.
    """
    if "#" in target:
        raise RemoteProtocolError("a fragment in the request target")
    if target == "*":
        if method != "OPTIONS":
            raise RemoteProtocolError("the target * is for OPTIONS")
    elif method != "CONNECT":
        # Section 3.2.2: absolute-form. Its authority outranks Host.
        scheme, colon, rest = target.partition("://")
        authority = rest.partition("/")[0].partition("?")[0]
        if not colon or scheme.lower() not in {"http", "https"} or not authority:
            raise RemoteProtocolError("malformed request target")
        if not HOST.fullmatch(authority.encode()):
            raise RemoteProtocolError("malformed authority in the request target")


def origin_form(target: str) -> str:
    """Return the path and query of a target in another form (RFC 9112 section 3.2)."""
    _, separator, rest = target.partition("://")
    if not separator:
        return target  # "*", or the authority of a CONNECT
    start = min(
        (i for i in (rest.find("/"), rest.find("?")) if i >= 0), default=len(rest)
    )
    rest = rest[start:]
    return rest if rest.startswith("/") else f"/{rest}"


def check_authority(target: str) -> None:
    """Refuse the target of a CONNECT unless it is ``host:port``.

    :raises RemoteProtocolError: when it is to be answered 400.
    """
    # Section 3.2.3: authority-form. We are an origin server; whoever routes CONNECT
    # sees a well-formed one.
    host, colon, port = target.rpartition(":")
    if not (colon and host and port.isdigit() and HOST.fullmatch(target.encode())):
        raise RemoteProtocolError("CONNECT wants host:port as its target")
