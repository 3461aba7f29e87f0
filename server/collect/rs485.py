"""RS-485 mode of a serial driver: it raises RTS while it sends, so that the transceiver listens again in time.

Most adapters switch by themselves and their drivers know no such mode (ENOTTY), as ptys do not: that is "unsupported"
and no trouble unless a real UART was asked for it. Linux only; the ioctl is that of its serial core.
"""

import errno
import fcntl
import struct

TIOCGRS485, TIOCSRS485 = 0x542E, 0x542F
ENABLED, RTS_ON_SEND, RTS_AFTER_SEND = 1, 2, 4
_CONFIG = struct.Struct("=8I")  # flags, delays before and after sending in ms, padding
_UNSUPPORTED = frozenset((errno.ENOTTY, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS))


def switch_by_driver(fd: int) -> bool:
    """Have the driver switch; whether it does, as read back. False where it knows no such mode."""
    try:
        flags = _CONFIG.unpack(fcntl.ioctl(fd, TIOCGRS485, bytes(_CONFIG.size)))[0]
        wanted = (flags | ENABLED | RTS_ON_SEND) & ~RTS_AFTER_SEND
        fcntl.ioctl(fd, TIOCSRS485, _CONFIG.pack(wanted, *[0] * 7))
        made = _CONFIG.unpack(fcntl.ioctl(fd, TIOCGRS485, bytes(_CONFIG.size)))[0]
    except OSError as error:
        if error.errno in _UNSUPPORTED:
            return False
        raise
    return bool(made & ENABLED)
