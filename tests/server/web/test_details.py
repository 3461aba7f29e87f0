"""Technical details are said in the language of the page: every sentence that the program writes down is known."""

import re

import pytest

from core.dlt645.commands import ERRORS
from core.dlt645.security import SERR
from core.reading import judge
from core.vending.outcomes import DOUBTS, REASONS
from server.collect.control import describe
from server.domain.recovery import memo_of_floor
from server.web.details import FIXED, detail_said, memo_said
from server.web.formats import Formats
from server.web.i18n import translations

CHINESE = translations("zh_CN").gettext
ENGLISH = translations("en").gettext
F = Formats(CHINESE, "Asia/Shanghai", 0)


@pytest.mark.parametrize(
    ("detail", "said"),
    [
        (describe(0x0050), "状态字 0050：继电器分，命令分"),
        (describe(0x0000), "状态字 0000：继电器合，命令合"),
        ("trip until 2026-10-13 09:48:22 of the meter's clock", "有效至电表时间 2026-10-13 09:48:22"),
        ("the meter has accepted; the relay is read back", "电表已应答，随后回读"),
        ("not sent: a newer wish exists", "未发：已有更新的指令"),
        (
            "not sent: a newer wish exists, or something now speaks against a cut",
            "未发：已有更新的指令，或现有不应拉闸的理由",
        ),
        (
            f"not sent: the meter keeps the power on: {describe(0x1000)}",
            "未发：电表处于保电状态：状态字 1000：继电器合，命令合，保电",
        ),
        (f"not sent: already {describe(0x0010)}", "未发，已是此状态：状态字 0010：继电器分，命令合"),
        (
            "not sent: the meter's clock is off by -400 s, allowed are 300 s",
            "未发：电表时钟偏差 -400 秒，允许 300 秒",
        ),
        ("楼道 of 2026-10, when it lived there", "2026-10 的楼道，当时在住"),
        ("楼道 of 2026-10, given back", "2026-10 的楼道，已退回"),
        ("ERR 04: wrong password or not authorised", "电表错误字 04：密码错或未授权"),
        (
            "read-back failed, the relay's state is unknown: meter 202601080002 did not answer in time",
            "没有回读，继电器未知：电表未按时应答",
        ),
        ("5 Wh is no multiple of 10 Wh", "0.01 kWh 不是 0.01 kWh 的整数倍"),
        (
            (
                "not sent: the meter has refused its password 2 times today, and more would lock it until midnight; "
                "import the right one"
            ),
            "未发：电表今天已 2 次拒绝其密码，再试会使其闭锁至午夜；请导入正确的密码",
        ),
        ("49550 Wh backwards: reset or replacement suspected", "倒走 49.55 kWh，疑似清零或换表"),
        (
            "reads 0 Wh after 49550 Wh: a placeholder, a reset or a replacement",
            "此前为 49.55 kWh，现读得 0：占位值、清零或换表",
        ),
        (
            "24 readings stamped before the accepted one lead here: the server's clock had stood ahead",
            "24 个读数时间早于已采纳的读数，逐步增至此处：服务器时钟曾经超前",
        ),
        ("120 s older than the last accepted reading", "比上次采纳的读数早 2 分钟"),
        (memo_of_floor(1000), "至少留 ¥10.00 作电费"),
        ("more than 50000 fen of one payment", "超过 ¥500.00"),
        ("no answer from the sandbox provider (ConnectError)", "支付渠道没有应答（ConnectError）"),
        ("", ""),
    ],
)
def test_a_detail_is_said_in_chinese(detail, said):
    assert detail_said(detail, F, CHINESE) == said


@pytest.mark.parametrize("name", [ERRORS[bit][0] for bit in range(7)])
def test_every_error_of_a_meter_has_words(name):
    assert name in FIXED
    assert detail_said(name, F, CHINESE) != name


@pytest.mark.parametrize("new_wh", [1_000, 1_010, 900, 10_000_000, 1_005])
def test_every_reason_of_a_judged_reading_is_known(new_wh):
    reason = judge(1_000, 0, new_wh, 900, max_power_w=13_200, step_wh=10, modulus_wh=10**9).reason
    assert "<span" not in detail_said(reason, F, CHINESE)
    assert "<span" not in detail_said(f"rate 1: {reason}", F, CHINESE)


def test_an_unknown_sentence_is_shown_as_english_and_escaped():
    assert detail_said("<b>smoke</b>", F, CHINESE) == '<span lang="en">&lt;b&gt;smoke&lt;/b&gt;</span>'
    assert detail_said("not sent: <b>", F, CHINESE) == '未发：<span lang="en">&lt;b&gt;</span>'
    assert detail_said("由物业更正", F, ENGLISH) == "由物业更正"


def test_every_outcome_of_a_recharge_and_every_bit_of_its_error_word_is_said_in_both_languages():
    names = [en for en, _ in (*REASONS.values(), *DOUBTS.values(), *SERR.values())]
    for detail in (*names, "; ".join(names[:1] + names[-2:]), "count 7, proven by its record",
                   "count 7, proven by its count", "meter 645000100102 did not tell its purchase count"):  # fmt: skip
        assert 'lang="en"' not in str(detail_said(detail, F, ENGLISH))
        assert re.search("[\u4e00-\u9fff]", str(detail_said(detail, F, CHINESE))), detail
    assert detail_said("wrong recharge count; repeated recharge", F, CHINESE) == "充值次数错误，重复充值"


@pytest.mark.parametrize(
    ("memo", "said"),
    [
        (memo_of_floor(1), "至少留 ¥0.01 作电费"),
        ("银行回单 <8812>", "银行回单 <8812>"),
        ("bank slip <b>8812</b> & more", "bank slip <b>8812</b> & more"),
        ("", ""),
    ],
)
def test_the_note_of_a_booking_is_plain_text(memo, said):
    assert memo_said(memo, F, CHINESE) == said
