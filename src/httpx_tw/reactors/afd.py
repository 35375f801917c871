"""The calls of Windows by which a socket's readiness is told to a completion port.

The driver under Winsock, AFD, answers IOCTL_AFD_POLL: it takes a socket and what is to
become true of it, and completes when some of it is. Winsock's own ``select`` is made of
it. Microsoft does not document it; libuv, wepoll, trio and mio depend on it, and Wine
implements it. Here are the calls and nothing else: what they are used for is in
``iocp.py``, and a stand-in in the tests has the same face.
"""

from __future__ import annotations

import ctypes
import errno
import os
from ctypes import wintypes
from enum import IntFlag
from typing import Any, ClassVar, Final

__all__ = ["CANCELLED", "PENDING", "SUCCESS", "AfdCalls", "AfdEvent", "Operation"]

SUCCESS: Final = 0
PENDING: Final = 0x103
CANCELLED: Final = 0xC0000120
"""The status (NTSTATUS) of an operation that was cancelled."""

_INVALID_HANDLE: Final = -1
_ERROR_INVALID_HANDLE: Final = 6
_WAIT_TIMEOUT: Final = 258

_SIO_BASE_HANDLE: Final = 0x48000022
_SIO_BSP_HANDLE_POLL: Final = 0x4800001D
_IOCTL_AFD_POLL: Final = 0x00012024

_SYNCHRONIZE: Final = 0x00100000
_SHARE_READ_WRITE: Final = 0x3
_OPEN: Final = 1
_SKIP_SET_EVENT: Final = 2
"""FILE_SKIP_SET_EVENT_ON_HANDLE: nobody waits for the device's own event."""

_NO_TIMEOUT: Final = 2**63 - 1

# Any name below \Device\Afd is a handle of the driver's that is no socket.
_DEVICE: Final = "\\Device\\Afd\\httpx_tw"


class AfdEvent(IntFlag):
    """What becomes true of a socket."""

    RECEIVE = 0x0001
    SEND = 0x0004
    DISCONNECT = 0x0008
    """The peer sends no more."""
    ABORT = 0x0010
    """The connection was reset."""
    LOCAL_CLOSE = 0x0020
    """The socket was closed here."""
    ACCEPT = 0x0080
    CONNECT_FAIL = 0x0100


class Operation(ctypes.Structure):
    """One poll of one socket, which the kernel writes to when it completes.

    It must not move or go away before that, not even when it was cancelled.
    """

    _fields_: ClassVar = [
        # IO_STATUS_BLOCK
        ("status", ctypes.c_size_t),
        ("information", ctypes.c_size_t),
        # AFD_POLL_INFO, with room for one AFD_POLL_HANDLE_INFO
        ("timeout", ctypes.c_int64),
        ("count", ctypes.c_uint32),
        ("is_exclusive", ctypes.c_uint32),
        ("socket", ctypes.c_size_t),
        ("events", ctypes.c_uint32),
        ("socket_status", ctypes.c_int32),
    ]

    # Of ours, beside the fields.
    watch: Any
    """Whom it tells; None: nobody any more."""
    wait: int
    """The number of the wait that began it."""

    @property
    def address(self) -> int:
        """How the completion port names it."""
        return ctypes.addressof(self)

    def prepare(self, socket: int, events: int) -> None:
        """Fill it in, for one poll of *socket* for *events*."""
        self.status = PENDING
        self.information = 0
        self.timeout = _NO_TIMEOUT
        self.count = 1
        self.is_exclusive = 0
        self.socket = socket
        self.events = events
        self.socket_status = 0

    @property
    def happened(self) -> int:
        """What has become true (AfdEvent), once it has completed; 0: nothing."""
        if self.status & 0xFFFFFFFF != SUCCESS or not self.count:
            return 0
        return int(self.events)


_POLL_INFO_AT: Final = 2 * ctypes.sizeof(ctypes.c_size_t)  # behind the status block
_POLL_INFO_SIZE: Final = ctypes.sizeof(Operation) - _POLL_INFO_AT


