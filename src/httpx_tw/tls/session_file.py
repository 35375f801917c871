"""The file of a session pool: what is in it, and who may read it."""

from __future__ import annotations

import base64
import json
import os
import stat
from contextlib import suppress
from pathlib import Path
from threading import get_ident
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from twisted.logger import Logger

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Entry", "read_entries", "write_entries"]

Entry: TypeAlias = tuple[str, int, str, bytes, bytes]
"""Name, port and settings of the key; the session and the certificate, in DER."""

_log = Logger()

_VERSION: Final = 1
_MAX_SIZE: Final = 64 * 1024 * 1024
"""Bytes read of a file: a thousand sessions are two MiB."""


def write_entries(path: str | os.PathLike[str], entries: Iterable[Entry]) -> None:
    """Replace the file at *path*.

    There is always the old file or the new one, readable by its owner alone.

    :raises OSError: when it cannot be written.
    """
    path = Path(path)
    document = {
        "version": _VERSION,
        "sessions": [
            [name, port, settings, *map(_as_text, ders)]
            for name, port, settings, *ders in entries
        ],
    }
    # A name of its own for each thread: one that came in between would have its file
    # put in place by the other when only half of it is written.
    new = path.with_name(f"{path.name}.{os.getpid()}-{get_ident()}.new")
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
        with suppress(FileNotFoundError):
            new.unlink()  # of one with our numbers that did not live to rename it
        with os.fdopen(os.open(new, flags, 0o600), "w") as file:
            json.dump(document, file)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except OSError:
        new.unlink(missing_ok=True)
        raise


def read_entries(path: str | os.PathLike[str]) -> list[Entry]:
    """Return what is in the file at *path*.

    Empty when there is no file; and, after a warning, when it is not as we write it.
    """
    try:
        return _entries_in(_read(path))
    except FileNotFoundError:
        return []
    except OSError as error:
        reason = str(error.strerror)
    except (ValueError, TypeError, KeyError, RecursionError):
        reason = "it is not a file of TLS sessions as this version writes it"
    _log.warn(
        "TLS sessions in {path} are ignored: {reason}", path=str(path), reason=reason
    )
    return []


def _read(path: str | os.PathLike[str]) -> str:
    with open(path, opener=_open_carefully) as file:  # Path.open has no opener
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode) or found.st_size > _MAX_SIZE:
            raise ValueError("no file of sessions")
        if os.name == "posix":
            # Who can read it can read what is sent; who can write it, do worse.
            if found.st_mode & 0o077:
                raise PermissionError(0, "others than its owner may read it")
            if found.st_uid != os.geteuid():
                raise PermissionError(0, "it belongs to another user")
        return file.read()


def _open_carefully(path: str, flags: int) -> int:
    # A link may lead anywhere; a FIFO would wait for a writer.
    flags |= getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    return os.open(path, flags)


def _entries_in(text: str) -> list[Entry]:
    document: Any = json.loads(text)
    if document["version"] != _VERSION:
        raise ValueError("another version")
    entries: list[Entry] = []
    for name, port, settings, *ders in document["sessions"]:
        if not (
            isinstance(name, str)
            and isinstance(port, int)
            and isinstance(settings, str)
        ):
            raise TypeError("a key of other types")
        der, certificate = (base64.b64decode(part, validate=True) for part in ders)
        entries.append((name, port, settings, der, certificate))
    return entries


def _as_text(der: bytes) -> str:
    return base64.b64encode(der).decode("ascii")
