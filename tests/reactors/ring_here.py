"""Whether this kernel gives a ring, and why not: said by each test that needs one."""

from __future__ import annotations

from httpx_tw.reactors.completions import Completions
from httpx_tw.reactors.ring import Ring
from httpx_tw.reactors.ring_calls import RingRefused


def _refusal() -> str:
    try:
        Completions(Ring()).close()
    except RingRefused as error:
        return str(error)
    return ""


REFUSAL = _refusal()
"""Empty: there is a ring. A kernel's refusal is no missing tool: none installs it."""
