"""Bodies that are too large for memory, and what is left of them."""

from __future__ import annotations

import errno
import gc
import os
import tempfile
from io import BytesIO
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.app.spool import SpooledBody


class FullDisk(BytesIO):
    """A file that takes *room* bytes, of what is buffered when it is read again."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room

    def write(self, data: Any) -> int:
        """Fail, over the room."""
        if len(data) > self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(data)

    def seek(self, *position: int) -> int:
        """Fail: something is buffered."""
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def close(self) -> None:
        """Close, and fail."""
        super().close()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class SpooledBodies(SynchronousTestCase):
    """A SpooledBody by itself."""

    def made_of(self, *pieces: bytes) -> SpooledBody:
        """Return a body that is complete."""
        body = SpooledBody()
        for piece in pieces:
            body.write(piece)
        body.complete()
        return body

    def test_it_is_read_from_its_start(self) -> None:
        body = self.made_of(b"ab", b"c")
        self.assertEqual((body.size, body.file.read()), (3, b"abc"))

    def test_the_whole_does_not_move_who_reads(self) -> None:
        body = self.made_of(b"abc")
        self.assertEqual(body.file.read(1), b"a")
        self.assertEqual((body.whole(), body.whole()), (b"abc", b"abc"))
        self.assertEqual(body.file.read(), b"bc")

    def test_the_file_is_nobody_elses_and_is_gone_with_the_body(self) -> None:
        body = self.made_of(b"abc")
        file = body.file
        if os.name == "nt":  # where it has a name as long as it is open
            self.addCleanup(lambda: self.assertFalse(Path(file.name).exists()))
        else:
            self.assertEqual(os.fstat(file.fileno()).st_nlink, 0)
        del body
        gc.collect()
        self.assertTrue(file.closed)

    def test_a_full_disk_is_an_error_and_the_file_let_go(self) -> None:
        for room, act in (
            (0, lambda body: body.write(b"abc")),
            (9, lambda body: (body.write(b"abc"), body.complete())),
        ):
            disk = FullDisk(room)
            self.patch(tempfile, "TemporaryFile", lambda disk=disk, **_: disk)
            body = SpooledBody()
            with self.assertRaises(OSError):
                act(body)
            self.assertTrue(disk.closed)
            del body  # nothing is raised, which would be printed

    def test_no_file_at_all_is_an_error_too(self) -> None:
        def fail(**_: object) -> None:
            raise OSError(errno.EMFILE, "too many")

        self.patch(tempfile, "TemporaryFile", fail)
        with self.assertRaises(OSError):
            SpooledBody()
