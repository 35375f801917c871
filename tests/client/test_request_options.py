"""The keywords of a request, as type checkers know them."""

from __future__ import annotations

import inspect

from httpx_tw.client.client import Client
from httpx_tw.client.request_options import RequestOptions, StreamOptions


def test_they_are_the_keywords_of_request() -> None:
    keywords = {
        name
        for name, parameter in inspect.signature(Client.request).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    }
    assert set(RequestOptions.__annotations__) == keywords
    assert set(StreamOptions.__annotations__) == keywords - {"stream"}
