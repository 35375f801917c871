"""TLS sessions as bytes, which pyOpenSSL does not offer: the one place that reaches in.

pyOpenSSL hands out a session as an object that belongs to its connection: it cannot be
written down, and OpenSSL marks it as spent when the server closes without close_notify,
as many do with an idle connection. A copy in DER, taken when the ticket arrives, is
not. pyOpenSSL also does not say whether a handshake was resumed.

What is used is looked up by name once. Where it is missing :data:`AVAILABLE` is False,
nothing is copied or offered, and every handshake is a full one.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from OpenSSL import SSL

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "AVAILABLE",
    "copy_session",
    "find",
    "info_watcher",
    "offer_session",
    "still_has",
    "was_resumed",
]

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


_set_groups: Any = getattr(_lib, "SSL_set1_curves_list", None)

# OpenSSL's own order, in which a star says "send a key". By itself it sends two, for it
# does not know the server, and makes both anew each time: X25519 costs 30 µs and
# X25519MLKEM768 65 of the 300 µs of a resumed handshake. What a server chose once it
# will choose again; if not, it asks for another key, which takes a round trip.
_NAMED_GROUPS: Final = {
    0x11EC: "X25519MLKEM768",
    0x1D: "X25519",
    0x17: "secp256r1",
    0x1E: "X448",
    0x18: "secp384r1",
    0x19: "secp521r1",
}
_ORDER: Final = (
    "?X25519MLKEM768:?SecP256r1MLKEM768 / ?X25519:?secp256r1 / "
    "?X448:?secp384r1:?secp521r1 / ?ffdhe2048:?ffdhe3072"
)


def _with_key_for(name: str) -> bytes:
    parts = re.split(r"([:/ ]+)", _ORDER)
    return "".join(
        f"?*{name}" if part == f"?{name}" else part for part in parts
    ).encode("ascii")


_GROUPS: Final = {number: _with_key_for(name) for number, name in _NAMED_GROUPS.items()}


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


def offer_session(connection: SSL.Connection, der: bytes, group: int = 0) -> Any:
    """Have the handshake of *connection*, not begun, offer the session to the server.

    Return what ``still_has`` knows it by; None when OpenSSL cannot use it: then the
    handshake will be a full one.

    :param group: of the key exchange that the server chose for the session: the key for
        it alone is sent along. 0: not known, so OpenSSL guesses.
    """
    if not AVAILABLE:
        return None
    room = _ffi.new("unsigned char[]", der)
    session = _lib.d2i_SSL_SESSION(
        _ffi.NULL, _ffi.new("unsigned char **", room), len(der)
    )
    if session == _ffi.NULL:
        _clear_errors()
        return None
    offered = _lib.SSL_set_session(connection._ssl, session)  # noqa: SLF001  # see above
    _lib.SSL_SESSION_free(session)  # the connection holds one of its own
    if offered != 1:
        _clear_errors()
        return None
    if group in _GROUPS and not _send_key_for(connection, group):
        _clear_errors()  # an OpenSSL before 3.5, which has no stars
    return session


def still_has(connection: SSL.Connection, offered: Any) -> bool:
    """Whether what *connection* has resumed is no other than it was when *offered*.

    With a new ticket OpenSSL replaces it. Only after a handshake that has resumed.
    """
    return bool(_lib.SSL_get_session(connection._ssl) == offered)  # noqa: SLF001  # see above


def _send_key_for(connection: SSL.Connection, group: int) -> bool:
    if _set_groups is None:
        return True
    return bool(_set_groups(connection._ssl, _GROUPS[group]) == 1)  # noqa: SLF001  # see above


def was_resumed(connection: SSL.Connection) -> bool:
    """Whether the handshake, which is over, has resumed a session."""
    return AVAILABLE and bool(_lib.SSL_session_reused(connection._ssl))  # noqa: SLF001  # see above


def info_watcher(
    callback: Callable[[SSL.Connection, int, int], None],
) -> Callable[[SSL.Connection], None]:
    """Return what has *callback* told of all that happens to a connection.

    As Connection.set_info_callback, which compiles an entry from C into Python for each
    connection anew: here there is one for all. *callback* must not raise.
    """
    set_callback = getattr(_lib, "SSL_set_info_callback", None)
    if set_callback is None:
        return lambda connection: connection.set_info_callback(callback)
    connections = SSL.Connection._reverse_mapping  # noqa: SLF001  # see above

    def happened(ssl: Any, where: int, value: int) -> None:
        callback(connections[ssl], where, value)

    entry = _ffi.callback("void (*)(const SSL *, int, int)", happened)

    def watch(connection: SSL.Connection) -> None:
        # It keeps the entry alive, as pyOpenSSL has it.
        connection._info_callback = entry  # noqa: SLF001  # see above
        set_callback(connection._ssl, entry)  # noqa: SLF001  # see above

    return watch


def _clear_errors() -> None:
    # What stays in OpenSSL's queue would be taken for the next connection's error.
    clear: Callable[[], None] | None = getattr(_lib, "ERR_clear_error", None)
    if clear is not None:
        clear()
