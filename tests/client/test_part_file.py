"""A file that has its name only when it is complete, and leaves nothing otherwise."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Any

from httpx_tw.client.part_file import PartFile
from tests.own_directory import OwnDirectoryCase


class Full:
    """A file on a disk that has no room."""

    def __init__(self, file: Any, *, says_so_when_closed: bool) -> None:
        self.file = file
        self.says_so_when_closed = says_so_when_closed

    def writelines(self, pieces: Any) -> None:
        if not self.says_so_when_closed:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.file.writelines(pieces)

    def close(self) -> None:
        self.file.close()
        if self.says_so_when_closed:
            raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))


class PartFiles(OwnDirectoryCase):
    def names(self) -> list[str]:
        return sorted(path.name for path in Path().iterdir())

    def begun(self, path: Any = "file") -> PartFile:
        file = PartFile(path)
        file.open()
        return file

    def test_it_has_its_name_when_it_is_finished(self) -> None:
        file = self.begun(Path("file"))
        file.write([b"a", b"b"])
        self.assertNotIn("file", self.names())
        self.assertEqual(len(self.names()), 1)
        file.finish([b"c"])
        self.assertEqual(self.names(), ["file"])
        self.assertEqual(Path("file").read_bytes(), b"abc")
        file.discard()  # there is nothing to discard
        self.assertEqual(self.names(), ["file"])

    def test_what_was_there_stays_until_then(self) -> None:
        Path("file").write_bytes(b"old")
        file = self.begun()
        file.write([b"new"])
        self.assertEqual(Path("file").read_bytes(), b"old")
        file.discard()
        self.assertEqual(self.names(), ["file"])
        file = self.begun()
        file.finish([b"new"])
        self.assertEqual(Path("file").read_bytes(), b"new")

    def test_discarded_before_it_was_begun_nothing_happens(self) -> None:
        PartFile("file").discard()
        self.assertEqual(self.names(), [])

    def test_the_longest_name_is_not_too_long(self) -> None:
        name = "x" * 255
        self.begun(name).finish([])
        self.assertEqual(self.names(), [name])

    def test_its_mode_is_that_of_any_new_file(self) -> None:
        before = os.umask(0o027)
        try:
            self.begun().finish([])
        finally:
            os.umask(before)
        self.assertEqual(stat.S_IMODE(Path("file").stat().st_mode), 0o640)

    def test_a_link_is_followed(self) -> None:
        Path("there").mkdir()
        Path("link").symlink_to("there/file")
        self.begun("link").finish([b"x"])
        self.assertTrue(Path("link").is_symlink())
        self.assertTrue(Path("there/file").is_file())

    def test_what_is_no_file_is_not_replaced(self) -> None:
        Path("directory").mkdir()
        os.mkfifo("pipe")
        for name, kind in (
            ("directory", IsADirectoryError),
            ("pipe", FileExistsError),
            ("/dev/null", FileExistsError),
            ("absent/file", FileNotFoundError),
            ("", OSError),
            ("x" * 256, OSError),
        ):
            with self.subTest(name):
                error = self.assertRaises(kind, PartFile(name).open)
                self.assertEqual(error.filename, name)
        self.assertEqual(self.names(), ["directory", "pipe"])

    def test_a_full_disk_is_named_with_the_file(self) -> None:
        for late in (False, True):
            file = self.begun()
            file._file = Full(file._file, says_so_when_closed=late)  # type: ignore[assignment]  # enough of one
            error = self.assertRaises(OSError, file.finish, [b"x"])
            self.assertIn(error.errno, (errno.ENOSPC, errno.EDQUOT))
            self.assertEqual(error.filename, "file")
            file.discard()
            self.assertEqual(self.names(), [])

    def test_discarding_never_fails(self) -> None:
        file = self.begun()
        for name in self.names():
            Path(name).unlink()
        file.discard()
