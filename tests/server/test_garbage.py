"""Garbage of a server is searched for quickly where it is young, and on a clock where it is old."""

import gc
import subprocess
import sys
import threading
import weakref

from server import garbage

SETTLED = """
import gc, threading
from server import garbage
garbage.settle()
print(gc.get_threshold(), gc.get_freeze_count() > 1000, any(one.name == "garbage" for one in threading.enumerate()))
"""


class Knot:
    """An object that no reference count frees."""

    def __init__(self):
        self.me = self


def test_a_settled_process_searches_its_old_objects_on_a_clock_only():
    said = subprocess.run([sys.executable, "-c", SETTLED], capture_output=True, text=True, check=True).stdout
    assert said.split() == ["(700,", "2,", "1000000)", "True", "True"]


def test_the_clock_searches_everything_until_it_ends(monkeypatch):
    monkeypatch.setattr(garbage, "FULL_EVERY_S", 0.01)
    knot, ended = Knot(), threading.Event()
    gc.collect()  # it is among the oldest now
    gone = threading.Event()
    watched = weakref.ref(knot, lambda _: gone.set())
    del knot
    gc.disable()
    thread = threading.Thread(target=garbage.search_by_the_clock, args=(ended,))
    try:
        thread.start()
        assert gone.wait(10)
    finally:
        gc.enable()
        ended.set()
        thread.join(10)
    assert watched() is None
    assert not thread.is_alive()