class _UnicodeString(ctypes.Structure):
    _fields_: ClassVar = [
        ("length", ctypes.c_uint16),
        ("maximum_length", ctypes.c_uint16),
        ("buffer", ctypes.c_wchar_p),
    ]


class _ObjectAttributes(ctypes.Structure):
    _fields_: ClassVar = [
        ("length", ctypes.c_uint32),
        ("root_directory", ctypes.c_void_p),
        ("object_name", ctypes.POINTER(_UnicodeString)),
        ("attributes", ctypes.c_uint32),
        ("security_descriptor", ctypes.c_void_p),
        ("security_quality_of_service", ctypes.c_void_p),
    ]


class _StatusBlock(ctypes.Structure):
    _fields_: ClassVar = [
        ("status", ctypes.c_size_t),
        ("information", ctypes.c_size_t),
    ]


class _Entry(ctypes.Structure):  # OVERLAPPED_ENTRY
    _fields_: ClassVar = [
        ("key", ctypes.c_size_t),
        ("operation", ctypes.c_void_p),
        ("internal", ctypes.c_size_t),
        ("bytes_transferred", ctypes.c_uint32),
    ]


class AfdCalls:
    """The calls, with their failures as OSError.

    :raises OSError: ENOSYS when this is not Windows.
    """

    def __init__(self) -> None:
        if os.name != "nt":
            raise OSError(errno.ENOSYS, "completion ports are Windows'")
        # Any: typeshed has these on Windows only, and the types are checked everywhere.
        windows: Any = ctypes
        self._kernel32 = windows.WinDLL("kernel32", use_last_error=True)
        self._ntdll = windows.WinDLL("ntdll")
        self._winsock = windows.WinDLL("ws2_32", use_last_error=True)
        self._last_error = windows.get_last_error
        self._declare()

    def _declare(self) -> None:
        pointer, dword, handle = ctypes.c_void_p, wintypes.DWORD, ctypes.c_void_p
        kernel32, ntdll, winsock = self._kernel32, self._ntdll, self._winsock
        declared = [
            (kernel32.CreateIoCompletionPort, handle, [handle, handle, pointer, dword]),
            (
                kernel32.GetQueuedCompletionStatusEx,
                wintypes.BOOL,
                [handle, pointer, dword, pointer, dword, wintypes.BOOL],
            ),
            (
                kernel32.PostQueuedCompletionStatus,
                wintypes.BOOL,
                [handle, dword, pointer, pointer],
            ),
            (
                kernel32.SetFileCompletionNotificationModes,
                wintypes.BOOL,
                [handle, ctypes.c_ubyte],
            ),
            (kernel32.GetHandleInformation, wintypes.BOOL, [handle, pointer]),
            (kernel32.CloseHandle, wintypes.BOOL, [handle]),
            (
                ntdll.NtCreateFile,
                ctypes.c_uint32,
                [pointer, dword, *[pointer] * 3, *[dword] * 4, pointer, dword],
            ),
            (
                ntdll.NtDeviceIoControlFile,
                ctypes.c_uint32,
                [handle, handle, *[pointer] * 3, dword, pointer, dword, pointer, dword],
            ),
            (ntdll.NtCancelIoFileEx, ctypes.c_uint32, [handle, pointer, pointer]),
            (ntdll.RtlNtStatusToDosError, dword, [ctypes.c_uint32]),
            (
                winsock.WSAIoctl,
                ctypes.c_int,
                [handle, dword, pointer, dword, pointer, dword, *[pointer] * 3],
            ),
        ]
        for function, result, arguments in declared:
            function.restype = result
            function.argtypes = arguments

    def _failure(self, code: int | None = None) -> OSError:
        code = self._last_error() if code is None else code
        # Windows' constructor finds the errno and the words for it.
        return OSError(0, f"Windows error {code}", None, code)

    # The port

    def open_port(self) -> int:
        """Return a new completion port."""
        port = self._kernel32.CreateIoCompletionPort(_INVALID_HANDLE, None, None, 0)
        if not port:
            raise self._failure()
        return int(port)

    def post(self, port: int) -> None:
        """Put an entry of no operation into *port*. From any thread."""
        if not self._kernel32.PostQueuedCompletionStatus(port, 0, None, None):
            raise self._failure()

    def take(self, port: int, limit: int, milliseconds: int) -> list[int | None]:
        """Wait for entries, and return the addresses of their operations.

        None stands for one that was posted. At most *limit* of them; none when the time
        has passed.
        """
        entries = (_Entry * limit)()
        count = wintypes.ULONG()
        if not self._kernel32.GetQueuedCompletionStatusEx(
            port, entries, limit, ctypes.byref(count), milliseconds, False
        ):
            code = self._last_error()
            if code == _WAIT_TIMEOUT:
                return []
            raise self._failure(code)
        return [entry.operation for entry in entries[: count.value]]

    def close(self, handle: int) -> None:
        """Close a port or a device."""
        if not self._kernel32.CloseHandle(handle):
            raise self._failure()

    # The driver

    def open_device(self, port: int) -> int:
        """Return a new handle of the driver, whose completions go to *port*."""
        name = _UnicodeString(len(_DEVICE) * 2, len(_DEVICE) * 2, _DEVICE)
        attributes = _ObjectAttributes(
            ctypes.sizeof(_ObjectAttributes), None, ctypes.pointer(name), 0, None, None
        )
        device = ctypes.c_void_p()
        block = _StatusBlock()
        status = self._ntdll.NtCreateFile(
            ctypes.byref(device),
            _SYNCHRONIZE,
            ctypes.byref(attributes),
            ctypes.byref(block),
            None,
            0,
            _SHARE_READ_WRITE,
            _OPEN,
            0,
            None,
            0,
        )
        if status != SUCCESS:
            raise self._failure(self._ntdll.RtlNtStatusToDosError(status))
        handle = int(device.value or 0)
        if not self._kernel32.CreateIoCompletionPort(
            handle, port, None, 0
        ) or not self._kernel32.SetFileCompletionNotificationModes(
            handle, _SKIP_SET_EVENT
        ):
            failure = self._failure()
            self.close(handle)
            raise failure
        return handle

    def base_socket(self, fd: int) -> int:
        """Return the socket of the driver's that is under *fd*.

        What is installed between Winsock and the driver (a "layered service provider")
        gives sockets of its own, which the driver does not know.

        :raises OSError: EBADF when it is not open, ENOTSOCK when it is no socket.
        """
        flags = wintypes.DWORD()
        # Asked first: Wine answers the others for whatever number it is given. To this
        # one, -1 is the process.
        if fd < 0 or (
            not self._kernel32.GetHandleInformation(fd, ctypes.byref(flags))
            and self._last_error() == _ERROR_INVALID_HANDLE
        ):
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        base = ctypes.c_void_p()
        length = wintypes.DWORD()
        # Some of what is in between answers the second question only.
        for question in (_SIO_BASE_HANDLE, _SIO_BSP_HANDLE_POLL):
            if not self._winsock.WSAIoctl(
                fd,
                question,
                None,
                0,
                ctypes.byref(base),
                ctypes.sizeof(base),
                ctypes.byref(length),
                None,
                None,
            ):
                return int(base.value or 0)
        raise OSError(errno.ENOTSOCK, "not a socket, and nothing else can be watched")

    def begin(self, device: int, operation: Operation) -> int:
        """Begin *operation*, and return its status.

        SUCCESS and PENDING: the port will have it. Anything else: it will not.
        """
        block = ctypes.addressof(operation)
        information = block + _POLL_INFO_AT
        return int(
            self._ntdll.NtDeviceIoControlFile(
                device,
                None,
                None,
                block,
                block,
                _IOCTL_AFD_POLL,
                information,
                _POLL_INFO_SIZE,
                information,
                _POLL_INFO_SIZE,
            )
        )

    def cancel(self, device: int, operation: Operation) -> None:
        """Have *operation* complete soon, if it has not.

        The port will have it either way.
        """
        block = _StatusBlock()
        # What it answers changes nothing: the entry of the port says how it ended.
        self._ntdll.NtCancelIoFileEx(
            device, ctypes.addressof(operation), ctypes.byref(block)
        )
