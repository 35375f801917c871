#!/usr/bin/env python3
"""wrk, ab and hey against ``twistd -n httpx-tw``: nothing fails, nothing is logged.

    python tests/bench/tools_run.py
    python tests/bench/tools_run.py --seconds 2 --requests 5000     # a smoke run

Nothing is pinned and nothing is switched off: this is what a new user does. The exit
status is 1 when a tool saw a failed request, or the log has an error or a traceback.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.load import parse_wrk
from harness.machine import raise_fd_limit
from harness.processes import DidNotStart, Process, unwind_on_sigterm
from harness.report import verdict
from harness.servers import OUR_ENVIRONMENT, twistd_command
from harness.session import require_tools

if TYPE_CHECKING:
    from collections.abc import Callable

EXTRA_SECONDS = 120
SUSPICIOUS = re.compile(r"error|traceback|critical|unhandled|exception", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Tool:
    """A command, and what its output says went wrong: empty when nothing did."""

    command: list[str]
    problem: Callable[[str], str]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--path", default="/hello", help="default %(default)s")
    parser.add_argument("--seconds", type=int, default=30, help="of wrk")
    parser.add_argument("--requests", type=int, default=100_000, help="of ab and hey")
    parser.add_argument("--python", type=Path, default=Path(sys.executable))
    parser.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="--NAME=VALUE",
        help="pass this to httpx-tw too",
    )
    options = parser.parse_args()
    require_tools("wrk", "ab", "hey")
    unwind_on_sigterm()
    raise_fd_limit()
    directory = Path(tempfile.mkdtemp(prefix="httpx-tw-bench-"))
    try:
        return 0 if run(options, directory) else 1
    except DidNotStart as error:
        print(f"FAIL the server did not start: {error}")
        return 1
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def run(options: argparse.Namespace, directory: Path) -> bool:
    """Run every tool; return whether all was well."""
    command = [*twistd_command(options.python), "-n", "httpx-tw"]
    command += ["--port", str(options.port), *options.option]
    good = True
    with Process(command, directory=directory, environment=OUR_ENVIRONMENT) as server:
        server.wait_until_listening(options.port)
        for tool in tools(options):
            problem = outcome(tool, options.seconds)
            shown = " ".join(tool.command)
            good &= verdict(f"{shown} {problem}".strip(), holds=not problem)
        server.stop()
        lines = suspicious_lines(server.log)
    good &= verdict(f"log: {len(lines)} suspicious lines", holds=not lines)
    for line in lines[:20]:
        print(f"    | {line}")
    return good


def tools(options: argparse.Namespace) -> list[Tool]:
    url = f"http://127.0.0.1:{options.port}{options.path}"
    count = options.requests
    return [
        Tool(f"wrk -t12 -c400 -d{options.seconds}s {url}".split(), wrk_problem),
        Tool(f"ab -n {count} -c 100 {url}".split(), lambda out: ab_problem(out, count)),
        Tool(
            f"ab -k -n {count} -c 100 {url}".split(), lambda out: ab_problem(out, count)
        ),
        Tool(
            f"hey -n {count} -c 200 {url}".split(), lambda out: hey_problem(out, count)
        ),
    ]


def outcome(tool: Tool, seconds: int) -> str:
    """Run *tool*; return what went wrong."""
    try:
        ended = subprocess.run(
            tool.command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds + EXTRA_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return "did not end in time"
    if ended.returncode != 0:
        return f"ended with status {ended.returncode}: {ended.stderr.strip()[-300:]}"
    return tool.problem(ended.stdout)


def wrk_problem(output: str) -> str:
    return parse_wrk(output).trouble


def ab_problem(output: str, count: int) -> str:
    said = dict(re.findall(r"^([A-Z][\w -]+):\s+(\d+)", output, re.MULTILINE))
    wrong = [
        f"{name}: {said[name]}"
        for name in ("Failed requests", "Write errors", "Non-2xx responses")
        if int(said.get(name, 0))
    ]
    if int(said.get("Complete requests", 0)) != count:
        wrong.append(f"complete: {said.get('Complete requests')} of {count}")
    return "; ".join(wrong)


def hey_problem(output: str, count: int) -> str:
    statuses = dict(re.findall(r"\[(\d{3})\]\s+(\d+) responses", output))
    # hey sends the same number from each of its 200 workers.
    expected = count // 200 * 200
    if "Error distribution" in output or statuses != {"200": str(expected)}:
        return f"of {expected} requests: {statuses} {output.strip()[-300:]}"
    return ""


def suspicious_lines(log: Path) -> list[str]:
    with log.open(errors="replace") as lines:
        return [line.rstrip() for line in lines if SUSPICIOUS.search(line)]


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
