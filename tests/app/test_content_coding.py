"""Accept-Encoding, against what is offered in our order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from httpx_tw.app.content_coding import IDENTITY, best_coding

OFFERED = ("br", "zstd", "gzip")


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        (None, IDENTITY),
        ("", IDENTITY),
        ("gzip", "gzip"),
        ("GZip", "gzip"),
        ("x-gzip", "gzip"),
        ("gzip, deflate, br, zstd", "br"),
        ("gzip, br;q=0.9", "gzip"),
        ("gzip;q=0.5, br;q=0.5", "br"),
        ("gzip ; q=0.3 , zstd\t;\tQ=0.4", "zstd"),
        ("br;q=0, gzip", "gzip"),
        ("br;q=0", IDENTITY),
        ("*", "br"),
        ("*, br;q=0", "zstd"),
        ("*;q=0", IDENTITY),
        ("*;q=0, gzip;q=0.1", "gzip"),
        ("identity", IDENTITY),
        ("identity, gzip;q=0.5", IDENTITY),
        ("identity, gzip", "gzip"),
        ("identity;q=0, gzip;q=0.001", "gzip"),
        ("identity;q=0", IDENTITY),  # better than nothing
        ("deflate", IDENTITY),
        ("gzip;q=2", IDENTITY),  # no weight: the member stands for nothing
        ("gzip;q=", IDENTITY),
        ("gzip;level=9", IDENTITY),
        ("br br", IDENTITY),
        (",,gzip,", "gzip"),
    ],
)
def test_the_best_of_what_the_client_takes(field: str | None, expected: str) -> None:
    assert best_coding(field, OFFERED) == expected


def test_what_is_not_offered_is_not_chosen() -> None:
    assert best_coding("br, gzip;q=0.1", ("gzip",)) == "gzip"
    assert best_coding("br", ()) == IDENTITY


@given(st.text())
def test_any_field_gives_something_that_is_offered(field: str) -> None:
    assert best_coding(field, OFFERED) in (*OFFERED, IDENTITY)
