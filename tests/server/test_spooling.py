"""Request bodies that a connection collects: in memory, in a file, or not at all."""

from __future__ import annotations

import gc
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from httpx_tw.app.spool import SpooledBody
from tests.app.test_spool import FullDisk
from tests.server.fakes import ServerTestCase

if TYPE_CHECKING:
    from httpx_tw import Request

MIB = 1024 * 1024


def descriptors() -> int:
    """Return how many are open; 0 where that cannot be seen."""
    gc.collect()
    where = Path("/proc/self/fd")
    return len(list(where.iterdir())) if where.is_dir() else 0


class Spooling(ServerTestCase):
    """Bodies of plain endpoints, which go to a file when they are large."""

    def setUp(self) -> None:
        super().setUp()
        self.seen: list[Any] = []
        self.app.post("/", self.look)
        self.peer = self.connect()

    def look(self, request: Request) -> str:
        """Note what there is."""
        self.seen.append((type(request._body), request.body_size))
        self.seen.append(request.file.read())
        self.seen.append(request.body)
        return "read"

    def test_up_to_1_mib_is_in_memory(self) -> None:
        self.peer.post("/", b"x" * MIB)
        self.assertEqual(self.peer.statuses(), [200])
        self.assertEqual(self.seen, [(bytes, MIB), b"x" * MIB, b"x" * MIB])

    def test_more_is_in_a_file_that_is_gone_with_the_request(self) -> None:
        body = os.urandom(MIB + 1)
        before = descriptors()
        self.peer.post("/", body)
        self.assertEqual(self.peer.statuses(), [200])
        self.assertEqual(self.seen, [(SpooledBody, MIB + 1), body, body])
        self.assertEqual(descriptors(), before)

    def test_one_in_chunks_is_too(self) -> None:
        self.peer.get("/", "Transfer-Encoding: chunked", method="POST")
        piece = b"x" * 65536
        for _ in range(17):
            self.peer.send(b"10000\r\n" + piece + b"\r\n")
        self.peer.send(b"0\r\n\r\n")
        self.assertEqual(self.peer.statuses(), [200])
        self.assertEqual(self.seen[0], (SpooledBody, 17 * 65536))

    def test_the_limit_holds_for_files(self) -> None:
        self.peer.get("/", "Transfer-Encoding: chunked", method="POST")
        for _ in range(11):
            self.peer.send(b"100000\r\n" + b"x" * MIB + b"\r\n")
        self.assertEqual(self.peer.statuses(), [413])

    def test_a_client_that_goes_leaves_no_file(self) -> None:
        before = descriptors()
        self.peer.get("/", f"Content-Length: {3 * MIB}", method="POST")
        self.peer.send(b"x" * 2 * MIB)
        self.peer.transport.lose()
        self.assertEqual(descriptors(), before)

    def test_an_async_endpoint_has_none(self) -> None:
        async def read(request: Request) -> str:
            self.seen.append(len(await request.read()))
            return "read"

        self.app.post("/async", read)
        self.peer.post("/async", b"x" * 2 * MIB)
        self.assertEqual(self.peer.statuses(), [200])
        self.assertEqual(self.seen, [2 * MIB])

    def test_middleware_may_read_it_whole_or_in_pieces(self) -> None:
        async def whole(request: Request, call_next: Any) -> Any:
            self.seen.append(len(await request.read()))
            return await call_next(request)

        async def pieces(request: Request, call_next: Any) -> Any:
            self.seen.append(sum([len(piece) async for piece in request]))
            return await call_next(request)

        for n, layer in enumerate((whole, pieces)):
            self.app.post(f"/{n}", lambda _: "read", middleware=[layer])
            peer = self.connect()
            peer.post(f"/{n}", b"x" * 2 * MIB)
            self.assertEqual(peer.statuses(), [200])
        self.assertEqual(self.seen, [2 * MIB, 2 * MIB])

    def test_a_full_disk_is_503_and_no_fault_of_the_clients(self) -> None:
        self.patch(tempfile, "TemporaryFile", lambda **_: FullDisk(0))
        self.peer.get("/", f"Content-Length: {3 * MIB}", method="POST")
        self.peer.send(b"x" * 2 * MIB)
        self.assertEqual(self.peer.statuses(), [503])
        self.assertTrue(self.peer.sees_end)
        figures = self.factory.statistics()
        self.assertEqual((figures.protocol_errors, figures.handler_errors), (0, 1))
        self.assertEqual((self.seen, len(self.flushLoggedErrors(OSError))), ([], 1))

    def test_a_disk_that_is_full_at_the_end_is_too(self) -> None:
        self.patch(tempfile, "TemporaryFile", lambda **_: FullDisk(9 * MIB))
        self.peer.post("/", b"x" * 2 * MIB)
        self.assertEqual(self.peer.statuses(), [503])
        self.assertEqual((self.seen, len(self.flushLoggedErrors(OSError))), ([], 1))
