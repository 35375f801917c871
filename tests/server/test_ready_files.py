"""The shortest way sends what the general way sends, and knows when not to."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from httpx_tw.app.files.static import CONTENT_LIMIT, StaticFiles
from httpx_tw.limits import Limits
from httpx_tw.server import ready_files as module
from httpx_tw.transport import file_sender
from tests.server.fakes import Answer, ServerTestCase
from tests.server.live import LiveTestCase

SMALL = b"small" * 100
LARGE = os.urandom(CONTENT_LIMIT * 4 + 1)


def make_files(case: Any) -> Path:
    holder = tempfile.TemporaryDirectory()
    case.addCleanup(holder.cleanup)
    directory = Path(holder.name)
    for name, content in (("small.txt", SMALL), ("large.txt", LARGE)):
        (directory / name).write_bytes(content)
        os.utime(directory / name, (784111777, 784111777))
    files = StaticFiles(directory)
    case.app.get("/files/*", files)
    case.addCleanup(close_all, files)
    return directory


def close_all(files: StaticFiles) -> None:
    # The application would keep them, and a logged traceback too.
    for resource in files._cache._resources.values():
        resource.plain.file.close()


class SameAnswers(ServerTestCase):
    """In memory: small files go the shortest way, large ones by the general one."""

    def setUp(self) -> None:
        super().setUp()
        make_files(self)

    def ask(self, name: str, *fields: str) -> Answer:
        peer = self.connect()
        peer.get(f"/files/{name}", *fields)
        return peer.answer()

    def test_both_ways_say_the_same(self) -> None:
        for name, content in (("small.txt", SMALL), ("large.txt", LARGE)):
            shortest = self.ask(name)
            general = self.ask(name, "If-None-Match: x")
            self.assertEqual(shortest.headers, general.headers)
            self.assertEqual((shortest.status, general.status), (200, 200))
            self.assertEqual(shortest.body, content)
            self.assertEqual(general.body, content)

    def test_it_is_counted_and_logged(self) -> None:
        before = self.factory.statistics()
        self.ask("small.txt")
        after = self.factory.statistics()
        self.assertEqual(after.responses_2xx, before.responses_2xx + 1)
        self.assertEqual(self.log.lines[-1][-2:], (200, len(SMALL)))

    def test_a_connection_goes_on_and_idles(self) -> None:
        peer = self.connect()
        peer.get("/files/small.txt")
        peer.get("/files/small.txt")
        self.assertEqual([a.body for a in peer.answers()], [SMALL, SMALL])
        peer.get("/files/small.txt")
        self.assertEqual(len(peer.answers()), 3)
        self.advance(62)
        self.assertTrue(peer.sees_end)

    def test_what_needs_a_second_thought_goes_the_general_way(self) -> None:
        peer = self.connect()
        peer.get("/files/small.txt", method="HEAD")
        answer = peer.answer("HEAD")
        self.assertEqual(answer.headers["content-length"], str(len(SMALL)))
        self.assertEqual(answer.body, b"")
        peer = self.connect()
        peer.get("/files/small.txt", "Connection: close")
        self.assertEqual(peer.answer().headers["connection"], "close")
        self.assertTrue(peer.sees_end)
        peer = self.connect()
        peer.send("GET /files/small.txt HTTP/1.0\nConnection: keep-alive\n\n")
        self.assertEqual(peer.answer().headers["connection"], "keep-alive")
        peer = self.connect()
        peer.get("/files/small.txt", "Content-Length: 3")
        peer.send(b"abc")
        self.assertEqual(peer.answer().body, SMALL)

    def test_the_last_request_of_a_connection_ends_it(self) -> None:
        self.serve(Limits(max_requests_per_connection=1))
        self.assertEqual(self.ask("small.txt").headers["connection"], "close")

    def test_a_client_that_does_not_read_gets_no_further_answers(self) -> None:
        peer = self.connect()
        for _ in range(1000):
            peer.get("/files/small.txt")
        self.assertLess(peer.transport.unsent, 3 * 64 * 1024)
        self.assertEqual(len(peer.answers()), 1000)

    def test_middleware_sees_a_response(self) -> None:
        self.app.use(lambda request, call_next: call_next(request))
        self.assertEqual(self.ask("small.txt").body, SMALL)


class ByTheKernel(LiveTestCase):
    """Over sockets, where large files go the shortest way too once they are warm."""

    def setUp(self) -> None:
        super().setUp()
        self.directory = make_files(self)
        self.calls = 0
        send_file = file_sender.send_file

        def noting(*arguments: Any) -> int | None:
            self.calls += 1
            return send_file(*arguments)

        self.patch(module, "send_file", noting)

    async def get(self, count: int) -> list[Answer]:
        client = await self.connect_to(await self.serve(self.app))
        for _ in range(count):
            client.send("GET /files/large.txt HTTP/1.1\nHost: a\n\n")
        return await client.answers(count)

    async def test_a_file_is_sent_in_one_call(self) -> None:
        answers = await self.get(5)
        self.assertEqual([answer.body for answer in answers], [LARGE] * 5)
        self.assertGreater(self.calls, 0)

    async def test_what_the_socket_does_not_take_streams(self) -> None:
        sendfile = file_sender._sendfile

        def some(out: int, fd: int, offset: int, count: int) -> int:
            return int(sendfile(out, fd, offset, min(count, 10_000)))

        self.patch(file_sender, "_sendfile", some)
        answers = await self.get(5)
        self.assertEqual([answer.body for answer in answers], [LARGE] * 5)
        self.assertGreater(self.calls, 0)

    async def test_a_file_that_became_shorter_ends_the_connection(self) -> None:
        client = await self.connect_to(await self.serve(self.app))
        client.send("GET /files/large.txt HTTP/1.1\nHost: a\n\n")
        await client.answers(1)
        os.truncate(self.directory / "large.txt", 0)
        client.send("GET /files/large.txt HTTP/1.1\nHost: a\n\n")
        await client.closed()
        (first, *others) = await client.answers(2)
        self.assertEqual(first.body, LARGE)
        self.assertFalse(any(answer.is_whole for answer in others))
        self.flushLoggedErrors()
