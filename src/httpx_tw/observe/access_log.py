"""One line for each request, in the combined log format, written in batches."""

from __future__ import annotations

import io
import os
import re
import sys
import time
from typing import TYPE_CHECKING, Final

from twisted.logger import Logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from httpx_tw.headers import HeaderPairs

__all__ = ["AccessLog"]

_log = Logger()

_BATCH: Final = 512
"""Entries kept before they are written; at a slow pace the tick writes them."""

_MOST_KNOWN: Final = 1024
_LONGEST_KNOWN: Final = 512
"""Of field values, in bytes: together they bound what is remembered, to 1 MiB."""

# What could forge a field or a line, or steer a terminal: everything that is not
# printable ASCII, the quote and the backslash, as Apache does.
_UNSAFE: Final = re.compile(r"[^ !#-\[\]-~]")


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    if character in '"\\':
        return "\\" + character
    # Header values are Latin-1 of what was sent, so this is the byte that was sent.
    try:
        sent = character.encode("latin-1")
    except UnicodeEncodeError:
        sent = character.encode("utf-8", "replace")
    return "".join(f"\\x{byte:02x}" for byte in sent)


def _safe(text: str) -> str:
    # What nearly every text is, in half the time of the search.
    if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return text
    return _UNSAFE.sub(_escape, text)


class _KnownValues(dict[bytes, str]):
    """Field values as they are written: agents and pages come back again and again."""

    def __missing__(self, value: bytes) -> str:
        text = _safe(value.decode("latin-1"))
        if len(value) <= _LONGEST_KNOWN:
            if len(self) >= _MOST_KNOWN:
                self.clear()
            self[value] = text
        return text


class AccessLog:
    """Collects requests and writes their lines together.

    :param path: a file to append to; None: standard output. The file is opened again
        when it was renamed or removed, so that logrotate needs no signal.
    :param wall_clock: seconds since the epoch, for the time stamp.

    Use it on the reactor thread. A file that cannot be written to costs its lines and
    one message in the log, never a request.
    """

    def __init__(
        self, path: str | None = None, wall_clock: Callable[[], float] = time.time
    ) -> None:
        self._path = path
        self._wall_clock = wall_clock
        self._entries: list[str] = []
        self._known = _KnownValues()
        self._file: io.FileIO | None = None
        self._stamp_second = -1
        self._stamp = ""
        self._is_failing = False
        if path is not None:
            self._open(
                path
            )  # a bad path is found out at the start, not at the first line

    def record(  # noqa: PLR0913, PLR0917  # flat, for it is called for each request
        self,
        client: str,
        method: str,
        target: str,
        version: str,
        status: int,
        length: int,
        headers: HeaderPairs,
    ) -> None:
        """Note one answered request.

        *client* is its address, "" for none (a Unix socket); *method* is a token, and
        written as it is; *length* is the response body's, in bytes.
        """
        referer = agent = b""
        for name, value in headers:
            size = len(name)
            if size == 10:
                if name.lower() == b"user-agent":
                    agent = agent or value
            elif size == 7 and name.lower() == b"referer":
                referer = referer or value
        entries = self._entries
        known = self._known
        # Made into text at once: to keep the fields of a batch of requests until it is
        # written makes the garbage collector look at each of them, for 2 µs a request.
        entries.append(
            f"{client or '-'} - - [\0] "
            f'"{method} {_safe(target)} HTTP/{version}" {status} {length} '
            f'"{known[referer] if referer else "-"}" '
            f'"{known[agent] if agent else "-"}"\n'
        )
        if len(entries) >= _BATCH:
            self.flush()

    def flush(self) -> None:
        """Write what was collected. Called by the tick, and before closing."""
        if not self._entries:
            return
        entries, self._entries = self._entries, []
        # NUL can be nowhere else: what could forge a line is escaped.
        lines = "".join(entries).replace("\0", self._time_stamp())
        try:
            self._write(lines)
            self._is_failing = False
        except (OSError, ValueError) as error:
            if not self._is_failing:
                self._is_failing = True
                _log.error("the access log cannot be written: {error}", error=error)

    def close(self) -> None:
        """Write the rest and close the file."""
        self.flush()
        if self._file is not None:
            self._file.close()
            self._file = None

    def _time_stamp(self) -> str:
        second = int(self._wall_clock())
        if second != self._stamp_second:
            self._stamp_second = second
            self._stamp = time.strftime("%d/%b/%Y:%H:%M:%S %z", time.localtime(second))
        return self._stamp

    def _write(self, lines: str) -> None:
        if self._path is None:
            # Twisted's log takes sys.stdout away; these lines are not for it.
            stdout = sys.__stdout__ or sys.stdout
            if stdout is None:
                raise OSError("there is no standard output")
            stdout.write(lines)
            stdout.flush()
            return
        file = self._current_file(self._path)
        left = memoryview(lines.encode("ascii", "backslashreplace"))
        while left:  # a disk that fills up takes the first half
            left = left[file.write(left) :]

    def _current_file(self, path: str) -> io.FileIO:
        file = self._file
        if file is None:
            return self._open(path)
        try:
            there = os.stat(path)  # noqa: PTH116  # beside os.fstat
            ours = os.fstat(file.fileno())
            moved = (there.st_dev, there.st_ino) != (ours.st_dev, ours.st_ino)
        except FileNotFoundError:
            moved = True
        if moved:
            self._file = None
            file.close()
            return self._open(path)
        return file

    def _open(self, path: str) -> io.FileIO:
        # Without a buffer: what a full disk has refused must not come back later, in
        # the middle of other lines or out of close().
        self._file = io.FileIO(path, "a")
        return self._file
