"""Credentials that are sent as they are."""

from __future__ import annotations

import os
import stat
from base64 import b64decode
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.client.authentication import (
    AuthRequest,
    BasicAuth,
    BearerAuth,
    NetrcAuth,
    auth_from,
    basic_credentials,
)
from httpx_tw.client.urls import parse_url
from httpx_tw.errors import ConfigurationError
from httpx_tw.headers import checked_value

REQUEST = AuthRequest("GET", parse_url("https://a.example/"))


class BasicTests(SynchronousTestCase):
    def test_it_is_user_and_password_in_base64(self) -> None:
        # RFC 7617 sections 2 and 2.1.
        self.assertEqual(
            BasicAuth("Aladdin", "open sesame").apply(REQUEST),
            [("Authorization", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==")],
        )
        self.assertEqual(
            basic_credentials("test", "123\u00a3"), "Basic dGVzdDoxMjPCow=="
        )

    def test_empty_ones_are_credentials_too(self) -> None:
        self.assertEqual(basic_credentials("", ""), "Basic Og==")

    def test_what_could_not_be_read_back_is_refused(self) -> None:
        for username, password in (
            ("a:b", ""),
            ("a\n", ""),
            ("a", "\x00"),
            ("a", "\x7f"),
            ("\ud800", ""),
        ):
            self.assertRaises(ConfigurationError, BasicAuth, username, password)

    @given(st.text(), st.text())
    def test_what_is_sent_is_read_back(self, username: str, password: str) -> None:
        try:
            credentials = basic_credentials(username, password)
        except ConfigurationError:
            return
        checked_value(credentials)
        pair = b64decode(credentials.removeprefix("Basic ")).decode()
        self.assertEqual(pair.partition(":"), (username, ":", password))


class BearerTests(SynchronousTestCase):
    def test_it_is_the_token(self) -> None:
        self.assertEqual(
            BearerAuth("mF_9.B5f-4.1JqM==").apply(REQUEST),
            [("Authorization", "Bearer mF_9.B5f-4.1JqM==")],
        )

    def test_what_is_no_token_is_refused(self) -> None:
        for token in ("", "a b", "a\r\nX: y", "\u00e9", " a"):
            self.assertRaises(ConfigurationError, BearerAuth, token)


class ConstantTests(SynchronousTestCase):
    def test_a_refusal_is_not_answered_with_the_same(self) -> None:
        for auth in (BasicAuth("a", "b"), BearerAuth("a")):
            challenge = ['Basic realm="x"']
            self.assertFalse(auth.challenged(REQUEST, "Basic x", 401, challenge))

    def test_no_repr_shows_a_secret(self) -> None:
        self.assertEqual(repr(BasicAuth("a", "secret")), "<BasicAuth>")
        self.assertEqual(repr(BearerAuth("secret")), "<BearerAuth>")


class AuthFromTests(SynchronousTestCase):
    def test_a_pair_is_basic(self) -> None:
        auth = auth_from(("a", "b"))
        assert auth is not None
        self.assertEqual(auth.apply(REQUEST), BasicAuth("a", "b").apply(REQUEST))

    def test_an_auth_is_itself_and_none_is_none(self) -> None:
        auth = BearerAuth("x")
        self.assertIs(auth_from(auth), auth)
        self.assertIsNone(auth_from(None))

    def test_anything_else_is_refused(self) -> None:
        for other in (
            "a:b",
            ("a",),
            ("a", 1),
            ("a", "b", "c"),
            ["a", "b"],
            1,
            object(),
        ):
            self.assertRaises(ConfigurationError, auth_from, other)


class NetrcTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = Path("netrc")

    def auth(self, text: str) -> NetrcAuth:
        self.path.write_text(text)
        return NetrcAuth(self.path)

    def applied(self, auth: NetrcAuth, url: str) -> Any:
        return auth.apply(AuthRequest("GET", parse_url(url)))

    def test_credentials_go_to_their_host_alone(self) -> None:
        auth = self.auth("machine A.example login me password secret\n")
        self.assertEqual(
            self.applied(auth, "https://a.example:8443/x"),
            [("Authorization", basic_credentials("me", "secret"))],
        )
        for other in ("https://b.example/", "https://x.a.example/", "https://a/"):
            self.assertEqual(self.applied(auth, other), [])
        self.assertFalse(auth.challenged(REQUEST, None, 401, ["Basic realm=x"]))
        self.assertEqual(repr(auth), "<NetrcAuth for 1 hosts>")

    def test_there_are_no_credentials_for_everybody(self) -> None:
        auth = self.auth("machine a login b password c\ndefault login me password x\n")
        self.assertEqual(self.applied(auth, "https://b/"), [])

    def test_half_an_entry_is_none(self) -> None:
        auth = self.auth("machine a login b\nmachine c password d\n")
        self.assertEqual(self.applied(auth, "https://a/"), [])
        self.assertEqual(self.applied(auth, "https://c/"), [])

    def test_a_file_that_is_not_there_or_makes_no_sense_is_refused(self) -> None:
        self.assertRaises(ConfigurationError, NetrcAuth, "absent")
        self.assertRaises(ConfigurationError, NetrcAuth, ".")
        self.assertRaises(ConfigurationError, self.auth, "machine\n")
        self.assertRaises(ConfigurationError, self.auth, "nonsense a\n")
        self.assertRaises(
            ConfigurationError, self.auth, "machine a login b:c password d\n"
        )
        self.path.write_bytes(b"\xff\xfe")
        self.assertRaises(ConfigurationError, NetrcAuth, self.path)

    def test_by_default_it_is_the_users_own_and_nobody_elses_to_read(self) -> None:
        home = Path.cwd()
        self.patch(os, "environ", {**os.environ, "HOME": str(home)})
        own = home / ".netrc"
        own.write_text("machine a login b password c\n")
        own.chmod(stat.S_IRUSR | stat.S_IWUSR)
        self.assertEqual(len(self.applied(NetrcAuth(), "https://a/")), 1)
        own.chmod(0o644)
        self.assertRaises(ConfigurationError, NetrcAuth)
