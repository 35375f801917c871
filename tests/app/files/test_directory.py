"""Nothing outside a directory can be had through it."""

from __future__ import annotations

import contextlib
import errno
import os
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.app.files import directory as module
from httpx_tw.app.files.directory import Directory, IsDirectory
from httpx_tw.errors import ConfigurationError, HTTPError
from tests.app.files.trees import IGNORES_MODES, is_open, make_tree, put


class Opening(SynchronousTestCase):
    can_walk = True

    def setUp(self) -> None:
        self.public = make_tree(self)
        if not self.can_walk:
            self.patch(module, "_CAN_WALK", False)

    def content(self, path: str, **options: Any) -> bytes | int:
        """Return what is in the file, or the status of the refusal."""
        try:
            return Directory(self.public, **options).open(path).read(0, 99)
        except HTTPError as error:
            return error.status

    def test_files_are_opened_by_their_paths(self) -> None:
        self.assertEqual(self.content("a.txt"), b"hello")
        self.assertEqual(self.content("sub/deep/c.txt"), b"deeper")

    def test_what_leads_out_or_is_hidden_is_not_there(self) -> None:
        for path in (
            "",
            "gone",
            "../secret.txt",
            "sub/../../secret.txt",
            "sub/../a.txt",
            "./a.txt",
            "/a.txt",
            "sub//b.txt",
            "a.txt/",
            "a.txt/x",
            "..\\secret.txt",
            "sub\\b.txt",
            "a.txt\0.png",
            ".hidden",
            ".git/config",
            "fifo",
            "x" * 5000,
            "\udc80",
            "out.txt",
            "up/secret.txt",
            "loop",
            "nowhere",
        ):
            for follow_links in (False, True):
                found = self.content(path, follow_links=follow_links)
                self.assertEqual(found, 404, (path, follow_links))

    def test_links_are_followed_where_that_is_wanted_and_they_stay_inside(self) -> None:
        for path, content in (
            ("inside.txt", b"below"),
            ("to-sub/b.txt", b"below"),
            ("to-itself/a.txt", b"hello"),
        ):
            self.assertEqual(self.content(path), 404)
            self.assertEqual(self.content(path, follow_links=True), content)

    def test_a_link_does_not_lead_to_what_is_hidden(self) -> None:
        self.assertEqual(self.content("to-hidden", follow_links=True), 404)

    def test_dot_files_are_given_where_that_is_wanted(self) -> None:
        self.assertEqual(self.content(".hidden", dot_files=True), b"hidden")
        self.assertEqual(self.content(".git/config", dot_files=True), b"hidden")
        self.assertEqual(self.content("..", dot_files=True), 404)
        self.assertEqual(self.content("../secret.txt", dot_files=True), 404)

    def test_a_directory_says_that_it_is_one(self) -> None:
        for options in ({}, {"follow_links": True}):
            directory = Directory(self.public, **options)
            self.assertRaises(IsDirectory, directory.open, "sub")

    def test_a_directory_behind_a_link_says_so_too(self) -> None:
        followed = Directory(self.public, follow_links=True)
        self.assertRaises(IsDirectory, followed.open, "to-itself")

    def test_the_directory_itself_may_be_a_link_to_another_each_time(self) -> None:
        link = self.public.parent / "current"
        link.symlink_to(self.public)
        directory = Directory(link)
        self.assertEqual(directory.open("a.txt").read(0, 9), b"hello")
        put(self.public.parent / "next" / "a.txt", b"new")
        link.unlink()
        link.symlink_to("next")
        self.assertEqual(directory.open("a.txt").read(0, 9), b"new")

    def test_what_may_not_be_read_is_forbidden(self) -> None:
        (self.public / "a.txt").chmod(0)
        if not IGNORES_MODES:
            self.assertEqual(self.content("a.txt"), 403)
        self.refuse(errno.EACCES)
        self.assertEqual(self.content("sub/b.txt"), 403)

    def test_no_descriptor_left_is_for_later(self) -> None:
        self.refuse(errno.EMFILE)
        self.assertEqual(self.content("a.txt"), 503)

    def test_a_disk_that_fails_is_no_ones_request(self) -> None:
        directory = Directory(self.public)
        self.refuse(errno.EIO)
        self.assertRaises(OSError, directory.open, "a.txt")

    def refuse(self, number: int) -> None:
        def refused(*_: Any, **__: Any) -> int:
            raise OSError(number, os.strerror(number))

        self.patch(module.os, "open", refused)  # type: ignore[attr-defined]  # the module's os

    def test_it_leaves_nothing_open(self) -> None:
        before = [fd for fd in range(1024) if is_open(fd)]
        for path in (
            "sub/deep/c.txt",
            "sub/deep/gone",
            "gone/x",
            "sub",
            "fifo",
            "out.txt",
        ):
            for follow_links in (False, True):
                with contextlib.suppress(IsDirectory):
                    self.content(path, follow_links=follow_links)
        self.assertEqual([fd for fd in range(1024) if is_open(fd)], before)

    def test_what_cannot_be_read_is_refused_at_once(self) -> None:
        for path in (self.public / "gone", self.public / "a.txt"):
            self.assertRaises(ConfigurationError, Directory, path)

    def test_a_relative_path_stays_what_it_was(self) -> None:
        before = os.getcwd()  # noqa: PTH109
        os.chdir(self.public.parent)
        self.addCleanup(os.chdir, before)
        directory = Directory("public")
        os.chdir("/")
        self.assertEqual(directory.open("a.txt").read(0, 9), b"hello")


