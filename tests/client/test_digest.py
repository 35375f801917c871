"""Digest: against the examples of the RFCs, and against a server that checks."""

from __future__ import annotations

import re
from hashlib import md5, sha256
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.client.authentication import AuthRequest, auth_from
from httpx_tw.client.challenges import parse_challenges
from httpx_tw.client.digest import DigestAuth
from httpx_tw.client.urls import parse_url
from httpx_tw.errors import ConfigurationError
from httpx_tw.headers import checked_value

REQUEST = AuthRequest("GET", parse_url("http://www.example.org/dir/index.html"))


def authorization(auth: DigestAuth, request: AuthRequest = REQUEST) -> str | None:
    fields = auth.apply(request)
    for name, value in fields:
        assert name == "Authorization"
        checked_value(value)
    return fields[0][1] if fields else None


def parameters(field: str | None) -> dict[str, str]:
    """Read an answer as a server does; it has the form of a challenge."""
    assert field is not None
    # RFC 8187's asterisk is a tchar, so its name is a token, too.
    (challenge,) = parse_challenges([field])
    assert challenge.scheme == "digest"
    return challenge.parameters


class ExampleTests(SynchronousTestCase):
    def answer(self, auth: DigestAuth, *challenges: str) -> dict[str, str]:
        self.assertIsNone(authorization(auth))
        self.assertTrue(auth.challenged(REQUEST, None, 401, challenges))
        return parameters(authorization(auth))

    common = (
        'realm="http-auth@example.org", qop="auth, auth-int",'
        ' nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",'
        ' opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
    )

    def auth(self) -> DigestAuth:
        cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
        return DigestAuth("Mufasa", "Circle of Life", make_cnonce=lambda: cnonce)

    def test_md5_as_in_rfc_7616(self) -> None:
        answer = self.answer(self.auth(), f"Digest {self.common}, algorithm=MD5")
        self.assertEqual(answer["response"], "8ca523f5e9506fed4657c9700eebdbec")
        self.assertEqual(answer["uri"], "/dir/index.html")
        self.assertEqual((answer["nc"], answer["qop"]), ("00000001", "auth"))
        self.assertEqual(
            answer["opaque"], "FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"
        )

    def test_sha_256_as_in_rfc_7616_and_preferred_to_md5(self) -> None:
        for order in (1, -1):
            challenges = [
                f"Digest {self.common}, algorithm={name}" for name in ("MD5", "SHA-256")
            ][::order]
            answer = self.answer(self.auth(), *challenges)
            self.assertEqual(
                answer["response"],
                "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
            )
            self.assertEqual(answer["algorithm"], "SHA-256")

    def test_md5_without_a_name_as_in_rfc_2617(self) -> None:
        auth = DigestAuth("Mufasa", "Circle Of Life", make_cnonce=lambda: "0a4f113b")
        answer = self.answer(
            auth,
            'Digest realm="testrealm@host.com", qop="auth,auth-int",'
            ' nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093"',
        )
        self.assertEqual(answer["response"], "6629fae49393a05397450978507c4ef1")
        self.assertNotIn("algorithm", answer)
        self.assertNotIn("opaque", answer)


class Server:
    """Checks answers as RFC 7616 has it, by code of its own."""

    def __init__(self, algorithm: str, qop: str, extra: str = "") -> None:
        self.algorithm = algorithm
        self.qop = qop
        self.extra = extra
        self.nonce = 0
        self.uses: dict[str, int] = {}

    def challenge(self, *, stale: str = "") -> str:
        self.nonce += 1
        fields = ['realm="r \\"1\\""', f'nonce="n{self.nonce}"']
        if self.algorithm:
            fields.append(f"algorithm={self.algorithm}")
        if self.qop:
            fields.append(f'qop="{self.qop}"')
        if stale:
            fields.append(f"stale={stale}")
        if self.extra:
            fields.append(self.extra)
        return "Digest " + ", ".join(fields)

    def accepts(self, request: AuthRequest, field: str | None, user: str) -> bool:
        given = parameters(field)
        digest = sha256 if self.algorithm.startswith("SHA-256") else md5

        def h(text: bytes) -> bytes:
            return digest(text).hexdigest().encode()

        raw = {name: value.encode("latin-1") for name, value in given.items()}
        a1 = f'{user}:r "1":pass word'.encode()
        if self.algorithm.endswith("-sess"):
            a1 = h(a1) + b":" + raw["nonce"] + b":" + raw["cnonce"]
        a2 = f"{request.method}:{request.url.target}".encode()
        if given.get("qop") == "auth-int":
            a2 += b":" + h(request.body or b"")
        if "qop" in given:
            middle = b":".join(raw[name] for name in ("nonce", "nc", "cnonce", "qop"))
            count = int(given["nc"], 16)
            if count != self.uses.get(given["nonce"], 0) + 1:
                return False
            self.uses[given["nonce"]] = count
        else:
            middle = raw["nonce"]
        return h(h(a1) + b":" + middle + b":" + h(a2)) == raw["response"]


