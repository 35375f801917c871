"""One table of options, and the record they fill."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.endpoints import serverFromString
from twisted.internet.testing import MemoryReactor

from httpx_tw.errors import ConfigurationError
from httpx_tw.limits import DEFAULT_LIMITS, Limits, Timeouts
from httpx_tw.service.configuration import OPTIONS, Configuration, configuration_from

# What some options are of no use without.
BESIDE = {
    "factory": {"app": "x:y"},
    "app-dir": {"app": "x:y"},
    "wsgi-mount": {"wsgi": "x:y"},
    "ssl-keyfile": {"ssl-certfile": "/x"},
    "ssl-keyfile-password": {"ssl-certfile": "/x"},
    "ssl-ca-certs": {"ssl-certfile": "/x"},
    "ssl-cert-reqs": {"ssl-certfile": "/x", "ssl-ca-certs": "/y"},
    "ssl-ciphers": {"ssl-certfile": "/x"},
    "ssl-min-version": {"ssl-certfile": "/x"},
    "hsts": {"ssl-certfile": "/x"},
    "https-redirect": {"ssl-certfile": "/x"},
}
BY_NAME = {option.name: option for option in OPTIONS}


def test_without_options_everything_is_at_its_default() -> None:
    assert configuration_from({}) == Configuration()
    assert Configuration().listen == ("tcp:8080:interface=127.0.0.1",)


def test_names_are_unique() -> None:
    assert len(BY_NAME) == len(OPTIONS)


@pytest.mark.parametrize(
    ("record", "name"),
    [(kind, field.name) for kind in (Limits, Timeouts) for field in fields(kind)],
)
def test_every_limit_and_deadline_is_an_option(record: type[Any], name: str) -> None:
    stem = name.replace("_", "-")
    option = BY_NAME.get(stem) or BY_NAME[f"{stem}-timeout"]
    configuration = configuration_from({option.name: 7})
    part = configuration.limits if record is Limits else configuration.timeouts
    if name == "max_connections":  # it may be "auto", which a Limits cannot say
        assert configuration.max_connections == 7
        assert part == DEFAULT_LIMITS
    else:
        assert getattr(part, name) == 7


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_every_option_changes_something(option: Any) -> None:
    written = {
        "SIZE": "4K",
        "DURATION": "7s",
        "COUNT": "7",
        "PORT": "7",
        "NUMBER": "7",
        "ADDRESS": "::1",
        "PREFIX": "/x",
        "PREFIX=DIRECTORY": "/x=y",
        "POLICY": "wait",
        "WHEN": "optional",
        "VERSION": "1.3",
        "": "",
    }.get(option.value, "x:y")
    parsed = option.parse(written) if option.value else True
    given = {option.name: [parsed] if option.is_repeatable else parsed}
    beside = BESIDE.get(option.name, {})
    assert configuration_from({**beside, **given}) != configuration_from(beside)


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_every_default_is_what_it_says(option: Any) -> None:
    if not option.default:
        return
    written = option.parse(option.default)
    beside = BESIDE.get(option.name, {})
    expected = configuration_from(beside)
    if option.name == "access-log":
        assert configuration_from({"access-log": written}).access_log == "-"
    else:
        assert configuration_from({**beside, option.name: written}) == expected


@pytest.mark.parametrize(
    ("given", "listen"),
    [
        ({"port": 0}, ("tcp:0:interface=127.0.0.1",)),
        ({"host": "0.0.0.0"}, ("tcp:8080:interface=0.0.0.0",)),
        ({"host": "::1", "port": 1}, (r"tcp6:1:interface=\:\:1",)),
        ({"fd": 3}, ("fd:3",)),
        ({"uds": "/run/a:b=c.sock"}, (r"unix:/run/a\:b\=c.sock",)),
        ({"listen": ["tcp:1", "tcp:2"]}, ("tcp:1", "tcp:2")),
        (
            {"listen": ["tcp:1"], "fd": 3, "port": 5},
            ("tcp:1", "fd:3", "tcp:5:interface=127.0.0.1"),
        ),
    ],
)
def test_where_to_listen(given: dict[str, Any], listen: tuple[str, ...]) -> None:
    assert configuration_from(given).listen == listen


def test_a_relative_socket_is_made_absolute() -> None:
    (endpoint,) = configuration_from({"uds": "web.sock"}).listen
    assert endpoint == f"unix:{Path.cwd()}/web.sock"


def test_the_path_of_a_socket_means_itself() -> None:
    (description,) = configuration_from({"uds": "/a:b=c\\d"}).listen
    reactor = MemoryReactor()
    serverFromString(reactor, description).listen(object())
    assert reactor.unixServers[0][0] == "/a:b=c\\d"


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"factory": True}, "--factory is of no use without --app or --wsgi"),
        ({"app-dir": "x"}, "--app-dir is of no use without --app or --wsgi"),
        ({"wsgi-mount": "/"}, "--wsgi-mount is of no use without --wsgi"),
        ({"wsgi": "a:b", "app": "c:d"}, "--app and --wsgi contradict each other"),
        (
            {"wsgi": "a:b", "threads": 0},
            "--wsgi needs threads, and --threads 0 is none",
        ),
        (
            {"access-log": "x", "no-access-log": True},
            "--access-log and --no-access-log contradict each other",
        ),
        ({"max-headers": 0}, "--max-headers must be at least 1"),
        ({"head-timeout": -1.0}, "--head-timeout must not be negative, got -1.0"),
    ],
)
def test_what_makes_no_sense(given: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        configuration_from(given)
    assert str(caught.value) == reason


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("port", "65536"),
        ("host", ""),
        ("app", ""),
        ("server-name", "a\r\nb"),
        ("server-name", " a"),
        ("server-name", "é"),
        ("max-connections", "many"),
        ("uds", "a\0b"),
        ("wsgi", ""),
        ("wsgi-mount", "shop"),
        ("wsgi-mount", "/shop/"),
    ],
)
def test_values_that_are_refused(name: str, text: str) -> None:
    with pytest.raises(ConfigurationError):
        BY_NAME[name].parse(text)


def test_an_application_of_wsgi_goes_with_the_options_of_any() -> None:
    given = {"wsgi": "a:b", "wsgi-mount": "/c", "factory": True, "app-dir": "d"}
    configuration = configuration_from(given)
    assert configuration == Configuration(
        wsgi="a:b", wsgi_mount="/c", factory=True, app_dir="d"
    )


def test_an_address_may_be_in_brackets() -> None:
    assert BY_NAME["host"].parse("[::1]") == "::1"


def test_the_server_field_may_be_left_out() -> None:
    assert configuration_from({"server-name": ""}).server_name == ""
