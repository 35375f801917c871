"""A file that has its name only once it is complete."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["PartFile"]

_NEW: Final = (
    os.O_WRONLY
    | os.O_CREAT
    | os.O_EXCL  # and follow no link that somebody has put there
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)


class PartFile:
    """A file that is written beside *path*, and takes its place when it is finished.

    Whoever looks at *path* sees what was there before, or all of what is new. Each
    method may wait for a disk; one is called at a time, on any thread.

    It has the mode that ``open`` gives a new file. A link at *path* is followed, and
    stays one. As with mv, what was written last may be lost when the machine stops, not
    when the process does.

    :raises OSError: (every method but discard) with ``filename``; ENOSPC and EDQUOT
        when there is no room.
    """

    __slots__ = ("_file", "_part", "_path", "_shown")

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._shown = os.fspath(path)
        self._path: Path
        self._part: Path | None = None
        self._file: IO[bytes] | None = None

    def open(self) -> None:
        """Make the file.

        :raises IsADirectoryError: *path* is a directory.
        :raises FileExistsError: *path* is a device, a pipe or the like.
        """
        path = Path(os.path.realpath(self._shown))
        self._refuse_what_is_no_file(path)
        # Of the target's name too much could be too long.
        part = path.with_name(f".{secrets.token_hex(8)}.part")
        try:
            self._file = os.fdopen(os.open(part, _NEW, 0o666), "wb")
        except OSError as error:
            raise self._named(error) from error
        self._path, self._part = path, part

    def _refuse_what_is_no_file(self, path: Path) -> None:
        try:
            mode = path.stat().st_mode
        except FileNotFoundError:
            return
        except OSError as error:
            raise self._named(error) from error
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(
                errno.EISDIR, os.strerror(errno.EISDIR), self._shown
            )
        if not stat.S_ISREG(mode):
            # To rename over it is not what /dev/null is for.
            raise FileExistsError(errno.EEXIST, "not a regular file", self._shown)

    def write(self, pieces: Iterable[bytes]) -> None:
        """Append *pieces*."""
        assert self._file is not None
        try:
            self._file.writelines(pieces)
        except OSError as error:
            raise self._named(error) from error

    def finish(self, pieces: Iterable[bytes]) -> None:
        """Append *pieces*, the last, and give the file its name."""
        self.write(pieces)
        assert self._file is not None
        assert self._part is not None
        try:
            self._file.close()
            self._part.replace(self._path)
        except OSError as error:
            raise self._named(error) from error
        self._part = None

    def discard(self) -> None:
        """Leave nothing behind, unless it is finished."""
        file, self._file = self._file, None
        if file is not None:
            with suppress(OSError):  # what was not written yet has no room still
                file.close()
        part, self._part = self._part, None
        if part is not None:
            with suppress(OSError):
                part.unlink()

    def _named(self, error: OSError) -> OSError:
        return type(error)(error.errno, error.strerror, self._shown)
