"""The three system calls of io_uring(7), and what a refusal of them means."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from typing import Any, Final

from httpx_tw.errors import ConfigurationError

__all__ = ["RingRefused", "ring_enter", "ring_register", "ring_setup"]

# The same on every architecture: all calls newer than Linux 5.0 are.
_SETUP: Final = 425
_ENTER: Final = 426
_REGISTER: Final = 427


class RingRefused(ConfigurationError):
    """The kernel, or the container around us, gives no ring. The message says why."""

    def __init__(self, number: int) -> None:
        super().__init__(f"io_uring is not to be had here: {_meaning(number)}")
        self.errno = number


_MEANINGS: Final = {
    errno.ENOSYS: "this kernel has none (or a seccomp filter says so)",
    errno.EPERM: "it is forbidden (kernel.io_uring_disabled, or a seccomp filter)",
    errno.EACCES: "it is forbidden (a security module)",
    errno.EINVAL: "this kernel is older than Linux 6.1",
    errno.ENOMEM: "no memory for it, or none that may be locked (ulimit -l)",
    errno.EMFILE: "this process has no file descriptor left (ulimit -n)",
    errno.ENFILE: "the system has no file descriptor left",
}


def _meaning(number: int) -> str:
    return _MEANINGS.get(number, os.strerror(number))


def _function() -> Any:
    """Return libc's syscall(2); its foreign calls let other threads run meanwhile."""
    function = ctypes.CDLL(None, use_errno=True).syscall
    function.restype = ctypes.c_long
    # Each argument is a register: integers and addresses alike.
    function.argtypes = (ctypes.c_long,) * 7
    return function


_syscall: Any = _function() if sys.platform == "linux" else None


def _failure() -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number))


def ring_setup(entries: int, parameters: int) -> int:
    """Return the descriptor of a new ring; *parameters* is the address of its record.

    :raises RingRefused: when there is none.
    """
    if _syscall is None:
        raise RingRefused(errno.ENOSYS)
    fd = int(_syscall(_SETUP, entries, parameters, 0, 0, 0, 0))
    if fd < 0:
        raise RingRefused(ctypes.get_errno())
    return fd


def ring_enter(
    fd: int, to_submit: int, min_complete: int, flags: int, argument: int, size: int
) -> int:
    """Submit, and wait; return how many were submitted.

    :raises OSError: ETIME and EINTR are usual ends of waiting.
    """
    submitted = int(
        _syscall(_ENTER, fd, to_submit, min_complete, flags, argument, size)
    )
    if submitted < 0:
        raise _failure()
    return submitted


def ring_register(fd: int, operation: int, argument: int, count: int) -> None:
    """Register buffers and the like with a ring.

    :raises OSError: when the kernel will not.
    """
    if _syscall(_REGISTER, fd, operation, argument, count, 0, 0) < 0:
        raise _failure()
