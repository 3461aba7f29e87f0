"""`estate645 frame` on the command line."""

import io
import json
import subprocess
import sys
from subprocess import PIPE

import pytest

from core.dlt645.explain import explain
from core.dlt645.frame import Frame, encode
from server.__main__ import main
from tests.core.codec_checks import captured

SOUND = "6861010000000068110433333433 1416"


def test_a_frame_is_explained_in_both_languages(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["frame", *SOUND.split()]) == 0
    out = capsys.readouterr().out
    assert "00010000, forward active energy, total / 00010000，当前正向有功总电能" in out
    assert "address 地址域: 000000000161" in out
    assert main(["frame", "68 61 01 00 00 00 00 68 11 04 33 33 34 33 14 16"]) == 0
    assert capsys.readouterr().out == out


def test_a_broken_frame_is_named_and_ends_with_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["frame", SOUND.replace("1416", "1516")]) == 1
    assert "BROKEN: checksum: expected 14H, got 15H / 校验和错：应为14H，收到15H" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [(["zz"], "not hexadecimal: 'z'"), (["681"], "3 hexadecimal digits are no whole bytes"), ([], "--json FILE"),
     (["68", "--json", "-"], "--json FILE"), (["--json", "/nowhere/at/all"], "No such file")],
)  # fmt: skip
def test_mistakes_end_with_two(arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["frame", *arguments]) == 2
    assert complaint in capsys.readouterr().err


def test_json_gives_one_object_a_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [SOUND, "", "xx", *(vector["hex"] for vector in captured())]
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(lines) + "\n"))
    assert main(["frame", "--json", "-"]) == 1
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(told) == 2 + 179
    assert told[0] == {
        "address": "000000000161", "control": "11", "edition": "2007", "identifier": "00010000", "values": [],
        "err": None, "error": None, "error_zh": None, "checksum_ok": True,
    }  # fmt: skip
    assert (told[1]["error"], told[1]["checksum_ok"]) == ("not hexadecimal: 'x'", False)
    for one, vector in zip(told[2:], captured(), strict=True):
        assert one["checksum_ok"] is vector["decoded"]["checksum_ok"]
        assert one["identifier"] == vector["decoded"].get("di", vector["decoded"].get("di97"))


def test_all_frames_sound_end_with_zero(capsys: pytest.CaptureFixture[str], tmp_path) -> None:
    frames = tmp_path / "frames.txt"
    frames.write_text("68 78 56 34 12 14 20 68 91 07 33 34 35 35 67 45 B3 E0 16\n", "utf-8")
    assert main(["frame", "--json", str(frames)]) == 0
    [value] = json.loads(capsys.readouterr().out)["values"]
    assert (value["value"], value["unit"], value["text"]) == (-1234, "mA", "-1.234 A")


