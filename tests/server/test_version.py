"""Each command says which version it is, as its package has it, and asks for nothing else."""

from importlib.metadata import version

import pytest

from server import __main__ as head_end
from sim import __main__ as simulator


def test_the_head_end_says_its_version(capsys):
    with pytest.raises(SystemExit) as ended:
        head_end.main(["--version"])
    assert (ended.value.code, capsys.readouterr().out) == (0, f"estate645 {version('estate645')}\n")


def test_the_simulator_says_its_version(capsys):
    assert simulator.main(["--version"]) == 0
    assert capsys.readouterr().out == f"estate645-sim {version('estate645')}\n"
