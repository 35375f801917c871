"""Origins: what is equal, and how they are written."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.origin import Origin


class OriginTests(SynchronousTestCase):
    def test_origins_of_equal_parts_are_one_key(self) -> None:
        found = {Origin("http", "a", 80): 1}
        self.assertEqual(found[Origin("http", "a", 80)], 1)
        for other in (
            Origin("https", "a", 80),
            Origin("http", "b", 80),
            Origin("http", "a", 81),
        ):
            self.assertNotIn(other, found)

    def test_authority_leaves_the_schemes_own_port_out(self) -> None:
        for origin, authority in (
            (Origin("http", "a.example", 80), "a.example"),
            (Origin("http", "a.example", 443), "a.example:443"),
            (Origin("https", "a.example", 443), "a.example"),
            (Origin("https", "::1", 443), "[::1]"),
            (Origin("http", "::1", 8080), "[::1]:8080"),
        ):
            self.assertEqual(origin.authority, authority)

    def test_written_it_has_its_port(self) -> None:
        self.assertEqual(str(Origin("http", "a.example", 80)), "http://a.example:80")
        self.assertEqual(str(Origin("https", "::1", 443)), "https://[::1]:443")

    def test_https_is_secure(self) -> None:
        self.assertTrue(Origin("https", "a", 80).is_secure)
        self.assertFalse(Origin("http", "a", 443).is_secure)
