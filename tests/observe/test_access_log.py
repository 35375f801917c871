"""One well-formed line for each request, whatever the request and the disk do."""

from __future__ import annotations

import io
import os
import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.observe.access_log import AccessLog

if TYPE_CHECKING:
    from httpx_tw.headers import HeaderPairs

LINE = re.compile(
    rb'(\S+) - - \[([^\]]+)\] "(\S+) ((?:[^"\\ ]|\\.)*) HTTP/(1\.[01])" (\d{3}) (\d+) '
    rb'"((?:[^"\\]|\\.)*)" "((?:[^"\\]|\\.)*)"'
)

visible = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1)


class Lines(SynchronousTestCase):
    """Into a file of our own."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        self.log = AccessLog(str(self.path), wall_clock=lambda: 784111777.5)
        self.addCleanup(lambda: self.log.close())

    def record(
        self, target: str = "/", headers: HeaderPairs | None = None, length: int = 5
    ) -> None:
        self.log.record("192.0.2.1", "GET", target, "1.1", 200, length, headers or [])

    def lines(self) -> list[bytes]:
        self.log.flush()
        return self.path.read_bytes().splitlines()

    def test_a_line_is_in_the_combined_format(self) -> None:
        self.record("/a?b", [(b"User-Agent", b"me/1"), (b"REFERER", b"http://b/")])
        zone = time.strftime("%d/%b/%Y:%H:%M:%S %z", time.localtime(784111777))
        self.assertEqual(
            self.lines(),
            [
                f'192.0.2.1 - - [{zone}] "GET /a?b HTTP/1.1" 200 5 '
                '"http://b/" "me/1"'.encode()
            ],
        )

    def test_what_is_missing_is_a_dash(self) -> None:
        self.record(headers=[(b"Host", b"a"), (b"X-Agent-XX", b"no")])
        self.assertTrue(self.lines()[0].endswith(b'"-" "-"'))

    def test_what_could_forge_a_line_is_escaped(self) -> None:
        agent = b'" 200 0 "-" "\x1b[31m\\ \xc3\xa9'
        self.record(headers=[(b"User-Agent", agent)])
        expected = rb'"\" 200 0 \"-\" \"\x1b[31m\\ \xc3\xa9"'
        self.assertTrue(self.lines()[0].endswith(expected))

    def test_what_is_not_latin_1_is_escaped_as_utf_8(self) -> None:
        self.record("/\u20ac\ud800")
        self.assertIn(rb"/\xe2\x82\xac\x3f ", self.lines()[0])

    @given(
        visible,
        st.lists(
            st.tuples(
                st.sampled_from([b"user-agent", b"Referer", b"Cookie"]), st.binary()
            )
        ),
    )
    def test_any_bytes_give_one_well_formed_line(
        self, target: str, headers: HeaderPairs
    ) -> None:
        before = len(self.lines())
        self.record(target, headers)
        lines = self.lines()
        self.assertEqual(len(lines), before + 1)
        match = LINE.fullmatch(lines[-1])
        assert match is not None, lines[-1]
        unescaped = match[4].replace(rb"\"", b'"').replace(rb"\\", b"\\")
        self.assertEqual(unescaped, target.encode())
        self.assertTrue(lines[-1].isascii())

    def test_lines_are_written_in_batches(self) -> None:
        for _ in range(511):
            self.record()
        self.assertEqual(self.path.read_bytes(), b"")
        self.record()
        self.assertEqual(len(self.path.read_bytes().splitlines()), 512)
        self.log.flush()
        self.assertEqual(len(self.lines()), 512)

    def test_a_renamed_file_is_left_and_a_new_one_begun(self) -> None:
        self.record("/old")
        self.lines()
        old = self.path.rename(self.path.with_suffix(".1"))
        self.record("/new")
        self.assertIn(b"/new", self.lines()[0])
        self.assertEqual(len(old.read_bytes().splitlines()), 1)

    def test_a_file_put_in_its_place_is_written_to(self) -> None:
        self.record("/old")
        self.lines()
        other = Path(self.mktemp())
        other.write_text("begun\n")
        other.rename(self.path)
        self.record("/new")
        self.assertEqual(len(self.lines()), 2)

    def test_closing_writes_the_rest_and_may_be_followed_by_more(self) -> None:
        self.record()
        self.log.close()
        self.log.close()
        self.assertEqual(len(self.path.read_bytes().splitlines()), 1)
        self.record()
        self.assertEqual(len(self.lines()), 2)

    def test_a_bad_path_is_found_at_the_start(self) -> None:
        with self.assertRaises(OSError):
            AccessLog(str(self.path / "below a file"))


class Disks(SynchronousTestCase):
    """Files that cannot be written to."""

    def setUp(self) -> None:
        self.events: list[dict[str, Any]] = []
        observer: Any = self.events.append
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)

    def full(self) -> AccessLog:
        if not Path("/dev/full").exists():
            self.skipTest("no full disk at hand")
        log = AccessLog("/dev/full")
        self.addCleanup(log.close)
        return log

    def test_a_full_disk_costs_its_lines_and_one_message(self) -> None:
        log = self.full()
        for _ in range(3):
            log.record("-", "GET", "/", "1.1", 200, 0, [])
            log.flush()
        self.assertEqual(len(self.logged()), 1)

    def test_when_there_is_room_again_it_goes_on(self) -> None:
        log = self.full()
        log.record("-", "GET", "/lost", "1.1", 200, 0, [])
        log.flush()
        self.logged()
        path = Path(self.mktemp())
        log._path = str(path)  # as if the disk had been cleared
        log.record("-", "GET", "/kept", "1.1", 200, 0, [])
        log.flush()
        self.assertEqual(path.read_bytes().count(b"\n"), 1)
        self.assertEqual(self.logged(), [])

    def test_a_directory_that_is_gone_is_no_disaster(self) -> None:
        directory = Path(self.mktemp())
        directory.mkdir()
        log = AccessLog(str(directory / "log"))
        self.addCleanup(log.close)
        (directory / "log").unlink()
        directory.rmdir()
        log.record("-", "GET", "/", "1.1", 200, 0, [])
        log.flush()
        self.assertEqual(len(self.logged()), 1)
        directory.mkdir()
        log.record("-", "GET", "/", "1.1", 200, 0, [])
        log.flush()
        self.assertEqual((directory / "log").read_bytes().count(b"\n"), 1)

    def logged(self) -> list[dict[str, Any]]:
        events, self.events = self.events, []
        return [event for event in events if "access log" in event["log_format"]]


class StandardOutput(SynchronousTestCase):
    """Without a path."""

    def test_lines_go_to_standard_output_whoever_took_sys_stdout(self) -> None:
        stream = io.StringIO()
        self.patch(sys, "__stdout__", stream)
        log = AccessLog()
        log.record("-", "GET", "/", "1.1", 200, 0, [])
        log.close()
        self.assertEqual(stream.getvalue().count("\n"), 1)

    def test_none_is_a_message_not_a_failure(self) -> None:
        self.patch(sys, "__stdout__", None)
        self.patch(sys, "stdout", None)
        log = AccessLog()
        log.record("-", "GET", "/", "1.1", 200, 0, [])
        log.flush()

    def test_a_closed_pipe_is_a_message_not_a_failure(self) -> None:
        read, write = os.pipe()
        os.close(read)
        stream = os.fdopen(write, "w")
        self.patch(sys, "__stdout__", stream)
        log = AccessLog()
        log.record("-", "GET", "/", "1.1", 200, 0, [])
        log.flush()
        with self.assertRaises(BrokenPipeError):
            stream.close()
