"""Which fields may stand behind a body."""

from __future__ import annotations

import pytest

from httpx_tw.app.response import Response
from httpx_tw.app.trailers import trailer_field, trailer_lines
from httpx_tw.errors import InvalidHeader, LocalProtocolError


def test_they_are_announced_and_asked_for_at_the_end() -> None:
    count = 0
    trailers = {"Digest": lambda: f"sha={count}", "X-Rows": lambda: "7"}
    assert trailer_field(trailers) == (b"trailer", b"Digest, X-Rows")
    count = 5
    assert trailer_lines(trailers) == [(b"Digest", b"sha=5"), (b"X-Rows", b"7")]
    assert trailer_lines(None) == []


@pytest.mark.parametrize(
    "name", ["Content-Length", "transfer-encoding", "Set-Cookie", "Authorization", "TE"]
)
def test_what_must_stand_in_front_is_refused(name: str) -> None:
    with pytest.raises(LocalProtocolError, match="cannot stand behind"):
        Response.stream(iter(()), trailers={name: lambda: "x"})


def test_bad_names_and_values_are_refused() -> None:
    with pytest.raises(InvalidHeader):
        trailer_field({"a b": lambda: "x"})
    with pytest.raises(InvalidHeader):
        trailer_lines({"a": lambda: "x\r\ny: z"})


def test_a_declared_length_leaves_no_place_for_them() -> None:
    with pytest.raises(ValueError, match="no trailers"):
        Response.stream(iter(()), content_length=1, trailers={"a": lambda: "x"})
