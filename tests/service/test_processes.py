"""The service as operators meet it: real processes, in every way one can start them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.service.processes import (
    DAEMON,
    FOREGROUND,
    PATIENCE,
    WAYS,
    environment,
    fetch,
    fetch_over,
    is_alive,
    run_to_end,
    serving,
    wait_until,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and daemons")

SLOW_APP = """
from pathlib import Path
from twisted.internet.task import deferLater
from httpx_tw import App

app = App()
print("imported")

@app.get("/slow/{seconds:float}")
async def slow(request):
    from twisted.internet import reactor
    Path("begun").touch()
    await deferLater(reactor, request.path_params["seconds"])
    return "done"

@app.get("/sleep/{seconds:float}")
def sleep(request):
    import time
    Path(f"begun{request.query_string}").touch()
    time.sleep(request.path_params["seconds"])
    return "slept"

@app.get("/quick")
def quick(request):
    return "quick"
"""

BROKEN_APPS = """
from httpx_tw import App
app = App()
number = 7
def make(): return app
"""


WSGI_SITE = """
def make():
    return site

def site(environ, start_response):
    print("said to the log", file=environ["wsgi.errors"])
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{environ['SCRIPT_NAME']} {environ['PATH_INFO']}".encode("latin-1")]
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "slow_app.py").write_text(SLOW_APP)
    (tmp_path / "broken_apps.py").write_text(BROKEN_APPS)
    (tmp_path / "wsgi_site.py").write_text(WSGI_SITE)
    (tmp_path / "raising_app.py").write_text("def fail():\n    1 / 0\n\nfail()\n")
    return tmp_path


every_foreground = pytest.mark.parametrize("way", FOREGROUND)
every_way = pytest.mark.parametrize("way", WAYS)


@every_foreground
def test_it_serves_in_the_foreground(place: Path, way: str) -> None:
    with serving(place, way, "--port", "0") as service:
        assert fetch(service.port, "/hello") == (200, b"Hello, World!")
        assert fetch(service.port, "/echo", method="POST", body=b"x") == (200, b"x")
        service.wait_for(
            r"plain handlers run on \d+ worker threads \(queue 4,096, reject"
        )
        service.wait_for(r"limits: connections \d+, body 10M")
        service.wait_for(r'"GET /hello HTTP/1.1" 200 13')
        service.terminate()
        # Twisted's runners end by the signal that ended them; our own command says 0.
        assert service.wait() == (0 if way == "httpx-tw" else -signal.SIGTERM)
        assert "Traceback" not in service.said
    assert not (place / "twistd.pid").exists()


def test_it_serves_an_application_of_wsgi(place: Path) -> None:
    arguments = ("--wsgi", "wsgi_site:make", "--factory", "--wsgi-mount", "/shop")
    with serving(place, "httpx-tw", *arguments, "--port", "0") as service:
        assert fetch(service.port, "/shop/caf%C3%A9") == (200, b"/shop /caf\xc3\xa9")
        assert fetch(service.port, "/")[0] == 404
        service.wait_for("serving wsgi_site:make on http://")
        service.terminate()
        assert service.wait() == 0
        service.wait_for("said to the log")


def test_the_command_logs_to_standard_error(place: Path) -> None:
    arguments = ("slow_app:app", "--port", "0")
    with serving(place, "httpx-tw", *arguments) as service:
        fetch(service.port, "/quick")
        wait_until(lambda: "/quick" in service.output, "the access log")
        # What the application prints, and the access log; nothing else.
        assert service.output.splitlines()[0] == "imported"
        assert len(service.output.splitlines()) == 2
        assert "serving slow_app:app on http://127.0.0.1:" in service.errors
        service.process.send_signal(signal.SIGINT)
        assert service.wait() == 0


@contextmanager
def daemon(place: Path, *arguments: str) -> Iterator[int]:
    """Run the service as a daemon; yield its pid."""
    started = run_to_end(place, "twistd", *arguments)
    assert (started.returncode, started.stderr) == (0, "")
    pid = int((place / "twistd.pid").read_text())
    try:
        yield pid
    finally:
        if is_alive(pid):
            os.kill(pid, signal.SIGKILL)


def port_in(log: Path) -> int:
    def look() -> str:
        return log.read_text().partition("http://127.0.0.1:")[2].split("\n")[0]

    return int(wait_until(look, "the port in the log"))


