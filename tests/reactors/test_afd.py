"""The calls of Windows: the memory they are given, and what each does there."""

from __future__ import annotations

import ctypes
import errno
import os
import socket

from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.reactors.afd import (
    CANCELLED,
    PENDING,
    SUCCESS,
    AfdCalls,
    AfdEvent,
    Operation,
)

IS_WINDOWS = os.name == "nt"


class OperationTests(SynchronousTestCase):
    def test_its_memory_is_laid_out_as_the_driver_wants_it(self) -> None:
        # IO_STATUS_BLOCK, AFD_POLL_INFO and AFD_POLL_HANDLE_INFO, for 64 bits.
        assert ctypes.sizeof(Operation) == 16 + 16 + 16
        operation = Operation()
        operation.prepare(0x1234, AfdEvent.RECEIVE | AfdEvent.ABORT)
        assert bytes(operation) == b"".join(
            [
                PENDING.to_bytes(8, "little"),
                bytes(8),
                (2**63 - 1).to_bytes(8, "little"),
                (1).to_bytes(4, "little") + bytes(4),
                (0x1234).to_bytes(8, "little"),
                (0x11).to_bytes(4, "little") + bytes(4),
            ]
        )

    def test_what_happened_is_known_when_it_has_completed(self) -> None:
        operation = Operation()
        operation.prepare(1, AfdEvent.SEND)
        assert operation.happened == 0
        operation.status = SUCCESS
        assert operation.happened == AfdEvent.SEND
        operation.count = 0
        assert operation.happened == 0, "it timed out"
        operation.status = CANCELLED
        operation.count = 1
        assert operation.happened == 0


class ElsewhereTests(SynchronousTestCase):
    if IS_WINDOWS:
        skip = "this is Windows"

    def test_there_are_none(self) -> None:
        with self.assertRaises(OSError) as caught:
            AfdCalls()
        self.assertEqual(caught.exception.errno, errno.ENOSYS)


class WindowsTests(SynchronousTestCase):
    if not IS_WINDOWS:
        skip = "this is not Windows"

    def setUp(self) -> None:
        self.calls = AfdCalls()
        self.port = self.calls.open_port()
        self.device = self.calls.open_device(self.port)
        self.ours, self.theirs = socket.socketpair()
        for end in (self.ours, self.theirs):
            self.addCleanup(end.close)

    def tearDown(self) -> None:
        self.calls.close(self.device)
        self.calls.close(self.port)

    def begun(self, events: int) -> Operation:
        operation = Operation()
        base = self.calls.base_socket(self.ours.fileno())
        operation.prepare(base, events)
        status = self.calls.begin(self.device, operation)
        assert status in (SUCCESS, PENDING), hex(status)
        return operation

    def test_a_poll_completes_when_something_of_it_is_true(self) -> None:
        operation = self.begun(AfdEvent.RECEIVE)
        assert self.calls.take(self.port, 8, 0) == []
        self.theirs.send(b"x")
        assert self.calls.take(self.port, 8, 5000) == [operation.address]
        assert operation.happened == AfdEvent.RECEIVE

    def test_one_that_is_cancelled_comes_back(self) -> None:
        operation = self.begun(AfdEvent.RECEIVE)
        self.calls.cancel(self.device, operation)
        assert self.calls.take(self.port, 8, 5000) == [operation.address]
        assert operation.status & 0xFFFFFFFF == CANCELLED

    def test_what_is_posted_is_taken(self) -> None:
        self.calls.post(self.port)
        assert self.calls.take(self.port, 8, 5000) == [None]

    def test_what_is_no_socket_is_refused(self) -> None:
        for wrong in (-1, 0x7FFFFFFC):
            with self.assertRaises(OSError) as caught:
                self.calls.base_socket(wrong)
            self.assertEqual(caught.exception.errno, errno.EBADF)

    def test_failures_are_errors(self) -> None:
        closed = self.calls.open_port()
        self.calls.close(closed)
        for call in (
            lambda: self.calls.post(closed),
            lambda: self.calls.take(closed, 8, 0),
            lambda: self.calls.open_device(closed),
            lambda: self.calls.close(closed),
        ):
            with self.assertRaises(OSError):
                call()
