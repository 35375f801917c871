"""What ``httpx-tw get`` does and shows, against servers on real sockets."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from httpx_tw import Response
from httpx_tw.errors import CertificateRejected, TooManyRedirects
from httpx_tw.service.get.fetching import Fetch
from httpx_tw.service.get.options import parse
from httpx_tw.tls.certificates import ServerTLS
from tests.server.live import LiveTestCase, reactor
from tests.tls.issuing import authority


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class BinaryTerminal(io.BytesIO):
    def isatty(self) -> bool:
        return True


class FetchTests(LiveTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.out = io.BytesIO()
        self.notes = io.StringIO()

        async def echo(request: Any) -> dict[str, Any]:
            body = await request.read()
            return {
                "method": request.method,
                "type": request.headers.get("content-type"),
                "agent": request.headers.get("x-agent"),
                "auth": request.headers.get("authorization"),
                "body": body.decode(),
            }

        self.app.route("/echo", echo, methods=["GET", "POST", "PUT", "DELETE"])
        self.app.get("/there", lambda _: Response.redirect("/echo"))
        self.app.get("/loop", lambda _: Response.redirect("/loop"))
        self.app.get("/binary", lambda _: b"\x7fELF\0\0")
        self.app.get("/large", lambda _: b"x" * 300_000)
        self.app.get("/wrong", lambda _: Response.text("no such luck", status=404))

    async def get(self, *words: str, path: str = "/echo") -> int:
        """Run it, and return the exit status."""
        if not hasattr(self, "url"):
            self.url = await self.serve(self.app)
        options = parse([self.url + path, *words])
        fetch = Fetch(options, reactor, out=self.out, notes=self.notes)
        return await fetch.run()

    async def test_head_facts_and_times_are_noted_and_the_body_is_written(self) -> None:
        self.assertEqual(await self.get(path="/"), 0)
        self.assertEqual(self.out.getvalue(), b"hello")
        lines = self.notes.getvalue().splitlines()
        self.assertEqual(lines[0], "HTTP/1.1 200 OK")
        self.assertIn("content-length: 5", lines)
        self.assertIn("new connection to 127.0.0.1 port", self.notes.getvalue())
        names = [line[:12].rstrip() for line in lines[-6:]]
        self.assertEqual(
            names, ["DNS", "connect", "request sent", "first byte", "body", "total"]
        )

    async def test_a_request_is_what_the_options_make_it(self) -> None:
        await self.get("-d", "a=b", "-H", "X-Agent: 007", "-u", "me:secret")
        said = self.out.getvalue().decode()
        self.assertIn('"method":"POST"', said)
        self.assertIn('"body":"a=b"', said)
        self.assertIn('"type":"application/x-www-form-urlencoded"', said)
        self.assertIn('"agent":"007"', said)
        self.assertIn('"auth":"Basic bWU6c2VjcmV0"', said)
        Path("up").write_bytes(b"from a file")
        self.out.seek(0)
        await self.get("-T", "up")
        self.assertIn(b'"method":"PUT"', self.out.getvalue())
        self.assertIn(b"from a file", self.out.getvalue())

    async def test_silent_is_the_body_alone(self) -> None:
        self.assertEqual(await self.get("-s", path="/there"), 0)
        self.assertIn(b'"method":"GET"', self.out.getvalue())
        self.assertEqual(self.notes.getvalue(), "")

    async def test_include_puts_the_head_before_the_body(self) -> None:
        await self.get("-s", "-i", path="/")
        head, _, body = self.out.getvalue().partition(b"\r\n\r\n")
        self.assertTrue(head.startswith(b"HTTP/1.1 200 OK\r\n"))
        self.assertEqual(body, b"hello")

    async def test_head_alone(self) -> None:
        await self.get("-I", path="/")
        self.assertEqual(self.out.getvalue(), b"")
        self.assertIn("content-length: 5", self.notes.getvalue())

    async def test_verbose_shows_what_is_sent_and_where_it_leads(self) -> None:
        await self.get("-v", "-u", "me:secret", path="/there")
        notes = self.notes.getvalue()
        self.assertIn("> GET /there HTTP/1.1\n", notes)
        self.assertIn("< HTTP/1.1 302 Found\n", notes)
        self.assertIn("> GET /echo HTTP/1.1\n", notes)
        self.assertIn("> Authorization: Basic (not shown)\n", notes)
        self.assertIn("connection used again to 127.0.0.1", notes)
        self.assertNotIn("c2VjcmV0", notes)

    async def test_redirects_are_told_of_and_can_be_left_alone(self) -> None:
        await self.get(path="/there")
        self.assertIn(f"302, to {self.url}/echo\n", self.notes.getvalue())
        self.notes.truncate(0)
        self.assertEqual(await self.get("--no-follow", path="/there"), 0)
        self.assertIn("HTTP/1.1 302 Found", self.notes.getvalue())
        with self.assertRaises(TooManyRedirects):
            await self.get("--max-redirects", "3", path="/loop")

    async def test_fail_tells_a_bad_status_apart(self) -> None:
        self.assertEqual(await self.get(path="/wrong"), 0)
        self.assertEqual(self.out.getvalue(), b"no such luck")
        self.out.truncate(0)
        self.assertEqual(await self.get("-f", path="/wrong"), 22)
        self.assertEqual(self.out.getvalue(), b"")
        self.assertIn("httpx-tw: status 404\n", self.notes.getvalue())
        self.assertEqual(await self.get("-f", path="/"), 0)

    async def test_a_file_takes_the_body(self) -> None:
        self.assertEqual(await self.get("-o", "here", path="/large"), 0)
        self.assertEqual(Path("here").read_bytes(), b"x" * 300_000)
        self.assertIn("293.0 KiB written to here\n", self.notes.getvalue())
        self.assertNotIn("\r", self.notes.getvalue())

    async def test_a_terminal_is_shown_a_bar(self) -> None:
        self.notes = Terminal()
        await self.get("-o", "here", path="/large")
        self.assertIn("\r100% [=", self.notes.getvalue())
        self.notes = Terminal()
        await self.get("-s", "-o", "here", path="/large")
        self.assertEqual(self.notes.getvalue(), "")

    async def test_what_is_no_file_is_written_to_as_it_is(self) -> None:
        self.assertEqual(await self.get("-o", "/dev/null", path="/large"), 0)
        self.assertTrue(Path("/dev/null").is_char_device())
        with self.assertRaises(OSError):
            await self.get("-o", ".", path="/large")
        with self.assertRaises(OSError):
            await self.get("-o", "no/such/place", path="/large")

    async def test_a_terminal_gets_whole_lines_and_nothing_binary(self) -> None:
        self.out = BinaryTerminal()
        await self.get(path="/")
        self.assertEqual(self.out.getvalue(), b"hello\n")
        self.assertEqual(await self.get(path="/binary"), 23)
        self.assertIn("binary: nothing for a terminal", self.notes.getvalue())
        self.assertEqual(self.out.getvalue(), b"hello\n")
        self.out.truncate(0)
        self.out.seek(0)
        await self.get("-I", path="/")
        self.assertEqual(self.out.getvalue(), b"")

    async def test_retries_are_told_of(self) -> None:
        answers = iter([503, 200])
        self.app.get(
            "/busy",
            lambda _: Response.text(
                "x", status=next(answers), headers={"Retry-After": "0"}
            ),
        )
        self.assertEqual(await self.get("--retries", "1", path="/busy"), 0)
        self.assertIn("httpx-tw: 503; trying again in", self.notes.getvalue())
        self.assertIn("HTTP/1.1 200 OK", self.notes.getvalue())

    async def test_tls_is_shown_and_trust_is_a_question(self) -> None:
        ca = authority().write_certificate(Path("ca.pem").absolute())
        pem = authority().issue("localhost").write(Path("server.pem").absolute())
        url = await self.serve(self.app, tls=ServerTLS(certfile=pem))
        self.url = f"https://localhost:{url.rpartition(':')[2]}"
        with self.assertRaises(CertificateRejected):
            await self.get(path="/")
        self.assertEqual(await self.get("--cacert", ca, path="/"), 0)
        notes = self.notes.getvalue()
        self.assertIn("TLS: TLSv1.3, TLS_", notes)
        self.assertIn("certificate: CN=localhost, issued by CN=", notes)
        self.assertIn("\nTLS         ", notes)
        self.notes.truncate(0)
        self.assertEqual(await self.get("--insecure", path="/"), 0)
        self.assertIn("httpx-tw: --insecure: trusting ANYBODY", self.notes.getvalue())