def test_it_serves_as_a_daemon(place: Path) -> None:
    with daemon(place, "--port", "0") as pid:
        log = place / "twistd.log"
        port = port_in(log)
        assert fetch(port, "/hello") == (200, b"Hello, World!")
        figures = json.loads(fetch(port, "/stats")[1])
        assert figures["responses_2xx"] == 1
        # Without standard output there is a file, so that nothing is lost.
        access_log = place / "access.log"
        wait_until(lambda: "GET /stats" in access_log.read_text(), "the access log")
        os.kill(pid, signal.SIGTERM)
        wait_until(lambda: not is_alive(pid), "the daemon's end")
        assert not (place / "twistd.pid").exists()
        assert "plain handlers run on" in log.read_text()
        assert "Traceback" not in log.read_text()


def test_a_daemon_has_threads_of_its_own(place: Path) -> None:
    # Threads do not survive the fork: they have to be started behind it.
    with daemon(place, "slow_app:app", "--port", "0", "--threads", "2") as pid:
        port = port_in(place / "twistd.log")
        with ThreadPoolExecutor(3) as pool:
            first = pool.submit(fetch, port, "/sleep/0.5?1")
            second = pool.submit(fetch, port, "/sleep/0.5?2")
            for name in ("begun1", "begun2"):
                wait_until((place / name).exists, "the request")
            names = Path(f"/proc/{pid}/task")
            assert not names.exists() or len(list(names.iterdir())) > 1
            os.kill(pid, signal.SIGTERM)
            assert first.result(PATIENCE) == (200, b"slept")
            assert second.result(PATIENCE) == (200, b"slept")
        wait_until(lambda: not is_alive(pid), "the daemon's end")
        log = (place / "twistd.log").read_text()
        assert "plain handlers run on 2 worker threads" in log
        assert "Traceback" not in log


@every_foreground
def test_a_handler_that_blocks_keeps_nobody_waiting(place: Path, way: str) -> None:
    arguments = ("slow_app:app", "--port", "0", "--threads", "2")
    with (
        serving(place, way, *arguments) as service,
        ThreadPoolExecutor(1) as pool,
    ):
        blocked = pool.submit(fetch, service.port, "/sleep/1")
        wait_until((place / "begun").exists, "the request")
        assert fetch(service.port, "/quick") == (200, b"quick")
        assert not blocked.done()
        service.terminate()
        assert blocked.result(PATIENCE) == (200, b"slept")
        service.wait()
        assert "Traceback" not in service.said


def test_a_handler_that_never_returns_does_not_outlive_the_service(
    place: Path,
) -> None:
    arguments = ("slow_app:app", "--port", "0", "--handler-timeout", "0.2")
    with serving(place, "httpx-tw", *arguments) as service:
        assert fetch(service.port, "/sleep/3600")[0] == 503
        service.terminate()
        service.wait()


def test_without_threads_handlers_run_on_the_reactor_thread(place: Path) -> None:
    with serving(place, "httpx-tw", "--port", "0", "--threads", "0") as service:
        service.wait_for("handlers run on the reactor thread")
        assert json.loads(fetch(service.port, "/stats")[1])["workers"]["workers"] == 0
        service.terminate()
        assert service.wait() == 0


def test_a_daemon_finishes_the_request_in_flight(place: Path) -> None:
    with daemon(place, "slow_app:app", "--port", "0", "--no-access-log") as pid:
        port = port_in(place / "twistd.log")
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(fetch, port, "/slow/0.5")
            wait_until((place / "begun").exists, "the request")
            os.kill(pid, signal.SIGTERM)
            assert answer.result(PATIENCE) == (200, b"done")
        wait_until(lambda: not is_alive(pid), "the daemon's end")
        assert not (place / "access.log").exists()


def test_a_daemon_has_no_standard_output_to_log_to(place: Path) -> None:
    done = run_to_end(place, "twistd", "--access-log", "-")
    assert done.returncode == 1
    assert done.stderr == (
        "httpx-tw: --access-log: a daemon has no standard output; name a file\n"
    )


def test_a_unix_socket_survives_the_fork(place: Path) -> None:
    with daemon(place, "--uds", "web.sock") as pid:
        path = str(place / "web.sock")
        answer = fetch_over(socket.AF_UNIX, path, "/hello")
        assert answer.endswith(b"Hello, World!")
        os.kill(pid, signal.SIGTERM)
        wait_until(lambda: not is_alive(pid), "the daemon's end")
        assert not (place / "web.sock").exists()


