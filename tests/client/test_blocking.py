"""The client that blocks: alone, from many threads, and beside a running reactor."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.client.background import release
from httpx_tw.client.blocking import BlockingClient
from httpx_tw.client.pool import ConnectionPool
from httpx_tw.client.pool_facts import PoolConfig
from httpx_tw.errors import (
    BodyConsumed,
    ClientClosed,
    ConfigurationError,
    ConnectFailed,
    InvalidURL,
    LocalProtocolError,
    ReadTimeout,
    ResponseTooLarge,
    StatusError,
)
from tests.client.threaded_server import served, wait_until
from tests.own_directory import OwnDirectoryCase
from tests.server.live import LiveTestCase, reactor

if TYPE_CHECKING:
    from collections.abc import Iterator


class BlockingTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.server = served(self)

    def client(self, **options: Any) -> BlockingClient:
        client = BlockingClient(base_url=self.server.url, **options)
        self.addCleanup(client.close)
        return client


class RequestTests(BlockingTestCase):
    def test_a_response_is_there_when_it_is_returned(self) -> None:
        response = self.client().get("/")
        self.assertEqual((response.status, response.body), (200, b"hello"))
        self.assertEqual(response.text(), "hello")
        self.assertEqual(response.headers["content-length"], "5")

    def test_every_method_is_there(self) -> None:
        client = self.client()
        for method in (client.post, client.put, client.patch, client.delete):
            self.assertEqual(method("/", content=b"x").body, b"none:x")
        for method in (client.head, client.options):
            self.assertEqual(method("/").body, b"")
        self.assertEqual(client.request("GET", "/").body, b"hello")

    def test_connections_are_kept(self) -> None:
        client = self.client()
        for _ in range(5):
            client.get("/")
            client.get("/", params={"a": 1})
        self.assertEqual(client.stats().dialed, 1)

    def test_bodies_of_every_kind_are_sent(self) -> None:
        post = self.client().post
        form = "application/x-www-form-urlencoded"
        self.assertEqual(post("/", json={"a": 1}).body, b'application/json:{"a":1}')
        self.assertEqual(post("/", data={"a": "b"}).body, f"{form}:a=b".encode())
        self.assertEqual(post("/", content=BytesIO(b"file")).body, b"none:file")
        self.assertEqual(post("/", content=iter([b"a", b"b"])).body, b"none:ab")
        body = post("/", files={"f": ("n", BytesIO(b"content"))}).body
        self.assertTrue(body.startswith(b"multipart/form-data:"))
        self.assertIn(b"content", body)

    def test_an_iterator_is_read_on_the_thread_that_sends(self) -> None:
        seen: list[int] = []

        def pieces() -> Iterator[bytes]:
            for _ in range(3):
                seen.append(threading.get_ident())
                yield b"x"

        self.assertEqual(self.client().post("/", content=pieces()).body, b"none:xxx")
        self.assertEqual(set(seen), {threading.get_ident()})

    def test_an_iterator_that_raises_raises_here(self) -> None:
        def pieces() -> Iterator[bytes]:
            yield b"x"
            raise KeyError("mine")

        client = self.client(retries=0)
        self.assertRaises(KeyError, client.post, "/", content=pieces())
        self.assertEqual(client.get("/").status, 200)

    def test_errors_are_raised_here(self) -> None:
        client = self.client(retries=0)
        self.assertRaises(InvalidURL, client.get, "http://")
        self.assertRaises(ConnectFailed, client.get, "http://127.0.0.1:1/")
        self.assertRaises(ReadTimeout, client.get, "/never", timeout=0.05)
        self.assertRaises(StatusError, client.get("/missing").raise_for_status)
        self.assertRaises(ConfigurationError, client.get, "/", stream=True)

    def test_cookies_are_kept(self) -> None:
        client = self.client()
        client.get("/set")
        self.assertEqual(client.get("/").body, b"a=1")
        self.assertEqual(client.cookies.get("a"), "1")

    def test_many_threads_use_one(self) -> None:
        client = self.client(pool=PoolConfig(max_per_host=4))

        def fetch(_: int) -> bytes:
            return client.get("/").body

        with ThreadPoolExecutor(8) as threads:
            bodies = list(threads.map(fetch, range(400)))
        self.assertEqual(set(bodies), {b"hello"})
        self.assertLessEqual(client.stats().dialed, 4)


class StreamTests(BlockingTestCase):
    def test_a_body_is_read_piece_by_piece(self) -> None:
        client = self.client()
        with client.stream("GET", "/big") as response:
            self.assertEqual((response.status, response.reason), (200, "OK"))
            self.assertEqual(response.headers["content-length"], "1000000")
            self.assertTrue(str(response.url).endswith("/big"))
            self.assertIn("200", repr(response))
            self.assertIs(response.raise_for_status(), response)
            pieces = list(response)
        self.assertGreater(len(pieces), 1)
        self.assertEqual(sum(map(len, pieces)), 1_000_000)
        self.assertEqual(client.get("/").status, 200)
        self.assertEqual(client.stats().dialed, 1)

    def test_it_may_be_read_whole_or_left(self) -> None:
        client = self.client()
        with client.stream("GET", "/") as response:
            self.assertEqual(response.read(), b"hello")
        with client.stream("GET", "/big") as response:
            pass
        self.assertRaises(BodyConsumed, response.read)
        self.assertEqual(client.stats().active, 0)

    def test_what_it_sends_is_ferried_too(self) -> None:
        with self.client().stream("POST", "/", content=iter([b"a"])) as response:
            self.assertEqual(response.read(), b"none:a")


class FileTests(OwnDirectoryCase, BlockingTestCase):
    def test_a_body_is_saved_to_a_file(self) -> None:
        client = self.client()
        told: list[Any] = []
        with client.stream("GET", "/big") as response:
            size = response.save("file", progress=lambda *of: told.append(of))
        self.assertEqual(size, 1_000_000)
        self.assertEqual(told[-1], (1_000_000, 1_000_000))
        self.assertEqual(client.download("/big", "file"), 1_000_000)
        self.assertEqual(Path("file").read_bytes(), b"x" * 1_000_000)
        self.assertRaises(ResponseTooLarge, client.download, "/big", "f", max_size=9)
        self.assertRaises(StatusError, client.download, "/missing", "f")
        self.assertEqual(list(Path().iterdir()), [Path("file")])

    def test_a_file_is_sent_by_the_reactor(self) -> None:
        Path("file").write_bytes(b"hello" * 50_000)
        client = self.client()
        sent: list[Any] = []
        with Path("file").open("rb") as file:
            for content in (Path("file"), file):
                found = client.post(
                    "/",
                    content=content,
                    upload_progress=lambda *of: sent.append(of),
                )
                self.assertEqual(found.body, b"none:" + b"hello" * 50_000)
                self.assertEqual(sent[-1], (250_000, 250_000))


class LifeTests(BlockingTestCase):
    def test_options_are_refused_where_they_are_given(self) -> None:
        self.assertRaises(ConfigurationError, BlockingClient, retries=-1)
        self.assertRaises(ConfigurationError, BlockingClient, pool=ConnectionPool())

    def test_nothing_runs_until_it_is_needed(self) -> None:
        before = threading.active_count()
        client = BlockingClient()
        self.assertEqual(threading.active_count(), before)
        client.close()

    def test_after_its_end_it_is_closed(self) -> None:
        with BlockingClient() as client:
            client.get(self.server.url)
        for _ in range(2):
            client.close()
            self.assertRaises(ClientClosed, client.get, self.server.url)

    def test_closing_ends_what_others_wait_for(self) -> None:
        client = self.client()
        outcome: list[Exception] = []

        def fetch() -> None:
            try:
                client.get("/never")
            except ClientClosed as error:
                outcome.append(error)

        thread = threading.Thread(target=fetch)
        thread.start()
        wait_until(lambda: client._link._ends is not None)
        wait_until(lambda: client.stats().active)
        client.close()
        thread.join(10)
        self.assertEqual(len(outcome), 1)

    def test_a_reactor_that_stopped_leaves_nothing_to_close(self) -> None:
        client = self.client()
        client.get("/")
        _, errands = client._link.ends()
        errands.call(errands.end)
        self.assertRaises(ClientClosed, client.get, "/")
        client.close()
        self.assertRaises(ClientClosed, client.get, "/")

    def test_a_child_begins_anew_and_goes_on(self) -> None:
        client = self.client()
        client.get("/")
        ends = client._link.ends()
        client._link.empty()  # as after a fork
        self.assertEqual(client.get("/").status, 200)
        self.assertIsNot(client._link.ends()[0], ends[0])
        ends[1].call(ends[0].close)
        release(ends[1])

    def test_several_share_the_thread(self) -> None:
        first, second = self.client(), self.client()
        first.get("/")
        before = threading.active_count()
        second.get("/")
        self.assertLessEqual(threading.active_count(), before + 1)  # the server's
        first.close()
        self.assertEqual(second.get("/").status, 200)


class RunningReactorTests(LiveTestCase):
    def fetch(self, url: str) -> tuple[bytes, int]:
        with BlockingClient() as client:
            body = client.get(url).body
            with client.stream("GET", url) as response:
                self.assertEqual(response.read(), b"hello")
            return body, client.stats().dialed

    async def test_a_reactor_that_runs_is_used_from_threads(self) -> None:
        url = await self.serve(self.app)
        before = {thread.name for thread in threading.enumerate()}
        body, dialed = await deferToThread(self.fetch, url)
        self.assertEqual((body, dialed), (b"hello", 1))
        names = {thread.name for thread in threading.enumerate()} - before
        self.assertFalse([name for name in names if name.startswith("httpx_tw")])

    async def test_its_own_thread_must_not_wait_for_itself(self) -> None:
        await deferLater(reactor, 0)  # until here it does not run
        client = BlockingClient()
        with self.assertRaises(LocalProtocolError):
            client.get("http://127.0.0.1:1/")
        await deferToThread(client.close)

    async def test_a_reactor_can_be_given(self) -> None:
        url = await self.serve(self.app)

        def fetch() -> bytes:
            with BlockingClient(reactor=reactor) as client:
                return client.get(url).body

        self.assertEqual(await deferToThread(fetch), b"hello")
