"""The pieces of a body: none empty, none too much, and closed whatever happens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import capturedLogs, formatEvent

from httpx_tw.hosting.wsgi.pieces import Pieces
from tests.hosting.wsgi.fakes import make_request

if TYPE_CHECKING:
    from collections.abc import Iterator

TOO_LONG = "the response to GET /a was longer than its Content-Length: cut"


class Closable:
    """A result that notes how far it was read, and that it was closed."""

    def __init__(self, *pieces: Any, error: Exception | None = None) -> None:
        self.left = list(pieces)
        self.closed = 0
        self.error = error

    def __iter__(self) -> Iterator[Any]:
        while self.left:
            yield self.left.pop(0)

    def close(self) -> None:
        """Note it."""
        self.closed += 1
        if self.error is not None:
            raise self.error


def pieces_of(*results: Any) -> Pieces:
    return Pieces(make_request("/a?secret"), *results)


def test_empty_pieces_are_left_out() -> None:
    assert list(pieces_of([b"", b"a", b"", b"", b"b", b""])) == [b"a", b"b"]
    assert list(pieces_of([])) == []


def test_the_first_piece_can_be_waited_for() -> None:
    result = Closable(b"", b"a", b"b")
    pieces = pieces_of(result)
    assert pieces.begin() == b"a"
    assert result.left == [b"b"], "nothing is asked ahead"
    assert list(pieces) == [b"a", b"b"]
    assert pieces_of([b"", b""]).begin() == b""


def test_several_results_follow_each_other() -> None:
    first, second = Closable(b"a"), Closable(b"b")
    pieces = pieces_of(first, second)
    assert list(pieces) == [b"a", b"b"]
    pieces.close()
    assert (first.closed, second.closed) == (1, 1)


@given(st.lists(st.binary(max_size=4), max_size=6), st.integers(0, 20), st.booleans())
def test_no_more_is_given_than_the_limit(
    given: list[bytes],
    limit: int,
    begun: bool,
) -> None:
    pieces = pieces_of(given)
    if begun:
        pieces.begin()
    pieces.limit(limit)
    with capturedLogs() as events:
        found = list(pieces)
    whole = b"".join(given)
    assert b"".join(found) == whole[:limit]
    assert b"" not in found
    cut = [TOO_LONG] if len(whole) > limit else []
    assert [formatEvent(event) for event in events] == cut


def test_an_application_is_let_to_its_end_when_all_is_sent() -> None:
    ended = []

    def result() -> Iterator[bytes]:
        yield b"ab"
        ended.append(True)

    pieces = pieces_of(result())
    pieces.limit(2)
    assert list(pieces) == [b"ab"]
    assert ended


def test_an_endless_application_is_cut() -> None:
    result = Closable(*[b"abc"] * 9)
    pieces = pieces_of(result)
    pieces.limit(4)
    assert list(pieces) == [b"abc", b"a"]
    assert len(result.left) == 7


def test_it_is_closed_once_and_gives_nothing_more() -> None:
    result = Closable(b"a", b"b")
    pieces = pieces_of(result)
    assert next(pieces) == b"a"
    pieces.close()
    pieces.close()
    assert result.closed == 1
    assert list(pieces) == []


def test_it_is_closed_unread() -> None:
    result = Closable(b"a")
    pieces_of(result).close()
    assert result.closed == 1


def test_what_cannot_be_closed_is_left_alone() -> None:
    pieces_of([b"a"]).close()


def test_an_error_of_close_is_logged_and_the_rest_is_closed() -> None:
    first, second = Closable(error=ValueError("odd")), Closable()
    with capturedLogs() as events:
        pieces_of(first, second).close()
    assert second.closed == 1
    (event,) = events
    assert formatEvent(event) == "close() failed after GET /a"
    assert event["log_failure"].check(ValueError)


@pytest.mark.parametrize("piece", ["text", 7, None, bytearray(b"x")])
def test_a_piece_is_bytes(piece: Any) -> None:
    with pytest.raises(TypeError, match="a WSGI application gives bytes, not"):
        pieces_of([piece]).begin()


@pytest.mark.parametrize("result", [b"ab", "ab", None, 7])
def test_a_result_is_an_iterable_of_bytes(result: Any) -> None:
    with pytest.raises(TypeError):
        list(pieces_of(result))