@pytest.mark.parametrize(
    ("way", "seconds"), [("twistd -n", 2), ("twist", 0.5), ("httpx-tw", 0.5)]
)
def test_a_request_in_flight_is_finished(place: Path, way: str, seconds: float) -> None:
    with serving(place, way, "slow_app:app", "--port", "0") as service:
        port = service.port
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(fetch, port, f"/slow/{seconds}")
            wait_until((place / "begun").exists, "the request")
            service.terminate()
            service.wait_for("draining 1 connections")
            with pytest.raises(ConnectionRefusedError):
                fetch(port, "/quick")
            assert answer.result(PATIENCE) == (200, b"done")
        service.wait()
        assert f'"GET /slow/{seconds} HTTP/1.1" 200' in service.output


@every_foreground
def test_a_second_signal_ends_it_at_once(place: Path, way: str) -> None:
    arguments = ("slow_app:app", "--port", "0", "--drain-timeout", "5m")
    with serving(place, way, *arguments) as service, ThreadPoolExecutor(1) as pool:
        answer = pool.submit(fetch, service.port, "/slow/20")
        wait_until((place / "begun").exists, "the request")
        service.terminate()
        service.wait_for("draining 1 connections")
        service.terminate()
        service.wait()
        assert isinstance(answer.exception(PATIENCE), OSError)
        assert "Traceback" not in service.said


def test_a_drain_that_takes_too_long_is_cut_off(place: Path) -> None:
    arguments = ("slow_app:app", "--port", "0", "--drain-timeout", "200ms")
    with (
        serving(place, "httpx-tw", *arguments) as service,
        ThreadPoolExecutor(1) as pool,
    ):
        answer = pool.submit(fetch, service.port, "/slow/20")
        wait_until((place / "begun").exists, "the request")
        service.terminate()
        assert service.wait() == 0
        assert isinstance(answer.exception(PATIENCE), OSError)


# Where it listens.


def test_it_listens_on_everything_it_is_told_to(place: Path) -> None:
    endpoints = ("tcp:0:interface=127.0.0.1", r"tcp6:0:interface=\:\:1", "unix:a.sock")
    arguments = [word for each in endpoints for word in ("--listen", each)]
    with serving(place, "twistd -n", *arguments, "--uds", "b.sock") as service:
        port = int(service.wait_for(r"http://127\.0\.0\.1:(\d+)")[1])
        port6 = int(service.wait_for(r"http://\[::1\]:(\d+)")[1])
        service.wait_for(r"on http\+unix:a\.sock")
        service.wait_for(r"on http\+unix:/\S*/b\.sock")
        assert fetch(port, "/hello")[0] == 200
        for family, address in (
            (socket.AF_INET6, ("::1", port6)),
            (socket.AF_UNIX, str(place / "a.sock")),
            (socket.AF_UNIX, str(place / "b.sock")),
        ):
            answer = fetch_over(family, address, "/hello")
            assert answer.startswith(b"HTTP/1.1 200 "), address


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


@pytest.mark.parametrize("way", ["twistd -n", "httpx-tw"])
def test_it_takes_an_inherited_socket(
    place: Path, way: str, listening: socket.socket
) -> None:
    descriptor = listening.fileno()
    with serving(place, way, "--fd", str(descriptor), pass_fds=[descriptor]) as service:
        port = listening.getsockname()[1]
        assert service.port == port
        assert fetch(port, "/hello")[0] == 200


def test_it_takes_an_inherited_unix_socket_that_only_is_bound(place: Path) -> None:
    path = str(place / "bound.sock")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(path)
        descriptor = bound.fileno()
        arguments = ("--fd", str(descriptor))
        with serving(place, "twistd -n", *arguments, pass_fds=[descriptor]) as service:
            service.wait_for(r"serving .* on http\+unix:")
            assert b"Hello" in fetch_over(socket.AF_UNIX, path, "/hello")


