#!/usr/bin/env python3
"""What it costs a server to accept a TLS 1.3 connection: in full, and resumed.

    python tests/bench/tls_accepts.py
    python tests/bench/tls_accepts.py --only httpx-tw-lean-tls,nginx-tls --accepts 3000

Each connection is one handshake, one GET and one goodbye, by Python's ssl, one after
the other. In the resumed rows each offers the ticket of the one before, if the server
has given one: the share that was resumed stands beside. Exit status 1 when one of ours
resumes fewer than 99 %.
"""

from __future__ import annotations

import socket
import ssl
import statistics
import sys
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from harness.certificate import certificate_in
from harness.processes import DidNotStart
from harness.report import table, verdict, write_json
from harness.session import Session, arguments, chosen, require_tools

if TYPE_CHECKING:
    from harness.servers import Server

REQUEST = (
    b"GET / HTTP/1.1\r\nHost: www.shop.example\r\nUser-Agent: bench\r\n"
    b"Connection: close\r\n\r\n"
)
SERVERS = "httpx-tw-lean-tls,nginx-tls,granian-asgi-tls,uvicorn-tls,twisted.web-tls"
PATIENCE_SECONDS = 10
WARM_UP = 20
LEAST_RESUMED = 0.99


@dataclass(slots=True)
class Row:
    """What was found about one server; each list has a figure a round."""

    full: list[float] = field(default_factory=list)
    """CPU microseconds of the server for a connection."""
    resumed: list[float] = field(default_factory=list)
    shares: list[float] = field(default_factory=list)
    """How many of the second kind were resumed, 0.0 to 1.0."""
    trouble: str = ""

    @property
    def ratio(self) -> float:
        """Resumed by full."""
        pairs = zip(self.resumed, self.full, strict=True)
        return statistics.median(short / whole for short, whole in pairs)


def main() -> int:
    parser = arguments(__doc__)
    parser.add_argument("--only", default=SERVERS)
    parser.add_argument("--accepts", type=int, default=1000, help="of each kind")
    options = parser.parse_args()
    servers = chosen(parser, options.only)
    require_tools(*(["nginx"] if any("nginx" in s.name for s in servers) else []))
    rows = {server.name: Row() for server in servers}
    with Session(options, servers) as session:
        for _ in range(options.rounds):
            for server in servers:
                one_round(session, server, rows[server.name])
        figures = {name: asdict(row) for name, row in rows.items()}
        write_json(options.json, session.record(servers=figures))
    show(rows)
    ours = {server.name for server in servers if server.is_ours}
    held = [holds(name, rows[name]) for name in ours]
    return 0 if all(held) and not any(row.trouble for row in rows.values()) else 1


def one_round(session: Session, server: Server, row: Row) -> None:
    if row.trouble:
        return
    certificate, _ = certificate_in(session.directory)
    context = ssl.create_default_context(cafile=certificate)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    times = session.options.accepts
    try:
        with session.running(server) as (process, port):
            connect(context, port, WARM_UP, resume=True)
            for costs, resume in ((row.full, False), (row.resumed, True)):
                before = process.cpu()
                share = connect(context, port, times, resume=resume)
                costs.append(process.cpu().since(before) / times * 1e6)
            row.shares.append(share)
    except (OSError, DidNotStart) as error:
        row.trouble = str(error)


def connect(context: ssl.SSLContext, port: int, times: int, *, resume: bool) -> float:
    """Connect so many times; return the share that was resumed."""
    session: ssl.SSLSession | None = None
    resumed = 0
    for _ in range(times):
        plain = socket.create_connection(("127.0.0.1", port), PATIENCE_SECONDS)
        with (
            plain,
            context.wrap_socket(
                plain, server_hostname="localhost", session=session
            ) as connection,
        ):
            resumed += bool(connection.session_reused)
            ask(connection)
            if resume:
                session = connection.session
    return resumed / times


def ask(connection: ssl.SSLSocket) -> None:
    connection.sendall(REQUEST)
    answer = b""
    while piece := connection.recv(4096):
        answer += piece
    if not (answer.startswith(b"HTTP/1.1 200 ") and b"World!" in answer):
        raise OSError(f"the answer was {answer[:40]!r}")


def show(rows: dict[str, Row]) -> None:
    columns = ["server", "full us", "resumed us", "ratio", "were resumed"]
    lines = []
    for name, row in rows.items():
        if row.trouble:
            print(f"INVALID {name}: {row.trouble}", file=sys.stderr)
            lines.append([name, *"----"])
            continue
        lines.append(
            [
                name,
                f"{statistics.median(row.full):.0f}",
                f"{statistics.median(row.resumed):.0f}",
                f"{row.ratio:.2f}",
                f"{min(row.shares):.1%}",
            ]
        )
    print(table(columns, lines))


def holds(name: str, row: Row) -> bool:
    if row.trouble:
        return verdict(f"{name}: no figures", holds=False)
    share = min(row.shares)
    least = f"{name}: resumed {share:.1%} >= {LEAST_RESUMED:.0%}"
    return verdict(least, holds=share >= LEAST_RESUMED)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
