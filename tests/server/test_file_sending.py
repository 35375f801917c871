"""Files over real sockets: whole, in parts, to slow clients and to those who leave."""

from __future__ import annotations

import gc
import hashlib
import os
import shutil
import struct
import sys
import tempfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.internet.task import deferLater
from twisted.internet.utils import getProcessOutputAndValue

from httpx_tw import Request, Response
from httpx_tw.app.files import opened
from httpx_tw.server import file_sending as module
from httpx_tw.transport import file_sender
from tests.server.live import QUICK, LiveTestCase, RawClient, reactor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

MIB = 1024 * 1024
CONTENT = os.urandom(MIB) * 4
CURL = shutil.which("curl")


class FileTestCase(LiveTestCase):
    def setUp(self) -> None:
        super().setUp()
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.addCleanup(self.forget_app)
        self.directory = Path(holder.name)
        self.path = self.directory / "film.bin"
        self.path.write_bytes(CONTENT)
        os.utime(self.path, (784111777, 784111777))
        self.app.get("/film", lambda _: Response.file(self.path))
        self.app.static("/files", self.directory)

    async def forget_app(self) -> None:
        # Descriptors in its cache go with it, and before the directory: Windows removes
        # no file that is open. The accept that Twisted cancelled there keeps the port,
        # and so the server, until the reactor hears that it is.
        del self.app
        for _ in range(3):
            await deferLater(reactor, 0)
        gc.collect()

    async def open(self, **options: Any) -> RawClient:
        return await self.connect_to(await self.serve(self.app, **options))


class Downloads(FileTestCase):
    async def test_a_large_file_arrives_whole_and_in_its_turn(self) -> None:
        client = await self.open()
        for path in ("/", "/film", "/", "/files/film.bin", "/"):
            client.send(f"GET {path} HTTP/1.1\nHost: a\n\n")
        answers = await client.answers(5)
        bodies = [hashlib.sha256(answer.body).digest() for answer in answers]
        film = hashlib.sha256(CONTENT).digest()
        hello = hashlib.sha256(b"hello").digest()
        self.assertEqual(bodies, [hello, film, hello, film, hello])

    async def test_parts_arrive_between_their_heads(self) -> None:
        client = await self.open()
        client.send("GET /film HTTP/1.1\nHost: a\n")
        client.send(f"Range: bytes=5-{2 * MIB},{3 * MIB}-\n\n")
        (answer,) = await client.answers(1)
        boundary = answer.headers["content-type"].partition("boundary=")[2].encode()
        parts = answer.body.split(b"\r\n--" + boundary)
        self.assertEqual(
            [part.partition(b"\r\n\r\n")[2] for part in parts[1:-1]],
            [CONTENT[5 : 2 * MIB + 1], CONTENT[3 * MIB :]],
        )

    async def test_a_client_that_pauses_gets_all_of_it(self) -> None:
        client = await self.open(timeouts=QUICK)
        client.send("GET /film HTTP/1.1\nHost: a\n\n")
        for _ in range(5):
            client.tcp.pauseProducing()
            await deferLater(reactor, 0.05)
            client.tcp.resumeProducing()
            await client.until(lambda seen=client.count: client.count > seen)  # type: ignore[misc]  # bound at once
        (answer,) = await client.answers(1)
        self.assertEqual(answer.body, CONTENT)

    async def test_a_client_that_does_not_read_is_cut_off(self) -> None:
        # More than the socket buffers of both sides ever take.
        with self.path.open("r+b") as file:
            file.truncate(256 * MIB)
        client = await self.open(timeouts=QUICK)
        client.tcp.pauseProducing()
        client.keeps = False
        client.send("GET /film HTTP/1.1\nHost: a\n\n")
        await deferLater(reactor, 1.2)
        client.tcp.resumeProducing()
        await client.closed()
        self.assertLess(client.count, 256 * MIB)

    async def test_what_is_not_in_memory_is_fetched_by_a_thread(self) -> None:
        fetched: list[tuple[int, int]] = []
        is_cached = opened.is_cached

        def never_at_first(fd: int, offset: int, count: int) -> bool:
            if offset % MIB == 0 and (offset, count) not in fetched:
                fetched.append((offset, count))
                return False
            return is_cached(fd, offset, count)

        self.patch(module, "is_cached", never_at_first)
        client = await self.open()
        client.send("GET /film HTTP/1.1\nHost: a\n\n")
        (answer,) = await client.answers(1)
        self.assertEqual(answer.body, CONTENT)
        self.assertTrue(fetched)

    async def test_where_the_kernel_will_not_send_it_is_read(self) -> None:
        def refused(*_: Any) -> int:
            raise OSError(22, "no")

        self.patch(file_sender, "_sendfile", refused)
        client = await self.open()
        client.send("GET /film HTTP/1.1\nHost: a\n\n")
        (answer,) = await client.answers(1)
        self.assertEqual(answer.body, CONTENT)

    async def test_a_file_that_becomes_shorter_ends_the_connection(self) -> None:
        with self.path.open("r+b") as file:
            file.truncate(256 * MIB)
        client = await self.open()
        client.keeps = False
        client.send("GET /film HTTP/1.1\nHost: a\n\n")
        await client.until(lambda: client.count > MIB)
        client.tcp.pauseProducing()
        os.truncate(self.path, 3 * MIB)
        client.tcp.resumeProducing()
        await client.closed()
        self.assertLess(client.count, 256 * MIB)
        self.flushLoggedErrors()

    async def test_one_that_is_cut_off_before_its_first_byte_too(self) -> None:
        def cut(_: Request) -> Response:
            response = Response.file(self.path)
            os.truncate(self.path, 0)
            return response

        self.app.get("/cut", cut)
        client = await self.open()
        client.send("GET /cut HTTP/1.1\nHost: a\n\n")
        await client.closed()
        self.assertNotIn(b"500", client.raw[:20])
        self.flushLoggedErrors()

    async def test_over_a_unix_socket(self) -> None:
        where = str(self.directory / "socket")
        server = await self.serve_with(self.app)
        await server.stop()
        await server.start(reactor, [f"unix:{where}"])
        client = await self.connect(f"unix:{where}")
        client.send("GET /film HTTP/1.1\nHost: a\n\n")
        (answer,) = await client.answers(1)
        self.assertEqual(answer.body, CONTENT)

    async def test_draining_finishes_a_download(self) -> None:
        server = await self.serve_with(self.app)
        client = await self.connect(f"tcp:127.0.0.1:{server.addresses[0].port}")
        client.send("GET /film HTTP/1.1\nHost: a\n\n")
        await client.until(lambda: client.count > 0)
        await server.stop()
        (answer,) = await client.answers(1)
        self.assertEqual(answer.body, CONTENT)


