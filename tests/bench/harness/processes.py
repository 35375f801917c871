"""A server under test: started on one core, measured with all its children, stopped.

CPU time is the sum of ``/proc/PID/task/TID/schedstat`` (nanoseconds on a core, user and
kernel) over every thread of every process of the family. Threads and children that
ended meanwhile are missing there; ``/proc/PID/stat`` has them (utime, stime, and the
reaped children's cutime, cstime, in ticks of 10 ms). Both are read, and the ticks are
taken when they say distinctly more.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, Self

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

__all__ = [
    "CpuReading",
    "DidNotStart",
    "Process",
    "free_port",
    "pin",
    "unwind_on_sigterm",
]

TICKS = os.sysconf("SC_CLK_TCK")
START_SECONDS = 20.0
STOP_SECONDS = 5.0


class DidNotStart(Exception):
    """A server ended, or did not listen in time. The message has the end of its log."""


@dataclass(frozen=True, slots=True)
class CpuReading:
    """The CPU seconds of a family so far, by both clocks."""

    by_schedstat: float
    by_ticks: float

    def since(self, earlier: CpuReading) -> float:
        """Return the CPU seconds used between *earlier* and this reading."""
        fine = self.by_schedstat - earlier.by_schedstat
        coarse = self.by_ticks - earlier.by_ticks
        # Ticks are rounded down per process: within 50 ms and 5 % the two agree.
        return coarse if coarse > fine * 1.05 + 0.05 else fine


def pin(core: int) -> None:
    """Keep this process, and what it starts, on *core*."""
    os.sched_setaffinity(0, {core})


def unwind_on_sigterm() -> None:
    """End by SIGTERM as by an exception: what was started is stopped on the way."""

    def end(*_: object) -> NoReturn:
        raise SystemExit(128 + signal.SIGTERM)

    signal.signal(signal.SIGTERM, end)


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


class Process:
    """A command in its own session, pinned to *core*, and everything it starts.

    Use it as a context manager; leaving stops the family. Its output is in *log*.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        directory: Path,
        core: int | None = None,
        environment: dict[str, str] | None = None,
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.log = directory / "output.log"
        with self.log.open("wb") as output:
            self._popen = subprocess.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=directory,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
                preexec_fn=None if core is None else lambda: pin(core),
            )
        self._known: set[int] = {self.pid}

    @property
    def pid(self) -> int:
        return self._popen.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def wait_until_listening(self, port: int) -> None:
        """Return when something accepts on *port*.

        :raises DidNotStart: when the process ended, or after 20 seconds.
        """
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._popen.poll() is not None:
                raise DidNotStart(
                    f"ended with status {self._popen.returncode}{self._last_words()}"
                )
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            time.sleep(0.05)
        raise DidNotStart(
            f"not listening after {START_SECONDS:.0f} s{self._last_words()}"
        )

    def family(self) -> list[int]:
        """Return the ids of the process and of all that descend from it."""
        members = list(_descendants(self.pid))
        self._known.update(members)
        return members

    def cpu(self) -> CpuReading:
        """Return the CPU time of the family until now."""
        members = self.family()
        return CpuReading(
            sum(map(_schedstat_seconds, members)), sum(map(_tick_seconds, members))
        )

    def pss_kib(self) -> int:
        """Return the proportional set size: pages shared by the family count once."""
        return sum(_memory_kib(member, "Pss:") for member in self.family())

    def rss_kib(self) -> int:
        """Return the resident set size, summed over the family."""
        return sum(_memory_kib(member, "Rss:") for member in self.family())

    def terminate(self) -> None:
        """Send SIGTERM to the first process alone, as a supervisor does."""
        self._popen.send_signal(signal.SIGTERM)

    def wait(self, seconds: float) -> int | None:
        """Return the exit status, or None when it still runs after *seconds*."""
        try:
            return self._popen.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def stop(self) -> None:
        """End the family: SIGTERM, and after five seconds SIGKILL."""
        self.family()
        if self._popen.poll() is None:
            self.terminate()
            self.wait(STOP_SECONDS)
        # The session is ours alone: its process group has our child's id.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        for member in self._known - {self.pid}:
            if _session_of(member) == self.pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(member, signal.SIGKILL)
        self._popen.wait(STOP_SECONDS)

    def _last_words(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()[-12:]
        return "".join(f"\n    | {line}" for line in lines)


def _descendants(pid: int) -> list[int]:
    members = [pid]
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in children.read_text().split():
                members += _descendants(int(child))
    return members


def _schedstat_seconds(pid: int) -> float:
    total = 0
    for schedstat in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        with contextlib.suppress(OSError):
            total += int(schedstat.read_text().split()[0])
    return total / 1e9


def _tick_seconds(pid: int) -> float:
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / TICKS
    return 0.0


def _memory_kib(pid: int, field: str) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith(field):
                return int(line.split()[1])
    return 0


def _session_of(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return None
