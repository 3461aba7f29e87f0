"""`estate645 frame` on Modbus RTU: published frames told as stated, and nothing made up."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.dlt645.explain import explain
from core.modbus.explain import explain_rtu
from server.__main__ import main
from tests.core.codec_checks import captured, synthetic
from tests.core.modbus_checks import published, spoken
from tests.core.modbus_oracle import Said, build


@pytest.mark.parametrize("vector", spoken(), ids=lambda vector: vector["hex"][:24])
def test_a_published_frame_is_told_as_its_source_states(vector: dict) -> None:
    wire, want = bytes.fromhex(vector["hex"]), vector["decoded"]
    assert not explain(wire).is_sound
    told = explain_rtu(wire)
    assert (told.address, told.edition, told.is_sound) == (str(want["unit"]), "modbus-rtu", True)
    assert b"".join(row.data for row in told.rows) == wire
    assert all(row.name_zh and bool(row.text_en) == bool(row.text_zh) for row in told.rows)
    who = "reply" if vector["direction"] == "response" else "request"
    assert f", {who}" in told.rows[1].text_en
    if "registers" in want:
        assert [one.value for one in told.values] == [int(word, 16) for word in want["registers"]]
    if "count" in want and want["function"] != "10":
        assert (told.identifier, told.values) == (want["register"], ())
    assert told.err == want.get("exception")


def test_a_single_is_shown_where_there_is_one() -> None:
    told = explain_rtu(bytes.fromhex("010404436633341B38"))
    assert told.values[0].text_en == "17254; with the next a single of 230.200"
    assert told.values[0].text_zh == "17254；与下一个合为单精度数230.200"
    assert told.values[1].text_en == "13108"
    counts = explain_rtu(build(Said(1, 3, "0400001cae")))
    assert [one.text_en for one in counts.values] == ["0", "7342"]
    infinite = explain_rtu(build(Said(1, 3, "047f800000")))
    assert infinite.values[0].text_en == "32640"
    export = explain_rtu(bytes.fromhex("010404C32C9822EDD0"))
    assert export.values[0].text_en.endswith("-172.594")


def test_what_is_no_frame_beyond_doubt_is_not_told() -> None:
    for vector in captured() + synthetic():
        assert explain_rtu(bytes.fromhex(vector["hex"])) is None
    for vector in published():
        if vector not in spoken():
            assert explain_rtu(bytes.fromhex(vector["hex"])) is None
    wire = bytes.fromhex("010404436633341B38")
    assert explain_rtu(wire[:-1]) is explain_rtu(wire + b"\0") is explain_rtu(b"") is None


@given(st.binary(max_size=40))
def test_no_bytes_make_it_fail(data: bytes) -> None:
    explain_rtu(data)
    told = explain_rtu(build(Said(data[0], data[1], data[2:].hex()))) if len(data) > 2 else None
    assert told is None or told.edition == "modbus-rtu"


def test_the_command_tells_both_protocols(capsys: pytest.CaptureFixture[str], tmp_path) -> None:
    assert main(["frame", build(Said(1, 16, "001a0001020000")).hex(" ")]) == 0
    out = capsys.readouterr().out
    assert "write registers, request (Modbus RTU) / 写多个寄存器，主站请求（Modbus RTU）" in out
    assert "register 001AH 寄存器001AH: 0" in out
    assert main(["frame", "018302C0F1"]) == 0
    assert "exception 02H: illegal data address / 异常02H：非法数据地址" in capsys.readouterr().out
    assert main(["frame", "018302C0F2"]) == 1
    assert "BROKEN" in capsys.readouterr().out
    frames = tmp_path / "frames.txt"
    frames.write_text("6861010000000068110433333433 1416\n01 83 02 C0 F1\n01030200107984\n", "utf-8")
    assert main(["frame", "--json", str(frames)]) == 1
    dlt, refused, broken = map(json.loads, capsys.readouterr().out.splitlines())
    assert dlt["edition"] == "2007"
    assert refused == {
        "address": "1", "control": "83", "edition": "modbus-rtu", "identifier": None, "values": [], "err": "02",
        "error": "exception 02H: illegal data address", "error_zh": "异常02H：非法数据地址", "checksum_ok": True,
    }  # fmt: skip
    assert (broken["edition"], broken["checksum_ok"]) == (None, False)
