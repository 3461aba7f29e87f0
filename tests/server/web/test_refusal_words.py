"""Who is refused on a page is told why in the language of the page: no sentence of the flows is left in English."""

import ast
import re

import pytest

from server.web import refusal_words
from server.web.formats import Formats
from server.web.i18n import translations
from server.web.refusal_words import refusal_said
from tests.house.sources import ROOT

CHINESE = translations("zh_CN").gettext
F = Formats(CHINESE, "Asia/Shanghai", 0)
PLACES = (
    "server/flows/*.py",
    "server/domain/*.py",
    "server/web/operator/*.py",
    "server/web/money.py",
    "server/pay/bills.py",
)
NOT_FROM_A_PAGE = {  # commands of the shell, the import, programs at the API, and what the books refuse by themselves
    "archive.py", "archive_restore.py", "reading_archive.py", "estates.py", "openings.py", "partners.py", "people.py",
    "ledger.py", "readings.py", "bills.py",
}  # fmt: skip
OURS = (  # a form cannot be filled in like this, or another server had to be asked
    "unknown", "there are", "there is no ledger", "was used for", "has no cursor", "allowed:", "are paid by", "pays by",
    "is no way", "vacant rooms are borne", "instalments are paid", "gone on elsewhere",
    "does not read meters", "money is paid out as", "there is no way", "no notice", "an alert is one", "a day is one",
    "there is no bus", "the day of a 7", "is no 7;", "is no number of a meter",
    "no meter ", "no draft", "no case", "no payment", "no allocation",
    "is not closed", "by this channel", "a notice is given by one of",
)  # fmt: skip


def sentences():
    """Each sentence that an error of ours is raised with, sevens where something differs."""
    for path in sorted(path for place in PLACES for path in ROOT.glob(place)):
        if path.name in NOT_FROM_A_PAGE and path.parent.name != "pay":
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("Refused", "Conflict", "NotFound"):
                yield from texts(node.args[0])


def texts(node):
    if isinstance(node, ast.Constant):
        yield node.value
    elif isinstance(node, ast.JoinedStr):
        yield "".join(
            part.value if isinstance(part, ast.Constant) else ("'7'" if part.conversion == ord("r") else "7")
            for part in node.values
        )


def test_every_refusal_of_a_form_has_words():
    found = set(sentences())
    unknown = sorted(
        one for one in found if refusal_said(one, F, CHINESE) is None and not any(ours in one for ours in OURS)
    )
    assert unknown == []
    assert len(found) > 150


@pytest.mark.parametrize(
    ("detail", "said"),
    [
        ("room 1-0101 has a household; move it out first", "房间 1-0101 已有住户，请先办理迁出"),
        ("at least 1000 fen must be paid, not 500", "每次至少 ¥10.00，所填为 ¥5.00"),
        ("meter 202601010101 was read 7200 s ago; read it now, or type what it shows",
         "电表 202601010101 上次抄表在 2 小时前；请立即抄读，或填写电表显示的读数"),
        ("a second person must agree: more than 50000 fen of one payment", "须第二人同意：超过 ¥500.00"),
        ("the account is closed; this needs it to be normal or paused", "账户状态已变，请重新打开账户页面"),
        ("line 3: an amount is not in yuan with at most two decimals", "第 3 行：金额不是以元为单位、至多两位小数"),
        ("row 2: the field order_no is missing or not a short text", "第 2 条：缺少 order_no，或不是短文本"),
        ("the bill file cannot be read: the body is not JSON", "账单文件无法读取：内容不是 JSON"),
        ("lifts of 2026-10 was shared otherwise already (10000 fen by equal); reverse that first",
         "2026-10 的lifts已按别的方式分摊（¥100.00，均摊），请先冲回"),
        ("<b>%s</b> stays unknown", None),
    ],
)  # fmt: skip
def test_a_refusal_is_said_in_chinese(detail, said):
    assert refusal_said(detail, F, CHINESE) == said


def test_what_people_typed_is_escaped():
    assert refusal_said("there is no room '<b>' in this estate", F, CHINESE) == "本小区没有房间“&lt;b&gt;”"


def test_the_look_for_unknown_sentences_can_fail(monkeypatch):
    monkeypatch.setattr(refusal_words, "_FIXED", frozenset())
    with pytest.raises(AssertionError):
        test_every_refusal_of_a_form_has_words()


def test_no_sentence_is_known_twice():
    assert len(set(refusal_words.SENTENCES)) == len(refusal_words.SENTENCES)
    assert not [one for one in refusal_words.SENTENCES if re.search(r"%\(\w+\)(?!s)", one)]