class OpeningWithoutWalking(Opening):
    """The same where no path can be walked: Windows."""

    can_walk = False


class Hostile(SynchronousTestCase):
    def test_no_path_leads_to_the_secret(self) -> None:
        public = make_tree(self)
        directories = [
            Directory(public),
            Directory(public, dot_files=True),
            Directory(public, follow_links=True, dot_files=True),
        ]

        @given(
            st.lists(
                st.sampled_from(
                    ["..", ".", "", "up", "sub", "secret.txt", "out.txt", "to-itself"]
                )
                | st.text("./\\ab%\0~: ", max_size=4),
                max_size=6,
            )
        )
        def check(parts: list[str]) -> None:
            for directory in directories:
                with contextlib.suppress(IsDirectory, HTTPError):
                    found = directory.open("/".join(parts)).read(0, 99)
                    self.assertNotEqual(found, b"secret")

        check()


class Windows(SynchronousTestCase):
    def test_its_devices_streams_and_endings_are_not_there(self) -> None:
        directory = Directory(make_tree(self))
        directory._is_windows = True
        for name in ("NUL", "con.txt", "Com1", "a.txt:stream", "c:", "a.txt.", "a "):
            self.assertFalse(directory._may_give(name), name)
        self.assertTrue(directory._may_give("console.txt"))


class Listing(SynchronousTestCase):
    def setUp(self) -> None:
        self.public = make_tree(self)

    def names(self, path: str = "", **options: Any) -> list[str]:
        return [e.name for e in Directory(self.public, **options).entries(path)]

    def test_it_has_what_may_be_had(self) -> None:
        self.assertEqual(self.names(), ["a.txt", "sub"])
        self.assertEqual(self.names("sub"), ["b.txt", "deep"])
        self.assertEqual(
            self.names(dot_files=True), [".git", ".hidden", "a.txt", "sub"]
        )

    def test_links_are_in_it_where_they_are_followed(self) -> None:
        found = self.names(follow_links=True)
        self.assertIn("inside.txt", found)
        self.assertNotIn("nowhere", found)
        self.assertNotIn("out.txt", found)  # not even how large it is

    def test_each_entry_says_what_it_is(self) -> None:
        directory, file = Directory(self.public).entries("sub")[::-1]
        self.assertEqual((file.name, file.is_directory, file.size), ("b.txt", False, 5))
        self.assertTrue(directory.is_directory)

    def test_a_name_that_no_url_can_have_is_left_out(self) -> None:
        (self.public / "\udc80").write_bytes(b"")
        self.assertEqual(self.names(), ["a.txt", "sub"])

    def test_what_is_no_directory_is_not_found(self) -> None:
        for path in ("a.txt", "gone", "..", ".git", "up"):
            with self.assertRaises(HTTPError) as caught:
                self.names(path)
            self.assertEqual(caught.exception.status, 404)

    def test_without_walking_it_is_the_same(self) -> None:
        self.patch(module, "_CAN_WALK", False)
        self.assertEqual(self.names(), ["a.txt", "sub"])
        self.assertEqual(self.names("sub"), ["b.txt", "deep"])
        self.assertRaises(HTTPError, self.names, "gone")
