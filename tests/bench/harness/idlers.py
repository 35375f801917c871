"""Thousands of idle connections, kept by a process of their own (connector.py)."""

from __future__ import annotations

import json
import select
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Self

from harness.servers import BENCH

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["BURST", "FDS_KEPT", "Idlers"]

BURST = 512
"""Connections opened at once: below the usual accept backlogs."""

FDS_KEPT = 900
"""Open files left for everything that is not an idle connection: load, log, modules."""

ORDER_SECONDS = 180


class Idlers:
    """A context manager: on leaving, all connections are closed.

    It runs on the core of who starts it. *burst* connections at a time are opened, or
    asked.
    """

    def __init__(self, port: int, burst: int = BURST) -> None:
        self._popen = subprocess.Popen(
            [sys.executable, str(BENCH / "connector.py"), str(port), str(burst)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._popen.kill()
        self._popen.communicate()

    def open(self, total: int) -> dict[str, Any]:
        """Have *total* connections, each answered once; see connector.py."""
        self.tell(f"open {total}")
        return self.answer()

    def check(self, count: int) -> dict[str, Any]:
        """Ask *count* of them again."""
        self.tell(f"check {count}")
        return self.answer()

    def tell(self, order: str) -> None:
        """Give an order; it is obeyed while we do something else."""
        assert self._popen.stdin is not None
        self._popen.stdin.write(order + "\n")
        self._popen.stdin.flush()

    def answer(self) -> dict[str, Any]:
        """Return the answer to the order given last."""
        assert self._popen.stdout is not None
        ready, _, _ = select.select([self._popen.stdout], [], [], ORDER_SECONDS)
        line = self._popen.stdout.readline() if ready else ""
        if not line:
            return {"asked": 0, "answered": 0, "failed": {"connector": 1}, "seconds": 0}
        answer: dict[str, Any] = json.loads(line)
        return answer
