"""The environ: complete, exact to the byte, and free of what a client could forge."""

from __future__ import annotations

import io
from typing import Any
from urllib.parse import quote
from wsgiref import validate

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import UNIXAddress

from httpx_tw.errors import ConnectionLost
from httpx_tw.hosting.wsgi import environ as module
from httpx_tw.hosting.wsgi.environ import EnvironMaker
from tests.hosting.wsgi.fakes import FakeAddress, FakeLink, make_request

check_environ = validate.check_environ  # type: ignore[attr-defined]  # left out of typeshed


def environ_of(
    *arguments: Any, script_name: str = "", **options: Any
) -> dict[str, Any]:
    maker = EnvironMaker(script_name, url_scheme="", is_multiprocess=False)
    return maker.make(make_request(*arguments, **options))


def test_it_is_complete() -> None:
    environ = environ_of("/a/b?c=d", "GET", [(b"Host", b"example.org")])
    check_environ(environ)
    assert isinstance(environ.pop("wsgi.input"), io.BytesIO)
    assert {key: str(value) for key, value in environ.items()} == {
        "GATEWAY_INTERFACE": "CGI/1.1",
        "HTTP_HOST": "example.org",
        "PATH_INFO": "/a/b",
        "QUERY_STRING": "c=d",
        "RAW_URI": "/a/b?c=d",
        "REMOTE_ADDR": "192.0.2.1",
        "REMOTE_PORT": "40000",
        "REQUEST_METHOD": "GET",
        "REQUEST_URI": "/a/b?c=d",
        "SCRIPT_NAME": "",
        "SERVER_NAME": "192.0.2.2",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_SOFTWARE": "httpx-tw",
        "wsgi.errors": str(environ["wsgi.errors"]),
        "wsgi.file_wrapper": str(environ["wsgi.file_wrapper"]),
        "wsgi.input_terminated": "True",
        "wsgi.multiprocess": "False",
        "wsgi.multithread": "True",
        "wsgi.run_once": "False",
        "wsgi.url_scheme": "http",
        "wsgi.version": "(1, 0)",
    }


def test_each_request_has_its_own() -> None:
    maker = EnvironMaker("", url_scheme="", is_multiprocess=True)
    first, second = maker.make(make_request()), maker.make(make_request())
    first["wsgi.url_scheme"] = "spoiled"
    assert second["wsgi.url_scheme"] == "http"
    assert first["wsgi.input"] is not second["wsgi.input"]
    assert second["wsgi.multiprocess"] is True


def test_http_1_0_is_told_apart() -> None:
    assert environ_of(is_http11=False)["SERVER_PROTOCOL"] == "HTTP/1.0"


# The path


@given(st.binary(max_size=30).filter(lambda octets: b"\0" not in octets))
def test_every_octet_of_the_path_arrives(octets: bytes) -> None:
    target = "/" + quote(octets, safe="")
    for query in ("", "?q=%FF"):
        environ = environ_of(target + query)
        assert environ["PATH_INFO"].encode("latin-1") == b"/" + octets
        assert environ["REQUEST_URI"] == target + query
        assert environ["QUERY_STRING"] == query[1:]


def test_a_path_in_utf_8_is_latin_1_of_its_octets() -> None:
    environ = environ_of("/caf%C3%A9", path="/café")
    assert environ["PATH_INFO"] == "/caf\xc3\xa9"


@pytest.mark.parametrize(
    ("target", "script_name", "path_info"),
    [
        ("/shop", "/shop", ""),
        ("/shop/", "/shop", "/"),
        ("/shop/a%20b", "/shop", "/a b"),
        ("/%73hop/x", "/shop", "/x"),
        ("/caf%C3%A9/x", "/caf\xc3\xa9", "/x"),
    ],
)
def test_where_it_is_mounted_goes_to_script_name(
    target: str, script_name: str, path_info: str
) -> None:
    environ = environ_of(target, script_name=script_name)
    check_environ(environ)
    assert environ["SCRIPT_NAME"] == script_name
    assert environ["PATH_INFO"] == path_info


def test_a_whole_url_as_the_target_says_which_host_is_meant() -> None:
    headers = [(b"Host", b"other.example")]
    environ = environ_of("http://example.org:81/a%2Fb?c", "GET", headers, path="/a/b")
    assert environ["PATH_INFO"] == "/a/b"
    assert environ["HTTP_HOST"] == "example.org:81"
    environ = environ_of("http://example.org/a", "GET", headers, path="/a")
    assert environ["PATH_INFO"] == "/a"


# Header fields


def variables_of(*headers: tuple[bytes, bytes], **options: Any) -> dict[str, str]:
    environ = environ_of("/", "GET", list(headers), **options)
    wanted = ("HTTP_", "CONTENT_")
    return {k: v for k, v in environ.items() if k.startswith(wanted) or not k}


def test_names_become_variables_however_they_are_written() -> None:
    assert variables_of(
        (b"uSER-aGENT", b"x"), (b"accept", b"y"), (b"X-Some.Thing!", b"z")
    ) == {"HTTP_USER_AGENT": "x", "HTTP_ACCEPT": "y", "HTTP_X_SOME.THING!": "z"}


def test_values_are_latin_1() -> None:
    assert variables_of((b"X-Name", "é".encode())) == {"HTTP_X_NAME": "\xc3\xa9"}


def test_repeated_fields_are_joined() -> None:
    assert variables_of(
        (b"Accept", b"a"),
        (b"Cookie", b"c=1"),
        (b"accept", b"b"),
        (b"cookie", b"d=2"),
    ) == {"HTTP_ACCEPT": "a, b", "HTTP_COOKIE": "c=1; d=2"}


