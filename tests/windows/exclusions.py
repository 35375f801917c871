"""What is not run on Windows under Wine, and why: by patterns of pytest's names."""

from __future__ import annotations

EXCLUDED: dict[str, str] = {}
