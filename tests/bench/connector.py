#!/usr/bin/env python3
"""A process that keeps thousands of idle connections to one server.

One thread, non-blocking sockets, one epoll. It obeys lines on standard input and
answers each with one line of JSON on standard output:

    open N     have N connections in all, each answered once
    check N    ask N of them again, evenly spread, and say how many answered
    close      close all

Arguments: PORT, and how many connections may wait for an answer at once. Connections
come from 127.0.0.2 to 127.0.0.9 in turn, so that no address runs out of ports.
``harness.idlers`` drives it.
"""

from __future__ import annotations

import contextlib
import errno
import json
import resource
import select
import socket
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SOURCES = [f"127.0.0.{last}" for last in range(2, 10)]
REQUEST = b"GET / HTTP/1.1\r\nHost: www.shop.example\r\n\r\n"
QUIET_SECONDS = 30.0
"""Without any progress for so long, what is still waiting has failed."""
IP_BIND_ADDRESS_NO_PORT = 24
"""linux/in.h: choose the port at connect, when the whole four-tuple is known."""


class Connector:
    """All connections to one server, and the epoll that watches those in flight."""

    def __init__(self, port: int, in_flight: int) -> None:
        self.in_flight = in_flight
        self.target = ("127.0.0.1", port)
        self.idle: list[socket.socket] = []
        self.poll = select.epoll()
        self.waiting: dict[int, tuple[socket.socket, bytearray]] = {}

    def open(self, total: int) -> dict[str, object]:
        """Have *total* connections, each answered once."""
        began = time.monotonic()
        before, missing = len(self.idle), total - len(self.idle)
        answered, failed = self._ask(self._dial(number) for number in range(missing))
        self.idle += answered
        return {
            "asked": missing,
            "answered": len(self.idle) - before,
            "failed": failed,
            "seconds": round(time.monotonic() - began, 3),
        }

    def check(self, count: int) -> dict[str, object]:
        """Ask *count* of the connections again."""
        began = time.monotonic()
        step = max(1, len(self.idle) // max(1, count))
        sample = self.idle[::step][:count]
        answered, failed = self._ask(self._ask_again(one) for one in sample)
        return {
            "asked": len(sample),
            "answered": len(answered),
            "failed": failed,
            "seconds": round(time.monotonic() - began, 3),
        }

    def close(self) -> dict[str, object]:
        """Close all connections."""
        count = len(self.idle)
        for connection in self.idle:
            connection.close()
        self.idle.clear()
        return {"closed": count}

    def _ask(
        self, asked: Iterable[socket.socket | str]
    ) -> tuple[list[socket.socket], dict[str, int]]:
        """Run connections to their answers, a bounded number of them at a time.

        An item of *asked* is a connection that was registered, or why there is none.
        """
        answered: list[socket.socket] = []
        failed: dict[str, int] = {}
        queue: Iterator[socket.socket | str] = iter(asked)
        is_more = True
        while is_more or self.waiting:
            while is_more and len(self.waiting) < self.in_flight:
                found = next(queue, None)
                is_more = found is not None
                if isinstance(found, str):
                    failed[found] = failed.get(found, 0) + 1
            if not self.waiting:
                break
            events = self.poll.poll(QUIET_SECONDS)
            if not events:
                self._give_up(failed)
            for fd, mask in events:
                self._advance(fd, mask, answered, failed)
        return answered, failed

    def _dial(self, number: int) -> socket.socket | str:
        try:
            connection = socket.socket()
        except OSError as error:
            return _name(error)
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        try:
            connection.bind((SOURCES[number % len(SOURCES)], 0))
            connection.connect(self.target)
        except BlockingIOError:
            pass
        except OSError as error:
            connection.close()
            return _name(error)
        self._watch(connection, select.EPOLLOUT)
        return connection

    def _ask_again(self, connection: socket.socket) -> socket.socket | str:
        try:
            connection.send(REQUEST)
        except OSError as error:
            return _name(error)
        self._watch(connection, select.EPOLLIN)
        return connection

    def _watch(self, connection: socket.socket, mask: int) -> None:
        self.waiting[connection.fileno()] = (connection, bytearray())
        self.poll.register(connection, mask)

    def _advance(
        self,
        fd: int,
        mask: int,
        answered: list[socket.socket],
        failed: dict[str, int],
    ) -> None:
        connection, received = self.waiting[fd]
        try:
            if mask & select.EPOLLOUT and not mask & select.EPOLLERR:
                connection.send(REQUEST)
                self.poll.modify(fd, select.EPOLLIN)
                return
            piece = connection.recv(4096)
        except OSError as error:
            self._finish(fd, failed, _name(error))
            return
        received += piece
        if not piece:
            self._finish(fd, failed, "closed by the server")
        elif _is_complete(received):
            self._finish(fd, failed, "" if _is_200(received) else "not 200")
            if _is_200(received):
                answered.append(connection)

    def _finish(self, fd: int, failed: dict[str, int], why: str) -> None:
        connection, _ = self.waiting.pop(fd)
        self.poll.unregister(fd)
        if why:
            failed[why] = failed.get(why, 0) + 1
            # Closed here and dropped when next asked: the list is not searched.
            connection.close()

    def _give_up(self, failed: dict[str, int]) -> None:
        for fd in list(self.waiting):
            self._finish(fd, failed, f"no answer in {QUIET_SECONDS:.0f} s")


def _is_200(received: bytearray) -> bool:
    return received.startswith(b"HTTP/1.1 200 ")


def _is_complete(received: bytearray) -> bool:
    head, end, body = received.partition(b"\r\n\r\n")
    if not end:
        return False
    lengths = [
        int(line[15:])
        for line in bytes(head).lower().split(b"\r\n")
        if line.startswith(b"content-length:")
    ]
    return not lengths or len(body) >= lengths[0]


def _name(error: OSError) -> str:
    return errno.errorcode.get(error.errno or 0, type(error).__name__)


def main() -> None:
    """Obey until standard input ends."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    connector = Connector(int(sys.argv[1]), int(sys.argv[2]))
    for line in sys.stdin:
        match line.split():
            case ["open", count]:
                answer = connector.open(int(count))
            case ["check", count]:
                answer = connector.check(int(count))
            case ["close"]:
                answer = connector.close()
            case _:
                answer = {"failed": {f"unknown order: {line.strip()}": 1}}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
