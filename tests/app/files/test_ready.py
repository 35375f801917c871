"""What is made beforehand says what a Response of it says."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.app.files.body import FileBody
from httpx_tw.app.files.opened import OpenFile
from httpx_tw.app.files.ready import ReadyFile
from httpx_tw.app.response import to_response
from tests.app.files.trees import make_tree


class Ready(SynchronousTestCase):
    def setUp(self) -> None:
        file = OpenFile.at(make_tree(self) / "a.txt")
        self.ready = ReadyFile(file, [(b"content-type", b"text/plain"), *file.fields()])
        self.addCleanup(file.close)

    def test_its_lines_are_the_fields_and_the_length(self) -> None:
        lines = self.ready.lines.decode().split("\r\n")
        self.assertEqual(lines[0], "content-type: text/plain")
        self.assertTrue(lines[1].startswith('etag: "'))
        self.assertEqual(lines[-3:], ["content-length: 5", "", ""])

    def test_it_may_be_returned_like_a_response(self) -> None:
        for _ in range(2):  # it is used again, and must not have changed
            response = to_response(self.ready)
            assert isinstance(response.body, FileBody)
            self.assertEqual(list(response.body), [b"hello"])
            self.assertEqual(response.content_length, 5)
            self.assertEqual(response.headers["content-type"], "text/plain")
            response.headers.set("Content-Type", "changed")
