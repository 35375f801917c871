#!/usr/bin/env python3
"""CPU and stalls of a client that downloads to a file and uploads from one.

    python tests/bench/client_files.py
    python tests/bench/client_files.py --mib 256 --rounds 5 --directory /var/tmp

A process of its own serves and takes; another, with the client, does one thing a round
and says what CPU it took, how long that was, and the longest time the reactor was kept
from its clock. Ways down: nothing but counting (``count``), to a file on threads in
batches (``save``, what ClientResponse.save does), the same on the reactor thread
(``save-inline``), and ``file.write`` in the loop (``write``). Ways up: by sendfile
(``sendfile``), and the file read in pieces (``read``), as over TLS. The exit status is
1 when a byte was lost, or when sendfile or ``save`` do not pay.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from client_memory import SERVE, SOURCE, wait_for
from harness.processes import free_port
from harness.report import table, verdict, write_json

ASK = """
import json, os, sys, time
from pathlib import Path
from twisted.application.reactors import installReactor
installReactor("httpx-epoll")
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from httpx_tw import Client, Timeout
from httpx_tw.client import saving
from httpx_tw.client.connection import HTTP1Connection
from httpx_tw.workers.disk import DiskThreads

url, what, mib, path = sys.argv[1], sys.argv[2], int(sys.argv[3]), Path(sys.argv[4])
if len(sys.argv) > 5:
    saving.BATCH = int(sys.argv[5])
client = Client(timeout=Timeout(total=None), retries=0)
latest = [0.0, 0.0]

def tick():
    now = time.perf_counter()
    if latest[0]:
        latest[1] = max(latest[1], now - latest[0])
    latest[0] = now

async def down():
    total = 0
    async with client.stream("GET", f"{url}/down/{mib}") as response:
        if what == "count":
            async for piece in response:
                total += len(piece)
        elif what == "write":
            with path.open("wb") as file:
                async for piece in response:
                    total += len(piece)
                    file.write(piece)
        else:
            if what == "save-inline":
                object.__setattr__(response.connection, "disk", DiskThreads())
            total = await response.save(path)
    return total == mib << 20

async def up():
    if what == "read":
        HTTP1Connection.sends_files = False
    response = await client.post(f"{url}/up", content=path)
    return response.text() == str(mib << 20)

async def main():
    try:
        await client.post(f"{url}/up", content=b"warm")
        ticking = LoopingCall(tick)
        ticking.start(0.002)
        before, started = os.times(), time.perf_counter()
        well = await (up if what in ("sendfile", "read") else down)()
        taken, after = time.perf_counter() - started, os.times()
        ticking.stop()
        cpu = after.user + after.system - before.user - before.system
        print(json.dumps({"cpu": cpu, "took": taken, "stall": latest[1], "well": well}))
        await client.close()
    finally:
        reactor.stop()

reactor.callWhenRunning(lambda: Deferred.fromCoroutine(main()))
reactor.run()
"""

WAYS = ("count", "write", "save-inline", "save", "read", "sendfile")


def main() -> int:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--mib", type=int, default=256, help="of each body")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--directory", help="where the files are; None: the default")
    parser.add_argument("--batch", default="", help="bytes, in place of saving.BATCH")
    parser.add_argument("--ways", default=",".join(WAYS))
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    ways = options.ways.split(",")
    port = free_port()
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    found: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
    with (
        tempfile.TemporaryDirectory(dir=options.directory) as directory,
        subprocess.Popen(
            [sys.executable, "-c", SERVE, str(port)], env=environment
        ) as server,
    ):
        path = Path(directory) / "file"
        try:
            wait_for(port)
            for _ in range(options.rounds):
                for way in ways:
                    if way in ("sendfile", "read"):
                        make(path, options.mib)
                    done = subprocess.run(
                        [
                            sys.executable, "-c", ASK, f"http://127.0.0.1:{port}", way,
                            str(options.mib), str(path), *options.batch.split(),
                        ],
                        env=environment, capture_output=True, text=True, check=True,
                        timeout=600,
                    )  # fmt: skip
                    found[way].append(json.loads(done.stdout))
                    path.unlink(missing_ok=True)
        finally:
            server.kill()
    print(report(found, options.mib))
    good = verdict(
        "every byte was there",
        holds=all(one["well"] for rounds in found.values() for one in rounds),
    )
    for better, worse, figure in (
        ("sendfile", "read", "cpu"),
        ("save", "write", "stall"),
    ):
        if better in found and worse in found:
            good &= verdict(
                f"{better} has less {figure} than {worse}",
                holds=middle(found[better], figure) < middle(found[worse], figure),
            )
    write_json(options.json, {"mib": options.mib, "found": found})
    return 0 if good else 1


def make(path: Path, mib: int) -> None:
    with path.open("wb") as file:
        for _ in range(mib):
            file.write(os.urandom(1 << 20))


def middle(rounds: list[dict[str, float]], figure: str) -> float:
    return statistics.median(one[figure] for one in rounds)


def report(found: dict[str, list[dict[str, float]]], mib: int) -> str:
    rows = []
    for way, rounds in found.items():
        per_gib = 1024 / mib
        cpu = [one["cpu"] * 1000 * per_gib for one in rounds]
        took = [one["took"] * 1000 * per_gib for one in rounds]
        rows.append(
            [
                way,
                f"{statistics.median(cpu):.0f}",
                f"{min(cpu):.0f}-{max(cpu):.0f}",
                f"{statistics.median(took):.0f}",
                f"{middle(rounds, 'stall') * 1000:.1f}",
                f"{max(one['stall'] for one in rounds) * 1000:.1f}",
            ]
        )
    columns = ["way", "CPU ms/GiB", "min-max", "ms/GiB", "stall ms", "worst"]
    return table(columns, rows)


if __name__ == "__main__":
    sys.exit(main())
