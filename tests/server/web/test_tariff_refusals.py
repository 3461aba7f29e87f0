"""Who drafts a tariff that is refused is told why in the language of the page: no sentence of its rules is English."""

import ast
import re

import pytest

from core.tariff import TariffError, tariff_from_dict
from core.units import parse_price
from server.domain.tariff_drafts import check_cap
from server.web import tariff_refusals
from server.web.formats import Formats
from server.web.i18n import translations
from server.web.refusal_words import refusal_said
from server.web.tariff_refusals import tariff_refusal_said
from tests.house.sources import ROOT

CHINESE = translations("zh_CN").gettext
F = Formats(CHINESE, "Asia/Shanghai", 0)
SOURCES = (
    "core/tariff.py", "core/tariff_dict.py", "core/tariff_keys.py", "core/tariff_order.py", "core/tariff_terms.py",
    "core/tariff_windows.py", "server/domain/tariff_drafts.py",
)  # fmt: skip
PROGRAMS = ("is no season of this version", "is beyond 2^62", "have no row")  # no document brings these about
DEAR = tariff_from_dict({"id": "a", "valid_from": "2027-01-01", "prices": {"flat": "0.5", "peak": "1.2"}})
PLACE = "tariff '7', version 7"


def price_errors():
    """What is said of texts that are no price."""
    for text in ("x", "0.123456789"):
        try:
            parse_price(text)
        except ValueError as error:
            yield str(error)


def texts(node, names, line):
    """The texts that an expression can be, sevens where something differs; `names` are the local texts before."""
    if isinstance(node, ast.Constant):
        return [str(node.value)]
    if isinstance(node, ast.IfExp):
        return [*texts(node.body, names, line), *texts(node.orelse, names, line)]
    if isinstance(node, ast.FormattedValue):
        if isinstance(node.value, ast.Name):
            return ["'7'"] if node.conversion == ord("r") else texts(node.value, names, line)
        return ["'7'" if node.conversion == ord("r") else "7"]
    if isinstance(node, ast.JoinedStr):
        found = [""]
        for part in node.values:
            found = [before + one for before in found for one in texts(part, names, line)]
        return found
    if isinstance(node, ast.Name) and node.id in ("where", "here"):
        return [PLACE]
    if isinstance(node, ast.Name) and node.id == "bad":
        return list(price_errors())
    told = [text for name, at, text in names if isinstance(node, ast.Name) and name == node.id and at < line]
    return texts(told[-1], names, line) if told else ["7"]


def assigned(function):
    """(name, line, text) of what a function puts together before it raises, in order."""
    found = [node for node in ast.walk(function) if isinstance(node, ast.Assign)]
    said = (ast.Constant, ast.IfExp, ast.JoinedStr)
    return [
        (node.targets[0].id, node.lineno, node.value)
        for node in sorted(found, key=lambda node: node.lineno)
        if isinstance(node.targets[0], ast.Name) and isinstance(node.value, said)
    ]


def sentences():
    """Every sentence with which a tariff is refused."""
    for path in SOURCES:
        tree = ast.parse((ROOT / path).read_text("utf-8"))
        for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
            names = [one for one in assigned(function) if one[0] != "where"]
            for call in ast.walk(function):
                if not isinstance(call, ast.Call) or function.name == "_refuse":
                    continue
                name = getattr(call.func, "id", "")
                if name == "TariffError":
                    yield from texts(call.args[0], names, call.lineno)
                elif name == "_refuse":
                    what, remedy = (texts(part, names, call.lineno) for part in call.args[1:])
                    yield from (f"{PLACE}: {one}; {other}" for one in what for other in remedy)


def told():
    return sorted({one for one in sentences() if not any(part in one for part in PROGRAMS)})


def test_every_refusal_of_a_tariff_has_words():
    found = told()
    assert [one for one in found if refusal_said(one, F, CHINESE) is None] == []
    assert [one for one in found if not re.search(r"[\u4e00-\u9fff]", refusal_said(one, F, CHINESE))] == []
    assert len(found) > 75


def test_no_sentence_takes_the_place_of_another_and_none_is_left_over():
    assert [one for one in told() if tariff_refusal_said(one, str).replace("0.01 kWh", "7 Wh") != one] == []
    rest = [one.partition(f"{PLACE}: ")[2] or one for one in told()]
    rest = [re.sub(r"^tariff .*?(?:: | (?=must))", "", one) for one in rest]
    left = [text for pattern, text in tariff_refusals._PATTERNS if not any(map(pattern.fullmatch, rest))]
    assert [one for one in left if not one.startswith("the file changes")] == []  # of an import


@pytest.mark.parametrize(
    ("detail", "said"),
    [
        (
            "tariff 'bj: 1', version 2, season 1, ratios: unknown key 'x'; allowed are sharp, peak",
            "电价“bj: 1”，第2版，第1个季节，比价（ratios）：没有 'x' 这一项；可写：sharp, peak",
        ),
        (
            "tariff 'a', version 1: prices must name at least flat or peak",
            "电价“a”，第1版，价格（prices）：至少须写明 flat 或 peak",
        ),
        (
            "tariff 'a', version 1, ratios must name at least flat or peak",
            "电价“a”，第1版，比价（ratios）：至少须写明 flat 或 peak",
        ),
        (
            "tariff 'a', version 1, holiday: 15 periods in a day; a meter's day table holds at most 14",
            "电价“a”，第1版，法定节假日时段：一天有 15 个时段，电表的日时段表最多 14 个",
        ),
        (
            "tariff 'a', version 1: give exactly one of base, price, not none",
            "电价“a”，第1版：base, price 中须写且只写一项，现写的是：无",
        ),
        (
            "tariff 'a', version 1: a free quota of 15000 Wh beyond the first limit; at most 10000 Wh fit",
            "电价“a”，第1版：免费电量 15.00 kWh 超过第一档上限，最多 10.00 kWh",
        ),
        ("tariff 'a' is a riddle", None),
    ],
)
def test_a_refusal_is_said_in_chinese_with_its_place(detail, said):
    assert tariff_refusal_said(detail, CHINESE) == said


def test_a_price_over_the_cap_is_said_with_its_rate_by_name():
    with pytest.raises(TariffError) as refused:
        check_cap(DEAR, DEAR.versions, 98_000_000)
    said = tariff_refusal_said(str(refused.value), CHINESE)
    assert said.startswith("电价“a”，2027-01-01 起的版本：1.2000 元/kWh（第1档峰）超过本小区的价格上限 0.9800")


def test_what_people_wrote_is_escaped_on_the_page():
    said = refusal_said("tariff '<b>', version 1: unknown key '<i>'; allowed are price", F, CHINESE)
    assert "<" not in said
    assert "&lt;b&gt;" in said


def test_the_look_for_unknown_sentences_can_fail(monkeypatch):
    monkeypatch.setattr(tariff_refusals, "_PATTERNS", tariff_refusals._PATTERNS[1:])
    with pytest.raises(AssertionError):
        test_every_refusal_of_a_tariff_has_words()
