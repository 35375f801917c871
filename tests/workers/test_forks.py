"""Pools and the ends and beginnings of processes."""

from __future__ import annotations

import os
import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

FORK = """
import os, sys
from httpx_tw.errors import PoolStopped
from httpx_tw.workers import WorkerPool, WorkerPoolConfig

pool = WorkerPool(WorkerPoolConfig(num_workers=1))
pool.start()
pool.submit(str, 1).result()
child = os.fork()
if child:
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert pool.submit(str, 2).result() == "2"
    pool.stop()
    sys.exit(status)
if os.path.isdir("/proc/self/fd"):
    held = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            held.add(os.readlink("/proc/self/fd/" + name))
        except OSError:  # that of the listing itself
            pass
    assert not [each for each in held if "event" in each], held
assert not pool.is_running
assert pool.stats.total == pool.stats.workers == 0
try:
    pool.submit(str, 1)
except PoolStopped:
    pool.start()
    assert pool.submit(str, 3).result(5) == "3"
    pool.stop()
    os._exit(0)
os._exit(4)
"""

EXIT = """
import threading
from httpx_tw.workers import WorkerPool, WorkerPoolConfig

pool = WorkerPool(WorkerPoolConfig(num_workers=2))
pool.start()
begun = threading.Event()

def hang():
    begun.set()
    threading.Event().wait()

pool.submit(str).result()
pool.submit(hang)
begun.wait()
"""


class ProcessTests(SynchronousTestCase):
    def run_program(self, program: str) -> None:
        command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", program]
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, timeout=60
        )
        assert (done.returncode, done.stderr) == (0, "")

    def test_in_a_forked_child_a_pool_is_stopped_and_can_be_started(self) -> None:
        if not hasattr(os, "fork"):
            return
        self.run_program(FORK)

    def test_a_call_that_hangs_does_not_keep_the_interpreter_from_exiting(self) -> None:
        self.run_program(EXIT)
