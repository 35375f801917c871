"""What is not run on Windows under Wine, and why."""

from __future__ import annotations

NO_UNIX = "no Unix sockets in Twisted on Windows"
NO_LINKS = "Wine makes no symbolic links that Windows' calls see as such"
COARSE = "it measures processor time, which Wine counts in ticks of 10 ms"
NO_SIGNALS = "it sends a signal to a thread, and Windows has none to send"
NO_MODES = "permissions of POSIX"

MODULES: dict[str, str] = {
    "transport/test_file_sender.py": "no sendfile(2): files are read and written",
    "transport/test_undelivered.py": "only Linux tells what is not delivered",
}
"""Below tests/: what is not even imported."""

TESTS: dict[str, dict[str, str]] = {
    "*": {
        "protocol/test_grammar.py::*test_hostile_extensions_are_read_once": COARSE,
        "protocol/test_http1.py::*cost*": COARSE,
        "workers/*test_a_thread_that_is_interrupted_while_it_waits*": NO_SIGNALS,
        "server/test_real_sockets.py::UnixConversations::*": NO_UNIX,
    },
}
"""By the reactor, "*" for every one: patterns of pytest's names below tests/."""
