"""A ring: the two queues of io_uring(7), one for requests and one for completions.

    with Ring() as ring:
        ring.submit_read(sock.fileno(), bytearray(4096), user_data=1)
        for completion in ring.wait_completion(timeout=1.0):
            completion.user_data, completion.result  # 1, bytes read or -errno

Who may touch what, and when:

- The kernel posts completions only while we are inside of ``enter``
  (IORING_SETUP_DEFER_TASKRUN), on the one thread that uses the ring (SINGLE_ISSUER). So
  plain loads and stores do: there is nobody to order them against, and Python has no
  memory barriers.
- A buffer belongs to the kernel from ``submit_read`` or ``submit_write`` until its
  completion: the ring holds a reference until then, and ``close`` cancels what is still
  going on and waits for it.
- A full submission queue is submitted, which empties it. A full completion queue
  overflows into the kernel's memory (IORING_FEAT_NODROP), and is fetched by the same
  ``enter`` or the next.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import struct
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self, TypeAlias

from httpx_tw.reactors.ring_calls import (
    ring_enter,
    ring_register,
    ring_setup,
)

if TYPE_CHECKING:
    # collections.abc.Buffer is Python 3.12's.
    Buffer: TypeAlias = "bytes | bytearray | memoryview | mmap.mmap"

__all__ = ["Completion", "Ring"]

# Operations: enum io_uring_op of linux/io_uring.h.
POLL_ADD: Final = 6
ACCEPT: Final = 13
ASYNC_CANCEL: Final = 14
READ: Final = 22
WRITE: Final = 23
SEND: Final = 26
RECV: Final = 27

# Flags of a request, of whatever operation.
BUFFER_SELECT: Final = 1 << 5
SKIP_SUCCESS: Final = 1 << 6
"""Post no completion when it succeeds (Linux 5.17)."""

# Modes of an operation, in the field "ioprio".
ACCEPT_MULTISHOT: Final = 1 << 0
RECV_MULTISHOT: Final = 1 << 1

_CANCEL_ALL: Final = 1 << 0
_CANCEL_ANY: Final = 1 << 2

# Flags of a completion.
HAS_BUFFER: Final = 1 << 0
HAS_MORE: Final = 1 << 1
"""The request goes on; more of its completions follow."""

# Flags of a ring.
_CQSIZE: Final = 1 << 3
_CLAMP: Final = 1 << 4
_R_DISABLED: Final = 1 << 6
_SUBMIT_ALL: Final = 1 << 7
_SINGLE_ISSUER: Final = 1 << 12
_DEFER_TASKRUN: Final = 1 << 13

_GETEVENTS: Final = 1 << 0
_EXT_ARG: Final = 1 << 3
_NO_IOWAIT: Final = 1 << 7
_HAS_NO_IOWAIT: Final = 1 << 17
"""A feature of the kernel: Linux 6.15. Without it, to wait for a request counts as
waiting for a disk, which keeps the processor from resting and is shown as load."""
_CQ_OVERFLOW: Final = 1 << 1

_ENABLE_RINGS: Final = 12
_OFFSET_SQES: Final = 0x10000000

# struct io_uring_params: our wishes, the kernel's answer, where what is in the ring.
_PARAMETERS: Final = struct.Struct("<7I12x" + "7I4x8x" * 2)

# struct io_uring_sqe, up to the fields that are always 0 here: opcode, flags, ioprio,
# fd, off, addr, len, the operation's flags, user_data, buf_group.
_REQUEST: Final = struct.Struct("<BBHiQQIIQQ")
_REQUEST_SIZE: Final = 64

_COMPLETION: Final = struct.Struct("<QiI")
"""struct io_uring_cqe: user_data, res, flags."""
_COMPLETION_SIZE: Final = _COMPLETION.size

# struct io_uring_getevents_arg and, behind it, the struct __kernel_timespec that it
# points to.
_ARGUMENT: Final = struct.Struct("<QIIQqq")
_ARGUMENT_SIZE: Final = 24
_TIME: Final = struct.Struct("<qq")

_NO_SIZE: Final = ctypes.c_size_t(0)
_SIZE: Final = ctypes.c_size_t(_ARGUMENT_SIZE)

_WRAP: Final = 0xFFFFFFFF
CURRENT_POSITION: Final = 0xFFFFFFFFFFFFFFFF

NOBODY: Final = 0
"""The user_data of what nobody waits for: its completions are dropped."""

_kept_for_ever: list[Any] = []


class Completion(NamedTuple):
    """What became of a request."""

    user_data: int
    result: int
    """Bytes, or a descriptor; negative: an errno."""
    flags: int

    @property
    def is_last(self) -> bool:
        """Whether the request is over: a multishot one has many completions."""
        return not self.flags & HAS_MORE


class Ring:
    """Requests in, completions out. One thread uses it: the first that enters.

    :param entries: requests that can wait to be submitted; a power of two.
    :param completions: completions that can wait to be fetched, before the kernel has
        to take memory for them; a power of two.
    :raises RingRefused: when the kernel gives none.
    """

    fd = -1

    def __init__(self, entries: int = 512, completions: int = 4096) -> None:
        parameters = ctypes.create_string_buffer(_PARAMETERS.size)
        flags = _CQSIZE | _CLAMP | _SUBMIT_ALL | _SINGLE_ISSUER | _DEFER_TASKRUN
        # Disabled: the thread that enables it, by its first enter, is the one it is
        # bound to. A reactor may be made in one thread and run in another.
        wishes = (0, completions, flags | _R_DISABLED, 0, 0, 0, 0, *(0,) * 14)
        _PARAMETERS.pack_into(parameters, 0, *wishes)
        self.fd = ring_setup(entries, ctypes.addressof(parameters))
        self._buffers: dict[int, Any] = {}
        self._is_enabled = False
        try:
            self._map(_PARAMETERS.unpack_from(parameters))
        except BaseException:
            os.close(self.fd)
            self.fd = -1
            raise

    def _map(self, answer: tuple[int, ...]) -> None:
        self._entries, completions = answer[:2]
        # That the two queues share a mapping, that nothing is dropped, and the other
        # features are older than DEFER_TASKRUN: none needs to be asked for.
        self._tail_at = answer[8] // 4
        self._flags = _GETEVENTS | (_NO_IOWAIT if answer[5] & _HAS_NO_IOWAIT else 0)
        self._flags_at = answer[11] // 4
        array_at = answer[13] // 4
        self._cq_head_at, self._cq_tail_at = (at // 4 for at in answer[14:16])
        cqes_at = answer[19]
        size = max(array_at * 4 + self._entries * 4, cqes_at + completions * 16)
        self._queues = mmap.mmap(self.fd, size)
        self._requests = mmap.mmap(
            self.fd, self._entries * _REQUEST_SIZE, offset=_OFFSET_SQES
        )
        whole = memoryview(self._queues)
        self._words = whole[: size // 4 * 4].cast("I")
        self._cqes = whole[cqes_at : cqes_at + completions * _COMPLETION_SIZE]
        whole.release()
        for each in range(self._entries):
            self._words[array_at + each] = each
        self._mask = self._entries - 1
        self._cq_mask = completions - 1
        self._tail = self._submitted = self._words[self._tail_at]
        self._cq_head = self._words[self._cq_head_at]
        self._argument = ctypes.create_string_buffer(_ARGUMENT.size)
        at = ctypes.addressof(self._argument)
        _ARGUMENT.pack_into(self._argument, 0, 0, 0, 0, at + _ARGUMENT_SIZE, 0, 0)
        self._argument_at = ctypes.c_void_p(at)

    # Requests

    def submit_read(
        self, fd: int, buffer: Buffer, user_data: int, offset: int = CURRENT_POSITION
    ) -> None:
        """Ask for a read into *buffer*, which is writable, as read(2) or pread(2) does.

        It must be left alone until the completion, whose result is the number of bytes.

        :raises ValueError: when *user_data* is in use for a buffer, or not positive.
        :raises TypeError: when *buffer* is read-only.
        """
        view = (ctypes.c_char * memoryview(buffer).nbytes).from_buffer(buffer)
        address = ctypes.addressof(view)
        self._submit(READ, fd, view, address, len(view), user_data, offset)

    def submit_write(
        self, fd: int, buffer: Buffer, user_data: int, offset: int = CURRENT_POSITION
    ) -> None:
        """Ask for a write of *buffer*, as write(2) or pwrite(2) does.

        Fewer bytes may go. What is not bytes is copied.

        :raises ValueError: when *user_data* is in use for a buffer, or not positive.
        """
        content = bytes(buffer)
        view = ctypes.c_char_p(content)
        address = ctypes.c_void_p.from_buffer(view).value or 0
        self._submit(WRITE, fd, view, address, len(content), user_data, offset)

    def _submit(  # noqa: PLR0913, PLR0917  # a record, as push takes it
        self,
        opcode: int,
        fd: int,
        view: Any,
        address: int,
        size: int,
        user_data: int,
        offset: int,
    ) -> None:
        if user_data in self._buffers:
            raise ValueError(f"user_data {user_data} is in use")
        self.push(opcode, 0, 0, fd, offset, address, size, 0, _checked(user_data))
        self._buffers[user_data] = view

    def submit_accept(
        self, fd: int, user_data: int, *, multishot: bool = False
    ) -> None:
        """Ask for a connection of the listening *fd*; the result is its descriptor.

        It is non-blocking, and not inherited. *multishot*: go on accepting, with a
        completion for each.

        :raises ValueError: when *user_data* is not positive.
        """
        mode = ACCEPT_MULTISHOT if multishot else 0
        options = os.O_NONBLOCK | os.O_CLOEXEC
        self.push(ACCEPT, 0, mode, fd, 0, 0, 0, options, _checked(user_data))

    def cancel(self, user_data: int) -> None:
        """Ask for the end of all requests with this *user_data*, if there are any left.

        They complete with -ECANCELED, unless they were faster.
        """
        flags = _CANCEL_ALL
        self.push(
            ASYNC_CANCEL, SKIP_SUCCESS, 0, -1, 0, _checked(user_data), 0, flags, NOBODY
        )

    def push(  # noqa: PLR0913, PLR0917  # the record's fields, in its order
        self,
        opcode: int,
        flags: int,
        mode: int,
        fd: int,
        offset: int,
        address: int,
        length: int,
        operation_flags: int,
        user_data: int,
        group: int = 0,
    ) -> None:
        """Queue a request. What it points to must last until it is over."""
        tail = self._tail
        if tail - self._submitted == self._entries:
            self.submit()
        # fmt: off
        _REQUEST.pack_into(
            self._requests, (tail & self._mask) << 6, opcode, flags, mode, fd, offset,
            address, length, operation_flags, user_data, group,
        )
        # fmt: on
        self._tail = tail + 1

    @property
    def unsubmitted(self) -> int:
        """How many requests wait in the queue."""
        return self._tail - self._submitted

    def submit(self) -> None:
        """Hand all requests to the kernel, without waiting for them.

        :raises OSError: when they are refused: this is not the ring's thread.
        """
        self.enter(0, 0.0)
        while self._tail != self._submitted:
            # The kernel is out of memory for requests. So it would be for a send.
            os.sched_yield()
            self.enter(0, 0.0)

    # Completions

    def wait_completion(self, timeout: float | None = None) -> list[Completion]:
        """Submit, wait up to *timeout* seconds (None: for ever), return what is over.

        That is at least one, unless the time has passed. Signals do not end the wait.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            self.enter(1, timeout)
            found = [Completion(*each) for each in self.reap() if each[0] != NOBODY]
            for each in found:
                if each.is_last:
                    self._buffers.pop(each.user_data, None)
            if found:
                return found
            if deadline is not None:
                timeout = deadline - time.monotonic()
                if timeout <= 0:
                    return []

    def enter(self, wait_for: int, timeout: float | None) -> None:
        """Submit all requests; wait for *wait_for* completions, or *timeout* seconds.

        None: for ever; 0 or less: not at all. A signal ends the wait, and its Python
        function has been called on return.

        :raises OSError: when the kernel takes no requests.
        """
        self._words[self._tail_at] = self._tail & _WRAP
        argument, size, flags = None, _NO_SIZE, self._flags
        if wait_for and timeout is not None:
            if timeout <= 0:
                wait_for = 0
            else:
                seconds = int(timeout)
                # Rounded up: to wake too early would be to come again for nothing.
                nanoseconds = int((timeout - seconds) * 1e9) + 1
                _TIME.pack_into(self._argument, _ARGUMENT_SIZE, seconds, nanoseconds)
                argument, size = self._argument_at, _SIZE
                flags |= _EXT_ARG
        while True:
            waiting = self._tail - self._submitted
            try:
                taken = ring_enter(self.fd, waiting, wait_for, flags, argument, size)
            except OSError as error:
                if error.errno in _ENDS_OF_WAITING:
                    return
                if error.errno == errno.EBADFD and not self._is_enabled:
                    ring_register(self.fd, _ENABLE_RINGS, 0, 0)
                    self._is_enabled = True
                    continue
                raise
            self._submitted += taken
            if taken == waiting:
                return

    def reap(self) -> list[tuple[int, int, int]]:
        """Return (user_data, result, flags) of all completions that are here.

        For loops that count nanoseconds: it does not let go of buffers, and it is for
        the caller to pass over those of NOBODY.
        """
        words = self._words
        head = self._cq_head
        tail = words[self._cq_tail_at]
        if head == tail:
            return []
        first, last = head & self._cq_mask, tail & self._cq_mask
        if first < last:
            found = [*_COMPLETION.iter_unpack(self._cqes[first << 4 : last << 4])]
        else:
            found = [*_COMPLETION.iter_unpack(self._cqes[first << 4 :])]
            found += _COMPLETION.iter_unpack(self._cqes[: last << 4])
        self._cq_head = words[self._cq_head_at] = tail
        if words[self._flags_at] & _CQ_OVERFLOW:
            # There was no room for all: the kernel has the rest, and now there is.
            self.enter(0, 0.0)
            found += self.reap()
        return found

    # The end

    def close(self) -> None:
        """Cancel what is going on, and give everything back; closed already is fine.

        When it returns the kernel has let go of all buffers. Only on the ring's thread,
        if there are any.
        """
        if self.fd < 0:
            return
        if self._is_enabled:
            self._cancel_all()
        self._words.release()
        self._cqes.release()
        self._queues.close()
        self._requests.close()
        os.close(self.fd)
        self.fd = -1

    def _cancel_all(self) -> None:
        try:
            everything = _CANCEL_ANY | _CANCEL_ALL
            self.push(
                ASYNC_CANCEL, SKIP_SUCCESS, 0, -1, 0, 0, 0, everything, NOBODY
            )  # fmt: skip
            self.submit()
            while self._buffers:
                self.wait_completion()
        except OSError:
            # Another thread's, or another process's: whether the kernel still writes
            # there cannot be known, so nobody else must get the memory.
            _kept_for_ever.append(self._buffers)

    def __del__(self) -> None:
        self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


_ENDS_OF_WAITING: Final = {
    errno.ETIME,
    errno.EINTR,
    # The kernel has no memory for more at the moment, or completions to be fetched
    # first: what is in the queue is submitted by the next enter.
    errno.EAGAIN,
    errno.EBUSY,
}


def _checked(user_data: int) -> int:
    if user_data <= NOBODY:
        raise ValueError(f"user_data is a positive number, not {user_data}")
    return user_data
