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
from httpx_tw.transport.file_sender import send_file

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
    factory, content = connection.factory, file.content
    latest = factory.tick.latest
    if not (
        http.keep_alive
        and head.is_http11
        and head.method == "GET"
        and connection.exchange is None
        and (
            content is not None
            or (file.warm_at == latest and connection.could_send_files)
        )
    ):
        connection.settle(request, ready)
        return False
    start = factory.fixed.ok_head + ready.lines
    size = file.size
    if content is not None:
        connection.send(start + content)
    else:
        try:
            # A call of Wire's less: beside a load that keeps the caches cold each
            # costs a microsecond.
            sent = send_file(connection.transport, file.fd, 0, size, start) or 0
        except Exception:  # noqa: BLE001  # it became shorter, or its disk fails
            connection.phase = Phase.WRITING
            factory.bytes_sent += len(start)
            connection.failed(request, Failure())
            return False
        factory.bytes_sent += len(start) + sent
        if sent != size:
            _stream_rest(connection, request, file, sent)
            return False
    factory.responses[2] += 1
    if factory.access_log is not None:
        connection.log_access(request, 200, size)
    connection.phase = Phase.IDLE
    if http.start_next_cycle() and not connection.is_write_paused:
        connection.deadline = latest + factory.keep_alive
        return True
    return False


def _stream_rest(
    connection: Answering, request: Request, file: OpenFile, sent: int
) -> None:
    """Send what is left of *file* behind the *sent* bytes."""
    connection.phase = Phase.WRITING
    connection.deadline = NEVER
    left = file.size - sent
    connection.streamed = sent
    connection.http.expect_body(left)
    connection.exchange = exchange = Exchange(connection, request, 0)
    rest = FileBody(file, ((sent, left),))
    exchange.stream(Response.of_file(rest, []))
