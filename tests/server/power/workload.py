"""What the recorded process does: four payers and the billing at once, through the writer of the product.

Arguments: the VFS, the database, the trace, what to set `synchronous` to ("as it is": nothing), a seed. Ends without
closing anything, as a machine does.
"""

import os
import sys
from pathlib import Path
from threading import Thread

from sqlalchemy import event

from server.store.engine import open_engine
from server.store.writer import Writer
from tests.server.books import HOUR, charge, read, reading, top_up, top_up_alike
from tests.server.power.power_cut import begin_trace

AS_IT_IS = "as it is"
PAYERS = 4
TOPUPS = 25
HOURS = 12
CHECKPOINT_PAGES = 150  # so often that cuts fall into checkpoints, too
HOMES = 6


def main(built: str, database: str, trace: str, synchronous: str, seed: str) -> None:
    """Record one run."""
    vfs = begin_trace(Path(built), Path(trace))
    engine = open_engine(f"sqlite:///{database}")

    @event.listens_for(engine, "connect")
    def prepare(connection, _record):
        connection.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
        if synchronous != AS_IT_IS:
            connection.execute(f"PRAGMA synchronous={synchronous}")

    writer = Writer(engine)

    def pay(payer: int) -> None:
        for number in range(payer, PAYERS * TOPUPS, PAYERS):
            wish = (writer, number % HOMES + 1, 100 + number + int(seed), f"t-{number}")
            if payer % 2:
                top_up(*wish)
            else:
                top_up_alike(*wish).result()
            vfs.trace_mark(number)

    payers = [Thread(target=pay, args=(payer,)) for payer in range(PAYERS)]
    for payer in payers:
        payer.start()
    for hour in range(1, HOURS + 1):
        for home in range(1, HOMES + 1):
            read(writer, reading(home, hour * HOUR, 1_000_000 + hour * 10 * (home + int(seed) % 7)))
        charge(writer, hour * HOUR)
    for payer in payers:
        payer.join()
    vfs.trace_end()
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
