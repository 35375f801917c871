"""A directory of files, some of which are nobody's business."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from unittest import TestCase

__all__ = ["IGNORES_MODES", "LONG_AGO", "is_open", "make_tree", "put"]

LONG_AGO = 784111777  # Sun, 06 Nov 1994 08:49:37 GMT
IGNORES_MODES = not hasattr(os, "geteuid") or os.geteuid() == 0
"""Whether it is of no use to take rights away: Windows has none, and root has all."""


def put(path: Path, content: bytes, modified: float = LONG_AGO) -> Path:
    """Write a file with a time of modification."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, (modified, modified))
    return path


def is_open(fd: int) -> bool:
    """Whether there is such a descriptor; on Windows, of the C library."""
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def make_tree(case: TestCase) -> Path:
    """Return a directory with ``public`` in it, and secrets beside and inside."""
    holder = tempfile.TemporaryDirectory()
    case.addCleanup(holder.cleanup)
    top = Path(holder.name).resolve()
    put(top / "secret.txt", b"secret")
    public = top / "public"
    put(public / "a.txt", b"hello")
    put(public / "sub" / "b.txt", b"below")
    put(public / "sub" / "deep" / "c.txt", b"deeper")
    put(public / ".hidden", b"hidden")
    put(public / ".git" / "config", b"hidden")
    (public / "out.txt").symlink_to(top / "secret.txt")
    (public / "up").symlink_to(top)
    (public / "inside.txt").symlink_to("sub/b.txt")
    (public / "to-sub").symlink_to("sub")
    (public / "to-hidden").symlink_to(".hidden")
    (public / "to-itself").symlink_to(".")
    (public / "loop").symlink_to("loop")
    (public / "nowhere").symlink_to("gone")
    if hasattr(os, "mkfifo"):
        os.mkfifo(public / "fifo")
    return public
