"""Apps on free ports for trial's tests."""

from __future__ import annotations

from typing import Any

from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import TestCase

from httpx_tw import App, Timeouts
from httpx_tw.testing import ServesAppMixin
from tests.server.live import LiveTestCase, reactor


class Serving(LiveTestCase):
    """See the module."""

    async def test_an_app_is_served_and_stopped(self) -> None:
        url = await self.serve(self.app)
        client = await self.connect_to(url)
        client.send("GET / HTTP/1.1\nHost: a\n\n")
        (answer,) = await client.answers(1)
        self.assertEqual(answer.body, b"hello")

    async def test_options_are_the_servers(self) -> None:
        timeouts = Timeouts(head=1)
        server = await self.serve_with(self.app, reactor=reactor, timeouts=timeouts)
        self.assertEqual(server.timeouts, timeouts)

    async def test_it_stops_with_the_test(self) -> None:
        class Inner(ServesAppMixin, TestCase):
            async def runTest(self) -> None:  # noqa: N802  # unittest's name
                self.url = await self.serve(App())

        inner: Any = Inner()
        await inner._run(inner.runTest, "runTest", None)
        port = int(inner.url.rpartition(":")[2])
        await inner._deferRunCleanups(None)
        free = reactor.listenTCP(
            port, Factory.forProtocol(Protocol), interface="127.0.0.1"
        )
        await free.stopListening()
