#!/usr/bin/env python3
"""Slow attackers are cut off within the documented deadlines, and nobody else notices.

    python tests/bench/slow.py
    python tests/bench/slow.py --attackers 32 --server-option=--threads=0

Three attacks at once, each from several connections: a request head at 1 byte per 2 s,
a request body at 1 byte per 2 s, a large response that is never read. Meanwhile the
load runs as before. Last: SIGTERM with a request of two seconds in flight.
"""

from __future__ import annotations

import asyncio
import contextlib
import select
import signal
import socket
import sys
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from harness.measure import Round, measure, summarise
from harness.processes import DidNotStart, Process
from harness.report import table, verdict, write_json
from harness.servers import NO_ACCESS_LOG, NO_THREADS, our_server
from harness.session import Session, arguments, require_tools

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

TRICKLE_SECONDS = 2.0
TICK_SECONDS = 2.0
"""What the server's coarse tick, the kernel and this script may add to a deadline."""
DEADLINES = {
    "head trickled": 10.0,  # the whole head
    "body trickled": 6.0,  # 240 B/s after 5 s, seen at the next byte or tick
    "response not read": 30.0,  # without progress
}
WATCH_SECONDS = 36.0
DRAIN_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Cut:
    """How one attacker ended: after so many seconds, with these first bytes."""

    seconds: float | None
    answer: str


def main() -> int:
    parser = arguments(__doc__)
    parser.add_argument("--attackers", type=int, default=16, help="of each kind")
    parser.add_argument("--reactor", default="epoll", help="default %(default)s")
    parser.add_argument("--max-slowdown", type=float, default=1.10)
    parser.add_argument("--server-option", action="append", default=[])
    options = parser.parse_args()
    require_tools("wrk")
    server = our_server(
        "httpx-tw",
        reactor=options.reactor,
        app="slow:app",
        options=(*NO_THREADS, *NO_ACCESS_LOG, *options.server_option),
    )
    with Session(options, [server]) as session:
        try:
            with session.running(server) as (process, port):
                good = under_attack(session, process, port)
            with session.running(server) as (process, port):
                good &= asyncio.run(terminated_in_flight(process, port))
        except DidNotStart as error:
            print(f"INVALID: did not start: {error}")
            return 1
    return 0 if good else 1


def under_attack(session: Session, process: Process, port: int) -> bool:
    """Measure without attackers, with them, and without again; print all of it."""
    options, load = session.options, session.load()
    load.run(port, 1)
    without = [measure(process, port, load, options.seconds)]
    cuts, during = asyncio.run(_attack_and_measure(session, process, port))
    without.append(measure(process, port, load, options.seconds))
    report_load(without, during)
    good = [report_cuts(name, cuts[name], limit) for name, limit in DEADLINES.items()]
    quiet, busy = summarise(without), summarise(during)
    slower = busy.cpu_us / quiet.cpu_us
    trouble = [one.trouble for one in (*without, *during) if one.trouble]
    good.append(
        verdict(
            f"CPU per request under attack: {slower:.3f} times, "
            f"at most {options.max_slowdown} {trouble or ''}",
            holds=slower <= options.max_slowdown and not trouble,
        )
    )
    figures = {name: [asdict(cut) for cut in found] for name, found in cuts.items()}
    write_json(
        options.json,
        session.record(
            cuts=figures,
            without=[asdict(one) for one in without],
            during=[asdict(one) for one in during],
        ),
    )
    return all(good)


async def _attack_and_measure(
    session: Session, process: Process, port: int
) -> tuple[dict[str, list[Cut]], list[Round]]:
    kinds: dict[str, Callable[[int], Awaitable[Cut]]] = {
        "head trickled": trickle_head,
        "body trickled": trickle_body,
        "response not read": never_read,
    }
    attackers = {
        name: [
            asyncio.ensure_future(attack(port))
            for _ in range(session.options.attackers)
        ]
        for name, attack in kinds.items()
    }
    everyone = [one for found in attackers.values() for one in found]
    during: list[Round] = []
    load, seconds = session.load(), session.options.seconds
    while not all(one.done() for one in everyone) or not during:
        # The load is another process: a thread of ours waits for it.
        one = await asyncio.to_thread(measure, process, port, load, seconds)
        during.append(one)
    return {
        name: [await one for one in found] for name, found in attackers.items()
    }, during


