"""Which domains belong to a registry, so that nobody may set cookies for all of one."""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Final

from httpx_tw.client.urls import is_address

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["is_public_suffix", "is_public_suffix_by_rule"]

# What registries of two-letter domains sell names below. Not the list, which has ten
# thousand entries and needs a new edition every week, but most of the web's cookies.
_SECOND_LEVEL: Final = frozenset(
    "ac asso co com edu go gob gouv gov govt gv id info k12 lg ltd me mil muni ne net "
    "nic nom or org plc police sch school web".split()
)


def is_public_suffix_by_rule(domain: str) -> bool:
    """Whether *domain* (lower case) is one label, or like ``co.uk``.

    Wrong about suffixes that look like anybody's name (``github.io``), and about names
    that look like suffixes (``me.uk`` is one, ``me.de`` is not): their owners' cookies
    then need the host without Domain.
    """
    first, dot, rest = domain.partition(".")
    if not dot:
        return True
    return len(rest) == 2 and first in _SECOND_LEVEL


def is_public_suffix(domain: str) -> bool:
    """Whether cookies for *domain*, in lower case, would reach many owners' hosts.

    By the Public Suffix List if the package ``publicsuffixlist`` is installed, by
    :func:`is_public_suffix_by_rule` if not. An IP address is none.
    """
    if is_address(domain):
        return False
    # The list knows what has sold below "com"; a single label it may not know at all.
    return "." not in domain or _by_list()(domain)


@lru_cache(maxsize=1)
def _by_list() -> Callable[[str], bool]:
    # 20 ms and 1 MiB the first time that a cookie has a Domain; never without one.
    try:
        suffixes = import_module("publicsuffixlist").PublicSuffixList(
            accept_unknown=True
        )
    except ImportError:
        return is_public_suffix_by_rule
    return lambda domain: suffixes.publicsuffix(domain) == domain
