"""What callers give as fields, and how it is written."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.client.fields import field_pairs, urlencoded
from httpx_tw.errors import ConfigurationError


class FieldTests(SynchronousTestCase):
    def test_a_mapping_and_pairs_are_the_same(self) -> None:
        pairs = [("a", "1"), ("b", "2")]
        self.assertEqual(field_pairs(dict(pairs)), pairs)
        self.assertEqual(field_pairs(pairs), pairs)
        self.assertEqual(field_pairs(iter(pairs)), pairs)
        self.assertEqual(field_pairs(None), [])

    def test_several_values_are_several_fields(self) -> None:
        fields: Any = {"a": ["1", 2], "b": (), "c": ("3",)}
        self.assertEqual(field_pairs(fields), [("a", "1"), ("a", "2"), ("c", "3")])
        self.assertEqual(
            field_pairs([("a", "1"), ("a", "2")]), [("a", "1"), ("a", "2")]
        )

    def test_none_is_left_out(self) -> None:
        self.assertEqual(field_pairs({"a": None, "b": "1"}), [("b", "1")])
        self.assertEqual(field_pairs({"a": ["1", None]}), [("a", "1")])

    def test_numbers_and_truth_are_written_out(self) -> None:
        self.assertEqual(
            field_pairs({"a": 1, "b": 1.5, "c": True, "d": False}),
            [("a", "1"), ("b", "1.5"), ("c", "true"), ("d", "false")],
        )

    def test_bytes_stay_as_they_are(self) -> None:
        self.assertEqual(field_pairs({"a": b"\xff"}), [("a", b"\xff")])
        self.assertEqual(urlencoded({"a": b"\xff"}), "a=%FF")

    def test_what_has_no_one_way_to_be_written_is_refused(self) -> None:
        refused: list[Any] = [
            "a=1",
            b"a=1",
            {"a": {"b": "c"}},
            {"a": [["b"]]},
            {"a": object()},
            {1: "a"},
            {"a": "\ud800"},
        ]
        for fields in refused:
            self.assertRaises(ConfigurationError, urlencoded, fields)

    @given(st.lists(st.tuples(st.text(), st.text())))
    def test_what_is_written_is_read_back(self, fields: list[tuple[str, str]]) -> None:
        try:
            written = urlencoded(fields)
        except ConfigurationError:
            return
        self.assertEqual(parse_qsl(written, keep_blank_values=True), fields)
