"""The load: wrk on one thread and one core, and what its output says."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Load", "LoadResult", "parse_wrk"]

_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What one run of wrk saw. Times are in seconds."""

    requests: int
    seconds: float
    p50: float
    p99: float
    trouble: str
    """Socket errors and answers not 2xx or 3xx, as wrk says it; empty: none."""

    @property
    def per_second(self) -> float:
        return self.requests / self.seconds if self.seconds else 0.0


@dataclass(frozen=True, slots=True)
class Load:
    """How to drive a server: closed loop, *connections* kept alive, one wrk thread.

    wrk runs on the core of who starts it.
    """

    connections: int
    script: Path | None = None
    path: str = "/"
    scheme: str = "http"

    def command(self, port: int, seconds: float) -> list[str]:
        script = ["-s", str(self.script)] if self.script else []
        return [
            "wrk",
            "-t1",
            f"-c{self.connections}",
            f"-d{max(1, round(seconds))}s",
            "--latency",
            *script,
            f"{self.scheme}://127.0.0.1:{port}{self.path}",
        ]

    def run(self, port: int, seconds: float) -> LoadResult:
        """Drive the server on *port* for *seconds*, rounded: wrk knows whole ones."""
        process = self.start(port, seconds)
        return self.finish(process, seconds)

    def start(self, port: int, seconds: float) -> subprocess.Popen[str]:
        """Begin to drive. Give the result to ``finish``."""
        return subprocess.Popen(
            self.command(port, seconds),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            env={**os.environ, "LC_ALL": "C"},
        )

    def finish(self, process: subprocess.Popen[str], seconds: float) -> LoadResult:
        """Return what it saw; it is killed when it does not end in time."""
        try:
            output, _ = process.communicate(timeout=seconds + 30)
        except subprocess.TimeoutExpired:
            process.kill()
            output, _ = process.communicate()
            output += "\nSocket errors: wrk did not end in time"
        return parse_wrk(output)


def parse_wrk(output: str) -> LoadResult:
    """Read the output of ``wrk --latency``."""
    total = re.search(r"(\d+) requests in ([\d.]+)(us|ms|s|m|h)", output)
    wrong = [*re.findall(r"(?:Non-2xx|Socket errors).*", output)]
    if total is None:
        wrong.append(f"wrk said: {output.strip()[-300:]}")
    elif total[1] == "0":
        wrong.append("no request was answered")
    return LoadResult(
        requests=int(total[1]) if total else 0,
        seconds=float(total[2]) * _UNITS[total[3]] if total else 0.0,
        p50=_percentile(output, 50),
        p99=_percentile(output, 99),
        trouble="; ".join(line.strip() for line in wrong),
    )


def _percentile(output: str, which: int) -> float:
    found = re.search(
        rf"^\s+{which}%\s+([\d.]+)(us|ms|s|m|h)\s*$", output, re.MULTILINE
    )
    # Pipelined, wrk times whole batches and says 0.00us where it cannot.
    if found is None or float(found[1]) == 0:
        return float("nan")
    return float(found[1]) * _UNITS[found[2]]
