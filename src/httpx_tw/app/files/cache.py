"""Files that were asked for a moment ago, still open or held in memory.

Opening a file safely takes a system call a component and some more: 10 µs, as much as
all the rest of a small answer. What is here is trusted for a second; then the path is
walked anew, and if it leads to the same file in the same state, what is here stays. So
nobody has to be told of a change, and a change is seen within a second.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from httpx_tw.app.files.ready import ReadyFile

__all__ = ["MAX_OPEN", "MAX_RESOURCES", "TRUSTED", "FileCache", "Resource"]

TRUSTED: Final = 1.0
"""Seconds until a path is walked again."""

MAX_RESOURCES: Final = 1024
"""Those held in memory are of 16 KiB at most: 16 MiB, and with them their codings."""

MAX_OPEN: Final = 64
"""Resources with an open descriptor, or several. The limit on connections leaves an
eighth of the descriptors, 1,024 at most, to others."""


@dataclass(slots=True, eq=False)
class Resource:
    """What is behind one path: a file, and what it looks like in other codings."""

    plain: ReadyFile
    coded: dict[str, ReadyFile] = field(default_factory=dict)
    """By coding; in the order in which we prefer them."""
    checked_at: float = 0.0

    def is_same(self, other: Resource) -> bool:
        """Whether *other* is made of the same files in the same states."""
        return (
            self.plain.file.identity == other.plain.file.identity
            and self.plain.fields == other.plain.fields  # an ETag has become strong
            and self.coded.keys() == other.coded.keys()
            and all(
                variant.file.identity == other.coded[coding].file.identity
                for coding, variant in self.coded.items()
            )
        )

    @property
    def is_open(self) -> bool:
        """Whether it holds a descriptor."""
        return any(v.file.fd >= 0 for v in (self.plain, *self.coded.values()))


class FileCache:
    """A bounded number of resources by path; the one unused for longest leaves first.

    Used is what was checked: a resource in use is checked each second, and nobody has
    to move it at each use. What leaves is closed when nobody sends it any more.

    Only on the reactor thread.
    """

    __slots__ = ("_max_open", "_max_resources", "_open", "_resources", "get")

    def __init__(
        self, max_resources: int = MAX_RESOURCES, max_open: int = MAX_OPEN
    ) -> None:
        self._max_resources = max_resources
        self._max_open = max_open
        self._resources: dict[str, Resource] = {}
        self._open: dict[str, None] = {}  # the paths of those that are open, in order
        self.get: Callable[[str], Resource | None] = self._resources.get
        """Return what is here for a path, however long ago it was checked."""

    def checked(self, path: str, found: Resource, now: float) -> Resource:
        """Keep *found*, just opened, and return it; or what is here, if it is alike."""
        before = self._resources.pop(path, None)
        # What could not be read into memory then may be there now.
        if (
            before is not None
            and before.is_same(found)
            and before.is_open <= found.is_open
        ):
            found = before
        found.checked_at = now
        self._resources[path] = found
        self._open.pop(path, None)
        if found.is_open:
            self._open[path] = None
            if len(self._open) > self._max_open:
                self.forget(next(iter(self._open)))
        if len(self._resources) > self._max_resources:
            self.forget(next(iter(self._resources)))
        return found

    def forget(self, path: str) -> None:
        """Drop what is here for *path*; nothing is fine."""
        self._resources.pop(path, None)
        self._open.pop(path, None)

    def clear(self) -> None:
        """Drop everything."""
        self._resources.clear()
        self._open.clear()

    def __len__(self) -> int:
        return len(self._resources)
