"""The fixtures for pytest, in a pytest of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.nested_pytest import NESTED_PYTEST

CLIENT = """
from httpx_tw import App

pytest_plugins = ["httpx_tw.testing.plugin"]

def test_client(httpx_tw_client):
    app = App()
    app.get("/", lambda request: "hello")
    client = httpx_tw_client(app, base_url="https://shop")
    assert client.get("/").text == "hello"
"""

SERVER = """
import pytest_twisted
from twisted.internet.utils import getProcessOutput
from twisted.web.client import Agent, readBody
from httpx_tw import App, Server

pytest_plugins = ["httpx_tw.testing.plugin"]

@pytest_twisted.ensureDeferred
async def test_server(httpx_tw_server):
    from twisted.internet import reactor
    app = App()
    app.get("/", lambda request: "hello")
    for _ in range(2):
        url = httpx_tw_server(app)
        response = await Agent(reactor).request(b"GET", url.encode())
        assert await readBody(response) == b"hello"

def test_taken(httpx_tw_server):
    import pytest
    with pytest.raises(Exception, match="resolve|address|listen"):
        httpx_tw_server(App(), host="192.0.2.1")
"""

WITHOUT = """
from httpx_tw import App

pytest_plugins = ["httpx_tw.testing.plugin"]

def test_server(httpx_tw_server):
    httpx_tw_server(App())
"""


class Fixtures(SynchronousTestCase):
    """See the module."""

    def run_pytest(self, test: str, *options: str) -> tuple[int, str]:
        directory = Path(self.mktemp())
        directory.mkdir()
        (directory / "test_it.py").write_text(test)
        command = [sys.executable, *NESTED_PYTEST, *options]
        done = subprocess.run(
            [*command, "-q", "--rootdir", ".", "-c", "/dev/null", "test_it.py"],
            check=False,
            capture_output=True,
            text=True,
            cwd=directory,
        )
        return done.returncode, done.stdout + done.stderr

    def test_a_client_needs_no_reactor(self) -> None:
        code, output = self.run_pytest(
            CLIENT + "\ndef test_reactor():\n    import sys\n"
            "    assert 'twisted.internet.reactor' not in sys.modules\n",
            "-p",
            "no:twisted",
        )
        self.assertEqual(code, 0, output)

    def test_a_server_on_a_free_port(self) -> None:
        code, output = self.run_pytest(SERVER)
        self.assertEqual(code, 0, output)

    def test_without_pytest_twisted_it_says_what_is_missing(self) -> None:
        code, output = self.run_pytest(WITHOUT, "-p", "no:twisted")
        self.assertEqual(code, 1)
        self.assertIn("needs pytest-twisted", output)
        self.assertNotIn("Traceback", output)
