#!/usr/bin/env python3
"""What worker threads cost, how many calls they wait for, and what overload gets.

    python tests/bench/threads.py
    python tests/bench/threads.py --parts hello --rounds 7
    python tests/bench/threads.py --parts overload --overload-seconds 60

The parts, and when one ends with 1:

    hello     four workers against the reactor thread, against deferToThread on four
              of Twisted's, and against granian's WSGI: over 1.25, 0.45 and 1.15 times
              their CPU time per request; a p99 over twice that of the reactor thread
    sleep     an endpoint that sleeps 50 ms, 64 workers, 512 connections: under 95 % of
              the 1,280 requests a second that 64 / 0.05 s allow
    overload  ten times what eight workers can do: a 503 later than 10 ms (p99) or
              without Retry-After, an answer that does not come, less than 90 % of the
              requests a second that they can do, RSS that grows
    stop      stop_under_load.py, --stops times
"""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import hello
from harness.load import Load
from harness.processes import DidNotStart
from harness.report import verdict, write_json
from harness.servers import BENCH, NO_ACCESS_LOG, SERVERS, our_server
from harness.session import Session, arguments, require_tools

if TYPE_CHECKING:
    from harness.processes import Process

PARTS = ("hello", "sleep", "overload", "stop")
SLEEP = 0.05
"""Seconds that the endpoint of apps/ours/blocking.py sleeps."""

WORKERS, INLINE = "httpx-tw-4-workers", "httpx-tw-lean"
DEFERRING, GRANIAN = "httpx-tw-deferToThread", "granian-wsgi"
CLAIMS = (
    f"{WORKERS}<=1.25*{INLINE}",
    f"{WORKERS}<=0.45*{DEFERRING}",
    f"{WORKERS}<=1.15*{GRANIAN}",
)
MAX_P99 = 2.0

LONG = 10.0
"""Seconds of a round of sleepers, at least."""

OVERLOAD = 10
OVERLOAD_WORKERS = 8
OVERLOAD_QUEUE = 32
OVERLOAD_CLIENTS = 400
WARM_UP = 3.0
"""Seconds until memory is counted: every connection has been used by then."""

HANGS = 5.0
"""Seconds after which an answer is not going to come."""


def server_of(name: str, *options: str, app: str = "hello:app", note: str = "") -> Any:
    return our_server(
        name,
        reactor="httpx-epoll",
        app=app,
        options=(*options, *NO_ACCESS_LOG),
        note=f"httpx-epoll reactor, {note}",
    )


COMPARED = (
    server_of(WORKERS, "--threads", "4", note="endpoints on 4 worker threads"),
    SERVERS[INLINE],
    server_of(
        DEFERRING,
        *("--threads", "0"),
        app="blocking:deferring",
        note="endpoints by deferToThread, on 4 threads of Twisted's",
    ),
    SERVERS[GRANIAN],
)
SLEEPING = server_of(
    "httpx-tw-64-workers", "--threads", "64", app="blocking:app", note="64 workers"
)
OVERLOADED = server_of(
    "httpx-tw-8-workers",
    *("--threads", str(OVERLOAD_WORKERS), "--max-queue", str(OVERLOAD_QUEUE)),
    app="blocking:app",
    note=f"{OVERLOAD_WORKERS} workers, a queue of {OVERLOAD_QUEUE}",
)


def main() -> int:
    parser = arguments(__doc__)
    parser.add_argument("--parts", default=",".join(PARTS), help="default %(default)s")
    parser.add_argument("--overload-seconds", type=float, default=60)
    parser.add_argument("--max-growth", type=float, default=2, help="MiB of RSS")
    parser.add_argument("--stops", type=int, default=200)
    options = parser.parse_args()
    options.load = "hello"
    parts = options.parts.split(",")
    if not set(parts) <= set(PARTS):
        parser.error(f"the parts are {', '.join(PARTS)}")
    require_tools("wrk")
    compared = COMPARED if "hello" in parts else ()
    with Session(options, [*compared, SLEEPING, OVERLOADED]) as session:
        figures: dict[str, Any] = {}
        run = {"hello": compare, "sleep": sleep, "overload": overload, "stop": stop}
        try:
            good = [run[part](session, figures) for part in parts]
        except DidNotStart as error:
            print(f"INVALID: did not start: {error}")
            return 1
        write_json(options.json, session.record(**figures))
    return 0 if all(good) else 1


def compare(session: Session, figures: dict[str, Any]) -> bool:
    """Measure hello on all of COMPARED."""
    session.servers = COMPARED
    rows = hello.run(session)
    hello.report(session, rows)
    good = [hello.check_claim(claim, rows) for claim in CLAIMS]
    ours, inline = rows[WORKERS].summary, rows[INLINE].summary
    if ours is not None and inline is not None:
        ratio = ours.p99_ms / inline.p99_ms
        words = f"p99 of {WORKERS}<={MAX_P99}*{INLINE}: {ratio:.2f}"
        good.append(verdict(words, holds=ratio <= MAX_P99))
    figures["hello"] = {
        name: hello.as_record(session, row, rows[WORKERS]) for name, row in rows.items()
    }
    return all(good) and not any(row.trouble for row in rows.values())


