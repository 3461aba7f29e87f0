"""Ctrl-C at every single step of the demo's life: whatever has started by then is stopped."""

import argparse
import contextlib
import signal
import sys
from types import SimpleNamespace

import pytest

from server.cli import demo
from server.cli.demo import interrupt, processes, stage

STEPS_IN = {__file__, demo.__file__, stage.__file__, interrupt.__file__, contextlib.__file__}
WHERE_PYTHON_LOOKS = {"call", "c_return"}  # for signals: as a function begins, and after one that is written in C


class Cast:
    """Children that only exist in a set."""

    def __init__(self):
        self.started, self.alive, self.calm = [], [], True

    def start(self, name, _command, _folder):
        self.started.append(name)
        self.alive.append(name)
        ready = {"url": "http://nowhere", "control_url": "http://nowhere"}
        return SimpleNamespace(name=name, wait_ready=lambda: ready, stop=lambda: self._stop(name))

    def _stop(self, name):
        self.calm &= signal.getsignal(signal.SIGINT) == signal.getsignal(signal.SIGALRM) == signal.SIG_IGN
        self.alive.remove(name)
        return 0


@pytest.fixture
def cast(monkeypatch):
    made = Cast()
    monkeypatch.setattr(processes, "start", made.start)
    for name in ("generate_key_pair", "households", "write_simulator", "write_head_end", "_import", "_wait_for_http"):
        monkeypatch.setattr(stage, name, lambda *_, **__: None)
    monkeypatch.setattr(signal, "setitimer", lambda *_: None)  # no alarm outlives a run that it belongs to
    monkeypatch.setattr(demo, "_show", lambda *_: 0)
    before = {number: signal.getsignal(number) for number in (*interrupt.SIGNALS, signal.SIGALRM)}
    yield made
    for number, handler in before.items():
        signal.signal(number, handler)


def run(folder, interrupted_at=0):
    """Run the demo; Ctrl-C comes at step `interrupted_at`. Returns how many steps it had, and whether it was cut."""
    steps = 0

    def step(frame, event, _argument):
        nonlocal steps
        if event in WHERE_PYTHON_LOOKS and frame.f_code.co_filename in STEPS_IN:
            steps += 1
            if steps == interrupted_at and signal.getsignal(signal.SIGINT) is interrupt._interrupt:
                signal.raise_signal(signal.SIGINT)

    sys.setprofile(step)
    try:
        assert demo.run(argparse.Namespace(check=False, faults=False, port=0, folder=folder)) == 0
    except KeyboardInterrupt:
        return steps, True
    finally:
        sys.setprofile(None)
    return steps, False


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # a lock cut before it is kept
def test_nothing_survives_ctrl_c_at_any_step(tmp_path, cast):
    whole, cut = run(tmp_path)
    assert not cut
    assert cast.started == ["provider", "simulator", "server"]
    seen = set()
    for at in range(1, whole + 1):
        cast.started.clear()
        _, cut = run(tmp_path, at)
        assert cast.alive == [], f"Ctrl-C at step {at} of {whole} left them running"
        assert cast.calm, f"Ctrl-C at step {at} of {whole} can come again while they are stopped"
        if cut:
            seen.add(len(cast.started))
    assert seen == {0, 1, 2, 3}, "the cuts fell before, between and after the starts"