class ConversationTests(SynchronousTestCase):
    def test_every_kind_is_answered_again_and_again(self) -> None:
        for algorithm in ("", "MD5", "MD5-sess", "SHA-256", "SHA-256-sess", "sha-256"):
            for qop in ("", "auth", "auth-int", "auth,auth-int", "x, AUTH"):
                if algorithm == "sha-256":
                    server = Server("SHA-256", qop)
                else:
                    server = Server(algorithm, qop)
                auth = DigestAuth("me", "pass word")
                request = AuthRequest("POST", parse_url("http://a/b?c=d"), b"body")
                challenge = server.challenge()
                self.assertTrue(auth.challenged(request, None, 401, [challenge]))
                for _ in range(3):
                    field = authorization(auth, request)
                    self.assertTrue(server.accepts(request, field, "me"), challenge)

    def test_each_request_has_a_cnonce_of_its_own(self) -> None:
        auth = DigestAuth("a", "b")
        auth.challenged(REQUEST, None, 401, ['Digest realm=r, nonce=n, qop="auth"'])
        cnonces = {parameters(authorization(auth))["cnonce"] for _ in range(20)}
        self.assertEqual(len(cnonces), 20)

    def test_a_name_beyond_ascii_is_sent_as_rfc_7616_has_it(self) -> None:
        server = Server("SHA-256", "auth", "charset=UTF-8")
        auth = DigestAuth("J\u00e4s\u00f8n", "pass word")
        auth.challenged(REQUEST, None, 401, [server.challenge()])
        field = authorization(auth) or ""
        self.assertIn("username*=UTF-8''J%C3%A4s%C3%B8n", field)
        field = field.replace("UTF-8''J%C3%A4s%C3%B8n", "x")
        self.assertTrue(server.accepts(REQUEST, field, "J\u00e4s\u00f8n"))

    def test_a_name_is_hashed_if_so_wanted(self) -> None:
        server = Server("SHA-256", "auth", "userhash=true")
        auth = DigestAuth("me", "pass word")
        auth.challenged(REQUEST, None, 401, [server.challenge()])
        field = authorization(auth)
        self.assertTrue(server.accepts(REQUEST, field, "me"))
        given = parameters(field)
        self.assertEqual(given["userhash"], "true")
        self.assertEqual(given["username"], sha256(b'me:r "1"').hexdigest())

    def test_latin_1_and_anything_else_without_a_charset(self) -> None:
        for user in ("\u00e9", "\u20ac", "\ud800"):
            auth = DigestAuth(user, "x")
            auth.challenged(REQUEST, None, 401, ["Digest realm=r, nonce=n"])
            self.assertIsNotNone(authorization(auth))


class NonceTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.server = Server("MD5", "auth")
        self.auth = DigestAuth("me", "pass word")
        self.challenged(None)

    def challenged(self, sent: str | None, stale: str = "", status: int = 401) -> bool:
        challenge = self.server.challenge(stale=stale)
        return self.auth.challenged(REQUEST, sent, status, [challenge])

    def test_a_nonce_that_is_too_old_is_replaced(self) -> None:
        self.assertTrue(self.challenged(authorization(self.auth), stale="TRUE"))
        self.assertEqual(parameters(authorization(self.auth))["nonce"], "n2")

    def test_also_if_the_server_does_not_say_that_it_was(self) -> None:
        authorization(self.auth)  # taken
        self.assertTrue(self.challenged(authorization(self.auth)))

    def test_a_wrong_password_is_not_tried_again(self) -> None:
        self.assertFalse(self.challenged(authorization(self.auth)))
        # And the next request begins from the beginning.
        self.assertIsNone(authorization(self.auth))
        self.assertTrue(self.challenged(None))

    def test_a_server_that_calls_its_own_nonce_stale_is_not_humoured(self) -> None:
        sent = authorization(self.auth)
        self.server.nonce = 0
        self.assertFalse(self.challenged(sent, stale="true"))

    def test_answers_on_their_way_at_once_are_all_renewed(self) -> None:
        sent = [authorization(self.auth) for _ in range(3)]
        for field in sent:
            self.assertTrue(self.challenged(field, stale="true"))

    def test_there_is_an_end_for_a_server_that_never_agrees(self) -> None:
        sent: str | None = authorization(self.auth)
        sent = authorization(self.auth)
        tries = 0
        while self.challenged(sent):
            sent = authorization(self.auth)
            tries += 1
        self.assertEqual(tries, 1)

    def test_credentials_of_somebody_else_were_refused(self) -> None:
        self.assertFalse(self.challenged("Basic xyz"))

    def test_without_qop_only_stale_is_reason_to_try_again(self) -> None:
        self.server.qop = ""
        self.challenged(None)
        self.assertTrue(self.challenged(authorization(self.auth), stale="true"))
        self.assertFalse(self.challenged(authorization(self.auth)))