async def trickle_head(port: int) -> Cut:
    """Send a request head that never ends, a byte at a time."""
    return await _trickle(port, b"GET / HTTP/1.1\r\nHost: www.shop.example\r\nX-Slow: ")


async def trickle_body(port: int) -> Cut:
    """Send a head at once, and then its body a byte at a time."""
    head = (
        b"POST /upload HTTP/1.1\r\nHost: www.shop.example\r\n"
        b"Content-Length: 1000000\r\n\r\n"
    )
    return await _trickle(port, b"", at_once=head)


async def _trickle(port: int, text: bytes, at_once: bytes = b"") -> Cut:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    began = time.monotonic()
    writer.write(at_once)
    answer = asyncio.ensure_future(_until_closed(reader))
    sent = 0
    while not answer.done() and time.monotonic() - began < WATCH_SECONDS:
        with contextlib.suppress(OSError):
            writer.write(text[sent : sent + 1] or b"x")
        sent += 1
        await asyncio.wait([answer], timeout=TRICKLE_SECONDS)
    writer.close()
    if not answer.done():
        answer.cancel()
        return Cut(None, "")
    received, ended = answer.result()
    return Cut(
        round(ended - began, 2), received.partition(b"\r\n")[0].decode("latin-1")
    )


async def _until_closed(reader: asyncio.StreamReader) -> tuple[bytes, float]:
    """Return what came, and when the first of it or the end did."""
    received, ended = b"", 0.0
    with contextlib.suppress(OSError):
        received = await reader.read(4096)
        ended = time.monotonic()
        while received and await reader.read(4096):
            pass
    return received, ended or time.monotonic()


async def never_read(port: int) -> Cut:
    """Ask for a large response, take none of it, and wait until we are cut off."""
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", port))
        connection.send(b"GET /big HTTP/1.1\r\nHost: www.shop.example\r\n\r\n")
        began = time.monotonic()
        watch = select.poll()
        # Errors and hang-ups are always told; data waiting for us is not asked for.
        watch.register(connection, select.POLLRDHUP)
        while time.monotonic() - began < WATCH_SECONDS:
            if watch.poll(0):
                return Cut(round(time.monotonic() - began, 2), "")
            await asyncio.sleep(0.05)
    return Cut(None, "")


def report_load(without: list[Round], during: list[Round]) -> None:
    columns = ["load", "CPU us/request", "requests/s", "p50 ms", "p99 ms"]
    rows = []
    for name, rounds in (("without attackers", without), ("with attackers", during)):
        one = summarise(rounds)
        cells = [f"{one.per_second:.0f}", f"{one.p50_ms:.2f}", f"{one.p99_ms:.2f}"]
        rows.append([name, f"{one.cpu_us:.1f}", *cells])
    print("\n" + table(columns, rows))


def report_cuts(name: str, cuts: list[Cut], limit: float) -> bool:
    times = [cut.seconds for cut in cuts if cut.seconds is not None]
    answers = sorted({cut.answer for cut in cuts if cut.answer})
    when = f"after {min(times)} to {max(times)} s" if times else "never"
    return verdict(
        f"{name}: {len(times)} of {len(cuts)} cut {when}, deadline {limit:.0f} s "
        f"(and {TICK_SECONDS:.0f} s); answered {answers or 'nothing'}",
        holds=len(times) == len(cuts) and max(times) <= limit + TICK_SECONDS,
    )


async def terminated_in_flight(process: Process, port: int) -> bool:
    """Send SIGTERM while a request of two seconds is served."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /two-seconds HTTP/1.1\r\nHost: www.shop.example\r\n\r\n")
    await asyncio.sleep(0.5)
    process.terminate()
    began = time.monotonic()
    answer: Any = b""
    with contextlib.suppress(TimeoutError, OSError):
        answer = await asyncio.wait_for(reader.read(), DRAIN_SECONDS)
    writer.close()
    status = await asyncio.to_thread(process.wait, DRAIN_SECONDS)
    seconds = time.monotonic() - began
    first = answer.partition(b"\r\n")[0].decode("latin-1")
    # twistd ends itself by the signal it got, once the reactor has stopped.
    return verdict(
        f"SIGTERM in flight: {first!r}, exit status {status} after {seconds:.1f} s",
        holds=first.startswith("HTTP/1.1 200") and status in {0, -signal.SIGTERM},
    )


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
