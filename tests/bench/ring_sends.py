#!/usr/bin/env python3
"""What it costs to send a body: by send(2), by the ring, by the ring without a copy.

    python tests/bench/ring_sends.py
    python tests/bench/ring_sends.py --sizes 65536 --rounds 5

One connection over loopback, a process on another core that reads it. "zero-copy" is
IORING_OP_SEND_ZC, which pins the pages in place of copying them, and says when they are
free; and whether it had to copy all the same. It ends with 1 when a byte is missing.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import socket
import statistics
import sys
import time
from typing import TYPE_CHECKING

from harness.machine import describe, warn_if_busy
from harness.processes import pin
from harness.report import table
from harness.servers import SOURCE

sys.path.insert(0, str(SOURCE))

from httpx_tw.reactors.ring import HAS_MORE, SEND, Ring  # found there

if TYPE_CHECKING:
    from collections.abc import Callable

SEND_ZC = 47
REPORT_USAGE = 1 << 3
COPIED = 1 << 31
IS_NOTICE = 1 << 3
FLAGS = socket.MSG_WAITALL | socket.MSG_NOSIGNAL

copies = [0, 0]
"""How many zero-copy sends copied, of how many."""


def by_send(end: socket.socket, body: ctypes.Array[ctypes.c_char], _: Ring) -> None:
    end.sendall(body)


def by_ring(end: socket.socket, body: ctypes.Array[ctypes.c_char], ring: Ring) -> None:
    ring.push(SEND, 0, 0, end.fileno(), 0, ctypes.addressof(body), len(body), FLAGS, 1)
    ring.enter(1, None)
    ((_, result, _flags),) = ring.reap()
    assert result == len(body), result


def by_zero_copy(
    end: socket.socket, body: ctypes.Array[ctypes.c_char], ring: Ring
) -> None:
    at = ctypes.addressof(body)
    ring.push(SEND_ZC, 0, REPORT_USAGE, end.fileno(), 0, at, len(body), FLAGS, 1)
    waits_for = 2  # what became of it, and that the pages are free
    while waits_for:
        ring.enter(1, None)
        for _, result, flags in ring.reap():
            waits_for -= 1
            if flags & IS_NOTICE:
                copies[0] += bool(result & COPIED)
                copies[1] += 1
            else:
                assert result == len(body), result
                waits_for -= not flags & HAS_MORE


WAYS: dict[str, Callable[[socket.socket, ctypes.Array[ctypes.c_char], Ring], None]] = {
    "send(2)": by_send,
    "ring": by_ring,
    "ring, zero-copy": by_zero_copy,
}


def cpu() -> float:
    """Return this process's CPU time, in seconds."""
    return time.clock_gettime(time.CLOCK_PROCESS_CPUTIME_ID)


def reader(listening: socket.socket, core: int) -> int:
    """Start a process that reads, and says how much by its exit status: 0 is all."""
    child = os.fork()
    if child:
        return child
    pin(core)
    status = 1
    try:
        end, _ = listening.accept()
        room = bytearray(1 << 20)
        wanted = int.from_bytes(end.recv(8, socket.MSG_WAITALL), "little")
        while wanted > 0 and (count := end.recv_into(room)):
            wanted -= count
        end.sendall(b"!")
        status = 0 if not wanted else 1
    finally:
        os._exit(status)


def one_round(name: str, size: int, total: int, core: int) -> float:
    """Return the CPU microseconds of one send."""
    with socket.create_server(("127.0.0.1", 0)) as listening, Ring() as ring:
        child = reader(listening, core)
        body = ctypes.create_string_buffer(os.urandom(size), size)
        count = total // size
        with socket.create_connection(listening.getsockname()) as end:
            end.sendall((count * size).to_bytes(8, "little"))
            before = cpu()
            for _ in range(count):
                WAYS[name](end, body, ring)
            used = cpu() - before
            end.recv(1)
        _, status = os.waitpid(child, 0)
        if status:
            print("INVALID: bytes are missing", file=sys.stderr)
            raise SystemExit(1)
    return used / count * 1e6


def main() -> int:
    """Measure all ways in turn, and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--sizes", default="4096,65536,1048576")
    add("--rounds", type=int, default=5)
    add("--total", type=int, default=256 << 20, help="bytes of a round")
    options = parser.parse_args()
    warn_if_busy()
    pin(0)
    rows = []
    for size in map(int, options.sizes.split(",")):
        found: dict[str, list[float]] = {name: [] for name in WAYS}
        for _ in range(options.rounds):
            for name in WAYS:
                total = min(options.total, 20_000 * size)
                found[name].append(one_round(name, size, total, 1))
        for name, costs in found.items():
            span = f"{min(costs):.1f}-{max(costs):.1f}"
            rows.append([f"{size}", name, f"{statistics.median(costs):.1f}", span])
    print(f"\n{describe()}")
    print(table(["bytes", "by", "CPU us/send", "min-max"], rows))
    print(f"{copies[0]} of {copies[1]} zero-copy sends had to copy all the same")
    return 0


if __name__ == "__main__":
    sys.exit(main())
