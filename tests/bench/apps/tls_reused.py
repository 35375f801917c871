"""Servers that answer "r" over a resumed session and "." over a new one.

Arguments: ours|twisted.web|abrupt PORT CERTIFICATE KEY. "abrupt" has each connection
reset after its answer, without the goodbye of TLS.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import sys
from pathlib import Path
from typing import Any

from OpenSSL import SSL

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\n%b"


def mark_of(connection: Any) -> bytes:
    # OpenSSL's own word for it, which pyOpenSSL does not pass on.
    return b"r" if SSL._lib.SSL_session_reused(connection._ssl) else b"."


def serve_ours(port: int, certificate: str, key: str) -> None:
    from httpx_tw import Server
    from httpx_tw.tls.certificates import ServerTLS

    tls = ServerTLS(certfile=certificate, keyfile=key)
    server = Server(tls=tls, port=port)
    server.get("/", lambda request: mark_of(request.link.transport.getHandle()))
    server.listen()


def serve_twisted(port: int, certificate: str, key: str) -> None:
    from twisted.internet import epollreactor

    epollreactor.install()
    from twisted.internet import reactor, ssl  # noqa: TID251  # just installed
    from twisted.web.resource import Resource
    from twisted.web.server import Site

    class Root(Resource):
        isLeaf = True  # noqa: N815

        def render_GET(self, request: Any) -> bytes:  # noqa: N802
            return mark_of(request.transport.getHandle())

    pem = Path(certificate).read_bytes() + Path(key).read_bytes()
    own = ssl.PrivateCertificate.loadPEM(pem)
    options = ssl.CertificateOptions(
        privateKey=own.privateKey.original,
        certificate=own.original,
        enableSessionTickets=True,  # as it comes, it never resumes
        acceptableProtocols=[b"http/1.1"],
    )
    reactor.listenSSL(port, Site(Root()), options, interface="127.0.0.1")
    reactor.run()


def serve_abruptly(port: int, certificate: str, key: str) -> None:
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.use_certificate_file(certificate)
    context.use_privatekey_file(key)
    context.set_session_id(b"bench")
    with socket.create_server(("127.0.0.1", port), backlog=64) as listening:
        while True:
            accepted, _ = listening.accept()
            with accepted, contextlib.suppress(SSL.Error):
                connection = SSL.Connection(context, accepted)
                connection.set_accept_state()
                connection.do_handshake()
                connection.recv(65536)
                connection.sendall(ANSWER % mark_of(connection))
                connection.recv(65536)  # until the client has read it, and asks again
                no_time = struct.pack("ii", 1, 0)
                accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, no_time)


if __name__ == "__main__":
    kind, port, *files = sys.argv[1:]
    serve = {
        "ours": serve_ours,
        "twisted.web": serve_twisted,
        "abrupt": serve_abruptly,
    }[kind]
    serve(int(port), *files)
