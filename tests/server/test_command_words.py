"""Every text of the commands that goes through gettext is in Chinese too: none missing, fuzzy, left over, misfilled."""

import ast
import re
from pathlib import Path

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

from server import languages
from server.languages import CATALOGUE, told

SERVER = Path(languages.__file__).parent
SPOKEN = (SERVER / "cli", SERVER / "intake")


@pytest.fixture(scope="module")
def catalogue():
    with CATALOGUE.open("rb") as file:
        return [one for one in read_po(file, locale="zh_CN", abort_invalid=True) if one.id]


def extracted():
    method = {"method_map": [("**.py", "python")], "keywords": {"_": None, "mark": None}}
    return {message for folder in SPOKEN for _, _, message, _, _ in extract_from_dir(str(folder), **method)}


def test_chinese_has_every_message_and_no_other(catalogue):
    have = {one.id for one in catalogue}
    assert sorted(extracted() - have) == []
    assert sorted(have - extracted()) == []


@pytest.mark.parametrize(
    "path",
    sorted(path for folder in SPOKEN for path in folder.rglob("*.py")),
    ids=lambda path: path.relative_to(SERVER).as_posix(),
)
def test_no_message_hides_in_an_f_string_where_extraction_does_not_see_it(path):
    assert hidden(path.read_text("utf-8")) == []


def hidden(source):
    strings = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.JoinedStr)]
    calls = [call for string in strings for call in ast.walk(string) if isinstance(call, ast.Call)]
    return [call.lineno for call in calls if isinstance(call.func, ast.Name) and call.func.id == "_"]


def test_the_check_finds_a_hidden_message():
    assert hidden("x = f\"{_('a')}\"") == [1]


def test_no_message_is_empty_or_fuzzy_and_all_are_chinese(catalogue):
    assert [one.id for one in catalogue if not one.string or one.fuzzy] == []
    assert [one.id for one in catalogue if not re.search(r"[\u4e00-\u9fff]", one.string)] == []


def test_translations_use_the_same_placeholders(catalogue):
    def fields(text):
        return sorted(set(re.findall(r"%\((\w+)\)[sdr]", text)))

    assert [one.id for one in catalogue if fields(one.id) != fields(one.string)] == []


def test_a_message_is_said_in_the_languages_asked_for():
    message = "older keys taken out of %(path)s: %(count)d"
    fields = {"count": 2, "path": "k"}
    assert told(message, "en", **fields) == "older keys taken out of k: 2"
    assert told(message, "zh", **fields) == "已从k移除2个旧密钥"
    assert told(message, "both", **fields) == "older keys taken out of k: 2 / 已从k移除2个旧密钥"
