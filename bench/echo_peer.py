"""The raw peer of the bus bench: a pty that answers every request-sized piece with reply-sized bytes.

No codec, no clock, no meter: what two Python processes can pass over a pty at all. Run as a file: it prints
the name of its port and serves until it is terminated.
"""

import os
import tty

REQUEST_BYTES = 20
REPLY = bytes(24)


def main() -> None:
    """Serve; ends by SIGTERM."""
    master, slave = os.openpty()
    tty.setraw(slave)
    print(os.ttyname(slave), flush=True)
    pending = 0
    while True:
        pending += len(os.read(master, 4096))
        while pending >= REQUEST_BYTES:
            pending -= REQUEST_BYTES
            os.write(master, REPLY)


if __name__ == "__main__":
    main()
