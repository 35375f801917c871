"""An app on a free port, for the length of one of trial's tests."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from httpx_tw.limits import Timeouts
from httpx_tw.server.server import Server

if TYPE_CHECKING:
    from httpx_tw.app.app import App

__all__ = ["ServesAppMixin"]

_TIMEOUTS = Timeouts(drain=1.0)
"""The usual ones; but a test that forgot a request need not wait for it long."""


class ServesAppMixin:
    """Beside twisted.trial's TestCase: serve apps on real sockets.

        class ShopTests(ServesAppMixin, TestCase):
            async def test_hello(self):
                url = await self.serve(app)
                response = await treq.get(f"{url}/hello")
                self.assertEqual(response.code, 200)

    What is served is drained and stopped when the test is over.
    """

    async def serve(self, app: App, *, reactor: Any = None, **options: Any) -> str:
        """Serve *app* on a free port of loopback and return its URL, without a slash.

        :param reactor: None: the one that is installed.
        :param options: as Server takes them.
        """
        server = await self.serve_with(app, reactor=reactor, **options)
        address = server.addresses[0]
        return f"http://{address.host}:{address.port}"

    async def serve_with(
        self, app: App, *, reactor: Any = None, **options: Any
    ) -> Server:
        """As :meth:`serve`, but return the running Server."""
        if reactor is None:
            # A test that runs has a reactor; importing this module must not make one.
            reactor = importlib.import_module("twisted.internet.reactor")
        server = Server(app, port=0, **{"timeouts": _TIMEOUTS, **options})
        await server.start(reactor)
        self.addCleanup(server.stop)  # type: ignore[attr-defined]  # TestCase's
        return server
