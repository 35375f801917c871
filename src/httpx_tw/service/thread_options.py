"""The options about worker threads, and what is made of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from httpx_tw.errors import ConfigurationError
from httpx_tw.server.threads import Overload
from httpx_tw.service.option import Option
from httpx_tw.service.quantities import parse_count
from httpx_tw.workers.pool import WorkerPoolConfig, usable_cores

if TYPE_CHECKING:
    from collections.abc import Mapping

    from httpx_tw.server.server import Server

__all__ = ["DEFAULT_THREADS", "THREAD_OPTIONS", "ThreadOptions", "threads_from"]

_POLICIES: Final = tuple(policy.value for policy in Overload)


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadOptions:
    """What plain endpoints run on.

    :raises ConfigurationError: when *max_queue* is less than 1.
    """

    threads: int | None = None
    """Worker threads. 0: none, they run on the reactor thread. None: auto."""

    max_queue: int = 4096
    """Requests that may wait for a thread."""

    queue_policy: Overload = Overload.REJECT
    """What one gets that finds the queue full."""

    def __post_init__(self) -> None:
        if self.max_queue < 1:
            raise ConfigurationError("--max-queue must be at least 1")

    @property
    def count(self) -> int:
        """How many threads that is: for auto four more than cores, 32 at most.

        As in concurrent.futures: endpoints that block leave the cores to others, and on
        one or two cores that many threads would be too few.
        """
        return min(32, usable_cores() + 4) if self.threads is None else self.threads

    def apply_to(self, server: Server) -> None:
        """Have *server* run plain endpoints so. Nothing is started yet."""
        if not self.count:
            return
        workers = WorkerPoolConfig(
            num_workers=self.count,
            max_queue_size=self.max_queue,
            request_timeout_ms=0,  # that of the server's holds: --handler-timeout
        )
        server.enable_threading(workers, overload=self.queue_policy)

    def __str__(self) -> str:
        if not self.count:
            return "handlers run on the reactor thread"
        return (
            f"plain handlers run on {self.count:,} worker threads (queue"
            f" {self.max_queue:,}, {self.queue_policy.value})"
        )


DEFAULT_THREADS: Final = ThreadOptions()


def _parse_threads(text: str) -> int | None:
    return None if text == "auto" else parse_count(text)


def _parse_policy(text: str) -> Overload:
    try:
        return Overload(text)
    except ValueError:
        raise ConfigurationError(
            f"expected one of {', '.join(_POLICIES)}, got {text!r}"
        ) from None


THREAD_OPTIONS: Final = (
    Option(
        name="threads",
        value="COUNT",
        default="auto",
        text="Worker threads for plain (def) endpoints, and WSGI. auto: the cores this"
        " process may use and four more, 32 at most. 0: plain endpoints run on the"
        " reactor thread, but for those that say thread=True; no WSGI.",
        parse=_parse_threads,
    ),
    Option(
        name="max-queue",
        value="COUNT",
        default=str(DEFAULT_THREADS.max_queue),
        text="Requests that wait for a worker thread, at most.",
        parse=parse_count,
    ),
    Option(
        name="queue-policy",
        value="POLICY",
        default=DEFAULT_THREADS.queue_policy.value,
        text="What a request gets that finds that queue full: reject (503), wait (its"
        " turn), or shed-oldest (the place of the oldest, which gets the 503).",
        parse=_parse_policy,
    ),
)


def threads_from(given: Mapping[str, Any]) -> ThreadOptions:
    """Make a record of the options that were given: names and parsed values.

    :raises ConfigurationError: when one makes no sense, alone or beside another.
    """
    for name in ("max-queue", "queue-policy"):
        if name in given and given.get("threads") == 0:
            raise ConfigurationError(f"--{name} is of no use with --threads 0")
    return ThreadOptions(
        **{
            option.name.replace("-", "_"): given[option.name]
            for option in THREAD_OPTIONS
            if option.name in given
        }
    )
