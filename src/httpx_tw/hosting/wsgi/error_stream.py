"""``wsgi.errors``: what an application writes there goes to Twisted's log."""

from __future__ import annotations

from threading import get_ident
from typing import TYPE_CHECKING, Final

from twisted.logger import Logger

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["ErrorStream"]

_log: Final = Logger(namespace="httpx_tw.wsgi")


class ErrorStream:
    """A stream of text of which each line becomes one event in the log.

    One serves all threads: what a thread wrote without ending the line is kept for that
    thread, until it ends the line or flushes.
    """

    __slots__ = ("unended",)

    def __init__(self) -> None:
        self.unended: dict[int, str] = {}
        """By thread, what has no end of line yet."""

    def write(self, text: str) -> int:
        """Log each line that is complete now; return the length of *text*.

        :raises TypeError: when *text* is no str.
        """
        if not isinstance(text, str):
            raise TypeError(f"wsgi.errors takes str, not {type(text).__name__}")
        thread = get_ident()
        *lines, rest = (self.unended.pop(thread, "") + text).split("\n")
        if rest:
            self.unended[thread] = rest
        for line in lines:
            _log_line(line)
        return len(text)

    def writelines(self, texts: Iterable[str]) -> None:
        """Write one after the other; nothing is put between them."""
        for text in texts:
            self.write(text)

    def flush(self) -> None:
        """Log what this thread has written without ending the line."""
        _log_line(self.unended.pop(get_ident(), ""))


def _log_line(line: str) -> None:
    if line and not line.isspace():
        _log.error("{line}", line=line)
