"""What of a file a client gets, through the whole server."""

from __future__ import annotations

import os
import tempfile
import time
from email import message_from_bytes
from pathlib import Path
from typing import Any

from httpx_tw import Response
from httpx_tw.errors import LocalProtocolError
from httpx_tw.server import static as module
from tests.server.fakes import Answer, ServerTestCase

ALPHABET = b"abcdefghijklmnopqrstuvwxyz"
LONG_AGO = 784111777
DATE = "Sun, 06 Nov 1994 08:49:37 GMT"
CONTENT = ALPHABET * 4000  # too large to be sent in one piece with its head


class FileTestCase(ServerTestCase):
    def setUp(self) -> None:
        super().setUp()
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.path = Path(holder.name) / "file.txt"
        self.write(CONTENT)
        self.app.get("/file", lambda _: Response.file(self.path))
        self.peer = self.connect()

    def write(self, content: bytes, modified: float = LONG_AGO) -> None:
        self.path.write_bytes(content)
        os.utime(self.path, (modified, modified))

    def ask(self, *fields: str, method: str = "GET", path: str = "/file") -> Answer:
        peer = self.connect()
        peer.get(path, *fields, method=method)
        return peer.answer(method)

    @property
    def etag(self) -> str:
        return self.ask(method="HEAD").headers["etag"]


class Conditions(FileTestCase):
    def test_the_whole_file_without_them(self) -> None:
        answer = self.ask()
        self.assertEqual((answer.status, answer.body), (200, CONTENT))
        self.assertEqual(answer.headers["last-modified"], DATE)
        self.assertEqual(answer.headers["accept-ranges"], "bytes")

    def test_what_the_client_has_is_not_sent_again(self) -> None:
        etag = self.etag
        for field in (
            f"If-None-Match: {etag}",
            f"If-None-Match: W/{etag}",
            "If-None-Match: *",
            f"If-Modified-Since: {DATE}",
        ):
            for method in ("GET", "HEAD"):
                answer = self.ask(field, method=method)
                self.assertEqual((answer.status, answer.body), (304, b""), field)
                self.assertEqual(answer.headers["etag"], etag)
                for name in ("content-length", "content-type", "last-modified"):
                    self.assertNotIn(name, answer.headers)

    def test_a_304_keeps_what_is_not_about_the_content(self) -> None:
        headers = {"Cache-Control": "no-cache", "Vary": "Cookie", "X-Own": "1"}
        self.app.get("/own", lambda _: Response.file(self.path, headers=headers))
        answer = self.ask(f"If-Modified-Since: {DATE}", path="/own")
        self.assertEqual(answer.status, 304)
        for name, value in headers.items():
            self.assertEqual(answer.headers[name], value)

    def test_a_precondition_that_fails_is_412(self) -> None:
        for field in (
            'If-Match: "other"',
            f"If-Match: W/{self.etag}",
            "If-Unmodified-Since: Sun, 06 Nov 1994 08:49:36 GMT",
        ):
            self.assertEqual(self.ask(field).status, 412, field)
        self.assertEqual(self.ask(f"If-Match: {self.etag}").status, 200)

    def test_the_applications_page_is_shown_for_it(self) -> None:
        self.app.error_page(412, lambda *_: "page")
        self.assertEqual(self.ask('If-Match: "other"').body, b"page")

    def test_an_entity_tag_of_the_applications_own_counts(self) -> None:
        headers = {"ETag": '"mine"', "Last-Modified": "Mon, 07 Nov 1994 00:00:00 GMT"}
        self.app.get("/own", lambda _: Response.file(self.path, headers=headers))
        self.assertEqual(self.ask('If-None-Match: "mine"', path="/own").status, 304)
        field = f"If-Modified-Since: {DATE}"
        self.assertEqual(self.ask(field, path="/own").status, 200)

    def test_without_validators_only_a_star_matches(self) -> None:
        def bare(_: Any) -> Response:
            response = Response.file(self.path)
            del response.headers["etag"], response.headers["last-modified"]
            return response

        self.app.get("/bare", bare)
        self.assertEqual(self.ask("If-None-Match: *", path="/bare").status, 304)
        field = f"If-Modified-Since: {DATE}"
        self.assertEqual(self.ask(field, path="/bare").status, 200)

    def test_another_status_or_method_is_sent_as_it_is(self) -> None:
        def created(_: Any) -> Response:
            response = Response.file(self.path)
            response.status = 201
            return response

        self.app.get("/created", created)
        self.app.post("/file", lambda _: Response.file(self.path))
        answer = self.ask("Range: bytes=0-1", path="/created")
        self.assertEqual((answer.status, answer.body), (201, CONTENT))
        answer = self.ask("Range: bytes=0-1", "If-None-Match: *", method="POST")
        self.assertEqual((answer.status, answer.body), (200, CONTENT))