class ChoiceTests(SynchronousTestCase):
    def challenged(self, *challenges: str, body: bytes | None = b"") -> bool:
        request = AuthRequest("POST", REQUEST.url, body)
        return DigestAuth("a", "b").challenged(request, None, 401, challenges)

    def test_what_cannot_be_answered_is_not(self) -> None:
        for challenge in (
            "",
            "Basic realm=r",
            "Digest",
            "Digest realm=r",
            "Digest nonce=n",
            "Digest realm=r, nonce=n, algorithm=SHA-512-256",
            "Digest realm=r, nonce=n, algorithm=x",
            'Digest realm=r, nonce=n, qop="x"',
            'Digest realm=r, nonce=n, qop=""',
        ):
            self.assertFalse(self.challenged(challenge), challenge)
        self.assertFalse(self.challenged())

    def test_it_is_found_among_others(self) -> None:
        self.assertTrue(self.challenged("NTLM, Basic realm=r, Digest realm=r, nonce=n"))
        self.assertTrue(self.challenged("Negotiate", "Digest realm=r, nonce=n"))

    def test_a_stream_is_not_hashed(self) -> None:
        only_int = 'Digest realm=r, nonce=n, qop="auth-int"'
        self.assertTrue(self.challenged(only_int))
        self.assertFalse(self.challenged(only_int, body=None))
        both = 'Digest realm=r, nonce=n, qop="auth-int, auth"'
        self.assertTrue(self.challenged(both, body=None))

    def test_a_stream_after_auth_int_goes_without_credentials(self) -> None:
        auth = DigestAuth("a", "b")
        auth.challenged(REQUEST, None, 401, ['Digest realm=r, nonce=n, qop="auth-int"'])
        self.assertIsNone(authorization(auth, AuthRequest("POST", REQUEST.url, None)))

    def test_only_401_challenges(self) -> None:
        auth = DigestAuth("a", "b")
        for status in (200, 403, 407):
            challenge = ["Digest realm=r, nonce=n"]
            self.assertFalse(auth.challenged(REQUEST, None, status, challenge))


class OriginTests(SynchronousTestCase):
    def test_an_answer_is_for_who_asked(self) -> None:
        auth = DigestAuth("a", "b")
        auth.challenged(REQUEST, None, 401, ["Digest realm=r, nonce=n"])
        for url in ("https://www.example.org/", "http://example.org/", "http://x/"):
            self.assertIsNone(authorization(auth, AuthRequest("GET", parse_url(url))))
        same = AuthRequest("GET", parse_url("http://WWW.example.org:80/x"))
        self.assertIsNotNone(authorization(auth, same))

    def test_origins_not_seen_for_long_are_forgotten(self) -> None:
        auth = DigestAuth("a", "b")
        requests = [
            AuthRequest("GET", parse_url(f"http://h{n}.example/")) for n in range(65)
        ]
        for request in requests[:64]:
            auth.challenged(request, None, 401, ["Digest realm=r, nonce=n"])
        authorization(auth, requests[0])
        auth.challenged(requests[64], None, 401, ["Digest realm=r, nonce=n"])
        self.assertIsNone(authorization(auth, requests[1]))
        self.assertIsNotNone(authorization(auth, requests[0]))


class FormTests(SynchronousTestCase):
    def test_it_is_an_auth_and_keeps_its_secret(self) -> None:
        auth = DigestAuth("me", "secret")
        self.assertIs(auth_from(auth), auth)
        self.assertEqual(repr(auth), "<DigestAuth of 'me'>")

    def test_control_characters_are_refused(self) -> None:
        self.assertRaises(ConfigurationError, DigestAuth, "a\n", "b")
        self.assertRaises(ConfigurationError, DigestAuth, "a", "b\x00")

    @given(st.text(), st.lists(st.text(st.characters(max_codepoint=255))))
    def test_no_challenge_makes_a_field_that_must_not_be_sent(
        self, user: str, challenges: list[str]
    ) -> None:
        try:
            auth = DigestAuth(user, "x")
        except ConfigurationError:
            return
        prefixed = ["Digest realm=r, nonce=n, opaque=" + text for text in challenges]
        for texts in (challenges, prefixed):
            if auth.challenged(REQUEST, None, 401, texts):
                field: Any = authorization(auth)
                self.assertTrue(re.match(r"Digest username\*?=", field))
