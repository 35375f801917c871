"""What ``httpx-tw get`` understands: what users of curl expect, and little more."""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from httpx_tw.errors import ConfigurationError
from httpx_tw.service.quantities import parse_count, parse_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["GetOptions", "parse", "parser"]

EPILOG = """\
Head, TLS facts and times go to standard error, the body to standard output.
Exit status: 0, or as curl: 2 a mistake in the options, 3 in the URL, 6 a name
without an address, 7 no connection, 8 or 61 an answer that makes no sense, 18
half an answer, 22 a status of 400 or more (--fail), 23 the body could not be
written, 26 nor what is to be sent be read, 28 a timeout, 35 no TLS, 47 too many
redirects, 52 no answer, 60 a certificate that proves nothing, 97 the proxy
refuses, 1 anything else; 130 after Ctrl-C.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class GetOptions:
    """One command line, understood. Each field is the option of its name."""

    url: str
    method: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | Path | None = None
    """What is sent: at hand, or a file that is read while it is sent."""
    user: tuple[str, str] | None = None
    output: Path | None = None
    include: bool = False
    silent: bool = False
    verbose: bool = False
    follow: bool = True
    max_redirects: int = 10
    fail: bool = False
    timeout: float | None = None
    connect_timeout: float = 30.0
    retries: int = 0
    cacert: str | None = None
    cert: tuple[str, ...] | None = None
    insecure: bool = False
    proxy: str | None = None
    unix_socket: str | None = None
    local_address: str | None = None


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Say what is wrong in one line, as the service does, and not the usage too."""
        raise ConfigurationError(f"{message} (httpx-tw get --help lists the options)")


