"""What is left out on Windows is left out for a reason, and exists."""

from __future__ import annotations

from fnmatch import fnmatchcase
from unittest import mock

import pytest

from tests.windows import excluding, exclusions
from tests.windows.machine import ROOT


def test_what_no_reactor_can_is_left_out_on_every_one() -> None:
    test = "tests/server/test_real_sockets.py::UnixConversations::test_a"
    assert excluding.reason_for(test, "iocp") == exclusions.NO_UNIX
    assert excluding.reason_for(test, "httpx-iocp") == exclusions.NO_UNIX


def test_what_one_reactor_cannot_is_run_on_the_others() -> None:
    test = "tests/server/test_real_sockets.py::AdoptedPortConversations::test_a"
    assert excluding.reason_for(test, "iocp") == exclusions.NO_ADOPTION
    assert excluding.reason_for(test, "httpx-iocp") is None


def test_what_is_not_named_is_run() -> None:
    assert excluding.reason_for("tests/server/test_server.py::T::test_a", "x") is None


def test_it_is_skipped_with_its_reason() -> None:
    config = mock.Mock(**{"getoption.return_value": "iocp"})
    left_out = mock.Mock(nodeid="tests/workers/test_disk.py::Fetching::test_a")
    run = mock.Mock(nodeid="tests/server/test_server.py::T::test_a")
    excluding.pytest_collection_modifyitems(config, [left_out, run])
    (mark,) = left_out.add_marker.call_args.args
    assert mark.name == "skip"
    assert mark.kwargs == {"reason": exclusions.NO_CACHE}
    run.add_marker.assert_not_called()


def test_modules_that_cannot_be_imported_are_not() -> None:
    module = next(iter(exclusions.MODULES))
    assert excluding.pytest_ignore_collect(ROOT / "tests" / module)
    # None, not False, which would have pytest collect what others ignore.
    assert excluding.pytest_ignore_collect(ROOT / "tests" / "test_errors.py") is None
    assert any(module in line for line in excluding.pytest_report_header())


@pytest.mark.parametrize(
    "path",
    sorted(
        {
            *exclusions.MODULES,
            *(
                pattern.partition("::")[0]
                for patterns in exclusions.TESTS.values()
                for pattern in patterns
            ),
        }
    ),
)
def test_what_is_left_out_is_there(path: str) -> None:
    modules = [
        module.relative_to(ROOT / "tests").as_posix()
        for module in (ROOT / "tests").rglob("test_*.py")
    ]
    assert any(fnmatchcase(module, path) for module in modules)
