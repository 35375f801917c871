"""What an application may say, in which order, and what the client gets of it."""

from __future__ import annotations

import gc
import io
import sys
import weakref
from typing import TYPE_CHECKING, Any, NoReturn

import pytest
from twisted.logger import capturedLogs, formatEvent

from httpx_tw.app.files.body import FileBody
from httpx_tw.errors import ConnectionLost, LocalProtocolError
from httpx_tw.hosting.wsgi import FileWrapper, WSGIApp
from tests.hosting.wsgi.fakes import FakeLink, call, make_request
from tests.hosting.wsgi.test_pieces import Closable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from wsgiref.types import StartResponse, WSGIApplication

TEXT = [("Content-Type", "text/plain")]


def gives(result: Any, status: str = "200 OK", *headers: tuple[str, str]) -> Any:
    """Return an application that says *status* and returns *result*."""

    def application(environ: dict[str, Any], start_response: StartResponse) -> Any:
        start_response(status, [*TEXT, *headers])
        return result

    return application


def fail() -> NoReturn:
    raise ValueError("odd")


def length(value: int) -> tuple[str, str]:
    return ("Content-Length", str(value))


# Whole bodies


@pytest.mark.parametrize(
    "result", [[b"hello"], (b"hello",), [b"he", b"", b"llo"], (b"he", b"llo")]
)
@pytest.mark.parametrize("headers", [[], [length(5)]])
def test_what_is_here_already_is_sent_in_one(result: Any, headers: Any) -> None:
    answer = call(gives(result, "201 Created", *headers))
    assert answer.status == 201
    assert answer.fields == TEXT
    assert answer.length == 5
    assert answer.pieces == [b"hello"]


def test_an_empty_list_is_an_empty_body() -> None:
    assert call(gives([])).length == 0
    assert call(gives([b""])).length == 0


def test_no_type_is_made_up() -> None:
    def application(environ: dict[str, Any], start_response: StartResponse) -> Any:
        start_response("200 OK", [])
        return [b"hello"]

    assert call(application).fields == []


@pytest.mark.parametrize("result", [[b"hello"], [b"hel", b"lo"]])
def test_too_little_is_answered_with_an_error(result: Any) -> None:
    with pytest.raises(LocalProtocolError, match="a body of 5 bytes, Content-Length 6"):
        call(gives(result, "200 OK", length(6)))


@pytest.mark.parametrize("result", [[b"hello"], [b"hel", b"lo"], iter([b"hel", b"lo"])])
def test_too_much_is_cut_and_logged(result: Any) -> None:
    with capturedLogs() as events:
        answer = call(gives(result, "200 OK", length(4)))
    assert (answer.body, answer.length) == (b"hell", 4)
    assert [formatEvent(event) for event in events] == [
        "the response to GET / was longer than its Content-Length: cut"
    ]


@pytest.mark.parametrize("result", [None, 5, ["text"], "text", b"bytes", [b"a", 5]])
def test_what_is_not_bytes_is_answered_with_an_error(result: Any) -> None:
    with pytest.raises(TypeError):
        call(gives(result))


# Bodies in pieces


def test_pieces_are_sent_as_they_come() -> None:
    answer = call(gives(iter([b"", b"he", b"", b"llo"])))
    assert answer.length is None
    assert answer.body == b"hello"
    answer = call(gives(iter([b"he", b"llo"]), "200 OK", length(5)))
    assert (answer.body, answer.length) == (b"hello", 5)


@pytest.mark.parametrize("pieces", [[], [b"", b"a"], [b"a", b"b"]])
def test_what_was_returned_is_closed(pieces: list[bytes]) -> None:
    result = Closable(*pieces)
    assert call(gives(result)).body == b"".join(pieces)
    assert result.closed == 1


def test_a_list_that_can_be_closed_is_closed() -> None:
    class ClosableList(list[bytes]):
        closed = False

        def close(self) -> None:
            self.closed = True

    result = ClosableList([b"hello"])
    assert call(gives(result)).body == b"hello"
    assert result.closed


def test_start_response_may_wait_for_the_first_iteration() -> None:
    def application(
        environ: dict[str, Any], start_response: StartResponse
    ) -> Iterator[bytes]:
        yield b""
        start_response("404 Not Found", TEXT)
        yield b"gone"

    answer = call(application)
    assert (answer.status, answer.body) == (404, b"gone")


def test_start_response_may_wait_for_an_iteration_that_gives_nothing() -> None:
    def application(
        environ: dict[str, Any], start_response: StartResponse
    ) -> Iterator[bytes]:
        start_response("404 Not Found", TEXT)
        yield from ()

    assert call(application).status == 404