def parser() -> argparse.ArgumentParser:
    """Return what parses the command line behind ``httpx-tw get``."""
    parser = _Parser(
        prog="httpx-tw get",
        description="Send a request, and show all about its answer.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("url", metavar="URL", help="without a scheme: http://URL")
    _add_request(parser.add_argument_group("the request").add_argument)
    _add_answer(parser.add_argument_group("the answer").add_argument)
    _add_connection(parser.add_argument_group("the connection").add_argument)
    return parser


def _add_request(add: Callable[..., Any]) -> None:
    add("-X", "--request", metavar="METHOD", help="GET, or POST with a body")
    add(
        "-H", "--header", metavar="'NAME: VALUE'", action="append", default=[],
        type=_typed(_header), help="a header field; may be repeated",
    )  # fmt: skip
    add(
        "-d", "--data", metavar="TEXT|@FILE", action="append", default=[],
        help="send a form (urlencoded); several are joined by &; @-: standard input",
    )  # fmt: skip
    add("--json", metavar="TEXT|@FILE", help="send JSON, and ask for JSON")
    add("-T", "--upload-file", metavar="FILE", help="send a file as it is, with PUT")
    add(
        "-u", "--user", metavar="NAME:PASSWORD", type=_typed(_user),
        help="credentials for Basic authentication",
    )  # fmt: skip
    add("-I", "--head", action="store_true", help="ask for the head alone")


def _add_answer(add: Callable[..., Any]) -> None:
    add("-o", "--output", metavar="FILE", help="write the body to a file")
    add("-i", "--include", action="store_true", help="write the head before the body")
    add("-s", "--silent", action="store_true", help="no head, no facts, no progress")
    add("-v", "--verbose", action="store_true", help="show what is sent, and redirects")
    add(
        "-L", "--follow", action="store_true", default=True,
        help="follow redirects: the default; undoes --no-follow",
    )  # fmt: skip
    add("--no-follow", dest="follow", action="store_false", help="do not")
    add("--max-redirects", metavar="COUNT", type=_typed(parse_count), default=10,
        help="follow no more than so many (10)")  # fmt: skip
    add("-f", "--fail", action="store_true", help="status 400 or more: exit with 22")


def _add_connection(add: Callable[..., Any]) -> None:
    duration = _typed(parse_duration)
    add("-m", "--timeout", metavar="DURATION", type=duration, help="for all of it")
    add("--connect-timeout", metavar="DURATION", type=duration, default=30.0,
        help="until there is a connection (30)")  # fmt: skip
    add("--retries", metavar="COUNT", type=_typed(parse_count), default=0,
        help="try again after failures that may pass (0)")  # fmt: skip
    add("--cacert", metavar="FILE", help="trust these authorities alone (PEM)")
    add("--cert", metavar="FILE", help="our own certificate (PEM)")
    add("--key", metavar="FILE", help="its key, if it is in another file")
    add(
        "--insecure", action="store_true",
        help="trust ANYBODY: whoever is on the way can read and change everything",
    )  # fmt: skip
    add("-x", "--proxy", metavar="URL", help="http, https, socks5 or socks5h")
    add("--unix-socket", metavar="PATH", help="connect to a Unix socket")
    add("--interface", metavar="ADDRESS", help="leave from this IP address")


def parse(arguments: Sequence[str]) -> GetOptions:
    """Return what *arguments* mean.

    ``--help`` ends the process (SystemExit).

    :raises ConfigurationError: when they make no sense.
    :raises OSError: when what is to be sent cannot be read.
    """
    given = parser().parse_args(arguments)
    bodies = [given.data or None, given.json, given.upload_file]
    if sum(body is not None for body in bodies) > 1:
        raise ConfigurationError("give one of --data, --json and --upload-file")
    if given.key is not None and given.cert is None:
        raise ConfigurationError("--key needs --cert")
    if given.insecure and given.cacert is not None:
        raise ConfigurationError("--insecure trusts anybody: it takes no --cacert")
    if given.silent and given.verbose:
        raise ConfigurationError("--silent and --verbose contradict each other")
    for name in ("cacert", "cert", "key"):
        path = getattr(given, name)
        if path is not None and not Path(path).exists():
            raise ConfigurationError(f"--{name}: there is no file {path}")
    body, fields = _body(given)
    return GetOptions(
        url=given.url if "://" in given.url else f"http://{given.url}",
        method=given.request or _method(given),
        headers=(*given.header, *_missing(fields, given.header)),
        body=body,
        user=given.user,
        output=None if given.output in {None, "-"} else Path(given.output),
        include=given.include,
        silent=given.silent,
        verbose=given.verbose,
        follow=given.follow,
        max_redirects=given.max_redirects,
        fail=given.fail,
        timeout=given.timeout,
        connect_timeout=given.connect_timeout,
        retries=given.retries,
        cacert=given.cacert,
        cert=tuple(filter(None, [given.cert, given.key])) or None,
        insecure=given.insecure,
        proxy=given.proxy,
        unix_socket=given.unix_socket,
        local_address=given.interface,
    )


def _method(given: argparse.Namespace) -> str:
    if given.head:
        return "HEAD"
    if given.upload_file is not None:
        return "PUT"
    return "GET" if given.json is None and not given.data else "POST"


def _body(
    given: argparse.Namespace,
) -> tuple[bytes | Path | None, list[tuple[str, str]]]:
    if given.upload_file is not None:
        path = Path(given.upload_file)
        with path.open("rb"):  # refused now, and not when there is a connection
            return path, []
    if given.json is not None:
        kind = "application/json"
        return _content(given.json), [("Content-Type", kind), ("Accept", kind)]
    if given.data:
        form = b"&".join(map(_content, given.data))
        return form, [("Content-Type", "application/x-www-form-urlencoded")]
    return None, []


def _content(text: str) -> bytes:
    """Return what *text* is, or what the file holds that it names."""
    if not text.startswith("@"):
        return text.encode("utf-8", "surrogateescape")
    return sys.stdin.buffer.read() if text == "@-" else Path(text[1:]).read_bytes()


def _missing(
    fields: list[tuple[str, str]], given: list[tuple[str, str]]
) -> list[tuple[str, str]]:
    names = {name.lower() for name, _ in given}
    return [field for field in fields if field[0].lower() not in names]


def _typed(read: Callable[[str], Any]) -> Callable[[str], Any]:
    def convert(text: str) -> Any:
        try:
            return read(text)
        except ConfigurationError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return convert


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise ConfigurationError(f"expected 'NAME: VALUE', got {text!r}")
    return name, value.strip()


def _user(text: str) -> tuple[str, str]:
    name, colon, password = text.partition(":")
    if not colon:
        raise ConfigurationError("expected NAME:PASSWORD")
    return name, password
