"""Which file objects can be sent by their descriptor, and which only pretend to."""

from __future__ import annotations

import gzip
import io
import os
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.app.files.on_disk import descriptor_of


class Descriptors(SynchronousTestCase):
    def setUp(self) -> None:
        Path("file").write_bytes(b"hello")

    def opened(self, *args: Any, **options: Any) -> Any:
        file = Path("file").open(*args, **options)  # noqa: SIM115  # closed behind the test
        self.addCleanup(file.close)
        return file

    def test_what_open_returns_for_bytes_has_one(self) -> None:
        for file in (
            self.opened("rb"),
            self.opened("rb", buffering=0),
            self.opened("r+b"),
        ):
            self.assertEqual(descriptor_of(file), file.fileno())

    def test_temporary_files_have_one(self) -> None:
        with tempfile.NamedTemporaryFile() as named, tempfile.TemporaryFile() as file:
            for each in (named, file):
                each.write(b"held in the buffer")
                fd = descriptor_of(each)
                self.assertEqual(fd, each.fileno())
                assert fd is not None
                os.lseek(fd, 0, os.SEEK_SET)
                self.assertEqual(os.read(fd, 99), b"held in the buffer")

    def test_what_unpacks_has_that_of_the_packed_file_and_is_read(self) -> None:
        with gzip.open("packed", "wb") as packed:
            packed.write(b"hello" * 100)
        with gzip.open("packed") as unpacking:
            self.assertIsInstance(unpacking.fileno(), int)
            self.assertIsNone(descriptor_of(unpacking))
            buffered = io.BufferedReader(unpacking)
            self.assertIsNone(descriptor_of(buffered))
        with zipfile.ZipFile("zip", "w") as archive:
            archive.writestr("a", b"hello")
        with zipfile.ZipFile("zip") as archive, archive.open("a") as member:
            self.assertIsNone(descriptor_of(member))

    def test_a_class_of_its_own_may_read_in_its_own_way(self) -> None:
        class Upper(io.FileIO):
            def readinto(self, buffer: Any) -> int:
                count = super().readinto(buffer)
                buffer[:count] = bytes(buffer[:count]).upper()
                return count

        class Reader(io.BufferedReader):
            pass

        with Upper("file") as upper, io.BufferedReader(Upper("file")) as buffered:
            self.assertIsNone(descriptor_of(upper))
            self.assertIsNone(descriptor_of(buffered))
        with Reader(io.FileIO("file")) as reader:
            self.assertIsNone(descriptor_of(reader))

    def test_what_is_no_binary_file_has_none(self) -> None:
        for file in (io.BytesIO(b"x"), io.StringIO("x"), self.opened(), object()):
            self.assertIsNone(descriptor_of(file))
        with tempfile.SpooledTemporaryFile() as spooled:
            self.assertIsNone(descriptor_of(spooled))

    def test_what_is_no_regular_file_has_none(self) -> None:
        ours, theirs = os.pipe()
        os.close(theirs)
        with os.fdopen(ours, "rb") as pipe:
            self.assertIsNone(descriptor_of(pipe))

    def test_what_cannot_be_read_has_none(self) -> None:
        self.assertIsNone(descriptor_of(self.opened("ab", buffering=0)))
        for mode in ("rb", "r+b"):
            file = self.opened(mode)
            file.close()
            self.assertIsNone(descriptor_of(file))
