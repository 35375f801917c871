"""Two OpenSSL connections in memory, and the bytes between them moved by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from OpenSSL import SSL

from httpx_tw.tls.openssl_sessions import was_resumed

if TYPE_CHECKING:
    from httpx_tw.tls.contexts import ClientContexts, TLSPolicy
    from tests.tls.issuing import Issued

VERSIONS = {"1.2": SSL.TLS1_2_VERSION, "1.3": SSL.TLS1_3_VERSION}


def server_context(
    issued: Issued, version: str = "1.3", *, has_tickets: bool = True
) -> SSL.Context:
    """Return the context of a server of the plainest kind."""
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_max_proto_version(VERSIONS[version])
    context.use_certificate(issued.certificate)
    context.use_privatekey(issued.key)
    context.set_session_id(b"tests")
    if not has_tickets:
        context.set_options(SSL.OP_NO_TICKET)
    return context


class Pair:
    """A client and a server, not yet shaking hands.

    :param client: from a creator of ours.
    :param server: a context, or something with ``serverConnectionForTLS``.
    """

    def __init__(self, client: SSL.Connection, server: Any) -> None:
        self.client = client
        self.server: SSL.Connection = (
            SSL.Connection(server)
            if isinstance(server, SSL.Context)
            else server.serverConnectionForTLS(None)
        )
        self.client.set_connect_state()
        self.server.set_accept_state()

    def shake_hands(self) -> None:
        """Complete the handshake; raises what either side raises, the client's first.

        What a failing side has to say to the other is delivered.
        """
        waiting = [self.client, self.server]
        while waiting:
            for one in list(waiting):
                try:
                    one.do_handshake()
                except SSL.WantReadError:
                    pass
                except SSL.Error:
                    self.move()
                    raise
                else:
                    waiting.remove(one)
                self.move()

    def move(self) -> None:
        """Deliver what both have to say."""
        _move(self.client, self.server)
        _move(self.server, self.client)

    def say(self, data: bytes = b"hello") -> bytes:
        """Let the server say something, after its tickets; return what arrives."""
        self.server.send(data)
        self.move()
        return self.client.recv(65536)

    def close(self) -> None:
        """End it as one should."""
        for one in (self.client, self.server):
            one.shutdown()
            self.move()

    @property
    def is_resumed(self) -> bool:
        return was_resumed(self.client)


def _move(source: SSL.Connection, target: SSL.Connection) -> None:
    try:
        while True:
            target.bio_write(source.bio_read(65536))
    except SSL.WantReadError:
        pass


def connect(
    contexts: ClientContexts,
    server: Any,
    policy: TLSPolicy,
    host: str = "localhost",
    port: int = 443,
) -> Pair:
    """Shake hands, let the tickets arrive, and return the pair."""
    creator = contexts.creator_for(host, port, policy)
    pair = Pair(creator.clientConnectionForTLS(None), server)
    pair.shake_hands()
    assert pair.say() == b"hello"
    return pair
