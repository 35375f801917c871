"""Tests of the tree of exceptions."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from httpx_tw import errors


class TreeTests(SynchronousTestCase):
    def exceptions(self) -> list[type[errors.HTTPXError]]:
        return [getattr(errors, name) for name in errors.__all__]

    def test_everything_comes_from_one_root(self) -> None:
        for exception in self.exceptions():
            self.assertTrue(issubclass(exception, errors.HTTPXError), exception)

    def test_every_exception_has_its_place_in_the_tree_that_is_shown(self) -> None:
        shown = errors.__doc__ or ""
        for exception in self.exceptions():
            (line,) = [
                line
                for line in shown.splitlines()
                if exception.__name__ in line.replace("(", " ").split()
            ]
            own = [b for b in exception.__mro__[1:] if b.__name__ in errors.__all__]
            self.assertEqual(line.index(exception.__name__), 4 + 5 * len(own))

    def test_every_exception_says_what_it_is_for(self) -> None:
        for exception in self.exceptions():
            self.assertTrue(exception.__doc__)

    def test_blame_is_local_or_remote_and_never_both(self) -> None:
        local, remote = errors.LocalProtocolError, errors.RemoteProtocolError
        self.assertFalse(issubclass(local, remote) or issubclass(remote, local))

    def test_standard_exceptions_catch_what_they_should(self) -> None:
        self.assertTrue(issubclass(errors.ConfigurationError, ValueError))
        self.assertTrue(issubclass(errors.InvalidHeader, ValueError))
        self.assertTrue(issubclass(errors.NoSuchRoute, LookupError))


class StatusTests(SynchronousTestCase):
    def test_remote_errors_carry_what_to_answer(self) -> None:
        self.assertEqual(errors.RemoteProtocolError("no").status, 400)
        self.assertEqual(errors.RemoteProtocolError("no", 501).status, 501)
        self.assertEqual(errors.HeadTooLarge("no", 431).status, 431)
        self.assertEqual(errors.BodyTooLarge("no").status, 413)
        self.assertEqual(errors.IncompleteMessage("no").status, 400)
        self.assertEqual(
            str(errors.BodyTooLarge("6 bytes, limit 5")), "6 bytes, limit 5"
        )

    def test_http_error_is_a_status_with_or_without_a_message(self) -> None:
        error = errors.HTTPError(404)
        self.assertEqual((error.status, error.message, error.headers), (404, None, ()))
        self.assertEqual(str(error), "404")
        error = errors.HTTPError(429, "later", (("Retry-After", "5"),))
        self.assertEqual(error.headers, (("Retry-After", "5"),))
        self.assertEqual(str(error), "429: later")
