"""What is kept, what replaces it, and what leaves first."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.app.files.cache import FileCache, Resource
from httpx_tw.app.files.opened import OpenFile
from httpx_tw.app.files.ready import ReadyFile
from tests.app.files.trees import make_tree, put

if TYPE_CHECKING:
    from collections.abc import Iterable


class Cache(SynchronousTestCase):
    def setUp(self) -> None:
        self.public = make_tree(self)
        self.cache = FileCache(max_resources=4, max_open=2)
        self.addCleanup(self.cache.clear)

    def resource(self, *, in_memory: bool = False, name: str = "a.txt") -> Resource:
        file = OpenFile.at(self.public / name)
        if in_memory:
            self.assertTrue(file.read_content())
        return Resource(ReadyFile(file, file.fields()))

    def kept(self, names: Iterable[str]) -> str:
        return "".join(name for name in names if self.cache.get(name) is not None)

    def test_what_was_put_is_here_until_it_is_forgotten(self) -> None:
        self.assertIsNone(self.cache.get("a"))
        resource = self.resource()
        self.assertIs(self.cache.checked("a", resource, 5.0), resource)
        self.assertIs(self.cache.get("a"), resource)
        self.assertEqual(resource.checked_at, 5.0)
        self.cache.forget("a")
        self.cache.forget("a")
        self.assertEqual(len(self.cache), 0)

    def test_the_same_file_in_the_same_state_stays_what_it_was(self) -> None:
        before = self.cache.checked("a", self.resource(), 1.0)
        self.assertIs(self.cache.checked("a", self.resource(), 2.0), before)
        self.assertEqual(before.checked_at, 2.0)

    def test_another_state_replaces_it(self) -> None:
        before = self.cache.checked("a", self.resource(), 1.0)
        put(self.public / "a.txt", b"jello", 1)
        after = self.cache.checked("a", self.resource(), 2.0)
        self.assertIsNot(after, before)
        self.assertIs(self.cache.get("a"), after)

    def test_another_coding_replaces_it_too(self) -> None:
        coded = self.resource()
        coded.coded["gzip"] = coded.plain
        before = self.cache.checked("a", self.resource(), 1.0)
        self.assertIs(self.cache.checked("a", coded, 2.0), coded)
        again = self.resource()
        again.coded["gzip"] = ReadyFile(OpenFile.at(self.public / "a.txt"), [])
        self.assertIs(self.cache.checked("a", again, 3.0), coded)
        again = self.resource()
        again.coded["gzip"] = self.resource(name="sub/b.txt").plain
        self.assertIs(self.cache.checked("a", again, 4.0), again)
        self.assertIsNot(self.cache.checked("a", self.resource(), 5.0), before)

    def test_what_could_not_be_read_then_may_be_in_memory_now(self) -> None:
        self.cache.checked("a", self.resource(), 1.0)
        after = self.resource(in_memory=True)
        self.assertIs(self.cache.checked("a", after, 2.0), after)
        self.assertIs(self.cache.checked("a", self.resource(), 3.0), after)

    def test_those_checked_least_recently_leave_first(self) -> None:
        for name in "abcd":
            self.cache.checked(name, self.resource(in_memory=True), 1.0)
        self.cache.checked("a", self.resource(in_memory=True), 2.0)
        self.cache.checked("e", self.resource(in_memory=True), 3.0)
        self.assertEqual(self.kept("abcde"), "acde")

    def test_few_may_be_open(self) -> None:
        for name in "ab":
            self.cache.checked(name, self.resource(), 1.0)
        self.cache.checked("m", self.resource(in_memory=True), 1.0)
        self.cache.checked("c", self.resource(), 1.0)
        self.assertEqual(self.kept("abmc"), "bmc")
        self.cache.checked("b", self.resource(), 2.0)
        self.cache.checked("d", self.resource(), 2.0)
        self.assertEqual(self.kept("abmcd"), "bmd")

    def test_what_leaves_is_closed_when_nobody_sends_it(self) -> None:
        fd = self.cache.checked("a", self.resource(), 1.0).plain.file.fd
        sending = self.cache.get("a")
        self.cache.clear()
        os.fstat(fd)
        del sending
        self.assertRaises(OSError, os.fstat, fd)