def sleep(session: Session, figures: dict[str, Any]) -> bool:
    """Measure how near 64 workers come to what arithmetic allows."""
    ceiling = 64 / SLEEP
    load = Load(512, path="/sleep")
    with session.running(SLEEPING) as (_, port):
        load.run(port, 1)
        rounds = [
            load.run(port, max(LONG, session.options.seconds))
            for _ in range(session.options.rounds)
        ]
    # wrk counts what came back in its time. What is on its way at its end it does not,
    # nor is there anything in the first moments: in 2 s that is a tenth.
    reached = statistics.median(one.per_second for one in rounds) / ceiling
    trouble = [one.trouble for one in rounds if one.trouble]
    figures["sleep"] = [asdict(one) for one in rounds]
    return verdict(
        f"64 workers that sleep: {reached:.1%} of {ceiling:.0f} requests/s,"
        f" at least 95 % {trouble or ''}",
        holds=reached >= 0.95 and not trouble,
    )


@dataclass(slots=True)
class Answers:
    """What the clients of an overloaded server got."""

    served: int = 0
    refused: list[float] = field(default_factory=list)
    """Seconds that each 503 took."""
    wrong: list[str] = field(default_factory=list)


def overload(session: Session, figures: dict[str, Any]) -> bool:
    """Ask for ten times what the workers can do, and see what comes."""
    seconds = session.options.overload_seconds
    with session.running(OVERLOADED) as (process, port):
        answers, memory = asyncio.run(_overload(process, port, seconds))
    possible = OVERLOAD_WORKERS / SLEEP
    reached = answers.served / seconds / possible
    refused = sorted(answers.refused)
    p99 = refused[int(len(refused) * 0.99)] * 1e3 if refused else float("nan")
    growth = (memory[-1] - memory[0]) / 1024
    figures["overload"] = {
        "served": answers.served,
        "refused": len(refused),
        "p50_ms": statistics.median(refused) * 1e3 if refused else None,
        "p99_ms": p99,
        "max_ms": refused[-1] * 1e3 if refused else None,
        "rss_kib": memory,
        "wrong": answers.wrong[:10],
    }
    most = session.options.max_growth
    good = [
        verdict(
            f"{OVERLOAD} times overload for {seconds:g} s: {answers.served} served"
            f" ({reached:.1%} of what is possible, at least 90 %), {len(refused)}"
            f" refused; {len(answers.wrong)} wrong {answers.wrong[:3] or ''}",
            holds=reached >= 0.9 and not answers.wrong and bool(refused),
        ),
        verdict(f"a 503 within {p99:.1f} ms (p99), at most 10", holds=p99 <= 10),
        verdict(f"RSS grew by {growth:.1f} MiB, at most {most:g}", holds=growth < most),
    ]
    return all(good)


async def _overload(
    process: Process, port: int, seconds: float
) -> tuple[Answers, list[int]]:
    answers = Answers()
    rate = OVERLOAD * OVERLOAD_WORKERS / SLEEP
    began = time.monotonic() + 1  # when all are connected
    clients = [
        asyncio.ensure_future(
            _ask(port, answers, began, n / rate, OVERLOAD_CLIENTS / rate, seconds)
        )
        for n in range(OVERLOAD_CLIENTS)
    ]
    await asyncio.sleep(1 + min(WARM_UP, seconds / 2))
    memory = [process.rss_kib()]
    while time.monotonic() < began + seconds:
        await asyncio.sleep(1)
        memory.append(process.rss_kib())
    await asyncio.gather(*clients)
    return answers, memory


async def _ask(
    port: int,
    answers: Answers,
    began: float,
    offset: float,
    every: float,
    seconds: float,
) -> None:
    """Ask *every* so many seconds, or as soon as the answer before is here."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    turn = began + offset
    try:
        while turn < began + seconds:
            await asyncio.sleep(turn - time.monotonic())
            asked = time.monotonic()
            writer.write(b"GET /sleep HTTP/1.1\r\nHost: a\r\n\r\n")
            async with asyncio.timeout(HANGS):
                head = await reader.readuntil(b"\r\n\r\n")
                length = head.lower().partition(b"content-length: ")[2].split()[0]
                await reader.readexactly(int(length))
            took = time.monotonic() - asked
            if head.startswith(b"HTTP/1.1 200 "):
                answers.served += 1
            elif head.startswith(b"HTTP/1.1 503 ") and b"retry-after" in head.lower():
                answers.refused.append(took)
            else:
                answers.wrong.append(repr(head[:60]))
            turn = max(turn + every, time.monotonic())
    except (TimeoutError, OSError, asyncio.IncompleteReadError) as error:
        answers.wrong.append(repr(error))
    finally:
        writer.close()


def stop(session: Session, figures: dict[str, Any]) -> bool:
    """Run stop_under_load.py."""
    command = [str(session.options.python), str(BENCH / "stop_under_load.py")]
    rounds = ["--rounds", str(session.options.stops)]
    ended = subprocess.run([*command, *rounds], check=False, timeout=600)
    figures["stop"] = ended.returncode
    return ended.returncode == 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
