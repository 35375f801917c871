"""The reactor under the service: the best of ours, or the one that was asked for."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

import pytest

from tests.reactors.ring_here import REFUSAL
from tests.server.test_reactor_choice import BEST
from tests.service.processes import (
    DAEMON,
    FOREGROUND,
    fetch,
    is_alive,
    run_to_end,
    serving,
    wait_until,
)

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and daemons")


@pytest.mark.parametrize("way", FOREGROUND)
def test_the_best_of_ours_runs_it(tmp_path: Path, way: str) -> None:
    with serving(tmp_path, way, "--port", "0") as service:
        assert fetch(service.port, "/hello")[0] == 200
        service.wait_for(f"reactor {BEST}; plain handlers run on")
        service.terminate()
        service.wait()
        assert "Traceback" not in service.said


# Where the kernel refuses a ring, tests/reactors/test_io_uring.py has what is said.
ASKED = ["poll", "asyncio", "httpx-poll", *([] if REFUSAL else ["httpx-uring"])]


@pytest.mark.parametrize("name", ASKED)
@pytest.mark.parametrize("way", ["twistd -n", "twist"])
def test_the_one_that_was_asked_for_wins(tmp_path: Path, way: str, name: str) -> None:
    *start, subcommand = FOREGROUND[way]
    with pytest.MonkeyPatch.context() as patch:
        asked = [*start, f"--reactor={name}", subcommand]
        patch.setitem(FOREGROUND, way, asked)
        with serving(tmp_path, way, "--port", "0") as service:
            assert fetch(service.port, "/hello")[0] == 200
            service.wait_for(f"reactor {name}; plain handlers")
            assert BEST not in service.said
            service.terminate()
            service.wait()


@pytest.mark.parametrize("name", [BEST, "poll", *ASKED[3:]])
def test_it_survives_becoming_a_daemon(tmp_path: Path, name: str) -> None:
    # Which it is is logged after the fork; that it serves says that it works there.
    way = DAEMON["twistd"]
    with pytest.MonkeyPatch.context() as patch:
        if name != BEST:
            patch.setitem(DAEMON, "twistd", [*way[:-1], f"--reactor={name}", way[-1]])
            patch.setitem(
                sys.modules["tests.service.processes"].WAYS, "twistd", DAEMON["twistd"]
            )
        started = run_to_end(tmp_path, "twistd", "--port", "0")
    assert (started.returncode, started.stderr) == (0, "")
    pid = int((tmp_path / "twistd.pid").read_text())
    log = tmp_path / "twistd.log"
    try:
        wait_until(lambda: f"reactor {name}; plain" in log.read_text(), "the log")
        address = log.read_text().partition("http://127.0.0.1:")[2]
        port = int(address.split(maxsplit=1)[0])
        for _ in range(3):
            assert fetch(port, "/hello") == (200, b"Hello, World!")
        os.kill(pid, signal.SIGTERM)
        wait_until(lambda: not is_alive(pid), "the daemon's end")
        assert "Traceback" not in log.read_text()
    finally:
        if is_alive(pid):
            os.kill(pid, signal.SIGKILL)
