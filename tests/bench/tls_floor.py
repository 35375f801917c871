"""The floor over TLS: floor.py, and OpenSSL on the socket by pyOpenSSL's bindings.

One SSL_read and one SSL_write a request, called as directly as Python can: nothing that
is built on pyOpenSSL costs less. Arguments: PORT CERTIFICATE KEY.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from floor import serve
from OpenSSL import SSL

if TYPE_CHECKING:
    import socket

RECORD = 16384
# Any: cffi's, without types.
lib: Any = vars(SSL)["_lib"]
ffi: Any = vars(SSL)["_ffi"]
BUFFER = ffi.new("char[]", RECORD)
VIEW = ffi.buffer(BUFFER)


class Encrypted:
    """A socket that speaks TLS: as much of a socket as the floor uses."""

    __slots__ = ("connection", "socket", "ssl")

    def __init__(self, context: SSL.Context, accepted: socket.socket) -> None:
        self.socket = accepted
        self.connection = SSL.Connection(context, accepted)
        self.connection.set_accept_state()
        self.ssl: Any = vars(self.connection)["_ssl"]

    def recv(self, _: int) -> bytes:
        count = lib.SSL_read(self.ssl, BUFFER, RECORD)
        if count <= 0:
            if lib.SSL_want_read(self.ssl):
                raise BlockingIOError
            return b""
        data: bytes = VIEW[:count]
        return data

    def send(self, data: bytes) -> None:
        lib.SSL_write(self.ssl, data, len(data))

    def close(self) -> None:
        self.socket.close()


def main(port: str, certificate: str, key: str) -> None:
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.use_certificate_chain_file(certificate)
    context.use_privatekey_file(key)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    serve(int(port), lambda accepted: Encrypted(context, accepted))


if __name__ == "__main__":
    main(*sys.argv[1:])
