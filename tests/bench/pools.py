#!/usr/bin/env python3
"""CPU per call of the worker pools, and of Twisted's.

    python tests/bench/pools.py
    python tests/bench/pools.py --calls 20000 --rounds 1           # does it work?
    python tests/bench/pools.py --claim 'lean offload<=0.4*lean deferToThread'

Two tables. In the first, so many descriptors (``--in-flight``) are each readable, do
one trivial call when they are, and are made readable again when told its result: what a
server does, less HTTP. CPU time is that of the whole process. "inline" makes the call
on the reactor thread: what the others cost more is the price of the thread.

In the second, calls submit calls and wait for them (the tree of Fibonacci's recursion),
on as many workers as there are cores. "called" is the recursion without a pool.

Each round runs each row once, in a process of its own, pinned to one core (``--core``;
the second table to none). A row with a wrong result ends the script with status 1, as
does a claim that does not hold.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import sysconfig
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.machine import describe, package_versions, warn_if_busy
from harness.report import table, verdict, write_json

if TYPE_CHECKING:
    from collections.abc import Callable

SOURCE = Path(__file__).parents[2] / "src"
RUN_SECONDS = 300
WAYS = ("inline", "offload", "submit", "one-by-one", "deferToThread")
REACTORS = ("lean", "epoll")
TREES = ("called", "WorkerPool", "WorkStealingPool")
Rounds = dict[str, list[dict[str, float]]]
CLAIM = re.compile(r"([\w -]+?)<=([\d.]+)\*([\w -]+)")


def main() -> int:
    options = parse_arguments()
    if options.run:
        return run_row(options)
    warn_if_busy()
    record: dict[str, Any] = {"machine": machine(), "options": options_of(options)}
    print(json.dumps(record))
    calls: Rounds = {f"{reactor} {way}": [] for reactor in REACTORS for way in WAYS}
    trees: Rounds = {name: [] for name in TREES}
    for _ in range(options.rounds):
        for row in calls:
            calls[row].append(run_in_child(options, *row.split(" ")))
        for name in TREES:
            trees[name].append(run_in_child(options, "tree", name))
    print(f"\n{options.in_flight} in flight, {options.workers} workers\n")
    print(calls_table(calls))
    print(f"\nfibonacci({options.depth}), a call for each step\n")
    print(trees_table(trees))
    write_json(options.json, {**record, "calls": calls, "trees": trees})
    verdicts = [holds(claim, calls) for claim in options.claim]
    return 0 if all(verdicts) else 1


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--calls", type=int, default=200_000, help="of a round (default 200,000)")
    add("--depth", type=int, default=17, help="of the tree (default 17: 5,167 calls)")
    add("--rounds", type=int, default=5, help="of each row (default 5)")
    add("--in-flight", type=int, default=64, help="calls at a time (default 64)")
    add("--workers", type=int, default=4, help="of the first table (default 4)")
    add("--core", type=int, default=0, help="core of the first table; -1: any")
    add("--claim", action="append", default=[], metavar="ROW<=X*ROW")
    add("--json", type=Path, metavar="FILE", help="write the figures there too")
    add("--run", nargs=2, help=argparse.SUPPRESS)  # how it calls itself for one row
    return parser.parse_args()


def machine() -> dict[str, Any]:
    return {
        **describe(),
        **package_versions(Path(sys.executable), ("twisted",)),
        "gil": not sysconfig.get_config_var("Py_GIL_DISABLED"),
    }


def options_of(options: argparse.Namespace) -> dict[str, Any]:
    return {
        name: getattr(options, name)
        for name in ("calls", "depth", "rounds", "in_flight", "workers", "core")
    }


def run_in_child(options: argparse.Namespace, *row: str) -> dict[str, float]:
    command = [sys.executable, __file__, "--run", *row]
    for name in ("calls", "depth", "in_flight", "workers", "core"):
        command += [f"--{name.replace('_', '-')}", str(getattr(options, name))]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        check=False,
    )
    if done.returncode:
        sys.exit(f"{' '.join(row)} failed:\n{done.stderr}")
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


# Reports


def calls_table(calls: Rounds) -> str:
    lines = []
    for row, rounds in calls.items():
        costs = [each["cpu"] for each in rounds]
        reactor = row.split(" ")[0]
        inline = [each["cpu"] for each in calls[f"{reactor} inline"]]
        more = statistics.median(a - b for a, b in zip(costs, inline, strict=True))
        lines.append(
            (
                row,
                f"{statistics.median(costs):.2f}",
                f"{min(costs):.2f}-{max(costs):.2f}",
                f"{more:+.2f}",
                f"{statistics.median(each['wall'] for each in rounds):.2f}",
            )
        )
    return table(("", "CPU us/call", "of all rounds", "over inline", "wall us"), lines)


def trees_table(trees: Rounds) -> str:
    lines = []
    for row, rounds in trees.items():
        costs = [each["cpu"] for each in rounds]
        walls = [each["wall"] for each in rounds]
        lines.append(
            (
                row,
                f"{statistics.median(costs):.2f}",
                f"{min(costs):.2f}-{max(costs):.2f}",
                f"{statistics.median(walls):.2f}",
                f"{min(walls):.2f}-{max(walls):.2f}",
            )
        )
    return table(("", "CPU us/call", "of all", "wall us/call", "of all"), lines)


def holds(claim: str, calls: Rounds) -> bool:
    match = CLAIM.fullmatch(claim)
    if match is None or not {match[1], match[3]} <= set(calls):
        sys.exit(f"no such claim: {claim} (rows: {', '.join(calls)})")
    ratio = statistics.median(
        one["cpu"] / other["cpu"]
        for one, other in zip(calls[match[1]], calls[match[3]], strict=True)
    )
    return verdict(f"{claim}: {ratio:.3f}", holds=ratio <= float(match[2]))


# One row


def run_row(options: argparse.Namespace) -> int:
    kind, way = options.run
    if kind == "tree":
        figures = grow_tree(way, options.depth)
    else:
        if options.core >= 0:
            os.sched_setaffinity(0, {options.core})
        figures = Circle(kind, way, options).run()
    print(json.dumps(figures))
    return 0


class Circle:
    """Descriptors that make a call when readable, and are readable when told."""

    def __init__(self, kind: str, way: str, options: argparse.Namespace) -> None:
        if kind == "lean":
            from httpx_tw.reactors.epoll import install
        else:
            from twisted.internet.epollreactor import install
        install()
        from twisted.internet import reactor  # noqa: TID251  # its deferToThread does
        from twisted.internet.threads import deferToThread

        from httpx_tw.workers import WorkerPool, WorkerPoolConfig

        self.reactor: Any = reactor
        self.reactor.suggestThreadPoolSize(options.workers)
        self.pool = WorkerPool(WorkerPoolConfig(num_workers=options.workers))
        self.defer = deferToThread
        self.ask: Callable[[Descriptor], object] = {
            "inline": lambda asking: asking.told(work(asking), None),
            "offload": lambda asking: self.pool.offload(work, asking, asking.told),
            "one-by-one": lambda asking: self.pool.offload(work, asking, asking.told),
            "submit": lambda asking: self.pool.submit(work, asking).addCallback(
                asking.told, None
            ),
            "deferToThread": lambda asking: self.defer(work, asking).addCallback(
                asking.told, None
            ),
        }[way]
        if way == "one-by-one":
            # As if each call were a batch: a worker is woken for it at once.
            self.reactor.call_after_batch = lambda function: function()
        self.in_flight = options.in_flight
        self.calls = options.calls
        self.begun = 0
        self.ended = 0

    def run(self) -> dict[str, float]:
        self.pool.start(self.reactor)
        self.reactor.callWhenRunning(self.begin)
        self.reactor.run()
        return {
            "cpu": self.cpu * 1e6 / self.calls,
            "wall": self.wall * 1e6 / self.calls,
        }

    def begin(self) -> None:
        self.cpu, self.wall = -time.process_time(), -time.perf_counter()
        for _ in range(self.in_flight):
            Descriptor(self).again()

    def end(self) -> None:
        self.cpu += time.process_time()
        self.wall += time.perf_counter()
        self.reactor.stop()


class Descriptor:
    """One of them."""

    def __init__(self, circle: Circle) -> None:
        self.circle = circle
        self.ours, self.theirs = socket.socketpair()
        circle.reactor.addReader(self)

    def again(self) -> None:
        if self.circle.begun < self.circle.calls:
            self.circle.begun += 1
            self.theirs.send(b"x")

    def fileno(self) -> int:
        return self.ours.fileno()

    def logPrefix(self) -> str:
        return "descriptor"

    def connectionLost(self, reason: object) -> None:
        del reason

    def doRead(self) -> None:
        self.ours.recv(1)
        self.circle.ask(self)

    def told(self, result: object, failure: object) -> None:
        if result is not self or failure is not None:
            sys.exit(f"told {result!r}, {failure!r}")
        self.circle.ended += 1
        if self.circle.ended == self.circle.calls:
            self.circle.end()
        else:
            self.again()


def work(argument: object) -> object:
    return argument


def grow_tree(name: str, depth: int) -> dict[str, float]:
    from httpx_tw.workers import WorkerPool, WorkStealingPool

    def called(n: int) -> int:
        return n if n < 2 else called(n - 1) + called(n - 2)

    def forked(n: int) -> int:
        if n < 2:
            return n
        other = pool.submit(forked, n - 1)
        here: int = forked(n - 2)
        return here + int(other.result())

    pool: WorkerPool
    pool = {"WorkStealingPool": WorkStealingPool}.get(name, WorkerPool)(name="bench")
    pool.start()
    for _ in range(2):  # the first is to warm up
        cpu, wall = time.process_time(), time.perf_counter()
        found = (
            called(depth) if name == "called" else pool.submit(forked, depth).result()
        )
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    pool.stop()
    assert found == called(depth)
    count = calls_of(depth)
    return {"cpu": cpu * 1e6 / count, "wall": wall * 1e6 / count}


def calls_of(depth: int) -> int:
    return 1 if depth < 2 else 1 + calls_of(depth - 1) + calls_of(depth - 2)


if __name__ == "__main__":
    sys.exit(main())
