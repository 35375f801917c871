"""Names under which files are saved."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from httpx_tw.app.disposition import content_disposition
from httpx_tw.headers import checked_value


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (None, "attachment"),
        ("", "attachment"),
        ("report.pdf", 'attachment; filename="report.pdf"'),
        ("a b.txt", 'attachment; filename="a b.txt"'),
        ("a;b=c.txt", 'attachment; filename="a;b=c.txt"'),
        # RFC 6266 section 5, and appendix D: a second name for new clients.
        (
            "€ rates.txt",
            'attachment; filename="_ rates.txt"; '
            "filename*=UTF-8''%E2%82%AC%20rates.txt",
        ),
        ('a"b.txt', "attachment; filename=\"a_b.txt\"; filename*=UTF-8''a%22b.txt"),
        (
            "100%25.txt",
            "attachment; filename=\"100_25.txt\"; filename*=UTF-8''100%2525.txt",
        ),
        ("../../etc/passwd", 'attachment; filename="passwd"'),
        ("C:\\boot.ini", 'attachment; filename="boot.ini"'),
        ("dir/", "attachment"),
        ("a\r\nSet-Cookie: b", 'attachment; filename="aSet-Cookie: b"'),
        ("\udc80", "attachment; filename=\"_\"; filename*=UTF-8''%3F"),
    ],
)
def test_a_name(name: str | None, expected: str) -> None:
    assert content_disposition(name) == expected


def test_shown_inline_it_may_have_a_name_too() -> None:
    assert content_disposition(None, inline=True) == "inline"
    assert content_disposition("a.png", inline=True) == 'inline; filename="a.png"'


@given(st.text())
def test_any_name_gives_a_value_that_may_be_sent(name: str) -> None:
    value = content_disposition(name)
    assert checked_value(value).isascii()
    assert value.count('"') in (0, 2)
