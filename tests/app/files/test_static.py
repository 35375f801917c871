"""A directory as a client sees it."""

from __future__ import annotations

import gc
import os
import time
from typing import TYPE_CHECKING, Any

from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.app.app import App
from httpx_tw.app.files.opened import OpenFile
from httpx_tw.app.files.static import CONTENT_LIMIT, StaticFiles
from httpx_tw.errors import ConfigurationError, HTTPError
from httpx_tw.testing.clients import TestClient
from tests.app.files.trees import LONG_AGO, make_tree, put

if TYPE_CHECKING:
    from httpx_tw.testing.conversation import TestResponse


class StaticTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.public = make_tree(self)
        self.app = App()
        self.client = TestClient(self.app)
        self.addCleanup(self._let_go)

    def serve(self, prefix: str = "/files", **options: Any) -> None:
        self.app.static(prefix, self.public, **options)

    def _let_go(self) -> None:
        # The descriptors in the cache go with the application.
        self.client.close()
        del self.client, self.app
        gc.collect()  # before the directory: Windows removes no file that is open

    def get(self, path: str, **headers: str) -> TestResponse:
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.get(path, headers=fields)

    def status(self, path: str, **headers: str) -> int:
        return self.get(path, **headers).status


class Paths(StaticTestCase):
    def test_a_file_is_answered_with_its_fields(self) -> None:
        self.serve()
        answer = self.get("/files/a.txt")
        self.assertEqual((answer.status, answer.content), (200, b"hello"))
        self.assertEqual(answer.headers["content-type"], "text/plain; charset=utf-8")
        self.assertEqual(answer.headers["accept-ranges"], "bytes")
        self.assertEqual(answer.headers["x-content-type-options"], "nosniff")
        self.assertEqual(answer.headers["content-length"], "5")
        self.assertIn("etag", answer.headers)
        self.assertNotIn("cache-control", answer.headers)
        self.assertNotIn("vary", answer.headers)

    def test_a_head_has_no_body(self) -> None:
        self.serve()
        for path in ("/files/a.txt", "/files/sub/big"):
            put(self.public / "sub" / "big", bytes(CONTENT_LIMIT + 1))
            answer = self.client.head(path)
            full = self.client.get(path)
            self.assertEqual((answer.status, answer.content), (200, b""))
            self.assertEqual(
                answer.headers["content-length"], full.headers["content-length"]
            )

    def test_other_methods_are_not_allowed(self) -> None:
        self.serve()
        answer = self.client.post("/files/a.txt")
        self.assertEqual(answer.status, 405)
        self.assertEqual(answer.headers["allow"], "GET, HEAD, OPTIONS")

    def test_what_is_not_to_be_had_is_not_found(self) -> None:
        self.serve()
        for path in (
            "gone",
            "a.txt/",
            "%2e%2e/secret.txt",
            "..%2fsecret.txt",
            "sub%2Fb.txt",
            "sub%5cb.txt",
            "sub\\b.txt",
            ".hidden",
            ".git/config",
            "out.txt",
            "fifo",
            "sub/",
            "",
            "/etc/passwd",
            "sub//b.txt",
        ):
            self.assertEqual(self.status(f"/files/{path}"), 404, path)
        self.assertEqual(self.status("/files/a.txt%00.png"), 400)

    def test_an_encoded_separator_is_refused_for_a_file_that_is_here(self) -> None:
        self.serve()
        self.assertEqual(self.status("/files/sub/b.txt"), 200)
        self.assertEqual(self.status("/files/sub%2fb.txt"), 404)
        self.assertEqual(self.status("/files/sub/b.txt?a=%2f"), 200)

    def test_percent_encoding_is_undone_once(self) -> None:
        put(self.public / "ä b%2e.txt", b"name")
        self.serve()
        self.assertEqual(self.get("/files/%C3%A4%20b%252e.txt").content, b"name")

    def test_a_directory_leads_to_its_index(self) -> None:
        put(self.public / "sub" / "index.html", b"<p>")
        self.serve()
        answer = self.get("/files/sub?a=b")
        self.assertEqual(answer.status, 301)
        self.assertEqual(answer.headers["location"], "/files/sub/?a=b")
        answer = self.get("/files/sub")
        self.assertEqual(answer.headers["location"], "/files/sub/")
        answer = self.get("/files/sub/")
        self.assertEqual(answer.content, b"<p>")
        self.assertEqual(answer.headers["content-type"], "text/html; charset=utf-8")
        self.assertEqual(self.get("/files/sub/").content, b"<p>")  # from the cache

    def test_a_redirect_stays_on_this_host(self) -> None:
        (self.public / "evil").mkdir()
        self.serve("/")
        for target in ("/%2fevil", "/%5cevil", "/./evil", "/evil/../evil"):
            answer = self.client.get(target)
            location = answer.headers.get("location", "/")
            self.assertFalse(location.startswith(("//", "/\\")), location)

    def test_the_index_is_the_applications(self) -> None:
        put(self.public / "start.htm", b"start")
        put(self.public / "index.html", b"index")
        self.serve(index="start.htm")
        self.assertEqual(self.get("/files/").content, b"start")
        self.app.static("/none", self.public, index=None)
        self.assertEqual(self.status("/none/"), 404)
        self.assertEqual(self.status("/none/sub/"), 404)

    def test_an_index_that_is_a_directory_is_none(self) -> None:
        (self.public / "sub" / "index.html").mkdir()
        self.serve(listing=True)
        self.assertIn("index.html/", self.get("/files/sub/").text)

    def test_a_listing_is_shown_where_that_is_wanted(self) -> None:
        self.serve(listing=True)
        answer = self.get("/files/")
        self.assertEqual(answer.status, 200)
        self.assertIn("a.txt", answer.text)
        self.assertNotIn("hidden", answer.text)
        self.assertNotIn('href="../"', answer.text)
        self.assertIn('href="../"', self.get("/files/sub/").text)
        self.assertEqual(self.status("/files/gone/"), 404)
        self.assertEqual(self.status("/files/sub//"), 404)

    def test_the_whole_rest_of_an_application(self) -> None:
        self.app.get("/api", lambda _: "api")
        put(self.public / "index.html", b"start")
        self.serve("/")
        self.assertEqual(self.get("/").content, b"start")
        self.assertEqual(self.get("/sub/b.txt").content, b"below")
        self.assertEqual(self.get("/api").content, b"api")

    def test_middleware_goes_around_it(self) -> None:
        def shout(request: Any, call_next: Any) -> Any:
            response = call_next(request)
            response.headers.add("X-Shout", "!")
            return response

        self.serve(middleware=[shout])
        for _ in range(2):  # the second from the cache, which must not have changed
            self.assertEqual(self.get("/files/a.txt").headers.get_all("x-shout"), ["!"])

    def test_a_directory_that_cannot_be_read_is_refused_at_once(self) -> None:
        self.assertRaises(
            ConfigurationError, self.app.static, "/x", self.public / "gone"
        )

    def test_cache_control_is_the_applications(self) -> None:
        self.serve(cache_control="public, max-age=60")
        answer = self.get("/files/a.txt")
        self.assertEqual(answer.headers["cache-control"], "public, max-age=60")

    def test_dot_files_and_links_are_given_where_that_is_wanted(self) -> None:
        self.serve(dot_files=True, follow_links=True)
        self.assertEqual(self.get("/files/.hidden").content, b"hidden")
        self.assertEqual(self.get("/files/inside.txt").content, b"below")
        self.assertEqual(self.status("/files/out.txt"), 404)


