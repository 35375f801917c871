#!/usr/bin/env python3
"""CPU per request of httpx_tw's client and its peers, each against one nginx.

    python tests/bench/client.py
    python tests/bench/client.py --only httpx-tw-lean,pycurl --rounds 5
    python tests/bench/client.py --claim 'httpx-tw-lean<=0.9*pycurl'
    python tests/bench/client.py --in-flight 8 --only httpx-tw-blocking,urllib3
    python tests/bench/client.py --tls
    python tests/bench/client.py --tls --reconnect --requests 3000

Each round runs every client once, as a process of its own on one core, while nginx has
the other: so many GETs of 13 bytes, so many in flight, over as many connections, after
a tenth as many to warm up. Status and body of each answer are checked; a client with a
wrong one has no figure, and the exit status is 1, as for a claim that does not hold.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from harness.certificate import certificate_in
from harness.machine import package_versions
from harness.peer_venv import CLIENT_PACKAGES, ensure_peers
from harness.report import table, verdict, write_json
from harness.servers import SERVERS, nginx_command
from harness.session import Session, arguments, require_tools

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from harness.processes import Process

PROGRAMS = Path(__file__).parent / "clients"
SOURCE = Path(__file__).parents[2] / "src"
CLAIM = re.compile(r"([\w.+-]+)<=([\d.]+)\*([\w.+-]+)")
RUN_SECONDS = 600


@dataclass(frozen=True, slots=True)
class Client:
    """A client: its program and what it runs on."""

    name: str
    program: str
    arguments: tuple[str, ...] = ()
    is_peer: bool = True


CLIENTS = {
    client.name: client
    for client in (
        Client("httpx-tw-lean", "ours.py", ("httpx-epoll",), is_peer=False),
        Client("httpx-tw", "ours.py", ("epoll",), is_peer=False),
        Client("httpx-tw-agent", "ours_agent.py", is_peer=False),
        Client("httpx-tw-blocking", "ours_blocking.py", is_peer=False),
        Client(
            "httpx-tw-full", "ours.py", ("httpx-epoll", "no sessions"), is_peer=False
        ),
        Client("pycurl", "pycurl_client.py"),
        Client("aiohttp+uvloop", "aiohttp_client.py"),
        Client("twisted-agent", "twisted_agent.py"),
        Client("treq", "treq_client.py"),
        Client("httpx", "httpx_client.py"),
        Client("urllib3", "urllib3_pool.py"),
    )
}


@dataclass(slots=True)
class Row:
    """What was found about one client."""

    client: Client
    costs: list[float] = field(default_factory=list)
    """CPU microseconds per request, one a round."""
    server_costs: list[float] = field(default_factory=list)
    """The same of nginx."""
    rates: list[float] = field(default_factory=list)
    trouble: str = ""

    def ratio_to(self, other: Row) -> float:
        """Return the median, over the rounds, of our CPU time by that of *other*."""
        pairs = zip(self.costs, other.costs, strict=True)
        return statistics.median(ours / theirs for ours, theirs in pairs)


def main() -> int:
    """Measure, and print."""
    parser = arguments(__doc__)
    parser.add_argument("--only", help="clients (default: all)")
    parser.add_argument("--requests", type=int, default=100_000, help="of a round")
    parser.add_argument("--in-flight", type=int, default=16)
    parser.add_argument(
        "--vary",
        action="store_true",
        help="give each response another head: ours remembers the last of a connection",
    )
    parser.add_argument(
        "--tls", action="store_true", help="TLS 1.3; certificate and name are verified"
    )
    parser.add_argument(
        "--reconnect",
        action="store_true",
        help="have nginx close each connection after its first answer",
    )
    parser.add_argument(
        "--claim", action="append", default=[], metavar="'A<=0.5*B'",
        help="fail unless A's CPU time per request is at most that part of B's",
    )  # fmt: skip
    options = parser.parse_args()
    wanted = options.only.split(",") if options.only else [*CLIENTS]
    if not options.only and not options.reconnect:
        wanted.remove("httpx-tw-full")  # with connections kept there is no difference
    unknown = set(wanted) - CLIENTS.keys()
    if unknown:
        parser.error(f"no such client: {', '.join(unknown)}")
    rows = {name: Row(CLIENTS[name]) for name in wanted}
    require_tools("nginx", "taskset")
    peers = options.python
    if any(row.client.is_peer for row in rows.values()):
        peers = ensure_peers(options.cache, CLIENT_PACKAGES, "client-peers")
    with Session(options, []) as session, nginx(session) as (server, port):
        for _ in range(options.rounds):
            for row in rows.values():
                python = peers if row.client.is_peer else options.python
                before = server.cpu()
                run(row, python, port, session)
                used = server.cpu().since(before)
                # A tenth of the requests is there to warm up.
                row.server_costs.append(used / (1.1 * options.requests) * 1e6)
        write_json(
            options.json,
            session.record(
                versions=package_versions(peers, ("aiohttp", "httpx", "pycurl", "treq",
                                                  "twisted", "uvloop")),
                rows={name: asdict(row) for name, row in rows.items()},
            ),
        )  # fmt: skip
    show(rows)
    held = [claim(text, rows) for text in options.claim]
    return 0 if all(held) and not any(row.trouble for row in rows.values()) else 1


def nginx(session: Session) -> AbstractContextManager[tuple[Process, int]]:
    """Return nginx as the options want it, for the time of a context."""
    options = session.options
    lines = []
    if options.vary:
        lines.append("add_header X-Request-Id $request_id;")
    if options.reconnect:
        lines.append("keepalive_timeout 0;")
    if options.tls:
        certificate, key = certificate_in(session.directory)
        lines.append(f"ssl_certificate {certificate}; ssl_certificate_key {key};")
        lines.append("ssl_protocols TLSv1.3;")
    listen = " ssl" if options.tls else ""
    command = partial(nginx_command, listen=listen, lines=" ".join(lines))
    return session.running(replace(SERVERS["nginx"], command=command))


def run(row: Row, python: Path, port: int, session: Session) -> None:
    """Run a client once."""
    if row.trouble:
        return
    wanted = vars(session.options)
    client = row.client
    command = [
        "taskset", "-c", str(wanted["load_core"]), str(python),
        str(PROGRAMS / client.program), str(port), str(wanted["requests"]),
        str(wanted["in_flight"]), *client.arguments,
    ]  # fmt: skip
    environment = {**os.environ}
    environment.pop("SSL_CERT_FILE", None)  # the programs take it for HTTPS
    if not client.is_peer:
        environment["PYTHONPATH"] = str(SOURCE)
    if wanted["tls"]:
        certificate, _ = certificate_in(session.directory)
        environment["SSL_CERT_FILE"] = str(certificate)
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=True,
            timeout=RUN_SECONDS,
            env=environment,
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        row.trouble = f"{error}: {getattr(error, 'stderr', '')}"
        return
    said = json.loads(done.stdout)
    if said["wrong"]:
        row.trouble = f"{said['wrong']} wrong answers"
        return
    row.costs.append(said["cpu"] / said["requests"] * 1e6)
    row.rates.append(said["requests"] / said["seconds"])


def show(rows: dict[str, Row]) -> None:
    """Print the table."""
    columns = ["client", "CPU us/request", "min", "max", "requests/s", "first/it"]
    columns.append("nginx us/request")
    first = next(iter(rows.values()))
    lines = []
    for name, row in rows.items():
        if row.trouble or not row.costs:
            lines.append([name, *"------"])
            print(f"{name}: {row.trouble}", file=sys.stderr)
            continue
        ratio = "-" if first.trouble else f"{first.ratio_to(row):.2f}"
        lines.append(
            [
                name,
                f"{statistics.median(row.costs):.1f}",
                f"{min(row.costs):.1f}",
                f"{max(row.costs):.1f}",
                f"{statistics.median(row.rates):,.0f}",
                ratio,
                f"{statistics.median(row.server_costs):.1f}",
            ]
        )
    print(table(columns, lines))


def claim(text: str, rows: dict[str, Row]) -> bool:
    """Say whether a claim holds."""
    match = CLAIM.fullmatch(text)
    if match is None or match[1] not in rows or match[3] not in rows:
        raise SystemExit(f"not a claim about what was measured: {text}")
    ours, theirs = rows[match[1]], rows[match[3]]
    if ours.trouble or theirs.trouble:
        return verdict(text, holds=False)
    ratio = ours.ratio_to(theirs)
    return verdict(f"{text}: {ratio:.2f}", holds=ratio <= float(match[2]))


if __name__ == "__main__":
    sys.exit(main())