class WholeURLs(FileTestCase):
    """A target in absolute-form names what its path does (RFC 9112 section 3.2.2)."""

    def setUp(self) -> None:
        super().setUp()
        directory = self.path.parent / "directory"
        directory.mkdir()
        (directory / "a.txt").write_bytes(b"a")
        self.app.static("/", self.path.parent)

    def test_a_file_is_found(self) -> None:
        self.assertEqual(self.ask(path="http://a/directory/a.txt").body, b"a")
        self.assertEqual(self.ask(path="http://a/directory%2fa.txt").status, 404)

    def test_a_directory_leads_to_its_index(self) -> None:
        for query in ("", "?b=c"):
            answer = self.ask(path=f"http://a/directory{query}")
            self.assertEqual(answer.status, 301)
            self.assertEqual(answer.headers["location"], f"/directory/{query}")

    def test_a_redirect_stays_on_this_host(self) -> None:
        for path in ("//directory", "/%5cdirectory"):
            self.assertEqual(self.ask(path=f"http://a{path}").status, 404)


class Ranges(FileTestCase):
    def test_one_range(self) -> None:
        for spec, first, end in (
            ("0-0", 0, 1),
            ("2-5", 2, 6),
            ("0-", 0, len(CONTENT)),
            ("50000-", 50000, len(CONTENT)),
            ("-26", len(CONTENT) - 26, len(CONTENT)),
            ("100-999999999", 100, len(CONTENT)),
        ):
            answer = self.ask(f"Range: bytes={spec}")
            self.assertEqual((answer.status, answer.body), (206, CONTENT[first:end]))
            self.assertEqual(
                answer.headers["content-range"],
                f"bytes {first}-{end - 1}/{len(CONTENT)}",
            )
            self.assertEqual(
                answer.headers["content-type"], "text/plain; charset=utf-8"
            )
            for name in ("etag", "last-modified"):
                self.assertIn(name, answer.headers)

    def test_several_ranges_are_parts(self) -> None:
        for spans in (
            [(0, 5), (200, 26)],
            [(90000, 9), (0, 9)],
            [(0, 50000), (60000, 9)],
        ):
            specs = ",".join(f"{first}-{first + n - 1}" for first, n in spans)
            answer = self.ask(f"Range: bytes={specs}")
            self.assertEqual(answer.status, 206)
            self.assertNotIn("content-range", answer.headers)
            kind = answer.headers["content-type"]
            self.assertEqual(answer.headers.get_all("content-type"), [kind])
            self.assertTrue(kind.startswith("multipart/byteranges; boundary="))
            message = message_from_bytes(
                f"Content-Type: {kind}\r\n\r\n".encode() + answer.body
            )
            parts: Any = message.get_payload()
            for part, (first, n) in zip(parts, spans, strict=True):
                self.assertEqual(
                    part.get_payload(decode=True), CONTENT[first : first + n]
                )
                self.assertEqual(
                    part["content-range"],
                    f"bytes {first}-{first + n - 1}/{len(CONTENT)}",
                )
                self.assertEqual(part["content-type"], "text/plain; charset=utf-8")

    def test_boundaries_cannot_be_known_before(self) -> None:
        kinds = {
            self.ask("Range: bytes=0-0,200-200").headers["content-type"]
            for _ in range(3)
        }
        self.assertEqual(len(kinds), 3)

    def test_what_is_not_there_is_416_with_the_length(self) -> None:
        for spec in (f"{len(CONTENT)}-", "-0"):
            answer = self.ask(f"Range: bytes={spec}")
            self.assertEqual(answer.status, 416)
            self.assertEqual(answer.headers["content-range"], f"bytes */{len(CONTENT)}")
        self.write(b"")
        self.assertEqual(self.ask("Range: bytes=0-").status, 416)
        answer = self.ask("Range: bytes=-5")
        self.assertEqual((answer.status, answer.body), (200, b""))

    def test_what_makes_no_sense_gets_the_whole(self) -> None:
        many = ",".join(f"{n * 200}-{n * 200}" for n in range(17))
        for spec in ("bytes=5-4", "lines=0-1", f"bytes={many}"):
            answer = self.ask(f"Range: {spec}")
            self.assertEqual((answer.status, answer.body), (200, CONTENT))

    def test_a_head_has_no_ranges(self) -> None:
        answer = self.ask("Range: bytes=0-1", method="HEAD")
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.headers["content-length"], str(len(CONTENT)))

    def test_a_download_is_resumed_only_if_it_is_the_same(self) -> None:
        etag = self.etag
        for validator, status in (
            (etag, 206),
            (DATE, 206),
            ('"other"', 200),
            (f"W/{etag}", 200),
            ("Sun, 06 Nov 1994 08:49:38 GMT", 200),
        ):
            answer = self.ask("Range: bytes=99-", f"If-Range: {validator}")
            self.assertEqual(answer.status, status, validator)

    def test_what_has_just_been_written_is_not_resumed(self) -> None:
        self.write(CONTENT, time.time())
        etag = self.etag
        answer = self.ask("Range: bytes=99-", f"If-Range: {etag}")
        self.assertEqual(answer.status, 200)
        self.assertEqual(self.ask(f"If-None-Match: {etag}").status, 304)

    def test_preconditions_come_first(self) -> None:
        fields = ("Range: bytes=0-1", "If-None-Match: *")
        self.assertEqual(self.ask(*fields).status, 304)
        self.assertEqual(self.ask("Range: bytes=0-1", 'If-Match: "b"').status, 412)

    def test_the_connection_stays_what_the_application_made_it(self) -> None:
        def closing(_: Any) -> Response:
            return Response.file(self.path, headers={"Connection": "close"})

        self.app.get("/closing", closing)
        for field in ("Range: bytes=0-1", "If-None-Match: *", "X: y"):
            answer = self.ask(field, path="/closing")
            self.assertEqual(answer.headers["connection"], "close")

    def test_small_files_in_the_cache_have_all_of_this(self) -> None:
        self.write(ALPHABET)
        self.app.static("/s", self.path.parent)
        for _ in range(2):
            self.assertEqual(self.ask(path="/s/file.txt").body, ALPHABET)
            answer = self.ask("Range: bytes=2-3", path="/s/file.txt")
            self.assertEqual((answer.status, answer.body), (206, b"cd"))
            field = f"If-Modified-Since: {DATE}"
            self.assertEqual(self.ask(field, path="/s/file.txt").status, 304)
            answer = self.ask("If-None-Match: x", path="/s/file.txt")
            self.assertEqual((answer.status, answer.body), (200, ALPHABET))