class Turns(FileTestCase):
    def test_the_more_files_the_less_of_each_in_a_turn(self) -> None:
        turn = module.FileTurn()
        shares = []
        for files in (0, 1, 8, 16, 32, 1000):
            turn.files = files
            shares.append(turn.share)
        self.assertEqual(shares, [MIB, MIB, MIB, MIB // 2, MIB // 4, MIB // 4])

    async def test_they_are_counted_while_they_are_sent(self) -> None:
        with self.path.open("r+b") as file:
            file.truncate(64 * MIB)
        server = await self.serve_with(self.app)
        assert server._factory is not None
        turn = server._factory.file_turn
        url = f"http://127.0.0.1:{server.addresses[0].port}"
        clients = [await self.connect_to(url) for _ in range(20)]
        for client in clients:
            client.tcp.pauseProducing()
            client.send("GET /film HTTP/1.1\nHost: a\n\n")
        while turn.files < 20:
            await deferLater(reactor, 0.01)
        self.assertLess(turn.share, MIB)
        for client in clients:
            client.tcp.abortConnection()
        while turn.files:
            await deferLater(reactor, 0.01)


class Leaving(FileTestCase):
    """Clients that vanish in the middle: nothing stays open, every generator closes."""

    timeout = 30
    crowd = 200

    def setUp(self) -> None:
        super().setUp()
        self.running = 0

    async def leave(self, url: str, request: str, *, after: int) -> None:
        clients = [await self.connect_to(url) for _ in range(self.crowd)]
        for client in clients:
            client.keeps = False
            client.send(request)
        if after:
            for client in clients:
                await client.until(lambda one=client: one.count >= after)  # type: ignore[misc]  # bound at once
        else:
            while self.running < self.crowd:
                await deferLater(reactor, 0.01)
        for client in clients:
            client.tcp.abortConnection()
        for client in clients:
            await client.closed()
        while self.running:
            await deferLater(reactor, 0.01)

    async def test_in_the_middle_of_files(self) -> None:
        with self.path.open("r+b") as file:
            file.truncate(64 * MIB)
        url = await self.serve(self.app)
        await self.leave(url, "GET /film HTTP/1.1\nHost: a\n\n", after=1000)

    async def test_in_the_middle_of_generators(self) -> None:
        def plain() -> Iterator[bytes]:
            self.running += 1
            try:
                while True:
                    yield bytes(65536)
            finally:
                self.running -= 1

        async def slow() -> AsyncIterator[bytes]:
            self.running += 1
            try:
                while True:
                    yield b"x"
                    await deferLater(reactor, 5)
            finally:
                self.running -= 1

        self.app.get("/plain", lambda _: plain(), thread=False)
        self.app.get("/slow", lambda _: slow())
        url = await self.serve(self.app)
        for path in ("/plain", "/slow"):
            await self.leave(url, f"GET {path} HTTP/1.1\nHost: a\n\n", after=1)

    async def test_in_the_middle_of_uploads(self) -> None:
        @self.app.post("/up")
        async def up(request: Request) -> str:
            self.running += 1
            try:
                async for _ in request:
                    pass
            finally:
                self.running -= 1
            return "done"

        url = await self.serve(self.app)
        head = "POST /up HTTP/1.1\nHost: a\nContent-Length: 1000000\n\nsome"
        await self.leave(url, head, after=0)


class Curl(FileTestCase):
    """What people download with."""

    timeout = 20

    async def curl(self, *arguments: str) -> tuple[int, bytes]:
        if CURL is None:
            self.skipTest("there is no curl")
        command = ["--silent", "--show-error", "--max-time", "10", *arguments]
        output, _, status = await getProcessOutputAndValue(CURL, command)
        return status, output

    async def test_a_range(self) -> None:
        url = await self.serve(self.app)
        for spec, expected in (
            ("0-99", CONTENT[:100]),
            ("-100", CONTENT[-100:]),
            (f"{3 * MIB}-", CONTENT[3 * MIB :]),
        ):
            status, output = await self.curl("--range", spec, f"{url}/files/film.bin")
            self.assertEqual((status, output), (0, expected))

    async def test_a_download_that_goes_on(self) -> None:
        url = await self.serve(self.app)
        target = self.directory / "got.bin"
        target.write_bytes(CONTENT[: 2 * MIB])
        status, _ = await self.curl("-C", "-", "-o", str(target), f"{url}/film")
        self.assertEqual(status, 0)
        self.assertEqual(target.read_bytes(), CONTENT)

    async def test_what_has_not_changed_is_not_downloaded_again(self) -> None:
        url = await self.serve(self.app)
        target = self.directory / "got.bin"
        known = self.directory / "etag"
        options = ["-o", str(target), "--etag-save", str(known), "-w", "%{http_code}"]
        self.assertEqual((await self.curl(*options, f"{url}/film"))[1], b"200")
        options += ["--etag-compare", str(known)]
        self.assertEqual((await self.curl(*options, f"{url}/film"))[1], b"304")

    async def test_an_early_answer_to_a_large_upload_is_seen(self) -> None:
        @self.app.put("/small", max_body=1000)
        async def small(_: Request) -> str:
            return "not reached"

        @self.app.put("/locked")
        async def locked(_: Request) -> Response:
            return Response.text("who are you?", 401)

        url = await self.serve(self.app)
        for path, code in (("/small", b"413"), ("/locked", b"401")):
            for expect in ("Expect:", "Expect: 100-continue"):
                _, output = await self.curl(
                    *("-T", str(self.path), "-H", expect),
                    *("-o", os.devnull, "-w", "%{http_code}", url + path),
                )
                self.assertEqual(output, code, (path, expect))


class Players(FileTestCase):
    """A player that finds its way in a film by ranges: see seeking_client.py."""

    timeout = 20

    def film(self) -> int:
        """Write one, its index behind it, as cameras do; return how many samples."""
        kind = b"isomiso2mp41"
        start = struct.pack(">I4s", 8 + len(kind), b"ftyp") + kind
        start += struct.pack(">I4s", 8 + len(CONTENT), b"mdat")
        samples = b""
        offsets = [*range(0, len(CONTENT), 150_001), 0, 5]  # and back again
        for offset in offsets:
            sample = CONTENT[offset : offset + 3000]
            where = len(start) + offset
            samples += struct.pack(">QII", where, len(sample), zlib.crc32(sample))
        index = struct.pack(">I4s", 8 + len(samples), b"moov") + samples
        self.path.write_bytes(start + CONTENT + index)
        os.utime(self.path, (784111777, 784111777))
        return len(offsets)

    async def test_it_plays(self) -> None:
        samples = self.film()
        script = str(Path(__file__).with_name("seeking_client.py"))
        url = await self.serve(self.app)
        for path in ("/film", "/files/film.bin"):
            output, errors, status = await getProcessOutputAndValue(
                sys.executable, [script, url + path], env=os.environ
            )
            self.assertEqual((status, errors), (0, b""))
            self.assertEqual(int(output), samples)

    async def test_another_film_in_its_place_is_not_mixed_with_it(self) -> None:
        self.film()
        client = await self.open()
        client.send("GET /film HTTP/1.1\nHost: a\nRange: bytes=0-9\n\n")
        (first,) = await client.answers(1)
        self.path.write_bytes(CONTENT)
        os.utime(self.path, (784111778, 784111778))
        client.send("GET /film HTTP/1.1\nHost: a\nRange: bytes=10-19\n")
        client.send(f"If-Range: {first.headers['etag']}\n\n")
        _, second = await client.answers(2)
        self.assertEqual((second.status, second.body), (200, CONTENT))
