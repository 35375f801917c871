"""Types by name, the same on every machine."""

from __future__ import annotations

import mimetypes

import pytest

from httpx_tw.app.media_types import UNKNOWN, is_compressible, media_type


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("index.html", "text/html; charset=utf-8"),
        ("a.b/INDEX.HTML", "text/html; charset=utf-8"),
        ("app.js", "text/javascript; charset=utf-8"),
        ("app.mjs", "text/javascript; charset=utf-8"),
        ("app.wasm", "application/wasm"),
        ("logo.svg", "image/svg+xml"),
        ("data.json", "application/json"),
        ("movie.mp4", "video/mp4"),
        ("font.woff2", "font/woff2"),
        ("backup.tar.gz", "application/gzip"),
        ("paper.docx", UNKNOWN),
        ("sound.aiff", "audio/x-aiff"),  # by the standard library's table
        ("notes.tsv", "text/tab-separated-values; charset=utf-8"),
        ("old.Z", UNKNOWN),  # that table calls it a coding
        ("README", UNKNOWN),
        ("a.html/b", UNKNOWN),
        ("", UNKNOWN),
        (".", UNKNOWN),
        ("what.is-this", UNKNOWN),
    ],
)
def test_a_name(name: str, expected: str) -> None:
    assert media_type(name) == expected


def test_what_the_system_thinks_does_not_matter() -> None:
    mimetypes.add_type("application/x-surprise", ".js")
    mimetypes.add_type("application/x-surprise", ".surprise")
    try:
        assert media_type("app.js") == "text/javascript; charset=utf-8"
        assert media_type("a.surprise") == UNKNOWN
    finally:
        mimetypes.init()


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("text/html; charset=utf-8", True),
        ("Application/JSON", True),
        ("image/svg+xml", True),
        ("application/ld+json", True),
        ("image/png", False),
        ("video/mp4", False),
        (UNKNOWN, False),
    ],
)
def test_what_is_worth_compressing(kind: str, *, expected: bool) -> None:
    assert is_compressible(kind) is expected
