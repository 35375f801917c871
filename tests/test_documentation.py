"""What the documentation says is run, looked up, or marked with the reason why not.

Every fenced block is checked by its language:

    python    run as a program in a process of its own. One that calls ``listen()`` or
              defines ``app`` is served on a free port and answers the requests of its
              ``check:`` comments; one with ``def test_`` is given to pytest; any other
              has to end by itself with status 0.
    sh        its syntax, and that the files it names exist.

In blocks of any language the options given to ``httpx-tw`` have to exist.

A comment before the fence, one a line, says what to expect or why a block is not run:

    <!-- check: GET /users/7 -> {"id":7} -->    the whole body, or a status
    <!-- check: prints served on -->            somewhere in its output
    <!-- not run: it needs systemd -->
"""

from __future__ import annotations

import os
import re
import select
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from httpx_tw.limits import DEFAULT_LIMITS, DEFAULT_TIMEOUTS
from httpx_tw.service.configuration import OPTIONS
from tests.nested_pytest import NESTED_PYTEST

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BEHAVIOUR_PAGE = ROOT / "docs" / "reference" / "behaviour.md"
COMMAND_LINE_PAGE = ROOT / "docs" / "reference" / "command-line.md"
LIMITS_PAGE = ROOT / "docs" / "reference" / "limits-and-deadlines.md"
PATIENCE = 30.0  # seconds; a block takes a tenth of one on a quiet machine

FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>\w*)\n(?P<code>.*?)^ *```$",
    re.MULTILINE | re.DOTALL,
)
COMMENT = re.compile(r"<!-- (check|not run|command): (.*?) -->")

# Runs a block as it stands, but on a free port, which it prints.
LAUNCHER = """
import sys
import httpx_tw
from httpx_tw import Server

def listen(server, port=None, host=None):
    from twisted.internet import reactor
    server.port = 0
    reactor.callWhenRunning(
        lambda: print("PORT", server.addresses[0].port, flush=True)
    )
    real_listen(server)

real_listen, Server.listen = Server.listen, listen
names = {"__name__": "__main__"}
exec(compile(open(sys.argv[1]).read(), sys.argv[1], "exec"), names)
if isinstance(names.get("app"), httpx_tw.App):
    Server(names["app"]).listen()
"""


class Block(NamedTuple):
    """One fenced block and the comments right before it."""

    page: Path
    line: int
    language: str
    code: str
    checks: list[str]
    excuse: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks_of(page: Path) -> Iterator[Block]:
    text = page.read_text()
    for fence in FENCE.finditer(text):
        before = text[: fence.start()].rstrip("\n").split("\n")
        comments = []
        while before and (found := COMMENT.fullmatch(before.pop().strip())):
            comments.append(found.groups())
        yield Block(
            page,
            text.count("\n", 0, fence.start()) + 1,
            fence["language"],
            re.sub(f"^{fence['indent']}", "", fence["code"], flags=re.MULTILINE),
            [what for kind, what in reversed(comments) if kind == "check"],
            next((why for kind, why in comments if kind == "not run"), ""),
        )


BLOCKS = [block for page in PAGES for block in blocks_of(page)]
RUN = [block for block in BLOCKS if not block.excuse]
PYTHON = [block for block in RUN if block.language == "python"]
TESTS = [block for block in PYTHON if "def test_" in block.code]
SERVED = [
    block
    for block in PYTHON
    if block not in TESTS
    and re.search(r"^app = |server\.listen\(", block.code, re.MULTILINE)
]
PROGRAMS = [block for block in PYTHON if block not in TESTS and block not in SERVED]
SHELL = [block for block in RUN if block.language == "sh"]


@contextmanager
def served(program: Path) -> Iterator[int]:
    """Run *program* until the end of the block; give the port it serves on."""
    process = subprocess.Popen(
        [sys.executable, "-c", LAUNCHER, program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=program.parent,
    )
    assert process.stdout is not None
    try:
        ready, _, _ = select.select([process.stdout], [], [], PATIENCE)
        line = process.stdout.readline() if ready else ""
        if not line.startswith("PORT "):
            process.kill()
            pytest.fail(f"it serves nothing: {line!r} {process.communicate()[1]}")
        yield int(line.split()[1])
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=PATIENCE)
        assert "Traceback" not in errors, errors
    finally:
        process.kill()
        process.communicate()


def fetch(port: int, method: str, path: str) -> tuple[int, str]:
    url = f"http://127.0.0.1:{port}{path}"
    request = urllib.request.Request(url, method=method)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as answer:
        with answer:
            return answer.code, answer.read().decode()


def run(command: list[str], cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        command,
        check=False,
        cwd=cwd,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.mark.parametrize("block", SERVED, ids=str)
def test_an_application_answers_as_shown(block: Block, tmp_path: Path) -> None:
    assert block.checks, "say in a check: comment what it answers"
    program = tmp_path / "example.py"
    program.write_text(block.code)
    with served(program) as port:
        for check in block.checks:
            request, _, expected = check.partition(" -> ")
            method, path = request.split(" ")
            status, body = fetch(port, method, path)
            assert expected in {str(status), body.strip()}, (status, body)


@pytest.mark.parametrize("block", PROGRAMS, ids=str)
def test_a_program_runs_to_its_end(block: Block, tmp_path: Path) -> None:
    program = tmp_path / "example.py"
    program.write_text(block.code)
    printed = run([sys.executable, str(program)], tmp_path)
    for check in block.checks:
        assert check.removeprefix("prints ") in printed


@pytest.mark.parametrize("block", TESTS, ids=str)
def test_a_test_passes(block: Block, tmp_path: Path) -> None:
    (tmp_path / "test_example.py").write_text(block.code)
    run([sys.executable, *NESTED_PYTEST, "-q"], tmp_path, PYTEST_ADDOPTS="")


@pytest.mark.parametrize("block", SHELL, ids=str)
def test_shell_is_well_formed_and_names_what_exists(block: Block) -> None:
    run(["sh", "-n", "-c", block.code], ROOT)
    for path in re.findall(r"(?<![\w/.-])(?:tests|docs|src|\.ci)/[\w/.-]*", block.code):
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_options_exist(block: Block) -> None:
    known = {f"--{option.name}" for option in OPTIONS} | {"--help", "--version"}
    for line in block.code.replace("\\\n", " ").splitlines():
        _, _, after = line.partition("httpx-tw ")
        assert set(re.findall(r"(?<!\S)--[\w-]+", after)) <= known, line


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_every_block_is_checked_or_excused(block: Block) -> None:
    known = {"python", "sh"}
    assert block.language, "a block without a language; indent plain text instead"
    assert block.excuse or block.language in known, f"no check for {block.language}"


@pytest.mark.parametrize(
    "page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES]
)
def test_links_lead_somewhere(page: Path) -> None:
    text = FENCE.sub("", page.read_text())
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"\w+:", target):
            continue  # elsewhere on the net
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", linked.read_text(), re.MULTILINE)
            assert anchor in {_anchor(heading) for heading in headings}, target


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_every_page_can_be_found_from_the_index() -> None:
    docs = ROOT / "docs"
    index = (docs / "index.md").read_text()
    for page in docs.rglob("*.md"):
        if page.name != "index.md" and page.parent.name != "changes":
            assert f"({page.relative_to(docs)})" in index, page


def test_the_first_line_says_what_it_is_and_what_not() -> None:
    first = (ROOT / "README.md").read_text().partition("\n")[0]
    assert "HTTP" in first
    assert "Twisted" in first
    assert "not related to the `httpx` client library" in first


KIB = 1024


def spoken(name: str, value: int | float) -> str:  # noqa: PYI041 - mypy takes float for both, then not for int
    """Write a default as the table does."""
    if name.endswith("_rate"):
        return f"{value:g} B/s"
    if isinstance(value, float):
        return f"{value:g} s"
    if name in {"max_body", "max_header_bytes", "max_chunk_extension"}:
        return (
            f"{value // KIB**2} MiB" if value % KIB**2 == 0 else f"{value // KIB} KiB"
        )
    return f"{value:,}" + (" B" if name == "max_request_line" else "")


def test_the_table_of_limits_agrees_with_the_code() -> None:
    row = re.compile(r"^\| `(\w+)` \| ([^|]+?) \|", re.MULTILINE)
    assert dict(row.findall(LIMITS_PAGE.read_text())) == {
        field.name: spoken(field.name, getattr(record, field.name))
        for record in (DEFAULT_LIMITS, DEFAULT_TIMEOUTS)
        for field in fields(record)
    }


def test_the_table_of_options_agrees_with_the_code() -> None:
    row = re.compile(r"^\| `(--[^`]+)` \| ([^|]*?) ?\| ([^|]+) \|$", re.MULTILINE)
    assert row.findall(COMMAND_LINE_PAGE.read_text()) == [
        (f"--{option.name} {option.value}".strip(), option.default, option.text)
        for option in OPTIONS
    ]


TO_PROBE = """
from httpx_tw import Server

server = Server()
server.get("/hello", lambda request: "Hello, World!")

@server.post("/echo")
async def echo(request):
    return await request.read()

server.listen()
"""


def first_line_of_answer(port: int, sent: bytes) -> str:
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        connection.sendall(sent)
        return connection.makefile("rb").readline().decode()


def test_the_tables_of_behaviour_agree_with_a_server(tmp_path: Path) -> None:
    row = re.compile(r"^\| ([^|]+) \| `([^`|]+)` \| (\d{3}) \|", re.MULTILINE)
    rows = row.findall(BEHAVIOUR_PAGE.read_text())
    assert len(rows) > 20
    program = tmp_path / "probed.py"
    program.write_text(TO_PROBE)
    wrong = []
    with served(program) as port:
        for what, example, expected in rows:
            sent = example.encode().decode("unicode_escape").encode("latin-1")
            answer = first_line_of_answer(port, sent)
            if not answer.startswith(f"HTTP/1.1 {expected} "):
                wrong.append(f"{what}: expected {expected}, got {answer!r}")
    assert not wrong, "\n".join(wrong)
