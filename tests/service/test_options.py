"""What one may type."""

from __future__ import annotations

import pytest
from twisted.python.usage import Options as UsageOptions
from twisted.python.usage import UsageError

from httpx_tw import __version__
from httpx_tw.service.configuration import OPTIONS, Configuration
from httpx_tw.service.options import Options


def parsed(*arguments: str) -> Configuration:
    options = Options()
    options.parseOptions(arguments)
    return options.configuration


def test_nothing_typed_is_the_default() -> None:
    assert parsed() == Configuration()


def test_the_application_may_stand_before_its_options() -> None:
    expected = Configuration(app="a:b", listen=("tcp:80:interface=127.0.0.1",))
    assert parsed("a:b", "--port", "80") == expected
    assert parsed("--port", "80", "a:b") == expected
    assert parsed("--port=80", "--app", "a:b") == expected


def test_listen_may_be_repeated() -> None:
    assert parsed("--listen", "tcp:1", "--listen=tcp:2").listen == ("tcp:1", "tcp:2")


def test_an_application_of_wsgi_has_an_option() -> None:
    expected = Configuration(wsgi="a:b", wsgi_mount="/c")
    assert parsed("--wsgi", "a:b", "--wsgi-mount=/c") == expected


def test_zero_is_a_value() -> None:
    assert parsed("--port", "0").listen == ("tcp:0:interface=127.0.0.1",)
    assert parsed("--max-body", "0").limits.max_body == 0
    assert parsed("--drain-timeout", "0").timeouts.drain == 0


def test_an_empty_value_is_a_value() -> None:
    assert parsed("--server-name", "").server_name == ""
    assert parsed("--server-name=").server_name == ""


def test_units_are_understood() -> None:
    configuration = parsed("--max-body", "64K", "--handler-timeout", "5m")
    assert configuration.limits.max_body == 65536
    assert configuration.timeouts.handler == 300


def test_flags() -> None:
    assert parsed("--no-access-log").access_log is None
    assert parsed("--app=a:b", "--factory").factory
    assert parsed("--max-connections", "auto").max_connections is None
    assert parsed("--max-connections", "5").max_connections == 5


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--port", "x"], "--port: expected a whole number, got 'x'"),
        (["--nonsense"], "option --nonsense not recognized"),
        (["--port"], "option --port requires argument"),
        (["--factory=yes"], "option --factory must not have an argument"),
        (["a:b", "c:d"], "expected one application, got a:b c:d"),
        (["--app", "a:b", "c:d"], "two applications: a:b and c:d"),
        (["--factory"], "--factory is of no use without --app or --wsgi"),
        (["--wsgi", "a:b", "c:d"], "--app and --wsgi contradict each other"),
        (["--listen", ""], "--listen: expected a value, got ''"),
    ],
)
def test_mistakes(arguments: list[str], reason: str) -> None:
    with pytest.raises(UsageError) as caught:
        parsed(*arguments)
    assert str(caught.value) == reason


def test_as_a_subcommand_a_mistake_ends_the_process_in_one_line(
    capfd: pytest.CaptureFixture[str],
) -> None:
    options = Options()
    options.parent = UsageOptions()
    with pytest.raises(SystemExit) as caught:
        options.parseOptions(["--port", "x"])
    assert caught.value.code == 1
    assert capfd.readouterr() == (
        "",
        "httpx-tw: --port: expected a whole number, got 'x'\n",
    )


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parsed("--version")
    assert caught.value.code == 0
    assert capsys.readouterr().out.startswith(f"httpx-tw {__version__} (Twisted ")


def test_the_help_has_every_option_and_its_default() -> None:
    text = " ".join(str(Options()).split())
    for option in OPTIONS:
        assert f"--{option.name}" in text
        if option.default:
            assert f"[default: {option.default}]" in text


def test_completion_of_the_shell_is_left_to_twisted(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["httpx-tw"])
    with pytest.raises(SystemExit):
        parsed("--po", "--_shell-completion", "zsh:2")
