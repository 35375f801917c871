#!/usr/bin/env python3
"""KiB of memory per idle keep-alive connection.

    python tests/bench/idle.py
    python tests/bench/idle.py --only httpx-tw,nginx --from 1000 --to 5000

The figure is a slope: (memory at --to connections - memory at --from) / their
difference, so that neither the interpreter nor the first allocations count. Each
connection was answered once; a sample of the oldest to the newest is asked again at the
end, and a row counts only when all of it answers. Kernel memory (socket buffers) is not
in it; PSS is the sum over the server's processes.
"""

from __future__ import annotations

import sys
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from harness.idlers import FDS_KEPT, Idlers
from harness.processes import DidNotStart
from harness.report import table, verdict, write_json
from harness.session import Session, arguments, chosen, require_tools

if TYPE_CHECKING:
    from harness.servers import Server

SETTLE_SECONDS = 0.5
SAMPLE = 200


@dataclass(frozen=True, slots=True)
class Slope:
    """One measurement of one server."""

    pss_kib: tuple[int, int]
    rss_kib: tuple[int, int]
    pss_per_connection: float
    rss_per_connection: float
    trouble: str


def main() -> int:
    parser = arguments(__doc__)
    parser.add_argument("--only", default="httpx-tw,twisted.web,uvicorn")
    parser.add_argument("--from", type=int, default=1000, dest="low")
    parser.add_argument("--to", type=int, default=5000, dest="high")
    parser.add_argument(
        "--burst",
        type=int,
        default=1,
        help="connections opened at once (default %(default)s)",
    )
    parser.add_argument(
        "--max-kib", type=float, help="fail when one of ours has more, by RSS"
    )
    options = parser.parse_args()
    servers = chosen(parser, options.only)
    require_tools(*(["nginx"] if any(s.name == "nginx" for s in servers) else []))
    with Session(options, servers) as session:
        options.high = min(options.high, session.fd_limit - FDS_KEPT)
        if options.low >= options.high:
            parser.error(f"--from {options.low} is not below --to {options.high}")
        found = {server.name: slope(session, server) for server in servers}
        report(session, found)
    good = all(not one.trouble for one in found.values())
    if options.max_kib is not None:
        for server in servers:
            if server.is_ours:
                each = found[server.name].rss_per_connection
                what = f"{server.name}: {each:.2f} KiB, at most {options.max_kib}"
                good &= verdict(what, holds=each <= options.max_kib)
    return 0 if good else 1


def slope(session: Session, server: Server) -> Slope:
    """Measure one server."""
    options = session.options
    pss, rss, trouble = [0], [0], []
    try:
        with (
            session.running(server, many_idle=True) as (process, port),
            Idlers(port, options.burst) as idlers,
        ):
            pss, rss = [], []
            for count in (options.low, options.high):
                trouble += failures(idlers.open(count))
                time.sleep(SETTLE_SECONDS)
                pss.append(process.pss_kib())
                rss.append(process.rss_kib())
            trouble += failures(idlers.check(SAMPLE))
    except DidNotStart as error:
        trouble.append(f"did not start: {error}")
    more = options.high - options.low
    return Slope(
        pss_kib=(pss[0], pss[-1]),
        rss_kib=(rss[0], rss[-1]),
        pss_per_connection=(pss[-1] - pss[0]) / more,
        rss_per_connection=(rss[-1] - rss[0]) / more,
        trouble="; ".join(trouble),
    )


def failures(answer: dict[str, object]) -> list[str]:
    return [str(answer["failed"])] if answer["failed"] else []


def report(session: Session, found: dict[str, Slope]) -> None:
    options = session.options
    print(f"\n{options.low} to {options.high} idle connections")
    columns = ["server", "PSS KiB/connection", "RSS KiB/connection", "RSS MiB at last"]
    rows = [
        [
            name,
            "invalid" if one.trouble else f"{one.pss_per_connection:.2f}",
            "invalid" if one.trouble else f"{one.rss_per_connection:.2f}",
            f"{one.rss_kib[1] / 1024:.1f}",
        ]
        for name, one in found.items()
    ]
    print(table(columns, rows))
    for name, one in found.items():
        if one.trouble:
            print(f"INVALID {name}: {one.trouble}")
    figures = {name: asdict(one) for name, one in found.items()}
    write_json(options.json, session.record(servers=figures))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