class Codings(StaticTestCase):
    def setUp(self) -> None:
        super().setUp()
        put(self.public / "app.js", b"plain")
        put(self.public / "app.js.gz", b"gzipped")
        put(self.public / "app.js.br", b"brotli")

    def test_the_best_that_is_there_and_taken(self) -> None:
        self.serve()
        for accepted, coding, content in (
            ("gzip, br, zstd", "br", b"brotli"),
            ("gzip, zstd", "gzip", b"gzipped"),
            ("zstd", None, b"plain"),
            ("identity", None, b"plain"),
        ):
            answer = self.get("/files/app.js", Accept_Encoding=accepted)
            self.assertEqual(answer.headers.get("content-encoding"), coding)
            self.assertEqual(answer.content, content)
            self.assertEqual(answer.headers["vary"], "accept-encoding")
            self.assertEqual(
                answer.headers["content-type"], "text/javascript; charset=utf-8"
            )
        self.assertEqual(self.get("/files/app.js").content, b"plain")

    def test_each_coding_has_its_own_entity_tag(self) -> None:
        self.serve()
        tags = {
            self.get("/files/app.js", Accept_Encoding=coding).headers["etag"]
            for coding in ("br", "gzip", "identity")
        }
        self.assertEqual(len(tags), 3)

    def test_one_that_is_older_than_the_file_is_not_sent(self) -> None:
        put(self.public / "app.js", b"new", LONG_AGO + 1)
        self.serve()
        answer = self.get("/files/app.js", Accept_Encoding="br, gzip")
        self.assertEqual(answer.content, b"new")
        self.assertNotIn("vary", answer.headers)

    def test_what_is_compressed_already_has_none(self) -> None:
        put(self.public / "a.png", b"png")
        put(self.public / "a.png.gz", b"zip")
        self.serve()
        self.assertEqual(
            self.get("/files/a.png", Accept_Encoding="gzip").content, b"png"
        )
        self.assertEqual(self.get("/files/a.png.gz").content, b"zip")

    def test_they_can_be_turned_off(self) -> None:
        self.serve(precompressed=False)
        self.assertEqual(
            self.get("/files/app.js", Accept_Encoding="br").content, b"plain"
        )

    def test_one_behind_a_link_or_a_directory_is_not_there(self) -> None:
        (self.public / "app.js.br").unlink()
        (self.public / "app.js.br").mkdir()
        (self.public / "app.js.gz").unlink()
        (self.public / "app.js.gz").symlink_to("../secret.txt")
        self.serve()
        answer = self.get("/files/app.js", Accept_Encoding="br, gzip")
        self.assertEqual(answer.content, b"plain")