# What systemd does: the socket is descriptor 3, and LISTEN_PID says whom it is for.
ACTIVATE = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.argv[2], sys.argv[2:])
"""


@pytest.mark.parametrize("which", ["index=0", "name=web"])
def test_it_takes_a_socket_from_systemd(
    place: Path, which: str, listening: socket.socket
) -> None:
    descriptor = listening.fileno()
    with serving(
        place,
        "twistd -n",
        "--listen",
        f"systemd:domain=INET:{which}",
        prefix=[sys.executable, "-c", ACTIVATE, str(descriptor)],
        pass_fds=[descriptor],
        LISTEN_FDS="1",
        LISTEN_FDNAMES="web",
    ) as service:
        service.wait_for("serving the welcome application")
        assert fetch(listening.getsockname()[1], "/hello")[0] == 200


NOBODY = 65534


def _can_be_run_by(user: int) -> bool:
    command = [sys.executable, "-c", "import httpx_tw"]
    try:
        subprocess.run(command, check=True, user=user, cwd="/", env=environment())
    except (PermissionError, subprocess.CalledProcessError):
        return False
    return True


def test_a_privileged_port_is_bound_before_privileges_are_shed(place: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root has privileges to shed")
    place.chmod(0o755)
    if not _can_be_run_by(NOBODY):
        pytest.skip("this Python cannot be run by another user")
    twistd = FOREGROUND["twistd -n"]
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1] % 800 + 200
    uds = str(place / "root-only.sock")
    prefix = [*twistd[:-2], "-u", str(NOBODY), "-n", "httpx-tw"]
    process = subprocess.Popen(
        [*prefix, "--port", str(port), "--uds", uds],
        cwd=place,
        env=environment(),
        stdout=subprocess.DEVNULL,
    )
    try:
        wait_until(Path(uds).exists, "the socket")
        assert fetch(port, "/hello")[0] == 200
        status = Path(f"/proc/{process.pid}/status").read_text()
        assert f"Uid:\t{NOBODY}" in status
    finally:
        process.terminate()
        process.wait(PATIENCE)


# What cannot start says so: one line on standard error, status 1, nothing left.


def complaint(place: Path, way: str, *arguments: str) -> str:
    before = {path.name for path in place.iterdir()} | {"__pycache__"}
    done = run_to_end(place, way, *arguments)
    assert done.returncode == 1, done
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("httpx-tw: ")
    assert "Traceback" not in done.stdout
    assert {path.name for path in place.iterdir()} <= before
    return done.stderr.removeprefix("httpx-tw: ").rstrip("\n")


@every_way
def test_an_option_that_is_not_there(place: Path, way: str) -> None:
    assert complaint(place, way, "--warp", "9") == "option --warp not recognized"


@pytest.mark.parametrize(
    ("way", "arguments", "line"),
    [
        ("twistd", "--max-body lots", "--max-body: expected a size such as"),
        ("twistd -n", "--listen pigeon:1", "bad endpoint 'pigeon:1': there is no"),
        ("twist", "--app broken_apps:nmber", "--app: broken_apps has no 'nmber'"),
        ("twist", "broken_apps:number", "--app: broken_apps:number is an int, not"),
        ("httpx-tw", "--max-headers 0", "--max-headers must be at least 1"),
        ("twistd", "nowhere.to:app", "--app: there is no module 'nowhere'"),
        ("httpx-tw", "nowhere.to:app", "--app: there is no module 'nowhere'"),
        ("twistd", "--uds a/b/c", "cannot listen on unix:"),
    ],
)
def test_what_makes_no_sense(place: Path, way: str, arguments: str, line: str) -> None:
    assert complaint(place, way, *arguments.split()).startswith(line)


@every_way
def test_a_port_in_use(place: Path, way: str, listening: socket.socket) -> None:
    port = listening.getsockname()[1]
    assert complaint(place, way, "--port", str(port)) == (
        f"cannot listen on tcp:{port}:interface=127.0.0.1: Address already in use"
    )


@pytest.mark.parametrize("way", ["twistd", "httpx-tw"])
def test_a_module_that_raises_shows_its_own_traceback(place: Path, way: str) -> None:
    done = run_to_end(place, way, "--app", "raising_app:app")
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert "raising_app.py" in lines[1]
    assert lines[-1] == (
        "httpx-tw: --app: importing raising_app failed: "
        "ZeroDivisionError: division by zero"
    )
    assert "httpx_tw" not in done.stderr


def test_an_address_lost_in_between_is_told_shortly(place: Path) -> None:
    # The check before the fork finds the port free, twice; then the first one has it.
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    twice = ("--listen", f"tcp:{port}") * 2
    done = run_to_end(place, "twistd", *twice)
    assert done.returncode == 1
    assert f"cannot listen on port {port}: Address already in use" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (place / "twistd.pid").exists()
    assert "Traceback" not in (place / "twistd.log").read_text()
    for way in FOREGROUND:
        done = run_to_end(place, way, *twice)
        assert done.returncode == 1
        assert f"cannot listen on port {port}: Address" in done.stderr, way
        assert "Traceback" not in done.stderr + done.stdout
    assert not (place / "twistd.pid").exists()


def test_every_way_is_tested() -> None:
    assert len(WAYS) == len(FOREGROUND) + len(DAEMON) == 4
