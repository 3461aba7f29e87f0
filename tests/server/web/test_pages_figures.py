"""How figures are written, and the small figures the server draws itself."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.domain.forecast import DAYS_MAX, DaysLeft, days_left
from server.errors import Refused
from server.store.days import daily
from server.store.wall import HouseholdRow
from server.web import formats, i18n, qr
from server.web.columns import columns_of
from server.web.figures import TIER_BAR_WIDTH, strip, tier_bar, token_bar
from server.web.formats import Formats
from server.web.money import parse_fen
from server.web.operator.tiles import ages_of, fitting
from server.web.words import said_in

NOON = 1_791_439_500  # Thursday 2026-10-08 14:05 in Shanghai


def formats_in(language, now_s=NOON):
    return Formats(i18n.translations(language).gettext, "Asia/Shanghai", now_s)


@pytest.mark.parametrize(
    ("write", "value", "text"),
    [
        (formats.yuan, 123_456, "¥1,234.56"),
        (formats.yuan, -1894, "−¥18.94"),
        (formats.yuan, -5, "−¥0.05"),
        (formats.yuan, 0, "¥0.00"),
        (formats.signed_yuan, 10_000, "+¥100.00"),
        (formats.signed_yuan, -265, "−¥2.65"),
        (formats.amount, -1894, "−18.94"),
        (formats.whole_yuan, 18_538, "185"),
        (formats.whole_yuan, -1894, "−19"),
        (formats.whole_yuan, -49, "−0.5"),
        (formats.whole_yuan, -1, "−0.1"),
        (formats.whole_yuan, 49, "0"),
        (fitting, "−20000", "−20000"),
        (fitting, "1234567", "1234…"),
        (formats.round_yuan, 10_000, "¥100"),
        (formats.round_yuan, 10_050, "¥100.50"),
        (formats.kwh, 67_220, "67.22 kWh"),
        (formats.kwh, 421_837_005, "421,837.01 kWh"),
        (formats.kw_figure, 860_000, "0.86"),
        (formats.kw_figure, -1_234_567, "−1.23"),
        (formats.volts, 228_400, "228.4"),
        (formats.amperes, 3790, "3.79"),
        (formats.price, 58_886_875, "¥0.5889"),
        (formats.price_exact, 58_886_875, "0.58886875"),
        (formats.seconds, 6249, "6.2"),
        (formats.masked_phone, "13812346021", "138****6021"),
        (formats.masked_phone, "12", ""),
        (formats.masked_name, "陈立", "陈*"),
        (formats.meter_number, "000023111202", "0000 2311 1202"),
    ],
)
def test_figures_are_written_as_the_design_says(write, value, text):
    assert write(value) == text


def test_a_percentage_needs_a_whole():
    assert formats.percent(389, 400) == "97.2"
    assert formats.percent(0, 0) == "—"


@given(st.integers(-(10**14), 10**14))
def test_money_keeps_every_fen(fen):
    text = formats.yuan(fen).replace(",", "").replace("¥", "").replace("−", "-").replace(".", "")
    assert int(text) == fen


def test_instants_in_both_languages():
    zh, en = formats_in("zh_CN"), formats_in("en")
    assert (zh.long_day(NOON), en.long_day(NOON)) == ("10月8日 周四", "Thu 8 Oct")
    assert (zh.moment(NOON), zh.moment(NOON - 86_400), en.full(NOON)) == ("14:05", "10月7日 14:05", "8 Oct 14:05")
    assert zh.short_day(NOON - 400 * 86_400) == "2025-09-03"
    assert (zh.age(NOON - 185), en.age(NOON - 185)) == ("3 分钟前", "3 min ago")
    assert (zh.age(None), en.age(NOON - 100 * 3600), en.age(NOON + 5)) == ("从未", "4 d ago", "0 s ago")
    assert (zh.days(61), en.days(61), zh.days(7), en.days(1)) == ("60 天以上", "60+ days", "7 天", "1 day")


def test_days_left_is_a_range_of_whole_days():
    assert days_left(1000, [], 50_000_000) is None
    assert days_left(-1, [5000], 50_000_000) == DaysLeft(0, 0, 0)
    assert days_left(3500, [10_000] * 7, 50_000_000) == DaysLeft(7, 7, 7)
    left = days_left(3500, [5000, 5000, 10_000, 20_000, 20_000], 50_000_000)
    assert (left.days, left.fewest, left.most) == (5, 3, 14)
    assert days_left(10**9, [10], 1).days == DAYS_MAX
    assert days_left(100, [0, 0], 50_000_000).days == DAYS_MAX


@given(st.integers(1, 10**8), st.lists(st.integers(0, 10**5), min_size=1, max_size=7), st.integers(0, 2**31 - 1))
def test_the_likely_days_lie_within_the_range(balance_fen, daily_wh, price):
    left = days_left(balance_fen, daily_wh, price)
    assert 0 <= left.fewest <= left.days <= left.most <= DAYS_MAX


def test_a_day_counts_from_where_the_day_before_ended_and_gaps_stay_gaps():
    rows = [("m", "2026-10-01", 100, 500), ("m", "2026-10-02", 520, 900), ("m", "2026-10-05", 2000, 2100)]
    assert [(one.day, one.energy_wh) for one in daily(rows)] == [
        ("2026-10-01", 400), ("2026-10-02", 400), ("2026-10-05", 100),
    ]  # fmt: skip


def test_a_first_day_of_one_register_alone_is_a_gap_and_a_later_one_of_no_use_is_zero():
    rows = [("m", "2026-10-01", 500, 500), ("m", "2026-10-02", 500, 500), ("n", "2026-10-02", 7, 7)]
    assert [(one.meter_id, one.day, one.energy_wh) for one in daily(rows)] == [("m", "2026-10-02", 0)]


@pytest.mark.parametrize(
    ("used_wh", "tier", "rest_wh"), [(0, 1, 260_000), (260_000, 1, 0), (260_001, 2, 339_999), (900_000, 3, None)]
)
def test_the_tier_bar_marks_the_tier(used_wh, tier, rest_wh):
    bar = tier_bar(used_wh, (260_000, 600_000))
    assert (bar.tier, bar.rest_wh) == (tier, rest_wh)
    assert 0 <= bar.filled <= TIER_BAR_WIDTH
    assert len(bar.pieces) == 3


def test_every_state_that_exists_is_seen_in_the_strip():
    pieces = strip({"normal": 5000, "cut": 1}, ("normal", "low", "cut"))
    assert [(piece.tone, piece.width >= 3) for piece in pieces] == [("s-normal", True), ("s-cut", True)]
    assert [piece.tone for piece in token_bar(2, 4)] == ["f1", "f1", "t0", "t0"]


def test_ages_count_every_household_once():
    empty = HouseholdRow(*[None] * len(HouseholdRow._fields))
    rows = [empty, *(empty._replace(reading_at=NOON - age) for age in (0, 900, 901, 1800, 3600, 3601, 10**6))]
    assert [age.count for age in ages_of(columns_of(rows, 0), NOON, 900, str)] == [2, 2, 1, 3]


@pytest.mark.parametrize(
    ("text", "fen"), [("100", 10_000), (" 99.5 ", 9950), ("¥12.34", 1234), ("0", 0), ("￥５０．５", 5050)]
)
def test_sums_are_read_exactly(text, fen):
    assert parse_fen(text) == fen


@pytest.mark.parametrize("text", ["", "-1", "1,5", "1.234", "1e5", "１００x", "١٠٠", "NaN"])
def test_what_is_no_sum_is_refused(text):
    with pytest.raises(Refused):
        parse_fen(text)


def test_unknown_words_show_as_themselves():
    words = said_in(i18n.translations("zh_CN").gettext)
    assert words["state_words"]["over"] == "已透支"
    assert words["state_words"]["brand_new"] == "brand new"


def dark_modules(text):
    width, path = qr.svg_path(text)
    return width, {tuple(map(int, place)) for place in re.findall(r"M(\d+) (\d+)h1v1h-1z", path)}


def test_a_payment_code_has_its_quiet_zone_and_its_three_finder_patterns():
    width, dark = dark_modules("http://127.0.0.1:8645/pay/4f2a?token=Zm9v")
    assert all(4 <= column < width - 4 and 4 <= row < width - 4 for column, row in dark)
    ring = {(c, r) for c in range(7) for r in range(7) if c in (0, 6) or r in (0, 6) or (2 <= c <= 4 and 2 <= r <= 4)}
    for left, top in ((4, 4), (width - 11, 4), (4, width - 11)):
        seen = {(c - left, r - top) for c, r in dark if left <= c < left + 7 and top <= r < top + 7}
        assert seen == ring


def test_another_address_makes_another_code():
    assert dark_modules("http://a/pay/1") != dark_modules("http://a/pay/2")


def test_an_address_that_is_too_long_is_refused():
    with pytest.raises(Refused):
        qr.svg_path("x" * 501)
