"""Whoever asks for Chinese is told in Chinese why a command refused: no error of these commands is English alone."""

import ast
import re

import pytest

from server.cli import error_words
from server.cli.languages import error_in_chinese, heard, in_chinese
from server.config import SETTINGS, load
from server.domain.verification_heads import LATE_MS, HeadBooks
from server.errors import ConfigError
from server.signing.shared_secret import secrets_of
from server.store.engine import wal_reset_warning
from tests.house.sources import ROOT

COMMANDS = ("doctor", "explain", "lines", "outputs", "read", "reconcile", "scan", "trace", "verify", "why")
PLACES = (*(f"server/cli/{name}.py" for name in COMMANDS), "server/cli/commission/*.py", "server/admin/client.py")
RAISED = ("ConfigError", "NotFound", "Refused", "EstateError", "AdminError", "NoReply")
WHAT = ("was never wanted cut", "has no command 7")  # of a meter, where its newest commands follow


def errors():
    """Each error that is raised with a text of its own, sevens where something differs."""
    for path in sorted(path for place in PLACES for path in ROOT.glob(place)):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in RAISED and node.args:
                yield from texts(node.args[0])


def texts(node):
    if isinstance(node, ast.Constant):
        yield node.value
    elif isinstance(node, ast.JoinedStr):
        whole = "".join(
            part.value if isinstance(part, ast.Constant) else ("'7'" if part.conversion == ord("r") else "7")
            for part in node.values
        )
        whole = whole.replace("in time7", "in time")  # without the noise that was heard
        if whole.startswith("meter 7 7;"):
            yield from (whole.replace("7 7;", f"7 {what};", 1) for what in WHAT)
        else:
            yield whole


def is_chinese(text):
    return re.search(r"[\u4e00-\u9fff]", text) is not None


def test_every_error_of_these_commands_is_said_in_chinese():
    found = sorted(set(errors()))
    assert [one for one in found if not is_chinese(error_in_chinese(Exception(one)))] == []
    assert len(found) > 35


def test_the_look_for_unknown_errors_can_fail(monkeypatch):
    monkeypatch.setattr(error_words, "_KNOWN", ())
    with pytest.raises(AssertionError):
        test_every_error_of_these_commands_is_said_in_chinese()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("status 0050: relay open, command open", "状态字 0050：继电器分，命令分"),
        ("ERR 04: wrong password or not authorised", "电表错误字 04：密码错或未授权"),
        (
            "meter 202600010101 refused with ERR 04H: wrong password or not authorised",
            "电表错误字 04：密码错或未授权",
        ),
        ("unit 5 refused with Modbus exception 05H: acknowledge, still working", "Modbus 异常 05：确认，处理中"),
        ("meter unit 5 did not answer in time, only 3 bytes of noise", "电表未按时应答，收到 3 字节噪声"),
    ],
)
def test_what_meters_say_is_said_in_chinese(text, said):
    assert in_chinese(text) == said
    assert (str(heard(text)), heard(text).in_chinese) == (text, said)


def test_what_verify_could_not_look_at_is_said_in_chinese():
    heads = HeadBooks([], 0)
    heads.are_exported, heads._digests = True, {"x"}
    told = [heads.late(2 * LATE_MS)]
    for missing in (["batch 3 (aa)"], ["batch 3 (aa)", "batch 4 (bb)"]):
        heads._missing = missing
        told.append(heads.missing())
    source = ast.parse((ROOT / "server/flows/verification.py").read_text("utf-8"))
    [unchecked] = [node for node in ast.walk(source) if isinstance(node, ast.FunctionDef) and node.name == "unchecked"]
    told += [text for node in ast.walk(unchecked) if isinstance(node, ast.Yield) for text in texts(node.value)]
    told.append("re-rating 7, whose charges are archived")
    assert len(told) == 8
    assert [text for text in told if not is_chinese(in_chinese(text))] == []


def test_what_the_books_do_not_bear_out_is_said_in_chinese():
    source = ast.parse((ROOT / "server/store/books.py").read_text("utf-8"))
    wheres = ("line 7/7 of the ledger", "the order of two people, approval 7,")
    told = []
    for node in ast.walk(source):
        lists = [node.value, getattr(node.value, "body", None)] if isinstance(node, ast.Return) else []
        parts = [part for one in lists if isinstance(one, ast.List) for part in one.elts]
        added = isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "append"
        for part in [*parts, *(node.args if added else [])]:
            for text in texts(part):
                where = wheres[text == "7 is not there" : 1 + ("archived" not in text)]
                told += [place + text[1:] for place in where] if text.startswith("7 is ") else [text]
    assert len(told) > 10
    assert [text for text in told if not is_chinese(in_chinese(text))] == []


def test_what_doctor_quotes_is_said_in_chinese(tmp_path):
    assert is_chinese(in_chinese(wal_reset_warning((3, 50, 0))))
    path = tmp_path / "secrets"
    for content, mode, said in (("short", 0o600, "须有一行或两行"), ("x" * 40, 0o644, "请执行 chmod 600")):
        path.write_text(content, "ascii")
        path.chmod(mode)
        with pytest.raises(ConfigError) as refused:
            secrets_of(path)
        assert said in error_in_chinese(refused.value)


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_what_a_setting_allows_is_said_in_chinese(setting, tmp_path):
    said = in_chinese(f"estate.toml: {setting.name} = 'x' is wrong; allowed: {setting.allowed}")
    assert said.startswith(f"estate.toml：{setting.name} = 'x'有误；允许：")
    assert is_chinese(said.partition("允许：")[2])


def test_a_wrong_settings_file_is_said_in_chinese(tmp_path):
    path = tmp_path / "estate.toml"
    for text, said in (("port = 99999", "port = 99999有误；允许：0至65535"), ("prt = 1", "未知的键'prt'；允许：")):
        path.write_text(text, "utf-8")
        with pytest.raises(ConfigError) as refused:
            load(path)
        assert said in error_in_chinese(refused.value)
