"""What a stub may be told to answer."""

from __future__ import annotations

from typing import Any

import pytest

from httpx_tw.errors import ConfigurationError, ConnectFailed, InvalidHeader
from httpx_tw.headers import Headers
from httpx_tw.testing import Silence, StubRequest, StubResponse
from httpx_tw.testing.stub_answers import as_answer


@pytest.mark.parametrize(
    ("value", "status", "content", "kind"),
    [
        ("hello", 200, b"hello", "text/plain; charset=utf-8"),
        (b"\0", 200, b"\0", None),
        ({"a": 1}, 200, b'{"a": 1}', "application/json"),
        ([1], 200, b"[1]", "application/json"),
        (503, 503, b"", None),
        (None, 204, b"", None),
    ],
)
def test_what_an_endpoint_may_return_a_stub_may_answer(
    value: Any, status: int, content: bytes, kind: str | None
) -> None:
    answer = as_answer(value)
    assert isinstance(answer, StubResponse)
    assert (answer.status, answer.content) == (status, content)
    assert answer.fields.get("content-type") == kind


def test_responses_errors_and_silence_are_answers_themselves() -> None:
    for answer in (StubResponse(201), ConnectFailed("no"), Silence()):
        assert as_answer(answer) is answer


@pytest.mark.parametrize("value", [True, 1.5, object(), {1}, 99])
def test_anything_else_is_refused(value: Any) -> None:
    with pytest.raises(ConfigurationError):
        as_answer(value)


def test_a_type_may_be_said_otherwise() -> None:
    answer = StubResponse(json=[1], headers={"content-type": "application/vnd.a+json"})
    assert answer.fields.raw == [(b"content-type", b"application/vnd.a+json")]


def test_nonsense_is_refused_where_it_is_written() -> None:
    with pytest.raises(ConfigurationError, match="one of body and json"):
        StubResponse(body="x", json=[])
    with pytest.raises(ConfigurationError, match="not a final status"):
        StubResponse(100)
    with pytest.raises(InvalidHeader):
        StubResponse(headers={"X": "a\r\nb"})


def test_a_request_shows_its_body() -> None:
    request = StubRequest("POST", "http://a.example/", Headers(), b'{"a": 1}')
    assert request.text == '{"a": 1}'
    assert request.json() == {"a": 1}
