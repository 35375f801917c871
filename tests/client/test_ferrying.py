"""Request bodies that are read on the thread that waits."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, execute
from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.client.content import PIECE_SIZE
from httpx_tw.client.ferrying import ferried
from httpx_tw.errors import BodyConsumed, ConfigurationError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator


class Errand:
    """Fetches at once, or when it is told to."""

    def __init__(self) -> None:
        self.waits: Callable[[], Any] | None = None
        self.fetches = 0

    def fetch(self, function: Callable[[], Any]) -> Deferred[Any]:
        self.fetches += 1
        return execute(function)


class FerryTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.errand: Any = Errand()

    def pieces(self, reading: Any) -> list[bytes]:
        found = []
        while (piece := self.successResultOf(reading.next())) is not None:
            found.append(piece)
        return found

    def content(self, **options: Any) -> Any:
        return ferried(options, self.errand)["content"]

    def test_what_is_at_hand_is_left_alone(self) -> None:
        for options in (
            {},
            {"content": b"x"},
            {"content": "x"},
            {"data": {"a": "b"}},
            {"json": [1]},
            {"params": {"a": "b"}},
        ):
            self.assertIs(ferried(options, self.errand), options)

    def test_what_is_asynchronous_is_too(self) -> None:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"x"

        options = {"content": pieces()}
        self.assertIs(ferried(options, self.errand), options)

    def test_a_file_is_read_piece_by_piece_elsewhere(self) -> None:
        body = bytes(2 * PIECE_SIZE) + b"end"
        for options in ({"content": BytesIO(body)}, {"data": BytesIO(body)}):
            content = self.content(**options)
            self.assertEqual((content.length, content.can_replay), (len(body), True))
            self.assertIsNone(content.data)
            for _ in range(2):
                self.assertEqual(b"".join(self.pieces(content.open())), body)
        self.assertGreater(self.errand.fetches, 6)

    def test_an_iterator_is_read_once(self) -> None:
        content = self.content(content=iter([b"a", b"b"]))
        self.assertEqual((content.length, content.can_replay), (None, True))
        self.assertEqual(self.pieces(content.open()), [b"a", b"b"])
        self.assertFalse(content.can_replay)
        self.assertRaises(BodyConsumed, content.open)

    def test_a_form_with_files_says_its_type(self) -> None:
        rest = ferried(
            {"data": {"a": "b"}, "files": {"f": BytesIO(b"x")}, "timeout": 1},
            self.errand,
        )
        self.assertEqual(rest.keys(), {"content", "timeout"})
        content = rest["content"]
        self.assertTrue(content.content_type.startswith("multipart/form-data"))
        self.assertIn(b'name="a"', b"".join(self.pieces(content.open())))

    def test_two_bodies_are_refused(self) -> None:
        options = {"content": BytesIO(b"x"), "json": 1}
        self.assertRaises(ConfigurationError, ferried, options, self.errand)

    def test_who_stops_early_closes_the_iterator(self) -> None:
        seen: list[str] = []
        reading = self.content(content=self.noting(seen)).open()
        self.successResultOf(reading.next())
        reading.close()
        self.assertEqual(seen, ["closed"])
        self.assertIsNone(self.successResultOf(reading.next()))

    def noting(self, seen: list[str]) -> Iterator[bytes]:
        try:
            yield b"x"
            yield b"y"
        finally:
            seen.append("closed")

    def test_an_iterator_that_runs_is_closed_when_it_has_run(self) -> None:
        seen: list[str] = []
        reading: Any = None

        def pieces() -> Iterator[bytes]:
            try:
                reading.close()  # as the reactor's thread may, at any time
                yield b"x"
            finally:
                seen.append("closed")

        reading = self.content(content=pieces()).open()
        self.assertEqual(self.successResultOf(reading.next()), b"x")
        self.assertEqual(seen, ["closed"])
