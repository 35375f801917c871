"""What one may type behind ``httpx-tw get``."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from httpx_tw.errors import ConfigurationError
from httpx_tw.service.get.options import GetOptions, parse, parser

URL = "http://a.example/"


def test_a_url_is_enough() -> None:
    assert parse([URL]) == GetOptions(url=URL, method="GET")
    assert parse(["a.example:8080/x"]).url == "http://a.example:8080/x"
    assert parse(["https://a.example"]).url == "https://a.example"


@pytest.mark.parametrize(
    ("words", "method"),
    [
        ([], "GET"),
        (["-I"], "HEAD"),
        (["-d", "a=b"], "POST"),
        (["--json", "{}"], "POST"),
        (["-X", "DELETE"], "DELETE"),
        (["-X", "PUT", "-d", "a=b"], "PUT"),
        (["-d", ""], "POST"),
    ],
)
def test_the_method_follows_from_the_rest(words: list[str], method: str) -> None:
    assert parse([URL, *words]).method == method


def test_fields_are_taken_apart() -> None:
    options = parse([URL, "-H", "A: b: c", "-H", "Empty:"])
    assert options.headers == (("A", "b: c"), ("Empty", ""))


def test_a_form_has_its_type_unless_another_is_said() -> None:
    options = parse([URL, "-d", "a=b", "-d", "c=d"])
    assert options.body == b"a=b&c=d"
    assert options.headers == (("Content-Type", "application/x-www-form-urlencoded"),)
    options = parse([URL, "-d", "<a/>", "-H", "content-type: text/xml"])
    assert options.headers == (("content-type", "text/xml"),)


def test_json_asks_for_json() -> None:
    options = parse([URL, "--json", '{"a": 1}'])
    assert options.body == b'{"a": 1}'
    assert dict(options.headers) == {
        "Content-Type": "application/json",
        "Accept": "application/json",
    }


def test_bodies_come_from_files_and_standard_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"from\nfile")
    assert parse([URL, "-d", f"@{file}"]).body == b"from\nfile"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"typed")))
    assert parse([URL, "-d", "@-"]).body == b"typed"
    options = parse([URL, "-T", str(file)])
    assert (options.method, options.body) == ("PUT", file)


@pytest.mark.parametrize("words", [["-d", "@nowhere"], ["-T", "nowhere"]])
def test_a_file_that_is_not_there_is_refused_at_once(words: list[str]) -> None:
    with pytest.raises(OSError, match="nowhere"):
        parse([URL, *words])


@pytest.mark.parametrize(
    ("words", "field", "value"),
    [
        (["-u", "me:secret:word"], "user", ("me", "secret:word")),
        (["-o", "file"], "output", Path("file")),
        (["-o", "-"], "output", None),
        (["-i"], "include", True),
        (["-s"], "silent", True),
        (["-v"], "verbose", True),
        (["--no-follow"], "follow", False),
        (["--no-follow", "-L"], "follow", True),
        (["--max-redirects", "3"], "max_redirects", 3),
        (["-f"], "fail", True),
        (["-m", "500ms"], "timeout", 0.5),
        (["--connect-timeout", "2"], "connect_timeout", 2.0),
        (["--retries", "3"], "retries", 3),
        (["--cacert", __file__], "cacert", __file__),
        (["--cert", __file__], "cert", (__file__,)),
        (["--cert", __file__, "--key", "/"], "cert", (__file__, "/")),
        (["--insecure"], "insecure", True),
        (["-x", "socks5h://p"], "proxy", "socks5h://p"),
        (["--unix-socket", "/run/s"], "unix_socket", "/run/s"),
        (["--interface", "127.0.0.2"], "local_address", "127.0.0.2"),
    ],
)
def test_each_option_says_something(words: list[str], field: str, value: Any) -> None:
    assert getattr(parse([URL, *words]), field) == value
    assert getattr(parse([*words, URL]), field) == value


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ([], "required: URL"),
        ([URL, "--frobnicate"], "unrecognized arguments: --frobnicate"),
        ([URL, "--ti", "5"], "unrecognized arguments"),  # no guessing
        ([URL, "-H", "no colon"], "expected 'NAME: VALUE'"),
        ([URL, "-H", ": x"], "expected 'NAME: VALUE'"),
        ([URL, "-u", "me"], "expected NAME:PASSWORD"),
        ([URL, "-m", "soon"], "expected a duration"),
        ([URL, "--retries", "-1"], "expected"),
        ([URL, "-d", "a", "--json", "1"], "give one of --data, --json"),
        ([URL, "--key", "k"], "--key needs --cert"),
        ([URL, "--insecure", "--cacert", "c"], "--insecure trusts anybody"),
        ([URL, "-s", "-v"], "contradict"),
        ([URL, "--cacert", "nowhere.pem"], "--cacert: there is no file nowhere.pem"),
    ],
)
def test_mistakes_are_named(words: list[str], complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        parse(words)


def test_insecure_has_no_short_name() -> None:
    (action,) = [a for a in parser()._actions if a.dest == "insecure"]
    assert list(action.option_strings) == ["--insecure"]


def test_help_is_no_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse(["--help"])
    assert caught.value.code == 0
    assert "Exit status" in capsys.readouterr().out


def test_every_option_is_documented() -> None:
    documented = Path(__file__).parents[3] / "docs/reference/command-line.md"
    text = documented.read_text().partition("## `httpx-tw get URL`")[2]
    for action in parser()._actions:
        if action.dest not in {"help", "url"}:
            for name in action.option_strings:
                assert f"`{name}" in text, name
