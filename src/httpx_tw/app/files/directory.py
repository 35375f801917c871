"""A directory whose files may be given away, and nothing besides them.

Each component of a path is opened in the directory opened before, without following
links: between a check and its use nobody can put a link in place of a directory, for
there is no check, only the use.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from httpx_tw.app.files.opened import OPEN_FLAGS, OpenFile
from httpx_tw.errors import ConfigurationError, HTTPError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Directory", "IsDirectory", "Listed"]

_CAN_WALK: Final = os.open in os.supports_dir_fd and hasattr(os, "O_NOFOLLOW")
_NO_FOLLOW: Final = getattr(os, "O_NOFOLLOW", 0)
_DIRECTORY: Final = (
    os.O_RDONLY
    | _NO_FOLLOW
    | getattr(os, "O_DIRECTORY", 0)
    | getattr(os, "O_CLOEXEC", 0)
)

# What says that it is not there, or not what was asked for: ELOOP and EMLINK (BSD) are
# a link where none may be, ENXIO a socket or a FIFO, ENAMETOOLONG nonsense.
_ABSENT: Final = {
    errno.ENOENT,
    errno.ENOTDIR,
    errno.ELOOP,
    errno.EMLINK,
    errno.ENXIO,
    errno.ENODEV,
    errno.ENAMETOOLONG,
    errno.EINVAL,
}
_FORBIDDEN: Final = {errno.EACCES, errno.EPERM}
_EXHAUSTED: Final = {errno.EMFILE, errno.ENFILE, errno.ENOMEM}

# On Windows a colon begins a drive or a stream, and these are devices everywhere.
_DEVICES: Final = {
    "con", "prn", "aux", "nul",
    *(f"{name}{number}" for name in ("com", "lpt") for number in range(10)),
}  # fmt: skip


class IsDirectory(Exception):
    """The path leads to a directory."""


class Listed(NamedTuple):
    """An entry of a directory."""

    name: str
    is_directory: bool
    size: int
    """Bytes."""
    modified: float
    """Seconds since the epoch."""


class Directory:
    """Opens the files below *path*, which may itself be a link.

    :param follow_links: follow links inside it, as far as they lead to something inside
        it. False: what is behind a link is not there.
    :param dot_files: give away what begins with a dot, too.
    :raises ConfigurationError: when it is no directory that can be read.
    """

    __slots__ = ("_dot_files", "_follow_links", "_is_windows", "path")

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        follow_links: bool = False,
        dot_files: bool = False,
    ) -> None:
        # Absolute: the process may change its working directory, as daemons do.
        self.path = os.path.abspath(path)  # noqa: PTH100  # Path.absolute keeps ".."
        self._follow_links = follow_links
        self._dot_files = dot_files
        self._is_windows = os.name == "nt"
        try:
            os.scandir(self.path).close()
        except OSError as error:
            raise ConfigurationError(
                f"{self.path} cannot be served: {error.strerror}"
            ) from error

    def open(self, relative: str, tag: str = "") -> OpenFile:
        """Open a file by its path from here, with ``/`` between components.

        :param tag: put into its entity tag.
        :raises IsDirectory: when it is one.
        :raises HTTPError: 404 for what is not there or not to be given away (no file,
            hidden, a link), 403 for what the process may not read, 503 when it has no
            descriptor left.
        """
        parts = self._checked(relative)
        try:
            fd = self._open(parts)
        except (OSError, ValueError) as error:
            raise _translated(error) from error
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            os.close(fd)
            raise IsDirectory
        return OpenFile(fd, tag=tag)

    def entries(self, relative: str) -> list[Listed]:
        """Return what may be given away of the directory at *relative*, by name.

        Raises as :meth:`open`; 404 when it is no directory.
        """
        parts = self._checked(relative) if relative else []
        try:
            fd = self._open(parts, _DIRECTORY) if _CAN_WALK else None
            try:
                where = self._joined(parts) if fd is None else fd
                return sorted(self._listed(where, parts), key=lambda entry: entry.name)
            finally:
                if fd is not None:
                    os.close(fd)
        except OSError as error:
            raise _translated(error) from error

    def _listed(self, where: str | int, parts: list[str]) -> Iterator[Listed]:
        with os.scandir(where) as found:
            for entry in found:
                if not self._may_give(entry.name):
                    continue
                try:
                    if entry.is_symlink():
                        if not self._follow_links:
                            continue
                        self._resolved([*parts, entry.name])  # raises: it leads out
                    status = entry.stat()
                    entry.name.encode()
                except (OSError, UnicodeEncodeError):
                    continue  # gone meanwhile, or no name that a URL can have
                is_directory = stat.S_ISDIR(status.st_mode)
                if is_directory or stat.S_ISREG(status.st_mode):
                    yield Listed(
                        entry.name, is_directory, status.st_size, status.st_mtime
                    )

    def _checked(self, relative: str) -> list[str]:
        parts = relative.split("/")
        if not all(map(self._may_give, parts)):
            raise HTTPError(404)
        return parts

    def _may_give(self, name: str) -> bool:
        if name in ("", ".", "..") or "\\" in name or "\0" in name:
            return False
        if self._is_windows and (
            ":" in name
            or name[-1] in ". "
            or name.partition(".")[0].rstrip().lower() in _DEVICES
        ):
            return False
        return self._dot_files or name[0] != "."

    def _open(self, parts: list[str], flags: int = OPEN_FLAGS | _NO_FOLLOW) -> int:
        if self._follow_links or not _CAN_WALK:
            parts = self._resolved(parts)
        if not _CAN_WALK:
            return self._opened_at_once(self._joined(parts), flags)
        # The way to here is the operator's, links and all; it is taken each time, so
        # that a link can be put to another release.
        here = os.open(self.path, _DIRECTORY & ~_NO_FOLLOW)
        if not parts:
            return here
        try:
            for name in parts[:-1]:
                there = os.open(name, _DIRECTORY, dir_fd=here)
                os.close(here)
                here = there
            return os.open(parts[-1], flags, dir_fd=here)
        finally:
            os.close(here)

    def _opened_at_once(self, path: str, flags: int) -> int:
        try:
            return os.open(path, flags)
        except PermissionError:
            if Path(path).is_dir():  # Windows opens none
                raise IsDirectory from None
            raise

    def _resolved(self, parts: list[str]) -> list[str]:
        """Return where *parts* lead, as parts without links; FileNotFoundError: out."""
        root = os.path.realpath(self.path, strict=True)
        real = os.path.realpath(self._joined(parts), strict=True)
        if real == root:
            return []
        # What is opened afterwards is opened without following: a link put there
        # meanwhile leads nowhere.
        try:
            inside = list(Path(real).relative_to(root).parts)
        except ValueError as error:
            raise FileNotFoundError(errno.ENOENT, "it leads out") from error
        if not all(map(self._may_give, inside)):
            raise FileNotFoundError(errno.ENOENT, "it leads to what is hidden")
        if not _CAN_WALK and not self._follow_links and inside != parts:
            raise FileNotFoundError(errno.ENOENT, "it is a link")
        return inside

    def _joined(self, parts: list[str]) -> str:
        return os.path.join(self.path, *parts)  # noqa: PTH118  # realpath takes a str


def _translated(error: OSError | ValueError) -> Exception:
    number = getattr(error, "errno", errno.ENOENT)  # ValueError: it cannot be a name
    if number in _ABSENT:
        return HTTPError(404)
    if number in _FORBIDDEN:
        return HTTPError(403)
    if number in _EXHAUSTED:
        return HTTPError(503, headers=(("Retry-After", "1"),))
    return error
