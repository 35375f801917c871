"""A current directory for each test, for tests that write where they are."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory

from twisted.trial.unittest import SynchronousTestCase


class OwnDirectoryCase(SynchronousTestCase):
    """Runs each test in a new, empty directory: trial has one for all of them."""

    def setUp(self) -> None:
        super().setUp()
        own = TemporaryDirectory()  # mktemp's path is too long for a Unix socket's
        self.addCleanup(own.cleanup)
        self.addCleanup(os.chdir, Path.cwd())
        os.chdir(own.name)