class Freshness(StaticTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.now = 0.0

    def serve(self, prefix: str = "/files", **options: Any) -> None:
        files = StaticFiles(self.public, seconds=lambda: self.now, **options)
        self.app.get(f"{prefix}/*", files)

    def test_a_change_is_seen_after_a_second(self) -> None:
        self.serve()
        self.assertEqual(self.get("/files/a.txt").content, b"hello")
        put(self.public / "a.txt", b"changed", LONG_AGO + 1)
        self.assertEqual(self.get("/files/a.txt").content, b"hello")
        self.now = 1.0
        self.assertEqual(self.get("/files/a.txt").content, b"changed")

    def test_what_was_removed_is_gone_after_a_second(self) -> None:
        self.serve()
        self.status("/files/a.txt")
        (self.public / "a.txt").unlink()
        self.now = 1.0
        self.assertEqual(self.status("/files/a.txt"), 404)
        put(self.public / "a.txt", b"back")
        self.assertEqual(self.get("/files/a.txt").content, b"back")

    def test_what_became_a_directory_is_one_after_a_second(self) -> None:
        self.serve()
        self.status("/files/a.txt")
        (self.public / "a.txt").unlink()
        (self.public / "a.txt").mkdir()
        self.now = 1.0
        self.assertEqual(self.status("/files/a.txt"), 301)

    def test_an_entity_tag_becomes_strong(self) -> None:
        put(self.public / "a.txt", b"new", time.time())
        self.serve()
        self.assertTrue(self.get("/files/a.txt").headers["etag"].startswith("W/"))
        put(self.public / "a.txt", b"new", time.time() - 5)
        self.now = 1.0
        self.assertFalse(self.get("/files/a.txt").headers["etag"].startswith("W/"))

    def test_out_of_descriptors_it_gives_up_what_it_holds(self) -> None:
        put(self.public / "big", bytes(CONTENT_LIMIT + 1))
        files = StaticFiles(self.public)
        files._checked("big", "big", 0.0)
        opened = files._opened
        refused = [HTTPError(503)]

        def once(name: str) -> Any:
            if refused:
                raise refused.pop()
            return opened(name)

        files._opened = once  # type: ignore[method-assign]  # as when the limit is reached
        self.assertEqual(files._checked("a.txt", "a.txt", 0.0).plain.file.size, 5)
        self.assertEqual(len(files._cache), 1)
        files._cache.clear()
        refused.append(HTTPError(503))
        self.assertRaises(HTTPError, files._checked, "a.txt", "a.txt", 0.0)

    def test_a_small_file_that_is_not_in_memory_is_sent_from_the_disk(self) -> None:
        self.patch(OpenFile, "read_content", lambda _: False)
        self.serve()
        self.assertEqual(self.get("/files/a.txt").content, b"hello")

    def test_large_files_are_left_open_and_small_ones_are_not(self) -> None:
        put(self.public / "big", bytes(CONTENT_LIMIT + 1))
        files = StaticFiles(self.public)
        self.assertTrue(files._checked("big", "big", 0.0).is_open)
        self.assertFalse(files._checked("a.txt", "a.txt", 0.0).is_open)


class Times(StaticTestCase):
    def test_modification_times_far_away_are_no_trouble(self) -> None:
        for modified in (0, -1, 2**33):
            path = put(self.public / "odd.txt", b"odd")
            os.utime(path, (modified, modified))
            self.serve(f"/t{abs(modified)}")
            self.assertEqual(self.status(f"/t{abs(modified)}/odd.txt"), 200)
