"""A request body collected for a plain endpoint: in memory, or in a temporary file."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from typing import BinaryIO

__all__ = ["MAX_IN_MEMORY", "SpooledBody"]

MAX_IN_MEMORY: Final = 1024 * 1024
"""Bytes of a collected body that stay in memory; a larger one goes to a file whole."""


class SpooledBody:
    """A body in a temporary file, which no crash leaves behind.

    The file is gone with this object. Written on the reactor thread (what the page
    cache takes costs 0.3 ms a MiB; a full disk is an error, not a wait), read on the
    thread of the endpoint.

    :raises OSError: when there is no room for it; so do ``write`` and ``complete``,
        which let go of the file then: the room it takes is wanted.
    """

    __slots__ = ("file", "size")

    def __init__(self) -> None:
        self.file: BinaryIO = tempfile.TemporaryFile(  # noqa: SIM115  it is closed with us
            prefix="httpx-tw-"
        )
        """At its start once the body is complete."""
        self.size = 0
        """Bytes."""

    def write(self, data: bytes) -> None:
        """Add *data* at the end."""
        try:
            self.file.write(data)
        except OSError:
            self._close()
            raise
        self.size += len(data)

    def complete(self) -> None:
        """Go back to the start: all is here."""
        try:
            self.file.seek(0)  # and write what is still buffered
        except OSError:
            self._close()
            raise

    def whole(self) -> bytes:
        """Return all of it; where reading stands stays as it is."""
        position = self.file.tell()
        self.file.seek(0)
        try:
            return self.file.read()
        finally:
            self.file.seek(position)

    def _close(self) -> None:
        # What a full disk did not take is tried again now, and may fail again; then the
        # file is closed all the same.
        with suppress(OSError):
            self.file.close()

    def __del__(self) -> None:
        # An endpoint that was given up on may read on: only when nobody has it.
        if hasattr(self, "file"):
            self._close()
