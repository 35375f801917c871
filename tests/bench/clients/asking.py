"""What every client program does: warm up, ask, and say what that cost."""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from dataclasses import dataclass

__all__ = ["BODY", "Task", "arguments"]

BODY = b"Hello, World!"


@dataclass(slots=True)
class Task:
    """So many requests; each one takes from it, and each answer is told."""

    url: str
    requests: int
    in_flight: int
    left: int = 0
    wrong: int = 0
    _cpu: float = 0.0
    _began: float = 0.0

    def begin(self, requests: int) -> None:
        """Count from here."""
        self.left = requests
        self.wrong = 0
        self._cpu = _cpu_seconds()
        self._began = time.perf_counter()

    def take(self) -> bool:
        """Whether there is one more to be asked; it is the caller's then."""
        self.left -= 1
        return self.left >= 0

    def answered(self, status: int, body: bytes) -> None:
        """Look at an answer."""
        self.wrong += status != 200 or body != BODY

    def report(self) -> None:
        """Say on stdout what it cost since begin."""
        print(
            json.dumps(
                {
                    "requests": self.requests,
                    "cpu": _cpu_seconds() - self._cpu,
                    "seconds": time.perf_counter() - self._began,
                    "wrong": self.wrong,
                }
            )
        )


def arguments() -> Task:
    """Return the task of the command line: PORT, REQUESTS, IN_FLIGHT.

    With SSL_CERT_FILE in the environment, which OpenSSL takes for whom to trust, it is
    about HTTPS.
    """
    port, requests, in_flight = map(int, sys.argv[1:4])
    scheme = "https" if "SSL_CERT_FILE" in os.environ else "http"
    return Task(f"{scheme}://127.0.0.1:{port}/", requests, in_flight)


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