class Sending(FileTestCase):
    def test_it_is_counted_and_logged_with_its_length(self) -> None:
        self.ask()
        self.assertEqual(self.log.lines[-1][-2:], (200, len(CONTENT)))
        self.assertGreater(self.factory.bytes_sent, len(CONTENT))

    def test_the_connection_goes_on(self) -> None:
        for _ in range(3):
            self.peer.get("/file")
        self.assertEqual([a.body for a in self.peer.answers()], [CONTENT] * 3)

    def test_http_1_0_gets_a_length_too(self) -> None:
        self.peer.send("GET /file HTTP/1.0\n\n")
        answer = self.peer.answer()
        self.assertEqual(answer.headers["content-length"], str(len(CONTENT)))
        self.assertEqual(answer.body, CONTENT)

    def test_a_slow_client_is_waited_for(self) -> None:
        self.peer.get("/file")
        self.peer.take(1000)
        self.assertLess(self.peer.transport.unsent, 3 * 64 * 1024)
        self.assertEqual(self.peer.answer().body, CONTENT)

    def test_a_file_that_becomes_shorter_ends_the_connection(self) -> None:
        self.write(CONTENT * 10)
        self.peer.get("/file")
        self.peer.take(1000)
        os.truncate(self.path, 70000)
        self.assert_cut_off()

    def assert_cut_off(self) -> None:
        self.assertFalse(any(answer.is_whole for answer in self.peer.answers()))
        self.turn()
        self.assertTrue(self.peer.transport.is_closed)
        self.assertEqual(len(self.flushLoggedErrors(LocalProtocolError)), 1)

    def test_a_file_that_grows_is_sent_as_long_as_it_was(self) -> None:
        self.peer.get("/file")
        self.peer.take(1000)
        with self.path.open("ab") as file:
            file.write(b"more")
        self.assertEqual(self.peer.answer().body, CONTENT)
        self.peer.get("/file")
        self.assertEqual(self.peer.answers()[-1].body, CONTENT + b"more")

    def test_a_small_one_that_became_shorter_just_now_ends_it_too(self) -> None:
        self.write(ALPHABET)

        def cut(_: Any) -> Response:
            response = Response.file(self.path)
            os.truncate(self.path, 3)
            return response

        self.app.get("/cut", cut)
        self.peer.get("/cut")
        self.assert_cut_off()

    def test_what_is_not_in_the_kernels_cache_goes_the_other_way(self) -> None:
        self.write(ALPHABET)
        self.patch(module, "is_cached", lambda *_: False)
        self.assertEqual(self.ask().body, ALPHABET)

    def test_a_file_that_is_missing_is_404(self) -> None:
        self.app.get("/gone", lambda _: Response.file(self.path.parent / "gone"))
        self.assertEqual(self.ask(path="/gone").status, 404)

    def test_a_file_object_is_sent_and_closed(self) -> None:
        opened = []

        def file(_: Any) -> Any:
            opened.append(self.path.open("rb"))
            return opened[-1]

        self.app.get("/object", file)
        answer = self.ask(path="/object")
        self.assertEqual(answer.headers["content-length"], str(len(CONTENT)))
        self.assertEqual(answer.body, CONTENT)
        answer = self.ask("Range: bytes=0-1", path="/object")
        self.assertEqual(answer.body, CONTENT)  # nobody said that it has ranges
        self.ask(path="/object", method="HEAD")

    def test_the_file_is_closed_when_the_client_goes(self) -> None:
        self.peer.get("/file")
        self.peer.take(1000)
        self.peer.transport.lose()
        # That nothing is left open is checked after every test.

    def test_middleware_may_read_it_as_a_stream(self) -> None:
        def upper(request: Any, call_next: Any) -> Response:
            response = call_next(request)
            return Response.stream(piece.upper() for piece in response.body)

        self.app.get("/up", lambda _: Response.file(self.path), middleware=[upper])
        self.assertEqual(self.ask(path="/up").body, CONTENT.upper())
