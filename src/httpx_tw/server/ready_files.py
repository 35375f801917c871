"""The shortest way for a file that is ready: one head, one call, nothing to decide.

StaticFiles returns the same object for each request that asks for a whole file. By the
general way a Response with its headers, a body and their bytes are made of it each
time: 9 of 26 µs for 64 KiB, and more beside a load that keeps the caches cold.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.python.failure import Failure

from httpx_tw.app.files.body import FileBody
from httpx_tw.app.response import Response
from httpx_tw.server.deadlines import NEVER
from httpx_tw.server.exchange import Exchange
from httpx_tw.server.wire import Phase

if TYPE_CHECKING:
    from httpx_tw.app.files.opened import OpenFile
    from httpx_tw.app.files.ready import ReadyFile
    from httpx_tw.app.request import Request
    from httpx_tw.server.answering import Answering

__all__ = ["send_ready"]


def send_ready(connection: Answering, request: Request, ready: ReadyFile) -> bool:
    """Answer with *ready*; True: the connection is idle again. See Answering.answer.

    The general way is for whatever needs a second thought: HEAD, HTTP/1.0, a connection
    that is to be closed, a file that may not be in memory.
    """
    head, file, http = request.head, ready.file, connection.http
    content = file.content
    if not (
        http.keep_alive
        and head.is_http11
        and head.method == "GET"
        and connection.exchange is None
        and (
            content is not None
            or (file.warm_at == connection.latest and connection.sends_files)
        )
    ):
        connection.settle(request, ready)
        return False
    factory = connection.factory
    start = b"HTTP/1.1 200 OK\r\n%b%b" % (factory.fixed.lines, ready.lines)
    if content is not None:
        connection.send(start + content)
    elif not _sent_by_kernel(connection, request, start, file):
        return False
    connection.count(request, 200, file.size)
    connection.phase = Phase.IDLE
    if http.start_next_cycle() and not connection.is_write_paused:
        connection.deadline = connection.latest + factory.keep_alive
        return True
    return False


def _sent_by_kernel(
    connection: Answering, request: Request, start: bytes, file: OpenFile
) -> bool:
    """Send *start* and *file*; False: the rest streams, or all has been aborted."""
    connection.phase = Phase.WRITING
    connection.deadline = NEVER
    size = file.size
    try:
        sent = connection.send_file(file.fd, 0, size, start) or 0
    except Exception:  # noqa: BLE001  # it became shorter, or its disk fails
        connection.failed(request, Failure())
        return False
    if sent == size:
        return True
    connection.streamed = sent
    connection.http.expect_body(size - sent)
    connection.exchange = exchange = Exchange(connection, request, 0)
    rest = FileBody(file, ((sent, size - sent),))
    exchange.stream(Response.of_file(rest, []))
    return False
