"""How the service says that it cannot start: in one line, to whoever started it."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from twisted.logger import Logger

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["complain", "give_up"]

_log = Logger()

_PIPE_SIZE = 98
"""What twistd's parent reads of a reason: 100 bytes, less a status and a space."""


def complain(reason: object) -> None:
    """Write *reason* to standard error as one line."""
    # Not sys.stderr: once logging has begun, that is the log.
    stream = sys.__stderr__ or sys.stderr
    stream.write(f"httpx-tw: {_one_line(reason)}\n")
    stream.flush()


def give_up(reason: object, runner: Mapping[str, Any]) -> NoReturn:
    """End the process, which twistd or twist is just starting, with status 1.

    For what shows only when twistd has become a daemon: an exception would leave its
    traceback in the log, and with ``-n`` on the terminal. *runner* are the options of
    twistd or twist.
    """
    _log.error("cannot start: {reason}", reason=_one_line(reason))
    status_pipe = runner.get("statusPipe")
    if status_pipe is not None:
        text = _one_line(reason).encode("ascii", "backslashreplace")[:_PIPE_SIZE]
        os.write(status_pipe, b"1 " + text)
    _remove_pid_file(runner.get("pidfile"))
    complain(reason)
    raise SystemExit(1)


def _one_line(reason: object) -> str:
    return " ".join(str(reason).split()) or type(reason).__name__


def _remove_pid_file(name: str | None) -> None:
    # twistd has written it by now, and removes it itself only after an exception.
    if name:
        with suppress(OSError):
            path = Path(name)
            if path.read_text() == str(os.getpid()):
                path.unlink()
