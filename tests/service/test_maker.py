"""From options to a service, with or without somebody to run it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from twisted.application.service import Application, IService, IServiceCollection
from twisted.internet.testing import MemoryReactorClock
from twisted.plugin import getPlugins
from twisted.python.reflect import namedAny
from twisted.python.usage import UsageError

from httpx_tw.errors import ConfigurationError
from httpx_tw.service import maker
from httpx_tw.service.configuration import Configuration
from httpx_tw.service.maker import Options, make_service, makeService

if TYPE_CHECKING:
    from pathlib import Path

    from httpx_tw.service.serving import HTTPService

ANY_PORT = "tcp:0:interface=127.0.0.1"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(maker, "resolve_max_connections", lambda wanted, _: wanted or 9)


def made(*arguments: str, runner: dict[str, Any] | None = None) -> HTTPService:
    options = Options()
    options.parseOptions(arguments)
    options.parent = runner  # type: ignore[assignment]  # all that is asked of it
    return makeService(options, MemoryReactorClock())


def stop(service: HTTPService) -> None:
    service.stopService()
    service._reactor.advance(0)  # sockets close in its next turn


def test_the_plugin_is_found_and_leads_here() -> None:
    from twisted.application.service import IServiceMaker

    (plugin,) = (p for p in getPlugins(IServiceMaker) if p.tapname == "httpx-tw")
    assert plugin.options is Options
    assert plugin.makeService is makeService


def test_options_reach_the_server() -> None:
    service = made(
        *("--max-body", "1K", "--drain-timeout", "7", "--max-connections", "5"),
        *("--server-name", "x", "--no-access-log"),
    )
    server = service.server
    assert server.limits.max_body == 1024
    assert server.limits.max_connections == 5
    assert server.timeouts.drain == 7


def test_the_number_of_connections_is_found_out() -> None:
    assert made().server.limits.max_connections == 9


def test_without_an_application_there_is_a_welcome() -> None:
    found, _ = made().server.app.find("GET", "/hello")
    assert found.methods


def test_an_application_is_imported(tmp_path: Path) -> None:
    name = "app_of_maker_tests"
    (tmp_path / f"{name}.py").write_text("from httpx_tw import App\napp = App()\n")
    service = made(f"{name}:app", "--app-dir", str(tmp_path))
    assert service.server.app is namedAny(f"{name}.app")


def test_an_application_of_wsgi_is_imported(tmp_path: Path) -> None:
    (tmp_path / "wsgi_of_maker_tests.py").write_text("def site(*_): return []\n")
    service = made(
        *("--wsgi", "wsgi_of_maker_tests:site", "--wsgi-mount", "/x"),
        *("--app-dir", str(tmp_path)),
    )
    route, _ = service.server.app.find("PROPFIND", "/x/y")
    assert route.pattern == "/x/*"


def test_it_fits_into_an_application_of_twisteds() -> None:
    application = Application("web")
    service = made("--listen", ANY_PORT)
    service.setServiceParent(IServiceCollection(application))
    IService(application).privilegedStartService()
    assert service.server.is_running
    stop(service)


def test_embedded_it_raises() -> None:
    with pytest.raises(ConfigurationError, match="no module 'nowhere'"):
        made("nowhere:app")
    with pytest.raises(ConfigurationError, match="cannot write to none/x: No such"):
        made("--access-log", "none/x")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["nowhere:app"], "--app: there is no module 'nowhere'"),
        (["--listen", "pigeon:1"], "bad endpoint 'pigeon:1': there is no endpoint"),
        (["--access-log", "none/x"], "--access-log: cannot write to none/x: No such"),
    ],
)
def test_for_a_runner_it_ends_in_one_line(
    capfd: pytest.CaptureFixture[str], arguments: list[str], line: str
) -> None:
    with pytest.raises(SystemExit) as caught:
        made(*arguments, runner={})
    assert caught.value.code == 1
    said = capfd.readouterr().err
    assert said.startswith(f"httpx-tw: {line}")
    assert said.count("\n") == 1


def test_for_a_runner_it_also_ends_when_an_address_is_lost(
    capfd: pytest.CaptureFixture[str],
) -> None:
    service = made("--port", "0", runner={})
    with pytest.raises(SystemExit):
        service.on_failure(ConfigurationError("lost"))
    assert capfd.readouterr().err == "httpx-tw: lost\n"


# The access log, and who has a standard output.

FOREGROUND: dict[str, Any] = {"nodaemon": 1}
DAEMON: dict[str, Any] = {"nodaemon": 0}
TWIST: dict[str, Any] = {"logLevel": "info"}


@pytest.mark.parametrize(
    ("runner", "arguments", "files"),
    [
        (FOREGROUND, [], set()),
        (TWIST, [], set()),
        (None, [], set()),
        (DAEMON, [], {"access.log"}),
        (DAEMON, ["--no-access-log"], set()),
        (FOREGROUND, ["--no-access-log"], set()),
        (DAEMON, ["--access-log", "x.log"], {"x.log"}),
        (FOREGROUND, ["--access-log", "x.log"], {"x.log"}),
        (FOREGROUND, ["--access-log", "-"], set()),
    ],
)
def test_where_the_access_log_goes(
    tmp_path: Path,
    runner: dict[str, Any] | None,
    arguments: list[str],
    files: set[str],
) -> None:
    stop(made("--listen", ANY_PORT, *arguments, runner=runner))
    assert {path.name for path in tmp_path.iterdir()} == files


def test_a_daemon_has_no_standard_output(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        made("--access-log", "-", runner=DAEMON)
    assert "a daemon has no standard output" in capfd.readouterr().err


def test_a_configuration_will_do() -> None:
    configuration = Configuration(listen=(ANY_PORT,), access_log=None, server_name="")
    service = make_service(configuration, MemoryReactorClock())
    service.startService()
    assert service.urls
    stop(service)


def test_files_may_stand_beside_an_application_or_alone(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hello")
    for arguments in (["--static", f"/files={tmp_path}"], ["--static", "/files=."]):
        service = made(*arguments, "--no-access-log")
        route, params = service.server.app.find("GET", "/files/a.txt")
        assert params == {"*": "a.txt"}
        assert route.pattern == "/files/*"
        assert service.server.app.find("GET", "/")[0].pattern == ""  # no welcome
        stop(service)


def test_files_that_cannot_be_served_are_one_line() -> None:
    for argument in ("/files=gone", "files=.", "/files", "/files="):
        with pytest.raises((ConfigurationError, UsageError), match="--static"):
            made("--static", argument)
