"""The keywords of a request, as type checkers know them."""

from __future__ import annotations

import inspect
from pathlib import Path

from httpx_tw.client.client import Client
from httpx_tw.client.request_options import RequestOptions, StreamOptions
from httpx_tw.observe.moments import PHASES, STEPS


def test_they_are_the_keywords_of_request() -> None:
    keywords = {
        name
        for name, parameter in inspect.signature(Client.request).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    }
    assert set(RequestOptions.__annotations__) == keywords
    assert set(StreamOptions.__annotations__) == keywords - {"stream"}


def test_every_option_of_a_client_is_documented() -> None:
    page = Path(__file__).parents[2] / "docs/reference/client.md"
    text = page.read_text()
    for function in (Client.__init__, Client.request):
        for name, parameter in inspect.signature(function).parameters.items():
            if parameter.kind is parameter.KEYWORD_ONLY:
                assert f"`{name}`" in text, name


def test_every_moment_is_documented() -> None:
    text = (Path(__file__).parents[2] / "docs/reference/client.md").read_text()
    for moment, meaning in PHASES.items():
        assert f"| `{moment}` | {meaning} |" in text
    for moment in STEPS:
        assert f"`{moment}`" in text
