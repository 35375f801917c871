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
_SETUP: Final = ctypes.c_long(425)
_ENTER: Final = ctypes.c_long(426)
_REGISTER: Final = ctypes.c_long(427)


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
    """Return libc's syscall(2), which lets other threads run while it waits.

    It is given no argtypes: to convert seven arguments by them is more than half of a
    call, 1.3 against 0.6 us. So a Python int is passed as C's int, which is what most
    of the arguments are; addresses and sizes have to come as objects of ctypes.
    """
    function = ctypes.CDLL(None, use_errno=True).syscall
    function.restype = ctypes.c_long
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
    fd = int(_syscall(_SETUP, entries, ctypes.c_void_p(parameters)))
    if fd < 0:
        raise RingRefused(ctypes.get_errno())
    return fd


def ring_enter(
    fd: int,
    to_submit: int,
    min_complete: int,
    flags: int,
    argument: ctypes.c_void_p | None,
    size: ctypes.c_size_t,
) -> int:
    """Submit, and wait; return how many were submitted.

    :raises OSError: ETIME and EINTR are usual ends of waiting.
    """
    submitted: int = _syscall(
        _ENTER, fd, to_submit, min_complete, flags, argument, size
    )
    if submitted < 0:
        raise _failure()
    return submitted


def ring_register(fd: int, operation: int, argument: int, count: int) -> None:
    """Register buffers and the like with a ring.

    :raises OSError: when the kernel will not.
    """
    if _syscall(_REGISTER, fd, operation, ctypes.c_void_p(argument), count) < 0:
        raise _failure()
