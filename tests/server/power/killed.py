"""A nursery of processes that book until they are killed: `python -m tests.server.power.killed URL ACKNOWLEDGED`.

Everything is imported once; each line on standard input ("number seed") forks a child, whose process id is printed.
A child tops up and charges through the product's writer, and appends each key to ACKNOWLEDGED only after it was told
that the booking is durable. Keys are "k-<child>-<payer>-<n>", amounts follow from the key.
"""

import os
import sys
from threading import Thread

from server.store.engine import open_engine
from server.store.writer import Writer
from tests.server.books import HOUR, charge, read, reading, top_up, top_up_alike

PAYERS = 5  # those of even number share runs of one flow
HOMES = 4
UNITS_MAX = 100_000  # a child is killed long before


def amount_of(key: str) -> int:
    """The amount that is paid under a key, in fen."""
    return 1 + sum(key.encode()) % 97


def home_of(key: str) -> int:
    """The household that pays under a key."""
    return int(key.rsplit("-", 1)[1]) % HOMES + 1


def work(url: str, acknowledged: str, child: int, hour: int) -> None:
    """Book until killed."""
    writer = Writer(open_engine(url))
    told = os.open(acknowledged, os.O_WRONLY | os.O_APPEND)

    def pay(payer: int) -> None:
        for number in range(UNITS_MAX):
            key = f"k-{child}-{payer}-{number}"
            if payer % 2:
                top_up(writer, home_of(key), amount_of(key), key)
            else:
                top_up_alike(writer, home_of(key), amount_of(key), key).result()
            os.write(told, f"{key}\n".encode())

    for payer in range(PAYERS):
        Thread(target=pay, args=(payer,), daemon=True).start()
    for later in range(hour, hour + UNITS_MAX):
        for home in range(1, HOMES + 1):
            read(writer, reading(home, later * HOUR, 1_000_000 + later * 10 * home))
        charge(writer, later * HOUR)
        os.write(told, f"h-{later}\n".encode())


def main(url: str, acknowledged: str) -> None:
    """Fork children on request."""
    for line in sys.stdin:
        child, hour = map(int, line.split())
        pid = os.fork()
        if not pid:
            work(url, acknowledged, child, hour)
            os._exit(1)
        print(pid, flush=True)
        os.waitpid(pid, 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
