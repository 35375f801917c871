#!/usr/bin/env python3
"""Whether a request costs more when there are more routes, or more connections.

    python tests/bench/routes.py                     # 1 route against 1,000
    python tests/bench/routes.py --idle 8000         # and 0 idle connections against N

Both instances of a pair run at the same time and are measured in turn. With routes, the
same path with two parameters is asked of both; it is the last of the 1,000. With idle
connections it is "/", whose small cost hides nothing.
"""

from __future__ import annotations

import statistics
import sys
from contextlib import ExitStack
from dataclasses import asdict
from typing import TYPE_CHECKING

from harness.checks import problems
from harness.idlers import FDS_KEPT, Idlers
from harness.measure import Round, interleave, summarise
from harness.processes import DidNotStart
from harness.report import table, verdict, write_json
from harness.servers import our_server
from harness.session import Session, arguments, require_tools
from harness.shapes import HELLO, HOST, Case

if TYPE_CHECKING:
    from harness.processes import Process

ORDER = Case(
    "GET",
    "/users/7041/orders/388",
    (("Host", HOST),),
    b"",
    {"user": 7041, "order": 388},
)
Rounds = dict[str, list[Round]]


def main() -> int:
    parser = arguments(__doc__)
    parser.add_argument("--reactor", default="epoll", help="default %(default)s")
    parser.add_argument("--routes", type=int, default=1000)
    parser.add_argument("--idle", type=int, default=0, metavar="N")
    parser.add_argument("--max-routes-ratio", type=float, default=1.05)
    parser.add_argument("--max-idle-ratio", type=float, default=1.10)
    options = parser.parse_args()
    require_tools("wrk")
    good = True
    figures: dict[str, object] = {}
    with Session(options, ()) as session:
        try:
            found = with_routes(session)
            good &= report(found, options.max_routes_ratio, figures)
            if options.idle:
                found = with_idle(session)
                good &= report(found, options.max_idle_ratio, figures)
        except DidNotStart as error:
            print(f"INVALID: did not start: {error}")
            good = False
        write_json(options.json, session.record(servers=figures))
    return 0 if good else 1


def with_routes(session: Session) -> Rounds:
    """Measure one application with few routes and one with many."""
    options = session.options
    running: dict[str, tuple[Process, int]] = {}
    with ExitStack() as stack:
        for count in (1, options.routes):
            server = our_server(
                f"{count} route{'s' * (count > 1)}",
                reactor=options.reactor,
                app="many_routes:app",
                environment={"BENCH_ROUTES": str(count - 1)},
            )
            running[server.name] = stack.enter_context(session.running(server))
        return checked(session, running, ORDER)


def with_idle(session: Session) -> Rounds:
    """Measure one instance alone and one that keeps idle connections."""
    options = session.options
    count = min(options.idle, session.fd_limit - FDS_KEPT)
    running: dict[str, tuple[Process, int]] = {}
    with ExitStack() as stack:
        for name in ("0 idle", f"{count} idle"):
            server = our_server(name, reactor=options.reactor)
            started = session.running(server, many_idle=True)
            running[name] = stack.enter_context(started)
        _, port = running[f"{count} idle"]
        idlers = stack.enter_context(Idlers(port))
        opened = idlers.open(count)
        found = checked(session, running, HELLO)
        alive = idlers.check(count)
        print(f"idle connections: opened {opened}, afterwards {alive}")
        if opened["answered"] != count or alive["answered"] != count:
            raise DidNotStart("not all idle connections were answered and kept")
        return found


def checked(
    session: Session, running: dict[str, tuple[Process, int]], case: Case
) -> Rounds:
    """Measure in turn, with a check of the answers before and after."""
    options = session.options
    refuse_wrong_answers(running, case)
    load = session.load(path=case.target)
    found = interleave(running, load, options.rounds, options.seconds)
    refuse_wrong_answers(running, case)
    return found


def refuse_wrong_answers(running: dict[str, tuple[Process, int]], case: Case) -> None:
    for _, port in running.values():
        wrong = problems(port, [case], exact=True)
        if wrong:
            raise DidNotStart(f"wrong answer: {wrong}")


def report(found: Rounds, limit: float, figures: dict[str, object]) -> bool:
    """Print a pair; return whether the second costs at most *limit* times the first."""
    columns = ["ours", "CPU us/request", "min-max", "requests/s", "p50 ms", "p99 ms"]
    rows = []
    for name, rounds in found.items():
        one = summarise(rounds)
        figures[name] = {
            "summary": asdict(one),
            "rounds": [asdict(single) for single in rounds],
        }
        spread = f"{one.cpu_us_min:.1f}-{one.cpu_us_max:.1f}"
        cells = [f"{one.per_second:.0f}", f"{one.p50_ms:.2f}", f"{one.p99_ms:.2f}"]
        rows.append([name, f"{one.cpu_us:.1f}", spread, *cells])
    print("\n" + table(columns, rows))
    few, many = found.values()
    trouble = [one.trouble for one in (*few, *many) if one.trouble]
    ratio = statistics.median(
        b.cpu_per_request / a.cpu_per_request for a, b in zip(few, many, strict=True)
    )
    names = " / ".join(reversed(found))
    holds = ratio <= limit and not trouble
    return verdict(
        f"{names}: {ratio:.3f}, at most {limit} {trouble or ''}", holds=holds
    )


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
