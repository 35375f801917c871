"""How much of what was sent the peer has not got: what shows that it reads on.

The transport's own buffer says it only while there is something in it. The kernel's may
hold megabytes besides, and asks for more only when a third of them is free: a client
that reads 10 kB/s is silent for minutes then. Linux tells how much is unacknowledged.
"""

from __future__ import annotations

import struct
import sys
from typing import Any, Final

from httpx_tw.transport.stream import unsent_bytes

fcntl: Any
try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

__all__ = ["undelivered_bytes"]

_OUTPUT_QUEUE: Final = 0x5411 if sys.platform == "linux" else None
"""SIOCOUTQ, tcp(7) and unix(7): bytes that are unsent or unacknowledged."""


def undelivered_bytes(transport: Any) -> int | None:
    """Return how many bytes wait here or in the kernel; None: nobody can say.

    Where the kernel does not tell, what it has taken counts as delivered. Of a
    transport over another (TLS) the lowest is asked.
    """
    unsent = unsent_bytes(transport)
    if unsent is None or _OUTPUT_QUEUE is None:
        return unsent
    while not hasattr(transport, "dataBuffer"):
        transport = transport.transport
    socket = getattr(transport, "socket", None)
    if socket is None:
        return unsent
    try:
        answer = fcntl.ioctl(socket.fileno(), _OUTPUT_QUEUE, bytes(4))
    except (OSError, ValueError):
        return unsent  # closed meanwhile, or a kind that has no such queue
    return unsent + int(struct.unpack("i", answer)[0])
