"""A trace beside a server that hears nothing says what is known of the bus, and does not blame its wires."""

import argparse

import pytest

from server.admin.service import AdminSocket
from server.cli import trace

BUS = {
    "bus": "bus-1", "url": "/dev/ttyUSB0", "baud": 2400, "parity": "E", "stop_bits": 1, "open": True, "waiting": False,
    "trouble": "", "meters": 2, "silent_meters": 0, "last_reply_ms": 1_791_853_500_000, "next_s": 611.2,
}  # fmt: skip


def listened(tmp_path, capsys, bus, lang="en"):
    """What a trace of one silent second says beside a server that tells this of its bus."""

    def silent(_message):
        yield {"ms": 0, "sent": False, "bytes": ""}

    serving = AdminSocket(tmp_path / "x.db.admin", {"buses": lambda _: {"done": [bus]}, "trace": silent})
    serving.start()
    try:
        parser = argparse.ArgumentParser()
        trace.add_parser(parser.add_subparsers())
        url = f"sqlite:///{tmp_path / 'x.db'}"
        parsed = parser.parse_args(["trace", "bus-1", "--for", "0", "--database", url, "--lang", lang])
        assert parsed.run(parsed) == 0
    finally:
        serving.stop()
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("differs", "said"),
    [
        ({}, "bus-1 rests between two cycles; the running server asks next in 612 s, and the last answer came at "),
        ({"last_reply_ms": None, "next_s": 3.0}, "asks on bus bus-1 next in 3 s; no meter has answered it since"),
        ({"waiting": True, "open": False}, "the DTU of bus bus-1 has not dialled in"),
        ({"open": False, "trouble": "/dev/ttyUSB0: busy"}, "the server has not opened bus bus-1: /dev/ttyUSB0: busy"),
        ({"meters": 0, "next_s": None}, "the server has no meter to read on bus bus-1"),
        ({"next_s": None}, "bus bus-1 rests until its next cycle"),
    ],
)
def test_what_is_known_of_a_quiet_bus_is_said(tmp_path, capsys, differs, said):
    told = listened(tmp_path, capsys, {**BUS, **differs})
    assert said in told
    assert "nobody asks" not in told


def test_a_server_of_an_older_release_tells_less(tmp_path, capsys):
    bus = {name: BUS[name] for name in ("bus", "url", "baud", "parity", "stop_bits")}
    assert "正在等待下一周期" in listened(tmp_path, capsys, bus, "zh")
