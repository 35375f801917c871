#!/usr/bin/env python3
"""Memory of a client during a download and an upload of a GiB, and of a gzip bomb.

    python tests/bench/client_memory.py
    python tests/bench/client_memory.py --mib 64

A process of its own serves; another, with the client, does one thing and says how much
its memory grew at most (VmHWM). The exit status is 1 when one of the first two grew by
more than ``--max-mib``, or a byte was missing, or the bomb was not refused.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

from harness.processes import free_port
from harness.report import table, verdict, write_json

SOURCE = Path(__file__).parents[2] / "src"

SERVE = """
import sys, zlib
from httpx_tw import App, Limits, Server
from httpx_tw import Response

app = App()
PIECE = b"x" * 65536

@app.get("/down/{mib:int}")
async def down(request):
    async def pieces():
        for _ in range(request.path_params["mib"] * 16):
            yield PIECE
    return Response.stream(pieces())

@app.post("/up", max_body=0)
async def up(request):
    total = 0
    async for piece in request:
        total += len(piece)
    return str(total)

@app.get("/bomb")
async def bomb(request):
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    async def pieces():
        for _ in range(64 * 1024):
            if packed := packer.compress(PIECE):
                yield packed
        yield packer.flush()
    return Response.stream(pieces(), headers={"Content-Encoding": "gzip"})

Server(app, port=int(sys.argv[1]), limits=Limits(max_body=0)).listen()
"""

ASK = """
import asyncio, json, sys
from twisted.application.reactors import installReactor
installReactor("httpx-epoll")
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from httpx_tw import Client, Timeout
from httpx_tw.errors import HTTPXError

url, what, mib = sys.argv[1], sys.argv[2], int(sys.argv[3])
client = Client(timeout=Timeout(total=None), retries=0)

def peak():
    with open("/proc/self/status") as status:
        return next(int(l.split()[1]) for l in status if l.startswith("VmHWM")) / 1024

async def down():
    total = 0
    async with client.stream("GET", f"{url}/down/{mib}") as response:
        async for piece in response:
            total += len(piece)
    return total == mib << 20

async def up():
    piece = b"x" * 65536
    response = await client.post(f"{url}/up", content=(piece for _ in range(mib * 16)))
    return response.text() == str(mib << 20)

async def bomb():
    try:
        await client.get(f"{url}/bomb", max_response_size=8 << 20)
    except HTTPXError as error:
        return type(error).__name__
    return ""

async def main():
    try:
        await client.post(f"{url}/up", content=b"warm")
        before = peak()
        well = await {"down": down, "up": up, "bomb": bomb}[what]()
        print(json.dumps({"grown": peak() - before, "well": well}))
        await client.close()
    finally:
        reactor.stop()

reactor.callWhenRunning(lambda: Deferred.fromCoroutine(main()))
reactor.run()
"""


def main() -> int:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--mib", type=int, default=1024, help="of each body")
    parser.add_argument("--max-mib", type=float, default=20.0, help="of growth")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    port = free_port()
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    found = {}
    with subprocess.Popen(
        [sys.executable, "-c", SERVE, str(port)], env=environment
    ) as server:
        try:
            wait_for(port)
            for what in ("down", "up", "bomb"):
                done = subprocess.run(
                    [
                        sys.executable, "-c", ASK, f"http://127.0.0.1:{port}", what,
                        str(options.mib),
                    ],
                    env=environment, capture_output=True, text=True, check=True,
                    timeout=600,
                )  # fmt: skip
                found[what] = json.loads(done.stdout)
        finally:
            server.kill()
    rows = [
        [what, f"{said['grown']:.1f}", str(said["well"])]
        for what, said in found.items()
    ]
    print(table(["what", "MiB grown", "outcome"], rows))
    write_json(options.json, {"mib": options.mib, **found})
    held = [
        verdict(
            f"{what}: {options.mib} MiB in {options.max_mib} MiB",
            holds=found[what]["well"] is True
            and found[what]["grown"] <= options.max_mib,
        )
        for what in ("down", "up")
    ]
    held.append(verdict("the bomb is refused", holds=bool(found["bomb"]["well"])))
    return 0 if all(held) else 1


def wait_for(port: int) -> None:
    """Wait until somebody listens."""
    import socket
    import time

    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise SystemExit("the server did not start")


if __name__ == "__main__":
    sys.exit(main())
