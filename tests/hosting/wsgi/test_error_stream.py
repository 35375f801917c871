"""wsgi.errors: lines of text become events of the log, whoever writes them."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

import pytest
from twisted.logger import LogLevel, capturedLogs, formatEvent

from httpx_tw.hosting.wsgi.error_stream import ErrorStream

if TYPE_CHECKING:
    from collections.abc import Callable


def logged(write: Callable[[ErrorStream], object]) -> list[str]:
    with capturedLogs() as events:
        write(ErrorStream())
    assert all(event["log_level"] is LogLevel.error for event in events)
    assert all(event["log_namespace"] == "httpx_tw.wsgi" for event in events)
    return [formatEvent(event) for event in events]


def test_a_line_is_an_event() -> None:
    assert logged(lambda stream: stream.write("one\ntwo\n")) == ["one", "two"]


def test_a_line_may_come_in_pieces() -> None:
    def write(stream: ErrorStream) -> None:
        print("one", 2, file=stream)
        print("three", file=stream, flush=True)

    assert logged(write) == ["one 2", "three"]


def test_a_flush_ends_a_line() -> None:
    def write(stream: ErrorStream) -> None:
        stream.write("one")
        stream.flush()
        stream.flush()
        stream.write(" two\n")

    assert logged(write) == ["one", " two"]


def test_several_at_once_are_written_one_after_the_other() -> None:
    assert logged(lambda stream: stream.writelines(["a", "b\nc", "\n"])) == ["ab", "c"]


def test_empty_lines_are_left_out() -> None:
    assert logged(lambda stream: stream.write("\n \n\na\n")) == ["a"]


def test_braces_are_only_braces() -> None:
    assert logged(lambda stream: stream.write("{x} {{\n")) == ["{x} {{"]


def test_lines_of_two_threads_do_not_mix() -> None:
    def write(stream: ErrorStream) -> None:
        stream.write("ours ")
        other = threading.Thread(target=stream.write, args=("theirs\n",))
        other.start()
        other.join()
        stream.write("still\n")

    assert logged(write) == ["theirs", "ours still"]


def test_what_is_not_ended_can_be_seen() -> None:
    stream = ErrorStream()
    assert not stream.unended
    assert stream.write("abc") == 3
    assert stream.unended == {threading.get_ident(): "abc"}
    stream.unended.clear()


def test_bytes_are_refused() -> None:
    with pytest.raises(TypeError, match="takes str, not bytes"):
        ErrorStream().write(b"x")  # type: ignore[arg-type]  # that is the test


def test_the_logging_of_the_standard_library_can_write_to_it() -> None:
    def write(stream: ErrorStream) -> None:
        output = logging.StreamHandler(stream)
        output.emit(logging.makeLogRecord({"msg": "from %s", "args": ("a library",)}))

    assert logged(write) == ["from a library"]
