"""Every reactor Twisted knows, for pytest-twisted's ``--reactor``.

    pytest -p httpx_tw.testing.pytest_reactors --reactor=httpx-epoll

By itself pytest-twisted offers three. It reads its list when it adds its options, so
this has to be there before: as an early plugin, by ``-p`` on the command line or in
``addopts``, not in ``pytest_plugins``. Importing it installs no reactor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest_twisted
from twisted.application.reactors import getReactorTypes, installReactor

if TYPE_CHECKING:
    from collections.abc import Callable

__all__: list[str] = []


def _install(name: str) -> Callable[[], None]:
    def install() -> None:
        # As pytest-twisted's own: what it keeps, and the greenlet that runs it.
        reactor: Any = installReactor(name)
        pytest_twisted._instances.reactor = reactor  # noqa: SLF001  # it has no other way
        pytest_twisted.init_twisted_greenlet()

    return install


for _installer in getReactorTypes():
    pytest_twisted.reactor_installers.setdefault(
        _installer.shortName, _install(_installer.shortName)
    )
