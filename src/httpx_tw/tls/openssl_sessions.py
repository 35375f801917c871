"""TLS sessions as bytes, which pyOpenSSL does not offer: the one place that reaches in.

pyOpenSSL hands out a session as an object that belongs to its connection: it cannot be
written down, and OpenSSL marks it as spent when the server closes without close_notify,
as many do with an idle connection. A copy in DER, taken when the ticket arrives, is
not. pyOpenSSL also does not say whether a handshake was resumed.

What is used is looked up by name once. Where it is missing :data:`AVAILABLE` is False,
nothing is copied or offered, and every handshake is a full one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from OpenSSL import SSL

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["AVAILABLE", "copy_session", "find", "offer_session", "was_resumed"]

_NAMES: Final = (
    "SSL_get_session",
    "SSL_set_session",
    "SSL_session_reused",
    "SSL_SESSION_free",
    "i2d_SSL_SESSION",
    "d2i_SSL_SESSION",
)

_MAX_SIZE: Final = 64 * 1024
"""Bytes of a session: a ticket has at most 64 KiB (RFC 8446 section 4.6.1), yet who
sends one that large has something else in mind than being remembered."""


def find(module: Any) -> tuple[Any, Any] | None:
    """Return the bindings and the FFI of *module*; None: it is not as we know it."""
    library = getattr(module, "_lib", None)
    ffi = getattr(module, "_ffi", None)
    if ffi is None or not all(hasattr(library, name) for name in _NAMES):
        return None
    if not hasattr(SSL.Connection, "_reverse_mapping"):  # the class we know, too
        return None
    return library, ffi


_found = find(SSL)
AVAILABLE: Final = _found is not None
_lib: Any
_ffi: Any
_lib, _ffi = _found or (None, None)


def copy_session(connection: SSL.Connection) -> bytes | None:
    """Return the connection's session of this moment in DER; None: it has none."""
    if not AVAILABLE:
        return None
    session = _lib.SSL_get_session(connection._ssl)  # noqa: SLF001  # see above
    if session == _ffi.NULL:
        return None
    size = _lib.i2d_SSL_SESSION(session, _ffi.NULL)
    if not 0 < size <= _MAX_SIZE:
        return None
    room = _ffi.new("unsigned char[]", size)
    _lib.i2d_SSL_SESSION(session, _ffi.new("unsigned char **", room))
    return bytes(_ffi.buffer(room, size))


def offer_session(connection: SSL.Connection, der: bytes) -> bool:
    """Have the handshake of *connection*, not begun, offer the session to the server.

    False when OpenSSL cannot use it; then the handshake will be a full one.
    """
    if not AVAILABLE:
        return False
    room = _ffi.new("unsigned char[]", der)
    session = _lib.d2i_SSL_SESSION(
        _ffi.NULL, _ffi.new("unsigned char **", room), len(der)
    )
    if session == _ffi.NULL:
        _clear_errors()
        return False
    offered = _lib.SSL_set_session(connection._ssl, session)  # noqa: SLF001  # see above
    _lib.SSL_SESSION_free(session)  # the connection holds one of its own
    if offered != 1:
        _clear_errors()
    return bool(offered == 1)


def was_resumed(connection: SSL.Connection) -> bool:
    """Whether the handshake, which is over, has resumed a session."""
    return AVAILABLE and bool(_lib.SSL_session_reused(connection._ssl))  # noqa: SLF001  # see above


def _clear_errors() -> None:
    # What stays in OpenSSL's queue would be taken for the next connection's error.
    clear: Callable[[], None] | None = getattr(_lib, "ERR_clear_error", None)
    if clear is not None:
        clear()