@pytest.mark.parametrize("pieces", [[], [b"hello"]])
def test_start_response_must_be_called(pieces: list[bytes]) -> None:
    lazy = Closable(*pieces)
    for result in (pieces, lazy, [*pieces, *pieces]):
        with pytest.raises(LocalProtocolError, match="did not call start_response"):
            call(lambda *_, result=result: result)
    assert lazy.closed == 1


def test_an_error_before_the_first_piece_is_answered() -> None:
    def pieces() -> Iterator[bytes]:
        yield b""
        raise ValueError("odd")

    class Failing(Closable):
        def __iter__(self) -> Iterator[bytes]:
            return pieces()

    result = Failing()
    with pytest.raises(ValueError, match="odd"):
        call(gives(result))
    assert result.closed == 1


def test_an_error_after_the_first_piece_ends_the_response() -> None:
    closed = []

    def pieces() -> Iterator[bytes]:
        try:
            yield b"he"
            raise ValueError("odd")
        finally:
            closed.append(True)

    answer = call(gives(pieces()))
    assert answer.body == b"he"
    assert isinstance(answer.error, ValueError)
    assert closed


def test_an_error_of_close_spoils_nothing() -> None:
    with capturedLogs() as events:
        answer = call(gives(Closable(b"hello", error=ValueError("odd"))))
    assert answer.body == b"hello"
    assert answer.error is None
    assert [formatEvent(event) for event in events] == ["close() failed after GET /"]


# HEAD, and statuses without a body


@pytest.mark.parametrize(
    ("result", "headers", "expected"),
    [
        ([b"hello"], [], 5),
        ([b"hello"], [length(5)], 5),
        ([], [length(5)], 5),
        ([b""], [length(5)], 5),
        ([], [], None),
        (iter([b"hello"]), [], None),
        (iter([b"hello"]), [length(5)], 5),
        (iter([]), [length(5)], 5),
    ],
)
def test_a_head_has_the_length_that_a_get_would_have(
    result: Any, headers: Any, expected: int | None
) -> None:
    answer = call(gives(result, "200 OK", *headers), "/", "HEAD")
    assert answer.body == b""
    assert answer.length == expected
    assert answer.fields == TEXT


def test_a_head_asks_for_no_more_than_the_first_piece() -> None:
    result = Closable(b"a", b"b", b"c")
    call(gives(result), "/", "HEAD")
    assert len(result.left) == 2
    assert result.closed == 1


@pytest.mark.parametrize("status", ["204 No Content", "205 Reset", "304 Not Modified"])
@pytest.mark.parametrize("pieces", [[], [b""], [b"hello"]])
def test_some_statuses_have_no_body(status: str, pieces: list[bytes]) -> None:
    lazy = Closable(*pieces)
    for result in (pieces, lazy):
        answer = call(gives(result, status, length(7)))
        assert answer.status == int(status[:3])
        assert answer.body == b""
        assert answer.length == 0
    assert lazy.closed == 1


# start_response


def test_start_response_is_called_once() -> None:
    def application(environ: dict[str, Any], start_response: StartResponse) -> Any:
        start_response("200 OK", TEXT)
        start_response("200 OK", TEXT)
        return [b"hello"]

    with pytest.raises(LocalProtocolError, match="start_response was called twice"):
        call(application)


def test_an_error_may_take_its_place_before_anything_is_sent() -> None:
    def application(environ: dict[str, Any], start_response: StartResponse) -> Any:
        start_response("200 OK", [("X-Good", "yes"), length(2)])
        try:
            fail()
        except ValueError:
            start_response("500 Oh", TEXT, sys.exc_info())
        return [b"sorry"]

    answer = call(application)
    assert (answer.status, answer.fields, answer.body) == (500, TEXT, b"sorry")


def test_it_may_be_called_first_with_an_error() -> None:
    def application(environ: dict[str, Any], start_response: StartResponse) -> Any:
        start_response("200 OK", TEXT, (None, None, None))
        start_response("201 OK", TEXT, (None, None, None))
        return [b"hello"]

    assert call(application).status == 201


@pytest.mark.parametrize("writes", [False, True])
@pytest.mark.parametrize("is_error", [False, True])
def test_an_error_that_comes_too_late_is_raised(
    writes: bool,
    is_error: bool,
) -> None:
    def fails(start_response: StartResponse) -> None:
        try:
            fail()
        except ValueError:
            exc_info = sys.exc_info()
        start_response("500 Oh", TEXT, exc_info if is_error else (None, None, None))

    def application(environ: dict[str, Any], start_response: StartResponse) -> Any:
        write = start_response("200 OK", TEXT)
        if writes:
            write(b"he")
            fails(start_response)

        def pieces() -> Iterator[bytes]:
            yield b"he"
            fails(start_response)

        return pieces()

    answer = call(application)
    assert (answer.status, answer.body) == (200, b"he")
    expected = ValueError if is_error else LocalProtocolError
    assert isinstance(answer.error, expected)


