"""Challenges: several in a field, several fields, and none that makes sense."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.client.challenges import Challenge, parse_challenges, quoted


def parsed(*fields: str) -> list[tuple[str, dict[str, str] | str]]:
    return [(c.scheme, c.token or c.parameters) for c in parse_challenges(fields)]


class ChallengeTests(SynchronousTestCase):
    def test_one_challenge_has_a_scheme_and_parameters(self) -> None:
        self.assertEqual(
            parsed('Basic REALM = "simple" , charset=UTF-8'),
            [("basic", {"realm": "simple", "charset": "UTF-8"})],
        )

    def test_several_in_one_field_are_told_apart(self) -> None:
        # The example of RFC 9110 section 11.6.1.
        self.assertEqual(
            parsed('Newauth realm="apps", type=1, title="Login to \\"apps\\"",'
                   ' Basic realm="simple"'),
            [
                ("newauth", {"realm": "apps", "type": "1", "title": 'Login to "apps"'}),
                ("basic", {"realm": "simple"}),
            ],
        )  # fmt: skip

    def test_schemes_may_stand_alone_or_have_a_token(self) -> None:
        for field, expected in (
            ("Negotiate", [("negotiate", {})]),
            ("Negotiate ", [("negotiate", {})]),
            ("Negotiate YII+/=", [("negotiate", "YII+/=")]),
            ("NTLM, Negotiate", [("ntlm", {}), ("negotiate", {})]),
            ("NTLM, Basic realm=a", [("ntlm", {}), ("basic", {"realm": "a"})]),
            ("Basic realm=a, NTLM", [("basic", {"realm": "a"}), ("ntlm", {})]),
            ("A abc==, B x=y", [("a", "abc=="), ("b", {"x": "y"})]),
            (",, A ,,x=y,,,B,", [("a", {"x": "y"}), ("b", {})]),
        ):
            self.assertEqual(parsed(field), expected, field)

    def test_fields_follow_each_other(self) -> None:
        self.assertEqual(
            parsed("Basic realm=a", "", 'Digest realm="b", nonce="c"'),
            [("basic", {"realm": "a"}), ("digest", {"realm": "b", "nonce": "c"})],
        )

    def test_commas_and_schemes_inside_quotes_are_text(self) -> None:
        self.assertEqual(
            parsed('Basic realm="a, Digest nonce=\\"x\\"", x=y'),
            [("basic", {"realm": 'a, Digest nonce="x"', "x": "y"})],
        )

    def test_what_is_broken_is_dropped_with_what_follows(self) -> None:
        for field in (
            "",
            " ",
            "=",
            '"',
            'Basic realm="a',
            'Basic realm="a"b',
            "Basic realm=a realm=b",
            "Basic realm=a, realm=b",
            'Basic realm="a\x00"',
            "Basic =a",
            "Basic realm=a, =",
        ):
            self.assertNotIn("realm", str(parsed(field)), field)

    def test_what_came_before_it_is_kept(self) -> None:
        self.assertEqual(parsed('A x=y, Basic realm="a'), [("a", {"x": "y"})])
        self.assertEqual(parsed('Basic realm="a', "A x=y"), [("a", {"x": "y"})])

    def test_there_is_an_end_to_challenges(self) -> None:
        self.assertEqual(len(parsed(", ".join(["a x=y"] * 1000))), 32)
        self.assertEqual(len(parsed(*["a x=y"] * 1000)), 32)

    @given(st.text(st.characters(max_codepoint=255)))
    def test_what_was_quoted_is_read_back(self, value: str) -> None:
        value = "".join(c for c in value if c >= " " and c != "\x7f")
        (challenge,) = parse_challenges([f"A x={quoted(value)}"])
        self.assertEqual(challenge, Challenge("a", {"x": value}))

    @given(st.lists(st.text(st.sampled_from('aA=," \t\\;x1/+')) | st.text()))
    def test_no_field_is_too_much(self, fields: list[str]) -> None:
        for challenge in parse_challenges(fields):
            self.assertTrue(
                challenge.scheme.islower() or not challenge.scheme.isalpha()
            )
