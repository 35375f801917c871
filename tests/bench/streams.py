#!/usr/bin/env python3
"""Memory stays flat, and normal clients do not notice, while large bodies go by.

    python tests/bench/streams.py
    python tests/bench/streams.py --readers 50 --gib 4 --upload-gib 2 --rounds 5

First a sparse file of 4 GiB is sent to 50 slow readers at once, each taking 2 MiB/s for
as long as the load runs beside them; then an upload of 2 GiB is streamed through an
endpoint that counts it. Ends with 1 unless

    the server's RSS grows by less than 16 MiB in either,
    the load's p99 is at most 1.5 times what it was without the readers,
    every byte of the upload arrived, and every reader got what it took.
"""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import socket
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.load import Load
from harness.processes import DidNotStart
from harness.report import verdict, write_json
from harness.servers import our_server
from harness.session import Session, arguments, require_tools

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.processes import Process

GIB = 1024**3
MIB = 1024**2
TICK = 0.05
"""Seconds between two reads of a slow reader, at least."""


def main() -> int:
    parser = arguments(__doc__)
    parser.add_argument("--readers", type=int, default=50, help="default %(default)s")
    parser.add_argument("--gib", type=float, default=4, help="size of the file")
    parser.add_argument("--upload-gib", type=float, default=2)
    parser.add_argument(
        "--rate", type=float, default=2, help="MiB/s a reader takes (default 2)"
    )
    parser.add_argument("--max-growth", type=float, default=16, help="MiB")
    parser.add_argument("--max-slowdown", type=float, default=1.5, help="of the p99")
    parser.add_argument("--reactor", default="httpx-epoll", help="default %(default)s")
    options = parser.parse_args()
    require_tools("wrk")
    with tempfile.TemporaryDirectory(prefix="httpx-tw-streams-") as name:
        files = Path(name)
        with (files / "sparse.bin").open("wb") as sparse:
            sparse.truncate(int(options.gib * GIB))
        server = our_server(
            "httpx-tw",
            reactor=options.reactor,
            app="files:app",
            environment={"BENCH_FILES": str(files)},
        )
        with Session(options, [server]) as session:
            try:
                with session.running(server) as (process, port):
                    figures: dict[str, Any] = {}
                    good = downloads(session, process, port, figures)
                    good &= upload(session, process, port, figures)
            except DidNotStart as error:
                print(f"INVALID: did not start: {error}")
                return 1
            write_json(options.json, session.record(**figures))
    return 0 if good else 1


def downloads(
    session: Session, process: Process, port: int, figures: dict[str, Any]
) -> bool:
    """Measure the load without slow readers, with them, and without again."""
    options = session.options
    load = Load(options.connections)
    load.run(port, 1)
    before = [load.run(port, options.seconds) for _ in range(options.rounds)]
    rss = process.rss_kib()
    with slow_readers(port, options.readers, options.rate * MIB) as readers:
        during = [load.run(port, options.seconds) for _ in range(options.rounds)]
        grown = (process.rss_kib() - rss) / 1024
    after = [load.run(port, options.seconds) for _ in range(options.rounds)]
    quiet = statistics.median(one.p99 for one in (*before, *after))
    busy = statistics.median(one.p99 for one in during)
    taken = sum(reader.taken for reader in readers)
    failed = [reader.failure for reader in readers if reader.failure]
    trouble = [one.trouble for one in (*before, *during, *after) if one.trouble]
    figures |= {"rss_growth_downloads_mib": grown, "taken": taken}
    figures |= {"p99_quiet": quiet, "p99_busy": busy}
    size = f"{options.gib:g} GiB to {options.readers} slow readers"
    return all(
        [
            verdict(
                f"{size}: RSS grew by {grown:.1f} MiB, "
                f"less than {options.max_growth:g} ({taken / GIB:.1f} GiB were taken)",
                holds=grown < options.max_growth and not failed,
            ),
            verdict(
                f"p99 of {options.connections} others: {quiet * 1e3:.2f} ms without, "
                f"{busy * 1e3:.2f} with, at most {options.max_slowdown:g} times",
                holds=busy <= options.max_slowdown * quiet and not trouble,
            ),
            *(verdict(f"a reader failed: {each}", holds=False) for each in failed[:3]),
        ]
    )


class SlowReader:
    """Takes so many bytes a second of one download, until it is stopped."""

    def __init__(self, port: int, rate: float) -> None:
        self.taken = 0
        self.failure = ""
        self._piece = int(rate * TICK)
        self._socket = socket.create_connection(("127.0.0.1", port), 10)
        self._socket.sendall(b"GET /files/sparse.bin HTTP/1.1\r\nHost: a\r\n\r\n")

    def read(self) -> None:
        """Take one piece."""
        if self.failure:
            return
        try:
            data = self._socket.recv(self._piece)
        except OSError as error:
            self.failure = repr(error)
            return
        if not data:
            self.failure = "the server closed the connection"
        elif not self.taken and not data.startswith(b"HTTP/1.1 200 "):
            self.failure = repr(data[:60])
        self.taken += len(data)

    def close(self) -> None:
        self._socket.close()


@contextlib.contextmanager
def slow_readers(port: int, count: int, rate: float) -> Iterator[list[SlowReader]]:
    """Read with *count* readers, on one thread, until left."""
    readers = [SlowReader(port, rate) for _ in range(count)]
    stop = threading.Event()

    def run() -> None:
        # One after the other: all at once they would hold up the load, whose core this
        # is, for milliseconds.
        for reader in itertools.cycle(readers):
            if stop.wait(TICK / count):
                return
            reader.read()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield readers
    finally:
        stop.set()
        thread.join()
        for reader in readers:
            reader.close()


def upload(
    session: Session, process: Process, port: int, figures: dict[str, Any]
) -> bool:
    """Send an upload of known length, watching the server's memory."""
    options = session.options
    size = int(options.upload_gib * GIB)
    rss = process.rss_kib()
    most = 0
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    with contextlib.closing(connection):
        connection.putrequest("POST", "/upload")
        connection.putheader("Content-Length", str(size))
        connection.endheaders()
        piece, sent, looked_at = bytes(MIB), 0, 0.0
        while sent < size:
            connection.send(piece[: size - sent])
            sent += min(MIB, size - sent)
            if time.monotonic() - looked_at > 0.1:
                looked_at = time.monotonic()
                most = max(most, process.rss_kib() - rss)
        answer = json.loads(connection.getresponse().read())
    figures |= {"rss_growth_upload_mib": most / 1024}
    return verdict(
        f"an upload of {options.upload_gib:g} GiB: RSS grew by {most / 1024:.1f} MiB, "
        f"less than {options.max_growth:g}",
        holds=most / 1024 < options.max_growth and answer == {"received": size},
    )


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
