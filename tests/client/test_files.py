"""Files up and down on real sockets: by the kernel, over TLS, broken off, cancelled."""

from __future__ import annotations

import errno
import gzip
import hashlib
import os
import threading
from pathlib import Path
from typing import Any, ClassVar
from unittest.mock import patch

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater

from httpx_tw.app.response import Response
from httpx_tw.client import sending
from httpx_tw.client.part_file import PartFile
from httpx_tw.client.timeouts import Timeout
from httpx_tw.errors import (
    FileChanged,
    IncompleteMessage,
    ResponseTooLarge,
    StatusError,
    WriteTimeout,
)
from httpx_tw.tls.certificates import ServerTLS
from httpx_tw.transport.file_sender import CHUNK
from tests.client.live import ClientLiveTestCase, Talker, reactor
from tests.own_directory import OwnDirectoryCase
from tests.tls.issuing import authority

SIZE = 3 * CHUNK + 12_345


def names() -> list[str]:
    return sorted(path.name for path in Path().iterdir())


class Stall(Talker):
    """Reads nothing, once a request has begun to come."""

    made: ClassVar[list[Stall]] = []

    def connectionMade(self) -> None:
        self.made.append(self)

    def dataReceived(self, data: bytes) -> None:
        self.tcp.pauseProducing()


class Short(Talker):
    """Sends less than it has said."""

    def asked(self, head: bytes) -> None:
        self.tcp.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
        self.tcp.loseConnection()


class DownloadTests(OwnDirectoryCase, ClientLiveTestCase):
    async def test_a_body_is_saved(self) -> None:
        content = os.urandom(SIZE)
        pieces = [content[at : at + 50_000] for at in range(0, SIZE, 50_000)]
        self.app.get("/stream", lambda _: Response.stream(iter(pieces)))
        self.app.get("/known", lambda _: content)
        url = await self.serve(self.app)
        client = self.made()
        for path, total in (("/stream", None), ("/known", SIZE)):
            told: list[Any] = []
            saved = await client.download(
                url + path,
                "file",
                progress=lambda *of: told.append(of),  # noqa: B023  # called before the next turn
            )
            self.assertEqual(saved, SIZE)
            self.assertEqual(Path("file").read_bytes(), content)
            self.assertEqual((told[0], told[-1]), ((0, total), (SIZE, total)))
            self.assertEqual(names(), ["file"])
        self.assertEqual(client.pool.stats().idle, 1)

    async def test_a_response_that_was_read_is_saved_too(self) -> None:
        url = await self.serve(self.app)
        client = self.made()
        response = await client.get(url)
        self.assertEqual(await response.save("whole"), 5)
        async with client.stream("GET", url) as response:
            await response.read()
            self.assertEqual(await response.save("read"), 5)
            async for _ in response:
                pass
        async with client.stream("GET", url) as response:
            self.assertEqual(await response.save("stream"), 5)
        for name in ("whole", "read", "stream"):
            self.assertEqual(Path(name).read_bytes(), b"hello")

    async def test_it_is_decoded(self) -> None:
        packed = gzip.compress(b"hello" * 100_000)
        headers = {"Content-Encoding": "gzip"}
        self.app.get("/gz", lambda _: Response(packed, headers=headers))
        url = await self.serve(self.app)
        told: list[Any] = []
        saved = await self.made().download(
            url + "/gz", "file", progress=lambda *of: told.append(of)
        )
        self.assertEqual(saved, 500_000)
        self.assertEqual(Path("file").read_bytes(), b"hello" * 100_000)
        self.assertEqual(told[-1], (500_000, None))

    async def test_an_error_page_is_no_download(self) -> None:
        url = await self.serve(self.app)
        with self.assertRaises(StatusError):
            await self.made().download(url + "/absent", "file")
        self.assertEqual(names(), [])

    async def test_less_than_was_told_is_no_file(self) -> None:
        port = await self.listen(Short)
        client = self.made()
        with self.assertRaises(IncompleteMessage):
            await client.download(f"http://127.0.0.1:{port}/", "file")
        self.assertEqual(names(), [])

    async def test_more_than_is_wanted_is_refused(self) -> None:
        content = bytes(SIZE)
        self.app.get("/known", lambda _: content)
        self.app.get("/stream", lambda _: Response.stream(iter([content])))
        url = await self.serve(self.app)
        client = self.made()
        for path in ("/stream", "/known"):
            with self.assertRaises(ResponseTooLarge):
                await client.download(url + path, "file", max_size=1_000_000)
            self.assertEqual(names(), [])
        # What is held in memory has its own limit, which is not meant here.
        client = self.made(max_response_size=1000)
        self.assertEqual(await client.download(url + "/known", "file"), SIZE)

    async def test_a_disk_without_room_is_said_so(self) -> None:
        content = bytes(SIZE)
        self.app.get("/known", lambda _: content)
        url = await self.serve(self.app)
        client = self.made()
        import resource  # POSIX

        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        # The kernel refuses what is longer, as a disk does; Python ignores SIGXFSZ.
        resource.setrlimit(resource.RLIMIT_FSIZE, (CHUNK, before[1]))
        try:
            with self.assertRaises(OSError) as caught:
                await client.download(url + "/known", "file")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        self.assertEqual(caught.exception.errno, errno.EFBIG)
        self.assertEqual(caught.exception.filename, "file")
        self.assertEqual(names(), [])
        self.assertEqual((await client.get(url + "/known")).body, content)

    async def test_cancelled_at_any_moment_it_leaves_nothing(self) -> None:
        async def endless() -> Any:
            while True:
                yield bytes(50_000)

        self.app.get("/endless", lambda _: Response.stream(endless()))
        url = await self.serve(self.app)
        client = self.made()
        for count in (0, 1, 50_000, 10_000_000):
            enough: Deferred[None] = Deferred()
            tell = self.telling(count, enough)
            saving = client.download(url + "/endless", "file", progress=tell)
            await enough
            saving.cancel()
            with self.assertRaises(CancelledError):
                await saving
            self.assertEqual(names(), [])
        self.assertEqual(client.pool.stats().active, 0)

    def telling(self, count: int, enough: Deferred[None]) -> Any:
        """Return a progress that has *enough* fire, soon, at *count* bytes."""
        calls: list[Any] = []

        def tell(received: int, _: Any) -> None:
            if received >= count and not calls:
                calls.append(reactor.callLater(0, enough.callback, None))

        return tell

    async def test_the_reactor_does_not_wait_for_the_disk(self) -> None:
        content = bytes(SIZE)
        self.app.get("/known", lambda _: content)
        url = await self.serve(self.app)
        threads: set[int] = set()
        write = PartFile.write

        def watched(file: PartFile, pieces: Any) -> None:
            threads.add(threading.get_ident())
            write(file, pieces)

        with patch.object(PartFile, "write", watched):
            await self.made().download(url + "/known", "file")
        self.assertTrue(threads)
        self.assertNotIn(threading.get_ident(), threads)


