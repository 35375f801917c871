"""Status and headers of start_response: what is taken, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from httpx_tw.errors import InvalidHeader, LocalProtocolError
from httpx_tw.hosting.wsgi import fields as module
from httpx_tw.hosting.wsgi.fields import checked_fields, checked_status


@pytest.mark.parametrize(
    ("status", "code"),
    [("200 OK", 200), ("404 ", 404), ("299 It's fine \xe9", 299), ("599 x", 599)],
)
def test_a_status_is_a_number_and_a_reason(status: str, code: int) -> None:
    assert checked_status(status) == code
    assert checked_status(status) == code


@pytest.mark.parametrize(
    "status",
    ["", "OK", "200", "200OK", "2000 OK", " 200 OK", "200 OK\r\nX: y", "200 \x01",
     "100 Continue", "099 x", "600 x", "-20 x", "٢٠٠ OK", "200 \u20ac"],
)  # fmt: skip
def test_a_bad_status_is_refused(status: str) -> None:
    with pytest.raises(LocalProtocolError, match="a status is like '200 OK'"):
        checked_status(status)


@pytest.mark.parametrize("status", [200, b"200 OK", None])
def test_a_status_is_text(status: Any) -> None:
    with pytest.raises(TypeError, match="a status is a str"):
        checked_status(status)


def test_fields_become_bytes_in_their_order() -> None:
    assert checked_fields(
        [("Set-Cookie", "a=b"), ("X-Name", "\xe9"), ("set-cookie", "c"), ("X", "")]
    ) == (
        [
            (b"Set-Cookie", b"a=b"),
            (b"X-Name", b"\xe9"),
            (b"set-cookie", b"c"),
            (b"X", b""),
        ],
        -1,
    )


def test_whitespace_around_a_value_is_not_sent() -> None:
    assert checked_fields([("X", " a b \t"), ("Y", "\t\xe9 ")]) == (
        [(b"X", b"a b"), (b"Y", b"\xe9")],
        -1,
    )


def test_the_length_is_taken_out() -> None:
    assert checked_fields([("Content-Length", "13"), ("X", "y")]) == (
        [(b"X", b"y")],
        13,
    )
    assert checked_fields([("content-LENGTH", " 0 ")]) == ([], 0)
    assert checked_fields([("Content-Length", "5"), ("content-length", "05")]) == (
        [],
        5,
    )


@pytest.mark.parametrize(
    "value", ["", "-1", "+5", "1_0", "0x5", "5, 5", "\xb2", "9" * 19]
)
def test_a_bad_length_is_refused(value: str) -> None:
    with pytest.raises(InvalidHeader, match="not a Content-Length"):
        checked_fields([("Content-Length", value)])


def test_two_lengths_are_refused() -> None:
    with pytest.raises(LocalProtocolError, match="two Content-Lengths, 5 and 6"):
        checked_fields([("Content-Length", "5"), ("Content-Length", "6")])


def test_what_the_server_writes_in_every_response_is_left_out() -> None:
    assert checked_fields([("Date", "x"), ("server", "y"), ("A", "b")]) == (
        [(b"A", b"b")],
        -1,
    )


@pytest.mark.parametrize(
    "name",
    ["Connection", "keep-alive", "Proxy-Authenticate", "Proxy-Authorization", "TE",
     "Trailer", "Trailers", "Transfer-Encoding", "UPGRADE", "Proxy-Connection"],
)  # fmt: skip
def test_what_is_between_server_and_client_is_refused(name: str) -> None:
    for _ in range(2):
        with pytest.raises(LocalProtocolError, match="is the server's to write"):
            checked_fields([(name, "close")])


@pytest.mark.parametrize("name", ["", "a b", "a:", "a\r\nb", "\xe9", "\u20ac", "a\0"])
def test_a_bad_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidHeader):
        checked_fields([(name, "x")])


@pytest.mark.parametrize("value", ["a\r\nb: c", "a\nb", "a\0", "\x7f", "a\x1bb"])
def test_a_bad_value_is_refused(value: str) -> None:
    with pytest.raises(InvalidHeader):
        checked_fields([("X", value)])


def test_a_value_beyond_latin_1_is_refused() -> None:
    with pytest.raises(InvalidHeader, match="Latin-1"):
        checked_fields([("X", "\u20ac")])


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ((("X", "y"),), "headers are a list, not tuple"),
        ({"X": "y"}, "headers are a list, not dict"),
        (None, "headers are a list, not NoneType"),
        ([(b"X", "y")], "a header name is a str, not bytes"),
        ([("X", b"y")], "a header value is a str, not bytes"),
        ([("Content-Length", 5)], "a header value is a str, not int"),
        ([("X", None)], "a header value is a str, not NoneType"),
    ],
)
def test_headers_are_a_list_of_pairs_of_text(fields: Any, complaint: str) -> None:
    with pytest.raises(TypeError, match=complaint):
        checked_fields(fields)


def test_a_kind_of_text_is_text() -> None:
    class SafeText(str):
        __slots__ = ()

    assert checked_fields([("X", SafeText("y"))]) == ([(b"X", b"y")], -1)


@given(st.text(max_size=20), st.text(max_size=20))
def test_what_is_taken_can_be_sent(name: str, value: str) -> None:
    try:
        pairs, _ = checked_fields([(name, value)])
    except (InvalidHeader, LocalProtocolError):
        return
    for octets in (octet for pair in pairs for octet in pair):
        assert not set(octets) & set(b"\r\n\0")


def test_what_an_application_makes_up_is_not_kept_for_ever() -> None:
    before = dict(module._NAMES), dict(module._STATUSES)
    try:
        for number in range(2 * module._MOST_KEPT):
            assert checked_fields([(f"X-{number}", "")])[0]
            assert checked_status(f"200 {number}") == 200
        assert len(module._NAMES) <= module._MOST_KEPT
        assert len(module._STATUSES) <= module._MOST_KEPT
    finally:
        for kept, old in zip((module._NAMES, module._STATUSES), before, strict=True):
            kept.clear()  # type: ignore[attr-defined]  # of a union of dicts
            kept.update(old)  # type: ignore[attr-defined]  # as above
