"""With which status ``httpx-tw get`` ends after which error: those of curl."""

from __future__ import annotations

from typing import Final

from httpx_tw.errors import (
    CertificateRejected,
    ConfigurationError,
    ConnectFailed,
    ConnectionLost,
    DecodingError,
    HandshakeFailed,
    IncompleteMessage,
    InvalidURL,
    LocalProtocolError,
    NameNotResolved,
    ProxyError,
    RemoteProtocolError,
    RequestTimeout,
    TooManyRedirects,
)

__all__ = [
    "INTERRUPTED",
    "MISTAKE",
    "STATUS_IS_ERROR",
    "UNREADABLE",
    "UNWRITABLE",
    "exit_status",
    "hint_for",
]

MISTAKE: Final = 2
STATUS_IS_ERROR: Final = 22
UNWRITABLE: Final = 23
UNREADABLE: Final = 26
INTERRUPTED: Final = 130
"""As a shell has it of a program that SIGINT has ended: 128 and the signal's number."""

# What is more special comes first.
_STATUSES: Final[tuple[tuple[type[Exception], int], ...]] = (
    (InvalidURL, 3),
    (NameNotResolved, 6),
    (CertificateRejected, 60),
    (HandshakeFailed, 35),
    (ProxyError, 97),
    (ConnectFailed, 7),
    (RequestTimeout, 28),
    (TooManyRedirects, 47),
    (IncompleteMessage, 18),
    (ConnectionLost, 52),
    (DecodingError, 61),
    (RemoteProtocolError, 8),
    (ConfigurationError, MISTAKE),
    (LocalProtocolError, MISTAKE),
)


def exit_status(error: Exception) -> int:
    """Return the exit status that *error* leads to; 1: it has none of its own."""
    return next((status for kind, status in _STATUSES if isinstance(error, kind)), 1)


def hint_for(error: Exception) -> str:
    """Return what might help; "" when there is nothing to say."""
    if isinstance(error, CertificateRejected):
        return "--cacert FILE trusts another authority; --insecure trusts anybody"
    return ""
