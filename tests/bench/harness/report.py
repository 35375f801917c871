"""Figures as a table for people and as JSON for programs."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["table", "verdict", "write_json"]


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return rows under their columns, the first aligned left, the others right."""
    widths = [max(map(len, cells)) for cells in zip(columns, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        first, *others = zip(cells, widths, strict=True)
        aligned = [first[0].ljust(first[1])]
        aligned += [cell.rjust(width) for cell, width in others]
        return "  ".join(aligned).rstrip()

    return "\n".join([line(columns), line(["-" * w for w in widths]), *map(line, rows)])


def verdict(what: str, *, holds: bool) -> bool:
    """Print whether a claim holds, and return it."""
    print(f"{'ok  ' if holds else 'FAIL'} {what}")
    return holds


def write_json(path: Path | None, record: dict[str, object]) -> None:
    """Write *record* with the time of writing; None: write nothing."""
    if path is None:
        return
    now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    path.write_text(json.dumps({"when": now, **record}, indent=2) + "\n")
