"""Whoever reads the output may stop: a printing command then ends quietly; another broken pipe is still an error."""

import subprocess
import sys

import pytest

from server import __main__

TALKS = """
import sys
from server import __main__
def talk(given):
    for number in range(100_000):
        print("line", number)
    return 0
__main__._run = talk
sys.exit(__main__.main([]))
"""


@pytest.mark.parametrize("lines", [1, 0])
def test_a_command_whose_reader_leaves_ends_without_a_word(lines):
    with subprocess.Popen(
        [sys.executable, "-c", TALKS], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        assert [running.stdout.readline() for _ in range(lines)] == ["line 0\n"] * lines
        running.stdout.close()
        assert running.stderr.read() == ""
        assert running.wait(60) == 141


def test_a_broken_pipe_elsewhere_is_told(monkeypatch):
    def torn(_argv):
        raise BrokenPipeError("the line to a meter")

    monkeypatch.setattr(__main__, "_run", torn)
    with pytest.raises(BrokenPipeError, match="the line to a meter"):
        __main__.main([])