def test_headers_that_were_refused_were_not_taken() -> None:
    def application(environ: dict[str, Any], start_response: StartResponse) -> Any:
        with pytest.raises(LocalProtocolError):
            start_response("200 OK", [("Connection", "close")])
        start_response("200 OK", TEXT)
        return [b"hello"]

    assert call(application).fields == TEXT


# What is written


def writes(*pieces: bytes, then: Any = (), headers: Any = ()) -> WSGIApplication:
    """Return an application that writes *pieces* and returns *then*."""

    def application(environ: dict[str, Any], start_response: StartResponse) -> Any:
        write = start_response("200 OK", [*TEXT, *headers])
        for piece in pieces:
            write(piece)
        return then

    return application


def test_what_is_written_is_sent_before_what_is_returned() -> None:
    result = Closable(b"", b"c", b"d")
    answer = call(writes(b"a", b"", b"b", then=result))
    assert answer.fields == TEXT
    assert answer.length is None
    assert answer.body == b"abcd"
    assert answer.error is None
    assert result.closed == 1


def test_writing_nothing_sends_the_headers() -> None:
    request = make_request(app=WSGIApp(writes(b"")))
    link: Any = request.link
    writer = request.route.call(request)
    link.turn()
    assert link.begun.status == 200
    assert writer.is_over


def test_it_is_sent_at_once() -> None:
    link = FakeLink()
    seen = []

    def application(environ: dict[str, Any], start_response: StartResponse) -> Any:
        write = start_response("200 OK", TEXT)
        link.turn()
        seen.append(link.begun)
        write(b"a")
        link.turn()
        seen.append(link.begun)
        return [b"b"]

    assert call(application, link=link).body == b"ab"
    assert seen[0] is None
    assert seen[1] is not None


@pytest.mark.parametrize(
    ("pieces", "then"), [([b"abc"], []), ([b"ab"], [b"c"]), ([b"a", b"b"], [b"cd"])]
)
def test_the_length_is_kept_when_writing(pieces: list[bytes], then: Any) -> None:
    with capturedLogs() as events:
        answer = call(writes(*pieces, then=then, headers=[length(2)]))
    assert (answer.body, answer.length) == (b"ab", 2)
    cut = ["the response to GET / was longer than its Content-Length: cut"]
    assert [formatEvent(event) for event in events] == cut


def test_less_than_the_length_is_for_the_server_to_see() -> None:
    answer = call(writes(b"a", headers=[length(5)]))
    assert (answer.body, answer.length) == (b"a", 5)


@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_nothing_is_written_where_there_is_no_body(method: str) -> None:
    def application(environ: dict[str, Any], start_response: StartResponse) -> Any:
        status = "200 OK" if method == "HEAD" else "304 Not Modified"
        write = start_response(status, [*TEXT, length(5)])
        write(b"hello")
        return Closable(b"world")

    with capturedLogs() as events:
        answer = call(application, "/", method)
    assert answer.body == b""
    assert answer.length == 5, "which the server leaves out of a 304"
    assert events == []


def test_an_error_after_writing_ends_the_response() -> None:
    def application(environ: dict[str, Any], start_response: StartResponse) -> Any:
        start_response("200 OK", TEXT)(b"a")
        raise ValueError("odd")

    answer = call(application)
    assert answer.body == b"a"
    assert isinstance(answer.error, ValueError)


def test_who_writes_hears_that_the_client_is_gone() -> None:
    heard: list[bool] = []

    def application(environ: dict[str, Any], start_response: StartResponse) -> Any:
        write = start_response("200 OK", TEXT)
        write(b"a")
        request.writer.lose()
        try:
            write(b"b")
        except ConnectionLost:
            heard.append(True)
            raise
        return []

    request = make_request(app=WSGIApp(application))
    with pytest.raises(ConnectionLost):
        request.route.call(request)
    assert heard


def test_what_was_returned_is_closed_when_the_client_is_gone() -> None:
    result = Closable(b"b")

    def application(environ: dict[str, Any], start_response: StartResponse) -> Any:
        start_response("200 OK", TEXT)(b"a")
        request.writer.lose()
        return result

    request = make_request(app=WSGIApp(application))
    with pytest.raises(ConnectionLost):
        request.route.call(request)
    assert result.closed == 1


@pytest.mark.parametrize("data", ["text", bytearray(b"x"), None])
def test_what_is_written_is_bytes(data: Any) -> None:
    with pytest.raises(TypeError, match=r"write\(\) takes bytes"):
        call(writes(data))


