"""The record of a server's figures."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields

from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.observe.stats import ServerStats


class Stats(SynchronousTestCase):
    """See the module. That the figures are right is shown in tests/server."""

    def setUp(self) -> None:
        names = [field.name for field in fields(ServerStats)]
        self.values = {name: number for number, name in enumerate(names)}
        self.stats = ServerStats(**self.values)  # type: ignore[arg-type]  # bool, float

    def test_it_says_everything_by_name(self) -> None:
        self.assertEqual(self.stats.as_dict(), self.values)

    def test_it_cannot_be_changed(self) -> None:
        with self.assertRaises(FrozenInstanceError):
            self.stats.requests = 1  # type: ignore[misc]  # on purpose
