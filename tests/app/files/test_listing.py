"""A page of names that anybody may have chosen."""

from __future__ import annotations

import re
from html import unescape
from urllib.parse import unquote, urljoin

from hypothesis import given
from hypothesis import strategies as st

from httpx_tw.app.files.directory import Listed
from httpx_tw.app.files.listing import listing_page


def page(*names: str, has_parent: bool = True) -> str:
    entries = [Listed(name, is_directory=False, size=1, modified=0.0) for name in names]
    body = listing_page("/files/", entries, has_parent=has_parent).body
    assert isinstance(body, bytes)
    return body.decode()


def test_directories_are_first_and_end_with_a_slash() -> None:
    entries = [
        Listed("a.txt", is_directory=False, size=1234, modified=784111777.0),
        Listed("z", is_directory=True, size=4096, modified=784111777.0),
    ]
    response = listing_page("/files/", entries, has_parent=False)
    assert isinstance(response.body, bytes)
    text = response.body.decode()
    assert text.index("./z/") < text.index("./a.txt")
    assert "1994-11-06 08:49:37" in text
    assert "1234" in text
    assert "4096" not in text
    assert "../" not in text
    assert response.headers["cache-control"] == "no-cache"
    assert "'none'" in response.headers["content-security-policy"]


def test_there_is_a_way_up() -> None:
    assert '<a href="../">' in page()
    assert "../" not in page(has_parent=False)


def test_the_path_is_escaped() -> None:
    body = listing_page("/<b>&/", [], has_parent=False).body
    assert isinstance(body, bytes)
    assert b"<h1>Index of /&lt;b&gt;&amp;/</h1>" in body


names = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1)


@given(names.filter(lambda name: name not in {".", ".."}))
def test_any_name_is_shown_and_led_to(name: str) -> None:
    link, shown = re.findall(r'<td><a href="([^"]*)">([^<]*)</a>', page(name))[1]
    assert unescape(shown) == name
    there = urljoin("http://a/files/", unescape(link))
    assert there.startswith("http://a/files/")
    assert unquote(there.removeprefix("http://a/files/")) == name