def test_two_fields_of_the_content_have_no_http_in_front() -> None:
    headers = (b"Content-Type", b"text/plain"), (b"content-length", b"3")
    assert variables_of(*headers, body=b"abc") == {
        "CONTENT_TYPE": "text/plain",
        "CONTENT_LENGTH": "3",
    }


def test_a_length_said_twice_is_one_length() -> None:
    headers = (b"Content-Length", b"3"), (b"Content-Length", b"3")
    assert variables_of(*headers, body=b"abc") == {"CONTENT_LENGTH": "3"}


@pytest.mark.parametrize(
    "name",
    [b"X_Forwarded_For", b"Content_Length", b"X-Some_Thing", b"Proxy", b"pROXY"],
)
def test_names_that_pose_as_others_are_left_out(name: bytes) -> None:
    headers = (name, b"evil"), (name, b"evil again"), (b"Host", b"a")
    assert variables_of(*headers) == {"HTTP_HOST": "a"}


@given(st.from_regex(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,80}", fullmatch=True))
def test_no_name_reaches_a_variable_of_the_servers(name: bytes) -> None:
    plain = environ_of()
    environ = environ_of("/", "GET", [(name, b"evil")])
    added = environ.keys() - plain.keys()
    assert all(key.startswith(("HTTP_", "CONTENT_")) for key in added)
    assert len(added) <= 1
    for key in plain.keys() - {"wsgi.input", "wsgi.errors"}:
        assert environ[key] == plain[key]


def test_names_that_clients_make_up_are_not_kept_for_ever() -> None:
    made_up = [(b"X-%d" % number, b"") for number in range(2 * module._MAX_KEYS)]
    made_up.append((b"X-" + b"y" * 1000, b""))
    before = dict(module._KEYS)
    try:
        found = variables_of(*made_up)
        assert len(found) == len(made_up)
        assert len(module._KEYS) <= module._MAX_KEYS
        assert max(map(len, module._KEYS)) <= module._MAX_KEPT_NAME
    finally:
        module._KEYS.clear()
        module._KEYS.update(before)


# The body


def test_the_body_can_be_read_to_its_end() -> None:
    environ = environ_of("/", "POST", [(b"Content-Length", b"6")], body=b"a\nb\nc\n")
    check_environ(environ)
    body = environ["wsgi.input"]
    assert body.readline() == b"a\n"
    assert list(body) == [b"b\n", b"c\n"]
    assert body.read() == b""


def test_a_chunked_body_has_a_length_by_now() -> None:
    headers = [(b"Transfer-Encoding", b"chunked")]
    environ = environ_of("/", "POST", headers, body=b"abc", is_chunked=True)
    assert environ["CONTENT_LENGTH"] == "3"
    assert "HTTP_TRANSFER_ENCODING" not in environ
    assert environ["wsgi.input"].read() == b"abc"
    environ = environ_of("/", "POST", headers, body=b"", is_chunked=True)
    assert environ["CONTENT_LENGTH"] == "0"


def test_no_body_is_an_empty_one() -> None:
    environ = environ_of()
    assert environ["wsgi.input"].read(5) == b""
    assert "CONTENT_LENGTH" not in environ
    environ = environ_of("/", "POST", [(b"Content-Length", b"0")])
    assert environ["CONTENT_LENGTH"] == "0"


# The connection


def names(**options: Any) -> list[str]:
    environ = environ_of(link=FakeLink(**options))
    check_environ(environ)
    keys = "SERVER_NAME SERVER_PORT REMOTE_ADDR REMOTE_PORT wsgi.url_scheme".split()
    return [environ[key] for key in keys]


def test_addresses_of_ip_version_6() -> None:
    found = names(host=FakeAddress("::1", 81), client=("2001:db8::1", 5))
    assert found == ["[::1]", "81", "2001:db8::1", "5", "http"]


def test_a_unix_socket_has_a_name_and_a_port_all_the_same() -> None:
    found = names(host=UNIXAddress("/run/web.sock"), client=None)
    assert found == ["localhost", "80", "", "", "http"]
    found = names(scheme="https", host=UNIXAddress(None), client=None)
    assert found == ["localhost", "443", "", "", "https"]


def test_tls_is_told_in_two_ways() -> None:
    environ = environ_of(link=FakeLink(scheme="https"))
    assert environ["wsgi.url_scheme"] == "https"
    assert environ["HTTPS"] == "on"
    assert "HTTPS" not in environ_of()


def test_the_scheme_may_be_said_by_who_knows() -> None:
    maker = EnvironMaker("", url_scheme="https", is_multiprocess=False)
    environ = maker.make(make_request())
    assert (environ["wsgi.url_scheme"], environ["HTTPS"]) == ("https", "on")
    maker = EnvironMaker("", url_scheme="http", is_multiprocess=False)
    environ = maker.make(make_request(link=FakeLink(scheme="https")))
    assert environ["wsgi.url_scheme"] == "http"
    assert "HTTPS" not in environ


def test_the_socket_is_asked_once_a_connection() -> None:
    link = FakeLink()
    for _ in range(3):
        environ_of(link=link)
    assert link.transport.asked == 1


@pytest.mark.parametrize("error", [AttributeError("socket"), OSError(9, "closed")])
def test_a_socket_that_is_closed_has_no_name(error: Exception) -> None:
    with pytest.raises(ConnectionLost):
        environ_of(link=FakeLink(host=error))
