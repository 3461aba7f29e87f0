"""The raw peer of many ports: ptys that answer every request-sized piece with reply-sized bytes, by epoll.

No codec, no clock, no meter: what two Python processes can pass over many ptys at all. Run as a file with the number
of ports: it prints their names, one a line, and serves until it is terminated.
"""

import os
import select
import sys
import tty

REQUEST_BYTES = 20
REPLY = bytes(24)


def main() -> None:
    """Serve; ends by SIGTERM."""
    epoll = select.epoll()
    pending = {}
    for _ in range(int(sys.argv[1])):
        master, slave = os.openpty()
        tty.setraw(slave)
        epoll.register(master, select.EPOLLIN)
        pending[master] = 0
        print(os.ttyname(slave), flush=True)
    print(flush=True)
    while True:
        for fd, _mask in epoll.poll():
            pending[fd] += len(os.read(fd, 4096))
            while pending[fd] >= REQUEST_BYTES:
                pending[fd] -= REQUEST_BYTES
                os.write(fd, REPLY)


if __name__ == "__main__":
    main()
