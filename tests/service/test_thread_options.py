"""The options about worker threads."""

from __future__ import annotations

from typing import Any

import pytest

from httpx_tw import Server
from httpx_tw.errors import ConfigurationError
from httpx_tw.server.threads import Overload
from httpx_tw.service import thread_options
from httpx_tw.service.thread_options import THREAD_OPTIONS, ThreadOptions, threads_from

BY_NAME = {option.name: option for option in THREAD_OPTIONS}


@pytest.mark.parametrize(("cores", "threads"), [(1, 5), (2, 6), (8, 12), (64, 32)])
def test_auto_is_four_more_than_cores(
    monkeypatch: pytest.MonkeyPatch, cores: int, threads: int
) -> None:
    monkeypatch.setattr(thread_options, "usable_cores", lambda: cores)
    assert ThreadOptions().count == threads
    assert ThreadOptions(threads=3).count == 3


def test_a_server_is_told() -> None:
    server = Server()
    given = {"threads": 8, "max-queue": 5, "queue-policy": Overload.WAIT}
    threads_from(given).apply_to(server)
    assert server.is_threading_enabled
    assert server.worker_stats is None, "nothing has been started"
    workers, overload = server._threading or (None, None)
    assert overload is Overload.WAIT
    assert (workers.num_workers, workers.max_queue_size) == (8, 5)  # type: ignore[union-attr]  # it is a configuration
    assert workers.request_timeout_ms == 0, "--handler-timeout alone holds"  # type: ignore[union-attr]  # as above


def test_none_is_none() -> None:
    server = Server()
    options = threads_from({"threads": 0})
    options.apply_to(server)
    assert not server.is_threading_enabled
    assert str(options) == "handlers run on the reactor thread"


def test_it_says_what_it_does() -> None:
    assert str(ThreadOptions(threads=6)) == (
        "plain handlers run on 6 worker threads (queue 4,096, reject)"
    )


def test_words_become_values() -> None:
    assert BY_NAME["threads"].parse("auto") is None
    assert BY_NAME["threads"].parse("7") == 7
    assert BY_NAME["queue-policy"].parse("shed-oldest") is Overload.SHED_OLDEST


@pytest.mark.parametrize(
    ("name", "text"),
    [("threads", "-1"), ("threads", "many"), ("max-queue", "x"), ("queue-policy", "")],
)
def test_what_makes_no_sense_is_refused(name: str, text: str) -> None:
    with pytest.raises(ConfigurationError):
        BY_NAME[name].parse(text)


@pytest.mark.parametrize(
    "given",
    [
        {"max-queue": 0},
        {"threads": 0, "max-queue": 5},
        {"threads": 0, "queue-policy": Overload.WAIT},
    ],
)
def test_what_makes_no_sense_together_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=r"^--"):
        threads_from(given)