class UploadTests(OwnDirectoryCase, ClientLiveTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.content = os.urandom(SIZE)
        Path("file").write_bytes(self.content)
        self.by_kernel = 0
        self.before_upload: Any = None

        async def digest(request: Any) -> str:
            found = hashlib.sha256()
            async for piece in request:
                found.update(piece)
            return found.hexdigest()

        self.app.post("/", digest, max_body=0)

        # A coroutine: what is none is called when all of the body is there.
        async def refuse(
            _: Any,
        ) -> Response:
            return Response("no", status=413)

        self.app.post("/refuse", refuse, max_body=0)
        send_file = sending.BodySender._send_span

        def counting(sender: Any, span: Any) -> Any:
            self.by_kernel += sender._link.sends_files
            return send_file(sender, span)

        patcher = patch.object(sending.BodySender, "_send_span", counting)
        patcher.start()
        self.addCleanup(patcher.stop)

    async def stall(self) -> int:
        """Serve what reads nothing on a free port, and return it."""

        def end() -> None:
            while Stall.made:
                Stall.made.pop().tcp.abortConnection()

        self.addCleanup(end)
        return await self.listen(Stall)

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    async def test_a_path_and_an_open_file_are_sent_by_the_kernel(self) -> None:
        url = await self.serve(self.app)
        client = self.made()
        with Path("file").open("rb") as file:
            for content in (Path("file"), file):
                told: list[Any] = []
                found = await client.post(
                    url,
                    content=content,
                    upload_progress=lambda *of: told.append(of),  # noqa: B023  # see above
                )
                self.assertEqual(found.text(), self.digest)
                self.assertEqual((told[0], told[-1]), ((0, SIZE), (SIZE, SIZE)))
            self.assertEqual(file.tell(), SIZE)
        self.assertGreater(self.by_kernel, 0)
        self.assertEqual(client.pool.stats().idle, 1)

    async def test_over_tls_it_is_read(self) -> None:
        pem = (
            authority().issue("localhost", "127.0.0.1").write(Path("s.pem").absolute())
        )
        server = await self.serve_with(self.app, tls=ServerTLS(certfile=pem))
        client = self.made(verify=authority().write_certificate(Path("ca.pem")))
        url = f"https://127.0.0.1:{server.addresses[0].port}/"
        found = await client.post(url, content=Path("file"))
        self.assertEqual(found.text(), self.digest)
        self.assertEqual(self.by_kernel, 0)

    async def test_over_a_unix_socket_the_kernel_sends_it(self) -> None:
        where = str(Path("socket").absolute())
        server = await self.serve_with(self.app)
        await server.stop()
        await server.start(reactor, [f"unix:{where}"])
        found = await self.made(uds=where).post("http://a/", content=Path("file"))
        self.assertEqual(found.text(), self.digest)
        self.assertGreater(self.by_kernel, 0)

    async def test_a_form_with_files_has_them_sent_by_the_kernel(self) -> None:
        bodies: list[bytes] = []

        async def keep(request: Any) -> str:
            bodies.append(await request.read())
            return "ok"

        self.app.post("/form", keep, max_body=0)
        url = await self.serve(self.app)
        with Path("file").open("rb") as file:
            files: Any = {"p": Path("file"), "f": file, "b": b"bytes"}
            await self.made().post(url + "/form", data={"a": "1"}, files=files)
        self.assertEqual(bodies[0].count(self.content), 2)
        self.assertGreater(self.by_kernel, 0)

    async def test_small_bodies_have_progress_too(self) -> None:
        url = await self.serve(self.app)
        told: list[Any] = []
        await self.made().post(
            url, content=b"hello", upload_progress=lambda *of: told.append(of)
        )
        self.assertEqual(told, [(0, 5), (5, 5)])

    async def test_a_body_in_chunks_is_read(self) -> None:
        url = await self.serve(self.app)
        files: Any = {"p": Path("file"), "i": iter([b"unknown"])}
        found = await self.made().post(url, files=files)
        self.assertEqual(found.status, 200)
        self.assertEqual(self.by_kernel, 0)

    async def test_an_early_refusal_is_heard(self) -> None:
        url = await self.serve(self.app)
        client = self.made()
        os.truncate("file", 200_000_000)
        sent = 0

        def tell(count: int, _: Any) -> None:
            nonlocal sent
            sent = count

        for _ in range(3):
            found = await client.post(
                url + "/refuse", content=Path("file"), upload_progress=tell
            )
            self.assertEqual(found.status, 413)
            self.assertLess(sent, 100_000_000)  # the rest would be sent in vain

    async def test_a_file_that_changes_fails_the_request_and_no_other(self) -> None:
        url = await self.serve(self.app)
        client = self.made()
        for size in (SIZE - 1, SIZE + 1, 0):
            Path("file").write_bytes(self.content)

            def change(sent: int, _: Any, size: int = size) -> None:
                if sent:
                    os.truncate("file", size)

            with self.assertRaises(FileChanged):
                await client.post(url, content=Path("file"), upload_progress=change)
            self.assertEqual((await client.post(url, content=b"")).status, 200)

    async def test_a_server_that_takes_nothing_is_a_write_timeout(self) -> None:
        port = await self.stall()
        os.truncate("file", 200_000_000)
        with self.assertRaises(WriteTimeout):
            await self.made().put(
                f"http://127.0.0.1:{port}/",
                content=Path("file"),
                timeout=Timeout(write=0.3),
            )
        self.assertGreater(self.by_kernel, 0)

    async def test_cancelled_it_lets_go_of_the_file(self) -> None:
        port = await self.stall()
        os.truncate("file", 200_000_000)
        client = self.made()
        sending = client.put(f"http://127.0.0.1:{port}/", content=Path("file"))
        await deferLater(reactor, 0.05)
        sending.cancel()
        with self.assertRaises(CancelledError):
            await sending

    async def test_what_is_sent_again_is_sent_from_the_start(self) -> None:
        self.app.post(
            "/moved",
            lambda _: Response("", status=307, headers={"Location": "/"}),
            max_body=0,
        )
        url = await self.serve(self.app)
        os.truncate("file", 1000)
        self.content = self.content[:1000]
        found = await self.made().post(url + "/moved", content=Path("file"))
        self.assertEqual(found.text(), self.digest)
