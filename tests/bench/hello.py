#!/usr/bin/env python3
"""CPU per request of httpx_tw and its peers, interleaved, on one core each.

    python tests/bench/hello.py
    python tests/bench/hello.py --only httpx-tw,twisted.web,uvicorn --rounds 5
    python tests/bench/hello.py --load varied --json varied.json
    python tests/bench/hello.py --claim 'httpx-tw<=0.32*twisted.web'

Each round starts every server anew, one at a time, checks what it answers, warms it up
for a second, drives it with wrk, and checks it again. A row with a wrong answer or a
socket error is invalid and the exit status is 1, as for a claim that does not hold.
"""

from __future__ import annotations

import re
import statistics
import sys
from dataclasses import asdict, dataclass, field

from harness.checks import problems
from harness.measure import Round, Summary, measure, summarise
from harness.processes import DidNotStart
from harness.report import table, verdict, write_json
from harness.servers import SERVERS, Server
from harness.session import Session, arguments, chosen, require_tools
from harness.shapes import SHAPES, Case, cases_of
from harness.tls_servers import TLS_SERVERS

DEFAULT = (
    "httpx-tw,floor,nginx,twisted.web,twisted.web-quiet,klein,uvicorn,aiohttp,"
    "granian-wsgi,granian-asgi,gunicorn"
)
CLAIM = re.compile(r"([\w.-]+)<=([\d.]+)\*([\w.-]+)")


@dataclass(slots=True)
class Row:
    """What was found about one server."""

    server: Server
    rounds: list[Round] = field(default_factory=list)
    rss_kib: list[int] = field(default_factory=list)
    trouble: list[str] = field(default_factory=list)

    @property
    def summary(self) -> Summary | None:
        """None: there is no figure that may be used."""
        return summarise(self.rounds) if self.rounds and not self.trouble else None

    def ratio_to(self, other: Row) -> float:
        """Return the median, over the rounds, of our CPU time by that of *other*."""
        pairs = zip(self.rounds, other.rounds, strict=True)
        return statistics.median(
            a.cpu_per_request / b.cpu_per_request for a, b in pairs
        )


def main(
    description: str | None = __doc__,
    only: str = DEFAULT,
    claims: tuple[str, ...] = (),
) -> int:
    """Measure *only* these by default, and fail unless *claims* hold."""
    parser = arguments(description)
    parser.add_argument("--only", default=only, help="servers (default %(default)s)")
    parser.add_argument("--load", choices=SHAPES, default="hello")
    parser.add_argument(
        "--claim",
        action="append",
        default=[*claims],
        metavar="'A<=0.5*B'",
        help="fail unless A's CPU time per request is at most that part of B's",
    )
    parser.add_argument("--list", action="store_true", help="list the servers and end")
    options = parser.parse_args()
    if options.list:
        known = (SERVERS | TLS_SERVERS).values()
        print(table(["server", "what"], [[s.name, s.note] for s in known]))
        return 0
    servers = chosen(parser, options.only)
    if any(CLAIM.fullmatch(claim) is None for claim in options.claim):
        parser.error("a claim looks like 'httpx-tw<=0.32*twisted.web'")
    has_nginx = any("nginx" in server.name for server in servers)
    require_tools("wrk", *(["nginx"] if has_nginx else []))
    with Session(options, servers) as session:
        rows = run(session)
        report(session, rows)
    good = all(not row.trouble for row in rows.values())
    held = [check_claim(claim, rows) for claim in options.claim]
    return 0 if good and all(held) else 1


def run(session: Session) -> dict[str, Row]:
    """Measure all servers in turn, and again as many times as there are rounds."""
    options = session.options
    cases = cases_of(options.load)
    rows = {server.name: Row(server) for server in session.servers}
    for number in range(options.rounds):
        for row in rows.values():
            if not row.trouble:
                print(f"round {number + 1}: {row.server.name}", file=sys.stderr)
                one_round(session, row, cases)
    return rows


def one_round(session: Session, row: Row, cases: list[Case]) -> None:
    """Start the server, check, warm up, measure and check it; add that to *row*."""
    exact, scheme = row.server.answers_exactly, row.server.scheme
    load = session.load(session.options.load, scheme=scheme)
    try:
        with session.running(row.server) as (process, port):
            row.trouble += problems(port, cases, exact=exact, scheme=scheme)
            load.run(port, 1)
            one = measure(process, port, load, session.options.seconds)
            row.rounds.append(one)
            row.rss_kib.append(process.rss_kib())
            row.trouble += [one.trouble] if one.trouble else []
            row.trouble += problems(port, cases, exact=exact, scheme=scheme)
    except DidNotStart as error:
        row.trouble.append(f"did not start: {error}")


def report(session: Session, rows: dict[str, Row]) -> None:
    """Print the table, what is wrong and what is what; write the JSON."""
    options = session.options
    ours = next((r for r in rows.values() if r.server.is_ours and r.summary), None)
    columns = ["server", "CPU us/request", "min-max", "ours/it", "requests/s"]
    columns += ["p50 ms", "p99 ms", "busy", "RSS MiB"]
    machine = session.record()["machine"]
    print(f"\n{options.load}, {options.connections} connections, {machine}")
    print(table(columns, [cells(row, ours) for row in rows.values()]))
    for row in rows.values():
        for trouble in row.trouble:
            print(f"INVALID {row.server.name}: {trouble}")
    print()
    for row in rows.values():
        versions = session.versions(row.server)
        known = " ".join(f"{name} {version}" for name, version in versions.items())
        print(f"{row.server.name}: {row.server.note} [{known}]")
    figures = {name: as_record(session, row, ours) for name, row in rows.items()}
    write_json(options.json, session.record(load=options.load, servers=figures))


def cells(row: Row, ours: Row | None) -> list[str]:
    found = row.summary
    if found is None:
        return [row.server.name, "invalid", *["-"] * 7]
    return [
        row.server.name,
        f"{found.cpu_us:.1f}",
        f"{found.cpu_us_min:.1f}-{found.cpu_us_max:.1f}",
        f"{ours.ratio_to(row):.2f}" if ours else "-",
        f"{found.per_second:.0f}",
        f"{found.p50_ms:.2f}",
        f"{found.p99_ms:.2f}",
        f"{found.busy:.2f}",
        f"{statistics.median(row.rss_kib) / 1024:.0f}",
    ]


def as_record(session: Session, row: Row, ours: Row | None) -> dict[str, object]:
    found = row.summary
    return {
        "note": row.server.note,
        "versions": session.versions(row.server),
        "trouble": row.trouble,
        "rounds": [asdict(one) for one in row.rounds],
        "rss_kib": row.rss_kib,
        "summary": asdict(found) if found else None,
        "ours_by_it": ours.ratio_to(row) if ours and found else None,
    }


def check_claim(claim: str, rows: dict[str, Row]) -> bool:
    """Print and return whether *claim* holds; without both rows it does not."""
    found = CLAIM.fullmatch(claim)
    assert found is not None
    ours, other = rows.get(found[1]), rows.get(found[3])
    if ours is None or other is None or not ours.summary or not other.summary:
        return verdict(f"{claim}: no valid row for both", holds=False)
    ratio = ours.ratio_to(other)
    return verdict(f"{claim}: {ratio:.3f}", holds=ratio <= float(found[2]))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
