"""The floor: what select.epoll and httptools cost in Python before there is a server.

No limits, no deadlines, no checks, no objects per request, one write per read. It
answers the benchmark's routes and nothing else. Argument: PORT.
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time
from email.utils import formatdate
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus

import httptools

if TYPE_CHECKING:
    from collections.abc import Callable

HEAD = b"HTTP/1.1 200 OK\r\ndate: %b\r\nserver: floor\r\ncontent-type: %b\r\n"
TEXT, JSON = b"text/plain", b"application/json"


class Connection:
    """A socket, its parser, and the answers to what one read brought."""

    __slots__ = ("body", "out", "parser", "socket", "target")

    def __init__(self, accepted: Any) -> None:
        self.socket = accepted
        self.parser = httptools.HttpRequestParser(self)
        self.target = self.body = b""
        self.out: list[bytes] = []

    # Called by the parser.

    def on_url(self, target: bytes) -> None:
        self.target = target

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        if self.target == b"/":
            self.out.append(answers.hello)
        else:
            self.out.append(answers.answer(self.target, self.body))
        self.body = b""


class Answers:
    """The four routes, and the Date of the moment in them."""

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        """Make the Date anew; once a second."""
        date = formatdate(usegmt=True).encode()
        self.text, self.json = HEAD % (date, TEXT), HEAD % (date, JSON)
        self.hello = self._with_body(self.text, b"Hello, World!")

    def answer(self, target: bytes, body: bytes) -> bytes:
        """Return the whole answer for a *target* that is not "/"."""
        path, _, query = target.partition(b"?")
        if path == b"/items":
            value = {"ok": True, "n": len(json.loads(body)["items"])}
            return self._with_body(self.json, json.dumps(value).encode())
        if path == b"/search":
            first = query.partition(b"&")[0].partition(b"=")[2]
            return self._with_body(self.text, unquote_plus(first.decode()).encode())
        _, _, user, _, number = path.split(b"/")
        value = {"user": int(user), "order": int(number)}
        return self._with_body(self.json, json.dumps(value).encode())

    def _with_body(self, head: bytes, body: bytes) -> bytes:
        return b"%bcontent-length: %d\r\n\r\n%b" % (head, len(body), body)


answers = Answers()


def _as_it_is(accepted: socket.socket) -> socket.socket:
    return accepted


def serve(port: int, wrap: Callable[[socket.socket], Any] = _as_it_is) -> None:
    """Serve on *port* of 127.0.0.1 until killed, over what *wrap* makes of sockets."""
    listener = socket.create_server(("127.0.0.1", port), backlog=4096)
    listener.setblocking(False)
    poll = select.epoll()
    poll.register(listener, select.EPOLLIN)
    connections: dict[int, Connection] = {}
    renew_at = time.monotonic() + 1
    while True:
        events = poll.poll(1, 512)
        if time.monotonic() >= renew_at:
            answers.renew()
            renew_at += 1
        for fd, _ in events:
            connection = connections.get(fd)
            if connection is None:
                _accept(listener, poll, connections, wrap)
            elif not _read(connection):
                connections.pop(fd).socket.close()


def _accept(
    listener: socket.socket,
    poll: select.epoll,
    connections: dict[int, Connection],
    wrap: Callable[[socket.socket], Any],
) -> None:
    accepted, _ = listener.accept()
    accepted.setblocking(False)
    accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connections[accepted.fileno()] = Connection(wrap(accepted))
    poll.register(accepted, select.EPOLLIN)


def _read(connection: Connection) -> bool:
    try:
        received = connection.socket.recv(65536)
        if received:
            connection.parser.feed_data(received)
            connection.socket.send(b"".join(connection.out))
            connection.out.clear()
    except BlockingIOError:  # of TLS: not a whole record
        return True
    except (OSError, httptools.HttpParserError):
        return False
    return bool(received)


if __name__ == "__main__":
    serve(int(sys.argv[1]))
