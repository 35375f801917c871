"""The endpoint strings that say TLS, ``ssl:`` and ``tls:``, in words of ours.

Twisted makes something else of each: ``ssl:`` never resumes a session and keeps its
certificate for good, ``tls:`` offers other ciphers and has no default. Who writes one
for our server gets what ``--ssl-certfile`` and ``--ssl-cert-dir`` give.
"""

from __future__ import annotations

import re
from typing import Any, Final

from twisted.internet.endpoints import quoteStringArgument

from httpx_tw.errors import ConfigurationError
from httpx_tw.tls.certificates import ServerTLS

__all__ = ["read_tls_endpoint", "says_tls"]

_PIECE: Final = re.compile(r"(?:[^\\:]|\\.)*")
_NAME: Final = re.compile(r"(\w+)=(.*)", re.DOTALL)


def says_tls(description: object) -> bool:
    """Whether *description* is an endpoint string that has TLS of its own."""
    return isinstance(description, str) and description.startswith(("ssl:", "tls:"))


def read_tls_endpoint(description: str) -> tuple[ServerTLS, str] | None:
    """Return what *description* says about TLS, and the endpoint string below it.

    None: it wants what only Twisted's own has, by ``sslmethod`` or ``dhParameters``, or
    it does not say TLS.

    :raises ConfigurationError: when its arguments are none that it takes.
    """
    if not says_tls(description):
        return None
    kind, *pieces = _pieces_of(description)
    positional = [_plain(piece) for piece in pieces if not _NAME.fullmatch(piece)]
    named = {
        match[1]: _plain(match[2])
        for match in map(_NAME.fullmatch, pieces)
        if match is not None
    }
    try:
        return (_ssl if kind == "ssl" else _tls)(*positional, **named)
    except TypeError as error:
        reason = f"wrong arguments for {kind!r}"
        raise ConfigurationError(f"bad endpoint {description!r}: {reason}") from error


def _pieces_of(description: str) -> list[str]:
    """Split at colons, but not at those behind a backslash."""
    pieces, at = [], 0
    while at <= len(description):
        match = _PIECE.match(description, at)
        assert match is not None, "it matches nothing as well"
        pieces.append(match[0])
        at = match.end() + 1
    return pieces


def _plain(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL)


# The names, the order and the defaults of Twisted's own.


def _ssl(  # noqa: PLR0913, PLR0917  # as many as Twisted's
    port: str,
    privateKey: str = "server.pem",  # noqa: N803  # Twisted's
    certKey: str | None = None,  # noqa: N803  # Twisted's
    sslmethod: str | None = None,
    interface: str = "",
    backlog: str = "50",
    extraCertChain: str | None = None,  # noqa: N803  # Twisted's
    dhParameters: str | None = None,  # noqa: N803  # Twisted's
) -> tuple[ServerTLS, str] | None:
    if sslmethod is not None or dhParameters is not None:
        return None
    tls = ServerTLS(
        certfile=privateKey if certKey is None else certKey,
        keyfile=privateKey,
        chainfile=extraCertChain,
    )
    return tls, _below("tcp", port, backlog, interface)


def _tls(
    path: str, port: str = "443", backlog: str = "50", interface: str = "::"
) -> tuple[ServerTLS, str]:
    return ServerTLS(cert_dir=path), _below("tcp6", port, backlog, interface)


def _below(kind: str, port: str, backlog: str, interface: str) -> str:
    quoted: Any = [quoteStringArgument(part) for part in (port, backlog, interface)]
    return "{}:{}:backlog={}:interface={}".format(kind, *quoted)
