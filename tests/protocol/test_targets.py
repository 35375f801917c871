"""Tests of request targets: their forms, and what they name."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.errors import RemoteProtocolError
from httpx_tw.protocol.targets import check_authority, check_target, origin_form


class TargetTests(SynchronousTestCase):
    """That each is refused in a request is tested with the parser."""

    def test_origin_form_is_path_and_query(self) -> None:
        for target, expected in (
            ("http://a", "/"),
            ("http://a/", "/"),
            ("http://a/b?c", "/b?c"),
            ("http://a?b/c", "/?b/c"),
            ("http://a/b?c=http://d", "/b?c=http://d"),
            ("*", "*"),
            ("a:443", "a:443"),
        ):
            self.assertEqual(origin_form(target), expected)

    def test_a_target_that_fits_its_method_is_let_through(self) -> None:
        check_target("OPTIONS", "*")
        check_target("GET", "http://a/b?c")
        check_target("CONNECT", "a:443")
        check_authority("[::1]:443")

    def test_one_that_does_not_is_refused(self) -> None:
        for method, target in (("GET", "*"), ("GET", "/a#b"), ("GET", "a")):
            self.assertRaises(RemoteProtocolError, check_target, method, target)
        self.assertRaises(RemoteProtocolError, check_authority, "/")
