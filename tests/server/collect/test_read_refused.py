"""`estate645 read`: what was read is shown with the refusal of the rest, and a mistyped identifier is not asked for."""

import argparse

import pytest

from core.dlt645.frame import Frame
from server.cli import read
from server.errors import ConfigError
from tests.core.search_bus import Meter
from tests.server.collect.test_scan import model


class Promising(Meter):
    """Sets the follow bit on a complete answer and refuses 12H."""

    def answer(self, request):
        if request.control == 0x12:
            return Frame(self.address, 0xD2, b"\x02")
        reply = super().answer(request)
        return reply and Frame(reply.address, reply.control | 0x20, reply.data)


def test_what_was_read_is_shown_with_the_refusal_of_the_rest(monkeypatch, capsys):
    model(monkeypatch, Promising("000000000007", total=0x1234))
    parser = argparse.ArgumentParser()
    read.add_parser(parser.add_subparsers())
    parsed = parser.parse_args(["read", "/m", "000000000007", "00010000", "--baud", "115200", "--lang", "en"])
    assert parsed.run(parsed) == 0
    value, refusal = capsys.readouterr().out.splitlines()
    assert "12340 Wh" in value
    assert "more was promised, but: " in refusal
    assert "ERR 02H" in refusal


@pytest.mark.parametrize("di", ["0x010000", "+0010000", "0001_000", "0001000", "0001000g", "１２３４５６７８"])
def test_what_only_python_takes_for_hexadecimal_is_refused(di):
    parser = argparse.ArgumentParser()
    read.add_parser(parser.add_subparsers())
    parsed = parser.parse_args(["read", "/m", "000000000007", di])
    with pytest.raises(ConfigError, match="8 hexadecimal digits"):
        parsed.run(parsed)
