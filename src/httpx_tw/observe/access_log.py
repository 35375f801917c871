"""One line for each request, in the combined log format, written in batches."""

from __future__ import annotations

import io
import os
import re
import sys
import time
from typing import TYPE_CHECKING, Final, TypeAlias

from twisted.logger import Logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from httpx_tw.headers import HeaderPairs

__all__ = ["AccessLog"]

_log = Logger()

_BATCH: Final = 512
"""Entries kept before they are written; at a slow pace the tick writes them."""

# What could forge a field or a line, or steer a terminal: everything that is not
# printable ASCII, the quote and the backslash, as Apache does.
_UNSAFE: Final = re.compile(r"[^ !#-\[\]-~]")


_Entry: TypeAlias = "tuple[str, str, str, str, int, int, HeaderPairs]"


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
    return _UNSAFE.sub(_escape, text)


def _field(headers: HeaderPairs, wanted: bytes) -> str:
    length = len(wanted)
    for name, value in headers:
        if len(name) == length and name.lower() == wanted:
            return _safe(value.decode("latin-1"))
    return "-"


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
        self._entries: list[_Entry] = []
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
        entries = self._entries
        entries.append((client, method, target, version, status, length, headers))
        if len(entries) >= _BATCH:
            self.flush()

    def flush(self) -> None:
        """Write what was collected. Called by the tick, and before closing."""
        if not self._entries:
            return
        entries, self._entries = self._entries, []
        stamp = self._time_stamp()
        lines = "".join(
            [
                f"{client or '-'} - - [{stamp}] "
                f'"{method} {_safe(target)} HTTP/{version}" {status} {length} '
                f'"{_field(headers, b"referer")}" '
                f'"{_field(headers, b"user-agent")}"\n'
                for client, method, target, version, status, length, headers in entries
            ]
        )
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
