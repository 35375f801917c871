"""Which file objects are nothing but a file on a disk, and can go by their descriptor.

``fileno`` does not tell: a GzipFile, and a BufferedReader over one, have that of the
packed file beneath them.
"""

from __future__ import annotations

import io
import os
import stat
import tempfile
from typing import Any

__all__ = ["descriptor_of"]

_BUFFERED = (io.BufferedReader, io.BufferedRandom)


def descriptor_of(file: Any) -> int | None:
    """Return the descriptor whose bytes *file* gives; None: it has to be read.

    That is where *file* is what ``open(path, "rb")`` returns, with a buffer or without,
    or a temporary file, and leads to a regular file. What was written to it is flushed.
    """
    if isinstance(file, tempfile._TemporaryFileWrapper):  # noqa: SLF001  # what NamedTemporaryFile returns
        file = file.file
    # Exactly: a subclass may read in its own way.
    raw = file.raw if type(file) in _BUFFERED else file
    if type(raw) is not io.FileIO:
        return None
    try:
        if type(file) is io.BufferedRandom:
            file.flush()
        fd: int = raw.fileno()
        if not (raw.readable() and stat.S_ISREG(os.fstat(fd).st_mode)):
            return None
    except (OSError, ValueError):  # closed
        return None
    return fd
