"""asyncio in handlers: it works on its reactor, and elsewhere says what it needs."""

from __future__ import annotations

import pytest

from tests.reactors.installing import python

# Serves two handlers on the reactor named, and asks each once.
_PROGRAM = """
import asyncio, sys
if sys.platform == "win32":
    # Twisted's asyncio reactor refuses the loop that Python prefers there.
    asyncio.set_event_loop_policy(asyncio.WindowsSelectorEventLoopPolicy())
from twisted.application.reactors import installReactor
reactor = installReactor(sys.argv[1])
from http.client import HTTPConnection
from twisted.internet.threads import deferToThread
from twisted.logger import globalLogBeginner, textFileLogObserver
from httpx_tw import EventServer
globalLogBeginner.beginLoggingTo([textFileLogObserver(sys.stderr)])
server = EventServer(port=0)
seen = []

@server.get("/turn")
async def turn(request):
    reactor.callLater(0, seen.append, 1)
    await asyncio.sleep(0)
    return "turned"

@server.get("/sleep")
async def sleep(request):
    await asyncio.sleep(0.001)
    return "slept"

@server.get("/gather")
async def gather(request):
    async def one(n):
        await asyncio.sleep(0)
        return n
    return list(await asyncio.gather(one(1), one(2)))

@server.get("/loop")
async def loop(request):
    asyncio.get_running_loop()
    return "there"

def ask(port):
    for path in ("turn", "sleep", "gather", "loop"):
        connection = HTTPConnection("127.0.0.1", port, timeout=20)
        connection.request("GET", "/" + path)
        response = connection.getresponse()
        print(path, response.status, response.read().decode(), file=sys.__stdout__)
        connection.close()

async def main():
    try:
        await deferToThread(ask, await server.start(reactor))
    finally:
        await server.stop()
        reactor.stop()

from twisted.internet.defer import ensureDeferred
reactor.callWhenRunning(lambda: ensureDeferred(main()))
reactor.run()
"""


def test_it_works_on_the_asyncio_reactor() -> None:
    done = python("-c", _PROGRAM, "asyncio")
    assert done.stdout.splitlines() == [
        "turn 200 turned",
        "sleep 200 slept",
        "gather 200 [1,2]",
        "loop 200 there",
    ], done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("reactor", ["httpx-poll", "select"])
def test_elsewhere_the_log_says_what_it_needs(reactor: str) -> None:
    done = python("-c", _PROGRAM, reactor)
    answers = done.stdout.splitlines()
    assert [line.split()[:2] for line in answers] == [
        [path, "500"] for path in ("turn", "sleep", "gather", "loop")
    ], done.stderr
    advice = "needs Twisted's asyncio reactor: twistd --reactor=asyncio"
    assert done.stderr.count(advice) == 4, done.stderr
    assert "asyncio" not in done.stdout, "not to the client"
