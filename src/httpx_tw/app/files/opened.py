"""An open file: its descriptor, and what was found out about it when it was opened."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from httpx_tw.app.conditions import Validators
from httpx_tw.app.http_dates import format_http_date
from httpx_tw.errors import HTTPError

if TYPE_CHECKING:
    from httpx_tw.headers import HeaderPairs

__all__ = ["OPEN_FLAGS", "OpenFile", "is_cached"]

OPEN_FLAGS: Final = (
    os.O_RDONLY
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NONBLOCK", 0)  # a FIFO would wait for somebody to write
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_BINARY", 0)
)

_SETTLED: Final = 2.0
"""Seconds after which a time of modification says enough. The kernel's clock for it
goes in ticks of 4 ms, others' in seconds, FAT's in two: within one, contents may change
and the time not."""

_NOWAIT: Final = getattr(os, "RWF_NOWAIT", 0)
_one_byte: Final = [bytearray(1)]


class OpenFile:
    """A regular file that is open, and stays so while somebody refers to it.

    Several responses may send it at once: nobody moves its position. The descriptor is
    closed with the last reference, and with :meth:`close`. What it says of the file is
    of the moment it was opened.

    :param fd: taken over; closed here also when this raises.
    :param owner: an object whose descriptor *fd* is, to be closed in its place.
    :raises HTTPError: 404 when it is no regular file.
    """

    __slots__ = (
        "_owner",
        "content",
        "fd",
        "identity",
        "modified",
        "name",
        "size",
        "validators",
        "warm_at",
    )

    def __init__(self, fd: int, *, owner: Any = None, tag: str = "") -> None:
        self._owner = owner
        self.fd = fd
        """-1: closed."""
        self.name = ""
        """As it was opened, where somebody may want to know."""
        self.content: bytes | None = None
        """All of it, where it was read at once. See :meth:`read_content`."""
        self.warm_at = 0.0
        """When it was last seen in the kernel's cache: see server/file_sending.py,
        whose clock it is."""
        try:
            status = _status_of_regular(fd)
        except BaseException:
            self.close()
            raise
        self.size = status.st_size
        """Bytes. More is never sent, and less ends the connection."""
        self.modified = status.st_mtime_ns
        """Nanoseconds since the epoch."""
        self.identity = (
            status.st_dev,
            status.st_ino,
            status.st_size,
            status.st_mtime_ns,
        )
        """Differs when it is another file, or another state of it."""
        self.validators = _validators(status, tag)

    @classmethod
    def at(cls, path: str | bytes | os.PathLike[Any]) -> OpenFile:
        """Open the file at *path*, wherever it leads.

        :raises HTTPError: 404 when there is no regular file.
        :raises OSError: when it cannot be opened for another reason.
        """
        try:
            opened = cls(os.open(path, OPEN_FLAGS))
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
            raise HTTPError(404) from error
        except PermissionError as error:
            if Path(os.fsdecode(path)).is_dir():  # Windows opens none
                raise HTTPError(404) from error
            raise
        opened.name = os.fsdecode(path)
        return opened

    def read_content(self) -> bool:
        """Read all of it into :attr:`content`, if that needs no disk; close it then."""
        if not is_cached(self.fd, 0, self.size):
            return False
        content = self.read(0, self.size)
        if len(content) != self.size:
            return False  # it is being written to
        self.content = content
        self.close()
        return True

    def read(self, offset: int, count: int) -> bytes:
        """Return up to *count* bytes from *offset* on; b"" behind the end."""
        if self.content is not None:
            return self.content[offset : offset + count]
        if _has_pread:
            return os.pread(self.fd, count, offset)
        os.lseek(self.fd, offset, os.SEEK_SET)
        return os.read(self.fd, count)

    def fields(self) -> HeaderPairs:
        """Return ETag and Last-Modified as field lines."""
        etag, date = self.validators.etag, self.validators.last_modified
        assert etag is not None
        assert date is not None
        return [
            (b"etag", etag.encode("ascii")),
            (b"last-modified", format_http_date(date).encode("ascii")),
        ]

    def close(self) -> None:
        """Close it; closed already is fine."""
        fd, self.fd = self.fd, -1
        owner, self._owner = self._owner, None
        if owner is not None:
            owner.close()
        elif fd >= 0:
            os.close(fd)

    def __del__(self) -> None:
        # A response may be dropped in many places, and each would have to know.
        if getattr(self, "fd", -1) >= 0:
            self.close()


_has_pread: Final = hasattr(os, "pread")


def is_cached(fd: int, offset: int, count: int) -> bool:
    """Whether reading these bytes needs no disk, as far as the kernel says.

    The first and the last are asked for: what is read ahead is missing at its end, what
    is given up at its beginning. Where the kernel does not say (not Linux; tmpfs), yes.
    """
    if not _NOWAIT or count <= 0:
        return True
    try:
        os.preadv(fd, _one_byte, offset, _NOWAIT)
        os.preadv(fd, _one_byte, offset + count - 1, _NOWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True  # EOPNOTSUPP; whatever else it is, reading will meet it again
    return True


def _status_of_regular(fd: int) -> os.stat_result:
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        raise HTTPError(404)
    return status


def _validators(status: os.stat_result, tag: str) -> Validators:
    """Make an entity tag of size and time of modification, as nginx and Apache do.

    Not of the inode: the same file on another machine behind the same name is the same.
    Strong once the time of modification is long enough ago that no later change can
    have it too; until then weak, so that no two halves of different states are joined.
    """
    now = time.time()
    settled = status.st_mtime + _SETTLED <= now
    opaque = f'"{status.st_mtime_ns:x}-{status.st_size:x}{tag}"'
    return Validators(
        etag=opaque if settled else f"W/{opaque}",
        # RFC 9110 section 8.8.2.1: not later than the Date beside it.
        last_modified=int(min(status.st_mtime, now)),
        date_is_strong=settled,
    )
