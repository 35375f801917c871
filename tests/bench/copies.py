#!/usr/bin/env python3
"""CPU of the ways in which a head and a body can be given to a socket.

    python tests/bench/copies.py
    python tests/bench/copies.py --sizes 4096,1048576 --rounds 9

Over loopback, to a process that reads and throws away. What counts is the CPU time of
the thread that sends, user and system; the softirq work that the kernel does on its
behalf is in it. The least of the rounds is shown, and the most. Ways:

    joined      head and body joined, one send (a body in memory)
    two-sends   head, then body (a body in memory)
    sendmsg     head and body as two parts of one sendmsg
    zerocopy    head, then the body with MSG_ZEROCOPY, waiting for the kernel's word
                that the pages are free
    pread       read from a file, joined, one send
    sendfile    head, then sendfile
    more        head with MSG_MORE, then sendfile
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from harness.report import table, write_json

if TYPE_CHECKING:
    from collections.abc import Callable

SIZES = (4096, 16384, 65536, 262144, 1048576)
HEAD = b"HTTP/1.1 200 OK\r\n" + b"x-field: some value\r\n" * 10 + b"\r\n"

# linux/socket.h and asm-generic/socket.h; Python has no names for them.
SO_ZEROCOPY = 60
MSG_ZEROCOPY = 0x4000000

READER = """
import socket, sys
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
connection, _ = listener.accept()
buffer = bytearray(1 << 20)
while connection.recv_into(buffer):
    pass
"""


class Sender:
    """The ways to send, over one connection."""

    def __init__(self, connection: socket.socket, size: int, fd: int) -> None:
        self.socket = connection
        self.size = size
        self.fd = fd
        self.body = os.urandom(size)
        self.completed = 0
        self.asked = 0

    def joined(self) -> None:
        self.socket.sendall(HEAD + self.body)

    def two_sends(self) -> None:
        self.socket.sendall(HEAD)
        self.socket.sendall(self.body)

    def sendmsg(self) -> None:
        sent = self.socket.sendmsg([HEAD, self.body])
        if sent < len(HEAD) + self.size:
            self.socket.sendall(memoryview(self.body)[sent - len(HEAD) :])

    def zerocopy(self) -> None:
        self.socket.sendall(HEAD)
        rest = memoryview(self.body)
        while rest:
            rest = rest[self.socket.send(rest, MSG_ZEROCOPY) :]
            self.asked += 1
        while self.completed < self.asked:
            try:
                _, control, _, _ = self.socket.recvmsg(0, 128, socket.MSG_ERRQUEUE)
            except BlockingIOError:
                continue
            # struct sock_extended_err: the first and the last that are free.
            word = control[0][2]
            self.completed = int.from_bytes(word[12:16], sys.byteorder) + 1

    def pread(self) -> None:
        self.socket.sendall(HEAD + os.pread(self.fd, self.size, 0))

    def sendfile(self) -> None:
        self.socket.sendall(HEAD)
        self._file()

    def more(self) -> None:
        self.socket.send(HEAD, socket.MSG_MORE)
        self._file()

    def _file(self) -> None:
        offset = 0
        while offset < self.size:
            offset += os.sendfile(
                self.socket.fileno(), self.fd, offset, self.size - offset
            )


WAYS: dict[str, Callable[[Sender], None]] = {
    "joined": Sender.joined,
    "two-sends": Sender.two_sends,
    "sendmsg": Sender.sendmsg,
    "zerocopy": Sender.zerocopy,
    "pread": Sender.pread,
    "sendfile": Sender.sendfile,
    "more": Sender.more,
}


def main() -> int:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--sizes",
        type=lambda text: [int(size) for size in text.split(",")],
        default=list(SIZES),
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--mib", type=int, default=64, help="sent a round and way")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    found: dict[str, dict[str, list[float]]] = {}
    for size in options.sizes:
        count = max(20, min(2000, (options.mib << 20) // size))
        each = found[str(size)] = {way: [] for way in WAYS}
        for _ in range(options.rounds):
            for way in WAYS:
                each[way].append(measure(way, size, count))
    rows = [
        [size, *(f"{min(each[way]):.1f}-{max(each[way]):.1f}" for way in WAYS)]
        for size, each in found.items()
    ]
    print("CPU us of the sender for head and body, least and most of the rounds")
    print(table(["bytes", *WAYS], rows))
    write_json(options.json, {"found": found})
    return 0


def measure(way: str, size: int, count: int) -> float:
    """Return the CPU microseconds of sending once."""
    with (
        tempfile.TemporaryFile() as file,
        subprocess.Popen(
            [sys.executable, "-c", READER], stdout=subprocess.PIPE, text=True
        ) as reader,
    ):
        file.write(os.urandom(size))
        file.flush()
        assert reader.stdout is not None
        port = int(reader.stdout.readline())
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.setsockopt(socket.SOL_SOCKET, SO_ZEROCOPY, 1)
            sender = Sender(connection, size, file.fileno())
            send = WAYS[way]
            for _ in range(10):
                send(sender)
            before = time.thread_time()
            for _ in range(count):
                send(sender)
            return (time.thread_time() - before) / count * 1e6


if __name__ == "__main__":
    sys.exit(main())
