#!/usr/bin/env python3
"""Thousands of idle keep-alive connections beside a live load, in one process.

    python tests/bench/scale.py                          # 19,000, or what fds allow
    python tests/bench/scale.py --server httpx-tw --idle 5000

Two instances run: one alone, one that keeps the idle connections; the same load is put
on them in turn. Every idle connection is answered once when it is opened, and all are
asked again while a last round of the load runs.
"""

from __future__ import annotations

import statistics
import sys
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.idlers import BURST, FDS_KEPT, Idlers
from harness.measure import Round, interleave, summarise
from harness.processes import DidNotStart
from harness.report import table, verdict, write_json
from harness.session import Session, arguments, chosen, require_tools

if TYPE_CHECKING:
    from harness.load import LoadResult

SETTLE_SECONDS = 0.5
RECHECK_SECONDS = 10


@dataclass(slots=True)
class Scale:
    """What the run found."""

    idle: int
    opened: dict[str, Any] = field(default_factory=dict)
    rechecked: dict[str, Any] = field(default_factory=dict)
    rss_kib_each: float = float("nan")
    pss_kib_each: float = float("nan")
    kernel_pages: int = 0
    alone: list[Round] = field(default_factory=list)
    beside: list[Round] = field(default_factory=list)
    during_open: LoadResult | None = None
    during_recheck: LoadResult | None = None

    @property
    def ratio(self) -> float:
        """CPU per request beside the idle connections by that alone, paired."""
        pairs = zip(self.beside, self.alone, strict=True)
        return statistics.median(
            a.cpu_per_request / b.cpu_per_request for a, b in pairs
        )


def main() -> int:
    parser = arguments(__doc__)
    parser.add_argument("--server", default="httpx-tw-lean")
    parser.add_argument("--idle", type=int, default=19_000)
    parser.add_argument(
        "--burst", type=int, default=BURST, help="opened at once (default %(default)s)"
    )
    parser.add_argument(
        "--open-under-load",
        action="store_true",
        help="open the idle connections while the load runs on the same server",
    )
    parser.add_argument("--max-kib", type=float, default=2.5)
    parser.add_argument("--max-ratio", type=float, default=1.10)
    parser.add_argument("--max-open-seconds", type=float, default=8.0)
    options = parser.parse_args()
    (server,) = chosen(parser, options.server)
    require_tools("wrk")
    with Session(options, [server]) as session:
        try:
            found = run(session)
        except DidNotStart as error:
            print(f"INVALID {server.name}: did not start: {error}")
            return 1
        good = report(session, found)
    return 0 if good else 1


def run(session: Session) -> Scale:
    """Open, load in turn, and ask again."""
    options = session.options
    (server,) = session.servers
    found = Scale(min(options.idle, session.fd_limit - FDS_KEPT))
    with ExitStack() as stack:
        alone = stack.enter_context(session.running(server, many_idle=True))
        beside = stack.enter_context(session.running(server, many_idle=True))
        process, port = beside
        idlers = stack.enter_context(Idlers(port, options.burst))
        # The interpreter's own growth at the first requests is not the connections'.
        idlers.open(min(100, found.idle))
        load = session.load()
        load.run(port, 1)
        pss, rss, pages = process.pss_kib(), process.rss_kib(), tcp_pages()
        meanwhile = (
            load.start(port, RECHECK_SECONDS) if options.open_under_load else None
        )
        found.opened = idlers.open(found.idle)
        if meanwhile is not None:
            found.during_open = load.finish(meanwhile, RECHECK_SECONDS)
        time.sleep(SETTLE_SECONDS)
        opened = max(1, found.opened["answered"])
        found.pss_kib_each = (process.pss_kib() - pss) / opened
        found.rss_kib_each = (process.rss_kib() - rss) / opened
        found.kernel_pages = tcp_pages() - pages
        both = {"alone": alone, "beside": beside}
        rounds = interleave(both, load, options.rounds, options.seconds)
        found.alone, found.beside = rounds["alone"], rounds["beside"]
        last = load.start(port, RECHECK_SECONDS)
        found.rechecked = idlers.check(found.idle)
        found.during_recheck = load.finish(last, RECHECK_SECONDS)
    return found


def tcp_pages() -> int:
    """Return the kernel's memory for TCP buffers, in pages, both ends together."""
    for line in Path("/proc/net/sockstat").read_text().splitlines():
        if line.startswith("TCP:"):
            return int(line.split()[-1])
    return 0


def report(session: Session, found: Scale) -> bool:
    """Print what was found, and return whether everything holds."""
    options = session.options
    print(f"\n{options.server}: {found.idle} idle, fd limit {session.fd_limit}")
    columns = ["load", "CPU us/request", "min-max", "requests/s", "p50 ms", "p99 ms"]
    rows = []
    for name, rounds in (("alone", found.alone), ("beside idle", found.beside)):
        all_in_one = summarise(rounds)
        spread = f"{all_in_one.cpu_us_min:.1f}-{all_in_one.cpu_us_max:.1f}"
        cells = [f"{all_in_one.per_second:.0f}", f"{all_in_one.p50_ms:.2f}"]
        cells.append(f"{all_in_one.p99_ms:.2f}")
        rows.append([name, f"{all_in_one.cpu_us:.1f}", spread, *cells])
    for name, one in (
        ("while they are opened", found.during_open),
        ("while all are asked again", found.during_recheck),
    ):
        if one is not None:
            cells = [f"{one.per_second:.0f}", f"{one.p50 * 1e3:.2f}"]
            rows.append([name, "-", "-", *cells, f"{one.p99 * 1e3:.2f}"])
    print(table(columns, rows))
    print(
        f"memory: {found.rss_kib_each:.2f} KiB RSS, {found.pss_kib_each:.2f} KiB PSS "
        f"per connection; the kernel's TCP buffers grew by {found.kernel_pages} pages"
    )
    print(f"opened: {found.opened}\nasked again: {found.rechecked}")
    write_json(options.json, session.record(**asdict(found)))
    return all(verdicts(session, found))


def verdicts(session: Session, found: Scale) -> list[bool]:
    options, opened, asked = session.options, found.opened, found.rechecked
    rounds = (
        *(*found.alone, *found.beside),
        *(found.during_open, found.during_recheck),
    )
    trouble = [one.trouble for one in rounds if one is not None and one.trouble]
    each, seconds = found.rss_kib_each, opened["seconds"]
    return [
        verdict(
            f"all accepted and answered: {opened['answered']} of {opened['asked']}",
            holds=not opened["failed"] and opened["answered"] == opened["asked"],
        ),
        verdict(
            f"all alive afterwards: {asked['answered']} of {found.idle}",
            holds=asked["answered"] == found.idle,
        ),
        verdict(
            f"accepted in {seconds} s, at most {options.max_open_seconds}",
            holds=seconds <= options.max_open_seconds,
        ),
        verdict(
            f"{each:.2f} KiB RSS each, at most {options.max_kib}",
            holds=each <= options.max_kib,
        ),
        verdict(
            f"CPU per request beside / alone: {found.ratio:.3f}, "
            f"at most {options.max_ratio}",
            holds=found.ratio <= options.max_ratio,
        ),
        verdict(f"the load had no errors {trouble or ''}", holds=not trouble),
    ]


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
