"""`estate645 frame` on the command line."""

import io
import json

import pytest

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
