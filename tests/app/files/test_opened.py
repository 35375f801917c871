"""What is found out about a file when it is opened, and when it is closed again."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.app.files import opened as module
from httpx_tw.app.files.opened import OPEN_FLAGS, OpenFile, is_cached
from httpx_tw.errors import HTTPError
from tests.app.files.trees import LONG_AGO, is_open, make_tree, put


class OpenFiles(SynchronousTestCase):
    def setUp(self) -> None:
        self.public = make_tree(self)
        self.path = self.public / "a.txt"

    def test_it_says_what_fstat_said(self) -> None:
        file = OpenFile.at(self.path)
        self.assertEqual((file.size, file.modified), (5, LONG_AGO * 10**9))
        self.assertEqual(file.name, str(self.path))
        self.assertEqual(
            file.fields(),
            [
                (b"etag", b'"ae1b4d2eb9e3a00-5"'.replace(
                    b"ae1b4d2eb9e3a00", b"%x" % (LONG_AGO * 10**9)
                )),
                (b"last-modified", b"Sun, 06 Nov 1994 08:49:37 GMT"),
            ],
        )  # fmt: skip

    def test_it_is_closed_with_the_last_reference(self) -> None:
        file = OpenFile.at(self.path)
        other, fd = file, file.fd
        del file
        self.assertTrue(is_open(fd))
        del other
        self.assertFalse(is_open(fd))

    def test_it_is_closed_once(self) -> None:
        file = OpenFile.at(self.path)
        file.close()
        again = os.open(self.path, os.O_RDONLY)
        file.close()
        del file
        self.assertTrue(is_open(again))
        os.close(again)

    def test_an_owner_is_closed_in_its_place(self) -> None:
        with self.path.open("rb") as owner:
            file = OpenFile(owner.fileno(), owner=owner)
            del file
            self.assertTrue(owner.closed)

    def test_what_is_no_file_is_not_found(self) -> None:
        for name in ("gone", "sub", "a.txt/x", "fifo"):
            with self.assertRaises(HTTPError) as caught:
                OpenFile.at(self.public / name)
            self.assertEqual(caught.exception.status, 404)
        with self.assertRaises(HTTPError):
            OpenFile.at(os.devnull)

    def test_what_is_refused_is_closed(self) -> None:
        fd, other = os.pipe()
        self.addCleanup(os.close, other)
        self.assertRaises(HTTPError, OpenFile, fd)
        self.assertFalse(is_open(fd))

    def test_other_errors_are_the_callers(self) -> None:
        self.assertRaises(OSError, OpenFile.at, self.public / "loop")

    def test_reading_moves_no_position(self) -> None:
        file = OpenFile.at(self.path)
        self.assertEqual([file.read(1, 3), file.read(1, 3)], [b"ell", b"ell"])
        self.assertEqual(file.read(5, 3), b"")
        self.patch(module, "_has_pread", False)
        self.assertEqual([file.read(1, 3), file.read(0, 9)], [b"ell", b"hello"])

    def test_content_is_read_once_and_the_descriptor_closed(self) -> None:
        file = OpenFile.at(self.path)
        self.assertTrue(file.read_content())
        self.assertEqual((file.content, file.fd), (b"hello", -1))
        self.path.write_bytes(b"other")
        self.assertEqual(file.read(1, 2), b"el")

    def test_content_that_is_being_cut_off_is_not_kept(self) -> None:
        file = OpenFile.at(self.path)
        os.truncate(self.path, 2)
        self.assertFalse(file.read_content())
        self.assertIsNone(file.content)

    def test_content_that_would_wait_for_a_disk_is_not_read(self) -> None:
        file = OpenFile.at(self.path)
        self.patch(module, "is_cached", lambda *_: False)
        self.assertFalse(file.read_content())


class Validators(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = make_tree(self) / "new.txt"

    def etag(self, **options: str) -> str:
        fd = os.open(self.path, OPEN_FLAGS)
        etag = OpenFile(fd, **options).validators.etag
        assert etag is not None
        return etag

    def test_a_file_just_written_is_weak_for_it_may_be_written_again(self) -> None:
        put(self.path, b"x", time.time())
        self.assertTrue(self.etag().startswith('W/"'))
        self.assertFalse(OpenFile.at(self.path).validators.date_is_strong)
        put(self.path, b"x", time.time() - 3)
        self.assertTrue(self.etag().startswith('"'))
        self.assertTrue(OpenFile.at(self.path).validators.date_is_strong)

    def test_a_date_to_come_is_not_given_away(self) -> None:
        put(self.path, b"x", time.time() + 9999)
        validators = OpenFile.at(self.path).validators
        assert validators.last_modified is not None
        self.assertLessEqual(validators.last_modified, time.time())
        self.assertFalse(validators.date_is_strong)

    def test_it_differs_by_size_time_and_tag(self) -> None:
        put(self.path, b"x")
        first = self.etag()
        self.assertEqual(self.etag(), first)
        found = {first, self.etag(tag="-gzip")}
        put(self.path, b"xx")
        found.add(self.etag())
        put(self.path, b"x", LONG_AGO + 1)
        found.add(self.etag())
        os.utime(self.path, ns=(0, LONG_AGO * 10**9 + 100))  # the ticks of Windows
        found.add(self.etag())
        self.assertEqual(len(found), 5)


class Cached(SynchronousTestCase):
    def test_where_the_kernel_does_not_say_it_is(self) -> None:
        read, write = os.pipe()
        self.assertTrue(is_cached(read, 0, 1))  # ESPIPE
        os.close(read)
        os.close(write)
        self.patch(module, "_NOWAIT", 0)
        self.assertTrue(is_cached(-1, 0, 1))

    def test_nothing_is(self) -> None:
        self.assertTrue(is_cached(-1, 0, 0))

    def test_what_was_dropped_from_the_cache_is_not(self) -> None:
        if not module._NOWAIT or not hasattr(os, "posix_fadvise"):
            self.skipTest("this kernel does not tell")
        with tempfile.NamedTemporaryFile(dir=Path(__file__).parent) as file:
            file.write(bytes(1 << 20))
            file.flush()
            os.fsync(file.fileno())
            fd = file.fileno()
            self.assertTrue(is_cached(fd, 0, 1 << 20))
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            if is_cached(fd, 0, 1 << 20):
                self.skipTest("this file system lives in memory")

    def test_what_is_missing_at_its_end_is_not(self) -> None:
        if not module._NOWAIT:
            self.skipTest("this kernel does not tell")

        def preadv(fd: int, buffers: object, offset: int, flags: int) -> int:
            if offset >= 100:
                raise BlockingIOError
            return 1

        self.patch(os, "preadv", preadv)
        self.assertTrue(is_cached(0, 0, 100))
        self.assertFalse(is_cached(0, 0, 101))
