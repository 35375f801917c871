"""A small HTTP server in threads of its own, for clients that block."""

from __future__ import annotations

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from twisted.trial.unittest import SynchronousTestCase


class _Answering(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 65536  # head and body in one packet, or each waits for an ACK
    server: ThreadedServer

    def do_GET(self) -> None:  # http.server calls it
        if self.path == "/never":
            self.server.gate.wait(10)
        if self.path == "/big":
            self.answer(b"x" * 1_000_000)
        elif self.path == "/set":
            self.answer(b"set", "a=1")
        elif self.path == "/missing":
            self.answer(b"", status=404)
        else:
            self.answer(self.headers.get("Cookie", "hello").encode())

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length")
        body = self.chunked() if length is None else self.rfile.read(int(length))
        kind = self.headers.get("Content-Type", "none")
        self.answer(f"{kind.partition(';')[0]}:".encode() + body)

    do_PUT = do_PATCH = do_DELETE = do_POST  # noqa: N815

    def do_HEAD(self) -> None:
        self.answer(b"")

    do_OPTIONS = do_HEAD  # noqa: N815

    def chunked(self) -> bytes:
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def answer(self, body: bytes, cookie: str = "", status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if cookie:
            self.send_header("Set-Cookie", cookie)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


class ThreadedServer(ThreadingHTTPServer):
    """Serves until the test is over."""

    daemon_threads = False
    block_on_close = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answering)
        self.gate = threading.Event()
        """Until it is set, ``/never`` is not answered."""
        self.url = f"http://127.0.0.1:{self.server_port}"
        self._thread = threading.Thread(target=self.serve_forever, args=(0.01,))
        self._thread.start()

    def end(self) -> None:
        """Stop, once clients have closed their connections."""
        self.gate.set()
        self.shutdown()
        self._thread.join()
        self.server_close()


def served(case: SynchronousTestCase) -> ThreadedServer:
    """Return a server that ends with the test."""
    server = ThreadedServer()
    case.addCleanup(server.end)
    return server


def wait_until(condition: Any) -> None:
    """Wait for another thread, which has nothing to call back."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.001)
