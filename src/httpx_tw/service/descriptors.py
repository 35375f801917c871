"""How many descriptors the process may have, and so how many connections."""

from __future__ import annotations

from typing import Any, Final

from twisted.logger import Logger

resource: Any
try:
    import resource
except ImportError:  # Windows has no such limit
    resource = None

__all__ = ["connections_for", "raise_descriptor_limit", "resolve_max_connections"]

_log = Logger()

_MOST: Final = 1 << 20
"""What the soft limit is raised to at most, where the hard one is higher or endless:
Linux's own ceiling (fs.nr_open) unless somebody changed it."""

_SELECT: Final = 1024 if resource is not None else 512
"""FD_SETSIZE: select() cannot watch descriptors from this number on; on Windows, where
Python sets it to 512, it cannot watch more of them."""

_UNLIMITED: Final = 10_000
"""Connections where no limit can be asked for."""


def raise_descriptor_limit() -> int | None:
    """Raise the soft limit of open files to the hard one; return what holds now.

    None: this platform has no such limit. A limit that may not be raised stays.
    """
    if resource is None:
        return None
    soft: int
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST if hard == resource.RLIM_INFINITY else min(hard, _MOST)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return _MOST if soft == resource.RLIM_INFINITY else soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError) as error:  # macOS: not above kern.maxfilesperproc
        _log.info(
            "the limit of open files stays {soft}: {error}", soft=soft, error=error
        )
        return soft
    return wanted


def connections_for(descriptors: int) -> int:
    """Return how many connections fit into *descriptors*.

    An eighth, 1,024 at most, is kept for what the application opens, logs and names.
    """
    return max(1, descriptors - min(1024, descriptors // 8))


def resolve_max_connections(wanted: int | None, reactor: Any) -> int:
    """Return the connection limit for *wanted* (None: by the limit of open files).

    Raises that limit first. Says so in the log when *wanted* does not fit into it.
    """
    descriptors = raise_descriptor_limit()
    if type(reactor).__name__ == "SelectReactor":
        descriptors = min(descriptors or _SELECT, _SELECT)
    if descriptors is None:
        return _UNLIMITED if wanted is None else wanted
    if wanted is None:
        return connections_for(descriptors)
    if wanted > descriptors:
        _log.warn(
            "--max-connections is {wanted}, but there may be {descriptors} open files",
            wanted=wanted,
            descriptors=descriptors,
        )
    return wanted
