"""The three system calls: what a refusal of each says."""

from __future__ import annotations

import ctypes
import errno
import re
import subprocess
import sys
from unittest import mock

import pytest

from httpx_tw.errors import ConfigurationError
from httpx_tw.reactors import ring_calls
from httpx_tw.reactors.ring_calls import (
    RingRefused,
    ring_enter,
    ring_register,
    ring_setup,
)


def refusing(number: int) -> mock.Mock:
    """Return a system call that fails."""

    def call(*_: int) -> int:
        ctypes.set_errno(number)
        return -1

    return mock.Mock(side_effect=call)


@pytest.mark.parametrize(
    ("number", "why"),
    [
        (errno.ENOSYS, "this kernel has none"),
        (errno.EPERM, "forbidden .*io_uring_disabled.*seccomp"),
        (errno.EACCES, "security module"),
        (errno.EINVAL, "older than Linux 6.1"),
        (errno.ENOMEM, "ulimit -l"),
        (errno.EMFILE, "ulimit -n"),
        (errno.ENFILE, "the system has no file descriptor left"),
        (errno.EIO, "Input/output error"),
    ],
)
def test_a_refusal_says_why_in_one_line(number: int, why: str) -> None:
    with (
        mock.patch.object(ring_calls, "_syscall", refusing(number)),
        pytest.raises(RingRefused) as caught,
    ):
        ring_setup(8, 0)
    assert isinstance(caught.value, ConfigurationError)
    assert caught.value.errno == number
    assert re.fullmatch(f"io_uring is not to be had here: .*{why}.*", str(caught.value))


def test_another_platform_has_none() -> None:
    with mock.patch.object(ring_calls, "_syscall", None), pytest.raises(RingRefused):
        ring_setup(8, 0)


def test_it_can_be_imported_elsewhere() -> None:
    program = (
        "import httpx_tw.errors, sys; sys.platform = 'darwin'\n"
        "from httpx_tw.reactors import ring_calls\n"
        "print(ring_calls._syscall)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "None\n"


@pytest.mark.skipif(sys.platform != "linux", reason="Linux's system calls")
def test_what_is_no_ring_is_refused_by_the_kernel() -> None:
    for call in (
        lambda: ring_enter(-1, 0, 0, 0, None, ctypes.c_size_t(0)),
        lambda: ring_register(-1, 0, 0, 0),
    ):
        with pytest.raises(OSError) as caught:  # noqa: PT011  # its errno is looked at
            call()
        # Where all of it is forbidden, that is said first.
        expected = {errno.EBADF, errno.EINVAL, errno.ENOSYS, errno.EPERM}
        assert caught.value.errno in expected