def test_an_iteration_must_not_write() -> None:
    def application(
        environ: dict[str, Any], start_response: StartResponse
    ) -> Iterator[bytes]:
        write = start_response("200 OK", TEXT)
        write(b"a")
        yield b"b"

    with pytest.raises(LocalProtocolError, match="after the application has returned"):
        call(application)


# What is written with middleware around: that sees it before the client does


def stamp(request: Any, call_next: Any) -> Any:
    response = call_next(request)
    response.headers.add("X-Stamp", "yes")
    return response


def stamped(application: WSGIApplication) -> WSGIApp:
    app = WSGIApp(application)
    app.use(stamp)
    return app


def test_middleware_sees_what_was_written() -> None:
    result = Closable(b"c")
    big = b"x" * 2000
    answer = call(None, app=stamped(writes(b"a", big, then=result)))
    assert answer.fields == [*TEXT, ("X-Stamp", "yes")]
    assert answer.body == b"a" + big + b"c"
    assert answer.length is None
    assert result.closed == 1


def test_middleware_sees_the_length() -> None:
    with capturedLogs() as events:
        app = stamped(writes(b"a", then=[b"bcd"], headers=[length(2)]))
        answer = call(None, app=app)
    assert (answer.body, answer.length) == (b"ab", 2)
    assert len(events) == 1


def test_middleware_sees_a_head() -> None:
    answer = call(None, "/", "HEAD", app=stamped(writes(b"abc", headers=[length(3)])))
    assert (answer.body, answer.length) == (b"", 3)


def test_what_was_kept_for_middleware_is_let_go_of_when_the_application_fails() -> None:
    def application(environ: dict[str, Any], start_response: StartResponse) -> Any:
        start_response("200 OK", TEXT)(b"x" * 2_000_000)
        raise ValueError("odd")

    with pytest.raises(ValueError, match="odd"):
        call(None, app=stamped(application))


# Files


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    return path


def response_to(application: WSGIApplication, method: str = "GET") -> Any:
    request = make_request("/", method, app=WSGIApp(application))
    return request.route.call(request)


def test_a_file_is_left_to_the_server(path: Path) -> None:
    file = path.open("rb")
    response = response_to(gives(FileWrapper(file)))
    assert isinstance(response.body, FileBody)
    assert response.content_length == 10
    assert b"".join(response.body) == b"0123456789"
    response.body.file.close()
    assert file.closed


def test_a_file_is_sent_from_where_it_stands_as_far_as_the_length_goes(
    path: Path,
) -> None:
    file = path.open("rb")
    file.seek(2)
    with capturedLogs() as events:
        response = response_to(gives(FileWrapper(file), "206 Part", length(3)))
    assert isinstance(response.body, FileBody)
    assert response.content_length == 3
    assert b"".join(response.body) == b"234"
    assert events == []
    response.body.file.close()


def test_a_file_that_is_too_short_is_answered_with_an_error(path: Path) -> None:
    file = path.open("rb")
    with pytest.raises(LocalProtocolError, match="a body of 10 bytes"):
        response_to(gives(FileWrapper(file), "200 OK", length(11)))
    assert file.closed


def test_a_file_without_start_response_is_answered_with_an_error(path: Path) -> None:
    file = path.open("rb")
    with pytest.raises(LocalProtocolError, match="start_response"):
        response_to(lambda *_: FileWrapper(file))
    assert file.closed


@pytest.mark.parametrize(("method", "expected"), [("HEAD", 10), ("GET", 0)])
def test_a_file_without_a_body_is_closed(
    path: Path, method: str, expected: int
) -> None:
    file = path.open("rb")
    status = "200 OK" if method == "HEAD" else "304 Not Modified"
    answer = call(gives(FileWrapper(file), status), "/", method)
    assert (answer.body, answer.length) == (b"", expected)
    assert file.closed


def test_what_is_no_plain_file_is_read_and_closed() -> None:
    file = io.BytesIO(b"hello")
    answer = call(gives(FileWrapper(file, 2)))
    assert answer.body == b"hello"
    assert file.closed


def test_a_file_after_writing_is_read(path: Path) -> None:
    file = path.open("rb")
    answer = call(writes(b"a", then=FileWrapper(file)))
    assert answer.body == b"a0123456789"
    assert file.closed


# Memory


def test_nothing_goes_round_in_circles() -> None:
    class Token:
        pass

    tokens: list[weakref.ref[Token]] = []

    def application(environ: dict[str, Any], start_response: StartResponse) -> Any:
        environ["token"] = token = Token()
        tokens.append(weakref.ref(token))
        start_response("200 OK", TEXT)
        try:
            fail()
        except ValueError:
            start_response("500 Oh", TEXT, sys.exc_info())
        return [b"hello"]

    gc.disable()
    try:
        call(application)
        assert tokens[0]() is None
    finally:
        gc.enable()
