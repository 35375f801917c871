"""One-page applications of Flask and Django, on a real server, unchanged."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any
from wsgiref.validate import validator

import django
import django.conf
import flask
from django.core.wsgi import get_wsgi_application
from django.http import FileResponse, HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path
from flask.logging import default_handler
from twisted.logger import capturedLogs, formatEvent

from httpx_tw.hosting.wsgi import WSGIApp
from tests.hosting.wsgi.test_real_sockets import WSGITestCase

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from django.http import HttpRequest

UPLOAD = (
    b"--b\r\n"
    b'Content-Disposition: form-data; name="title"\r\n\r\n'
    b"A caf\xc3\xa9\r\n"
    b"--b\r\n"
    b'Content-Disposition: form-data; name="file"; filename="a.txt"\r\n'
    b"Content-Type: text/plain\r\n\r\n" + b"0123456789" * 300_000 + b"\r\n--b--\r\n"
)


def numbers() -> Iterator[str]:
    for number in range(1000):
        yield f"{number}\n"


def make_flask(file: Path) -> Any:
    app = flask.Flask(__name__)
    # Flask adds it itself where no logging is set up, which pytest has done.
    app.logger.addHandler(default_handler)

    @app.get("/")
    def index() -> str:
        return "hello from flask"

    @app.get("/caf\xe9/<name>")
    def named(name: str) -> dict[str, Any]:
        return {
            "name": name,
            "query": flask.request.args["q"],
            "url": flask.url_for("named", name="x"),
            "secure": flask.request.is_secure,
        }

    @app.post("/upload")
    def upload() -> dict[str, Any]:
        sent = flask.request.files["file"].read()
        return {"title": flask.request.form["title"], "size": len(sent)}

    @app.post("/json")
    def as_json() -> Any:
        return flask.jsonify(flask.request.get_json())

    @app.get("/stream")
    def stream() -> Any:
        return numbers(), {"Content-Type": "text/plain"}

    @app.get("/file")
    def send() -> Any:
        return flask.send_file(file)

    @app.get("/fail")
    def fail() -> Any:
        app.logger.error("before it failed")
        return str(1 // 0)

    @app.get("/session")
    def session() -> str:
        flask.session["visits"] = flask.session.get("visits", 0) + 1
        return str(flask.session["visits"])

    app.secret_key = "of no value"
    return app


def index(_: HttpRequest) -> HttpResponse:
    return HttpResponse("hello from django")


def named(request: HttpRequest, name: str) -> JsonResponse:
    found = {"name": name, "query": request.GET["q"], "path": request.get_full_path()}
    return JsonResponse({**found, "secure": request.is_secure()})


def upload(request: HttpRequest) -> JsonResponse:
    size = sum(len(chunk) for chunk in request.FILES["file"].chunks())
    return JsonResponse({"title": request.POST["title"], "size": size})


def stream(_: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(numbers(), content_type="text/plain")


def download(_: HttpRequest) -> FileResponse:
    return FileResponse(io.BytesIO(b"in memory"), filename="memory.txt")


def fail(_: HttpRequest) -> HttpResponse:
    return HttpResponse(1 // 0)


urlpatterns = [
    path("", index),
    path("caf\xe9/<name>", named),
    path("upload", upload),
    path("stream", stream),
    path("download", download),
    path("fail", fail),
]


def make_django() -> Any:
    if not django.conf.settings.configured:
        django.conf.settings.configure(
            ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="of no value"
        )
        django.setup()
    return get_wsgi_application()


class FlaskTests(WSGITestCase):
    def site(self) -> Any:
        file = self.own_file(b"0123456789" * 1000)
        return validator(make_flask(file))

    async def test_a_page(self) -> None:
        answer = await self.ask(self.site())
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.body, b"hello from flask")
        self.assertEqual(len(answer.headers.get_all("date")), 1)
        self.assertEqual(len(answer.headers.get_all("server")), 1)

    async def test_a_head(self) -> None:
        answer = await self.ask(self.site(), "HEAD / HTTP/1.1\nHost: a\n\n")
        self.assertEqual((answer.status, answer.body), (200, b""))
        self.assertEqual(answer.headers["content-length"], "16")

    async def test_a_path_beyond_ascii(self) -> None:
        request = "GET /caf%C3%A9/a%20b?q=%26 HTTP/1.1\nHost: a\n\n"
        answer = await self.ask(self.site(), request)
        self.assertEqual(
            flask.json.loads(answer.body),
            {"name": "a b", "query": "&", "url": "/caf%C3%A9/x", "secure": False},
        )

    async def test_an_upload(self) -> None:
        client = await self.start(self.site())
        for framing, body in (
            (f"Content-Length: {len(UPLOAD)}", UPLOAD),
            ("Transfer-Encoding: chunked", chunked(UPLOAD)),
        ):
            client.raw = b""
            client.send(
                "POST /upload HTTP/1.1\nHost: a\n"
                f"Content-Type: multipart/form-data; boundary=b\n{framing}\n\n"
            )
            client.send(body)
            (answer,) = await client.answers(1)
            expected = {"title": "A café", "size": 3_000_000}
            self.assertEqual(flask.json.loads(answer.body), expected)

    async def test_json(self) -> None:
        request = (
            "POST /json HTTP/1.1\nHost: a\nContent-Type: application/json\n"
            "Content-Length: 7\n\n[1,2,3]"
        )
        # Without the validator, which knows no wsgi.input_terminated: because of that
        # Werkzeug reads without a size here.
        answer = await self.ask(make_flask(self.own_file(b"")), request)
        self.assertEqual(flask.json.loads(answer.body), [1, 2, 3])

    async def test_a_stream(self) -> None:
        answer = await self.ask(self.site(), "GET /stream HTTP/1.1\nHost: a\n\n")
        self.assertEqual(answer.body, "".join(numbers()).encode())

    async def test_a_file_and_a_part_of_it(self) -> None:
        client = await self.start(make_flask(self.own_file(b"0123456789" * 1000)))
        client.send("GET /file HTTP/1.1\nHost: a\n\n")
        client.send("GET /file HTTP/1.1\nHost: a\nRange: bytes=8-12\n\n")
        whole, part = await client.answers(2)
        self.assertEqual(whole.body, b"0123456789" * 1000)
        self.assertEqual((part.status, part.body), (206, b"89012"))
        self.assertEqual(len(whole.headers.get_all("date")), 1)

    async def test_an_error(self) -> None:
        with capturedLogs() as events:
            answer = await self.ask(self.site(), "GET /fail HTTP/1.1\nHost: a\n\n")
        self.assertEqual(answer.status, 500)
        said = "\n".join(formatEvent(event) for event in events)
        self.assertIn("before it failed", said)
        self.assertIn("ZeroDivisionError", said)

    async def test_cookies(self) -> None:
        client = await self.start(self.site())
        client.send("GET /session HTTP/1.1\nHost: a\n\n")
        (first,) = await client.answers(1)
        cookie = first.headers["set-cookie"].partition(";")[0]
        client.send(f"GET /session HTTP/1.1\nHost: a\nCookie: {cookie}\n\n")
        _, second = await client.answers(2)
        self.assertEqual(second.body, b"2")


class DjangoTests(WSGITestCase):
    def site(self) -> Any:
        return validator(make_django())

    async def test_a_page(self) -> None:
        answer = await self.ask(self.site())
        self.assertEqual((answer.status, answer.body), (200, b"hello from django"))

    async def test_a_path_beyond_ascii(self) -> None:
        request = "GET /caf%C3%A9/a%20b?q=%26 HTTP/1.1\nHost: a\n\n"
        answer = await self.ask(self.site(), request)
        self.assertEqual(
            flask.json.loads(answer.body),
            {
                "name": "a b",
                "query": "&",
                "path": "/caf%C3%A9/a%20b?q=%26",
                "secure": False,
            },
        )

    async def test_an_upload(self) -> None:
        client = await self.start(self.site())
        for framing, body in (
            (f"Content-Length: {len(UPLOAD)}", UPLOAD),
            ("Transfer-Encoding: chunked", chunked(UPLOAD)),
        ):
            client.raw = b""
            client.send(
                "POST /upload HTTP/1.1\nHost: a\n"
                f"Content-Type: multipart/form-data; boundary=b\n{framing}\n\n"
            )
            client.send(body)
            (answer,) = await client.answers(1)
            expected = {"title": "A café", "size": 3_000_000}
            self.assertEqual(flask.json.loads(answer.body), expected)

    async def test_a_stream(self) -> None:
        answer = await self.ask(self.site(), "GET /stream HTTP/1.1\nHost: a\n\n")
        self.assertEqual(answer.body, "".join(numbers()).encode())

    async def test_a_file_in_memory(self) -> None:
        answer = await self.ask(self.site(), "GET /download HTTP/1.1\nHost: a\n\n")
        self.assertEqual(answer.body, b"in memory")
        self.assertIn("memory.txt", answer.headers["content-disposition"])

    async def test_an_error(self) -> None:
        answer = await self.ask(self.site(), "GET /fail HTTP/1.1\nHost: a\n\n")
        self.assertEqual(answer.status, 500)

    async def test_it_is_mounted_beside_flask(self) -> None:
        app = WSGIApp(make_flask(self.own_file(b"")))
        app.mount("/django", self.site())
        client = await self.start(app)
        client.send("GET / HTTP/1.1\nHost: a\n\n")
        client.send("GET /django/caf%C3%A9/x?q= HTTP/1.1\nHost: a\n\n")
        first, second = await client.answers(2)
        self.assertEqual(first.body, b"hello from flask")
        found = flask.json.loads(second.body)
        self.assertEqual(found["path"], "/django/caf%C3%A9/x?q=")


def chunked(body: bytes) -> bytes:
    return b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
