#!/usr/bin/env python3
"""KiB of memory per idle keep-alive connection over TLS 1.3.

    python tests/bench/tls_idle.py
    python tests/bench/tls_idle.py --only httpx-tw-lean-tls,twisted.web-tls --to 3000

The figure is a slope, as in idle.py: (memory at --to connections - memory at --from) /
their difference. Each connection has shaken hands in full, was answered once, and is
asked again at the end. Kernel memory is not in it; the clients' is not the server's.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import sys
import time
from typing import TYPE_CHECKING

from harness.processes import DidNotStart
from harness.report import table, verdict, write_json
from harness.session import Session, arguments, chosen, require_tools

if TYPE_CHECKING:
    from harness.servers import Server

REQUEST = b"GET / HTTP/1.1\r\nHost: www.shop.example\r\n\r\n"
SETTLE_SECONDS = 0.5
PATIENCE_SECONDS = 10


def main() -> int:
    parser = arguments(__doc__)
    default = "httpx-tw-lean-tls,nginx-tls,uvicorn-tls,twisted.web-tls"
    parser.add_argument("--only", default=default)
    parser.add_argument("--from", type=int, default=200, dest="low")
    parser.add_argument("--to", type=int, default=1200, dest="high")
    parser.add_argument(
        "--max-kib",
        type=float,
        default=25.0,
        help="fail when one of ours has more, by RSS (default %(default)s)",
    )
    options = parser.parse_args()
    if options.low >= options.high:
        parser.error(f"--from {options.low} is not below --to {options.high}")
    servers = chosen(parser, options.only)
    require_tools(*(["nginx"] if any("nginx" in s.name for s in servers) else []))
    with Session(options, servers) as session:
        found = {server.name: slope(session, server) for server in servers}
    columns = ["server", "RSS KiB/connection"]
    print(table(columns, [[name, f"{kib:.2f}"] for name, kib in found.items()]))
    write_json(options.json, session.record(kib=found))
    good = True
    for server in servers:
        if server.is_ours:
            each = found[server.name]
            what = f"{server.name}: {each:.2f} KiB, at most {options.max_kib}"
            good &= verdict(what, holds=each <= options.max_kib)
    return 0 if good else 1


def slope(session: Session, server: Server) -> float:
    """Return the KiB of each connection more; not a number when one was lost."""
    options = session.options
    context = ssl._create_unverified_context()
    rss = []
    try:
        with (
            session.running(server, many_idle=True) as (process, port),
            contextlib.ExitStack() as stack,
        ):
            connections: list[ssl.SSLSocket] = []
            for count in (options.low, options.high):
                while len(connections) < count:
                    plain = socket.create_connection(
                        ("127.0.0.1", port), PATIENCE_SECONDS
                    )
                    connection = context.wrap_socket(plain)
                    connections.append(stack.enter_context(connection))
                    ask(connection)
                time.sleep(SETTLE_SECONDS)
                rss.append(process.rss_kib())
            for connection in connections:
                ask(connection)
    except (OSError, DidNotStart) as error:
        print(f"INVALID {server.name}: {error}", file=sys.stderr)
        return float("nan")
    return (rss[1] - rss[0]) / (options.high - options.low)


def ask(connection: ssl.SSLSocket) -> None:
    """Have one request answered."""
    connection.sendall(REQUEST)
    answer = b""
    while b"World!" not in answer:
        piece = connection.recv(4096)
        answer += piece
        if not piece or not answer.startswith(b"HTTP/1.1 200 "):
            raise OSError(f"the answer was {answer[:40]!r}")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