@pytest.mark.parametrize("word", [1, 0xFFFFFFFFFFFFFFFE])
def test_a_word_wider_than_a_float_keeps_is_a_string(word, capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    frame = Frame("0" * 12, 0x91, bytes.fromhex("04110004") + word.to_bytes(8, "little"))
    monkeypatch.setattr("sys.stdin", io.StringIO(encode(frame).hex()))
    assert main(["frame", "--json", "-"]) == 0
    [value] = json.loads(capsys.readouterr().out)["values"]
    assert value["value"] == str(word)


@pytest.mark.parametrize(
    "written",
    [[SOUND.lower()], ["0x686101000000006811043333343314 16"], ["68-61-01-00-00-00-00-68:11:04:33:33:34:33:14;16"],
     ["\ufeff" + SOUND], ["0x68,0x61,0x01,0x00,0x00,0x00,0x00", "0X68 0x11 0x04 0x33 0x33 0x34 0x33 0x14 0x16"]],
)  # fmt: skip
def test_bytes_may_be_written_in_many_ways(written: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["frame", *written]) == 0
    assert "00010000, forward active energy, total" in capsys.readouterr().out


def test_a_reader_that_goes_away_ends_it_quietly() -> None:
    command = [sys.executable, "-P", "-m", "server", "frame", "--json", "-"]
    with subprocess.Popen(command, stdin=PIPE, stdout=PIPE, stderr=PIPE) as child:
        child.stdin.write(f"{SOUND}\n".encode())
        child.stdin.flush()
        assert json.loads(child.stdout.readline())["checksum_ok"]  # while the input is still open
        child.stdout.close()
        child.stdin.write(f"{SOUND}\n".encode() * 3)
        child.stdin.close()
        assert (child.wait(30), child.stderr.read()) == (1, b"")


def test_waking_bytes_are_told_and_a_cut_frame_has_no_checksum(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["frame", "fefefefe", SOUND]) == 0
    assert "waking bytes 前导字节: 4" in capsys.readouterr().out
    assert main(["frame", SOUND[:-2]]) == 1
    out = capsys.readouterr().out
    assert "cannot be checked, bytes are missing" in out
    assert "1 missing" in out


def test_one_language_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["frame", "--lang", "en", SOUND]) == 0
    assert capsys.readouterr().out.isascii()
    assert main(["frame", "--lang", "zh", SOUND.replace("1416", "1516")]) == 1
    out = capsys.readouterr().out
    assert "错误: 校验和错：应为14H，收到15H" in out
    assert "checksum" not in out


def test_long_lines_and_foreign_bytes_get_an_object(capsys: pytest.CaptureFixture[str], tmp_path) -> None:
    frames = tmp_path / "frames.txt"
    frames.write_bytes(b"68" * 9000 + b"\n\xff\xfe\n\n" + SOUND.encode() + b"\n" + b"68" * 9000)
    assert main(["frame", "--json", str(frames)]) == 1
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["error"] and one["error"][:9] for one in told] == ["more than", "not hexad", None, "more than"]


@pytest.mark.parametrize(
    ("text", "zh"),
    [("68 1", "3个十六进制数字，不是整字节"), ("68" * 5000, "超过8191个字符，不是一帧"), ("6g", "不是十六进制：'g'")],
)
def test_each_mistake_has_its_own_words_in_chinese(text: str, zh: str, capsys, tmp_path) -> None:
    frames = tmp_path / "frames.txt"
    frames.write_text(text + "\n", "utf-8")
    assert main(["frame", "--json", str(frames)]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["error_zh"] == zh
    assert told["error"].isascii()


def test_an_unreadable_value_is_told_in_chinese_alone() -> None:
    told = explain(encode(Frame("000000000161", 0x91, bytes.fromhex("00000100 0A000000")), 0))
    assert told.error_zh == "数据无法解析：00010000的4字节长度或内容不符合其格式"


@pytest.mark.parametrize(
    ("wire", "en", "zh"),
    [
        ("010300000001840b", "could be Modbus RTU with a wrong CRC: expected 0A84H, got 0B84H", "CRC错误"),
        ("01830241f1", "could be Modbus RTU with a wrong CRC: expected", "CRC错误"),
        ("0103020001 7985", "could be Modbus RTU with a wrong CRC: expected", "CRC错误"),
        ("01050000FF008C3A", "function 05H is not read here", "不支持功能码05H"),
        ("00030000000185DB", "unit 0 is not within 1..247", "从站地址0"),
        ("F803000000019063", "unit 248 is not within 1..247", "从站地址248"),
    ],
)
def test_what_looks_like_modbus_is_said_to(wire: str, en: str, zh: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["frame", wire]) == 1
    out = capsys.readouterr().out
    assert en in out
    assert zh in out


@pytest.mark.parametrize("wire", ["0102", "FFFFFFFFFFFFFFFF", "010300000001840b00", "FE68"])
def test_other_bytes_are_not_taken_for_modbus(wire: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["frame", wire]) == 1
    assert "Modbus" not in capsys.readouterr().out
