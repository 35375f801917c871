"""RFC 9110 section 13 as tables: each precondition, and their order."""

from __future__ import annotations

import pytest

from httpx_tw.app.conditions import (
    Validators,
    Verdict,
    evaluate,
    is_conditional,
    range_is_wanted,
)
from httpx_tw.headers import Headers

GO_ON, NOT_MODIFIED, FAILED = Verdict.GO_ON, Verdict.NOT_MODIFIED, Verdict.FAILED

BEFORE = "Sun, 06 Nov 1994 08:49:36 GMT"
SAME = "Sun, 06 Nov 1994 08:49:37 GMT"
AFTER = "Sun, 06 Nov 1994 08:49:38 GMT"

CURRENT = Validators('"a"', 784111777, date_is_strong=True)
WEAK = Validators('W/"a"', 784111777)
NOTHING = Validators()


def verdict(
    fields: dict[str, str], method: str = "GET", current: Validators = CURRENT
) -> Verdict:
    return evaluate(method, Headers(fields), current)


@pytest.mark.parametrize(
    ("value", "current", "expected"),
    [
        ('"a"', CURRENT, GO_ON),
        ('"b"', CURRENT, FAILED),
        ('"b", "a"', CURRENT, GO_ON),
        ('"b" ,, "a"', CURRENT, GO_ON),
        ('"b,a", "c"', CURRENT, FAILED),
        ('W/"a"', CURRENT, FAILED),  # strong comparison
        ('"a"', WEAK, FAILED),
        ('W/"a"', WEAK, FAILED),
        ("*", CURRENT, GO_ON),
        ("*", NOTHING, GO_ON),
        ('"a"', NOTHING, FAILED),
        ("a", CURRENT, FAILED),  # no entity tag
        ('"a', CURRENT, FAILED),
        ('"a" "b"', CURRENT, FAILED),
        ("", CURRENT, FAILED),
    ],
)
def test_if_match(value: str, current: Validators, expected: Verdict) -> None:
    for method in ("GET", "PUT"):
        assert verdict({"If-Match": value}, method, current) is expected


@pytest.mark.parametrize(
    ("value", "current", "expected"),
    [
        ('"a"', CURRENT, NOT_MODIFIED),
        ('W/"a"', CURRENT, NOT_MODIFIED),  # weak comparison
        ('"a"', WEAK, NOT_MODIFIED),
        ('W/"a"', WEAK, NOT_MODIFIED),
        ('"b"', CURRENT, GO_ON),
        ('"b", W/"a"', CURRENT, NOT_MODIFIED),
        ("*", CURRENT, NOT_MODIFIED),
        ('"a"', NOTHING, GO_ON),
        ("a", CURRENT, GO_ON),
        ('w/"a"', CURRENT, GO_ON),  # case-sensitive
    ],
)
def test_if_none_match(value: str, current: Validators, expected: Verdict) -> None:
    assert verdict({"If-None-Match": value}, "GET", current) is expected
    assert verdict({"If-None-Match": value}, "HEAD", current) is expected


def test_if_none_match_fails_what_would_change_something() -> None:
    assert verdict({"If-None-Match": "*"}, "PUT") is FAILED
    assert verdict({"If-None-Match": '"b"'}, "PUT") is GO_ON


@pytest.mark.parametrize(
    ("value", "expected"),
    [(BEFORE, GO_ON), (SAME, NOT_MODIFIED), (AFTER, NOT_MODIFIED), ("soon", GO_ON)],
)
def test_if_modified_since(value: str, expected: Verdict) -> None:
    assert verdict({"If-Modified-Since": value}) is expected
    assert verdict({"If-Modified-Since": value}, "POST") is GO_ON  # only GET and HEAD
    assert verdict({"If-Modified-Since": value}, current=NOTHING) is GO_ON


@pytest.mark.parametrize(
    ("value", "expected"),
    [(BEFORE, FAILED), (SAME, GO_ON), (AFTER, GO_ON), ("soon", GO_ON)],
)
def test_if_unmodified_since(value: str, expected: Verdict) -> None:
    for method in ("GET", "PUT"):
        assert verdict({"If-Unmodified-Since": value}, method) is expected
    assert verdict({"If-Unmodified-Since": value}, current=NOTHING) is GO_ON


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        # Steps 1 and 2: If-Match goes before If-Unmodified-Since.
        ({"If-Match": '"a"', "If-Unmodified-Since": BEFORE}, GO_ON),
        ({"If-Match": '"b"', "If-Unmodified-Since": AFTER}, FAILED),
        # A failure is final, success goes on to step 3.
        ({"If-Match": '"b"', "If-None-Match": '"a"'}, FAILED),
        ({"If-Match": '"a"', "If-None-Match": '"a"'}, NOT_MODIFIED),
        ({"If-Unmodified-Since": BEFORE, "If-None-Match": '"a"'}, FAILED),
        ({"If-Unmodified-Since": SAME, "If-Modified-Since": SAME}, NOT_MODIFIED),
        # Steps 3 and 4: If-None-Match goes before If-Modified-Since.
        ({"If-None-Match": '"b"', "If-Modified-Since": SAME}, GO_ON),
        ({"If-None-Match": '"a"', "If-Modified-Since": BEFORE}, NOT_MODIFIED),
        ({}, GO_ON),
    ],
)
def test_the_order_of_section_13_2_2(fields: dict[str, str], expected: Verdict) -> None:
    assert verdict(fields) is expected


@pytest.mark.parametrize(
    ("value", "current", "expected"),
    [
        ('"a"', CURRENT, True),
        ('"b"', CURRENT, False),
        ('W/"a"', CURRENT, False),
        ('W/"a"', WEAK, False),
        ('"a"', WEAK, False),
        (SAME, CURRENT, True),
        (BEFORE, CURRENT, False),
        (AFTER, CURRENT, False),  # exactly, not "not later"
        (SAME, WEAK, False),  # the date is no strong validator
        (SAME, NOTHING, False),
        ("soon", CURRENT, False),
        ("soon", Validators('"a"', None, date_is_strong=True), False),
    ],
)
def test_if_range(value: str, current: Validators, *, expected: bool) -> None:
    fields = Headers({"Range": "bytes=0-1", "If-Range": value})
    assert range_is_wanted("GET", fields, current) is expected


def test_range_is_for_get_alone() -> None:
    fields = Headers({"Range": "bytes=0-1"})
    assert range_is_wanted("GET", fields, CURRENT)
    assert not range_is_wanted("HEAD", fields, CURRENT)
    assert not range_is_wanted("PUT", fields, CURRENT)
    assert not range_is_wanted("GET", Headers({"If-Range": '"a"'}), CURRENT)


@pytest.mark.parametrize(
    "name",
    [
        "If-Match",
        "IF-NONE-MATCH",
        "if-modified-since",
        "If-Unmodified-Since",
        "If-Range",
        "Range",
    ],
)
def test_each_field_makes_a_request_conditional(name: str) -> None:
    assert is_conditional(Headers([("Host", "a"), (name, "x")]).raw)
    assert not is_conditional(Headers([("Host", "a"), ("Accept", "x")]).raw)


def test_a_long_list_is_read_in_linear_time() -> None:
    assert verdict({"If-None-Match": '"b",' * 4000 + '"a"'}) is NOT_MODIFIED
    assert verdict({"If-None-Match": '"b"' + ", " * 8000 + "!"}) is GO_ON
