"""Public suffixes, with the list and without it."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.client import public_suffixes
from httpx_tw.client.public_suffixes import is_public_suffix, is_public_suffix_by_rule

if TYPE_CHECKING:
    from collections.abc import Iterator

PUBLIC = ("com", "localhost", "uk", "co.uk", "com.au", "ac.jp", "org.br", "gov.uk")
PRIVATE = ("example.com", "example.co.uk", "a.b.example", "a.de", "uk.com.example.com")


class RuleTests(SynchronousTestCase):
    def test_a_label_alone_and_what_registries_sell_below_are_public(self) -> None:
        for domain in PUBLIC:
            self.assertTrue(is_public_suffix_by_rule(domain), domain)

    def test_other_names_are_somebodys(self) -> None:
        for domain in PRIVATE:
            self.assertFalse(is_public_suffix_by_rule(domain), domain)


@contextmanager
def without_the_list() -> Iterator[None]:
    absent = "publicsuffixlist"
    kept = sys.modules.get(absent)
    sys.modules[absent] = None  # type: ignore[assignment]  # how Python marks it absent
    public_suffixes._by_list.cache_clear()
    try:
        yield
    finally:
        del sys.modules[absent]
        if kept is not None:
            sys.modules[absent] = kept
        public_suffixes._by_list.cache_clear()


class ListTests(SynchronousTestCase):
    def test_with_the_list_even_strange_suffixes_are_known(self) -> None:
        for domain in (*PUBLIC, "github.io", "kobe.jp", "x.ck"):
            self.assertTrue(is_public_suffix(domain), domain)
        for domain in (*PRIVATE, "me.github.io", "www.ck", "city.kobe.jp"):
            self.assertFalse(is_public_suffix(domain), domain)

    def test_without_it_the_rule_decides(self) -> None:
        with without_the_list():
            for domain in PUBLIC:
                self.assertTrue(is_public_suffix(domain), domain)
            for domain in (*PRIVATE, "github.io"):
                self.assertFalse(is_public_suffix(domain), domain)

    def test_an_address_is_nobodys_suffix(self) -> None:
        for address in ("127.0.0.1", "::1"):
            self.assertFalse(is_public_suffix(address))
