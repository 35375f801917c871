"""One option of the command line, as the tables of options list them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Option"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One option of the command line."""

    name: str
    """With dashes, without the two in front."""

    value: str
    """What it takes, in capitals; "": it is a flag."""

    default: str
    """As one would write it; "": there is none."""

    text: str
    """What it does, in one or two sentences."""

    parse: Callable[[str], Any] = str
    is_repeatable: bool = False
