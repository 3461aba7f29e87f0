"""Options of a TCP connection that waits more than it speaks.

Short frames leave at once. A modem that lost its network says no farewell, so the kernel probes a silent connection
and gives up on bytes that nobody acknowledges: a half-open one is lost within about two minutes.
"""

import asyncio
import socket

IDLE_S = 60
PROBE_INTERVAL_S = 15
PROBES_MAX = 4
UNACKNOWLEDGED_MAX_MS = 30_000


def keep_alive(transport: asyncio.BaseTransport) -> None:
    """Set them on the transport's socket, as far as this system has them."""
    sock = transport.get_extra_info("socket")
    if sock is None:
        return
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", IDLE_S),
        ("TCP_KEEPINTVL", PROBE_INTERVAL_S),
        ("TCP_KEEPCNT", PROBES_MAX),
        ("TCP_USER_TIMEOUT", UNACKNOWLEDGED_MAX_MS),
    ):
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
