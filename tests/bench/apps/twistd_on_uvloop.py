"""twistd whose asyncio reactor runs on uvloop's loop; the arguments are twistd's."""

import asyncio
import sys

import uvloop

asyncio.set_event_loop(uvloop.new_event_loop())
asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())

from twisted.scripts.twistd import run  # noqa: E402  # the loop comes first

sys.argv[0] = "twistd"
run()
