"""Parts of a file as a response's body: by the kernel where it can, else read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from httpx_tw.app.files.body import PIECE
from httpx_tw.app.files.opened import is_cached
from httpx_tw.errors import FileChanged
from httpx_tw.transport.file_sender import CHUNK
from httpx_tw.workers.disk import AHEAD

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from twisted.internet.defer import Deferred

    from httpx_tw.app.files.body import FileBody
    from httpx_tw.app.files.opened import OpenFile
    from httpx_tw.app.ranges import Span

__all__ = ["FileLink", "FileTurn", "send_at_once", "send_file_body"]

IN_A_TURN: Final = 8 * CHUNK
"""Bytes that all files together should send in one turn: about 1 ms."""

LEAST: Final = 256 * 1024
"""Bytes each file may send in a turn, however many there are: below that the turn costs
as much as what it sends."""


class FileTurn:
    """How much of each file is sent in one turn of the reactor.

    Clients may be ready for more in herds: 50 of them, each given the MiB that one may
    have, would keep everybody else waiting for 5 to 10 ms.
    """

    __slots__ = ("files",)

    def __init__(self) -> None:
        self.files = 0
        """How many are being sent, and were not sent at once."""

    @property
    def share(self) -> int:
        """Bytes for each."""
        return CHUNK if self.files <= 8 else max(LEAST, IN_A_TURN // self.files)


class FileLink(Protocol):
    """What a connection offers to whoever sends a file over it."""

    @property
    def sends_files(self) -> bool:
        """Whether the kernel can send files over it."""

    @property
    def file_turn(self) -> FileTurn:
        """What it shares with the other connections of the server."""

    @property
    def latest(self) -> float:
        """The time, as of this tick: it changes once a second."""

    def send_from_file(
        self, fd: int, offset: int, count: int, head: bytes = b""
    ) -> int | None:
        """See transport.file_sender.send_file."""

    def send(self, data: bytes) -> None:
        """Send bytes that are no body."""

    def wait_for_room(self) -> None:
        """Hold the stream until the socket takes more: until drained."""

    def fetch(self, file: OpenFile, offset: int, count: int) -> Deferred[None]:
        """See DiskThreads.fetch."""


def send_at_once(head: bytes, body: FileBody, link: FileLink) -> bool:
    """Send *head*, and what the socket takes of *body* in one call; whether it is all.

    Most files are sent so, without a coroutine. What is left is for send_file_body,
    which raises the same.
    """
    part = body.parts[0] if body.parts else b""
    if isinstance(part, bytes) or not _is_ready(body.file, part, link):
        link.send(head)
        return not body.parts
    offset, count = part
    try:
        sent = link.send_from_file(body.file.fd, offset, count, head)
    except BaseException:
        body.close()
        raise
    if sent == count and len(body.parts) == 1:
        return True
    if sent:
        body.skip(sent)
    return False


def _is_ready(file: OpenFile, span: Span, link: FileLink) -> bool:
    """Whether the kernel can send the beginning of *span* now, without a disk."""
    if file.warm_at == link.latest:
        # Of a file sent a hundred times a second nothing leaves the cache meanwhile.
        return link.sends_files
    offset, count = span
    if file.content is not None or not link.sends_files:
        return False
    if not is_cached(file.fd, offset, min(count, CHUNK)):
        return False
    if count == file.size <= CHUNK:
        file.warm_at = link.latest
    return True


async def send_file_body(
    body: FileBody,
    link: FileLink,
    send_piece: Callable[[bytes], bool],
    until_drained: Callable[[], Coroutine[None, None, None]],
) -> None:
    """Send *body*, giving others their turn and the client its time.

    :param send_piece: sends bytes; False: nothing more before ``until_drained``.
    :raises FileChanged: when the file has become shorter.
    :raises OSError: when it cannot be read.
    """
    turn = link.file_turn
    turn.files += 1
    try:
        for part in body.parts:
            if not isinstance(part, bytes):
                await _send_span(body.file, part, link, send_piece, until_drained)
            elif not send_piece(part):
                await until_drained()
    finally:
        turn.files -= 1
        body.close()


async def _send_span(
    file: OpenFile,
    span: Span,
    link: FileLink,
    send_piece: Callable[[bytes], bool],
    until_drained: Callable[[], Coroutine[None, None, None]],
) -> None:
    offset, left = span
    in_memory = file.content is not None
    by_kernel = link.sends_files and not in_memory
    fetched_to = offset
    while left:
        count = min(left, link.file_turn.share if by_kernel else PIECE)
        if offset + count > fetched_to and not in_memory:
            # A disk that stalls must not stall the reactor.
            fetched_to = offset + count
            if not is_cached(file.fd, offset, count):
                fetched_to = offset + min(left, AHEAD)
                await link.fetch(file, offset, fetched_to - offset)
        if by_kernel:
            sent = link.send_from_file(file.fd, offset, count)
            if sent is None:
                by_kernel = False
                continue
            may_send = False  # one call a turn: others are waiting too
        else:
            data = file.read(offset, count)
            if not data:
                raise FileChanged("the file has become shorter meanwhile")
            sent = len(data)
            may_send = send_piece(data)
        offset += sent
        left -= sent
        if left and not may_send:
            if by_kernel:
                link.wait_for_room()
            await until_drained()
