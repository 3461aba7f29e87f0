"""Python's collector of garbage, so that it keeps nobody waiting.

Its full search stops a process for 50 to 90 ms, and what a server holds (rows of all households, tiles of the wall) is
replaced so quickly that it would come every half minute, for nothing: such objects have no cycles, and go when the last
reference to them does. What is young is searched often and quickly, what is old on a clock.
"""

import gc
import threading

YOUNG = 700  # objects more than before, after which the youngest are searched; Python's own number
OF_YOUNG = 2  # searches of the youngest after which the next one takes the older ones in, so that none takes long
NEVER = 1_000_000  # searches of the older ones for a full one: the clock does these
FULL_EVERY_S = 600.0


def settle() -> None:
    """Set what is there now aside for good, and search for garbage in this process as said above from now on."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, OF_YOUNG, NEVER)
    threading.Thread(target=search_by_the_clock, args=(threading.Event(),), name="garbage", daemon=True).start()


def search_by_the_clock(ended: threading.Event) -> None:
    """A full search every FULL_EVERY_S until it is `ended`."""
    while not ended.wait(FULL_EVERY_S):
        gc.collect()
