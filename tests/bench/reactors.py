#!/usr/bin/env python3
"""What a request costs on each reactor: CPU time, and system calls.

    python tests/bench/reactors.py
    python tests/bench/reactors.py --rounds 5 --connections-list 64 --json reactors.json
    python tests/bench/reactors.py --no-calls      # CPU time alone
    python tests/bench/reactors.py --no-timing     # system calls alone

The same application runs under twistd on httpx-epoll, httpx-uring, Twisted's epoll and
asyncio, and asyncio on uvloop's loop; all five at once, measured in turn (A B C A B …)
for each number of connections and each body. Status and body are checked before and
after. System calls are counted by strace, not while time is measured.

Ends with 1 when an answer was wrong, and when httpx-uring costs more than --most (1.1)
times httpx-epoll at 64 connections and 13 bytes.
"""

from __future__ import annotations

import contextlib
import http.client
import statistics
import sys
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from harness.load import Load
from harness.measure import Round, interleave
from harness.processes import DidNotStart
from harness.report import table, verdict, write_json
from harness.servers import APPS, Place, Server, our_server
from harness.session import Session, arguments, require_tools
from harness.syscalls import calls_per_request

if TYPE_CHECKING:
    from argparse import Namespace

    from harness.processes import Process

    Running = dict[str, tuple[Process, int]]

LARGE = bytes(range(256)) * 256
BODIES = {"13 B": ("/", b"Hello, World!"), "64 KiB": ("/64k", LARGE)}
CONNECTIONS = (1, 64, 1024)
COUNTED = 2048
"""Requests whose system calls are counted."""


def _servers() -> list[Server]:
    app = "bodies:app"
    named = {
        "httpx-epoll": "httpx-epoll",
        "httpx-uring": "httpx-uring",
        "epoll": "epoll",
        "asyncio": "asyncio",
    }
    made = [our_server(name, reactor=kind, app=app) for name, kind in named.items()]
    return [*made, _on_uvloop(made[-1])]


def _on_uvloop(asyncio: Server) -> Server:
    """Return the same server, on the interpreter that has uvloop, on uvloop's loop."""

    def command(place: Place) -> list[str]:
        python = place.peer_python
        assert python is not None
        usual = asyncio.command(replace(place, our_python=python))
        options = usual[usual.index("-n") :]
        return [str(python), str(APPS / "twistd_on_uvloop.py"), *options]

    return replace(
        asyncio,
        name="asyncio+uvloop",
        command=command,
        packages=("twisted", "httptools", "uvloop"),
        needs_peers=True,
        note="asyncio reactor on uvloop",
    )


def main() -> int:
    """Measure, count, print, and return the exit status."""
    parser = arguments(__doc__)
    add = parser.add_argument
    add("--connections-list", default=",".join(map(str, CONNECTIONS)))
    add("--most", type=float, default=1.1, help="httpx-uring by httpx-epoll")
    add("--no-timing", action="store_true", help="count system calls alone")
    add("--no-calls", action="store_true", help="measure CPU time alone")
    parser.set_defaults(seconds=1)
    options = parser.parse_args()
    require_tools("wrk", *([] if options.no_calls else ["strace"]))
    servers = _servers()
    with Session(options, servers) as session, contextlib.ExitStack() as stack:
        try:
            running: Running = {
                server.name: stack.enter_context(
                    session.running(server, many_idle=True)
                )
                for server in servers
            }
        except DidNotStart as error:
            print(f"did not start: {error}", file=sys.stderr)
            return 1
        wrong = check(running)
        cells = {
            (count, body): one_cell(options, running, count, body)
            for count in map(int, options.connections_list.split(","))
            for body in BODIES
        }
        wrong += check(running)
        wrong += [
            f"{name}, {count} connections, {body}: {one.trouble}"
            for (count, body), (rounds, _) in cells.items()
            for name, found in rounds.items()
            for one in found
            if one.trouble
        ]
        report(session, cells)
    for each in wrong:
        print(f"INVALID {each}")
    return 0 if not wrong and holds(options, cells) else 1


Cell = tuple[dict[str, list[Round]], dict[str, float]]


def one_cell(options: Namespace, running: Running, count: int, body: str) -> Cell:
    """Return the rounds, and the system calls for a request, of each server."""
    path, _ = BODIES[body]
    print(f"{count} connections, {body}", file=sys.stderr)
    rounds: dict[str, list[Round]] = {}
    if not options.no_timing:
        load = Load(count, path=path)
        rounds = interleave(running, load, options.rounds, options.seconds)
    calls: dict[str, float] = {}
    if not options.no_calls:
        for name, (process, port) in running.items():
            calls[name], _ = calls_per_request(process.pid, port, path, count, COUNTED)
    return rounds, calls


def check(running: Running) -> list[str]:
    """Ask each server for both bodies; return what was wrong."""
    wrong = []
    for name, (_, port) in running.items():
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        for path, body in BODIES.values():
            connection.request("GET", path)
            response = connection.getresponse()
            if (response.status, response.read()) != (200, body):
                wrong.append(f"{name}: {path} is answered {response.status}, or wrong")
        connection.close()
    return wrong


def cost(rounds: list[Round]) -> str:
    found = [one.cpu_per_request * 1e6 for one in rounds]
    middle = statistics.median(found)
    return f"{middle:.1f} ({min(found):.1f}-{max(found):.1f})"


def ratio(rounds: dict[str, list[Round]], name: str) -> float:
    """Return the median of that server's CPU time by httpx-epoll's, round by round."""
    pairs = zip(rounds[name], rounds["httpx-epoll"], strict=True)
    return statistics.median(a.cpu_per_request / b.cpu_per_request for a, b in pairs)


def report(session: Session, cells: dict[tuple[int, str], Cell]) -> None:
    """Print a table, write the JSON."""
    columns = ["connections, body", "reactor", "CPU us/request", "by httpx-epoll"]
    columns += ["requests/s", "system calls/request"]
    rows = []
    for (count, body), (rounds, calls) in cells.items():
        for name in rounds or calls:
            row = [f"{count}, {body}", name, "-", "-", "-", "-"]
            if rounds:
                speed = statistics.median(one.per_second for one in rounds[name])
                row[2:5] = [
                    cost(rounds[name]),
                    f"{ratio(rounds, name):.2f}",
                    f"{speed:.0f}",
                ]
            if calls:
                row[5] = f"{calls[name]:.2f}"
            rows.append(row)
    print(f"\n{session.record()['machine']}")
    print(table(columns, rows))
    for server in session.servers:
        known = " ".join(f"{k} {v}" for k, v in session.versions(server).items())
        print(f"{server.name}: {server.note} [{known}]")
    figures = {
        f"{count} {body}": {
            "rounds": {
                name: [asdict(one) for one in found] for name, found in rounds.items()
            },
            "calls": calls,
        }
        for (count, body), (rounds, calls) in cells.items()
    }
    write_json(session.options.json, session.record(cells=figures))


def holds(options: Namespace, cells: dict[tuple[int, str], Cell]) -> bool:
    """Print and return whether the claim holds, where it was measured."""
    rounds, _ = cells.get((64, "13 B"), ({}, {}))
    if not rounds:
        return True
    found = ratio(rounds, "httpx-uring")
    return verdict(
        f"httpx-uring by httpx-epoll: {found:.3f}", holds=found <= options.most
    )


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
