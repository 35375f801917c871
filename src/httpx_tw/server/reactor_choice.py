"""Which reactor a process runs on when nobody has said."""

from __future__ import annotations

import importlib
import select
import sys
from typing import Any, Final

from twisted.application.reactors import (
    NoSuchReactor,
    getReactorTypes,
    installReactor,
)

__all__ = ["install_best_reactor", "name_of", "reactor_of_this_process"]

# By its name among Twisted's plugins: servers and reactors do not know each other.
_BEST_FIRST: Final = (
    ("epoll", "httpx-epoll"),
    ("kqueue", "httpx-kqueue"),
    ("poll", "httpx-poll"),
)


def install_best_reactor() -> None:
    """Install the best reactor for this platform, unless there is one already.

    It is one of ours. Where those cannot be found (httpx_tw was copied without its
    plugins), and on Windows, nothing is installed: Twisted chooses when it is asked.
    """
    if "twisted.internet.reactor" in sys.modules:
        return
    for interface, name in _BEST_FIRST:
        if hasattr(select, interface):
            try:
                installReactor(name)
            except NoSuchReactor:
                continue
            return


def reactor_of_this_process() -> Any:
    """Return the reactor that is installed; install the best one first if none is."""
    install_best_reactor()
    # Imported here, so that importing us installs nothing.
    return importlib.import_module("twisted.internet.reactor")


def name_of(reactor: Any) -> str:
    """Return what ``twistd --reactor`` calls *reactor*; else the name of its class."""
    kind = type(reactor)
    for installer in getReactorTypes():
        if getattr(installer, "moduleName", None) == kind.__module__:
            return str(installer.shortName)
    return str(kind.__name__)
